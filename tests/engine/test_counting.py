"""The kernels that count synaptic events against their twins."""

from __future__ import annotations

import numpy as np
import pytest

from neuro.engine import counting
from neuro.recording import counts
from tests.engine.nets import lively


@pytest.mark.parametrize("n", [0, 1, 3000])
def test_events_are_counted_as_the_twin_counts_them(n: int) -> None:
    graph, rng = lively(), np.random.default_rng(1)
    found = 0
    for c in graph.projections:
        size = graph.population(c.source).size
        row, unit = c.rows(size), rng.integers(0, size, n).astype(np.int32)
        begins = np.array([0, n // 3, n // 3, n])
        mine = counting.sent(row, unit, begins)
        assert mine.tolist() == counts._sent(row, unit, begins).tolist()
        sample, left = np.sort(rng.integers(0, 3, n)).astype(np.int32), rng.integers(0, 9, n).astype(np.int32)
        late = counting.missed(c, row, sample, left, unit, 3)
        assert late.tolist() == counts._missed(c, row, sample, left, unit, 3).tolist()
        found += int(mine.sum()) + int(late.sum())
    assert found >= 10 * n


def test_a_unit_beyond_the_rows_is_refused() -> None:
    row, begins = np.array([0, 2, 3]), np.array([0, 1])
    for unit in (2, -1):
        with pytest.raises(AssertionError, match="unit"):
            counting.sent(row, np.array([unit], np.int32), begins)
