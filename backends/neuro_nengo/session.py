"""Use Nengo without leaving a mark on it: its settings, networks and random numbers are as before when a session ends."""

from __future__ import annotations

import ctypes
import importlib
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

import numpy as np

from neuro.errors import UnsupportedError

_LOCK = threading.RLock()


def load() -> ModuleType:
    """Import nengo and return it.

    Nengo 4.1 names numpy.core, of which numpy 2 warns; the warning is Nengo's matter, and is dropped here alone.
    Raises: UnsupportedError if nengo or scipy is not installed or does not import.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            nengo = importlib.import_module("nengo")
            importlib.import_module("scipy.sparse")
    except (ImportError, AttributeError) as err:  # AttributeError: a numpy that has dropped what Nengo names
        raise UnsupportedError(
            f"backend 'nengo': nengo does not import (got {err}; need nengo >= 4.1 and scipy). "
            "Install them with: pip install 'neuro[nengo]'."
        ) from err
    return nengo


@contextmanager
def building() -> Iterator[None]:
    """Let Nengo build in double precision, whatever the user's settings; restore them in the end.

    The settings are global, so that sessions of several threads wait for one another.
    """
    rc = load().rc
    with _LOCK:
        bits = rc.get("precision", "bits")
        rc.set("precision", "bits", "64")
        try:
            yield
        finally:
            rc.set("precision", "bits", bits)


@contextmanager
def ieee() -> Iterator[None]:
    """Compute with subnormal numbers, though a library linked with -ffast-math may have set this process to flush them.

    Raises: UnsupportedError where that cannot be mended (other systems than Linux).
    """
    if not _flushes():
        yield
        return
    before = ctypes.create_string_buffer(256)  # fenv_t, 32 bytes on x86-64
    libm = ctypes.CDLL(None)
    if sys.platform == "linux":
        libm.fegetenv(before)
        libm.fesetenv(ctypes.c_void_p(-1))  # FE_DFL_ENV
    try:
        if _flushes():
            raise UnsupportedError(
                "backend 'nengo': this process flushes subnormal numbers to zero (got 0 for 2**-1022 / 2; need 2**-1023). A "
                "library built with -ffast-math does that: run isolated=True."
            )
        yield
    finally:
        if sys.platform == "linux":
            libm.fesetenv(before)


def _flushes() -> bool:
    return bool(np.float64(sys.float_info.min) * np.float64(0.5) == 0.0)
