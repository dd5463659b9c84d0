"""Lay a graph out for the kernels: units numbered, synapses in rows by sender, targets in parts.

What the kernels of both semantics share. Synapses are packed (packing.py), or not copied: the kernels read the graph's arrays. Only where
the delays of a projection differ, delay and target of each of its synapses become one number: the work of the kernel is to fetch synapses.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from neuro import kernels
from neuro.errors import UnsupportedError
from neuro.graph import Graph, Projection

from .lines import lines
from .packing import CHUNK, NOT_PACKED, Packing, Words, lag, pack, plan

BLOCK = 256
"""Neurons that the float kernel updates at a time; a parameter that all share is given so many times (kBlock)."""
_LEAST_PART = 2048
"""Fewest targets worth a thread of their own: a step of so many takes some 6 us at 15 Hz (a net of 1e4 by one thread takes 32,
benchmarks/simulate.py --threads 1), several times what two threads on free cores need to meet."""
_ALIGNED = 64
"""Parts begin at multiples of so many targets: no two threads write to one cache line."""

Field = tuple[str, type, tuple[int, ...]]
"""Name, dtype and shape of an array."""


def structure(name: str, *fields: tuple[str, tuple[str, ...]]) -> type[ctypes.Structure]:
    """Return a C structure of runs of fields in order, each ("numbers" (int64), "reals" (double) or "pointers", names)."""
    kinds = {"numbers": ctypes.c_int64, "reals": ctypes.c_double, "pointers": ctypes.c_void_p}
    return type(name, (ctypes.Structure,), {"_fields_": [(f, kinds[k]) for k, names in fields for f in names]})


class Wire(NamedTuple):
    """The synapses of one projection, where the graph has them.

    first_source, n_sources, first_target: place of its ends among all units. row, (n_sources + 1,) int64: where each sender's
    synapses begin. split, (n_sources, n_parts - 1) uint32: where parts 1, 2, ... of the targets begin, from the row's begin.
    one_delay: the delay of all, -1 where they differ; then place, (n_synapses,) uint32, is delay * n_targets + target, else it is empty.
    words, of weights in units of unit: in packed graphs, where split and place are empty.
    """

    first_source: int
    n_sources: int
    first_target: int
    one_delay: int
    row: NDArray[np.int64]
    split: NDArray[np.uint32]
    post: NDArray[np.int32]
    place: NDArray[np.uint32]
    delay: NDArray[np.int32]
    weight: NDArray[Any]
    words: Words | None
    unit: float


@dataclass(frozen=True)
class Layout:
    """A graph as the kernels see it.

    source, target: first number of each population among the units that send (inputs, then neurons) and that receive
    (neurons, then readouts). receivers: names of the receiving populations, in order. bound: the targets of each part.
    packing: of the synapses, NOT_PACKED where they are read as the graph has them. parameters: what the kernel of these semantics
    made of the populations.
    """

    source: Mapping[str, int]
    target: Mapping[str, int]
    receivers: tuple[str, ...]
    n_inputs: int
    n_neurons: int
    n_targets: int
    n_slots: int
    wires: tuple[Wire, ...]
    bound: NDArray[np.int64]
    packing: Packing
    parameters: Any

    @property
    def n_parts(self) -> int:
        """Return the number of parts that the targets are cut into."""
        return len(self.bound) - 1

    @property
    def n_sources(self) -> int:
        """Return the number of units that send."""
        return self.n_inputs + self.n_neurons


def lay_out(
    graph: Graph,
    n_threads: int,
    parameters: Any,
    weight_of: Callable[[Any], NDArray[Any]],
    dtype: type,
    units: Mapping[str, float] | None = None,
) -> Layout:
    """Number the units of a graph, find the rows of its synapses, and cut its targets into parts for the threads.

    Parameters: parameters, of the populations; weight_of, gives the weights of a projection as the kernel takes them, dtype; units,
    what the weights into each population are multiples of: then synapses are packed, if that is of use.
    Raises: UnsupportedError if the graph is too large.
    """
    receivers = (*graph.neurons, *graph.readouts)
    n_targets = sum(p.size for p in receivers)
    n_inputs, n_neurons = sum(p.size for p in graph.inputs), sum(p.size for p in graph.neurons)
    if max(n_inputs + n_neurons, n_targets) >= 2**31:
        raise UnsupportedError(
            f"engine: graph too large (got {n_targets} receiving units; need < 2**31). Split the graph."
        )
    if (graph.max_delay + 1) * n_targets >= 2**31:
        raise UnsupportedError(
            f"engine: delays too long (got {graph.max_delay} steps for {n_targets} receiving units; need fewer than 2**31 sums "
            "that wait). Shorten the longest delay."
        )
    source, target = _offsets((*graph.inputs, *graph.neurons)), _offsets(receivers)
    bound = part_bounds(n_targets, n_threads)
    ends = [(c, source[c.source], target[c.target]) for c in graph.projections]
    rows = {c.name: c.rows(graph.population(c.source).size) for c in graph.projections}
    units = units or {}
    packing, words = _packed(graph, rows, target, bound, units)
    wires = [
        _wire(c, first, to, rows[c.name], bound, weight_of(c), words.get(c.name), units.get(c.target, 1.0))
        for c, first, to in ends
    ]
    layout = Layout(
        source, target, tuple(p.name for p in receivers), n_inputs, n_neurons, n_targets, graph.max_delay + 1,
        tuple(sorted(wires, key=lambda w: w.first_source)), bound, packing, parameters,
    )  # fmt: skip
    check_layout(layout, graph, dtype)
    return layout


def _offsets(populations: tuple[Any, ...]) -> dict[str, int]:
    offsets, total = {}, 0
    for p in populations:
        offsets[p.name] = total
        total += p.size
    return offsets


def part_bounds(n_targets: int, n_threads: int) -> NDArray[np.int64]:
    """Return where each part of the targets begins, and the end: as many parts as threads, none too small to be worth one."""
    n_parts = max(1, min(n_threads, n_targets // _LEAST_PART))
    inner = np.arange(1, n_parts, dtype=np.int64) * n_targets // n_parts // _ALIGNED * _ALIGNED
    return np.concatenate([np.zeros(1, np.int64), inner, np.array([n_targets], np.int64)])


def _packed(
    graph: Graph,
    rows: Mapping[str, NDArray[np.int64]],
    target: Mapping[str, int],
    bound: NDArray[np.int64],
    units: Mapping[str, float],
) -> tuple[Packing, dict[str, Words]]:
    """Return the words of all projections, or NOT_PACKED and none."""
    packing = plan(graph, bound) if units else NOT_PACKED
    words: dict[str, Words] = {}
    for c in graph.projections if packing.bits else ():
        found = pack(c, rows[c.name], target[c.target], bound, units[c.target], lag(c, graph), packing)
        if found is None:
            return NOT_PACKED, {}
        words[c.name] = found
    return packing, words


def _wire(
    c: Projection,
    source: int,
    target: int,
    row: NDArray[np.int64],
    bound: NDArray[np.int64],
    weight: NDArray[Any],
    words: Words | None,
    unit: float = 1.0,
) -> Wire:
    size = len(row) - 1
    one_delay = int(c.delay[0]) if c.size and c.delay.min() == c.delay.max() else -1
    split, place = np.zeros((size, 0 if words else len(bound) - 2), np.uint32), np.zeros(0, np.uint32)
    if split.size and c.size:
        kernels.library().neuro_split_rows(
            ctypes.c_void_p(pointer(row)), ctypes.c_int64(size), ctypes.c_void_p(pointer(c.post)),
            ctypes.c_int64(target), ctypes.c_void_p(pointer(bound)), ctypes.c_int64(len(bound) - 1),
            ctypes.c_void_p(pointer(split)),
        )  # fmt: skip
    if one_delay < 0 and not words:
        place = np.multiply(c.delay, np.int32(bound[-1]), out=np.empty(c.size, np.uint32), casting="unsafe")
        place += np.uint32(target)
        np.add(place, c.post, out=place, casting="unsafe")
    return Wire(source, size, target, one_delay, row, split, c.post, place, c.delay, weight, words, unit)


def split_rows(
    row: NDArray[np.int64], post: NDArray[np.int32], first_target: int, bound: NDArray[np.int64]
) -> NDArray[np.uint32]:
    """Return where the synapses of parts 1, 2, ... of the targets begin in each row: the twin of the kernel."""
    ends = [post[row[i] : row[i + 1]] for i in range(len(row) - 1)]
    found = [np.searchsorted(mine, bound[1:-1] - first_target) for mine in ends]
    return np.array(found, np.uint32).reshape(len(ends), len(bound) - 2)


@dataclass(frozen=True)
class State:
    """All that passes from one step to the next, for a batch: arrays by field of the kernel's structure."""

    arrays: Mapping[str, NDArray[Any]]


