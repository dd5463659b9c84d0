"""Exit with 0 when the address in the first argument answers within 5 seconds, else with 1."""

from __future__ import annotations

import sys
import urllib.request

try:
    with urllib.request.urlopen(sys.argv[1], timeout=5):
        sys.exit(0)
except OSError:
    sys.exit(1)
