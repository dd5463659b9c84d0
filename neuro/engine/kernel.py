"""Own the simulation kernel: lay a graph out in flat arrays, check every size, and cross into C++.

The C structures are those of neuro/kernels/simulate.cpp; its twin in numpy is `neuro.graph.reference`.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuro import kernels
from neuro.errors import UnsupportedError
from neuro.graph import ALIF, LI, LIF, Graph

_RESET_CODE = {"threshold": 0, "adaptive": 1, "zero": 2}
_READOUT_CODE = 3


_POINTERS_OF_NET = ("kind", "first", "row", "post", "delay", "weight", "bias", "leak", "v_th", "rho", "beta", "n_ref")
_STATE = ("v", "a", "r", "z", "wait", "ring")


class _Net(ctypes.Structure):
    _fields_ = [(k, ctypes.c_int64) for k in ("n_sources", "n_targets", "n_neurons", "n_inputs", "n_slots", "n_populations")] + [
        (k, ctypes.c_void_p) for k in _POINTERS_OF_NET
    ]  # fmt: skip


class _State(ctypes.Structure):
    _fields_ = [(k, ctypes.c_void_p) for k in _STATE]


class _Signals(ctypes.Structure):
    _fields_ = [
        ("event_row", ctypes.c_void_p),
        ("event_source", ctypes.c_void_p),
        ("n_currents", ctypes.c_int64),
        ("current_source", ctypes.c_void_p),
        ("current", ctypes.c_void_p),
    ]


class _Trace(ctypes.Structure):
    _fields_ = [(k, ctypes.c_void_p) for k in ("n_spikes", "spike_step", "spike_source", "v", "a")]


@dataclass(frozen=True)
class Layout:
    """A graph in flat arrays.

    source, target: first number of each population among the units that send (inputs, then neurons) and that receive
    (neurons, then readouts). arrays: what the kernel reads, by field of its structure.
    """

    source: Mapping[str, int]
    target: Mapping[str, int]
    n_inputs: int
    n_neurons: int
    n_targets: int
    n_slots: int
    arrays: Mapping[str, NDArray[Any]]


def lay_out(graph: Graph) -> Layout:
    """Number the units of a graph and gather its parameters and synapses. Raises UnsupportedError if it is too large."""
    source = _offsets((*graph.inputs, *graph.neurons))
    target = _offsets((*graph.neurons, *graph.readouts))
    n_inputs = sum(p.size for p in graph.inputs)
    n_neurons = sum(p.size for p in graph.neurons)
    receivers = (*graph.neurons, *graph.readouts)
    n_targets = sum(p.size for p in receivers)
    if max(n_inputs + n_neurons, n_targets) >= 2**31:
        raise UnsupportedError(
            f"engine: graph too large (got {n_targets} receiving units; need < 2**31). Split the graph."
        )
    arrays: dict[str, NDArray[Any]] = {
        "kind": np.array([_code(p) for p in receivers], dtype=np.int32),
        "first": np.cumsum([0] + [p.size for p in receivers]).astype(np.int64),
        **_parameters(receivers),
        **_synapses(graph, source, target, n_inputs + n_neurons),
    }
    layout = Layout(source, target, n_inputs, n_neurons, n_targets, graph.max_delay + 1, arrays)
    _check_layout(layout)
    return layout


def _offsets(populations: tuple[Any, ...]) -> dict[str, int]:
    offsets, total = {}, 0
    for p in populations:
        offsets[p.name] = total
        total += p.size
    return offsets


def _code(p: Any) -> int:
    return _READOUT_CODE if isinstance(p, LI) else _RESET_CODE[p.reset]


def _parameters(receivers: tuple[Any, ...]) -> dict[str, NDArray[Any]]:
    columns: dict[str, list[NDArray[Any]]] = {k: [] for k in ("bias", "leak", "v_th", "rho", "beta", "n_ref")}
    for p in receivers:
        nothing = np.zeros(p.size)
        columns["bias"].append(p.bias)
        columns["leak"].append(p.kappa if isinstance(p, LI) else p.alpha)
        columns["v_th"].append(p.v_th if isinstance(p, LIF) else nothing)
        columns["rho"].append(p.rho if isinstance(p, ALIF) else nothing)
        columns["beta"].append(p.beta if isinstance(p, ALIF) else nothing)
        columns["n_ref"].append(p.n_ref if isinstance(p, LIF) else nothing)
    return {
        k: np.concatenate([*v, np.zeros(0)]).astype(np.int32 if k == "n_ref" else np.float64)
        for k, v in columns.items()
    }


def _synapses(
    graph: Graph, source: Mapping[str, int], target: Mapping[str, int], n_sources: int
) -> dict[str, NDArray[Any]]:
    """Gather all synapses by sender: compressed rows over the sources."""
    empty = np.zeros(0, np.int64)
    pre = np.concatenate([empty] + [c.pre.astype(np.int64) + source[c.source] for c in graph.projections])
    post = np.concatenate([empty] + [c.post.astype(np.int64) + target[c.target] for c in graph.projections])
    delay = np.concatenate([empty.astype(np.int32)] + [c.delay for c in graph.projections])
    weight = np.concatenate([np.zeros(0)] + [c.weight for c in graph.projections])
    order = np.argsort(pre, kind="stable")
    row = np.concatenate([[0], np.cumsum(np.bincount(pre, minlength=n_sources))]).astype(np.int64)
    return {
        "row": row,
        "post": post[order].astype(np.int32),
        "delay": delay[order].astype(np.int32),
        "weight": np.ascontiguousarray(weight[order], dtype=np.float64),
    }


@dataclass(frozen=True)
class State:
    """All that passes from one step to the next, for a batch: arrays by field of the kernel's structure."""

    arrays: Mapping[str, NDArray[Any]]


