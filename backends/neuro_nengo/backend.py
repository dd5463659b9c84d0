"""Offer Nengo as a backend."""

from __future__ import annotations

from importlib import metadata

import numpy as np

from neuro.backend import Availability, Capabilities, Progress, Record, Stimulus, ieee_doubles, probe, require
from neuro.errors import UnsupportedError
from neuro.graph import Graph, SpikeInput
from neuro.recording import Events, Recording, make

from . import session
from .simulation import Output, simulate


class NengoBackend:
    """Run graphs of the float semantics on Nengo's reference simulator, the samples of a batch side by side, bit for bit.

    Parameters: memory_bytes, a larger batch is simulated in parts that need about this much; progress, called with (steps
    done, steps, "nengo") twice a second. Nengo's settings and networks are as before after every call.
    Raises: UnsupportedError for an option out of range.
    """

    name = "nengo"
    capabilities = Capabilities()

    def __init__(self, *, memory_bytes: int = 2**30, progress: Progress | None = None) -> None:
        if isinstance(memory_bytes, bool) or not isinstance(memory_bytes, int) or memory_bytes < 1:
            raise UnsupportedError(
                f"backend 'nengo': memory_bytes out of range (got {memory_bytes!r}; need a whole number >= 1). Give one."
            )
        self._memory, self._progress = memory_bytes, progress

    def compile(self, graph: Graph) -> NengoProgram:
        """Prepare a graph; its network is built for the samples of each run. Raises UnsupportedError if nengo is missing."""
        require(self, graph)
        session.load()
        return NengoProgram(graph, self._memory, self._progress)

    def is_available(self) -> Availability:
        """Run the probe."""
        return probe(self, version=_version("nengo"))


class NengoProgram:
    """A graph on Nengo; each run starts from zero state."""

    def __init__(self, graph: Graph, memory_bytes: int, progress: Progress | None) -> None:
        self._graph, self._memory, self._progress = graph, memory_bytes, progress
        self._closed = False

    def run(self, stimulus: Stimulus, record: Record = Record()) -> Recording:  # noqa: B008  (Record is frozen)
        """Run a batch, in parts if it is large; see `neuro.backend.Program`."""
        if self._closed:
            raise UnsupportedError(
                "backend 'nengo': the program is closed (got a run; need an open one). Compile again."
            )
        graph = self._graph
        stimulus.check(graph)
        keep, traces = record.spike_names(graph), record.trace_names(graph)
        found = self._simulate(stimulus, Record(traces=traces))
        inputs = {p.name: stimulus.spikes.get(p.name, Events.none()) for p in graph.inputs if isinstance(p, SpikeInput)}
        return make(
            graph,
            backend="nengo",
            versions={"nengo": _version("nengo"), "scipy": _version("scipy"), "numpy": np.__version__},
            exact=True,
            batch=stimulus.batch,
            steps=stimulus.steps,
            spikes={**inputs, **found.spikes},
            currents=stimulus.currents,
            traces=found.traces,
            keep=keep,
            wall_time_s=found.seconds,
        )

    def close(self) -> None:
        """Hold nothing, free nothing; a closed program cannot run."""
        self._closed = True

    def _simulate(self, stimulus: Stimulus, record: Record) -> Output:
        with ieee_doubles("nengo", "isolated=True"):
            return simulate(self._graph, stimulus, record, self._memory, self._progress)


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"
