"""Models whose states are whole numbers of a declared width."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuro_lava import exchange
from neuro_lava.processes.recorded import RecordedModel

Integers = NDArray[np.int64]


def decay(x: Integers, d: Integers) -> Integers:
    """Return sign(x) * ((|x| * (4096 - d)) >> 12): x times (4096 - d) / 4096, toward zero."""
    kept: Integers = np.sign(x) * ((np.abs(x) * (4096 - d)) >> 12)
    return kept


class IntegerModel(RecordedModel):
    """Clip each sum once to the population's width, in int64, and count the clips of every sample in a file."""

    def begin(self, run: exchange.Run) -> None:
        """Start from zero state, and from zero clips."""
        super().begin(run)
        self._limit = 2 ** (self.proc_params["state_bits"] - 1) - 1
        index = self.proc_params["index"]
        self._clips: dict[str, Any] = {
            s: exchange.open_clips(self.folder, index, s) for s in self.proc_params["clipped"]
        }

    def clip(self, state: str, total: Integers) -> Integers:
        """Return a sum (size, batch) as the state that it becomes; clips count for the samples that the run has."""
        value: Integers = np.clip(total, -self._limit, self._limit)
        clipped = value != total
        if clipped.any():
            clips = self._clips[state]
            clips += clipped[:, : len(clips)].sum(axis=0)
        return value
