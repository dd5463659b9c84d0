"""e-prop of the synapses into one population, as pure steps: what they remember, and the gradient they know. Numpy only.

For a synapse i -> j with what arrives x(t), and its neuron's psi_j(t), in the time of the graph's semantics:

    eps_v(t)   = open_j(t) (alpha_j keep_j(t) eps_v(t-1) + x(t))
    e(t)       = psi_j(t) (eps_v(t) - beta_j eps_a(t)),        eps_a(t+1) = psi_j(t) eps_v(t) + (rho_j - beta_j psi_j(t)) eps_a(t)
    ebar_f(t)  = kappa_f ebar_f(t-1) + e(t - d_f)              for each way f, of one kappa and delay, from its neuron to the readout
    gradient   = sum over t, f of L_f,j(t) ebar_f(t),          L_f,j(t) = sum_k B_jk err_k(t)

keep, open: 1, but with reset "zero" 0 in the step after a spike, and while v is held. Into a readout k: ebar(t) = kappa_k ebar(t-1) + x(t),
gradient = sum of err_k(t) ebar(t). Source: Bellec et al. 2020 (Nat. Commun. 11:3625), equations 22-25, 28 and 29.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
Filters = tuple[tuple[float, int], ...]
State = dict[str, FloatArray]


@dataclass(frozen=True, kw_only=True, eq=False)
class Constants:
    """What stays the same of n synapses, each of its own post unit, (n,).

    readout: the post units are readouts, which forget with kappa; else neurons with alpha, rho, beta. filters: the ways. rate_reg,
    target_rate, keep_rate: weight of the rate's loss, wanted spikes a step, decay of the running rate. online: weights change at every step.
    """

    readout: bool
    alpha: FloatArray
    rho: FloatArray
    beta: FloatArray
    kappa: FloatArray
    filters: Filters
    rate_reg: float
    target_rate: float
    keep_rate: float
    online: bool


def start(c: Constants) -> State:
    """Return the traces before step 0."""
    n = len(c.alpha)
    if c.readout:
        return {"ebar": np.zeros((1, n))}
    longest = max(d for _, d in c.filters)
    names = ("eps_v", "eps_a", "e", "e_sum", "n_spikes", "steps")
    return {
        **{name: np.zeros(n) for name in names},
        "past": np.zeros((longest, n)),
        "ebar": np.zeros((len(c.filters), n)),
        "rate": np.full(n, c.target_rate),
    }


def step(c: Constants, state: State, x: FloatArray, told: FloatArray, signal: FloatArray) -> tuple[State, FloatArray]:
    """Return the traces after step t, and the gradient known then, (n,).

    Parameters: x, (n,), what arrives; told, (n, 4), psi, keep, open and the spike of each one's neuron, of a readout ignored;
    signal, (filters, n), each one's learning signal, of a readout its error.
    """
    if c.readout:
        ebar = c.kappa * state["ebar"] + x
        return {"ebar": ebar}, (signal * ebar).sum(axis=0)
    psi, keep, open_, z = told.T
    eps_v = open_ * (c.alpha * keep * state["eps_v"] + x)
    e = psi * (eps_v - c.beta * state["eps_a"])
    past = state["past"]
    came = np.array([past[d - 1] for _, d in c.filters])
    ebar = np.array([k for k, _ in c.filters])[:, None] * state["ebar"] + came
    now = {
        "eps_v": eps_v,
        "eps_a": psi * eps_v + (c.rho - c.beta * psi) * state["eps_a"],
        "e": e,
        "e_sum": state["e_sum"] + e,
        "n_spikes": state["n_spikes"] + z,
        "steps": state["steps"] + 1,
        "past": np.concatenate([e[None], past[:-1]]),
        "ebar": ebar,
        "rate": c.keep_rate * state["rate"] + (1 - c.keep_rate) * z,
    }
    gradient = (signal * ebar).sum(axis=0)
    if c.online and c.rate_reg:
        gradient = gradient + c.rate_reg * (1 - c.keep_rate) * (now["rate"] - c.target_rate) * e
    return now, gradient


def finish(c: Constants, state: State) -> FloatArray:
    """Return the gradient of the rate's loss, known when a sample has ended, (n,)."""
    if c.readout or c.online or not c.rate_reg:
        return np.zeros(state["ebar"].shape[1])
    steps = np.maximum(state["steps"], 1)
    return np.asarray(c.rate_reg * (state["n_spikes"] / steps - c.target_rate) / steps * state["e_sum"])
