"""Begin a worker, in an interpreter that need not have neuro: run as a script, with the standard library alone.

Arguments: three descriptors: requests (lines of JSON from the parent), replies (to it), life (closed when the supervisor is
gone). The first request says where the parent's neuro and the backend's package lie. Just these packages are made importable,
by a finder of their own: the folders they lie in stay off sys.path, where they would mix the parent's numpy with this one's.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import json
import os
import sys
import traceback
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any


class Finder(importlib.abc.MetaPathFinder):
    """Find top-level packages or modules at given places: name -> [file or None, [folders] or None]."""

    def __init__(self, places: Mapping[str, Sequence[Any]]) -> None:
        self._places = places

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Return the spec of a given package; what is inside it Python finds by itself."""
        if path is not None or fullname not in self._places:
            return None
        file, folders = self._places[fullname]
        if file is None:
            spec = importlib.machinery.ModuleSpec(fullname, None, is_package=True)
            spec.submodule_search_locations = list(folders)
            return spec
        return importlib.util.spec_from_file_location(fullname, file, submodule_search_locations=folders)


def main(arguments: Sequence[str]) -> int:
    """Read the first request, make the packages importable, and hand over to `neuro.backend.worker`."""
    requests_fd, replies, life = (int(a) for a in arguments)
    for fd in (requests_fd, replies, life):
        os.set_inheritable(fd, False)
    with open(requests_fd, "rb") as requests:
        load = json.loads(requests.readline())
        sys.meta_path.insert(0, Finder(load["places"]))
        sys.path += [p for p in load["path"] if p not in sys.path]
        try:
            from neuro.backend import worker
        except BaseException as err:
            error = {
                "class": None,
                "kind": type(err).__name__,
                "message": str(err),
                "traceback": traceback.format_exc(),
            }
            os.write(replies, json.dumps({"ok": False, "error": error}).encode() + b"\n")
            return 1
        return worker.serve(load, requests, replies, life)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