def zero_state(layout: Layout, batch: int) -> State:
    """Return the state before step 0."""
    shape = (batch, layout.n_targets)
    arrays: dict[str, NDArray[Any]] = {k: np.zeros(shape) for k in ("v", "a", "r")}
    arrays["z"] = np.zeros(shape, np.uint8)
    arrays["wait"] = np.zeros(shape, np.int32)
    arrays["ring"] = np.zeros((batch, layout.n_slots, layout.n_targets))
    return State(arrays)


@dataclass(frozen=True)
class Chunk:
    """What some steps gave: spikes as sample, step (from the chunk's start) and source, and traces of all targets or None."""

    sample: NDArray[np.int64]
    step: NDArray[np.int32]
    source: NDArray[np.int32]
    v: NDArray[np.float64] | None
    a: NDArray[np.float64] | None


def advance(
    layout: Layout,
    state: State,
    event_row: NDArray[np.int64],
    event_source: NDArray[np.int32],
    current_source: NDArray[np.int32],
    current: NDArray[np.float64],
    *,
    start: int,
    trace: tuple[bool, bool],
    n_threads: int,
) -> Chunk:
    """Advance a batch from step `start`; the state's arrays are written in place, the one exception the kernel makes.

    Parameters: event_row, (batch * steps + 1,), where the events of each (sample, step) begin in event_source; current,
    (batch, steps, n_currents), values of the sources in current_source; trace, whether to keep v and a.
    """
    batch, steps = current.shape[:2]
    _check_call(layout, state, event_row, event_source, current_source, current)
    shape = (batch, steps, layout.n_targets)
    v, a = (np.empty(shape) if wanted else None for wanted in trace)
    n_spikes = np.zeros(batch, np.int64)
    room = (batch, max(steps * layout.n_neurons, 1))  # the worst case; pages that stay untouched cost nothing
    spike_step, spike_source = np.empty(room, np.int32), np.empty(room, np.int32)
    sizes = (layout.n_inputs + layout.n_neurons, layout.n_targets, layout.n_neurons, layout.n_inputs, layout.n_slots)
    pointers = [_pointer(layout.arrays[k]) for k in _POINTERS_OF_NET]
    net = _Net(*sizes, len(layout.arrays["kind"]), *pointers)
    cells = _State(*(_pointer(state.arrays[k]) for k in _STATE))
    signals = _Signals(
        _pointer(event_row), _pointer(event_source), current.shape[2], _pointer(current_source), _pointer(current)
    )
    out = _Trace(_pointer(n_spikes), _pointer(spike_step), _pointer(spike_source), _pointer(v), _pointer(a))
    kernels.library().neuro_advance(
        ctypes.byref(net), ctypes.byref(cells), ctypes.byref(signals), ctypes.byref(out),
        ctypes.c_int64(batch), ctypes.c_int64(start), ctypes.c_int64(steps), ctypes.c_int32(n_threads),
    )  # fmt: skip
    filled = [slice(0, int(n)) for n in n_spikes]
    return Chunk(
        sample=np.repeat(np.arange(batch), n_spikes),
        step=np.concatenate([spike_step[b, k] for b, k in enumerate(filled)]),
        source=np.concatenate([spike_source[b, k] for b, k in enumerate(filled)]),
        v=v,
        a=a,
    )


