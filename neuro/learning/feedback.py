"""Send the errors of readouts back to neurons: by which ways, and with which weights.

A spike of neuron j reaches readout unit k through synapses of some delay d, and unit k forgets with its kappa. An eligibility
trace is kept for each pair (kappa, d) that occurs, a *filter*; its learning signal is the sum over the readout units of that filter

    L_f,j(t) = sum over k in f of B_jk err_k(t)

- "symmetric": B_jk is the sum of the weights of the synapses j -> k of that delay, as they are at step t.
- "random": B_jk = feedback_scale / sqrt(n_P) N(0, 1) from the stream `feedback/P/Y` of feedback_seed, for all pairs of population P
  and readout Y, whether joined or not; its delay is the one delay of the projections P -> Y (1 if there is none).
- "adaptive": B starts as "random"; at each update B += the change of the readout's weights, then B *= 1 - feedback_decay.

With filter = False every kappa counts as 0. Source: Bellec et al. 2020, "Results" and equation 28; their weight decay shrinks the
readout's weights too.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuro import seeds
from neuro.errors import GraphError
from neuro.graph import LI, Graph, Projection
from neuro.learning.local import FloatArray
from neuro.learning.rules import EProp, Rule

Index = NDArray[np.int64]
Filters = tuple[tuple[float, int], ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class Route:
    """One part of one filter's learning signal.

    filter: its number. readout: whose error it carries. projection, synapses: symmetric, the synapses whose weights carry it, from
    neuron `pre` to readout unit `post`. matrix, units: else the matrix "P/Y" of shape (n_Y, n_P), and the units of this filter.
    """

    filter: int
    readout: str
    projection: str = ""
    synapses: Index
    pre: Index
    post: Index
    matrix: str = ""
    units: Index


_NONE: Index = np.zeros(0, np.int64)


def routes(graph: Graph, target: str, rule: Rule, readouts: tuple[str, ...]) -> tuple[Filters, tuple[Route, ...]]:
    """Return the filters of a neuron population's learning signal, in rising order, and the routes that make it.

    Raises GraphError if no error can reach the population, or random feedback finds projections of several delays.
    """
    kind = getattr(rule, "feedback", "symmetric")
    found: list[tuple[tuple[float, int], Route]] = []
    for name in readouts:
        y = graph.population(name)
        assert isinstance(y, LI)
        kappa = y.kappa if getattr(rule, "filter", True) else np.zeros(y.size)
        joined = [c for c in graph.projections_to(name) if c.source == target and isinstance(c, Projection)]
        if kind == "symmetric":
            found += _symmetric(name, kappa, joined)
        else:
            found += _dense(name, kappa, joined, target, kind)
    if not found and rule.needs_signal:
        raise GraphError(
            f"population '{target}': no error reaches it (got no synapse from it to {', '.join(readouts)}; need one for symmetric "
            "feedback). Connect it, or use feedback='random'."
        )
    filters = tuple(sorted({key for key, _ in found}))
    return filters, tuple(replace(route, filter=filters.index(key)) for key, route in found)


def _symmetric(name: str, kappa: FloatArray, joined: list[Projection]) -> list[tuple[tuple[float, int], Route]]:
    found = []
    for c in joined:
        for key in sorted(set(zip(kappa[c.post].tolist(), c.delay.tolist(), strict=True))):
            mine = np.flatnonzero((kappa[c.post] == key[0]) & (c.delay == key[1]))
            route = Route(
                filter=0, readout=name, projection=c.name, synapses=mine, pre=c.pre[mine].astype(np.int64),
                post=c.post[mine].astype(np.int64), units=_NONE,
            )  # fmt: skip
            found.append((key, route))
    return found


def _dense(
    name: str, kappa: FloatArray, joined: list[Projection], target: str, kind: str
) -> list[tuple[tuple[float, int], Route]]:
    delays = sorted({int(d) for c in joined for d in c.delay})
    if len(delays) > 1:
        raise GraphError(
            f"population '{target}': {kind} feedback from '{name}' needs one delay (got {delays[0]}..{delays[-1]} steps; need one for "
            "all synapses to the readout). Use symmetric feedback, or connect with one delay."
        )
    if kind == "adaptive" and not any(c.plasticity for c in joined):
        raise GraphError(
            f"population '{target}': adaptive feedback from '{name}' has nothing to follow (got no plastic synapse from '{target}' to "
            f"'{name}'; need one). Let the readout learn, or use feedback='random'."
        )
    found = []
    for value in sorted(set(kappa.tolist())):
        route = Route(
            filter=0, readout=name, matrix=f"{target}/{name}", units=np.flatnonzero(kappa == value), synapses=_NONE,
            pre=_NONE, post=_NONE,
        )  # fmt: skip
        found.append(((value, delays[0] if delays else 1), route))
    return found


def matrix(graph: Graph, rule: EProp, target: str, readout: str) -> FloatArray:
    """Draw random feedback B of shape (n_Y, n_P), as it is before any update."""
    shape = (graph.population(readout).size, graph.population(target).size)
    rng = seeds.stream(rule.feedback_seed, f"feedback/{target}/{readout}")
    return rng.standard_normal(shape) * (rule.feedback_scale / math.sqrt(shape[1]))


def learning_signal(
    ways: tuple[Route, ...], shape: tuple[int, int, int], errors: Mapping[str, FloatArray], weight: Mapping[str, FloatArray],
    matrices: Mapping[str, FloatArray],
) -> FloatArray:  # fmt: skip
    """Return L of shape (filters, batch, size) from the errors (batch, K) of the readouts.

    weight: the current weights by projection, of those that learn and those that do not; matrices: the current B by "P/Y".
    """
    total = np.zeros(shape)
    for way in ways:
        err = errors[way.readout]
        if way.matrix:
            total[way.filter] += err[:, way.units] @ matrices[way.matrix][way.units]
        else:
            np.add.at(total[way.filter].T, way.pre, (weight[way.projection][way.synapses] * err[:, way.post]).T)
    return total


def follow(b: FloatArray, pre: Any, post: Any, change: FloatArray) -> FloatArray:
    """Return adaptive feedback after the synapses pre -> post of its readout changed; parallel synapses add."""
    moved = b.copy()
    np.add.at(moved, (post, pre), change)
    return moved
