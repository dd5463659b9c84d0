"""Lay out the synapses of a graph for Lava: one connection for each population that synapses end in."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuro.graph import INPUTS, SCALE_BITS, Graph, IntProjection
from neuro_lava.stock import NOTHING_STOCK, Plan


@dataclass(frozen=True, eq=False)
class Wiring:
    """All synapses into one population that are not stock; their sources are numbered through, one after another.

    sources, sizes: names and sizes of the populations that send. pre: int64, row among all sources; post: int64;
    lag: int64, Lava steps in the connection beyond the one that every connection takes; weight: float64, or in an integer
    graph int64, in units of u, and of 2**6 of them into a stock LIF.
    """

    sources: tuple[str, ...]
    sizes: tuple[int, ...]
    pre: NDArray[np.int64]
    post: NDArray[np.int64]
    lag: NDArray[np.int64]
    weight: NDArray[Any]


def wire(graph: Graph, plan: Plan = NOTHING_STOCK) -> dict[str, Wiring]:
    """Return the wiring into every receiving population, tied so that all of it hangs together.

    Lava's compiler silently drops what is not connected with the rest (0.10.0: collapse_subgraph_to_node). So a part of the
    graph that stands alone gets one more source: a population of the first part, without a synapse.
    """
    found = {p.name: _into(graph, p.name, plan) for p in graph.receivers}
    first, *others = parts(graph) or [[]]
    for part in others:
        target = next(name for name in part if name in found)
        w = found[target]
        found[target] = replace(w, sources=(*w.sources, first[0]), sizes=(*w.sizes, graph.population(first[0]).size))
    return found


def _into(graph: Graph, target: str, plan: Plan) -> Wiring:
    """Return the wiring into one population; projections without synapses leave no trace.

    A graph delay d is a lag of d from inputs, whose sources run a step ahead, and of d - 1 between neurons.
    """
    projections = [c for c in graph.projections_to(target) if c.size and c.name not in plan.projections]
    unit = SCALE_BITS if target in plan.populations else 0
    names = tuple(dict.fromkeys(c.source for c in projections))
    populations = [graph.population(name) for name in names]
    first = dict(zip(names, np.cumsum([0, *(p.size for p in populations)]).tolist(), strict=False))
    ahead = {p.name: 0 if isinstance(p, INPUTS) else 1 for p in populations}
    empty = np.zeros(0, np.int64)
    none = np.zeros(0, np.int64 if graph.semantics == "integer" else np.float64)
    return Wiring(
        sources=names,
        sizes=tuple(p.size for p in populations),
        pre=np.concatenate([empty, *(c.pre + np.int64(first[c.source]) for c in projections)]),
        post=np.concatenate([empty, *(c.post.astype(np.int64) for c in projections)]),
        lag=np.concatenate([empty, *(c.delay - np.int64(ahead[c.source]) for c in projections)]),
        weight=np.concatenate(
            [none, *(c.activation >> unit if isinstance(c, IntProjection) else c.weight for c in projections)]
        ),
    )


def parts(graph: Graph) -> list[list[str]]:
    """Return the populations in groups that are connected; inputs that nothing listens to are in none."""
    found: list[list[str]] = []
    for p in graph.receivers:
        together = [p.name, *dict.fromkeys(c.source for c in graph.projections_to(p.name) if c.size)]
        touched = [part for part in found if set(part) & set(together)]
        found = [part for part in found if part not in touched]
        found.append(list(dict.fromkeys([name for part in touched for name in part] + together)))
    return found
