"""Offer the embedded simulator as a backend: event-driven, parallel over samples, equal to the golden model."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuro import kernels
from neuro.backend import Availability, Capabilities, Progress, Record, Stimulus, probe, require
from neuro.errors import UnsupportedError
from neuro.graph import FLOAT_KINDS, INTEGER, INTEGER_KINDS, CurrentInput, Graph, SpikeInput, states
from neuro.recording import Events, Recording, make

from . import integer_kernel, kernel
from .layout import Chunk, Kernel, Layout, Signals, State

_KERNELS: Mapping[str, Kernel] = {"float": kernel, "integer": integer_kernel}
"""Who runs a graph, by its semantics."""

_CHUNK_BYTES = 2**24
"""Most memory that the kernel's outputs of one chunk of steps may reserve: little enough to be used again from chunk to chunk."""


class EngineBackend:
    """Run graphs of the float and of the integer semantics on the CPU.

    Parameters: n_threads, threads over the samples of a batch (default: all cores); progress, called after each chunk of
    steps with (steps done, steps, "engine").
    """

    name = "engine"
    capabilities = Capabilities(populations=FLOAT_KINDS | INTEGER_KINDS, semantics=frozenset({"float", "integer"}))

    def __init__(self, *, n_threads: int | None = None, progress: Progress | None = None) -> None:
        if n_threads is not None and (isinstance(n_threads, bool) or not 1 <= n_threads <= 1024):
            raise UnsupportedError(
                f"backend 'engine': n_threads out of range (got {n_threads}; need 1..1024). Choose fewer."
            )
        self._n_threads = n_threads or _cores()
        self._progress = progress

    def compile(self, graph: Graph) -> EngineProgram:
        """Lay the graph out for the kernel. Raises UnsupportedError if the kernels are not built."""
        require(self, graph)
        kernels.library()
        return EngineProgram(graph, self._n_threads, self._progress)

    def is_available(self) -> Availability:
        """Run the probe."""
        return probe(self, version=_version())