def zeros(fields: tuple[Field, ...]) -> State:
    """Return a state of arrays of zeros."""
    return State({name: lines(shape, dtype, zero=True) for name, dtype, shape in fields})


def pointer(array: NDArray[Any] | None) -> int | None:
    """Return the address of an array, or a null pointer."""
    return None if array is None else array.ctypes.data


# ------------------------------------------------------------------------- checks: a failure is a fault of this package


def check_layout(layout: Layout, graph: Graph, weight: type) -> None:
    """Refuse a layout that would let a kernel read or write beyond an array."""
    bound = layout.bound
    assert bound.dtype == np.int64 and bound[0] == 0 and bound[-1] == layout.n_targets and (np.diff(bound) >= 0).all()
    firsts = [w.first_source for w in layout.wires]
    assert firsts == sorted(firsts), "wires"
    sizes = {layout.target[p.name]: p.size for p in (*graph.neurons, *graph.readouts)}
    for w in layout.wires:
        _check_wire(w, layout, sizes[w.first_target], weight)


def _check_wire(w: Wire, layout: Layout, size: int, weight: type) -> None:
    names = ("row", "split", "post", "place", "delay", "weight")
    arrays: dict[str, NDArray[Any]] = {k: getattr(w, k) for k in names}
    n = len(w.post)
    check_arrays(arrays, (("row", np.int64, (w.n_sources + 1,)), ("post", np.int32, (n,)), ("delay", np.int32, (n,))))
    assert w.row[0] == 0 and w.row[-1] == n and (np.diff(w.row) >= 0).all(), "row"
    assert 0 <= w.first_source <= layout.n_sources - w.n_sources, "first_source"
    check_range("post", w.post, size)
    check_arrays(arrays, (("weight", weight, (n,)),))
    assert (w.words is not None) == (layout.packing.bits > 0), "words"
    if w.words is not None:
        _check_words(w.words, w.n_sources, layout)
        return
    n_places = n if w.one_delay < 0 else 0
    check_arrays(arrays, (("split", np.uint32, (w.n_sources, layout.n_parts - 1)), ("place", np.uint32, (n_places,))))
    check_range("place", w.place, layout.n_slots * layout.n_targets)
    assert -1 <= w.one_delay < layout.n_slots, "one_delay"
    ends = np.diff(w.row)[:, None]
    assert not w.split.size or ((w.split <= ends).all() and (np.diff(w.split.astype(np.int64)) >= 0).all()), "split"


