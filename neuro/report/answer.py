"""Hold what was asked of a network, in one sample or in all, and what it answered."""

from __future__ import annotations

from collections.abc import Sequence
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


@dataclass(frozen=True, kw_only=True, eq=False)
class Answers:
    """All decisions of all samples in order: the class that was right and the one that was answered, int64 (decisions,) each."""

    n_classes: int
    labels: NDArray[np.int64]
    predictions: NDArray[np.int64]

    @classmethod
    def of(cls, n_classes: int, groups: Sequence[tuple[NDArray[np.int64], NDArray[np.int64]]]) -> Answers:
        """Make them of (targets, predictions) of groups of samples, (samples, decisions) each, -1 where a decision is not asked for."""
        asked = [targets >= 0 for targets, _ in groups]
        none = np.zeros(0, np.int64)
        return cls(
            n_classes=n_classes,
            labels=np.concatenate([none, *(targets[a] for (targets, _), a in zip(groups, asked, strict=True))]),
            predictions=np.concatenate([none, *(found[a] for (_, found), a in zip(groups, asked, strict=True))]),
        )
