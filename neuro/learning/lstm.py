"""Learn the weights of an LSTM forward in time: memory blocks, and the truncated gradient of Hochreiter & Schmidhuber (1997).

One step, with x(t) the inputs, h = y^c the cells' outputs, and the sources m(t) = (x(t), h(t-1), [gates(t-1)], 1); block j holds the
cells v that share its gates; sigma is the logistic function:

    y_in = sigma(w_in m)    y_phi = sigma(w_phi m) (1 without forget gates)    y_out = sigma(w_out m)
    s_v(t) = y_phi s_v(t-1) + y_in g(w_v m)        h_v(t) = y_out h(s_v(t))        y(t) = f(w_y (h(t), 1))

The truncation: m(t) counts as a constant. What an error does to the net inputs of gates and cells is not followed further back in
time; only the internal state s carries it. The derivatives of s then need no unrolling, and one number for each cell and source:

    ds_v/dw_v(t)   = y_phi ds_v/dw_v(t-1)   + y_in g'(w_v m) m(t)
    ds_v/dw_in(t)  = y_phi ds_v/dw_in(t-1)  + g(w_v m) y_in (1 - y_in) m(t)
    ds_v/dw_phi(t) = y_phi ds_v/dw_phi(t-1) + s_v(t-1) y_phi (1 - y_phi) m(t)

and with delta = dL(t)/d(net input of y), e_v = sum_k w_y,kv delta_k, e_s,v = e_v y_out h'(s_v), the gradient of this step's loss is

    dL/dw_v = e_s,v ds_v/dw_v    dL/dw_in = sum_v e_s,v ds_v/dw_in    dL/dw_phi likewise    dL/dw_out = y_out (1 - y_out) sum_v e_v h(s_v) m

Sources: Hochreiter & Schmidhuber 1997, Neural Computation 9:1735, appendix A.1; Gers, Schmidhuber & Cummins 2000, Neural Computation
12:2451, equations 2.2-2.11 (forget gates), without peepholes. It is the twin of the kernel of `neuro.learning.lstm_kernel`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from neuro.learning.lstm_blocks import Array, MemoryBlocks, Weights, without_absent_biases


class Partials(NamedTuple):
    """The derivatives of every cell's internal state with respect to its own weights and its gates': (size, n_sources) each,
    forget (0, n_sources) where there are no forget gates."""

    input: Array
    forget: Array
    cell: Array


class State(NamedTuple):
    """All that passes from one step to the next: s and h, (size,); gates, (n_gates,) or (0,) if they do not feed back; partials."""

    s: Array
    h: Array
    gates: Array
    partials: Partials


class Activity(NamedTuple):
    """What the units did in one step: sources (n_sources,), gates (n_blocks,) (forget (0,) without), g, g' of the cells' net inputs
    and h(s), h'(s), (size,), and the outputs y, (n_out,)."""

    sources: Array
    input: Array
    forget: Array
    output: Array
    g: Array
    dg: Array
    hs: Array
    dhs: Array
    y: Array


def rest(blocks: MemoryBlocks) -> State:
    """Return the state before the first step of a sequence: everything 0."""
    n, forgetting = (blocks.size, blocks.n_sources), blocks.size if blocks.forget else 0
    partials = Partials(np.zeros(n), np.zeros((forgetting, blocks.n_sources)), np.zeros(n))
    gates = np.zeros(blocks.n_gates if blocks.gates_feed else 0)
    return State(np.zeros(blocks.size), np.zeros(blocks.size), gates, partials)


