"""Reward-based e-prop: an actor and a critic that learn from one number told to all synapses, the TD error.

With the eligibilities ebar_f of `neuro.learning.eprop`, policy pi = softmax(y of the signal) and value V = y of the value's readout:

    delta(t) = r(t) + discount V(t+1) - V(t)                          V after the last step is 0
    err(t)   = pi_k(t) - 1[a(t) = k]   of policy unit k, 0 where no action is drawn;     -c_V   of the value's unit
    F(t)     = discount F(t-1) + sum_f L_f,j(t) ebar_f(t)             L_f,j(t) = sum of B_jk err_k(t) over both readouts' units
    dw       = sum over t of delta(t) F(t)                            w becomes w - lr dw

and likewise for the synapses into the readouts, with their own err and filtered spikes. It is the derivative, delta held constant, of

    - sum over t of delta(t) sum over s <= t of discount^(t-s) (log pi_a(s) + c_V V(s))

in the network cut as for e-prop. delta(t) is known at t + 1 only: update "step" changes weights by delta(t-1) F(t-1) after step t,
and by the last one when the sample ends. The entropy's bonus, - c_H H(pi) at each choice, and the rate's loss are not gated by delta.

| parameter | symbol | default | meaning |
| --- | --- | --- | --- |
| discount | gamma | 0.99 | discount a step, in delta and in F |
| value_cost | c_V | 0.5 | weight of the value's error |
| entropy | c_H | 0.0 | weight of the entropy's bonus |

Source: Bellec et al. 2020, equations 5, 36 and 37, with the same signs. Rewards and actions come at the steps that the teacher
names (`neuro.backend.Teacher`; its mask is not used): the value learns at every step, the policy where an action is drawn.
"""

from __future__ import annotations

import numpy as np

from neuro.learning import eprop
from neuro.learning.local import FloatArray, Local, State, Synapses
from neuro.learning.rules import RewardEProp


def start(rule: RewardEProp, synapses: Synapses, batch: int) -> State:
    """Return the traces before step 0; F is "discounted"."""
    return {**eprop.start(rule, synapses, batch), "discounted": np.zeros((batch, synapses.size))}


def step(rule: RewardEProp, synapses: Synapses, state: State, local: Local) -> tuple[State, FloatArray]:
    """Advance the traces to step t and return delta(t-1) F(t-1) and what no reward gates."""
    gated = local.modulator * state["discounted"]
    now = eprop.advance(rule, synapses, state, local)
    now["discounted"] = rule.discount * state["discounted"] + (local.signal * now["ebar"]).sum(axis=0)
    free = rule.entropy * (local.bonus * now["ebar"]).sum(axis=0)
    return now, gated + free + eprop.rate_gradient(rule, synapses, now)


def finish(rule: RewardEProp, synapses: Synapses, state: State, modulator: FloatArray) -> FloatArray:
    """Return delta(T-1) F(T-1) and the gradient of the rate's loss."""
    return modulator * state["discounted"] + eprop.finish(rule, synapses, state, modulator)