def _pointer(array: NDArray[Any] | None) -> int | None:
    return None if array is None else array.ctypes.data


def _check_layout(layout: Layout) -> None:
    """Refuse a layout that would let the kernel read or write beyond an array; a failure is a fault of this package."""
    x, n_sources, n_targets = layout.arrays, layout.n_inputs + layout.n_neurons, layout.n_targets
    n_synapses, n_populations = len(x["post"]), len(x["kind"])
    for name, dtype, n in (
        *((k, np.float64, n_targets) for k in ("bias", "leak", "v_th", "rho", "beta")),
        ("n_ref", np.int32, n_targets),
        ("row", np.int64, n_sources + 1),
        ("post", np.int32, n_synapses),
        ("delay", np.int32, n_synapses),
        ("weight", np.float64, n_synapses),
        ("kind", np.int32, n_populations),
        ("first", np.int64, n_populations + 1),
    ):
        _check_array(name, x[name], dtype, (n,))
    for name, limit in (("row", n_synapses), ("first", n_targets)):
        assert x[name][0] == 0 and x[name][-1] == limit and (np.diff(x[name]) >= 0).all(), name
    _check_range("post", x["post"], n_targets)
    _check_range("delay", x["delay"], layout.n_slots)


def _check_call(
    layout: Layout, state: State, event_row: Any, event_source: Any, current_source: Any, current: Any
) -> None:
    """Refuse a state or signals that do not fit the layout; a failure is a fault of this package."""
    batch, steps, n_currents = current.shape
    n_sources, shape = layout.n_inputs + layout.n_neurons, (batch, layout.n_targets)
    for name, array, dtype, need in (
        *((k, state.arrays[k], np.float64, shape) for k in ("v", "a", "r")),
        ("z", state.arrays["z"], np.uint8, shape),
        ("wait", state.arrays["wait"], np.int32, shape),
        ("ring", state.arrays["ring"], np.float64, (batch, layout.n_slots, layout.n_targets)),
        ("event_row", event_row, np.int64, (batch * steps + 1,)),
        ("event_source", event_source, np.int32, event_source.shape[:1]),
        ("current_source", current_source, np.int32, (n_currents,)),
        ("current", current, np.float64, (batch, steps, n_currents)),
    ):
        _check_array(name, array, dtype, need)
    assert event_row[0] == 0 and event_row[-1] == len(event_source) and (np.diff(event_row) >= 0).all(), "event_row"
    _check_range("event_source", event_source, n_sources)
    _check_range("current_source", current_source, n_sources)


def _check_array(name: str, array: NDArray[Any], dtype: type, shape: tuple[int, ...]) -> None:
    assert array.dtype == dtype and array.shape == shape and array.flags.c_contiguous, (name, array.dtype, array.shape)


def _check_range(name: str, array: NDArray[Any], limit: int) -> None:
    assert not array.size or (array.min() >= 0 and array.max() < limit), (name, limit)
