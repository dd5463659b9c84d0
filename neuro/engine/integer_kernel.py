"""Own the kernel of the integer semantics: lay a graph out, check every size and width, and cross into C++.

The C structures are those of neuro/kernels/simulate_integer.cpp; its twin in numpy is `neuro.graph.reference`.
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
from neuro.graph import AHP, DECAY_ONE, MAX_STATE, SCALE_BITS, Graph, IntALIF, IntLI, IntProjection

_RESET_CODE = {"threshold": 0, "adaptive": 1, "zero": 2}
_READOUT_CODE, _AHP_CODE = 3, 4

COLUMNS: Mapping[str, str] = {"u": "u", "v": "v", "y": "v", "a": "a", "x": "a"}
"""The column of the state that holds each state of a population: y of a readout is kept in v, x of AHP in a."""
TRACE_BYTES = 4

_PARAMETERS = ("bias", "keep_u", "keep_v", "v_th", "keep_a", "jump", "n_ref")
_POINTERS_OF_NET = ("kind", "max_state", "first", "row", "post", "delay", "weight", *_PARAMETERS)
_STATE = ("u", "v", "a", "r", "z", "wait", "ring", "clips")
_CLIPPED = ("u", "v", "a")

_Net = flat.structure("_Net", numbers=flat.SIZES_OF_NET, pointers=_POINTERS_OF_NET)
_State = flat.structure("_State", pointers=_STATE)
_Events = flat.structure("_Events", pointers=("row", "source"))
_Trace = flat.structure("_Trace", pointers=(*flat.SPIKES, "u", "v", "a"))


def lay_out(graph: Graph) -> Layout:
    """Gather the parameters and synapses of an integer graph. Raises UnsupportedError if it is too large."""
    receivers = (*graph.neurons, *graph.readouts)
    kind = np.array([_code(p) for p in receivers], dtype=np.int32)
    arrays = {"kind": kind, "max_state": np.array([p.max_state for p in receivers], dtype=np.int32)}  # type: ignore[union-attr]
    empty = np.zeros(0, np.int32)
    weights = [c.activation.astype(np.int32) for c in graph.projections if isinstance(c, IntProjection)]
    layout = flat.lay_out(graph, arrays | _parameters(receivers), [empty, *weights])
    flat.check_layout(layout, tuple((k, np.int32, (layout.n_targets,)) for k in _PARAMETERS), np.int32)
    _check_widths(layout)
    return layout


def _code(p: Any) -> int:
    return _READOUT_CODE if isinstance(p, IntLI) else _AHP_CODE if isinstance(p, AHP) else _RESET_CODE[p.reset]


def _parameters(receivers: tuple[Any, ...]) -> dict[str, NDArray[Any]]:
    """Return what a state keeps in a step in place of what it loses, and everything in the unit of the states."""
    columns: dict[str, list[NDArray[Any]]] = {k: [np.zeros(0, np.int64)] for k in _PARAMETERS}
    for p in receivers:
        nothing, readout = np.zeros(p.size, np.int64), isinstance(p, IntLI)
        slow, jump = (
            (p.d_a, p.bump) if isinstance(p, IntALIF) else (p.d_x, p.w_x) if isinstance(p, AHP) else (nothing,) * 2
        )
        columns["bias"].append(p.bias)
        columns["keep_u"].append(DECAY_ONE - (p.d_u + 1))
        columns["keep_v"].append(DECAY_ONE - (p.d_y if readout else p.d_v))
        columns["v_th"].append(nothing if readout else p.v_th << SCALE_BITS)
        columns["keep_a"].append(DECAY_ONE - slow)
        columns["jump"].append(jump)
        columns["n_ref"].append(nothing if readout else p.n_ref)
    return {k: np.concatenate(v).astype(np.int32) for k, v in columns.items()}


def _check_widths(layout: Layout) -> None:
    """Refuse what would overflow the kernel's 32 bits; the graph's own rules are narrower, so a failure is a fault."""
    x = layout.arrays
    flat.check_arrays(x, tuple((k, np.int32, (len(layout.receivers),)) for k in ("kind", "max_state")))
    assert ((x["max_state"] > 0) & (x["max_state"] <= MAX_STATE)).all(), "max_state"
    for name in ("keep_u", "keep_v", "keep_a"):
        assert ((x[name] >= 0) & (x[name] <= DECAY_ONE)).all(), name
    for name in ("bias", "jump", "v_th"):
        assert (np.abs(x[name]) <= MAX_STATE).all(), name
    arrives = np.bincount(x["post"], weights=np.abs(x["weight"].astype(np.float64)), minlength=1)
    assert arrives.max() < 2**31, "weight"


def _state_fields(layout: Layout, batch: int) -> tuple[Field, ...]:
    shape = (batch, layout.n_targets)
    return (
        *((k, np.int32, shape) for k in ("u", "v", "a", "r", "wait")),
        ("z", np.uint8, shape),
        ("ring", np.int32, (batch, layout.n_slots, layout.n_targets)),
        ("clips", np.int64, (batch, len(layout.receivers), len(_CLIPPED))),
    )


def zero_state(layout: Layout, batch: int) -> State:
    """Return the state before step 0, with no clip counted."""
    return flat.zeros(_state_fields(layout, batch))


def advance(
    layout: Layout, state: State, signals: Signals, *, start: int, trace: frozenset[str], n_threads: int
) -> Chunk:
    """Advance a batch from step `start`; the state's arrays are written in place, the one exception the kernel makes.

    Parameters: signals, without currents; trace, the columns of the state to keep at each step.
    """
    batch, steps, n_currents = signals.current.shape
    assert n_currents == 0, "no currents enter an integer graph"
    flat.check_signals(layout, signals)
    flat.check_arrays(state.arrays, _state_fields(layout, batch))
    traces = {k: np.empty((batch, steps, layout.n_targets), np.int32) for k in trace}
    room = SpikeRoom(layout, batch, steps)
    net = _Net(*layout.sizes, *(pointer(layout.arrays[k]) for k in _POINTERS_OF_NET))
    cells = _State(*(pointer(state.arrays[k]) for k in _STATE))
    events = _Events(pointer(signals.event_row), pointer(signals.event_source))
    out = _Trace(*room.pointers(), *(pointer(traces.get(k)) for k in ("u", "v", "a")))
    kernels.library().neuro_advance_integer(
        ctypes.byref(net), ctypes.byref(cells), ctypes.byref(events), ctypes.byref(out),
        ctypes.c_int64(batch), ctypes.c_int64(start), ctypes.c_int64(steps), ctypes.c_int32(n_threads),
    )  # fmt: skip
    return room.chunk(traces)


def clips(layout: Layout, state: State) -> dict[str, dict[str, NDArray[np.int64]]]:
    """Return the clips since step 0 by population and column of the state, (batch,) each."""
    counted = state.arrays["clips"]
    return {
        name: {column: counted[:, p, k].copy() for k, column in enumerate(_CLIPPED)}
        for p, name in enumerate(layout.receivers)
    }
