"""Split the updates of compartments into active and idle ones: those in whose step an event arrived or a spike was sent, and the rest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from neuro.graph import AHP, Graph, Projection, Receiver
from neuro.metrics.workload import Ints, Updates
from neuro.recording import Events

_FLAGS_AT_ONCE = 2**26
"""Bytes of the table (samples, steps, neurons) of one population that is held at once."""
_ARRIVALS_AT_ONCE = 2**16
"""Arrivals that are laid out at once: their places, 8 bytes each, then stay in a core's cache."""


def updates(graph: Graph, sent: Mapping[str, Events], batch: int, steps: int) -> dict[str, Updates]:
    """Count the active and the idle updates of every population of neurons and readouts, per sample.

    A compartment's update of step t is active if an event arrived at it in t, at a stored synapse of any weight, or it spiked in t. The
    auxiliary compartment of an AHP neuron does not spike; one event arrives at it one step after each spike of its neuron.
    Parameters: sent, the events of every population that sends any; of a current input, an event a step with u != 0.
    """
    found = {}
    for p in graph.receivers:
        active = np.concatenate(
            [_active(graph, p, sent, start, stop, steps) for start, stop in _groups(batch, steps * p.size)]
        )
        n = steps * p.size
        if isinstance(p, AHP):
            active, n = active + _auxiliary(sent[p.name], batch, steps), 2 * n
        found[p.name] = Updates(active=active, idle=n - active)
    return found


def _groups(batch: int, bytes_a_sample: int) -> Iterator[tuple[int, int]]:
    """Yield groups of samples as (start, stop), none of more bytes than are held at once."""
    n = max(1, _FLAGS_AT_ONCE // max(bytes_a_sample, 1))
    for start in range(0, batch, n):
        yield start, min(start + n, batch)


def _active(graph: Graph, p: Receiver, sent: Mapping[str, Events], start: int, stop: int, steps: int) -> Ints:
    """Count, in samples start..stop-1, the pairs of neuron and step with an arrival or a spike."""
    flags = np.zeros((stop - start, steps, p.size), np.bool_)
    for c in graph.projections_to(p.name):
        _mark(flags, c, graph.population(c.source).size, sent[c.source].select(start, stop))
    if p.name in sent:
        own = sent[p.name].select(start, stop)
        flags[own.sample, own.step, own.unit] = True
    return np.count_nonzero(flags, axis=(1, 2)).astype(np.int64)


def _mark(flags: NDArray[np.bool_], c: Projection, n_sources: int, e: Events) -> None:
    """Set flags[sample, t + d, post] for every synapse that an event of step t is sent over and reaches before the run ends."""
    steps, size = flags.shape[1:]
    row = c.rows(n_sources)
    flat = flags.reshape(-1)
    place = c.delay.astype(np.int64) * size + c.post  # of an arrival, from the event's own step on
    base = (e.sample.astype(np.int64) * steps + e.step) * size
    end = (e.sample.astype(np.int64) + 1) * (steps * size)
    length = (row[1:] - row[:-1])[e.unit]
    group = np.cumsum(length) // _ARRIVALS_AT_ONCE
    edge = np.searchsorted(group, np.arange(int(group[-1]) + 2 if group.size else 1))
    for low, high in zip(edge[:-1].tolist(), edge[1:].tolist(), strict=True):
        n, first = length[low:high], row[e.unit[low:high]]
        synapse = np.arange(int(n.sum())) + np.repeat(first - np.cumsum(n) + n, n)
        at = place[synapse] + np.repeat(base[low:high], n)
        flat[at[at < np.repeat(end[low:high], n)]] = True


def _auxiliary(own: Events, batch: int, steps: int) -> Ints:
    """Count the updates of auxiliary compartments in which an event arrives: the spikes but those of the last step."""
    return np.bincount(own.sample[own.step < steps - 1], minlength=batch).astype(np.int64)
