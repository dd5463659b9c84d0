"""Count what a run did: one set of rules for every backend."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from neuro.graph import Graph, Projection
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

    @classmethod
    def join(cls, parts: Sequence[Counts]) -> Counts:
        """Return the counts of groups of samples of one run, at least one, as the counts of all."""
        first = parts[0]
        return cls(
            spikes={name: np.concatenate([c.spikes[name] for c in parts]) for name in first.spikes},
            synaptic_events={
                name: np.concatenate([c.synaptic_events[name] for c in parts]) for name in first.synaptic_events
            },
            neuron_updates=first.neuron_updates,
            saturations={
                p: {s: np.concatenate([c.saturations[p][s] for c in parts]) for s in by}
                for p, by in first.saturations.items()
            },
        )


def count(
    graph: Graph, spikes: Mapping[str, Events], currents: Mapping[str, NDArray[np.float64]], batch: int, steps: int
) -> Counts:
    """Count spikes, synaptic events and neuron updates of a run.

    Parameters: spikes, events of every spiking population and spike input; currents, (batch, steps, size) by input.
    """
    counter = Counter(graph, batch)
    counter.add(spikes, currents, 0)
    return counter.finish(steps)


class Looks(NamedTuple):
    """Look at the synapses of events: how many those of each sample have; how many they do not reach before a run ends.

    sent(row, unit, begins), missed(projection, row, sample, left, unit, batch): as `_sent` and `_missed`, which do it in numpy.
    """

    sent: Callable[[NDArray[np.int64], NDArray[np.int32], NDArray[np.int64]], NDArray[np.int64]]
    missed: Callable[..., NDArray[np.int64]]


class Counter:
    """Count a run as it goes on, a few steps at a time, in memory that does not grow with their number.

    Parameters: rows and longest, where they are known: (size of the source + 1,) by projection (`Projection.rows`), and the
    longest delay of the graph; looks, who looks at synapses.
    """

    def __init__(
        self,
        graph: Graph,
        batch: int,
        rows: Mapping[str, NDArray[np.int64]] | None = None,
        longest: int | None = None,
        looks: Looks | None = None,
    ) -> None:
        self._graph, self._batch, self._looks = graph, batch, looks or Looks(_sent, _missed)
        self._longest = graph.max_delay if longest is None else longest
        known = rows or {}
        self._rows = {c.name: known.get(c.name) for c in graph.projections}
        for c in graph.projections:
            if self._rows[c.name] is None:
                self._rows[c.name] = c.rows(graph.population(c.source).size)
        self._spikes: dict[str, NDArray[np.int64]] = {}
        self._sent = {c.name: np.zeros(batch, np.int64) for c in graph.projections}
        self._recent: dict[str, list[Events]] = {}

    def add(self, spikes: Mapping[str, Events], currents: Mapping[str, NDArray[np.float64]], first: int) -> None:
        """Count some steps more, of any populations; each step of a population once.

        Parameters: spikes, by population, steps counted from the begin of the run; currents, (batch, n, size) from step `first`.
        """
        for name, e in spikes.items():
            counted = np.diff(_begins(e.sample, self._batch))
            self._spikes[name] = self._spikes[name] + counted if name in self._spikes else counted
        sent = dict(spikes)
        for name, values in currents.items():
            sample, step, unit = (x.astype(np.int32) for x in np.nonzero(values))
            sent[name] = Events.in_order(sample, step + np.int32(first), unit)
        for c in self._graph.projections:
            if c.source in sent:
                e = sent[c.source]
                self._sent[c.name] += self._looks.sent(self._row(c), e.unit, _begins(e.sample, self._batch))
        for name, e in sent.items():
            self._keep(name, e)

    def _row(self, c: Projection) -> NDArray[np.int64]:
        row = self._rows[c.name]
        assert row is not None
        return row

    def _keep(self, name: str, e: Events) -> None:
        """Hold on to the events that may still be under way when the run ends."""
        kept = [*self._recent.get(name, ()), e]
        in_order = self._batch == 1  # of their steps
        last = max((int(k.step[-1] if in_order else k.step.max()) for k in kept if len(k)), default=0)
        young: list[NDArray[np.int64]]
        if in_order:
            young = [np.arange(np.searchsorted(k.step, last - self._longest, "right"), len(k)) for k in kept]
        else:
            young = [np.flatnonzero(k.step > last - self._longest) for k in kept]
        pairs = zip(kept, young, strict=True)
        self._recent[name] = [Events.in_order(k.sample[y], k.step[y], k.unit[y]) for k, y in pairs if len(y)]

    def finish(self, steps: int) -> Counts:
        """Return the counts of a run that ends after `steps` steps."""
        events = {}
        for c in self._graph.projections:
            missed = np.zeros(self._batch, np.int64)
            for e in self._recent.get(c.source, ()):
                late = e.step + self._longest >= steps
                missed += self._looks.missed(
                    c, self._row(c), e.sample[late], steps - e.step[late], e.unit[late], self._batch
                )
            events[c.name] = self._sent[c.name] - missed
        updates = {p.name: p.size * steps for p in self._graph.receivers}
        return Counts(spikes=dict(self._spikes), synaptic_events=events, neuron_updates=updates)


def _sent(row: NDArray[np.int64], unit: NDArray[np.int32], begins: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return how many synapses the events of each sample have: those from begins[b] to begins[b + 1] - 1."""
    return _sums(np.diff(row)[unit], begins)


