"""Say what a cell of the network is: its states, its constants, and the block of equations of one step.

One model serves all kinds of float population and one all kinds of integer population, so that every graph of the same
semantics runs the same code. The equations are in Brian2's language; nothing here imports it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from neuro.graph import AHP, ALIF, DECAY_ONE, LI, LIF, SCALE_BITS, Graph, IntALIF, IntLI, IntLIF, Receiver


@dataclass(frozen=True)
class CellModel:
    """A model of cells, all doubles.

    name: the semantics. states: variables, 0 before step 0. traces: those that may be recorded. parameters: names of the
    constants of a cell. step: the block. constants: gives a population's parameters that are not 0, by name. rest: the
    parameter at which the input I begins, if that is not 0. clipped: states whose clips are counted, in clips_STATE. kept: variables
    that last from sample to sample.
    """

    name: str
    states: tuple[str, ...]
    traces: tuple[str, ...]
    parameters: tuple[str, ...]
    step: str
    constants: Callable[[Any], Mapping[str, ArrayLike]]
    rest: str = ""
    clipped: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()

    @property
    def equations(self) -> str:
        """Return the declaration of every variable."""
        variables = ("I", *self.states, *self.kept, *(f"clips_{name}" for name in self.clipped))
        return "\n".join([*(f"{name} : 1" for name in variables), *(f"{n} : 1 (constant)" for n in self.parameters)])


def cell_model(graph: Graph) -> CellModel:
    """Return the model of a graph's semantics."""
    return INTEGER_CELLS if graph.semantics == "integer" else FLOAT_CELLS


def trace(state: str) -> str:
    """Return the state of a cell that holds a population's state: y is v, x is a."""
    return {"y": "v", "x": "a"}.get(state, state)


_RESETS = {"threshold": "by_v_th", "adaptive": "by_A", "zero": "to_zero"}
"""Of these constants the one that names a cell's reset is 1."""

# ------------------------------------------------------------------------------------------------------ float graphs

# Factors that are 0 or 1 select, which changes no bit. `wait` counts the refractory steps that are left; with reset "zero"
# v is +0.0 in them, since v was set to zero and I is held back.
_FLOAT_STEP = """
a = rho * a + z
A = v_th + beta * a
free = int(wait == 0)
v = (alpha * v + I * (1 - to_zero * (1 - free))) - r
z = fires * free * int(v > A)
r = z * (by_v_th * v_th + by_A * A)
v = v * (1 - to_zero * z)
wait = z * n_ref + (1 - z) * (wait - (1 - free))
I = bias
"""


def _float_constants(p: LIF | LI) -> Mapping[str, ArrayLike]:
    """Return the constants of a population; a readout is a cell that never fires, LIF is ALIF with beta = 0."""
    if isinstance(p, LI):
        return {"alpha": p.kappa, "bias": p.bias}
    held: dict[str, ArrayLike] = {"alpha": p.alpha, "bias": p.bias, "v_th": p.v_th, "n_ref": p.n_ref, "fires": 1.0}
    if isinstance(p, ALIF):
        held.update(rho=p.rho, beta=p.beta)
    return {**held, _RESETS[p.reset]: 1.0}


FLOAT_CELLS = CellModel(
    name="float",
    states=("v", "a", "z", "r", "wait"),
    traces=("v", "a"),
    parameters=("alpha", "rho", "beta", "v_th", "n_ref", "bias", "fires", "by_v_th", "by_A", "to_zero"),
    step=_FLOAT_STEP,
    constants=_float_constants,
    rest="bias",
)

# ------------------------------------------------------------------------------------------- float graphs that learn

# What synapses that learn by e-prop read of their neuron: near is psi without gamma / v_th, keep and opens are 0 where reset
# "zero" cut the membrane's memory and its input. The learning signals L0, L1, ... begin each step at 0. shift is how far the bias
# has moved by learning: all three are multiples of the grid, so the sum is exact.
_LEARNING_STEP = """
a = rho * a + z
A = v_th + beta * a
free = int(wait == 0)
keep = 1 - to_zero * z
opens = 1 - to_zero * (1 - free)
v = (alpha * v + I * opens) - r
near = clip(1 - abs((v - A) / v_th), 0, 1) * free
z = fires * free * int(v > A)
r = z * (by_v_th * v_th + by_A * A)
v = v * (1 - to_zero * z)
wait = z * n_ref + (1 - z) * (wait - (1 - free))
I = bias + shift
"""


