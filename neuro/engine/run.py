"""Run a laid-out graph, some samples and some steps at a time, until it is done or interrupted."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from types import FrameType
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from neuro.backend import Progress, Stimulus, StimulusStream
from neuro.graph import INTEGER, Graph, SpikeInput, states
from neuro.recording import Counter, Counts, Events, Writer

from .call import Job, Keep, Kernel, Spikes
from .counting import LOOKS
from .inputs import Inputs, Sent
from .layout import Layout, State

Traces = dict[str, dict[str, NDArray[np.float64]]]

_CALL_S = 0.1
"""Time that a call of a kernel shall take: between calls an interrupt is heard and progress is told."""
_FIRST_WORK = 2**26
"""Work of the first call: some 30 ms. Its unit: an update of a neuron, or a step of _SYNAPSES_A_NEURON synapses."""
_SYNAPSES_A_NEURON = 32
"""Synapses whose events, at some 30 Hz, are as much work as one neuron."""
_ROOM_BYTES = 2**28
"""Most memory for the spikes of a call; it is reserved, and only what is written to is used."""
_HELD_BYTES = 2**23
"""Most memory for the inputs and traces of a call, where they are made or written as the run goes on."""


class Sink(Protocol):
    """Where spikes and traces go as a run goes on."""

    def room(self, samples: tuple[int, int], first: int, last: int) -> Traces: ...

    def add(self, spikes: Mapping[str, Events], traces: Traces, n_steps: int) -> None: ...


class Memory:
    """Hold what a run gives."""

    def __init__(
        self, graph: Graph, batch: int, steps: int, keep: tuple[str, ...], traced: Mapping[str, tuple[str, ...]]
    ) -> None:
        self.traces: Traces = {
            name: {s: np.empty((batch, steps, graph.population(name).size)) for s in wanted}
            for name, wanted in traced.items()
        }
        self._spikes: dict[str, list[Events]] = {name: [] for name in keep}

    def room(self, samples: tuple[int, int], first: int, last: int) -> Traces:
        """Return where the traces of some samples and steps are to be written."""
        mine = slice(*samples)
        return {name: {s: x[mine, first:last] for s, x in kept.items()} for name, kept in self.traces.items()}

    def add(self, spikes: Mapping[str, Events], traces: Traces, n_steps: int) -> None:
        """Take the spikes; the traces are in place."""
        for name, found in self._spikes.items():
            found.append(spikes[name])

    def spikes(self, batch: int) -> dict[str, Events]:
        """Return all spikes of the first samples."""
        return {name: Events.join(found or [Events.none()]).select(0, batch) for name, found in self._spikes.items()}


class File:
    """Hand what a run gives to a writer."""

    def __init__(self, writer: Writer, graph: Graph, traced: Mapping[str, tuple[str, ...]]) -> None:
        self._writer, self._graph, self._traced = writer, graph, traced

    def room(self, samples: tuple[int, int], first: int, last: int) -> Traces:
        """Return new arrays."""
        shape = (samples[1] - samples[0], last - first)
        sizes = {name: self._graph.population(name).size for name in self._traced}
        return {name: {s: np.empty((*shape, sizes[name])) for s in wanted} for name, wanted in self._traced.items()}

    def add(self, spikes: Mapping[str, Events], traces: Traces, n_steps: int) -> None:
        """Write all."""
        self._writer.add(spikes, traces, n_steps)


@dataclass(frozen=True)
class Done:
    """How far a run came: samples and steps, what was counted, whether it was interrupted, or an error stopped it."""

    batch: int
    steps: int
    counts: Counts
    interrupted: bool
    error: Exception | None = None


class Run:
    """One run of a graph. step_by_step: all samples together, so that the steps come in order."""

    def __init__(
        self,
        graph: Graph,
        layout: Layout,
        kernel: Kernel,
        stimulus: Stimulus | StimulusStream,
        n_threads: int,
        progress: Progress | None,
        step_by_step: bool = False,
    ) -> None:
        self.graph, self.layout, self.kernel = graph, layout, kernel
        self.inputs = Inputs(graph, layout, stimulus)
        self._batch, self.steps, self.n_threads = stimulus.batch, stimulus.steps, n_threads
        self._progress = progress
        self._together = step_by_step or isinstance(stimulus, StimulusStream)
        self._n_traced = 0
        self.rows = _rows(graph, layout)
        self._step_work = layout.n_targets + graph.n_synapses // _SYNAPSES_A_NEURON + 1
        self._work = _FIRST_WORK

    def until_done(self, sink: Sink) -> Done:
        """Run all samples; stop early, between two calls of the kernel, at an interrupt or an error.

        Raises: whatever stopped the run before it had anything to show.
        """
        counted: list[Counts] = []
        batch = steps = 0
        stopped: Exception | KeyboardInterrupt | None = None
        one_step = sink.room((0, 1), 0, 1)
        self._n_traced = sum(x.size for kept in one_step.values() for x in kept.values())
        with _interrupts() as pending:
            while batch < self._batch and stopped is None:
                samples, over_neurons = self._next_samples(batch)
                group = _Group(self, samples, over_neurons)
                stopped = group.run(sink, pending)
                if stopped is None or (batch == 0 and group.steps):
                    batch, steps = samples[1], group.steps
                    counted.append(group.counts())
        if stopped is None and pending.raised:
            stopped = (
                KeyboardInterrupt()
            )  # it came in the last call: whoever runs again and again has to hear of it, too
        if stopped is not None and not counted:
            raise stopped
        error = stopped if isinstance(stopped, Exception) else None
        return Done(batch, steps, Counts.join(counted), stopped is not None, error)

    def _next_samples(self, first: int) -> tuple[tuple[int, int], bool]:
        """Choose the samples that run next, and whether over neurons, one after the other by all threads.

        Samples run side by side, a thread each, as long as there are as many as threads; those that remain run over neurons where
        that keeps more threads busy. A stream is not cut.
        """
        left = self._batch - first
        remain = self._batch % self.n_threads
        over_neurons = self.layout.n_parts > remain > 0 and left == remain
        if self._together:
            return (0, self._batch), self.layout.n_parts > min(self._batch, self.n_threads)
        if over_neurons:
            return (first, self._batch), True
        side = left - remain if self.layout.n_parts > remain else left
        n = max(self.n_threads, self._work // max(self.steps, 1) // self._step_work)
        return (first, first + min(n, side)), False

    def n_steps(self, n_samples: int) -> int:
        """Return how many steps of some samples a call of the kernel shall take."""
        room = _ROOM_BYTES // (8 * n_samples * max(self.layout.n_neurons, 1))
        if self._together:
            room = min(room, _HELD_BYTES // (8 * n_samples * (self.layout.n_inputs + self._n_traced + 1)))
        return max(1, min(room, self._work // (n_samples * self._step_work)))

    def took(self, seconds: float) -> None:
        """Take more work a call, or less, as the last one was short or long."""
        self._work = max(1, int(self._work * min(4.0, max(0.25, _CALL_S / max(seconds, 1e-6)))))

    def tell(self, samples: tuple[int, int], steps: int) -> None:
        if self._progress:
            done = samples[0] * self.steps + (samples[1] - samples[0]) * steps
            self._progress(done // self._batch, self.steps, "engine")


class _Group:
    """Samples that run together from step 0."""

    def __init__(self, run: Run, samples: tuple[int, int], over_neurons: bool) -> None:
        self._run, self._samples, self._over_neurons = run, samples, over_neurons
        n = samples[1] - samples[0]
        self._state: State = run.kernel.zero_state(run.layout, n)
        self._counter = Counter(run.graph, n, run.rows, run.layout.n_slots - 1, LOOKS)
        self.steps = 0

    def run(self, sink: Sink, pending: _Pending) -> Exception | KeyboardInterrupt | None:
        """Advance to the end; return what stopped it, or None."""
        run = self._run
        try:
            while self.steps < run.steps:
                pending.check()
                last = min(self.steps + run.n_steps(self._samples[1] - self._samples[0]), run.steps)
                self._advance(sink, last)
                self.steps = last
                run.tell(self._samples, last)
        except (Exception, KeyboardInterrupt) as stop:
            if pending.again:
                raise
            return stop
        return None

    def _advance(self, sink: Sink, last: int) -> None:
        run, first, samples = self._run, self.steps, self._samples
        sent = run.inputs.part(samples, first, last)
        traces = sink.room(samples, first, last)
        columns = run.kernel.COLUMNS
        keep = [Keep(name, columns[s], x) for name, kept in traces.items() for s, x in kept.items()]
        n_threads = run.n_threads if self._over_neurons else min(run.n_threads, samples[1] - samples[0])
        began = time.perf_counter()
        found = run.kernel.advance(
            run.layout, self._state, sent.signals, keep, Job(first, self._over_neurons, n_threads)
        )
        run.took(time.perf_counter() - began)
        spikes = _by_population(run.graph, run.layout, found, sent, first)
        self._counter.add(spikes, sent.currents, first)
        sink.add({name: e.shifted(samples[0], 0) for name, e in spikes.items()}, traces, last - first)

    def counts(self) -> Counts:
        """Return what was counted up to the last step done."""
        clips, columns = self._run.kernel.clips(self._run.layout, self._state), self._run.kernel.COLUMNS
        integer = [p for p in self._run.graph.receivers if isinstance(p, INTEGER)]
        found = {p.name: {s: clips[p.name][columns[s]] for s in states(p) if s != "z"} for p in integer}
        return replace(self._counter.finish(self.steps), saturations=found)


def _rows(graph: Graph, layout: Layout) -> dict[str, NDArray[np.int64]]:
    """Return the rows of each projection, as the layout has found them."""
    found: dict[int, NDArray[np.int64]] = {w.post.ctypes.data: w.row for w in layout.wires if len(w.post)}
    return {c.name: found[c.post.ctypes.data] for c in graph.projections if c.size}


def _by_population(graph: Graph, layout: Layout, found: Spikes, sent: Sent, first: int) -> dict[str, Events]:
    """Return the spikes of inputs and neurons, steps counted from the begin of the run."""
    spikes = {p.name: sent.spikes[p.name].shifted(0, first) for p in graph.inputs if isinstance(p, SpikeInput)}
    step = found.step + np.int32(first) if first else found.step
    for p in graph.neurons:
        at = layout.source[p.name]
        if p.size == layout.n_neurons:
            unit = found.source - np.int32(at) if at else found.source
            spikes[p.name] = Events.in_order(found.sample, step, unit)
            continue
        mine = (found.source >= at) & (found.source < at + p.size)
        spikes[p.name] = Events.in_order(found.sample[mine], step[mine], found.source[mine] - np.int32(at))
    return spikes


class _Pending:
    """An interrupt that waits to be heard."""

    def __init__(self) -> None:
        self.raised = self.again = False

    def check(self) -> None:
        """Raise KeyboardInterrupt if one came."""
        if self.raised:
            raise KeyboardInterrupt


@contextmanager
def _interrupts() -> Iterator[_Pending]:
    """Hold Ctrl-C back until what is recorded is whole; a second one is not held back.

    Only where Python would raise KeyboardInterrupt: in the main thread, and where nobody else handles the signal.
    """
    pending = _Pending()

    def note(number: int, frame: FrameType | None) -> Any:
        pending.raised, pending.again = True, pending.raised
        if pending.again:
            raise KeyboardInterrupt

    ours = threading.current_thread() is threading.main_thread()
    if not ours or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield pending
        return
    signal.signal(signal.SIGINT, note)
    try:
        yield pending
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