def step(blocks: MemoryBlocks, weights: Weights, state: State, x: Array) -> tuple[State, Activity]:
    """Advance by one step: (state, inputs (n_in,)) -> (state with its partial derivatives, activity with the outputs)."""
    m = np.concatenate([x, state.h, state.gates, np.ones(1)])
    gate_in, gate_phi, gate_out = (_sigmoid(w @ m) for w in (weights.input, weights.forget, weights.output))
    g, dg = _SQUASH[blocks.squash](weights.cell @ m, 4.0)
    s = _keep(blocks, gate_phi) * state.s + _per_cell(blocks, gate_in) * g
    hs, dhs = _SQUASH[blocks.squash](s, 2.0)
    h = _per_cell(blocks, gate_out) * hs
    y = _OUTPUT[blocks.readout](weights.readout @ np.concatenate([h, np.ones(1)]))
    gates = np.concatenate([gate_in, gate_phi, gate_out]) if blocks.gates_feed else state.gates
    activity = Activity(m, gate_in, gate_phi, gate_out, g, dg, hs, dhs, y)
    return State(s, h, gates, derivatives(blocks, state, activity)), activity


def derivatives(blocks: MemoryBlocks, before: State, now: Activity) -> Partials:
    """Return the partial derivatives of the internal states after a step, from those before it: one multiply-add a number."""
    old, keep = before.partials, _keep(blocks, now.forget)[:, None]
    slope_in = _per_cell(blocks, now.input * (1 - now.input))
    cell = keep * old.cell + (_per_cell(blocks, now.input) * now.dg)[:, None] * now.sources
    gate_in = keep * old.input + (now.g * slope_in)[:, None] * now.sources
    if not blocks.forget:
        return Partials(gate_in, old.forget, cell)
    slope_phi = _per_cell(blocks, now.forget * (1 - now.forget))
    return Partials(gate_in, keep * old.forget + (before.s * slope_phi)[:, None] * now.sources, cell)


def gradient(blocks: MemoryBlocks, weights: Weights, state: State, now: Activity, delta: Array) -> Weights:
    """Return the truncated gradient of the loss of one step.

    Parameters: state, after that step; delta, (n_out,), the derivative of the loss with respect to the output units' net inputs
    (`neuro.learning.lstm_sequence.error`).
    """
    e = weights.readout[:, :-1].T @ delta
    e_s = (e * _per_cell(blocks, now.output) * now.dhs)[:, None]
    through_out = now.output * (1 - now.output) * (e * now.hs).reshape(blocks.n_blocks, -1).sum(1)
    found = Weights(
        input=_per_block(blocks, e_s * state.partials.input),
        forget=_per_block(blocks, e_s * state.partials.forget) if blocks.forget else state.partials.forget,
        cell=e_s * state.partials.cell,
        output=np.outer(through_out, now.sources),
        readout=np.outer(delta, np.append(state.h, 1.0)),
    )
    return without_absent_biases(blocks, found)


def _per_cell(blocks: MemoryBlocks, of_block: Array) -> Array:
    return np.repeat(of_block, blocks.n_cells)


def _per_block(blocks: MemoryBlocks, of_cell: Array) -> Array:
    return of_cell.reshape(blocks.n_blocks, blocks.n_cells, -1).sum(1)


def _keep(blocks: MemoryBlocks, gate_phi: Array) -> Array:
    return _per_cell(blocks, gate_phi) if blocks.forget else np.ones(blocks.size)


def _sigmoid(x: Array) -> Array:
    e = np.exp(-np.abs(x))  # never overflows
    return np.where(x >= 0, 1.0, e) / (1 + e)


def _squash_1997(x: Array, width: float) -> tuple[Array, Array]:
    """Return a logistic function of a range of `width` around 0, and its derivative."""
    y = _sigmoid(x)
    return width * y - width / 2, width * y * (1 - y)


def _squash_tanh(x: Array, width: float) -> tuple[Array, Array]:
    y = np.tanh(x)
    return y, 1 - y * y


def _softmax(x: Array) -> Array:
    e = np.exp(x - x.max())
    return e / e.sum()


_SQUASH: dict[str, Callable[[Array, float], tuple[Array, Array]]] = {"1997": _squash_1997, "tanh": _squash_tanh}
_OUTPUT: dict[str, Callable[[Array], Array]] = {"logistic": _sigmoid, "linear": np.array, "softmax": _softmax}
