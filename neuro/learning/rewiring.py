"""Rewire a graph while it learns, its number of synapses constant: DEEP R (Bellec et al. 2018, arXiv 1711.05136) beside e-prop.

A synapse has a sign for life and a size theta: w = sign theta. After an update

1. a synapse whose weight has crossed zero is *dormant*: its weight is 0, it does nothing and learns nothing, until it is replaced
2. at each rewiring the others drift: theta += -lr l1 + sqrt(2 lr T) N(0, 1); those with theta <= 0, rounded to the grid, are dormant
3. each dormant synapse goes, and for each a free pair of the same projection is drawn, all equally likely, those just freed too; the
   new synapse has weight sign x one step of the grid, a random sign (or its sender's, by Dale's law) and a random delay

Everything is local: 1 and 2 take the synapse's own weight and noise, 3 what is free in its projection. lr is the rule's, decayed as in
the update. The number of synapses of each projection stays (the paper and `neuro.train.deep_r` share one budget over all, which
needs a count over the whole net). The optimiser's first moment of a new synapse is 0, its second the mean of those that stayed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuro.errors import GraphError, nearest
from neuro.graph import LI, Graph, Projection
from neuro.learning.bounds import learns_bias, settle, with_weights
from neuro.learning.config import RewireConfig
from neuro.learning.local import FloatArray
from neuro.learning.note import numbers
from neuro.learning.optimizer import Arrays, Moments
from neuro.learning.plan import Plan, Site, prepare
from neuro.learning.reference import followed
from neuro.learning.rules import EProp, rule_of
from neuro.seeds import stream

NEW_THETA = 1e-12
"""Size of a new synapse of a population without a grid (as in `neuro.train.deep_r`)."""
Index = NDArray[np.int64]
Signs = NDArray[np.int8]


@dataclass(frozen=True, kw_only=True, eq=False)
class Wiring:
    """Hold what stays of a graph however often it is rewired.

    delays: lowest and highest of each projection that is rewired, in steps. loops: whether it may join i with i: not where that is a neuron
    with itself, unless there was one such synapse before learning. signs: by population, int8 (size,): the sign of a new synapse of each sender, 0: drawn.
    """

    config: RewireConfig
    delays: Mapping[str, tuple[int, int]]
    loops: Mapping[str, bool]
    signs: Mapping[str, Signs]


@dataclass(frozen=True, kw_only=True, eq=False)
class Rewired:
    """Hold a graph after a rewiring.

    plan: of the new graph, `plan.graph`. feedback: by "P/Y"; adaptive matrices have followed their readout. origin: by projection that was
    rewired, int64 (n_synapses,), where each synapse was before, -1: it is new. n_clipped: weights that were beyond what a neuron with more
    synapses leaves each of them.
    """

    plan: Plan
    feedback: Arrays
    origin: Mapping[str, Index]
    n_clipped: int = 0

    @property
    def n_moved(self) -> dict[str, int]:
        """Return how many synapses of each projection are new."""
        return {name: int((origin < 0).sum()) for name, origin in self.origin.items()}


def wiring_of(graph: Graph, config: RewireConfig, seed: int) -> Wiring:
    """Read off a graph, before it learns, what rewiring must keep.

    config.projections None: all that learn by e-prop and end in neurons; readouts only if they are named. With config.dale a sender whose
    synapses all have one sign keeps it; one without synapses gets one from the stream "rewire/dale/POPULATION" of the seed.
    Raises: GraphError, naming every fault, if nothing is to be rewired or a projection cannot be.
    """
    able = {
        c.name: c for c in graph.projections if isinstance(c, Projection) and c.plasticity and isinstance(rule_of(c.plasticity), EProp)
    }  # fmt: skip
    names = config.projections
    if names is None:
        names = tuple(name for name, c in able.items() if not isinstance(graph.population(c.target), LI))
    found = [problem for name in names for problem in _problems(graph, name, able)]
    if not names:
        found = [
            "rewire: nothing to rewire (got no projection to neurons that learns by e-prop; need one). Name a readout's."
        ]
    if found:
        raise GraphError("\n  ".join(found))
    chosen = [c for c in able.values() if c.name in names]
    return Wiring(
        config=config,
        delays={c.name: (int(c.delay.min()), int(c.delay.max())) for c in chosen},
        loops={c.name: c.source != c.target or bool((c.pre == c.post).any()) for c in chosen},
        signs={name: _signs(graph, name, config.dale, seed) for name in sorted({c.source for c in chosen})},
    )


def after_update(
    plan: Plan, before: Graph, after: Graph, feedback: Arrays, wiring: Wiring, rng: np.random.Generator | None,
    factor: float = 1.0,
) -> Rewired:  # fmt: skip
    """Let synapses that have crossed zero go dormant, and rewire.

    Parameters
    ----------
    plan : Plan
        Of `before`: where its synapses are, and within which bounds.
    before, after : Graph
        Before and after the update; only weights and biases differ.
    feedback : mapping
        B by "P/Y" after the update.
    rng : Generator or None
        Every random number of this rewiring; None: there is none now, and dormant synapses wait.
    factor : float
        Of the decay of the learning rate.
    """
    held = _held(before, after, wiring)
    change = {name: weight - _projection(after, name).weight for name, weight in held.items()}
    feedback = followed(plan, feedback, change, fade=False)
    drifts = rng is not None and (wiring.config.l1 or wiring.config.temperature)
    if rng is not None and (drifts or any((weight == 0).any() for weight in held.values())):
        return _rewired(plan, after, held, feedback, wiring, rng, factor)
    crossed = {name: weight for name, weight in held.items() if change[name].any()}
    graph = with_weights(after, crossed, {}) if crossed else after
    return Rewired(plan=_of(plan, graph), feedback=feedback, origin={})


def carried(moments: Moments, origin: Mapping[str, Index]) -> Moments:
    """Return the optimiser's moments after a rewiring: they follow their synapses.

    A new synapse has first moment 0, and the mean of the others' second moments: from 0 Adam's first step would be some three times lr.
    """
    mean, square = dict(moments.mean), dict(moments.square)
    for name, at in origin.items():
        new = at < 0
        if name in mean:
            mean[name] = np.where(new, 0.0, mean[name][at])
        if name in square:
            typical = float(square[name][at[~new]].mean()) if not new.all() else float(square[name].mean())
            square[name] = np.where(new, typical, square[name][at])
    return replace(moments, mean=mean, square=square)


def free_pairs(
    rng: np.random.Generator, n: int, pre: Any, post: Any, shape: tuple[int, int], loops: bool
) -> tuple[Index, Index]:
    """Draw n different pairs that no synapse pre -> post joins, each equally likely; without loops none of equal numbers.

    shape: neurons of the source and of the target. Nothing of that size is made: memory is that of the synapses.
    """
    width = shape[1] if loops else shape[1] - 1
    pre, post = np.asarray(pre, np.int64), np.asarray(post, np.int64)
    taken = np.sort(pre * width + (post if loops else post - (post > pre)))
    rank = rng.choice(shape[0] * width - len(taken), size=n, replace=False)
    key = rank + np.searchsorted(taken - np.arange(len(taken)), rank, side="right")  # skips the pairs that are taken
    row, column = key // width, key % width
    return row, column if loops else column + (column >= row)


def _rewired(
    plan: Plan, after: Graph, held: Arrays, feedback: Arrays, wiring: Wiring, rng: np.random.Generator, factor: float
) -> Rewired:  # fmt: skip
    """Drift, and replace what is dormant. held: weights by projection, 0 of a dormant synapse."""
    sites, origin = {site.key: site for site in plan.sites}, {}
    projections: list[Projection] = []
    for c in after.projections:
        if c.name in wiring.delays:
            shape = (after.population(c.source).size, after.population(c.target).size)
            c, origin[c.name] = _redrawn(c, sites[c.name], held[c.name], shape, wiring, rng, factor)
        projections.append(c)
    bare = _bare(after, projections)  # bounds are those of the new structure, which the old weights may not fit
    found = prepare(bare)
    wanted = {c.name: c.weight for c in projections} | {
        s.key: numbers(after, s) for s in found.sites if s.source is None
    }
    new = {s.key: settle(wanted[s.key], s.low, s.high, s.grid) for s in found.sites}
    weight = {s.key: new[s.key] for s in found.sites if s.source is not None}
    graph = with_weights(bare, weight, {s.target: new[s.key] for s in found.sites if s.source is None})
    for name, at in origin.items():
        lost, born = -held[name], np.where(at < 0, weight[name], 0.0)
        lost[at[at >= 0]] += weight[name][at >= 0]
        feedback = followed(plan, feedback, {name: lost}, fade=False)
        feedback = followed(found, feedback, {name: born}, fade=False)
    n_clipped = sum(int(np.count_nonzero(new[key] != wanted[key])) for key in new)
    return Rewired(plan=_of(found, graph), feedback=feedback, origin=origin, n_clipped=n_clipped)


def _redrawn(
    c: Projection, site: Site, weight: FloatArray, shape: tuple[int, int], wiring: Wiring, rng: np.random.Generator, factor: float
) -> tuple[Projection, Index]:  # fmt: skip
    """Return a projection after drift and replacement, and where each of its synapses was before."""
    config, lr, sign = wiring.config, site.rule.lr * factor, np.sign(weight)
    theta = np.abs(weight) - lr * config.l1
    if config.temperature:
        theta += math.sqrt(2 * lr * config.temperature) * rng.standard_normal(len(theta))
    moved = settle(sign * theta, site.low, site.high, site.grid)
    old = np.flatnonzero(sign * moved > 0)
    pre, post = free_pairs(rng, len(weight) - len(old), c.pre[old], c.post[old], shape, wiring.loops[c.name])
    new_sign = wiring.signs[c.source][pre]
    new_sign = np.where(new_sign == 0, rng.choice(np.array([-1, 1]), size=len(pre)), new_sign)
    low, high = wiring.delays[c.name]
    delay = np.concatenate([c.delay[old], rng.integers(low, high, size=len(pre), endpoint=True)])
    pre, post = np.concatenate([c.pre[old], pre]), np.concatenate([c.post[old], post])
    whole = np.concatenate([moved[old], new_sign * (NEW_THETA if site.grid is None else site.grid)])
    origin = np.concatenate([old, np.full(len(weight) - len(old), -1)])
    order = np.lexsort([post, pre])  # no two synapses join one pair
    made = replace(c, pre=pre[order], post=post[order], weight=whole[order], delay=delay[order])
    return made, origin[order]


def _held(before: Graph, after: Graph, wiring: Wiring) -> dict[str, FloatArray]:
    """Return the weights after an update, 0 where they have not the sign that they had before, or had none."""
    out = {}
    for name in wiring.delays:
        old, new = _projection(before, name).weight, _projection(after, name).weight
        out[name] = np.where(np.sign(old) * new > 0, new, 0.0)
    return out


def _bare(graph: Graph, projections: list[Projection]) -> Graph:
    """Return a graph with these projections, all that e-prop may change being 0."""
    plastic = [c for c in projections if c.plasticity is not None and isinstance(rule_of(c.plasticity), EProp)]
    blank = {c.name: replace(c, weight=np.zeros(c.size)) for c in plastic}
    targets = {p.name for p in graph.receivers if (by := learns_bias(graph, p.name)) is not None and by.name in blank}
    nodes: tuple[Any, ...] = graph.populations
    populations = tuple(replace(p, bias=np.zeros(p.size)) if p.name in targets else p for p in nodes)
    return replace(graph, populations=populations, projections=tuple(blank.get(c.name, c) for c in projections))


def _of(plan: Plan, graph: Graph) -> Plan:
    """Return a plan whose graph has other numbers."""
    weight = {c.name: c.weight for c in graph.projections}
    return replace(
        plan, graph=graph, weight=weight | {s.key: numbers(graph, s) for s in plan.sites if s.source is None}
    )


def _projection(graph: Graph, name: str) -> Projection:
    return next(c for c in graph.projections if c.name == name)


def _signs(graph: Graph, source: str, dale: bool, seed: int) -> Signs:
    """Return the sign of new synapses of each neuron of a population, 0: drawn for each."""
    size = graph.population(source).size
    if not dale:
        return np.zeros(size, np.int8)
    up, down = np.zeros(size, bool), np.zeros(size, bool)
    for c in graph.projections_from(source):
        up[c.pre[c.weight > 0]] = True
        down[c.pre[c.weight < 0]] = True
    drawn = stream(seed, f"rewire/dale/{source}").choice(np.array([-1, 1]), size=size)
    return np.where(up | down, up.astype(int) - down.astype(int), drawn).astype(np.int8)


def _problems(graph: Graph, name: str, able: Mapping[str, Projection]) -> Iterator[str]:
    where = f"rewire: projection '{name}'"
    if name not in able:
        held = next((c for c in graph.projections if c.name == name), None)
        if held is None:
            yield f"{where} is not in the graph (got '{name}'; need one of {', '.join(able)}). {nearest(name, able)}".rstrip()
        else:
            got = "no rule" if held.plasticity is None else f"'{held.plasticity.rule}'"
            yield f"{where} does not learn by e-prop (got {got}; need eprop or reward_eprop). Attach one, or leave it out."
        return
    c = able[name]
    n_double = c.size - len(np.unique(c.pre.astype(np.int64) * (graph.population(c.target).size) + c.post))
    if n_double:
        yield f"{where} joins pairs more than once (got {n_double} parallel synapses; need 0). Split it, or leave it out."
    bits = c.plasticity.parameters.get("bits", 0) if c.plasticity is not None else 0
    if bits:
        yield f"{where} rounds its weights (got bits = {bits}; need 0): a drift below a level would be lost. Rewire in doubles."
    if not c.size:
        yield f"{where} has no synapses (got 0; need at least 1). Leave it out."
