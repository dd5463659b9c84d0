"""Spike-timing-dependent plasticity: pair STDP, and its three-factor form that waits for a reward or an error.

What a synapse (i -> j, w, d) sees at step t: x(t) = s_i(t - d), the spike that arrives; z(t) = z_j(t), its neuron's spike; and of
the three-factor rule one number M(t). A spike that arrives at step t enters I_j(t) and can cause z_j(t): it counts as
before it. Two spikes at one step therefore potentiate, with the full a_plus, and do not depress. All pairs count.

The steps are IEEE double in exactly the order written, with no fused multiply-add: what follows them equals them bit for bit.

    pre(t)   = p_plus pre(t-1) + x(t)                                                   trace of arrivals
    post     = p_minus post(t-1)                                                        trace of the neuron's spikes, before z(t)
    c(t)     = z(t) (a_plus (F_plus pre(t))) - x(t) (a_minus (F_minus post))
    post(t)  = post + z(t)
    F_plus   = ((w_max - w(t)) / (w_max - w_min))^mu_plus,       F_minus = ((w(t) - w_min) / (w_max - w_min))^mu_minus
    stdp:         w(t+1) = settle(w(t) + lr c(t))
    reward_stdp:  e(t) = p_e e(t-1) + c(t),                      w(t+1) = settle(w(t) + lr (M(t) e(t)))

p = exp(-dt / tau) by `neuro.graph.decay`. A power with mu = 0 is 1 and with mu = 1 its base; any other is `math.pow`, the C
library's. Bounds "soft" is mu = 1 for both. settle rounds half to even to a multiple of the grid, then clips to the multiples of it
within w_min..w_max (`neuro.learning.bounds`). w(t) is what delivers at step t; w(t+1) delivers from step t+1 on, spikes that are in
flight too. M(t) is told to all synapses (factor "reward": the reward of step t, with tau_reward less its running mean,
`neuro.learning.baseline`) or to those of one neuron: factor "supervised", M_j(t) = -sum_k B_jk err_k(t), the errors of the signal's
units k that neuron j drives, by the weights B of its synapses to them (`neuro.learning.feedback`, "symmetric"), filter after filter.

Sources: exponential windows, Bi & Poo 1998 (J. Neurosci. 18:10464); all pairs, additive, hard bounds, a_minus tau_minus > a_plus tau_plus,
Song, Miller & Abbott 2000 (Nat. Neurosci. 3:919; their changes are in units of g_max, which is lr = w_max here); weight
dependence by mu, Guetig et al. 2003 (J. Neurosci. 23:3697; their lambda and lambda alpha are lr a_plus and lr a_minus); eligibility
and reward, Izhikevich 2007 (Cereb. Cortex 17:2443; his dopamine decays, a reward here lasts one step); reward less its mean, and
the view of three factors, Fremaux & Gerstner 2016 (Front. Neural Circuits 9:85).
"""

from __future__ import annotations

import math

import numpy as np

from neuro.graph import decay
from neuro.learning.local import FloatArray, Local, State, Synapses
from neuro.learning.rules import STDP, RewardSTDP


def start(rule: STDP, synapses: Synapses, batch: int) -> State:
    """Return the traces before step 0: all zero, each (batch, n)."""
    names = ("pre", "post", "e") if isinstance(rule, RewardSTDP) else ("pre", "post")
    return {name: np.zeros((batch, synapses.size)) for name in names}


def step(rule: STDP, synapses: Synapses, state: State, local: Local) -> tuple[State, FloatArray]:
    """Advance the traces to step t and return -c(t), or -M(t) e(t): the weight changes by -lr times it."""
    state, change = pair(rule, synapses, state, local)
    if not isinstance(rule, RewardSTDP):
        return state, -change
    e = _decay(rule.tau_e_ms, synapses) * state["e"] + change
    factor = -local.signal.sum(axis=0) if rule.needs_signal else local.modulator
    return {**state, "e": e}, -(factor * e)


def finish(rule: STDP, synapses: Synapses, state: State, modulator: FloatArray) -> FloatArray:
    """Return that the end of a sample adds nothing."""
    return np.zeros_like(state["pre"])


def pair(rule: STDP, synapses: Synapses, state: State, local: Local) -> tuple[State, FloatArray]:
    """Advance the traces of arrivals and spikes, and return c(t), the change that the pairs of step t ask for, before lr."""
    pre = _decay(rule.tau_plus_ms, synapses) * state["pre"] + local.x
    post = _decay(rule.tau_minus_ms, synapses) * state["post"]
    mu_plus, mu_minus = (1.0, 1.0) if rule.bounds == "soft" else (rule.mu_plus, rule.mu_minus)
    span = rule.w_max - rule.w_min
    up = rule.a_plus * (power((rule.w_max - local.w) / span, mu_plus) * pre)
    down = rule.a_minus * (power((local.w - rule.w_min) / span, mu_minus) * post)
    return {**state, "pre": pre, "post": post + local.z}, local.z * up - local.x * down


def power(base: FloatArray, mu: float) -> FloatArray:
    """Return base ** mu with the C library's pow: numpy's own differs from it in the last bit on some processors."""
    if mu == 0.0:
        return np.ones_like(base)
    if mu == 1.0:
        return base
    return np.array([math.pow(b, mu) for b in base.ravel().tolist()], np.float64).reshape(base.shape)


def _decay(tau_ms: float, synapses: Synapses) -> float:
    return float(decay(tau_ms, synapses.dt_ms))
