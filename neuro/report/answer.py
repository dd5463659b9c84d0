"""Hold what was asked of a network in one sample, and what it answered."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What was asked in one sample and answered: for the title, the shading and the colours of the readout.

    window: int, (steps,), -1 where nothing is asked, else the number of the decision. labels, predictions: one class a decision.
    """

    window: NDArray[np.integer]
    labels: tuple[int, ...]
    predictions: tuple[int, ...]
