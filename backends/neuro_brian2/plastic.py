"""Say how synapses learn, in Brian2's language: pair STDP, reward-modulated STDP, e-prop. Nothing here imports Brian2.

A block runs at every step after the cells' spikes and before these are delivered. It reads x, what arrived at this step, and its
neuron's state (`cells.learning_cells`), and makes a gradient, so that the weight becomes settle(w - lr gradient). lr is 0 where nothing may
change: it is set between steps. New values have names of their own: of x = f(x) Brian2 would rearrange the right-hand side.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from neuro.graph import decay

Parameters = Mapping[str, Any]
Filters = tuple[tuple[float, int], ...]
"""(kappa, delay) of each way from a neuron to the readouts; each has its own trace and learning signal."""

_SETTLE = """
wanted = w - lr * gradient
within = clip(wanted, low, high)
w_new = neuro_rint(within / grid) * grid
moved = w_new - w
n_changes = n_changes + int(w_new != w)
w = w_new
"""
_SYNAPSE = "x = 0\n"
# A bias is a synapse from a neuron to itself whose x is always 1. I holds the bias of the next step already.
_BIAS = """
I_post += moved
shift_post += moved
"""

_PAIR = """
arrivals_now = p_plus * arrivals + x
spikes_before = p_minus * spikes
change = z_post * (a_plus * ({f_plus}arrivals_now)) - x * (a_minus * ({f_minus}spikes_before))
arrivals = arrivals_now
spikes = spikes_before + z_post
"""
_THREE_FACTORS = """
eligible_now = p_e * eligible + change
eligible = eligible_now
gradient = -({factor} * eligible_now)
"""

_READOUT = """
ebar_now = alpha_post * ebar + x
ebar = ebar_now
g = err_post * ebar_now
"""
_NEURON = """
eps = opens_post * (alpha_post * keep_post * eps_v + x)
psi = gamma / v_th_post * near_post
e_now = psi * (eps - beta_post * eps_a)
eps_a_now = psi * eps + (rho_post - beta_post * psi) * eps_a
eps_v = eps
eps_a = eps_a_now
"""
_RUNNING_RATE = """
rate_now = keep_rate * rate + lose_rate * z_post
rate = rate_now
gradient = g + rate_step * (rate_now - rate_target) * e_now
"""
_RATE_OF_SAMPLE = """
e_sum_now = e_sum + e_now
e_sum = e_sum_now
n_spikes_now = n_spikes + z_post
n_spikes = n_spikes_now
gradient = g_sum_now + rate_reg * (n_spikes_now / n_steps - rate_target) / n_steps * e_sum_now
"""
_SUM = """
g_sum_now = g_sum + g
g_sum = g_sum_now
"""


@dataclass(frozen=True)
class Block:
    """How the synapses of a projection learn.

    states: variables of a synapse by name, with their value before step 0 of a sample. shared: constants of all synapses by name. step:
    the statements. lr, update: of the rule. rewarded: there is M, one number told to all synapses. taught: errors reach the neurons.
    """

    step: str
    lr: float
    update: str
    states: Mapping[str, float] = field(default_factory=dict)
    shared: Mapping[str, float] = field(default_factory=dict)
    rewarded: bool = False
    taught: bool = False

    @property
    def equations(self) -> str:
        """Return the declaration of every variable of a learning synapse."""
        own = ["w", "gradient", "n_changes", "low", "high", *self.states]
        lines = [f"{name} : 1" for name in own]
        lines += [f"{name} : 1 (shared)" for name in ("lr", *(["M"] if self.rewarded else []))]
        return "\n".join([*lines, *(f"{name} : 1 (shared, constant)" for name in ("grid", *self.shared))])


def block(rule: str, p: Parameters, dt_ms: float, readout: bool, filters: Filters, bias: bool = False) -> Block:
    """Return the block of a rule.

    Parameters: p, every parameter of the rule; readout, the synapses end in a readout; filters, of the target neurons; bias, what learns is the
    neurons' biases.
    """
    if rule != "eprop":
        made = _stdp(rule, p, dt_ms, len(filters))
    else:
        made = _eprop_readout(p) if readout else _eprop_neuron(p, dt_ms, filters)
    ends = _SETTLE + (_BIAS if bias else _SYNAPSE)
    return replace(made, step=made.step + ends, states={**made.states, "x": float(bias)})


def _stdp(rule: str, p: Parameters, dt_ms: float, n_filters: int) -> Block:
    shared = {"p_plus": _decay(p["tau_plus_ms"], dt_ms), "p_minus": _decay(p["tau_minus_ms"], dt_ms)}
    shared.update({key: p[key] for key in ("a_plus", "a_minus", "w_min", "w_max")}, span=p["w_max"] - p["w_min"])
    mu = (1.0, 1.0) if p["bounds"] == "soft" else (p["mu_plus"], p["mu_minus"])
    factors = []
    for name, value, base in zip(
        ("mu_plus", "mu_minus"), mu, ("(w_max - w) / span", "(w - w_min) / span"), strict=True
    ):
        shared[name] = value
        factors.append({0.0: "", 1.0: f"({base}) * "}.get(value, f"neuro_pow({base}, {name}) * "))
    pair = _PAIR.format(f_plus=factors[0], f_minus=factors[1])
    states = {"arrivals": 0.0, "spikes": 0.0}
    if rule == "stdp":
        return Block(pair + "gradient = -change\n", p["lr"], "step", states, shared)
    shared["p_e"] = _decay(p["tau_e_ms"], dt_ms)
    taught = p["factor"] == "supervised"
    errors = " + ".join(f"L{f}_post" for f in range(n_filters))
    step = pair + _THREE_FACTORS.format(factor=f"(-({errors}))" if taught else "M")
    return Block(step, p["lr"], "step", {**states, "eligible": 0.0}, shared, rewarded=not taught, taught=taught)


def _eprop_readout(p: Parameters) -> Block:
    once = p["update"] == "step"
    step = _READOUT + ("gradient = g\n" if once else _SUM + "gradient = g_sum_now\n")
    return Block(step, p["lr"], p["update"], {"ebar": 0.0, **({} if once else {"g_sum": 0.0})}, taught=True)


def _eprop_neuron(p: Parameters, dt_ms: float, filters: Filters) -> Block:
    """Return the block of e-prop at a neuron. e_past1, e_past2, ... are e of 1, 2, ... steps ago."""
    longest, once, rated = max(d for _, d in filters), p["update"] == "step", p["rate_reg"] != 0
    lines = [f"bar{f} = kappa{f} * ebar{f} + e_past{d}\nebar{f} = bar{f}" for f, (_, d) in enumerate(filters)]
    lines += [f"e_past{d} = e_past{d - 1}" for d in range(longest, 1, -1)]
    lines += ["e_past1 = e_now", "g = " + " + ".join(f"L{f}_post * bar{f}" for f in range(len(filters)))]
    states = {"eps_v": 0.0, "eps_a": 0.0, **{f"e_past{d}": 0.0 for d in range(1, longest + 1)}}
    states.update({f"ebar{f}": 0.0 for f in range(len(filters))})
    shared = {"gamma": p["gamma"], **{f"kappa{f}": kappa for f, (kappa, _) in enumerate(filters)}}
    target, keep = p["rate_target_hz"] * dt_ms / 1000, _decay(p["tau_rate_ms"], dt_ms)
    rate = ""
    if once and rated:
        shared.update(rate_target=target, keep_rate=keep, lose_rate=1 - keep, rate_step=p["rate_reg"] * (1 - keep))
        states["rate"], rate = target, _RUNNING_RATE
    elif rated:
        shared.update(rate_target=target, rate_reg=p["rate_reg"], n_steps=0.0)  # the run sets n_steps
        states.update(e_sum=0.0, n_spikes=0.0, g_sum=0.0)
        rate = _SUM + _RATE_OF_SAMPLE
    elif once:
        rate = "gradient = g\n"
    else:
        states["g_sum"], rate = 0.0, _SUM + "gradient = g_sum_now\n"
    step = _NEURON + "\n".join(lines) + "\n" + rate
    return Block(step, p["lr"], p["update"], states, shared, taught=True)


def _decay(tau_ms: float, dt_ms: float) -> float:
    return float(decay(tau_ms, dt_ms))
