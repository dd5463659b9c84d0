"""Draw the synapses of large random nets, in sorted order and without a dense matrix."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuro.graph.pieces import parts

_DRAWN = 2**18
"""Numbers drawn at a time."""

Index = NDArray[np.int32]


def fan_in_pairs(rng: np.random.Generator, n_sources: int, n_targets: int, fan_in: int) -> tuple[Index, Index]:
    """Draw `fan_in` different senders for every receiver, each set of them equally likely.

    Returns: pre, post, int32 of shape (n_targets * fan_in,), sorted by (pre, post), read-only. Takes, besides these, 8 bytes a
    synapse for as long as it runs.
    """
    keys: NDArray[np.int64] = np.empty(
        n_targets * fan_in, np.int64
    )  # pre in the upper half, post in the lower: sorting them sorts the pairs
    rows = max(1, _DRAWN // max(fan_in, n_sources if 2 * fan_in > n_sources else 1, 1))
    for first in range(0, n_targets, rows):
        mine = np.arange(first, min(first + rows, n_targets), dtype=np.int64)
        chosen = _different(rng, len(mine), n_sources, fan_in)
        np.add(
            chosen.astype(np.int64) << 32,
            mine[:, None],
            out=keys[first * fan_in :][: chosen.size].reshape(chosen.shape),
        )
    keys.sort()
    pre: Index = np.empty(len(keys), np.int32)
    post: Index = np.empty(len(keys), np.int32)
    for k in parts(len(keys)):
        pre[k], post[k] = keys[k] >> 32, keys[k] & 0xFFFFFFFF
    pre.flags.writeable = post.flags.writeable = False
    return pre, post


def _different(rng: np.random.Generator, n_rows: int, n: int, k: int) -> Index:
    """Return (n_rows, k) numbers of 0..n-1, in each row k different ones.

    Numbers drawn before are drawn again until none is left. No step tells one number from another, so that every set is
    equally likely. Where more than half are wanted, those to leave out are drawn.
    """
    if 2 * k > n:
        left = np.ones((n_rows, n), bool)
        left[np.arange(n_rows)[:, None], _different(rng, n_rows, n, n - k)] = False
        return np.nonzero(left)[1].astype(np.int32).reshape(n_rows, k)
    found = np.sort(rng.integers(0, n, size=(n_rows, k), dtype=np.int32), axis=1)
    open_rows: NDArray[np.int64] = np.arange(n_rows)
    while True:
        drawn = found[open_rows]
        again = np.zeros(drawn.shape, bool)
        again[:, 1:] = drawn[:, 1:] == drawn[:, :-1]
        mine = again.any(axis=1)
        if not mine.any():
            return found
        open_rows, drawn, again = open_rows[mine], drawn[mine], again[mine]
        drawn[again] = rng.integers(0, n, size=int(again.sum()), dtype=np.int32)
        found[open_rows] = np.sort(drawn, axis=1)


def delays(rng: np.random.Generator, low: int, high: int, n: int) -> NDArray[Any]:
    """Draw n delays of low..high steps, both included, each equally likely: read-only, int32.

    The numbers are those of one call of rng.integers, whose int64 would take twice the memory of all that is kept.
    """
    drawn = np.empty(n, np.int32)
    for k in parts(n):
        drawn[k] = rng.integers(low, high, size=k.stop - k.start, endpoint=True)
    drawn.flags.writeable = False
    return drawn
