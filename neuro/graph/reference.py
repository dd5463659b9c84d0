"""The golden model: what a spiking graph means, in plain numpy. Every backend must equal this bit for bit.

Read it beside section "Semantics" of the documentation; the order of the operations is the definition. Float graphs: IEEE double
without fused multiply-add. Integer graphs: int64, each sum clipped once to its population's width. Shapes are (batch, steps, units);
samples are independent of one another.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neuro.errors import DataError
from neuro.graph.graph import Graph
from neuro.graph.integer import AHP, DECAY_ONE, SCALE_BITS, IntALIF, IntLI, IntLIF, IntProjection
from neuro.graph.kinds import INTEGER, Receiver, states
from neuro.graph.nodes import ALIF, INPUTS, LI, LIF, Projection

Array = NDArray[Any]
State = dict[str, Array]
Traces = dict[str, dict[str, Array]]


def simulate(graph: Graph, inputs: Mapping[str, ArrayLike], shape: tuple[int, int] | None = None) -> Traces:
    """Run a graph on a batch of inputs and return every state at every step.

    Parameters: inputs, one array of shape (batch, steps, size) for each input population: spikes in {0, 1}, or values u;
    shape, (batch, steps), needed only by a graph without inputs.
    Returns: arrays (batch, steps, size) by population and state (`neuro.graph.states`): z, v, a, y of float graphs, float64;
    z, u, v, a, x, y of integer graphs, int64; s of inputs, float64. `v` is the membrane before a subtractive reset, and after
    reset "zero". Integer populations have for each state another array, "clipped NAME": 1 where its sum was clipped.
    Raises: DataError if an input is missing or misshapen.
    """
    signal = _signals(graph, inputs)
    batch, steps = next(iter(signal.values())).shape[:2] if signal else (shape or (1, 0))
    traces: Traces = {p.name: {"s": signal[p.name]} for p in graph.inputs}
    for p in graph.receivers:
        dtype = np.int64 if isinstance(p, INTEGER) else np.float64
        names = [*states(p), *(f"clipped {s}" for s in states(p) if isinstance(p, INTEGER) and s != "z")]
        traces[p.name] = {name: np.zeros((batch, steps, p.size), dtype) for name in names}
        signal[p.name] = traces[p.name].get("z", np.zeros(0))
    state = {p.name: start(p, batch) for p in graph.receivers}
    for t in range(steps):
        for p in graph.receivers:
            current = np.tile(np.zeros(p.size, np.int64) if isinstance(p, INTEGER) else p.bias, (batch, 1))
            for c in graph.projections_to(p.name):
                _deliver(c, signal[c.source], t, current)
            state[p.name] = step(p, state[p.name], current)
            for name, trace in traces[p.name].items():
                trace[:, t] = state[p.name][name]
    return traces


def _deliver(c: Projection, s: Array, t: int, current: Array) -> None:
    """Add w * s_i(t - d) of every synapse (i -> j, w, d) to I_j(t); nothing was sent before step 0."""
    arrived = c.delay <= t
    pre, post, delay = c.pre[arrived], c.post[arrived], c.delay[arrived]
    weight = (c.activation if isinstance(c, IntProjection) else c.weight)[arrived]
    np.add.at(current.T, post, (weight * s[:, t - delay, pre]).T.astype(current.dtype))


def start(p: Receiver, batch: int) -> State:
    """Return the state before step 0: all zero, so nothing is reset at step 0; `wait` counts refractory steps that are left."""
    dtype = np.int64 if isinstance(p, INTEGER) else np.float64
    return {name: np.zeros((batch, p.size), dtype) for name in ("z", "u", "v", "a", "x", "r", "y", "wait")}


def step(p: Receiver, last: State, current: Array) -> State:
    """Advance a population by one step from its state before it.

    current, (batch, size): of float populations I(t), bias included; of integer ones what arrives in u, int64.
    """
    now: State = _STEP[type(p)](p, last, current)
    return now


# ------------------------------------------------------------------------------------------------------ float graphs


def _alif(p: LIF, last: State, current: Array) -> State:
    """One step of LIF and ALIF neurons; LIF is ALIF with beta = 0."""
    rho, beta = (p.rho, p.beta) if isinstance(p, ALIF) else (0.0, 0.0)
    a = rho * last["a"] + last["z"]
    threshold = p.v_th + beta * a
    free = last["wait"] == 0
    if p.reset == "zero":
        v = np.where(free, p.alpha * last["v"] + current, 0.0)
    else:
        v = (p.alpha * last["v"] + current) - last["r"]
    z = ((v > threshold) & free).astype(np.float64)
    r = {"threshold": z * p.v_th, "adaptive": z * threshold, "zero": 0.0 * z}[p.reset]
    if p.reset == "zero":
        v = np.where(z == 1, 0.0, v)
    wait = np.where(z == 1, p.n_ref, np.maximum(last["wait"] - 1, 0))
    return {"z": z, "v": v, "a": a, "r": r, "wait": wait}


def _li(p: LI, last: State, current: Array) -> State:
    """One step of a leaky readout."""
    return {"y": p.kappa * last["y"] + current}


# ---------------------------------------------------------------------------------------------------- integer graphs


def decay(x: Array, d: Array) -> Array:
    """Return sign(x) * ((|x| * (4096 - d)) >> 12): x times (4096 - d) / 4096, toward zero."""
    return np.sign(x) * ((np.abs(x) * (DECAY_ONE - d)) >> 12)


def _clip(p: Any, **sums: Array) -> State:
    """Return each sum clipped to the population's width, and where that changed it."""
    out: State = {}
    for name, total in sums.items():
        out[name] = np.clip(total, -p.max_state, p.max_state)
        out[f"clipped {name}"] = (out[name] != total).astype(np.int64)
    return out


