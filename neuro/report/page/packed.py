"""Pack arrays so that a page stays small: whole numbers of 8 or 16 bits and the scale they stand on, as base64 text."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_MISSING, _LEVELS = 65535, 65534


@dataclass(frozen=True, kw_only=True)
class Curves:
    """Curves on a scale of 65,534 levels each: value = low + level * step, and level 65,535 where there is no finite value.

    low, step: a number a curve. data: base64 of uint16, little-endian, curve after curve.
    """

    low: list[float]
    step: list[float]
    data: str


def curves(values: NDArray[np.float64]) -> Curves:
    """Pack curves, (curves, points); the largest error is 1/131,068 of a curve's own range."""
    finite = np.isfinite(values)
    known = np.where(finite, values, np.nan)
    empty = ~finite.any(axis=1)
    known[empty] = 0.0
    low, high = np.nanmin(known, axis=1), np.nanmax(known, axis=1)
    step = (high / 2 - low / 2) / (_LEVELS / 2)  # halves: the span of two large numbers may overflow
    safe = np.where(step > 0, step, 1.0)
    levels = np.rint((np.where(finite, values, low[:, None]) / safe[:, None]) - low[:, None] / safe[:, None])
    packed = np.where(finite, np.clip(levels, 0, _LEVELS), _MISSING).astype("<u2")
    return Curves(low=low.tolist(), step=step.tolist(), data=base64.b64encode(packed.tobytes()).decode("ascii"))


def cells(values: NDArray[np.float64]) -> tuple[float, str]:
    """Pack a matrix of signed values into int8: (largest magnitude, base64, row after row).

    A value that is not 0 never becomes 0, so that what is connected stays visible.
    """
    most = float(np.abs(values).max(initial=0.0))
    levels = np.rint(127.0 * values / most) if most > 0 else np.zeros_like(values)
    levels = np.where((levels == 0) & (values != 0), np.sign(values), levels)
    return most, base64.b64encode(levels.astype(np.int8).tobytes()).decode("ascii")


def rounded(values: NDArray[Any], digits: int = 6) -> list[float]:
    """Return numbers to so many significant digits, as short as JSON can hold them."""
    return [float(f"{x:.{digits}g}") for x in np.asarray(values, dtype=np.float64).tolist()]
