"""Count what a spiking graph did in each sample of its recordings: the workload that energies are estimated from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from neuro.errors import DataError
from neuro.graph import AHP, CurrentInput, Graph
from neuro.metrics.operations import footprint, neuron_operations, own_spikes, synaptic_operations
from neuro.metrics.routing import Mesh, Placed, routing
from neuro.metrics.updates import updates
from neuro.metrics.workload import Ints, Updates, Workload
from neuro.recording import Events, Recording, count, spiking

Currents = Mapping[str, NDArray[np.float64]]


class Learned(Protocol):
    """What a learning run tells of itself (`neuro.backend.Learned` does)."""

    @property
    def n_updates(self) -> Mapping[str, int]:
        """Changes of a synapse's weight, by projection."""
        ...


@dataclass(frozen=True)
class _Group:
    """One recording, and the events of every population that sends any."""

    recording: Recording
    sent: Mapping[str, Events]
    events: Mapping[str, Ints]


def workload(
    graph: Graph,
    recordings: Recording | Sequence[Recording],
    *,
    currents: Currents | Sequence[Currents] | None = None,
    learned: Learned | Sequence[Learned] | None = None,
    placed: Placed | None = None,
    mesh: Mesh | None = None,
) -> Workload:
    """Count what a graph did in every sample of one recording, or of several groups of samples.

    All is counted from the graph and the spikes, so that backends whose spikes are equal have equal workloads. Synaptic events of AHP
    neurons are those of stored synapses, and under "NAME (own spikes)" one from each spike to the auxiliary compartment, which is how a
    chip holds it and how `neuro.deploy.placement` counts it. A sample's state before step 0 is zero, and what arrives after the last step
    is not counted.
    Parameters: currents, of a graph with current inputs: (samples, steps, size) by input, for each recording; learned, what
    learning runs on these recordings' stimuli gave: their updates are spread evenly over the samples of each, exact in the sum; placed,
    which core each neuron is on, for the routing; mesh, how a chip lays out its cores, None for a chip that is one tile.
    Raises: DataError if there is no recording or no sample, if recordings are of another graph or differ in length, if spikes of a
    population were not kept, if currents are missing or are not those of the run, or if the placement is of another graph.
    """
    parts = [recordings] if isinstance(recordings, Recording) else list(recordings)
    _check(graph, parts)
    given = _one_each("currents", parts, currents, Mapping)
    groups = [_group(graph, r, given[k] if given else {}) for k, r in enumerate(parts)]
    n_samples, steps = sum(r.batch for r in parts), parts[0].steps
    spikes = _joined([r.counts.spikes for r in parts])
    events = _joined([g.events for g in groups])
    sent = _joined([_by_unit(graph, g) for g in groups])
    stored = footprint(graph)
    return Workload(
        kind="spiking",
        semantics=cast(Literal["float", "integer"], graph.semantics),
        n_samples=n_samples,
        steps=steps,
        dt_ms=graph.dt_ms,
        spikes=spikes,
        spikes_by_unit={name: sent[name] for name in spiking(graph)},
        synaptic_events=events,
        updates=_updates(graph, groups),
        routing=None if placed is None else routing(graph, placed, mesh, sent),
        n_cores=placed.n_cores if placed else 0,
        n_chips=placed.n_chips if placed else 0,
        learning_updates=_learning(parts, learned),
        synaptic=synaptic_operations(graph, events, n_samples),
        neuron=neuron_operations(graph, spikes, n_samples, steps),
        dense_mac=np.full(n_samples, graph.n_synapses * steps, np.int64),
        n_parameters=stored.n_parameters,
        parameter_bytes=stored.parameter_bytes,
        state_bytes=stored.state_bytes,
    )


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


def _one_each(what: str, parts: Sequence[Recording], given: Any, single: type) -> list[Any]:
    """Return what was given for each recording, or nothing."""
    if given is None:
        return []
    each = [given] if isinstance(given, single) or not isinstance(given, Sequence) else list(given)
    if len(each) != len(parts):
        raise DataError(
            f"workload: {what} do not fit the recordings (got {len(each)}; need {len(parts)}). Give one for each recording."
        )
    return each


def _group(graph: Graph, r: Recording, currents: Currents) -> _Group:
    """Take a recording with the events of its current inputs, one a step with u != 0."""
    sent = dict(r.spikes)
    events = {c.name: r.counts.synaptic_events[c.name] for c in graph.projections}
    inputs = [p for p in graph.inputs if isinstance(p, CurrentInput)]
    for p in inputs:
        shape = (r.batch, r.steps, p.size)
        if np.shape(currents.get(p.name, ())) != shape:
            got = f"shape {np.shape(currents[p.name])}" if p.name in currents else "none"
            raise DataError(
                f"workload: currents of '{p.name}' missing (got {got}; need {shape}). Give those of the stimulus: currents=stimulus.currents."
            )
        sent[p.name] = Events.from_dense(np.asarray(currents[p.name]) != 0)
    counted = count(graph, {p.name: sent[p.name] for p in inputs}, {}, r.batch, r.steps).synaptic_events
    for c in graph.projections:
        if any(c.source == p.name for p in inputs) and not np.array_equal(counted[c.name], events[c.name]):
            raise DataError(
                f"workload: currents of '{c.source}' are not those of the run (got {int(counted[c.name].sum())} events in "
                f"'{c.name}'; need {int(events[c.name].sum())}). Give those of the stimulus that was run."
            )
    own = {own_spikes(p): _before_last(sent[p.name], r) for p in graph.neurons if isinstance(p, AHP)}
    return _Group(r, sent, {**events, **own})


def _before_last(e: Events, r: Recording) -> Ints:
    """Count the spikes whose arrival, one step later, is in the run."""
    return np.bincount(e.sample[e.step < r.steps - 1], minlength=r.batch).astype(np.int64)


def _by_unit(graph: Graph, g: _Group) -> dict[str, Ints]:
    """Count what every unit sent, (batch, size) by population and input."""
    found: dict[str, Ints] = {}
    for name, e in g.sent.items():
        size, batch = graph.population(name).size, g.recording.batch
        flat = np.bincount(e.sample.astype(np.int64) * size + e.unit, minlength=batch * size)
        found[name] = flat.astype(np.int64).reshape(batch, size)
    return found


def _updates(graph: Graph, groups: Sequence[_Group]) -> dict[str, Updates]:
    found = [updates(graph, g.sent, g.recording.batch, g.recording.steps) for g in groups]
    return {
        p.name: Updates(
            active=np.concatenate([f[p.name].active for f in found]),
            idle=np.concatenate([f[p.name].idle for f in found]),
        )
        for p in graph.receivers
    }


def _learning(parts: Sequence[Recording], learned: Learned | Sequence[Learned] | None) -> dict[str, Ints]:
    """Spread the updates of each learning run over its samples."""
    each = _one_each("learning runs", parts, learned, Mapping)
    pairs = zip(each, parts, strict=True) if each else ()
    return _joined([{name: _spread(int(n), r.batch) for name, n in x.n_updates.items()} for x, r in pairs])


def _spread(n: int, samples: int) -> Ints:
    """Return n as whole numbers, (samples,), that differ by 1 at most."""
    return np.diff(np.arange(samples + 1, dtype=np.int64) * n // samples)


def _joined(parts: Sequence[Mapping[str, Ints]]) -> dict[str, Ints]:
    """Return arrays of groups of samples as arrays of all samples, by name."""
    return {name: np.concatenate([np.asarray(p[name], np.int64) for p in parts]) for name in parts[0]} if parts else {}
