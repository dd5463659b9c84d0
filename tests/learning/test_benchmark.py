"""The benchmark of learning runs, and its figures are those of nets that spike."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_quick_benchmark_ends_well() -> None:
    command = [sys.executable, "benchmarks/learning.py", "--quick"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    ratios = [float(x) for x in re.findall(r"reference +(\d+) times slower", done.stdout)]
    rates = [float(x) for x in re.findall(r"neurons, +([\d.]+) Hz", done.stdout)]
    assert len(ratios) == len(rates) == 4 and min(ratios) > 3 and min(rates) > 5
    assert done.stdout.count("time ~ N^") == 2
