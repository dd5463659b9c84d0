"""Draw Poisson spikes of groups of input neurons."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def group_spikes(
    rate_hz: npt.NDArray[np.float64], group_size: int, dt_ms: float, rng: np.random.Generator
) -> npt.NDArray[np.uint8]:
    """Draw the spikes of groups of neurons, each neuron and step independently, with probability rate * dt.

    Parameters
    ----------
    rate_hz : float64, (batch, steps, groups)
        Rate of a group's neurons at each step; Hz, at most 1000 / dt_ms.
    group_size : int
        Neurons in a group; group g owns neurons g * group_size and on.
    dt_ms : float
        Duration of a step.
    rng : Generator
        Uses up one float32 a neuron and step, silent ones too.

    Returns
    -------
    spikes : uint8 {0, 1}, (batch, steps, groups * group_size)
    """
    batch, steps, groups = rate_hz.shape
    chance = rng.random((batch, steps, groups, group_size), dtype=np.float32)
    fired = chance < (rate_hz * (dt_ms / 1000.0)).astype(np.float32)[..., None]
    return fired.reshape(batch, steps, groups * group_size).astype(np.uint8)