class EngineProgram:
    """A graph in the kernel's layout; each run starts from zero state."""

    def __init__(self, graph: Graph, n_threads: int, progress: Progress | None) -> None:
        self._graph, self._kernel = graph, _KERNELS[graph.semantics]
        self._layout = self._kernel.lay_out(graph)
        self._n_threads, self._progress = n_threads, progress

    def run(self, stimulus: Stimulus, record: Record = Record()) -> Recording:  # noqa: B008  (Record is frozen)
        """Run a batch, chunk by chunk of steps; see `neuro.backend.Program`."""
        graph = self._graph
        stimulus.check(graph)
        keep, traced = record.spike_names(graph), record.trace_names(graph)
        traces: dict[str, dict[str, NDArray[np.float64]]] = {
            name: {s: np.empty((stimulus.batch, stimulus.steps, graph.population(name).size)) for s in wanted}
            for name, wanted in traced.items()
        }
        start = time.perf_counter()
        state = self._kernel.zero_state(self._layout, stimulus.batch)
        spikes = self._simulate(stimulus, state, traces)
        wall = time.perf_counter() - start
        return make(
            graph,
            backend="engine",
            versions={"neuro": _version(), "numpy": np.__version__},
            exact=True,
            batch=stimulus.batch,
            steps=stimulus.steps,
            spikes=spikes,
            currents=stimulus.currents,
            traces=traces,
            saturations=self._saturations(state),
            keep=keep,
            wall_time_s=wall,
        )

    def close(self) -> None:
        """Hold nothing, free nothing."""

    def _simulate(self, stimulus: Stimulus, state: State, traces: Mapping[str, dict[str, Any]]) -> dict[str, Events]:
        layout, steps, batch = self._layout, stimulus.steps, stimulus.batch
        trace = frozenset(self._kernel.COLUMNS[s] for wanted in traces.values() for s in wanted)
        cells, sources = _events(layout, stimulus)
        current_source, current = _currents(self._graph, layout, stimulus)
        a_step = batch * (8 * layout.n_neurons + self._kernel.TRACE_BYTES * layout.n_targets * len(trace))
        length = max(1, min(steps, _CHUNK_BYTES // max(a_step, 1)))
        found = []
        for first in range(0, steps, length):
            last = min(first + length, steps)
            events = _part(cells, sources, first, last, steps, batch)
            signals = Signals(*events, current_source, np.ascontiguousarray(current[:, first:last]))
            n_threads = min(self._n_threads, batch)
            chunk = self._kernel.advance(layout, state, signals, start=first, trace=trace, n_threads=n_threads)
            self._keep(traces, chunk, first, last)
            found.append((chunk.sample, chunk.step + first, chunk.source))
            if self._progress:
                self._progress(last, steps, "engine")
        sample, step, source = (np.concatenate([part[k] for part in found]) for k in range(3))
        return self._by_population(stimulus, sample, step, source)

    def _keep(self, traces: Mapping[str, dict[str, Any]], chunk: Chunk, first: int, last: int) -> None:
        for name, wanted in traces.items():
            at = self._layout.target[name]
            for s, values in wanted.items():
                whole = chunk.traces[self._kernel.COLUMNS[s]]
                values[:, first:last] = whole[:, :, at : at + values.shape[2]]

    def _saturations(self, state: State) -> dict[str, dict[str, NDArray[np.int64]]]:
        clips, columns = self._kernel.clips(self._layout, state), self._kernel.COLUMNS
        integer = [p for p in self._graph.receivers if isinstance(p, INTEGER)]
        return {p.name: {s: clips[p.name][columns[s]] for s in states(p) if s != "z"} for p in integer}

    def _by_population(self, stimulus: Stimulus, sample: Any, step: Any, source: Any) -> dict[str, Events]:
        spikes = {
            p.name: stimulus.spikes.get(p.name, Events.none()) for p in self._graph.inputs if isinstance(p, SpikeInput)
        }
        for p in self._graph.neurons:
            at = self._layout.source[p.name]
            mine = (source >= at) & (source < at + p.size)
            spikes[p.name] = Events(sample[mine].astype(np.int32), step[mine], source[mine] - np.int32(at))
        return spikes


def _events(layout: Layout, stimulus: Stimulus) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Return all input spikes sorted by (sample, step), and the cell sample * steps + step of each."""
    cells: list[NDArray[np.int64]] = [np.zeros(0, np.int64)]
    sources: list[NDArray[np.int32]] = [np.zeros(0, np.int32)]
    for name, e in stimulus.spikes.items():
        cells.append(e.sample.astype(np.int64) * stimulus.steps + e.step)
        sources.append(e.unit + np.int32(layout.source[name]))
    cell, source = np.concatenate(cells), np.concatenate(sources)
    order = np.argsort(cell, kind="stable")
    return cell[order], source[order]


def _part(
    cell: NDArray[np.int64], source: NDArray[np.int32], first: int, last: int, steps: int, batch: int
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Return the events of steps first..last-1 as rows over (sample, step) and sources."""
    sample, step = np.divmod(cell, steps)
    here = (step >= first) & (step < last)
    n_cells = batch * (last - first)
    per_cell = np.bincount(sample[here] * (last - first) + (step[here] - first), minlength=n_cells)
    return np.concatenate([[0], np.cumsum(per_cell)]).astype(np.int64), np.ascontiguousarray(source[here])


def _currents(graph: Graph, layout: Layout, stimulus: Stimulus) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """Return the channels of all current inputs side by side, and the number of each among the sources."""
    inputs = [p for p in graph.inputs if isinstance(p, CurrentInput)]
    sources = [np.arange(p.size, dtype=np.int32) + np.int32(layout.source[p.name]) for p in inputs]
    values = [stimulus.currents[p.name] for p in inputs]
    empty = np.zeros((stimulus.batch, stimulus.steps, 0))
    return np.concatenate([np.zeros(0, np.int32), *sources]), np.concatenate([empty, *values], axis=2)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("neuro")
    except PackageNotFoundError:
        return "unknown"
