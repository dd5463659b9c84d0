"""Give a stimulus a few steps at a time, so that a long run holds no more of it than it needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neuro import seeds
from neuro.errors import DataError
from neuro.graph import Graph
from neuro.recording import Events

from .stimulus import Stimulus

Draw = Callable[[int, int], Stimulus]
"""Called with (first, last): return the stimulus of steps first..last-1, its steps counted from `first`."""

_BLOCK_STEPS, _BLOCK_NUMBERS = 64, 2**20


@dataclass(frozen=True)
class StimulusStream:
    """Inputs of a batch that are made as the run goes on.

    batch, steps: number of samples and of steps. draw: makes the stimulus of a range of steps; what a step holds must not depend on
    how the run is cut into ranges.

    The engine asks for a range when it comes to it; `neuro.run` gives other backends the `whole`.
    """

    batch: int
    steps: int
    draw: Draw

    def __post_init__(self) -> None:
        Stimulus(batch=self.batch, steps=self.steps)  # judges both

    def part(self, first: int, last: int) -> Stimulus:
        """Return the stimulus of steps first..last-1. Raises DataError if what is drawn has another shape."""
        made = self.draw(first, last)
        if (made.batch, made.steps) != (self.batch, last - first):
            raise DataError(
                f"stimulus stream: wrong shape of steps {first}..{last - 1} (got batch {made.batch}, {made.steps} steps; need "
                f"batch {self.batch}, {last - first} steps). Return a stimulus of the range that is asked for."
            )
        return made

    def whole(self) -> Stimulus:
        """Return all steps at once, for a backend that takes nothing else."""
        return self.part(0, self.steps)

    def check(self, graph: Graph) -> None:
        """Refuse to stand in for a whole stimulus. Raises DataError; each part is checked when it is drawn."""
        raise DataError(
            "stimulus stream: this backend takes whole stimuli (got a stream; need a Stimulus). Give it stream.whole(), or use "
            "neuro.run, which does."
        )


def poisson(
    rates_hz: Mapping[str, ArrayLike], *, steps: int, batch: int = 1, dt_ms: float = 1.0, seed: int = 0
) -> StimulusStream:
    """Return spikes that are independent from step to step, each with probability rate * dt.

    Parameters: rates_hz, by spike input, (size,) in Hz, with rate * dt <= 1. The same seed gives the same spikes, however the run is cut.
    Raises: DataError for a rate out of range.
    """
    chances = {name: np.asarray(rates, dtype=np.float64) * dt_ms / 1000 for name, rates in rates_hz.items()}
    for name, p in chances.items():
        if p.ndim != 1 or not ((p >= 0) & (p <= 1)).all():
            got = f"shape {p.shape}" if p.ndim != 1 else f"{1000 / dt_ms * p[~((p >= 0) & (p <= 1))][0]:g} Hz"
            raise DataError(
                f"poisson '{name}': rates out of range (got {got}; need one rate a channel, 0..{1000 / dt_ms:g} Hz). Correct them."
            )

    def draw(first: int, last: int) -> Stimulus:
        spikes = {name: _bernoulli(seed, name, p, batch, first, last) for name, p in chances.items()}
        return Stimulus(batch=batch, steps=last - first, spikes=spikes)

    return StimulusStream(batch, steps, draw)


def _bernoulli(seed: int, name: str, p: NDArray[np.float64], batch: int, first: int, last: int) -> Events:
    """Draw whole blocks of steps, each from a random stream of its own, and return the events of first..last-1."""
    length = max(1, min(_BLOCK_STEPS, _BLOCK_NUMBERS // max(batch * p.size, 1)))
    found = []
    for block in range(first // length, -(-last // length)):
        rng = seeds.stream(seed, f"poisson/{name}/{block}")
        fires = rng.random((batch, length, p.size)) < p
        found.append(Events.from_dense(fires).shifted(0, block * length).between(first, last))
    return Events.join(found).shifted(0, -first)


def constant(values: Mapping[str, ArrayLike], *, steps: int, batch: int = 1) -> StimulusStream:
    """Return the same currents at every step: values by current input, (size,)."""
    held = {name: np.asarray(u, dtype=np.float64) for name, u in values.items()}

    def draw(first: int, last: int) -> Stimulus:
        shape = (batch, last - first)
        currents = {name: np.broadcast_to(u, (*shape, u.size)) for name, u in held.items()}
        return Stimulus(batch=batch, steps=last - first, currents=currents)

    return StimulusStream(batch, steps, draw)
