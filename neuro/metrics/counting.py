"""Count what a spiking graph did in each sample of its recordings: the workload that energies are estimated from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol, cast

import numpy as np

from neuro.graph import AHP, Graph
from neuro.metrics.groups import Currents, Group, by_unit, grouped, joined, one_each
from neuro.metrics.operations import footprint, neuron_operations, own_spikes, synaptic_operations
from neuro.metrics.routing import Mesh, Placed, routing
from neuro.metrics.updates import updates
from neuro.metrics.workload import Ints, Updates, Workload
from neuro.recording import Recording, spiking


class Learned(Protocol):
    """What a learning run tells of itself (`neuro.backend.Learned` does)."""

    @property
    def n_updates(self) -> Mapping[str, int]:
        """Changes of a synapse's weight, by projection."""
        ...


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
    groups = grouped(graph, recordings, currents)
    n_samples, steps = sum(g.recording.batch for g in groups), groups[0].recording.steps
    spikes = joined([{name: g.recording.counts.spikes[name] for name in spiking(graph)} for g in groups])
    events = joined([_events(graph, g) for g in groups])
    sent = joined([_by_unit(graph, g) for g in groups])
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
        learning_updates=_learning(groups, learned),
        synaptic=synaptic_operations(graph, events, n_samples),
        neuron=neuron_operations(graph, spikes, n_samples, steps),
        dense_mac=np.full(n_samples, graph.n_synapses * steps, np.int64),
        n_parameters=stored.n_parameters,
        parameter_bytes=stored.parameter_bytes,
        state_bytes=stored.state_bytes,
    )


def _events(graph: Graph, g: Group) -> dict[str, Ints]:
    """Return the synaptic events of every projection, and of own spikes those whose arrival, one step later, is in the run."""
    r = g.recording
    stored = {c.name: r.counts.synaptic_events[c.name] for c in graph.projections}
    own = {own_spikes(p): g.sent[p.name].between(0, r.steps - 1).sample for p in graph.neurons if isinstance(p, AHP)}
    return {**stored, **{name: np.bincount(sample, minlength=r.batch) for name, sample in own.items()}}


def _by_unit(graph: Graph, g: Group) -> dict[str, Ints]:
    return {name: by_unit(e, g.recording.batch, graph.population(name).size) for name, e in g.sent.items()}


def _updates(graph: Graph, groups: Sequence[Group]) -> dict[str, Updates]:
    found = [updates(graph, g.sent, g.recording.batch, g.recording.steps) for g in groups]
    active, idle = (
        joined([{name: getattr(u, f) for name, u in part.items()} for part in found]) for f in ("active", "idle")
    )
    return {name: Updates(active=active[name], idle=idle[name]) for name in active}


def _learning(groups: Sequence[Group], learned: Learned | Sequence[Learned] | None) -> dict[str, Ints]:
    """Spread the updates of each learning run over its samples."""
    each = one_each("learning runs", len(groups), learned)
    pairs = zip(each, groups, strict=True) if each else ()
    return joined([{name: _spread(int(n), g.recording.batch) for name, n in x.n_updates.items()} for x, g in pairs])


def _spread(n: int, samples: int) -> Ints:
    """Return n as whole numbers, (samples,), that differ by 1 at most."""
    return np.diff(np.arange(samples + 1, dtype=np.int64) * n // samples)
