"""Offer the golden model as a backend: slow, plain, and by definition right."""

from __future__ import annotations

import time

import numpy as np

from neuro.graph import FLOAT_KINDS, INTEGER, INTEGER_KINDS, Graph, reference, states
from neuro.recording import Events, Recording, make

from .api import Availability, Capabilities, Record, require
from .probe import probe
from .stimulus import Stimulus


class ReferenceBackend:
    """Run graphs with `neuro.graph.reference`."""

    name = "reference"
    capabilities = Capabilities(populations=FLOAT_KINDS | INTEGER_KINDS, semantics=frozenset({"float", "integer"}))

    def compile(self, graph: Graph) -> ReferenceProgram:
        """Prepare a graph; nothing is computed yet."""
        require(self, graph)
        return ReferenceProgram(graph)

    def is_available(self) -> Availability:
        """Run the probe."""
        return probe(self, version=f"numpy {np.__version__}")


class ReferenceProgram:
    """A graph to be run by the golden model."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph

    def run(self, stimulus: Stimulus, record: Record = Record()) -> Recording:  # noqa: B008  (Record is frozen)
        """Run a batch in plain numpy."""
        graph = self._graph
        stimulus.check(graph)
        keep, traced = record.spike_names(graph), record.trace_names(graph)
        start = time.perf_counter()
        inputs = {p.name: stimulus.dense_input(graph, p.name) for p in graph.inputs}
        found = reference.simulate(graph, inputs, shape=(stimulus.batch, stimulus.steps))
        wall = time.perf_counter() - start
        spikes = {p.name: Events.from_dense(found[p.name]["z"]) for p in graph.neurons}
        spikes.update({p.name: stimulus.spikes.get(p.name, Events.none()) for p in graph.inputs})
        return make(
            graph,
            backend="reference",
            versions={"numpy": np.__version__},
            exact=True,
            batch=stimulus.batch,
            steps=stimulus.steps,
            spikes={name: e for name, e in spikes.items() if name not in stimulus.currents},
            currents=stimulus.currents,
            traces={name: {s: found[name][s].astype(np.float64) for s in wanted} for name, wanted in traced.items()},
            saturations={
                p.name: {s: found[p.name][f"clipped {s}"].sum(axis=(1, 2)) for s in states(p) if s != "z"}
                for p in graph.receivers
                if isinstance(p, INTEGER)
            },
            keep=keep,
            wall_time_s=wall,
        )

    def close(self) -> None:
        """Hold nothing, free nothing."""
