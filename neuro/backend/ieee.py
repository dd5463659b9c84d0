"""Compute in IEEE doubles, subnormal numbers included, in a process that some library has set otherwise."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from neuro.errors import UnsupportedError


@contextmanager
def ieee_doubles(backend: str, instead: str) -> Iterator[None]:
    """Compute with subnormal numbers, though a library linked with -ffast-math may have set this process to flush them.

    Parameters: backend, its name, and what a user can run instead, for the message.
    Raises: UnsupportedError where that cannot be mended (other systems than Linux).
    """
    if not flushes():
        yield
        return
    before = ctypes.create_string_buffer(256)  # fenv_t, 32 bytes on x86-64
    libm = ctypes.CDLL(None)
    if sys.platform == "linux":
        libm.fegetenv(before)
        libm.fesetenv(ctypes.c_void_p(-1))  # FE_DFL_ENV
    try:
        if flushes():
            raise UnsupportedError(
                f"backend '{backend}': this process flushes subnormal numbers to zero (got 0 for 2**-1022 / 2; need 2**-1023). "
                f"A library built with -ffast-math does that: run {instead}."
            )
        yield
    finally:
        if sys.platform == "linux":
            libm.fesetenv(before)


def flushes() -> bool:
    """Tell whether this thread takes subnormal numbers for zero."""
    return bool(np.float64(sys.float_info.min) * np.float64(0.5) == 0.0)