def _int_alif(p: IntLIF, last: State, arrived: Array) -> State:
    """One step of IntLIF and IntALIF neurons."""
    d_a, bump = (p.d_a, p.bump) if isinstance(p, IntALIF) else (np.zeros(1, np.int64), np.zeros(1, np.int64))
    now = _clip(p, u=decay(last["u"], p.d_u + 1) + arrived, a=decay(last["a"], d_a) + bump * last["z"])
    return now | _int_fire(p, last, now["u"] + p.bias, (p.v_th << SCALE_BITS) + now["a"], p.reset)


def _ahp(p: AHP, last: State, arrived: Array) -> State:
    """One step of AHP neurons: the auxiliary compartment x, then the main one."""
    now = _clip(p, u=decay(last["u"], p.d_u + 1) + arrived, x=decay(last["x"], p.d_x) + p.w_x * last["z"])
    return now | _int_fire(p, last, now["u"] + now["x"] + p.bias, p.v_th << SCALE_BITS, "zero")


def _int_fire(p: IntLIF | AHP, last: State, drive: Array, threshold: Array, reset: str) -> State:
    """Integrate the membrane, spike, reset; with reset "zero" a refractory membrane is held at 0 and forms no sum."""
    free = last["wait"] == 0
    total = decay(last["v"], p.d_v) + drive
    now = _clip(p, v=np.where(free, total, 0) if reset == "zero" else total - last["r"])
    z = ((now["v"] > threshold) & free).astype(np.int64)
    if reset == "zero":
        now["v"] = np.where(z == 1, 0, now["v"])
    r = {"threshold": z * (p.v_th << SCALE_BITS), "adaptive": z * threshold, "zero": 0 * z}[reset]
    wait = np.where(z == 1, p.n_ref, np.maximum(last["wait"] - 1, 0))
    return now | {"z": z, "r": r, "wait": wait}


def _int_li(p: IntLI, last: State, arrived: Array) -> State:
    """One step of an integer readout."""
    now = _clip(p, u=decay(last["u"], p.d_u + 1) + arrived)
    return now | _clip(p, y=decay(last["y"], p.d_y) + now["u"] + p.bias)


_STEP: dict[type, Any] = {
    LIF: _alif, ALIF: _alif, LI: _li, IntLIF: _int_alif, IntALIF: _int_alif, AHP: _ahp, IntLI: _int_li,
}  # fmt: skip


def _signals(graph: Graph, inputs: Mapping[str, ArrayLike]) -> dict[str, Array]:
    """Return the inputs as float64 arrays of one batch and number of steps."""
    signals: dict[str, Array] = {}
    for p in graph.inputs:
        assert isinstance(p, INPUTS)
        if p.name not in inputs:
            raise DataError(
                f"input '{p.name}': no signal (got {sorted(inputs)}; need '{p.name}'). Give one for each input."
            )
        signals[p.name] = np.array(inputs[p.name], dtype=np.float64)
        first = next(iter(signals.values()))
        want = (*first.shape[:2], p.size)
        if signals[p.name].ndim != 3 or signals[p.name].shape != want:
            raise DataError(
                f"input '{p.name}': wrong shape (got {signals[p.name].shape}; need (batch, steps, {p.size}), the same batch "
                "and steps for every input). Reshape the array."
            )
    return signals
