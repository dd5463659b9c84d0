"""Carry a call of a kernel across into C++: what goes in and what comes out, each size checked before a pointer crosses.

The structures are those of neuro/kernels/event_driven.h.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from neuro.graph import Graph

from .layout import Layout, State, Wire, check_arrays, check_range, pointer, structure

_Projection = structure(
    "_Projection",
    ("numbers", ("first_source", "n_sources", "first_target", "one_delay")),
    ("pointers", ("row", "split", "post", "place", "delay", "weight", "chunk", "word")),
    ("reals", ("unit",)),
)
_Wiring = structure(
    "_Wiring",
    ("numbers", ("n_inputs", "n_neurons", "n_targets", "n_slots", "n_projections", "n_parts", "bits", "stride")),
    ("pointers", ("projection", "bound")),
)
_Events = structure(
    "_Events",
    ("pointers", ("row", "source")),
    ("numbers", ("n_currents",)),
    ("pointers", ("current_source", "current")),
)
_Trace = structure("_Trace", ("numbers", ("column", "first", "size", "stride")), ("pointers", ("to",)))
_Outputs = structure(
    "_Outputs",
    ("numbers", ("room",)),
    ("pointers", ("n", "source")),
    ("numbers", ("n_traces",)),
    ("pointers", ("trace",)),
)


class Signals(NamedTuple):
    """What the inputs send in some steps.

    event_row, (batch * steps + 1,), where the events of each (sample, step) begin in event_source; current, (batch, steps,
    n_currents), values of the sources in current_source.
    """

    event_row: NDArray[np.int64]
    event_source: NDArray[np.int32]
    current_source: NDArray[np.int32]
    current: NDArray[np.float64]


class Keep(NamedTuple):
    """A state of one population to be kept: the column of the kernel's state, and (batch, steps, size) float64 to write into."""

    population: str
    column: str
    to: NDArray[np.float64]


class Job(NamedTuple):
    """How a call of a kernel runs: the first step; over neurons (every sample by all threads) or over samples; how many."""

    start: int
    over_neurons: bool
    n_threads: int


class Spikes(NamedTuple):
    """What the neurons sent in some steps, sorted by (sample, step, source): step counts from the first of them."""

    sample: NDArray[np.int32]
    step: NDArray[np.int32]
    source: NDArray[np.int32]


class Kernel(Protocol):
    """What a module that owns a kernel offers: the functions by which the backend runs a graph."""

    COLUMNS: Mapping[str, str]
    """The column of the kernel's state that holds each state of a population."""

    def lay_out(self, graph: Graph, n_threads: int) -> Layout: ...

    def zero_state(self, layout: Layout, batch: int) -> State: ...

    def advance(self, layout: Layout, state: State, signals: Signals, keep: Sequence[Keep], job: Job) -> Spikes: ...

    def clips(self, layout: Layout, state: State) -> dict[str, dict[str, NDArray[np.int64]]]: ...


class Call:
    """The arguments that both kernels take, checked, and what they wrote."""

    def __init__(
        self, layout: Layout, columns: Sequence[str], signals: Signals, keep: Sequence[Keep], job: Job
    ) -> None:
        check_signals(layout, signals)
        self._batch, self._steps = signals.current.shape[:2]
        check_job(layout, keep, job, self._batch, self._steps)
        wires = (_Projection * max(len(layout.wires), 1))(*(self._projection(w) for w in layout.wires))
        wiring = _Wiring(
            layout.n_inputs, layout.n_neurons, layout.n_targets, layout.n_slots, len(layout.wires), layout.n_parts,
            *layout.packing, ctypes.addressof(wires), pointer(layout.bound),
        )  # fmt: skip
        events = _Events(
            pointer(signals.event_row), pointer(signals.event_source), signals.current.shape[2],
            pointer(signals.current_source), pointer(signals.current),
        )  # fmt: skip
        room = max(self._steps * layout.n_neurons, 1)  # the worst case; pages that stay untouched cost nothing
        self._n = np.zeros((self._batch, self._steps), np.int64)
        self._source = np.empty((self._batch, room), np.int32)
        traces = (_Trace * max(len(keep), 1))(*(self._trace(layout, columns, k) for k in keep))
        outputs = _Outputs(room, pointer(self._n), pointer(self._source), len(keep), ctypes.addressof(traces))
        self.wiring, self.events, self.outputs = (ctypes.byref(x) for x in (wiring, events, outputs))
        self.sizes = (
            ctypes.c_int64(self._batch), ctypes.c_int64(job.start), ctypes.c_int64(self._steps),
            ctypes.c_int32(job.over_neurons), ctypes.c_int32(job.n_threads),
        )  # fmt: skip
        self._held = (wires, traces)  # the structures hold their addresses only

    @staticmethod
    def _projection(w: Wire) -> Any:
        arrays = (w.row, w.split, w.post, w.place, w.delay, w.weight, *(w.words or (None, None)))
        return _Projection(
            w.first_source, w.n_sources, w.first_target, w.one_delay, *(pointer(x) for x in arrays), w.unit
        )

    @staticmethod
    def _trace(layout: Layout, columns: Sequence[str], k: Keep) -> Any:
        size, stride = k.to.shape[2], k.to.strides[0] // k.to.itemsize
        return _Trace(columns.index(k.column), layout.target[k.population], size, stride, pointer(k.to))

    def spikes(self, failed: int) -> Spikes:
        """Return what the kernel has written. Raises MemoryError if it says that it failed."""
        if failed:
            raise MemoryError("engine: the system gave no memory or no threads for a run")
        totals, batch = self._n.sum(axis=1), np.arange(self._batch, dtype=np.int32)
        steps = np.broadcast_to(np.arange(self._steps, dtype=np.int32), self._n.shape)
        return Spikes(
            sample=np.repeat(batch, totals) if self._batch > 1 else np.zeros(totals[0], np.int32),
            step=np.repeat(steps.ravel(), self._n.ravel()),
            source=np.concatenate([x[:n] for x, n in zip(self._source, totals.tolist(), strict=True)]),
        )


# ------------------------------------------------------------------------- checks: a failure is a fault of this package


def check_signals(layout: Layout, signals: Signals) -> None:
    """Refuse signals that do not fit a layout."""
    batch, steps, n_currents = signals.current.shape
    row, source = signals.event_row, signals.event_source
    check_arrays(
        signals._asdict(),
        (
            ("event_row", np.int64, (batch * steps + 1,)),
            ("event_source", np.int32, source.shape[:1]),
            ("current_source", np.int32, (n_currents,)),
            ("current", np.float64, (batch, steps, n_currents)),
        ),
    )
    assert row[0] == 0 and row[-1] == len(source) and (np.diff(row) >= 0).all(), "event_row"
    check_range("event_source", source, layout.n_sources)
    check_range("current_source", signals.current_source, layout.n_sources)


def check_job(layout: Layout, keep: Sequence[Keep], job: Job, batch: int, steps: int) -> None:
    """Refuse traces without room for every step, and threads without work."""
    assert 1 <= job.n_threads <= 1024 and job.start >= 0 and (not job.over_neurons or layout.n_parts > 1), job
    for k in keep:
        to, at = k.to, layout.target[k.population]
        assert to.dtype == np.float64 and to.ndim == 3 and to.shape[:2] == (batch, steps), (k.population, to.shape)
        assert to.shape[2] <= layout.n_targets - at and to.flags.writeable, (k.population, to.shape)
        assert to[0].flags.c_contiguous and to.strides[0] % to.itemsize == 0, k.population
