"""Read a graph's plasticity into a plan: which synapses and biases learn, by which rule, from which errors, within which bounds.

Backends that hold learning rules start from the same plan, so that what is refused, and how, is one matter for all of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuro.backend import Teacher
from neuro.errors import DataError, GraphError, UnsupportedError
from neuro.graph import ALIF, INTEGER, LI, CurrentInput, FloatReceiver, Graph, Projection, kind
from neuro.learning import bounds, feedback, integer
from neuro.learning.local import FloatArray, Synapses
from neuro.learning.rules import STDP, EProp, RewardEProp, Rule, rule_of

Index = NDArray[np.int32]


@dataclass(frozen=True, kw_only=True, eq=False)
class Site:
    """Where one rule changes numbers: the synapses of a projection, or the biases of a population.

    key: the projection's name, or "bias/" and the population's (no projection has a "/"). source: None for biases. pre, post, delay:
    (n,), of a bias 0, its neuron, 0. signal: the population whose output teaches, or None. low, high: (n,) bounds. grid: what the
    numbers are multiples of: the target's, or the scale of mantissas. rounding: None, or the key by which updates are rounded
    stochastically (`neuro.learning.integer`). routes: how errors come to the target (`neuro.learning.feedback`), none into a readout.
    """

    key: str
    rule: Rule
    signal: str | None
    source: str | None
    target: str
    pre: Index
    post: Index
    delay: Index
    synapses: Synapses
    routes: tuple[feedback.Route, ...]
    low: FloatArray
    high: FloatArray
    grid: float | None
    rounding: int | None = None

    def settled(self, wanted: FloatArray, sample: int, step: int) -> FloatArray:
        """Return what numbers (n,) become that are to be `wanted`: clipped and rounded; sample, step: of `neuro.learning.integer`."""
        n = len(wanted)
        uniform = None if self.rounding is None else integer.uniform(self.rounding, sample, step, n)
        return bounds.settle(wanted, self.low, self.high, self.grid, uniform)


@dataclass(frozen=True, kw_only=True, eq=False)
class Plan:
    """A graph that learns.

    weight: the numbers before learning, by projection (all of them) and by "bias/P" of the biases that learn. feedback: random or
    adaptive B before learning by "P/Y", (n_Y, n_P). adaptive: the decay of those that follow their readout's weights.
    """

    graph: Graph
    sites: tuple[Site, ...]
    weight: dict[str, FloatArray]
    feedback: dict[str, FloatArray]
    adaptive: dict[str, float]

    @property
    def batched(self) -> bool:
        """Tell whether weights stand still within a run, so that samples are independent of one another."""
        return all(site.rule.update == "batch" for site in self.sites)

    @property
    def actor(self) -> str | None:
        """Return the population from whose softmax actions are drawn, or None."""
        kinds = (RewardEProp, STDP)
        return next((s.signal for s in self.sites if isinstance(s.rule, kinds) and s.signal is not None), None)

    def check(self, teacher: Teacher, batch: int, steps: int) -> None:
        """Raise DataError, naming every fault, unless a teacher fits the plan and the stimulus."""
        found = list(_teacher_problems(self, teacher, batch, steps))
        if found:
            raise DataError("\n  ".join(found))


def prepare(graph: Graph) -> Plan:
    """Return the plan of a graph.

    Raises: UnsupportedError for an integer graph; GraphError if nothing is plastic, a rule or parameter is unknown, a signal is
    missing or is no readout, a weight is out of bounds, or rules want different feedback for one population.
    """
    integers = [p for p in graph.receivers if isinstance(p, INTEGER)]
    if integers:
        raise UnsupportedError(
            f"learn: graph of integers (got {kind(integers[0])} '{integers[0].name}'; need LIF, ALIF and LI). Learn on the float graph, "
            "by a rule with bits=8 in weights that a chip can hold, and quantize it afterwards."
        )
    sites = tuple(_sites(graph))
    if not sites:
        raise GraphError(
            "learn: nothing learns (got no projection with plasticity; need at least one). Call neuro.learning.attach."
        )
    weight = {c.name: c.weight for c in graph.projections}
    weight |= {s.key: p.bias for s in sites if s.source is None for p in graph.receivers if p.name == s.target}
    used = _feedback_rules(sites)
    return Plan(
        graph=graph,
        sites=sites,
        weight=weight,
        feedback={key: feedback.matrix(graph, rule, *key.split("/")) for key, rule in used.items()},
        adaptive={key: rule.feedback_decay for key, rule in used.items() if rule.feedback == "adaptive"},
    )


def _sites(graph: Graph) -> Iterator[Site]:
    for c in graph.projections:
        target: Any = graph.population(c.target)
        if c.plasticity is not None and isinstance(c, Projection):
            yield _site(graph, c, target, bias=False)
    for target in graph.receivers:
        teaching = bounds.learns_bias(graph, target.name)
        if teaching is not None:
            yield _site(graph, teaching, target, bias=True)


def _site(graph: Graph, c: Projection, target: FloatReceiver, bias: bool) -> Site:
    """Return the site of a projection, or of the biases of its target under the projection's rule."""
    assert c.plasticity is not None
    where = f"population '{target.name}': bias" if bias else f"projection '{c.name}'"
    rule, signal = rule_of(c.plasticity), c.plasticity.signal
    readouts = _checked_readouts(graph, c, rule, signal)
    filters: feedback.Filters = ((0.0, 0),)
    routes: tuple[feedback.Route, ...] = ()
    if not isinstance(target, LI):
        filters, routes = feedback.routes(graph, target.name, rule, readouts) if rule.needs_signal else ((), ())
    zeros, every = np.zeros(target.size, np.int32), np.arange(target.size, dtype=np.int32)
    pre, post, delay = (zeros, every, zeros) if bias else (c.pre, c.post, c.delay)
    weight = target.bias if bias else c.weight
    room, grid, key = bounds.bound(graph, target)[post], target.grid, None
    if rule.bits and not bias:
        integer.check(rule, weight, grid, where)
        grid, key = rule.scale, integer.key_of(rule, c.name)
        room = np.minimum(room, integer.most(rule) * grid)
    low, high = bounds.limits(rule, room, grid, where, weight)
    return Site(
        key=f"bias/{target.name}" if bias else c.name, rule=rule, signal=signal, source=None if bias else c.source,
        target=target.name, pre=pre, post=post, delay=delay, synapses=_synapses(target, post, filters, graph.dt_ms),
        routes=routes, low=low, high=high, grid=grid, rounding=key,
    )  # fmt: skip