def _check_words(words: Words, n_sources: int, layout: Layout) -> None:
    """Refuse rows beyond the words; the place in a word cannot be beyond the ring."""
    chunk, word = words
    assert chunk.dtype == np.uint32 and chunk.shape == (layout.n_parts, n_sources + 1) and chunk.flags.c_contiguous
    assert word.dtype == np.int64 and word.shape[1:] == (CHUNK,) and word.flags.c_contiguous
    begins = chunk.ravel().astype(np.int64)
    assert begins[0] == 0 and begins[-1] == len(word) and (np.diff(begins) >= 0).all(), "chunk"
    assert 0 < layout.packing.bits < 32 and layout.packing.stride >= 0, "packing"
    assert int(np.diff(layout.bound).max()) <= 2**layout.packing.bits, "packing"


def check_arrays(arrays: Mapping[str, NDArray[Any]], fields: tuple[Field, ...]) -> None:
    """Refuse an array of another dtype, shape or order."""
    for name, dtype, shape in fields:
        x = arrays[name]
        assert x.dtype == dtype and x.shape == shape and x.flags.c_contiguous, (name, x.dtype, x.shape)


def check_range(name: str, array: NDArray[Any], limit: int) -> None:
    """Refuse numbers that are not in 0..limit - 1."""
    unsigned = array.dtype.kind == "u"
    assert not array.size or ((unsigned or array.min() >= 0) and array.max() < limit), (name, limit)
