"""Own the kernel of the float semantics: lay a graph out, check every size, and cross into C++.

The C structures are those of neuro/kernels/simulate.cpp; its twin in numpy is `neuro.graph.reference`.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from neuro import kernels
from neuro.engine import layout as flat
from neuro.engine import packing
from neuro.engine.call import Call, Job, Keep, Signals, Spikes
from neuro.engine.layout import BLOCK, Field, Layout, State, pointer
from neuro.engine.lines import lines
from neuro.graph import ALIF, LI, LIF, Graph

_RESET_CODE = {"threshold": 0, "adaptive": 1, "zero": 2}
_READOUT_CODE = 3

COLUMNS: Mapping[str, str] = {"v": "v", "y": "v", "a": "a"}
"""The column of the state that holds each state of a population: y of a readout is kept in v."""
_COLUMNS = ("v", "a")

_PARAMETERS = ("bias", "leak", "v_th", "rho", "beta", "hold")
_STATE = ("v", "a", "hold", "ring")

_Population = flat.structure(
    "_Population",
    ("numbers", ("kind", "first", "size", "adapts", "uniform")),
    ("pointers", _PARAMETERS),
    ("reals", ("unit",)),
)
_State = flat.structure("_State", ("pointers", _STATE))


class Group(NamedTuple):
    """One receiving population: its code, whether it adapts, and its parameters, one number a neuron or BLOCK times one; unit, of the
    sums of a packed graph."""

    kind: int
    size: int
    adapts: bool
    arrays: Mapping[str, NDArray[Any]]
    uniform: Mapping[str, bool]
    unit: float


def instructions() -> int:
    """Return the best instruction set of this processor that the kernel has: 0 plain, 1 AVX2, 2 AVX-512."""
    best = kernels.library().neuro_instructions
    best.restype = ctypes.c_int64
    return int(best())


def lay_out(graph: Graph, n_threads: int) -> Layout:
    """Find parameters and synapses of a float graph. Raises UnsupportedError if it is too large."""
    units = packing.units(graph) or {}
    groups = tuple(_group(p, units.get(p.name, 1.0)) for p in (*graph.neurons, *graph.readouts))
    for g in groups:
        for name in _PARAMETERS:
            shape = (BLOCK,) if g.uniform[name] else (g.size,)
            flat.check_arrays(g.arrays, ((name, np.uint32 if name == "hold" else np.float64, shape),))
    return flat.lay_out(graph, n_threads, groups, lambda c: c.weight, np.float64, units)


def _group(p: Any, unit: float) -> Group:
    nothing = np.zeros(p.size)
    spikes, adapts = isinstance(p, LIF), isinstance(p, ALIF)
    whole: dict[str, NDArray[Any]] = {
        "bias": p.bias,
        "leak": p.kappa if isinstance(p, LI) else p.alpha,
        "v_th": p.v_th if spikes else nothing,
        "rho": p.rho if adapts else nothing,
        "beta": p.beta if adapts else nothing,
        "hold": (2 * p.n_ref + 1 if spikes else nothing).astype(np.uint32),
    }
    uniform = {name: bool((x == x[0]).all()) for name, x in whole.items()}
    arrays = {name: _in_lines(np.full(BLOCK, x[0], x.dtype) if uniform[name] else x) for name, x in whole.items()}
    kind = _READOUT_CODE if isinstance(p, LI) else _RESET_CODE[p.reset]
    return Group(kind, p.size, adapts, arrays, uniform, unit)


def _in_lines(x: NDArray[Any]) -> NDArray[Any]:
    aligned = lines(x.shape, x.dtype.type)
    aligned[...] = x
    return aligned


def _populations(groups: Sequence[Group]) -> Any:
    """Return the C structures of the populations."""
    made, first = [], 0
    for g in groups:
        bits = sum(g.uniform[name] << k for k, name in enumerate(_PARAMETERS))
        arrays = (pointer(g.arrays[k]) for k in _PARAMETERS)
        made.append(_Population(g.kind, first, g.size, g.adapts, bits, *arrays, g.unit))
        first += g.size
    return (_Population * max(len(made), 1))(*made)


def _state_fields(layout: Layout, batch: int) -> tuple[Field, ...]:
    shape, bits = (batch, layout.n_targets), layout.packing.bits
    cells = (batch, layout.n_parts, 2**bits) if bits else (batch, layout.n_slots, layout.n_targets)
    return (
        ("v", np.float64, shape),
        ("a", np.float64, shape),
        ("hold", np.uint32, shape),
        ("ring", np.int64 if bits else np.float64, cells),
    )


def zero_state(layout: Layout, batch: int) -> State:
    """Return the state before step 0."""
    return flat.zeros(_state_fields(layout, batch))


def advance(layout: Layout, state: State, signals: Signals, keep: Sequence[Keep], job: Job) -> Spikes:
    """Advance a batch by the steps of `signals`; the state's arrays are written in place, the one exception the kernel makes.

    Raises: MemoryError if the system gives no memory or threads.
    """
    call = Call(layout, _COLUMNS, signals, keep, job)
    flat.check_arrays(state.arrays, _state_fields(layout, signals.current.shape[0]))
    cells = _State(*(pointer(state.arrays[k]) for k in _STATE))
    populations = _populations(layout.parameters)
    failed = kernels.library().neuro_advance(
        call.wiring, ctypes.byref(populations), ctypes.c_int64(len(layout.parameters)), ctypes.byref(cells),
        call.events, call.outputs, *call.sizes, ctypes.c_int64(instructions()),
    )  # fmt: skip
    return call.spikes(failed)


def clips(layout: Layout, state: State) -> dict[str, dict[str, NDArray[np.int64]]]:
    """Return nothing: doubles are not clipped."""
    return {}
