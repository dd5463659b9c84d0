"""Find and load the library of C++ kernels, ``libneuro_kernels.so``."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import importlib.metadata
import os
from collections.abc import Iterator
from pathlib import Path

from neuro.errors import UnsupportedError

__all__ = ["available", "library"]

_FILE_NAME = "libneuro_kernels.so"


@functools.cache
def library() -> ctypes.CDLL:
    """Return the loaded kernel library.

    The file is the one named by the environment variable ``NEURO_KERNELS`` when that is set; else the first
    ``libneuro_kernels.so`` in a folder of this package, or where the installed distribution put it (in an editable
    install that is not the source tree).

    Raises
    ------
    UnsupportedError
        The library is not there, or the system's loader refuses it.
    """
    path = _find()
    try:
        return ctypes.CDLL(str(path))
    except OSError as err:
        raise UnsupportedError(
            f"kernels: the library does not load (got {err}; need one built for this machine). "
            "Rebuild it with 'pip install .' in the project's folder."
        ) from err


def available() -> bool:
    """Tell whether `library` returns."""
    try:
        library()
    except UnsupportedError:
        return False
    return True


def _find() -> Path:
    named = os.environ.get("NEURO_KERNELS")
    if named:
        if not Path(named).is_file():
            raise UnsupportedError(
                f"kernels: NEURO_KERNELS names no file (got '{named}'; need the path of {_FILE_NAME}). "
                "Correct the variable or unset it."
            )
        return Path(named)
    tried = list(dict.fromkeys(_candidates()))
    for path in tried:
        if path.is_file():
            return path
    places = ", ".join(f"'{path.parent}'" for path in tried)
    raise UnsupportedError(
        f"kernels: {_FILE_NAME} was not found (got none in {places}; need the compiled kernels). "
        "Build them with 'pip install .' in the project's folder (a C++17 compiler is needed), "
        "or run on backend='reference'."
    )


def _candidates() -> Iterator[Path]:
    for folder in __path__:
        yield Path(folder) / _FILE_NAME
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        yield Path(str(importlib.metadata.distribution("neuro").locate_file(f"neuro/kernels/{_FILE_NAME}")))
