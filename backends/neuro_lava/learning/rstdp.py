"""Read reward-modulated STDP for Lava's learning engine: what it refuses, and its numbers in floating point and in 7 and 8 bits. Numpy only.

The engine (lava-nc 0.10, `Loihi3FLearningRule`) keeps a trace x1 of each sender's spikes and a tag t of each synapse; a neuron sends
it, beside its spikes y0, three traces y1, y2, y3 of its own making. At the end of each epoch it takes, from the values as they then are,

    t <- t + y0 x1 - x0 y1 - t y3,          w <- w + t y2           x0, y0: there was a spike.  The right sides see the old t.

With x1 = a_plus pre, y1 = a_minus post (before the spike of this step), y3 = 1 - exp(-dt / tau_e) and y2(t) = lr M(t-1) that is `reward_stdp`,
one step later: t is e, and w changes a step after the reward. y3 spares the decay a literal of the rule's text, which is a whole number
below 8 times a power of two.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuro.errors import DataError, UnsupportedError
from neuro.graph import LIF, CurrentInput, Graph, Projection, decay

FloatArray = NDArray[np.float64]
RULES = frozenset({"reward_stdp"})
MODELS = ("float", "fixed")

HELD = math.exp(1 / 65535)
"""What undoes the decay of y traces: the engine gives those that a neuron makes a time constant of 65535 steps (learning_rule.py)."""
TRACE_MAX, WEIGHT_MAX, TAG_MAX, EPOCH_MAX = 127, 255, 255, 63
_LOWEST, _HIGHEST = -7, 8
"""Exponents of a literal in a learning rule."""
_PRODUCT_SHIFT = 5
"""Bits that a product of tag and trace loses: 9 + 7 + 4 bits into an accumulator of 15 (learning_rule_applier.py)."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Learner:
    """A projection that learns by reward-modulated STDP, as Lava can hold it.

    | field | unit, shape | meaning |
    | --- | --- | --- |
    | name | | of the projection |
    | pre, post | int32, (n,) | ends of each synapse; one synapse a pair |
    | delay | steps | of all synapses |
    | weight | float64, (n_post, n_pre) | weights before learning; 0 where there is no synapse |
    | tau_plus, tau_minus | steps | decay of the traces of arrivals and of spikes |
    | keep_e | | decay of the eligibility in one step, exp(-dt / tau_e) |
    | lr, a_plus, a_minus, w_min, w_max, baseline | | as in the rule |
    """

    name: str
    pre: NDArray[np.int32]
    post: NDArray[np.int32]
    delay: int
    weight: FloatArray
    tau_plus: float
    tau_minus: float
    keep_e: float
    lr: float
    a_plus: float
    a_minus: float
    w_min: float
    w_max: float
    baseline: float

    def synapses(self, matrix: FloatArray) -> FloatArray:
        """Return the entries of matrices (..., n_post, n_pre) that are synapses, (..., n), in the graph's order."""
        return np.ascontiguousarray(matrix[..., self.post, self.pre])


@dataclass(frozen=True, kw_only=True, eq=False)
class Numbers:
    """What the engine, and the neurons that feed it, compute with.

    dt, dw: the rule's text. x1: what a spike adds to its trace. y1: likewise, of the neuron's own. y3: sent at each step. y2: what a third
    factor of 1 is sent as. unit: weight of 1.0 in the engine. whole: all of these are whole numbers, within the widths of the chip.
    """

    dt: str
    dw: str
    x1: float
    y1: float
    y2: float
    y3: float
    unit: float
    whole: bool


@dataclass(frozen=True, kw_only=True, eq=False)
class Spikes:
    """What drives the engine. arrived, (steps, n_pre), and fired, (steps, n_post): bool; factor, (steps,): M(t)."""

    arrived: NDArray[np.bool_]
    fired: NDArray[np.bool_]
    factor: FloatArray

    def __post_init__(self) -> None:
        if not len(self.arrived) == len(self.fired) == len(self.factor) > 0:
            got = len(self.arrived), len(self.fired), len(self.factor)
            raise DataError(
                f"replay: lengths differ (got {got} steps of arrivals, spikes, factor; need one length). Cut them."
            )

    def check(self, learner: Learner) -> None:
        """Raise DataError unless there is a column for each neuron at both ends of a projection."""
        got, (n_post, n_pre) = (self.arrived.shape[1], self.fired.shape[1]), learner.weight.shape
        if got != (n_pre, n_post):
            raise DataError(
                f"replay: sizes do not fit projection '{learner.name}' (got {got[0]} senders and {got[1]} neurons; need {n_pre} and "
                f"{n_post}). Give the spikes of its ends."
            )


def read(graph: Graph, name: str) -> Learner:
    """Return how a projection learns. Raises UnsupportedError, with every reason, for what the engine cannot hold."""
    c = next((c for c in graph.projections if c.name == name), None)
    found = list(_refused(graph, c))
    if found:
        raise UnsupportedError(
            f"backend 'lava': the learning engine cannot hold projection '{name}' (got {'; '.join(found)}). The engine of neuro runs "
            "every rule: use backend='engine'."
        )
    assert isinstance(c, Projection) and c.plasticity is not None
    p: Any = c.plasticity.parameters
    shape = graph.population(c.target).size, graph.population(c.source).size
    weight = np.zeros(shape)
    weight[c.post, c.pre] = c.weight
    return Learner(
        name=name, pre=c.pre, post=c.post, delay=int(c.delay[0]), weight=weight, lr=p["lr"],
        tau_plus=p["tau_plus_ms"] / graph.dt_ms, tau_minus=p["tau_minus_ms"] / graph.dt_ms,
        keep_e=float(decay(p["tau_e_ms"], graph.dt_ms)), a_plus=p["a_plus"], a_minus=p["a_minus"], w_min=p["w_min"],
        w_max=p["w_max"], baseline=p["baseline"],
    )  # fmt: skip


