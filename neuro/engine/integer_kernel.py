"""Own the kernel of the integer semantics: lay a graph out, check every size and width, and cross into C++.

The C structures are those of neuro/kernels/simulate_integer.cpp; its twin in numpy is `neuro.graph.reference`.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from neuro import kernels
from neuro.engine import layout as flat
from neuro.engine.call import Call, Job, Keep, Signals, Spikes
from neuro.engine.layout import Field, Layout, State, pointer
from neuro.graph import AHP, DECAY_ONE, MAX_STATE, SCALE_BITS, Graph, IntALIF, IntLI

_RESET_CODE = {"threshold": 0, "adaptive": 1, "zero": 2}
_READOUT_CODE, _AHP_CODE = 3, 4

COLUMNS: Mapping[str, str] = {"u": "u", "v": "v", "y": "v", "a": "a", "x": "a"}
"""The column of the state that holds each state of a population: y of a readout is kept in v, x of AHP in a."""
_COLUMNS = ("u", "v", "a")

_PARAMETERS = ("bias", "keep_u", "keep_v", "v_th", "keep_a", "jump", "n_ref")
_STATE = ("u", "v", "a", "r", "z", "wait", "ring", "clips")

_Population = flat.structure("_Population", ("numbers", ("kind", "first", "size", "max_state")))
_Parameters = flat.structure("_Parameters", ("pointers", _PARAMETERS))
_State = flat.structure("_State", ("pointers", _STATE))


class Groups(NamedTuple):
    """The receiving populations: code, size and largest state of each; parameters of all their units side by side."""

    kinds: tuple[int, ...]
    sizes: tuple[int, ...]
    max_states: tuple[int, ...]
    arrays: Mapping[str, NDArray[np.int32]]


def lay_out(graph: Graph, n_threads: int) -> Layout:
    """Gather the parameters and synapses of an integer graph. Raises UnsupportedError if it is too large."""
    receivers: tuple[Any, ...] = (*graph.neurons, *graph.readouts)
    groups = Groups(
        kinds=tuple(_code(p) for p in receivers),
        sizes=tuple(p.size for p in receivers),
        max_states=tuple(p.max_state for p in receivers),
        arrays=_parameters(receivers),
    )
    flat.check_arrays(groups.arrays, tuple((k, np.int32, (sum(groups.sizes),)) for k in _PARAMETERS))
    layout = flat.lay_out(graph, n_threads, groups, lambda c: c.activation.astype(np.int32), np.int32)
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
    groups: Groups = layout.parameters
    x = groups.arrays
    assert all(0 < top <= MAX_STATE for top in groups.max_states), "max_state"
    for name in ("keep_u", "keep_v", "keep_a"):
        assert ((x[name] >= 0) & (x[name] <= DECAY_ONE)).all(), name
    for name in ("bias", "jump", "v_th"):
        assert (np.abs(x[name]) <= MAX_STATE).all(), name
    arrives = np.zeros(layout.n_targets + 1)
    for w in layout.wires:
        found = np.bincount(w.post, weights=np.abs(w.weight.astype(np.float64)))
        arrives[w.first_target : w.first_target + len(found)] += found
    assert arrives.max() < 2**31, "weight"


def _state_fields(layout: Layout, batch: int) -> tuple[Field, ...]:
    shape = (batch, layout.n_targets)
    return (
        *((k, np.int32, shape) for k in ("u", "v", "a", "r", "wait")),
        ("z", np.uint8, shape),
        ("ring", np.int32, (batch, layout.n_slots, layout.n_targets)),
        ("clips", np.int64, (batch, layout.n_parts, len(layout.receivers), len(_COLUMNS))),
    )


def zero_state(layout: Layout, batch: int) -> State:
    """Return the state before step 0, with no clip counted."""
    return flat.zeros(_state_fields(layout, batch))


def advance(layout: Layout, state: State, signals: Signals, keep: Sequence[Keep], job: Job) -> Spikes:
    """Advance a batch by the steps of `signals`, without currents; the state's arrays are written in place, the one exception
    the kernel makes.

    Raises: MemoryError if the system gives no memory or threads.
    """
    batch, _, n_currents = signals.current.shape
    assert n_currents == 0, "no currents enter an integer graph"
    call = Call(layout, _COLUMNS, signals, keep, job)
    flat.check_arrays(state.arrays, _state_fields(layout, batch))
    groups: Groups = layout.parameters
    firsts = np.cumsum([0, *groups.sizes]).tolist()
    rows = zip(groups.kinds, firsts, groups.sizes, groups.max_states, strict=False)
    populations = (_Population * max(len(groups.kinds), 1))(*(_Population(*row) for row in rows))
    parameters = _Parameters(*(pointer(groups.arrays[k]) for k in _PARAMETERS))
    cells = _State(*(pointer(state.arrays[k]) for k in _STATE))
    failed = kernels.library().neuro_advance_integer(
        call.wiring, ctypes.byref(populations), ctypes.c_int64(len(groups.kinds)), ctypes.byref(parameters),
        ctypes.byref(cells), call.events, call.outputs, *call.sizes,
    )  # fmt: skip
    return call.spikes(failed)


def clips(layout: Layout, state: State) -> dict[str, dict[str, NDArray[np.int64]]]:
    """Return the clips since step 0 by population and column of the state, (batch,) each."""
    counted = state.arrays["clips"].sum(axis=1)
    return {
        name: {column: counted[:, p, k].copy() for k, column in enumerate(_COLUMNS)}
        for p, name in enumerate(layout.receivers)
    }
