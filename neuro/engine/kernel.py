"""Own the kernel of the float semantics: lay a graph out, check every size, and cross into C++.

The C structures are those of neuro/kernels/simulate.cpp; its twin in numpy is `neuro.graph.reference`.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuro import kernels
from neuro.engine import layout as flat
from neuro.engine.layout import Chunk, Field, Layout, Signals, SpikeRoom, State, pointer
from neuro.graph import ALIF, LI, LIF, Graph

_RESET_CODE = {"threshold": 0, "adaptive": 1, "zero": 2}
_READOUT_CODE = 3

COLUMNS: Mapping[str, str] = {"v": "v", "y": "v", "a": "a"}
"""The column of the state that holds each state of a population: y of a readout is kept in v."""
TRACE_BYTES = 8

_PARAMETERS = ("bias", "leak", "v_th", "rho", "beta")
_POINTERS_OF_NET = ("kind", "first", "row", "post", "delay", "weight", *_PARAMETERS, "n_ref")
_STATE = ("v", "a", "r", "z", "wait", "ring")

_Net = flat.structure("_Net", numbers=flat.SIZES_OF_NET, pointers=_POINTERS_OF_NET)
_State = flat.structure("_State", pointers=_STATE)
_Trace = flat.structure("_Trace", pointers=(*flat.SPIKES, "v", "a"))


class _Signals(ctypes.Structure):
    _fields_ = [
        ("event_row", ctypes.c_void_p),
        ("event_source", ctypes.c_void_p),
        ("n_currents", ctypes.c_int64),
        ("current_source", ctypes.c_void_p),
        ("current", ctypes.c_void_p),
    ]


def lay_out(graph: Graph) -> Layout:
    """Gather the parameters and synapses of a float graph. Raises UnsupportedError if it is too large."""
    receivers = (*graph.neurons, *graph.readouts)
    kind = np.array([_code(p) for p in receivers], dtype=np.int32)
    weights = [np.zeros(0), *(c.weight for c in graph.projections)]
    layout = flat.lay_out(graph, {"kind": kind, **_parameters(receivers)}, weights)
    n = (layout.n_targets,)
    fields: tuple[Field, ...] = (("kind", np.int32, kind.shape), ("n_ref", np.int32, n))
    flat.check_layout(layout, (*fields, *((k, np.float64, n) for k in _PARAMETERS)), np.float64)
    return layout


def _code(p: Any) -> int:
    return _READOUT_CODE if isinstance(p, LI) else _RESET_CODE[p.reset]


def _parameters(receivers: tuple[Any, ...]) -> dict[str, NDArray[Any]]:
    columns: dict[str, list[NDArray[Any]]] = {k: [] for k in (*_PARAMETERS, "n_ref")}
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


def _state_fields(layout: Layout, batch: int) -> tuple[Field, ...]:
    shape = (batch, layout.n_targets)
    return (
        *((k, np.float64, shape) for k in ("v", "a", "r")),
        ("z", np.uint8, shape),
        ("wait", np.int32, shape),
        ("ring", np.float64, (batch, layout.n_slots, layout.n_targets)),
    )


def zero_state(layout: Layout, batch: int) -> State:
    """Return the state before step 0."""
    return flat.zeros(_state_fields(layout, batch))


def advance(
    layout: Layout, state: State, signals: Signals, *, start: int, trace: frozenset[str], n_threads: int
) -> Chunk:
    """Advance a batch from step `start`; the state's arrays are written in place, the one exception the kernel makes.

    Parameters: trace, the columns of the state to keep at each step.
    """
    batch, steps = signals.current.shape[:2]
    flat.check_signals(layout, signals)
    flat.check_arrays(state.arrays, _state_fields(layout, batch))
    traces = {k: np.empty((batch, steps, layout.n_targets)) for k in trace}
    room = SpikeRoom(layout, batch, steps)
    net = _Net(*layout.sizes, *(pointer(layout.arrays[k]) for k in _POINTERS_OF_NET))
    cells = _State(*(pointer(state.arrays[k]) for k in _STATE))
    row, source, current_source, current = signals
    inputs = _Signals(pointer(row), pointer(source), current.shape[2], pointer(current_source), pointer(current))
    out = _Trace(*room.pointers(), *(pointer(traces.get(k)) for k in ("v", "a")))
    kernels.library().neuro_advance(
        ctypes.byref(net), ctypes.byref(cells), ctypes.byref(inputs), ctypes.byref(out),
        ctypes.c_int64(batch), ctypes.c_int64(start), ctypes.c_int64(steps), ctypes.c_int32(n_threads),
    )  # fmt: skip
    return room.chunk(traces)


def clips(layout: Layout, state: State) -> dict[str, dict[str, NDArray[np.int64]]]:
    """Return nothing: doubles are not clipped."""
    return {}
