"""Put a graph on its grid, so that every sum of inputs is exact in any order (DESIGN 2.1)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from neuro.errors import GraphError
from neuro.graph import rules
from neuro.graph.graph import Graph
from neuro.graph.kinds import INTEGER, FloatReceiver
from neuro.graph.nodes import INPUTS, Projection
from neuro.graph.pieces import parts

_SMALLEST_EXPONENT = -1000
"""Weights below 2**-1000 round to zero: far from subnormal numbers, which some libraries flush."""


@dataclass(frozen=True)
class GridNote:
    """What `to_grid` changed.

    largest_change: largest |new - old| over weights and biases, and where it is. grids: by population.
    dropped: (projection, pre, post, weight, delay) of every synapse that rounded to 0.
    """

    grids: dict[str, float]
    largest_change: float
    largest_change_in: str
    dropped: tuple[tuple[str, int, int, float, int], ...]

    def __str__(self) -> str:
        where = f" in {self.largest_change_in}" if self.largest_change else ""
        lines = [f"grid: largest change of a weight or bias {self.largest_change:.3g}{where}"]
        lines += [f"  '{name}' in multiples of 2**{math.frexp(g)[1] - 1}" for name, g in self.grids.items()]
        if self.dropped:
            lines.append(f"  {len(self.dropped)} synapses rounded to 0 and were dropped:")
            lines += [f"    '{c}' {i} -> {j}, weight {w:.3g}, delay {d}" for c, i, j, w, d in self.dropped[:10]]
            lines += [f"    ... and {len(self.dropped) - 10} more"] * (len(self.dropped) > 10)
        return "\n".join(lines)


def to_grid(graph: Graph, room: Mapping[str, float] | None = None) -> tuple[Graph, GridNote]:
    """Round weights and biases to each receiving population's grid; return the new graph and a note of the changes.

    For a population with S = max over neurons of |bias| + sum |w| (sum |w| u_max from current inputs) and smallest step
    u of its current inputs, the grid is g = 2**(ceil(log2 S) - 52) / u; numbers round half to even to multiples of g,
    so that all partial sums are multiples of g u of at most 2**53 of them. A population that has a grid keeps it,
    and an integer one needs none.
    room: by population, the S that weights may grow to (learning): the population's grid is made anew for the larger of
    the two.
    Raises GraphError if S is not finite, or room is given for no float population of the graph.
    """
    room = dict(room or {})
    for name in room:
        if isinstance(graph.population(name), INPUTS + INTEGER):
            raise GraphError(f"to_grid: no grid to make room on (got '{name}'; need a float population). Leave it out.")
    changed: dict[str, Projection] = {}
    populations: list[Any] = []
    note: dict[str, Any] = {"grids": {}, "largest_change": 0.0, "largest_change_in": "", "dropped": []}
    for p in graph.populations:
        if isinstance(p, INPUTS + INTEGER) or (p.grid is not None and p.name not in room):
            populations.append(p)
            continue
        incoming = graph.projections_to(p.name)
        g = _grid(p, incoming, graph, room.get(p.name, 0.0))
        note["grids"][p.name] = g
        bias = _round(p.bias, g)
        _remember(note, f"bias of '{p.name}'", bias, p.bias)
        populations.append(replace(p, bias=bias, grid=g))
        for c in incoming:
            weight = _round(c.weight, g)
            _remember(note, f"'{c.name}'", weight, c.weight)
            changed[c.name] = _without_zeros(c, weight, note)
    note["dropped"] = tuple(note["dropped"])
    projections = tuple(changed.get(c.name, c) for c in graph.projections)
    return replace(graph, populations=tuple(populations), projections=projections), GridNote(**note)


def _grid(p: FloatReceiver, incoming: tuple[Projection, ...], graph: Graph, room: float) -> float:
    with np.errstate(over="ignore"):
        total = max(rules.largest_input(p, incoming, graph.populations), room)
    if not math.isfinite(total):
        raise GraphError(
            f"population '{p.name}': inputs too large for a grid (got S = {total}; need a finite sum of |w|). "
            "Scale weights and threshold down."
        )
    exponent = 0
    if total > 0:
        mantissa, exponent = math.frexp(total)
        exponent -= mantissa == 0.5  # ceil(log2 S), exactly
    step = rules.smallest_step(incoming, graph.populations)
    return math.ldexp(1.0, max(exponent - 52, _SMALLEST_EXPONENT)) / step


def _round(values: np.ndarray, g: float) -> np.ndarray:
    """Round half to even to multiples of g; both scalings are by a power of two, hence exact. Read-only."""
    rounded = np.empty_like(values)
    for k in parts(len(values)):
        np.divide(values[k], g, out=rounded[k])
        np.rint(rounded[k], out=rounded[k])
        rounded[k] *= g
        rounded[k] += 0.0  # no -0.0: see nodes
    rounded.flags.writeable = False
    return rounded


def _remember(note: dict[str, Any], where: str, new: np.ndarray, old: np.ndarray) -> None:
    change = max((float(np.abs(new[k] - old[k]).max()) for k in parts(old.size)), default=0.0)
    if change > note["largest_change"]:
        note["largest_change"], note["largest_change_in"] = change, where


def _without_zeros(c: Projection, weight: np.ndarray, note: dict[str, Any]) -> Projection:
    found = [np.flatnonzero((weight[k] == 0) & (c.weight[k] != 0)) + k.start for k in parts(c.size)]
    lost = np.concatenate([np.zeros(0, np.int64), *found])
    if not lost.size:
        return replace(c, weight=weight)
    for k in lost:
        note["dropped"].append((c.name, int(c.pre[k]), int(c.post[k]), float(c.weight[k]), int(c.delay[k])))
    keep = np.ones(c.size, dtype=bool)
    keep[lost] = False
    return replace(c, pre=c.pre[keep], post=c.post[keep], weight=weight[keep], delay=c.delay[keep])
