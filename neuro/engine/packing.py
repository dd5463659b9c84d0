"""Pack a synapse of a graph on its grid into one word: its weight, in units of the sums of its target, and its place in a ring.

What the words are and how they are delivered: neuro/kernels/packed.h. They are a copy of the synapses, of 8 bytes each.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from neuro import kernels
from neuro.graph import INTEGER, CurrentInput, Graph, Projection, SpikeInput
from neuro.graph.rules import smallest_step

from .lines import lines

CHUNK = 8
"""Words a cache line; rows begin at one."""
_MOST_BITS = 18
"""Bits of a place, at most: the sums of a part then stay in the second cache, 2 MB of them."""
_MOST_WORDS = 1.5
"""Words a synapse, at most: more of them take longer than the synapses as the graph has them."""


class Packing(NamedTuple):
    """How the words of a graph are made: the bits of a place; cells from the row of one step to that of the next in a ring."""

    bits: int
    stride: int


NOT_PACKED = Packing(0, 0)


class Words(NamedTuple):
    """The words of one projection: chunk, (n_parts, n_sources + 1) uint32, where those of each sender begin; word, (n_chunks, 8)."""

    chunk: NDArray[np.uint32]
    word: NDArray[np.int64]


def units(graph: Graph) -> Mapping[str, float] | None:
    """Return what the sums of each receiving population are multiples of, or None for a graph off its grid."""
    found = {}
    for p in graph.receivers:
        if isinstance(p, INTEGER) or p.grid is None:
            return None
        incoming = tuple(c for c in graph.projections if c.target == p.name)
        found[p.name] = p.grid * smallest_step(incoming, graph.populations)
    return found


def lag(c: Projection, graph: Graph) -> int:
    """Return how many steps of a delay are over when spikes are delivered: what neurons send is seen from the next step."""
    return int(not isinstance(graph.population(c.source), (SpikeInput, CurrentInput)))


def plan(graph: Graph, bound: NDArray[np.int64]) -> Packing:
    """Choose the ring of each part: a power of two of cells, for as many steps as inputs wait; NOT_PACKED where that is too many.

    Parameters: bound, int64 (n_parts + 1,), the targets at which the parts of the threads begin, and the end.
    """
    width = -(-int(np.diff(bound).max()) // CHUNK) * CHUNK
    if width > 2**_MOST_BITS:  # without a look at as many delays
        return NOT_PACKED
    rows = max((int(c.delay.max()) + 1 - lag(c, graph) for c in graph.projections if c.size), default=1)
    bits = max(rows * width - 1, 1).bit_length()
    if bits > _MOST_BITS:
        return NOT_PACKED
    return Packing(bits, width if rows > 1 else 0)  # one row is begun anew at every step


def pack(
    c: Projection,
    row: NDArray[np.int64],
    first_target: int,
    bound: NDArray[np.int64],
    unit: float,
    steps_over: int,
    packing: Packing,
) -> Words | None:
    """Return the words of a projection; None if they are too many.

    Parameters: row, int64 (n_sources + 1,), where the synapses of each sender begin; first_target, number of the first unit of the
    target; bound, as for `plan`; unit, of which its weights are multiples (`units`); steps_over, in steps (`lag`).
    """
    n_parts = len(bound) - 1
    chunk = np.zeros((n_parts, len(row)), np.uint32)
    arrays = (row, c.post, c.delay, c.weight, bound)
    assert [x.dtype.char for x in arrays] == ["l", "i", "i", "d", "l"] and all(x.flags.c_contiguous for x in arrays)

    def call(word: NDArray[np.int64] | None) -> int:
        at = [ctypes.c_void_p(x.ctypes.data) for x in (*arrays, chunk)]
        numbers = [ctypes.c_int64(n) for n in (steps_over, packing.stride, packing.bits)]
        return int(
            pack_all(
                at[0], ctypes.c_int64(len(row) - 1), at[1], at[2], at[3], ctypes.c_double(unit),
                ctypes.c_int64(first_target), at[4], ctypes.c_int64(n_parts), *numbers, at[5],
                None if word is None else ctypes.c_void_p(word.ctypes.data),
            )
        )  # fmt: skip

    pack_all = kernels.library().neuro_pack
    pack_all.restype = ctypes.c_int64
    n_chunks = call(None)
    if n_chunks * CHUNK > _MOST_WORDS * c.size + CHUNK * len(row):
        return None
    word = lines((n_chunks, CHUNK), np.int64)
    call(word)
    return Words(chunk, word)


def twin(
    c: Projection,
    row: NDArray[np.int64],
    first_target: int,
    bound: NDArray[np.int64],
    unit: float,
    steps_over: int,
    packing: Packing,
) -> Words:
    """Return what `pack` does: the twin of the kernel."""
    most, rows, chunk = 2 ** (63 - packing.bits) - 1, list[list[int]](), np.zeros((len(bound) - 1, len(row)), np.uint32)
    part = np.searchsorted(bound, c.post + first_target, side="right") - 1
    for h in range(len(bound) - 1):
        for i in range(len(row) - 1):
            chunk[h, i] = sum(len(r) for r in rows) // CHUNK
            rows.append([])
            last = 0
            for k in range(row[i], row[i + 1]):
                if part[k] != h:
                    continue
                last = (int(c.delay[k]) - steps_over) * packing.stride + first_target + int(c.post[k]) - int(bound[h])
                left = int(c.weight[k] / unit)
                while True:
                    some = min(max(left, -most), most)
                    rows[-1].append((some << packing.bits) + last)
                    left -= some
                    if not left:
                        break
            while len(rows[-1]) % CHUNK:
                last = (last + 1) % 2**packing.bits
                rows[-1].append(last)
        chunk[h, -1] = sum(len(r) for r in rows) // CHUNK
    word = np.array([x for r in rows for x in r], np.int64).reshape(-1, CHUNK)
    return Words(chunk, word)
