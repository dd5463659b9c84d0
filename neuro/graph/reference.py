"""The golden model: what a spiking graph means, in plain numpy. Every backend must equal this bit for bit.

Read it beside section "Semantics" of the documentation; the order of the operations is the definition. All arithmetic is
IEEE double without fused multiply-add. Shapes are (batch, steps, units); samples are independent of one another.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neuro.errors import DataError
from neuro.graph.graph import Graph
from neuro.graph.nodes import ALIF, INPUTS, LI, LIF, Projection, states

Traces = dict[str, dict[str, NDArray[np.float64]]]


def simulate(graph: Graph, inputs: Mapping[str, ArrayLike], shape: tuple[int, int] | None = None) -> Traces:
    """Run a graph on a batch of inputs and return every state at every step.

    Parameters: inputs, one array of shape (batch, steps, size) for each input population: spikes in {0, 1}, or values u;
    shape, (batch, steps), needed only by a graph without inputs.
    Returns: float64 arrays (batch, steps, size) by population and state: z, v for LIF; z, v, a for ALIF; y for LI;
    s for inputs. `v` is the membrane before a subtractive reset, and after reset "zero".
    Raises: DataError if an input is missing or misshapen.
    """
    signal = _signals(graph, inputs)
    batch, steps = next(iter(signal.values())).shape[:2] if signal else (shape or (1, 0))
    traces: Traces = {p.name: {"s": signal[p.name]} for p in graph.inputs}
    for p in graph.receivers:
        traces[p.name] = {state: np.zeros((batch, steps, p.size)) for state in states(p)}
        signal[p.name] = traces[p.name].get("z", np.zeros(0))
    state = {p.name: _start(p, batch) for p in graph.receivers}
    for t in range(steps):
        for p in graph.receivers:
            current = np.tile(p.bias, (batch, 1))
            for c in graph.projections_to(p.name):
                _deliver(c, signal[c.source], t, current)
            state[p.name] = _STEP[type(p)](p, state[p.name], current)
            for name, trace in traces[p.name].items():
                trace[:, t] = state[p.name][name]
    return traces


def _deliver(c: Projection, s: NDArray[np.float64], t: int, current: NDArray[np.float64]) -> None:
    """Add w * s_i(t - d) of every synapse (i -> j, w, d) to I_j(t); nothing was sent before step 0."""
    arrived = c.delay <= t
    pre, post, weight, delay = c.pre[arrived], c.post[arrived], c.weight[arrived], c.delay[arrived]
    np.add.at(current.T, post, (weight * s[:, t - delay, pre]).T)


def _start(p: LIF | LI, batch: int) -> dict[str, NDArray[np.float64]]:
    """All state is zero before step 0, so nothing is reset at step 0; `wait` counts refractory steps that are left."""
    return {name: np.zeros((batch, p.size)) for name in ("z", "v", "a", "r", "y", "wait")}


def _alif(p: LIF, last: dict[str, NDArray[np.float64]], current: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
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


def _li(p: LI, last: dict[str, NDArray[np.float64]], current: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """One step of a leaky readout."""
    return {"y": p.kappa * last["y"] + current}


_STEP: dict[type, Any] = {LIF: _alif, ALIF: _alif, LI: _li}


def _signals(graph: Graph, inputs: Mapping[str, ArrayLike]) -> dict[str, NDArray[np.float64]]:
    """Return the inputs as float64 arrays of one batch and number of steps."""
    signals: dict[str, NDArray[np.float64]] = {}
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
