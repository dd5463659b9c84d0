"""e-prop: what each synapse remembers of its own activity (eligibility), times the learning signal of its neuron.

For a synapse i -> j with weight w and delay d into LIF or ALIF neurons (LIF: beta = 0), in the time of the graph's semantics:

    x(t)         = s_i(t - d)                                        1 for a bias
    psi_j(t)     = (gamma / v_th_j) max(0, 1 - |(v_j(t) - A_j(t)) / v_th_j|)         0 while refractory
    eps_v(t)     = open_j(t) (alpha_j keep_j(t) eps_v(t-1) + x(t))
    e(t)         = psi_j(t) (eps_v(t) - beta_j eps_a(t))
    eps_a(t+1)   = psi_j(t) eps_v(t) + (rho_j - beta_j psi_j(t)) eps_a(t),         eps_a(0) = 0
    ebar_f(t)    = kappa_f ebar_f(t-1) + e(t - d_f)                  for each way f from neuron j to the readouts: kappa_f, delay d_f
    dw           = sum over t, f of L_f,j(t) ebar_f(t),              L_f,j(t) = sum_k B_jk err_k(t) over the synapses of f

keep, open: 1, but with reset "zero" keep = 1 - z_j(t-1), and open = 0 while v is held at zero. v in psi is the membrane before a reset.
Into a readout k: xbar(t) = kappa_k xbar(t-1) + x(t), dw = sum over t of err_k(t) xbar(t).

Loss of a sample: sum over t of mask(t) times cross-entropy, or times 1/2 sum_k (y_k - y*_k)^2, plus rate_reg / 2 sum_j (f_j - f0)^2 with
f_j = spikes of j / steps and f0 = rate_target_hz dt / 1000. With the readout's own weights as B, dw equals the derivative of
this loss in the network whose reset and whose spikes to other neurons count as constants. The rate's part is
rate_reg (f_j - f0) / T sum_t e(t), known at the end of the sample ("batch", "episode"). Update "step" cannot wait: with
F_j(t) = r F_j(t-1) + (1 - r) z_j(t), F_j(-1) = f0, r = exp(-dt / tau_rate), it is rate_reg (1 - r) (F_j(t) - f0) e(t).

Source: Bellec et al. 2020 (Nat. Commun. 11:3625), equations 22-25 (eligibility), 28 and 29 (learning signals). Their input reaches v one step later and their readout sees
z(t) in the step of the spike; here an input of delay 0 is in v(t) and a readout sees z(t - d), d >= 1. Their weights carry
(1 - alpha) and (1 - rho) factors that are in the graph's numbers here.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from neuro.graph import ALIF, LIF, reference
from neuro.learning.local import FloatArray, Local, State, Synapses
from neuro.learning.rules import EProp


def start(rule: EProp, synapses: Synapses, batch: int) -> State:
    """Return the traces before step 0: nothing has arrived."""
    shape = (batch, synapses.size)
    if synapses.readout:
        return {"ebar": np.zeros((1, *shape))}
    longest = max((d for _, d in synapses.filters), default=0)
    return {
        "eps_v": np.zeros(shape),
        "eps_a": np.zeros(shape),
        "past": np.zeros((longest, *shape)),  # e(t-1), e(t-2), ...
        "ebar": np.zeros((len(synapses.filters), *shape)),
        "e": np.zeros(shape),
        "e_sum": np.zeros(shape),
        "n_spikes": np.zeros(shape),
        "steps": np.zeros(shape),
        "rate": np.full(shape, target_rate(rule, synapses)),
    }


def step(rule: EProp, synapses: Synapses, state: State, local: Local) -> tuple[State, FloatArray]:
    """Advance the traces to step t and return d loss(t) / d w as the synapse knows it."""
    state = advance(rule, synapses, state, local)
    gradient = (local.signal * state["ebar"]).sum(axis=0)
    return state, gradient + rate_gradient(rule, synapses, state)


def finish(rule: EProp, synapses: Synapses, state: State, modulator: FloatArray) -> FloatArray:
    """Return the gradient of the rate's loss, which is known when the sample has ended."""
    if synapses.readout or rule.rate_reg == 0 or rule.update == "step":
        return np.zeros(state["ebar"].shape[1:])
    steps = np.maximum(state["steps"], 1)
    off = state["n_spikes"] / steps - target_rate(rule, synapses)
    return rule.rate_reg * off / steps * state["e_sum"]


def advance(rule: EProp, synapses: Synapses, state: State, local: Local) -> State:
    """Return the traces after step t."""
    if synapses.readout:
        return {"ebar": synapses.kappa * state["ebar"] + local.x}
    eps_v = local.open * (synapses.alpha * local.keep * state["eps_v"] + local.x)
    e = local.psi * (eps_v - synapses.beta * state["eps_a"])
    eps_a = local.psi * eps_v + (synapses.rho - synapses.beta * local.psi) * state["eps_a"]
    past = state["past"]
    came = [past[delay - 1] for _, delay in synapses.filters]  # e(t - delay), delay >= 1
    kept = [kappa * old for (kappa, _), old in zip(synapses.filters, state["ebar"], strict=True)]
    ebar = np.array([k + c for k, c in zip(kept, came, strict=True)]).reshape(state["ebar"].shape)
    r = rate_decay(rule, synapses)
    return {
        "eps_v": eps_v,
        "eps_a": eps_a,
        "past": np.concatenate([e[None], past[:-1]]) if len(past) else past,
        "ebar": ebar,
        "e": e,
        "e_sum": state["e_sum"] + e,
        "n_spikes": state["n_spikes"] + local.z,
        "steps": state["steps"] + 1,
        "rate": r * state["rate"] + (1 - r) * local.z,
    }


def rate_gradient(rule: EProp, synapses: Synapses, state: State) -> FloatArray:
    """Return the gradient of the running rate's loss at step t; zero unless weights change at every step."""
    if synapses.readout or rule.rate_reg == 0 or rule.update != "step":
        return np.zeros(state["ebar"].shape[1:])
    off = state["rate"] - target_rate(rule, synapses)
    return rule.rate_reg * (1 - rate_decay(rule, synapses)) * off * state["e"]


def target_rate(rule: EProp, synapses: Synapses) -> float:
    """Return the wanted rate in spikes a step."""
    return rule.rate_target_hz * synapses.dt_ms / 1000


def rate_decay(rule: EProp, synapses: Synapses) -> float:
    """Return the decay of the running rate in one step."""
    return math.exp(-synapses.dt_ms / rule.tau_rate_ms)


def neuron(gamma: float, p: LIF, last: reference.State, now: reference.State, current: Any) -> dict[str, FloatArray]:
    """Return what a neuron tells its synapses at step t beside its spike: psi, keep, open, each (batch, size).

    last, now: its state before and after the step (`neuro.graph.reference`). current, (batch, size): I(t), bias included.
    """
    free = last["wait"] == 0
    beta = p.beta if isinstance(p, ALIF) else 0.0
    zero = p.reset == "zero"
    v = np.where(free, p.alpha * last["v"] + current, 0.0) if zero else now["v"]
    distance = (v - (p.v_th + beta * now["a"])) / p.v_th
    psi = gamma / p.v_th * np.maximum(0.0, 1 - np.abs(distance)) * free
    ones = np.ones_like(psi)
    return {"psi": psi, "keep": 1 - last["z"] if zero else ones, "open": free * ones if zero else ones}
