"""Code a sequence of grey values as spikes where it crosses thresholds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, eq=False)
class CrossingCode:
    """Threshold-crossing code over integer grey levels (the input code of Bellec et al. 2018, arXiv 1803.09574).

    A grey value is first counted in levels, q(p) = how many thresholds the value of pixel p has reached. Threshold k owns two
    neurons, and with `touch` one more neuron marks the highest level:

        onset_k(p)  = 1  if q(p-1) < k <= q(p)
        offset_k(p) = 1  if q(p) < k <= q(p-1)
        touch(p)    = 1  if q(p) = n_levels                                q(-1) = 0: the screen is dark before the first pixel

    Neurons lie as onset_first, offset_first, onset_first+1, ..., touch. Crossings fire once, at the first step of the pixel that
    crossed; touch fires at every step of its pixel. The published code marks a crossing at the last step of the pixel before,
    one step earlier: a constant shift.
    """

    first: int
    last: int
    n_levels: int
    touch: bool

    @property
    def n_neurons(self) -> int:
        """Count the neurons of the code, without the cue."""
        return 2 * (self.last - self.first + 1) + int(self.touch)

    def encode(
        self, levels: npt.NDArray[np.integer], steps_per_pixel: int, n_in: int, n_steps: int
    ) -> npt.NDArray[np.uint8]:
        """Write the spikes of a batch of images into the head of a larger, otherwise silent input array.

        Parameters
        ----------
        levels : integers 0..n_levels, (batch, pixels)
            q of every pixel.
        steps_per_pixel : int
            Steps that a pixel is shown for.
        n_in : int
            Input neurons in all, at least n_neurons.
        n_steps : int
            Steps in all, at least pixels * steps_per_pixel.

        Returns
        -------
        spikes : uint8 {0, 1}, (batch, n_steps, n_in)
        """
        batch, pixels = levels.shape
        table = self._table(n_in)
        pair = np.empty((batch, pixels), dtype=np.intp)
        pair[:, 0] = levels[:, 0]
        np.multiply(levels[:, :-1], self.n_levels + 1, out=pair[:, 1:], dtype=np.intp)
        pair[:, 1:] += levels[:, 1:]
        spikes = np.zeros((batch, n_steps, n_in), dtype=np.uint8)
        shown = pixels * steps_per_pixel
        spikes[:, :shown:steps_per_pixel] = table[pair]
        if self.touch and steps_per_pixel > 1:
            high = np.repeat(levels == self.n_levels, steps_per_pixel, axis=1)
            spikes[:, :shown, self.n_neurons - 1] = high
        return spikes

    def _table(self, n_in: int) -> npt.NDArray[np.uint8]:
        """Tabulate the spikes of every pair of levels: row q(p-1) * (n_levels + 1) + q(p)."""
        before, now = np.divmod(np.arange((self.n_levels + 1) ** 2), self.n_levels + 1)
        k = np.arange(self.first, self.last + 1)
        table = np.zeros((len(now), n_in), dtype=np.uint8)
        end = 2 * len(k)
        table[:, 0:end:2] = (before[:, None] < k) & (k <= now[:, None])
        table[:, 1:end:2] = (now[:, None] < k) & (k <= before[:, None])
        if self.touch:
            table[:, end] = now == self.n_levels
        return table
