"""Keep learned weights on their grid and within bounds, so that every sum stays exact (semantics 2.1).

A population with grid g holds inputs of up to 2^53 g u (u: smallest step of its current inputs). What its plastic synapses may share of
that is what the others and the bias leave over, in equal parts: neuron j's n_j plastic synapses (a learned bias counts as one) may each grow to

    bound_j = (2^53 g u - sum of |w| u_max over the synapses that do not learn) / (sum of u_max over those that do),  u_max = 1 of spikes

rounded down to the grid. It depends on nothing that learning changes. `make_room` chooses the grid so that this is large enough.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from neuro.errors import GraphError
from neuro.graph import INTEGER, LI, CurrentInput, FloatReceiver, Graph, GridNote, Projection, to_grid
from neuro.learning import integer
from neuro.learning.local import FloatArray
from neuro.learning.rules import STDP, Rule, rule_of

GROWTH = 8.0
"""How far the largest plastic weight of a population may grow by default; three bits of a weight's 53."""


def make_room(graph: Graph, w_max: float = 0.0) -> tuple[Graph, GridNote]:
    """Return the graph on grids coarse enough that plastic weights can grow to w_max, and a note of what changed.

    w_max: 0: the rule's own w_max, or where that is 0 too GROWTH times the population's largest plastic weight, at least
    GROWTH times its threshold (a readout: 1). A population that has this room keeps its grid. Call it once, before learning: weights that have
    grown ask for more room, hence another grid.
    Weights whose rule has bits > 0 are rounded to these first (`neuro.learning.integer.to_bits`), and have room for the largest mantissa.
    """
    graph = integer.to_bits(graph)
    room: dict[str, float] = {}
    for p in graph.receivers:
        if isinstance(p, INTEGER):
            continue
        fixed, shares, largest = _loads(graph, p)
        if not shares.any():
            continue
        scale = 1.0 if isinstance(p, LI) else float(p.v_th.max())
        asked = w_max or max((max(rule.w_max, -getattr(rule, "w_min", 0.0)) for rule in _rules(graph, p)), default=0.0)
        mantissas = max((integer.most(rule) * rule.scale for rule in _rules(graph, p) if rule.bits), default=0.0)
        wanted = max(asked or GROWTH * max(largest, scale), largest, mantissas)
        if p.grid is None or (bound(graph, p)[shares > 0] < wanted).any():
            room[p.name] = float((fixed + shares * wanted).max()) * (1 + 2.0**-40)  # the bound is rounded down
    return to_grid(graph, room=room)


def bound(graph: Graph, p: FloatReceiver) -> FloatArray:
    """Return bound_j of each neuron, (size,); infinite without a grid or without plastic synapses."""
    if p.grid is None:
        return np.full(p.size, np.inf)
    fixed, shares, _ = _loads(graph, p)
    steps = [
        s.u_step for c in graph.projections_to(p.name) if isinstance(s := graph.population(c.source), CurrentInput)
    ]
    room = np.maximum(2.0**53 * p.grid * min(steps, default=1.0) - fixed, 0.0)
    some = shares > 0
    share = np.where(some, shares, 1.0)
    most = np.floor(room / share / p.grid) * p.grid
    over = most * share > room  # the quotient was rounded up
    return np.where(some, np.where(over, most - p.grid, most), np.inf)


def limits(
    rule: Rule, room: FloatArray, grid: float | None, where: str, weight: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return the lower and upper bound of each synapse, of shape (n,), on the grid: the rule's own, within `room` of its neuron.

    Raises GraphError if a weight is beyond them before learning begins.
    """
    high = np.minimum(room, rule.w_max) if rule.w_max or isinstance(rule, STDP) else room
    low = np.maximum(-room, rule.w_min) if isinstance(rule, STDP) else -high
    if grid is not None:
        low, high = np.ceil(low / grid) * grid, np.floor(high / grid) * grid
    bad = np.flatnonzero((weight < low) | (weight > high))
    if bad.size:
        k = int(bad[0])
        raise GraphError(
            f"{where}: weight out of bounds (got {weight[k]} at {k}, {bad.size} in all; need {low[k]}..{high[k]}). Call "
            "make_room before learning, or change w_max."
        )
    return low, high


def settle(
    weight: FloatArray, low: FloatArray, high: FloatArray, grid: float | None, uniform: FloatArray | None = None
) -> FloatArray:
    """Return weights clipped to their bounds (which are on the grid) and rounded to multiples of it.

    uniform: None: half to even. Else numbers in [0, 1), one a weight: up where it is less than the part above the multiple below,
    so that on average nothing is lost.
    """
    clipped = np.clip(weight, low, high)
    # All scalings are by a power of two; + 0.0 turns -0.0 into 0.0, as the graph does.
    if grid is None:
        return clipped + 0.0
    if uniform is None:
        return np.rint(clipped / grid) * grid + 0.0
    below = np.floor(clipped / grid)
    return (below + (uniform < clipped / grid - below)) * grid + 0.0


def with_weights(graph: Graph, weight: Mapping[str, FloatArray], bias: Mapping[str, FloatArray]) -> Graph:
    """Return the graph with other weights (by projection) and biases (by population); what is not named stays.

    Raises GraphError for numbers that are off the grid or too large. Parallel synapses of one delay are kept sorted by weight.
    """
    nodes: tuple[Any, ...] = graph.populations
    populations = tuple(replace(p, bias=bias[p.name]) if p.name in bias else p for p in nodes)
    projections = tuple(replace(c, weight=weight[c.name]) if c.name in weight else c for c in graph.projections)
    return replace(graph, populations=populations, projections=projections)


def learns_bias(graph: Graph, name: str) -> Projection | None:
    """Return the projection whose rule lets the biases of a population learn: the first that says so, or None."""
    for c in graph.projections_to(name):
        if c.plasticity is not None and getattr(rule_of(c.plasticity), "learn_bias", False):
            return c
    return None


def _rules(graph: Graph, p: FloatReceiver) -> list[Rule]:
    return [rule_of(c.plasticity) for c in graph.projections_to(p.name) if c.plasticity is not None]


def _loads(graph: Graph, p: FloatReceiver) -> tuple[FloatArray, FloatArray, float]:
    """Return what stays as it is, the shares that may grow, each (size,), and the largest weight among those."""
    bias = learns_bias(graph, p.name) is not None
    fixed = np.zeros(p.size) if bias else np.abs(p.bias)
    shares = np.full(p.size, float(bias))
    largest = float(np.abs(p.bias).max()) if bias else 0.0
    for c in graph.projections_to(p.name):
        source = graph.population(c.source)
        scale = source.u_max if isinstance(source, CurrentInput) else 1.0
        if c.plasticity is None:
            np.add.at(fixed, c.post, np.abs(c.weight) * scale)
        else:
            np.add.at(shares, c.post, scale)
            largest = max(largest, float(np.abs(c.weight).max(initial=0.0)))
    return fixed, shares, largest
