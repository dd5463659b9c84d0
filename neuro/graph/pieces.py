"""Look at large arrays a piece at a time, so that what is made on the way stays small."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

PART = 2**17
"""Synapses looked at together: temporary arrays of them stay in the cache, and out of the peak of memory."""


def parts(n: int) -> Iterator[slice]:
    """Yield slices that cover 0..n-1, each of an array that fits in the second cache: what is made of them stays small."""
    for first in range(0, n, PART):
        yield slice(first, min(first + PART, n))


def has_negative_zero(array: NDArray[np.float64]) -> bool:
    """Tell whether any number is -0.0."""
    flat = array.reshape(-1)
    return any(bool(np.signbit(x[x == 0]).any()) for x in (flat[k] for k in parts(flat.size)))


def is_sorted(columns: list[NDArray[Any]]) -> bool:
    """Tell whether rows are in lexicographic order, the first column counting most."""
    for k in parts(len(columns[0])):
        tie = np.ones(k.stop - max(k.start, 1), dtype=bool)  # each row against the one before it
        for column in columns:
            x = column[max(k.start - 1, 0) : k.stop]
            if ((x[1:] < x[:-1]) & tie).any():
                return False
            tie &= x[1:] == x[:-1]
            if not tie.any():
                break
    return True
