"""Lay out a network's synapses for the GPU: tables that a tile of rows reads side by side.

A table has one lane for each row (a target going forward, a source going back). Rows are cut into tiles, and the k-th synapse of
every row of a tile lies in one stretch of `tile` slots, so that the threads of a tile read neighbours. A tile has as many
stretches as its fullest row needs, in whole groups of `GROUP`; empty slots have weight 0.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import torch
from torch import Tensor

from neuro.errors import DataError

GROUP = 4
"""Stretches that are read at once, as the kernels have it written out."""
HELD_MAX = 512
"""Neurons up to which one tile holds all, its state in registers."""
TILE = 256
"""Rows of a tile beyond that: a power of two."""


@dataclass(frozen=True)
class Table:
    """Synapses of rows. Slot (k, lane) of tile i is entry (first[i] + k) * tile + lane.

    tile: rows of a tile; first: int32 (tiles + 1,); index: int16 or int32 (slots,), where to read, counted in units from the row of
    the present step; synapse, slot: int64 (m,), where each weight comes from and goes to; tile_of_group: int32 (groups,).
    """

    tile: int
    first: Tensor
    index: Tensor
    synapse: Tensor
    slot: Tensor
    tile_of_group: Tensor

    @property
    def n_tiles(self) -> int:
        """Return the number of tiles."""
        return len(self.first) - 1

    @property
    def n_groups(self) -> int:
        """Return the number of groups of stretches."""
        return len(self.tile_of_group)

    def fill(self, weights: Tensor) -> Tensor:
        """Return the weight of every slot, (slots,), from those of all synapses, (k,)."""
        return weights.new_zeros(len(self.index)).index_copy_(0, self.slot, weights.index_select(0, self.synapse))

    def collect(self, slots: Tensor, into: Tensor) -> None:
        """Write the values of the slots, (slots,), to the places of their synapses, (k,)."""
        into.index_copy_(0, self.synapse, slots.index_select(0, self.slot))

    @property
    def n_bytes(self) -> int:
        """Return the size of places and weights in single precision: what every step reads."""
        return len(self.index) * (self.index.element_size() + 4)


def table(row: Tensor, index: Tensor, synapse: Tensor, n_rows: int, tile: int, idle: int) -> Table:
    """Arrange synapses by row; within a row by what they read, so that neighbours read neighbours.

    Parameters: row, index, synapse, int64 (m,); n_rows; tile, rows of a tile; idle, what empty slots read: any place with a
    finite value.
    """
    order = torch.argsort(index, stable=True)
    order = order[torch.argsort(row[order], stable=True)]
    row, index, synapse = row[order], index[order], synapse[order]
    n_tiles = max(1, -(-n_rows // tile))
    degree = torch.bincount(row, minlength=n_tiles * tile)
    rank = torch.arange(len(row), device=row.device) - (degree.cumsum(0) - degree)[row]
    groups = -(-degree.view(n_tiles, tile).amax(1) // GROUP)
    first = torch.cat([groups.new_zeros(1), groups.cumsum(0)]) * GROUP
    slot = (first[row // tile] + rank) * tile + row % tile
    small = len(index) == 0 or bool(index.abs().max() < 2**15)
    places = torch.full((int(first[-1]) * tile,), idle, dtype=torch.int16 if small else torch.int32, device=row.device)
    places[slot] = index.to(places.dtype)
    tiles = torch.arange(n_tiles, dtype=torch.int32, device=row.device)
    return Table(tile, first.int(), places, synapse, slot, tiles.repeat_interleave(groups))


def tile_of(n_rows: int) -> int:
    """Return the rows of a tile: all, up to the next power of two, or `TILE` where they are too many."""
    return TILE if n_rows > HELD_MAX else max(16, 1 << (n_rows - 1).bit_length())


@dataclass(frozen=True, eq=False)
class Structure:
    """Active synapses of a network, int32 tensors (k,) on one device, in the order of the weights.

    pre counts the rows of sources (inputs, then neurons), post the rows of targets (neurons, then readouts), delay steps: >= 0 from
    inputs, >= 1 from neurons. Tables are made at first use and kept: make a new Structure when synapses change.

    Raises: DataError where an entry is out of range.
    """

    pre: Tensor
    post: Tensor
    delay: Tensor
    n_inputs: int
    n_neurons: int
    n_readouts: int

    def __post_init__(self) -> None:
        shapes = {tuple(t.shape) for t in (self.pre, self.post, self.delay)}
        if len(shapes) != 1 or self.pre.dim() != 1:
            raise DataError(
                f"gpu.Structure: synapses misshapen (got {sorted(shapes)}; need pre, post and delay of one shape (k,))."
            )
        if not len(self.pre):
            return
        recurrent = (self.pre >= self.n_inputs).to(self.delay.dtype)
        ends = [*torch.aminmax(self.pre), *torch.aminmax(self.post), (self.delay - recurrent).min()]
        low_pre, high_pre, low_post, high_post, early = torch.stack(ends).tolist()
        for name, low, high, n in (
            ("pre", low_pre, high_pre, self.n_inputs + self.n_neurons),
            ("post", low_post, high_post, self.n_targets),
        ):
            if low < 0 or high >= n:
                raise DataError(f"gpu.Structure: {name} out of range (got {low}..{high}; need 0..{n - 1}).")
        if early < 0:
            raise DataError("gpu.Structure: delay too short (need >= 0 from inputs and >= 1 from neurons).")

    @property
    def n_targets(self) -> int:
        """Return the number of target rows."""
        return self.n_neurons + self.n_readouts

    @functools.cached_property
    def delay_in(self) -> int:
        """Return the longest delay from an input, at least 0."""
        return self._longest(self.pre < self.n_inputs, 0)

    @functools.cached_property
    def delay_rec(self) -> int:
        """Return the longest delay from a neuron, at least 1."""
        return self._longest(self.pre >= self.n_inputs, 1)

    def _longest(self, here: Tensor, least: int) -> int:
        delay = self.delay[here]
        return max(least, int(delay.max())) if len(delay) else least

    @functools.cached_property
    def to_neurons(self) -> tuple[Table, Table]:
        """Return the tables of neurons: what comes from inputs, and from neurons."""
        return self._forward(0, self.n_neurons, tile_of(self.n_neurons))

    @functools.cached_property
    def to_readouts(self) -> tuple[Table, Table]:
        """Return the tables of readouts: what comes from inputs, and from neurons."""
        return self._forward(self.n_neurons, self.n_readouts, min(64, tile_of(self.n_readouts)))

    @functools.cached_property
    def backward(self) -> Table:
        """Return the table of neurons as sources: where the gradient of each comes from."""
        synapse = torch.nonzero(self.pre >= self.n_inputs).view(-1)
        pre, post, delay = (t[synapse].long() for t in (self.pre, self.post, self.delay))
        place = delay * self.n_targets + post
        return table(pre - self.n_inputs, place, synapse, self.n_neurons, tile_of(self.n_neurons), self.n_targets)

    def _forward(self, low: int, n_rows: int, tile: int) -> tuple[Table, Table]:
        found = []
        inside = (self.post >= low) & (self.post < low + n_rows)
        for first, n, idle in ((0, self.n_inputs, 0), (self.n_inputs, self.n_neurons, -self.n_neurons)):
            synapse = torch.nonzero(inside & (self.pre >= first) & (self.pre < first + n)).view(-1)
            pre, post, delay = (t[synapse].long() for t in (self.pre, self.post, self.delay))
            found.append(table(post - low, pre - first - delay * n, synapse, n_rows, tile, idle))
        return found[0], found[1]