def _refused(graph: Graph, c: Any) -> Any:
    """Yield what the engine cannot hold, each with what it can."""
    if not isinstance(c, Projection) or c.plasticity is None or c.plasticity.rule not in RULES:
        held = getattr(c, "plasticity", None)
        yield f"rule {held.rule if held else None!r} (can: {', '.join(sorted(RULES))})"
        return
    p: Any = c.plasticity.parameters
    if isinstance(graph.population(c.source), CurrentInput) or not isinstance(graph.population(c.target), LIF):
        yield "no spikes at both ends (can: from spike inputs and neurons into neurons)"
    if p.get("bits", 0):
        yield f"weights of {p['bits']} bits (can: bits 0; the fixed-point model has 8 of its own)"
    if p["factor"] != "reward":
        yield f"factor '{p['factor']}' (can: reward)"
    if p["bounds"] != "hard" or p["mu_plus"] or p["mu_minus"]:
        yield f"bounds '{p['bounds']}', mu_plus {p['mu_plus']}, mu_minus {p['mu_minus']} (can: hard, 0, 0)"
    if c.size == 0 or len(np.unique(c.delay)) != 1:
        yield f"delays {sorted({int(d) for d in c.delay})} (can: one)"
    if len(np.unique(np.stack([c.pre, c.post]), axis=1).T) != c.size:
        yield "several synapses to a pair (can: one)"


def numbers(learner: Learner, spikes: Spikes, model: str, epoch: int = 1) -> Numbers:
    """Return the engine's numbers for a model, "float" or "fixed". epoch: steps between changes of weights.

    fixed: traces and tags fill their bits with the largest values that these spikes lead to (`largest`).
    Raises: UnsupportedError for a model without a name, and for a rule whose changes do not fit the chip's widths.
    """
    if model not in MODELS:
        raise UnsupportedError(f"backend 'lava': unknown model (got {model!r}; need one of {', '.join(MODELS)}).")
    if not 1 <= epoch <= EPOCH_MAX:
        raise UnsupportedError(f"backend 'lava': epoch out of range (got {epoch!r}; need 1..{EPOCH_MAX} steps).")
    faded = 1 - learner.keep_e**epoch
    if model == "float":
        return Numbers(
            dt="y0 * x1 - x0 * y1 - u0 * t * y3", dw="u0 * t * y2", x1=learner.a_plus, y1=HELD * learner.a_minus,
            y2=HELD * learner.lr, y3=HELD * faded, unit=1.0, whole=False,
        )  # fmt: skip
    pre, post, e = largest(learner, spikes)
    scale = TRACE_MAX / max(learner.a_plus * pre, learner.a_minus * post)
    k = math.floor(math.log2(TAG_MAX / (scale * e)))
    unit = WEIGHT_MAX / learner.w_max
    tag = scale * 2.0**k
    # 2**(g - 5) y2 t = unit lr M e with t = tag e: y2 of the largest M fills 7 bits
    told = np.add.reduceat(spikes.factor, np.arange(0, len(spikes.factor), epoch))
    most = max(float(np.abs(told).max()), 1e-9)
    g = math.ceil(math.log2(unit * learner.lr * most / tag / TRACE_MAX)) + _PRODUCT_SHIFT
    h = max(math.ceil(math.log2(faded / TRACE_MAX)) + _PRODUCT_SHIFT, _LOWEST)
    found = {"tag": k, "weight": g, "decay": h}
    if learner.w_min != 0 or not all(_LOWEST <= exponent <= _HIGHEST for exponent in found.values()):
        raise UnsupportedError(
            f"backend 'lava': projection '{learner.name}' does not fit 8-bit weights (got w_min {learner.w_min}, exponents {found}; need "
            f"w_min 0, {_LOWEST}..{_HIGHEST}). Change lr, a_plus, a_minus or tau_e_ms, or use the floating-point model."
        )
    return Numbers(
        dt=f"2^{k} * y0 * x1 - 2^{k} * x0 * y1 - 2^{h} * u0 * t * y3", dw=f"2^{g} * u0 * t * y2",
        x1=float(round(scale * learner.a_plus)), y1=float(round(scale * learner.a_minus)),
        y2=unit * learner.lr / tag * 2.0 ** (_PRODUCT_SHIFT - g), y3=float(round(faded * 2.0 ** (_PRODUCT_SHIFT - h))),
        unit=unit, whole=True,
    )  # fmt: skip


def largest(learner: Learner, spikes: Spikes) -> tuple[float, float, float]:
    """Return how far pre, post and |e| rise, in IEEE double, with these spikes; at least 1e-9."""
    keep_plus, keep_minus = math.exp(-1 / learner.tau_plus), math.exp(-1 / learner.tau_minus)
    pre: FloatArray = np.zeros(spikes.arrived.shape[1])
    post: FloatArray = np.zeros(spikes.fired.shape[1])
    e, found = np.zeros(learner.weight.shape), [1e-9] * 3
    for x, z in zip(spikes.arrived.astype(float), spikes.fired.astype(float), strict=True):
        pre, post = keep_plus * pre + x, keep_minus * post
        e = learner.keep_e * e + np.outer(learner.a_plus * z, pre) - np.outer(learner.a_minus * post, x)
        post = post + z
        seen = (pre.max(), post.max(), np.abs(e).max())
        found = [max(old, float(new)) for old, new in zip(found, seen, strict=True)]
    return found[0], found[1], found[2]
