"""Offer the embedded simulator as a backend: event-driven, on all cores, equal to the golden model."""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from neuro import kernels
from neuro.backend import (
    Availability,
    Capabilities,
    Progress,
    Record,
    RunInterrupted,
    Stimulus,
    StimulusStream,
    probe,
    require,
)
from neuro.errors import UnsupportedError
from neuro.graph import FLOAT_KINDS, INTEGER_KINDS, Graph
from neuro.recording import Events, Recording, make, writing

from . import integer_kernel, kernel
from .call import Kernel
from .run import Done, File, Memory, Run, Traces

_KERNELS: Mapping[str, Kernel] = {"float": kernel, "integer": integer_kernel}
"""Who runs a graph, by its semantics."""


class EngineBackend:
    """Run graphs of the float and of the integer semantics on the CPU.

    Parameters: n_threads, threads to use (default: all cores), over the samples of a batch, and over the neurons of one sample
    where samples are fewer than threads and each thread gets at least 2048 neurons; the result does not depend on them. progress,
    called some ten times a second with (steps done, steps, "engine").
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
    """A graph laid out for a kernel; each run starts from zero state."""

    def __init__(self, graph: Graph, n_threads: int, progress: Progress | None) -> None:
        self._graph, self._kernel = graph, _KERNELS[graph.semantics]
        self._layout = self._kernel.lay_out(graph, n_threads)
        self._n_threads, self._progress = n_threads, progress

    def run(self, stimulus: Stimulus | StimulusStream, record: Record = Record()) -> Recording:  # noqa: B008  (Record is frozen)
        """Run a batch; see `neuro.backend.StreamingProgram`.

        Raises: DataError for a stimulus or record that does not fit; RunInterrupted, with what was recorded, at Ctrl-C.
        """
        graph = self._graph
        keep, traced = record.spike_names(graph), record.trace_names(graph)
        run = self._new_run(stimulus)
        memory = Memory(graph, stimulus.batch, stimulus.steps, keep, traced)
        start = time.perf_counter()
        done = run.until_done(memory)
        wall = time.perf_counter() - start
        if done.error is not None:
            raise done.error
        traces = memory.traces
        if done.interrupted:
            traces = {p: {s: x[: done.batch, : done.steps] for s, x in kept.items()} for p, kept in traces.items()}
        return _told(self._recording(done, memory.spikes(done.batch), traces, wall))

    def run_to(
        self,
        path: str | Path,
        stimulus: Stimulus | StimulusStream,
        record: Record = Record(),  # noqa: B008  (Record is frozen)
    ) -> Recording:
        """Run a batch and write its recording as it goes on; see `neuro.backend.StreamingProgram`.

        Raises: as `run`; a stimulus stream that fails on its way leaves the file with what was recorded before.
        """
        graph = self._graph
        keep, traced = record.spike_names(graph), record.trace_names(graph)
        run = self._new_run(stimulus, step_by_step=True)
        with writing(path, graph, stimulus.batch, keep, traced) as writer:
            start = time.perf_counter()
            done = run.until_done(File(writer, graph, traced))
            recording = self._recording(done, {}, {}, time.perf_counter() - start)
            writer.finish(recording)
        if done.error is not None:
            raise done.error
        return _told(recording)

    def close(self) -> None:
        """Hold nothing, free nothing."""

    def _new_run(self, stimulus: Stimulus | StimulusStream, step_by_step: bool = False) -> Run:
        graph, layout, kernel = self._graph, self._layout, self._kernel
        return Run(graph, layout, kernel, stimulus, self._n_threads, self._progress, step_by_step)

    def _recording(self, done: Done, spikes: Mapping[str, Events], traces: Traces, wall: float) -> Recording:
        return make(
            self._graph,
            backend="engine",
            versions={"neuro": _version(), "numpy": np.__version__},
            exact=True,
            batch=done.batch,
            steps=done.steps,
            spikes=spikes,
            currents={},
            traces=traces,
            counts=done.counts,
            saturations=done.counts.saturations,
            keep=tuple(spikes),
            wall_time_s=wall,
            interrupted=done.interrupted,
        )


def _told(recording: Recording) -> Recording:
    """Return a recording of a whole run. Raises RunInterrupted with any other."""
    if recording.interrupted:
        raise RunInterrupted(recording)
    return recording


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@functools.cache
def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("neuro")
    except PackageNotFoundError:
        return "unknown"
