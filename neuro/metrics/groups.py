"""Take the recordings of a spiking graph as groups of samples, each with every event that was sent, after checking that they are all there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuro.errors import DataError
from neuro.graph import CurrentInput, Graph
from neuro.metrics.workload import Ints
from neuro.recording import Events, Recording, count, spiking

Currents = Mapping[str, NDArray[np.float64]]


@dataclass(frozen=True)
class Group:
    """One recording, and the events of every population that sends any: spikes, and of a current input the steps with u != 0."""

    recording: Recording
    sent: Mapping[str, Events]


def grouped(
    graph: Graph, recordings: Recording | Sequence[Recording], currents: Currents | Sequence[Currents] | None
) -> list[Group]:
    """Return one recording, or several groups of samples of one graph, with what each sent.

    Parameters: currents, of a graph with current inputs: (samples, steps, size) by input, for each recording.
    Raises: DataError if there is no recording or no sample, if recordings are of another graph or differ in length, if spikes of a
    population were not kept, or if currents are missing or are not those of the run.
    """
    parts = [recordings] if isinstance(recordings, Recording) else list(recordings)
    _check(graph, parts)
    given = one_each("currents", len(parts), currents)
    return [Group(r, {**r.spikes, **_driven(graph, r, given[k] if given else {})}) for k, r in enumerate(parts)]


def one_each(what: str, n: int, given: Any) -> list[Any]:
    """Return what was given for each of n recordings as a list, or an empty one if nothing was given."""
    if given is None:
        return []
    each = list(given) if isinstance(given, Sequence) else [given]
    if len(each) != n:
        raise DataError(
            f"workload: {what} do not fit the recordings (got {len(each)}; need {n}). Give one for each recording."
        )
    return each


def joined(parts: Sequence[Mapping[str, Ints]]) -> dict[str, Ints]:
    """Return arrays of groups of samples as arrays of all samples, by name."""
    return {name: np.concatenate([np.asarray(p[name], np.int64) for p in parts]) for name in parts[0]} if parts else {}


def by_unit(e: Events, batch: int, size: int) -> Ints:
    """Count the events of each unit, (batch, size)."""
    flat = np.bincount(e.sample.astype(np.int64) * size + e.unit, minlength=batch * size)
    return flat.astype(np.int64).reshape(batch, size)


def _check(graph: Graph, parts: Sequence[Recording]) -> None:
    """Raise DataError unless all recordings are of this graph, of one length, with samples, steps and all spikes."""
    if not parts or not all(r.batch and r.steps for r in parts):
        got = "no recording" if not parts else f"{[(r.batch, r.steps) for r in parts]} samples and steps"
        raise DataError(
            f"workload: nothing was recorded (got {got}; need one sample and one step at least). Run the graph."
        )
    for r in parts:
        if r.graph_sha256 != graph.sha256:
            raise DataError(
                f"workload: recording of another graph (got {r.graph_sha256[:12]}; need {graph.sha256[:12]}). Record this graph."
            )
        if r.steps != parts[0].steps:
            raise DataError(
                f"workload: recordings differ in length (got {r.steps} steps; need {parts[0].steps}). Count each by itself."
            )
        missing = [name for name in spiking(graph) if name not in r.spikes]
        if missing:
            raise DataError(
                f"workload: spikes were not kept (got none of {', '.join(missing)}; need those of every population). "
                "Record with Record(spikes=True)."
            )


def _driven(graph: Graph, r: Recording, currents: Currents) -> dict[str, Events]:
    """Return the events of current inputs, checked by the synaptic events that the run counted."""
    sent = {}
    for p in graph.inputs:
        if not isinstance(p, CurrentInput):
            continue
        shape = (r.batch, r.steps, p.size)
        if np.shape(currents.get(p.name, ())) != shape:
            got = f"shape {np.shape(currents[p.name])}" if p.name in currents else "none"
            raise DataError(
                f"workload: currents of '{p.name}' missing (got {got}; need {shape}). Give those of the stimulus: currents=stimulus.currents."
            )
        sent[p.name] = Events.from_dense(np.asarray(currents[p.name]) != 0)
    counted = count(graph, sent, {}, r.batch, r.steps).synaptic_events
    for c in graph.projections:
        n, wanted = counted[c.name], r.counts.synaptic_events[c.name]
        if c.source in sent and not np.array_equal(n, wanted):
            raise DataError(
                f"workload: currents of '{c.source}' are not those of the run (got {int(n.sum())} events in "
                f"'{c.name}'; need {int(wanted.sum())}). Give those of the stimulus that was run."
            )
    return sent
