"""A tiny task and a tiny net that learns it: which half of the inputs fires?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from neuro import seeds
from neuro.graph import Graph
from neuro.learning import NetworkConfig, draw_network
from neuro.tasks import Batch


@dataclass(frozen=True)
class Sides:
    """Two classes: the first or the second half of the inputs fires, and then everything is silent for some steps."""

    name = "sides"
    input_kind = "spikes"
    n_in, n_out, steps, dt_ms, u_max, u_step = 6, 2, 24, 1.0, 1.0, 2.0**-8

    @property
    def sizes(self) -> dict[str, int | None]:
        return {"train": None, "validation": 32, "test": 48}

    def sample(self, split: str, rng: np.random.Generator, n: int) -> Batch:
        target = rng.integers(0, 2, n)
        inputs = rng.random((n, self.steps, self.n_in)) < 0.4
        inputs &= np.arange(self.n_in)[None, None, :] // 3 == target[:, None, None]
        inputs[:, -6:] = False
        window = np.full((n, self.steps), -1, dtype=np.int16)
        window[:, -8:] = 0
        return Batch(inputs=inputs.astype(np.uint8), window=window, targets=target[:, None])

    def fixed(self, split: str, start: int, stop: int) -> Batch:
        return self.sample(split, seeds.stream(0, split), 64).select(start, stop)


def small_net(seed: int = 0, **changes: object) -> Graph:
    """Return 6 LIF + 4 ALIF neurons that fire at a third of the steps or less."""
    config = {"n_lif": 6, "n_alif": 4, "gain_in": 2.5, "tau_a_ms": 30.0, "delay_max": 3, "n_ref": 1, **changes}
    return draw_network(NetworkConfig(**config), Sides(), seed)  # type: ignore[arg-type]
