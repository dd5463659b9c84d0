"""Make arrays that begin at a cache line: numbers that a processor takes eight at a time then lie in one, not in two."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

_LINE = 64


def lines(shape: tuple[int, ...], dtype: type, zero: bool = False) -> NDArray[Any]:
    """Return an array that begins at a cache line, of zeros or of no defined content."""
    n_bytes = math.prod(shape) * np.dtype(dtype).itemsize
    room = (np.zeros if zero else np.empty)(n_bytes + _LINE, np.uint8)
    begin = -room.ctypes.data % _LINE
    return room[begin : begin + n_bytes].view(dtype).reshape(shape)
