"""Count what a run did: one set of rules for every backend."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from neuro.graph import Graph
from neuro.recording.events import Events


@dataclass(frozen=True)
class Counts:
    """Count what a run did, per sample: what energy estimates stand on.

    spikes: (batch,) int64 by population, spike inputs included.
    synaptic_events: (batch,) int64 by projection; arrivals with t + d < steps at every stored synapse, whatever its
    weight and the target's state. A current input sends one event a synapse in every step with u != 0.
    neuron_updates: by population, size x steps, the same in every sample.
    saturations: (batch,) int64 by integer population and state: sums that were wider than the state and were clipped.
    """

    spikes: Mapping[str, NDArray[np.int64]]
    synaptic_events: Mapping[str, NDArray[np.int64]]
    neuron_updates: Mapping[str, int]
    saturations: Mapping[str, Mapping[str, NDArray[np.int64]]] = field(default_factory=dict)

    def select(self, start: int, stop: int) -> Counts:
        """Return the counts of samples start..stop-1."""
        return Counts(
            spikes={name: n[start:stop] for name, n in self.spikes.items()},
            synaptic_events={name: n[start:stop] for name, n in self.synaptic_events.items()},
            neuron_updates=self.neuron_updates,
            saturations={p: {s: n[start:stop] for s, n in by.items()} for p, by in self.saturations.items()},
        )


def count(
    graph: Graph, spikes: Mapping[str, Events], currents: Mapping[str, NDArray[np.float64]], batch: int, steps: int
) -> Counts:
    """Count spikes, synaptic events and neuron updates of a run.

    Parameters: spikes, events of every spiking population and spike input; currents, (batch, steps, size) by input.
    """
    n_spikes = {name: np.bincount(e.sample, minlength=batch).astype(np.int64) for name, e in spikes.items()}
    sent = dict(spikes)
    sent.update({name: Events.from_dense(values != 0) for name, values in currents.items()})
    events = {}
    for c in graph.projections:
        size = graph.population(c.source).size
        events[c.name] = _arrivals(sent[c.source], c.pre, c.delay, size, batch, steps)
    updates = {p.name: p.size * steps for p in graph.receivers}
    return Counts(spikes=n_spikes, synaptic_events=events, neuron_updates=updates)


def _arrivals(
    e: Events, pre: NDArray[np.int32], delay: NDArray[np.int32], size: int, batch: int, steps: int
) -> NDArray[np.int64]:
    """Return, per sample, how many synapses the events reach before the run ends.

    A synapse of delay d is reached by a spike of step t if d < steps - t. With the synapses in order of (pre, delay), the
    reached ones of a unit are the first of its row, and one binary search an event finds where they end.
    """
    longest = int(delay.max()) + 1 if delay.size else 0
    key = np.sort(pre.astype(np.int64) * (longest + 1) + delay)
    first = np.concatenate([[0], np.cumsum(np.bincount(pre, minlength=size))])
    end = np.searchsorted(key, e.unit.astype(np.int64) * (longest + 1) + np.minimum(steps - e.step, longest))
    reached = (end - first[e.unit]).astype(np.float64)  # exact: sums of counts stay far below 2**53
    return np.bincount(e.sample, weights=reached, minlength=batch).astype(np.int64)
