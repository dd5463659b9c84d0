"""Prepare a network's connections for the page: the matrix of all populations, weights, fan-in, and what rewiring changed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neuro.graph import SCALE_BITS, Graph, IntProjection
from neuro.report.page.packed import cells, rounded

_BINS = 40


@dataclass(frozen=True, kw_only=True)
class Matrix:
    """Summed weights from each sender (column) to each receiver (row).

    senders, receivers: populations and sizes, in order. per_cell: neurons a cell has on a side. most: largest magnitude, which 127
    stands for. data: base64 of int8, row after row.
    """

    senders: list[tuple[str, int]]
    receivers: list[tuple[str, int]]
    per_cell: int
    n_rows: int
    n_columns: int
    most: float
    data: str


@dataclass(frozen=True, kw_only=True)
class Side:
    """A network at one time: its matrix, its number of synapses, its weights and fan-ins as histograms over shared edges."""

    name: str
    n_synapses: int
    density: float
    matrix: Matrix
    weights: list[int]
    fan_in: list[int]


@dataclass(frozen=True, kw_only=True)
class Connectivity:
    """A network, or a network before and after. n_kept: pairs of neurons that are connected in both; None of one network alone."""

    sides: list[Side]
    weight_edges: list[float]
    fan_in_edges: list[float]
    n_pairs: list[int]
    n_kept: int | None


def prepare(graphs: dict[str, Graph], most_cells: int) -> Connectivity:
    """Prepare one graph, or two with the same populations, by the name of their time.

    Parameters: most_cells, of a side of the matrix; a larger network has several neurons a cell.
    """
    pairs = [_pairs(g) for g in graphs.values()]
    weight_edges = _weight_edges([p[2] for p in pairs])
    fans = [_fan_in(g) for g in graphs.values()]
    most = max((int(f.max(initial=0)) for f in fans), default=0)
    fan_edges = np.arange(0, most + 2, max(1, -(-(most + 1) // _BINS))) - 0.5
    fan_edges = np.append(fan_edges, fan_edges[-1] + max(1, -(-(most + 1) // _BINS)))
    sides = [
        Side(
            name=name,
            n_synapses=g.n_synapses,
            density=len(np.unique(p[0])) / max(_possible(g), 1),
            matrix=_matrix(g, most_cells),
            weights=np.histogram(p[2], weight_edges)[0].tolist(),
            fan_in=np.histogram(fan, fan_edges)[0].tolist(),
        )
        for (name, g), p, fan in zip(graphs.items(), pairs, fans, strict=True)
    ]
    unique = [np.unique(p[0]) for p in pairs]
    return Connectivity(
        sides=sides,
        weight_edges=rounded(weight_edges),
        fan_in_edges=fan_edges.tolist(),
        n_pairs=[len(u) for u in unique],
        n_kept=len(np.intersect1d(unique[0], unique[1])) if len(unique) == 2 else None,
    )


def _offsets(graph: Graph) -> tuple[dict[str, int], dict[str, int], int, int]:
    """Return where each sender's columns and each receiver's rows begin, and how many there are."""
    senders = [p for p in graph.populations if any(c.source == p.name for c in graph.projections)]
    columns = dict(zip((p.name for p in senders), np.cumsum([0, *(p.size for p in senders)]).tolist(), strict=False))
    rows = dict(
        zip(
            (p.name for p in graph.receivers), np.cumsum([0, *(p.size for p in graph.receivers)]).tolist(), strict=False
        )
    )
    return columns, rows, sum(p.size for p in senders), sum(p.size for p in graph.receivers)


def _value(projection: object) -> NDArray[np.float64]:
    """Return what synapses add: of integer projections the product with their exponent."""
    weight = np.asarray(projection.weight, dtype=np.float64)  # type: ignore[attr-defined]
    return weight * 2.0 ** (SCALE_BITS + projection.exponent) if isinstance(projection, IntProjection) else weight


def _pairs(graph: Graph) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Return column * 2**32 + row of each synapse (a pair of neurons has one such key), its row, and its weight."""
    columns, rows, _, _ = _offsets(graph)
    keys: list[NDArray[np.int64]] = [np.zeros(0, np.int64)]
    post: list[NDArray[np.int64]] = [np.zeros(0, np.int64)]
    weight: list[NDArray[np.float64]] = [np.zeros(0)]
    for c in graph.projections:
        row = rows[c.target] + c.post.astype(np.int64)
        keys.append((columns[c.source] + c.pre.astype(np.int64)) * 2**32 + row)
        post.append(row)
        weight.append(_value(c))
    return np.concatenate(keys), np.concatenate(post), np.concatenate(weight)


def _possible(graph: Graph) -> int:
    """Return how many pairs of neurons the graph's projections could connect."""
    return sum(
        a * b
        for a, b in {
            (c.source, c.target): (graph.population(c.source).size, graph.population(c.target).size)
            for c in graph.projections
        }.values()
    )


def _fan_in(graph: Graph) -> NDArray[np.int64]:
    _, rows, _, _ = _offsets(graph)
    total = sum(p.size for p in graph.receivers)
    found = np.zeros(total, np.int64)
    for c in graph.projections:
        found += np.bincount(rows[c.target] + c.post, minlength=total)
    return found


def _weight_edges(weights: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    most = max((float(np.abs(w).max(initial=0.0)) for w in weights), default=0.0) or 1.0
    return np.asarray(np.linspace(-most, most, _BINS + 1), dtype=np.float64)


def _matrix(graph: Graph, most_cells: int) -> Matrix:
    columns, rows, n_columns, n_rows = _offsets(graph)
    per_cell = max(1, -(-max(n_columns, n_rows) // most_cells))
    keys, post, weight = _pairs(graph)
    height, width = -(-n_rows // per_cell), -(-n_columns // per_cell)
    dense = np.zeros((height, width))
    np.add.at(dense, (post // per_cell, (keys >> 32) // per_cell), weight)
    most, data = cells(dense)
    return Matrix(
        senders=[(name, graph.population(name).size) for name in columns],
        receivers=[(name, graph.population(name).size) for name in rows],
        per_cell=per_cell, n_rows=height, n_columns=width, most=most, data=data,
    )  # fmt: skip
