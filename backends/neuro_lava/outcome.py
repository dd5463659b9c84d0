"""Put together what the groups of a run gave, by population and state."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuro.backend import Stimulus
from neuro.graph import INTEGER, Graph, SpikeInput
from neuro.graph import states as states_of
from neuro.recording import Events

Outcome = dict[str, dict[str, NDArray[Any]]]
"""Of one group: states (samples, steps, size) by population and name; spikes z as bytes."""


def spikes(graph: Graph, stimulus: Stimulus, found: list[Outcome], starts: list[int]) -> dict[str, Events]:
    """Return the events of all spiking populations, the groups put together. starts: each group's first sample."""
    joined = {p.name: stimulus.spikes.get(p.name, Events.none()) for p in graph.inputs if isinstance(p, SpikeInput)}
    for p in graph.neurons:
        parts = [Events.from_dense(part[p.name]["z"].astype(np.bool_)) for part in found]
        samples = [e.sample + np.int32(start) for e, start in zip(parts, starts, strict=True)]
        joined[p.name] = Events(
            np.concatenate(samples),
            np.concatenate([e.step for e in parts]),
            np.concatenate([e.unit for e in parts]),
        )
    return joined


def clipped(graph: Graph) -> list[tuple[Any, tuple[str, ...]]]:
    """Return the integer populations, each with the states whose clips are counted."""
    return [(p, tuple(s for s in states_of(p) if s != "z")) for p in graph.receivers if isinstance(p, INTEGER)]


def joined(counts: list[NDArray[Any]], samples: int) -> NDArray[np.int64]:
    """Return the counts of all groups, (samples,); zeros if nothing had to run."""
    return np.concatenate(counts) if counts else np.zeros(samples, np.int64)


def by_sample(rows: NDArray[Any]) -> NDArray[Any]:
    """Return (steps, size, samples) as (samples, steps, size), in memory of its own."""
    return np.ascontiguousarray(rows.transpose(2, 0, 1))