def _synapses(target: FloatReceiver, post: Index, filters: feedback.Filters, dt_ms: float) -> Synapses:
    zeros = np.zeros(len(post))
    return Synapses(
        readout=isinstance(target, LI),
        alpha=zeros if isinstance(target, LI) else target.alpha[post],
        rho=target.rho[post] if isinstance(target, ALIF) else zeros,
        beta=target.beta[post] if isinstance(target, ALIF) else zeros,
        kappa=target.kappa[post] if isinstance(target, LI) else zeros,
        filters=filters,
        dt_ms=dt_ms,
    )


def _checked_readouts(graph: Graph, c: Projection, rule: Rule, signal: str | None) -> tuple[str, ...]:
    """Return the readouts that a rule learns from. Raises GraphError if they are missing or cannot teach this projection."""
    where = f"projection '{c.name}'"
    if rule.needs_signal and signal is None:
        lis = [p.name for p in graph.readouts]
        raise GraphError(
            f"{where}: no learning signal (got signal None; rule '{rule.name}' needs one of {', '.join(lis) or 'no readout'}). Name one."
        )
    readouts = rule.readouts(signal)
    for name in readouts:
        if not isinstance(graph.population(name), LI):
            raise GraphError(
                f"{where}: signal is no readout (got {kind(graph.population(name))} '{name}'; need an LI). Name a readout."
            )
    if isinstance(rule, RewardEProp) and graph.population(rule.value).size != 1:
        got = graph.population(rule.value).size
        raise GraphError(
            f"{where}: value readout '{rule.value}' has the wrong size (got {got}; need 1). Make it one unit."
        )
    if isinstance(rule, STDP):
        if isinstance(graph.population(c.target), LI) or isinstance(graph.population(c.source), CurrentInput):
            raise GraphError(
                f"{where}: STDP needs spikes at both ends (got {kind(graph.population(c.source))} to "
                f"{kind(graph.population(c.target))}). Leave this projection out."
            )
    elif isinstance(graph.population(c.target), LI) and c.target not in readouts:
        raise GraphError(
            f"{where}: ends in a readout that is not judged (got '{c.target}'; the signal is {', '.join(readouts)}). Name it as signal."
        )
    return readouts


def _feedback_rules(sites: tuple[Site, ...]) -> dict[str, EProp]:
    """Return by "P/Y" the rule that says how random or adaptive feedback is made; all that use one must agree."""
    found: dict[str, EProp] = {}
    for site in sites:
        for key in sorted({route.matrix for route in site.routes} - {""}):
            assert isinstance(site.rule, EProp)
            first = found.setdefault(key, site.rule)
            got, have = ((r.feedback, r.feedback_seed, r.feedback_scale, r.feedback_decay) for r in (site.rule, first))
            if got != have:
                raise GraphError(
                    f"population '{site.target}': two kinds of feedback by '{key}' (got {have} and {got}; need one feedback, seed, "
                    "scale and decay). Give its projections the same rule."
                )
    return found


def _teacher_problems(plan: Plan, teacher: Teacher, batch: int, steps: int) -> Iterator[str]:
    if (teacher.batch, teacher.steps) != (batch, steps):
        yield (
            f"teacher: shape does not fit the stimulus (got batch {teacher.batch}, steps {teacher.steps}; need {batch}, {steps}). Reshape it."
        )
    for site in plan.sites:
        rewarded = isinstance(site.rule, RewardEProp)
        needs = ("reward",) if rewarded else ("softmax", "regression") if site.rule.needs_signal else ()
        if needs and teacher.loss not in needs:
            yield (
                f"teacher: loss does not fit rule '{site.rule.name}' of '{site.key}' (got '{teacher.loss}'; need {' or '.join(needs)}). "
                "Change the loss or the rule."
            )
        if needs and not rewarded:
            yield from _outputs(plan, teacher, site.signal)
    if plan.actor is not None and teacher.choose.any():
        yield from _outputs(plan, teacher, plan.actor)


def _outputs(plan: Plan, teacher: Teacher, signal: str | None) -> Iterator[str]:
    size = plan.graph.population(signal or "").size
    if teacher.target.shape[2] != size:
        yield (
            f"teacher 'target': wrong number of outputs (got {teacher.target.shape[2]}; need {size}, the size of '{signal}'). Reshape it."
        )
