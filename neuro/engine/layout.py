"""Lay a graph out in flat arrays for the kernels, and check every size before a pointer crosses into C++.

What the kernels of both semantics share: units numbered, synapses in rows by sender, input events, spikes out.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from neuro.errors import UnsupportedError
from neuro.graph import Graph

SIZES_OF_NET = ("n_sources", "n_targets", "n_neurons", "n_inputs", "n_slots", "n_populations")
"""The whole numbers that each kernel's structure of a net begins with."""
SPIKES = ("n_spikes", "spike_step", "spike_source")
"""The pointers that each kernel's structure of outputs begins with."""

Field = tuple[str, type, tuple[int, ...]]
"""Name, dtype and shape of an array."""


@dataclass(frozen=True)
class Layout:
    """A graph in flat arrays.

    source, target: first number of each population among the units that send (inputs, then neurons) and that receive
    (neurons, then readouts). receivers: names of the receiving populations, in order. arrays: what the kernel reads, by field
    of its structure.
    """

    source: Mapping[str, int]
    target: Mapping[str, int]
    receivers: tuple[str, ...]
    n_inputs: int
    n_neurons: int
    n_targets: int
    n_slots: int
    arrays: Mapping[str, NDArray[Any]]

    @property
    def n_sources(self) -> int:
        """Return the number of units that send."""
        return self.n_inputs + self.n_neurons

    @property
    def sizes(self) -> tuple[int, ...]:
        """Return the values of SIZES_OF_NET."""
        return (self.n_sources, self.n_targets, self.n_neurons, self.n_inputs, self.n_slots, len(self.receivers))


def lay_out(graph: Graph, arrays: Mapping[str, NDArray[Any]], weights: list[NDArray[Any]]) -> Layout:
    """Number the units of a graph and gather its synapses.

    Parameters: arrays, parameters of the populations; weights, one array a projection, of the dtype that the kernel takes.
    Raises: UnsupportedError if the graph is too large.
    """
    source = _offsets((*graph.inputs, *graph.neurons))
    target = _offsets((*graph.neurons, *graph.readouts))
    receivers = (*graph.neurons, *graph.readouts)
    n_inputs = sum(p.size for p in graph.inputs)
    n_neurons = sum(p.size for p in graph.neurons)
    n_targets = sum(p.size for p in receivers)
    if max(n_inputs + n_neurons, n_targets) >= 2**31:
        raise UnsupportedError(
            f"engine: graph too large (got {n_targets} receiving units; need < 2**31). Split the graph."
        )
    first = np.cumsum([0] + [p.size for p in receivers]).astype(np.int64)
    synapses = _synapses(graph, source, target, n_inputs + n_neurons, weights)
    names = tuple(p.name for p in receivers)
    return Layout(
        source,
        target,
        names,
        n_inputs,
        n_neurons,
        n_targets,
        graph.max_delay + 1,
        {"first": first, **arrays, **synapses},
    )


def _offsets(populations: tuple[Any, ...]) -> dict[str, int]:
    offsets, total = {}, 0
    for p in populations:
        offsets[p.name] = total
        total += p.size
    return offsets


def _synapses(
    graph: Graph, source: Mapping[str, int], target: Mapping[str, int], n_sources: int, weights: list[NDArray[Any]]
) -> dict[str, NDArray[Any]]:
    """Gather all synapses by sender: compressed rows over the sources."""
    empty = np.zeros(0, np.int64)
    pre = np.concatenate([empty] + [c.pre.astype(np.int64) + source[c.source] for c in graph.projections])
    post = np.concatenate([empty] + [c.post.astype(np.int64) + target[c.target] for c in graph.projections])
    delay = np.concatenate([empty] + [c.delay for c in graph.projections])
    order = np.argsort(pre, kind="stable")
    row = np.concatenate([[0], np.cumsum(np.bincount(pre, minlength=n_sources))]).astype(np.int64)
    return {
        "row": row,
        "post": post[order].astype(np.int32),
        "delay": delay[order].astype(np.int32),
        "weight": np.ascontiguousarray(np.concatenate(weights)[order]),
    }


@dataclass(frozen=True)
class State:
    """All that passes from one step to the next, for a batch: arrays by field of the kernel's structure."""

    arrays: Mapping[str, NDArray[Any]]


def zeros(fields: tuple[Field, ...]) -> State:
    """Return a state of arrays of zeros."""
    return State({name: np.zeros(shape, dtype) for name, dtype, shape in fields})


