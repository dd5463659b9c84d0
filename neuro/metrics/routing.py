"""Follow spikes over a mesh of cores: which cores each reaches, and how far that is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import NamedTuple, Protocol

import numpy as np

from neuro.errors import DataError
from neuro.graph import AHP, INPUTS, Graph
from neuro.metrics.workload import Ints, Routing

_FIELDS = tuple(f.name for f in fields(Routing))


@dataclass(frozen=True)
class Mesh:
    """How a chip lays out its cores: cores_per_tile on each tile of a grid of columns x rows, tile after tile, row after row.

    Raises: DataError unless all three are 1 at least.
    """

    cores_per_tile: int
    columns: int
    rows: int

    def __post_init__(self) -> None:
        if min(self.cores_per_tile, self.columns, self.rows) < 1:
            got = f"{self.cores_per_tile} cores a tile, {self.columns} x {self.rows} tiles"
            raise DataError(f"mesh: empty (got {got}; need 1 at least of each). Give a chip's numbers.")

    @property
    def n_cores(self) -> int:
        """Return the number of cores of a chip."""
        return self.cores_per_tile * self.columns * self.rows


class Placed(Protocol):
    """Which core each neuron is on (`neuro.deploy.Placement` says so). Cores are numbered from 0, over all chips."""

    @property
    def core_of(self) -> Mapping[str, Ints]:
        """Core of each neuron and readout, (size,) by population."""
        ...

    @property
    def chip_of(self) -> Ints:
        """Chip of each core, (n_cores,)."""
        ...

    @property
    def n_cores(self) -> int:
        """Number of cores that are used."""
        ...

    @property
    def n_chips(self) -> int:
        """Number of chips."""
        ...


class _Places(NamedTuple):
    """Chip, tile on it, and the tile's column and row, of each core."""

    chip: Ints
    tile: Ints
    column: Ints
    row: Ints


def routing(graph: Graph, placed: Placed, mesh: Mesh | None, sent: Mapping[str, Ints]) -> Routing:
    """Count the messages of every sample, and the hops that they take.

    A spike sends one message to each core on which any of its targets is, at once and whatever the delay, in the last step too: what
    arrives after the end has been sent. An AHP neuron also sends to its own core, for its auxiliary compartment.
    Parameters: sent, number of spikes of each unit, (samples, size), by population and input; of current inputs, steps with u != 0; mesh,
    None for a chip that is one tile.
    Raises: DataError if the placement is not one of this graph, or a chip has fewer cores than it uses.
    """
    _check(graph, placed)
    places = _places(placed, mesh)
    counts: dict[str, Ints] = {}
    for p in graph.populations:
        if p.name not in sent:
            continue
        own = [placed.core_of[p.name]] if isinstance(p, AHP) else []
        pre = [c.pre.astype(np.int64) for c in graph.projections_from(p.name)] + [np.arange(p.size)] * len(own)
        core = [placed.core_of[c.target][c.post] for c in graph.projections_from(p.name)] + own
        if not pre:
            continue
        pair = np.unique(np.concatenate(pre) * placed.n_cores + np.concatenate(core))
        unit, target = np.divmod(pair, placed.n_cores)
        each = _outside(unit) if isinstance(p, INPUTS) else _way(places, placed.core_of[p.name][unit], target)
        for name, value in each.items():
            per_unit = np.bincount(unit, weights=value, minlength=p.size).astype(np.int64)  # exact: far below 2**53
            counts[name] = counts.get(name, 0) + sent[p.name] @ per_unit
    zero = np.zeros(len(next(iter(sent.values()), ())), np.int64)
    return Routing(**{name: counts.get(name, zero) for name in _FIELDS})


def _outside(unit: Ints) -> dict[str, Ints]:
    return {"from_outside": np.ones(len(unit), np.int64)}


def _way(places: _Places, source: Ints, target: Ints) -> dict[str, Ints]:
    """Say what messages from cores to cores are, 1 or 0 each, and how many tiles they pass."""
    chip = places.chip[source] == places.chip[target]
    tile = chip & (places.tile[source] == places.tile[target])
    far = chip & ~tile
    return {
        "within_core": (source == target).astype(np.int64),
        "within_tile": (tile & (source != target)).astype(np.int64),
        "between_tiles": far.astype(np.int64),
        "hops_ew": np.where(far, np.abs(places.column[source] - places.column[target]), 0),
        "hops_ns": np.where(far, np.abs(places.row[source] - places.row[target]), 0),
        "between_chips": (~chip).astype(np.int64),
    }


def _places(placed: Placed, mesh: Mesh | None) -> _Places:
    """Lay out each chip's cores on its mesh, in order of their numbers."""
    chip = np.asarray(placed.chip_of, np.int64)
    order = np.argsort(chip, kind="stable")
    local = np.zeros(len(chip), np.int64)
    local[order] = np.arange(len(chip)) - np.searchsorted(chip[order], chip[order])
    most = int(local.max(initial=-1)) + 1
    if mesh is not None and most > mesh.n_cores:
        raise DataError(
            f"routing: chip has too few cores (got {most} used cores on one; need at most {mesh.n_cores}). "
            "Place the graph with this chip's profile."
        )
    tile = local // (mesh.cores_per_tile if mesh else max(most, 1))
    row, column = np.divmod(tile, mesh.columns if mesh else 1)
    return _Places(chip, tile, column, row)


def _check(graph: Graph, placed: Placed) -> None:
    for p in graph.receivers:
        core = placed.core_of.get(p.name)
        if core is None or len(core) != p.size:
            got = "none" if core is None else f"{len(core)} neurons"
            raise DataError(
                f"routing: placement is not one of this graph (got {got} of '{p.name}'; need {p.size}). Place this graph."
            )
        if len(core) and not (core.min() >= 0 and core.max() < placed.n_cores == len(placed.chip_of)):
            raise DataError(
                f"routing: cores out of range (got {core.min()}..{core.max()} in '{p.name}', chips of {len(placed.chip_of)} "
                f"cores; need 0..{placed.n_cores - 1}). A placement's fault."
            )
