"""Describe how a quantity is distributed over samples: a mean alone hides what single inferences cost."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from neuro.errors import DataError


@dataclass(frozen=True)
class Distribution:
    """Mean, standard deviation (of these values: divided by n), least, quartiles (25, 50, 75 %, interpolated linearly), most."""

    n: int
    mean: float
    sd: float
    least: float
    quartiles: tuple[float, float, float]
    most: float

    def __str__(self) -> str:
        low, middle, high = self.quartiles
        return (
            f"{self.mean:.4g} ± {self.sd:.2g} ({self.least:.4g} | {low:.4g} {middle:.4g} {high:.4g} | {self.most:.4g})"
        )


def distribution(values: ArrayLike) -> Distribution:
    """Describe values, one a sample, (samples,). Raises: DataError if there is none, or one is not finite."""
    x = np.asarray(values, dtype=np.float64)
    if x.ndim != 1 or not x.size:
        raise DataError(
            f"distribution: no values (got shape {x.shape}; need (samples,), at least one). Give one a sample."
        )
    if not np.isfinite(x).all():
        k = int(np.flatnonzero(~np.isfinite(x))[0])
        raise DataError(
            f"distribution: not finite (got {x[k]} in sample {k}; need finite numbers). Leave such samples out."
        )
    low, middle, high = np.quantile(x, (0.25, 0.5, 0.75)).tolist()
    return Distribution(len(x), float(x.mean()), float(x.std()), float(x.min()), (low, middle, high), float(x.max()))
