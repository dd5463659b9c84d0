"""Bound the weights that learn on Brian2, as the learning rules' reference does, so that every sum stays exact. Numpy only."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuro.errors import GraphError
from neuro.graph import CurrentInput, Graph, Projection

FloatArray = NDArray[np.float64]


def biased(graph: Graph) -> dict[str, Projection]:
    """Return the populations whose biases learn, each with the first projection whose rule says so."""
    found: dict[str, Projection] = {}
    for c in graph.projections:
        if isinstance(c, Projection) and c.plasticity is not None and c.plasticity.parameters.get("learn_bias", False):
            found.setdefault(c.target, c)
    return found


def limits(graph: Graph, c: Projection) -> tuple[FloatArray, FloatArray]:
    """Return the bounds of each weight on the grid: the rule's own, within what its neuron's sum has room for."""
    assert c.plasticity is not None
    p, stdp = c.plasticity.parameters, c.plasticity.rule != "eprop"
    most = _bound(graph, c.target)[c.post]
    high = np.minimum(most, p["w_max"]) if stdp or p["w_max"] else most
    low = np.maximum(-most, p["w_min"]) if stdp else -high
    grid: float = graph.population(c.target).grid  # type: ignore[union-attr, assignment]
    low, high = np.ceil(low / grid) * grid, np.floor(high / grid) * grid
    bad = np.flatnonzero((c.weight < low) | (c.weight > high))
    if bad.size:
        k = int(bad[0])
        raise GraphError(
            f"projection '{c.name}': weight out of bounds (got {c.weight[k]} at {k}, {bad.size} in all; need {low[k]}..{high[k]}). Make "
            "room for learning on the grid, or change w_max."
        )
    return low, high


def _bound(graph: Graph, name: str) -> FloatArray:
    """Return how far each plastic weight of a neuron may grow: what the other inputs leave of 2^53 g u, in equal parts."""
    p: Any = graph.population(name)
    learns = name in biased(graph)
    fixed, shares = np.abs(p.bias) * (not learns), np.full(p.size, float(learns))
    for plastic, post, weight, scale in _incoming(graph, name):
        np.add.at(shares if plastic else fixed, post, scale if plastic else np.abs(weight) * scale)
    steps = [s.u_step for c in graph.projections_to(name) if isinstance(s := graph.population(c.source), CurrentInput)]
    room = np.maximum(2.0**53 * p.grid * min(steps, default=1.0) - fixed, 0.0)
    shares = np.where(shares > 0, shares, 1.0)  # of a neuron without plastic synapses nobody asks
    most = np.floor(room / shares / p.grid) * p.grid
    return np.where(most * shares > room, most - p.grid, most)


def _incoming(graph: Graph, name: str) -> Iterator[tuple[bool, Any, Any, float]]:
    for c in graph.projections_to(name):
        source = graph.population(c.source)
        yield c.plasticity is not None, c.post, c.weight, source.u_max if isinstance(source, CurrentInput) else 1.0