class Signals(NamedTuple):
    """What the inputs send in some steps.

    event_row, (batch * steps + 1,), where the events of each (sample, step) begin in event_source; current, (batch, steps,
    n_currents), values of the sources in current_source.
    """

    event_row: NDArray[np.int64]
    event_source: NDArray[np.int32]
    current_source: NDArray[np.int32]
    current: NDArray[np.float64]


@dataclass(frozen=True)
class Chunk:
    """What some steps gave: spikes as sample, step (from the chunk's start) and source; traces of all targets by state."""

    sample: NDArray[np.int64]
    step: NDArray[np.int32]
    source: NDArray[np.int32]
    traces: Mapping[str, NDArray[Any]]


class SpikeRoom:
    """Room for the spikes of a chunk: the worst case; pages that stay untouched cost nothing."""

    def __init__(self, layout: Layout, batch: int, steps: int) -> None:
        shape = (batch, max(steps * layout.n_neurons, 1))
        self._n = np.zeros(batch, np.int64)
        self._step, self._source = np.empty(shape, np.int32), np.empty(shape, np.int32)

    def pointers(self) -> tuple[int | None, ...]:
        """Return the values of SPIKES."""
        return pointer(self._n), pointer(self._step), pointer(self._source)

    def chunk(self, traces: Mapping[str, NDArray[Any]]) -> Chunk:
        """Return what the kernel has written, beside its traces."""
        filled = [(b, slice(0, int(n))) for b, n in enumerate(self._n)]
        return Chunk(
            sample=np.repeat(np.arange(len(self._n)), self._n),
            step=np.concatenate([self._step[k] for k in filled]),
            source=np.concatenate([self._source[k] for k in filled]),
            traces=traces,
        )


class Kernel(Protocol):
    """What a module that owns a kernel offers: the functions by which the backend runs a graph."""

    COLUMNS: Mapping[str, str]
    """The column of the kernel's state that holds each state of a population."""
    TRACE_BYTES: int
    """Size of a number in a trace."""

    def lay_out(self, graph: Graph) -> Layout: ...

    def zero_state(self, layout: Layout, batch: int) -> State: ...

    def advance(
        self, layout: Layout, state: State, signals: Signals, *, start: int, trace: frozenset[str], n_threads: int
    ) -> Chunk: ...

    def clips(self, layout: Layout, state: State) -> dict[str, dict[str, NDArray[np.int64]]]: ...


def structure(name: str, **fields: tuple[str, ...]) -> type[ctypes.Structure]:
    """Return a C structure: `numbers`, int64, and `pointers`, each a tuple of names, in the order given."""
    kinds = {"numbers": ctypes.c_int64, "pointers": ctypes.c_void_p}
    return type(name, (ctypes.Structure,), {"_fields_": [(f, kinds[k]) for k, names in fields.items() for f in names]})


def pointer(array: NDArray[Any] | None) -> int | None:
    """Return the address of an array, or a null pointer."""
    return None if array is None else array.ctypes.data


# ------------------------------------------------------------------------- checks: a failure is a fault of this package


def check_layout(layout: Layout, fields: tuple[Field, ...], weight: type) -> None:
    """Refuse a layout that would let a kernel read or write beyond an array; fields, the parameters of the populations."""
    x, n_synapses = layout.arrays, len(layout.arrays["post"])
    synapses = (("post", np.int32), ("delay", np.int32), ("weight", weight))
    check_arrays(x, fields)
    check_arrays(x, tuple((name, dtype, (n_synapses,)) for name, dtype in synapses))
    check_arrays(x, (("row", np.int64, (layout.n_sources + 1,)), ("first", np.int64, (len(layout.receivers) + 1,))))
    for name, limit in (("row", n_synapses), ("first", layout.n_targets)):
        assert x[name][0] == 0 and x[name][-1] == limit and (np.diff(x[name]) >= 0).all(), name
    _check_range("post", x["post"], layout.n_targets)
    _check_range("delay", x["delay"], layout.n_slots)


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
    _check_range("event_source", source, layout.n_sources)
    _check_range("current_source", signals.current_source, layout.n_sources)


def check_arrays(arrays: Mapping[str, NDArray[Any]], fields: tuple[Field, ...]) -> None:
    """Refuse an array of another dtype, shape or order."""
    for name, dtype, shape in fields:
        x = arrays[name]
        assert x.dtype == dtype and x.shape == shape and x.flags.c_contiguous, (name, x.dtype, x.shape)


def _check_range(name: str, array: NDArray[Any], limit: int) -> None:
    assert not array.size or (array.min() >= 0 and array.max() < limit), (name, limit)