def _missed(
    c: Projection,
    row: NDArray[np.int64],
    sample: NDArray[np.int32],
    left: NDArray[np.int32],
    unit: NDArray[np.int32],
    batch: int,
) -> NDArray[np.int64]:
    """Return, per sample, how many synapses events do not reach before the run ends, `left` steps after each was sent."""
    lengths = row[unit + 1] - row[unit]
    if int(lengths.sum()) > _SORT_FROM * c.size:
        return _sums(lengths - _reached(c, row, left, unit), _begins(sample, batch))
    total = np.zeros(batch, np.int64)
    group = np.cumsum(lengths) // _LOOKED_AT  # so many synapses at a time
    for g in range(int(group[-1]) + 1 if group.size else 0):
        low, high = np.searchsorted(group, [g, g + 1])
        n, first = lengths[low:high], row[unit[low:high]]
        at = np.repeat(first - np.cumsum(n) + n, n) + np.arange(int(n.sum()))
        late = c.delay[at] >= np.repeat(left[low:high], n)
        total += _sums(late, np.concatenate([np.zeros(1, np.int64), np.cumsum(n)])[_begins(sample[low:high], batch)])
    return total


def _begins(sample: NDArray[np.int32], batch: int) -> NDArray[np.int64]:
    """Return where each sample's events begin, and the end: (batch + 1,), of samples in order."""
    return np.searchsorted(sample, np.arange(batch + 1, dtype=np.int32)).astype(np.int64)


def _sums(n: NDArray[Any], begins: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the sums of n[begins[k]:begins[k + 1]], of all of n in order."""
    sums, some = np.zeros(len(begins) - 1, np.int64), begins[1:] > begins[:-1]
    if some.any():  # what is empty takes no place in n: those that are not lie side by side
        sums[some] = np.add.reduceat(n, begins[:-1][some], dtype=np.int64)
    return sums


_SORT_FROM = 8
"""From so many looks at a synapse on, sorting all and then searching is quicker."""
_LOOKED_AT = 2**20


def _reached(
    c: Projection, row: NDArray[np.int64], left: NDArray[np.int32], unit: NDArray[np.int32]
) -> NDArray[np.int64]:
    """Return how many synapses each event reaches: those of its unit's row with a delay below `left`.

    With the synapses in order of (pre, delay) they are the first of the row, and one binary search an event finds their end.
    """
    longest = int(c.delay.max()) + 1
    key = np.sort(c.pre.astype(np.int64) * (longest + 1) + c.delay)
    end = np.searchsorted(key, unit.astype(np.int64) * (longest + 1) + np.minimum(left, longest))
    return end - row[unit]