def learning_cells(n_signals: int) -> CellModel:
    """Return the model of float cells whose synapses learn; n_signals: learning signals of a cell. err: a readout's error."""
    signals = tuple(f"L{k}" for k in range(n_signals))
    return replace(
        FLOAT_CELLS,
        name="learning",
        states=(*FLOAT_CELLS.states, "near", "keep", "opens", "err", *signals),
        step=_LEARNING_STEP + "".join(f"{name} = 0\n" for name in signals),
        constants=_learning_constants,
        kept=("shift",),
    )


def _learning_constants(p: LIF | LI) -> Mapping[str, ArrayLike]:
    """Return the constants of a population; a readout has a threshold, which it never meets, since near divides by it."""
    return {**_float_constants(p), "v_th": 1.0} if isinstance(p, LI) else _float_constants(p)


# ---------------------------------------------------------------------------------------------------- integer graphs

# Integers in doubles. A state has 24 bits and keep_u = (4095 - d_u) / 4096 has 12 behind the point, so the product is exact,
# and `int`, which drops what is behind the point, gives sign(u) * floor(|u| * (4095 - d_u) / 4096) within Brian2's 32 bits.
# Sums stay below 2**32. Thresholds are scaled by 2**6 already. The adaptation `a` raises the threshold (to_A = 1) or is an
# auxiliary compartment, whose state joins the input (to_v = 1). With reset "zero" a refractory v was set to 0 and gets
# nothing, so its sum is 0 and is never clipped. A spike sets it to zero by a difference, since a factor would make -0.0 of a
# negative V; and it is V there, since Brian2 would turn v = v - z * v into that factor.
_INTEGER_STEP = """
sum_u = int(u * keep_u) + I
sum_a = int(a * keep_a) + bump * z
u = clip(sum_u, -top, top)
a = clip(sum_a, -top, top)
A = v_th + to_A * a
free = int(wait == 0)
sum_v = int(v * keep_v) + (u + to_v * a + bias) * (1 - to_zero * (1 - free)) - r
V = clip(sum_v, -top, top)
clips_u = clips_u + int(u != sum_u)
clips_a = clips_a + int(a != sum_a)
clips_v = clips_v + int(V != sum_v)
z = fires * free * int(V > A)
r = z * (by_v_th * v_th + by_A * A)
v = V - to_zero * z * V
wait = z * n_ref + (1 - z) * (wait - (1 - free))
I = 0
"""


def _kept(d: Any) -> Any:
    return (DECAY_ONE - d) / DECAY_ONE


def _integer_constants(p: IntLIF | AHP | IntLI) -> Mapping[str, ArrayLike]:
    """Return the constants of a population; a readout is a cell that never fires, IntLIF is IntALIF without a bump."""
    held: dict[str, ArrayLike] = {"keep_u": _kept(p.d_u + 1), "bias": p.bias, "top": p.max_state}
    if isinstance(p, IntLI):
        return {**held, "keep_v": _kept(p.d_y)}
    held.update(keep_v=_kept(p.d_v), v_th=p.v_th << SCALE_BITS, n_ref=p.n_ref, fires=1.0)
    if isinstance(p, AHP):
        return {**held, "keep_a": _kept(p.d_x), "bump": p.w_x, "to_v": 1.0, "to_zero": 1.0}
    if isinstance(p, IntALIF):
        held.update(keep_a=_kept(p.d_a), bump=p.bump, to_A=1.0)
    return {**held, _RESETS[p.reset]: 1.0}


INTEGER_CELLS = CellModel(
    name="integer",
    states=("u", "v", "a", "z", "r", "wait"),
    traces=("u", "v", "a"),
    parameters=(
        *("keep_u", "keep_a", "keep_v", "bump", "v_th", "n_ref", "bias", "top"),
        *("fires", "to_A", "to_v", "by_v_th", "by_A", "to_zero"),
    ),
    step=_INTEGER_STEP,
    constants=_integer_constants,
    clipped=("u", "a", "v"),
)


def constants(model: CellModel, p: Receiver) -> dict[str, Any]:
    """Return every constant of a population's cells, float64 of shape (size,)."""
    held = model.constants(p)
    return {n: np.broadcast_to(np.asarray(held.get(n, 0.0), np.float64), (p.size,)) for n in model.parameters}
