"""Random nets drawn in sorted order: who is connected, how evenly, how reproducibly, in how much memory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neuro.errors import GraphError
from neuro.graph import Builder, Graph, Projection, draw, pieces
from neuro.graph.pieces import parts


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 60), st.integers(1, 40), st.data(), st.integers(0, 2**32 - 1))
def test_every_receiver_has_so_many_different_senders(
    n_sources: int, n_targets: int, data: st.DataObject, seed: int
) -> None:
    fan_in = data.draw(st.integers(0, n_sources))
    pre, post = draw.fan_in_pairs(np.random.default_rng(seed), n_sources, n_targets, fan_in)
    assert pre.dtype == post.dtype == np.int32 and len(pre) == n_targets * fan_in
    pairs = list(zip(pre.tolist(), post.tolist(), strict=True))
    assert pairs == sorted(set(pairs)), "sorted, and no pair twice"
    assert np.bincount(post, minlength=n_targets).tolist() == [fan_in] * n_targets
    assert not pre.size or (pre.min() >= 0 and pre.max() < n_sources)


@pytest.mark.parametrize("fan_in", [2, 4])
def test_every_set_of_senders_is_equally_likely(fan_in: int) -> None:
    # 6 senders have 15 sets of two and 15 of four; chi-square with 14 degrees of freedom is above 36.1 once in a thousand.
    n = 30_000
    pre, post = draw.fan_in_pairs(np.random.default_rng(3), 6, n, fan_in)
    sets = np.zeros(n, np.int64)
    np.bitwise_or.at(sets, post, 1 << pre.astype(np.int64))
    _, counts = np.unique(sets, return_counts=True)
    assert len(counts) == 15
    assert ((counts - n / 15) ** 2 / (n / 15)).sum() < 36.1


def fan_in_graph(seed: int) -> Graph:
    b = Builder(seed=seed)
    b.spike_input("in", 50)
    b.lif("n", 300)
    b.connect("in", "n", weight=1.0, fan_in=7)
    b.connect("n", "n", weight=lambda rng, k: rng.normal(0, 1, k), fan_in=20, delay=(1, 10))
    return b.build()


def test_a_seed_gives_one_net_however_it_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    one = fan_in_graph(4)
    assert one.sha256 == fan_in_graph(4).sha256 != fan_in_graph(5).sha256
    delay = one.projections[1].delay
    assert set(delay.tolist()) == set(range(1, 11))
    monkeypatch.setattr(pieces, "PART", 100)
    again = fan_in_graph(4)
    assert again.sha256 == one.sha256, "the size of the pieces must not show"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fan_in": 6}, r"fan_in out of range \(got 6; need 0..5, the size of the source\)"),
        ({"fan_in": -1}, r"fan_in out of range \(got -1"),
        ({"fan_in": 2, "p": 0.5}, "pairs given twice"),
    ],
)
def test_fan_in_is_judged(options: dict[str, float], message: str) -> None:
    b = Builder()
    b.spike_input("in", 5)
    b.lif("n", 9)
    with pytest.raises(GraphError, match=message):
        b.connect("in", "n", weight=1.0, **options)  # type: ignore[arg-type]


def test_delays_are_those_of_one_draw(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = np.random.default_rng(8).integers(1, 10, size=1001, endpoint=True)
    monkeypatch.setattr(pieces, "PART", 64)
    drawn = draw.delays(np.random.default_rng(8), 1, 10, 1001)
    assert drawn.dtype == np.int32 and drawn.tolist() == expected.tolist()


# ------------------------------------------------------------------------------------------------ large arrays held once


def projection(**arrays: np.ndarray) -> Projection:
    n = 5
    given_arrays: dict[str, np.ndarray] = {
        "pre": np.arange(n, dtype=np.int32),
        "post": np.zeros(n, np.int32),
        "weight": np.linspace(-1, 1, n),
        "delay": np.ones(n, np.int32),
    }
    return Projection(name="c", source="a", target="b", **{**given_arrays, **arrays})


def test_read_only_arrays_are_taken_and_others_are_copied() -> None:
    fixed, loose = np.arange(5.0), np.arange(5.0)
    fixed.flags.writeable = False
    view = np.arange(9.0)[:5]
    view.flags.writeable = False
    assert projection(weight=fixed).weight is fixed
    assert projection(weight=loose).weight is not loose and loose.flags.writeable
    assert projection(weight=view).weight is not view, "its owner could still change it"
    loose[0] = 7
    assert projection(weight=loose).weight[0] == 7


def test_a_taken_array_still_loses_its_negative_zeros() -> None:
    weight = np.array([-0.0, 1.0, 2.0, 3.0, 4.0])
    weight.flags.writeable = False
    c = projection(weight=weight)
    assert not np.signbit(c.weight[0]) and np.signbit(weight[0])


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.booleans())
def test_order_is_found_across_pieces(seed: int, n: int, in_order: bool) -> None:
    rng = np.random.default_rng(seed)
    columns = [rng.integers(0, 3, n).astype(np.int32) for _ in range(3)]
    weight = rng.integers(0, 3, n).astype(np.float64)
    order = np.lexsort((weight, columns[2], columns[1], columns[0]))
    if in_order:
        columns, weight = [c[order] for c in columns], weight[order]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pieces, "PART", 4)
        found = pieces.is_sorted([columns[0], columns[1], columns[2], weight])
        c = projection(pre=columns[0], post=columns[1], delay=columns[2], weight=weight)
    rows = list(zip(columns[0].tolist(), columns[1].tolist(), columns[2].tolist(), weight.tolist(), strict=True))
    assert found == (rows == sorted(rows))
    assert list(zip(c.pre.tolist(), c.post.tolist(), c.delay.tolist(), c.weight.tolist(), strict=True)) == sorted(rows)


def test_pieces_cover_everything_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "PART", 4)
    assert [k for part in parts(10) for k in range(10)[part]] == list(range(10))
    assert list(parts(0)) == []


def test_rows_are_where_each_sender_begins() -> None:
    c = projection(pre=np.array([0, 0, 2, 2, 2], np.int32))
    assert c.rows(4).tolist() == [0, 2, 2, 5, 5]


PEAK = """
import re
from pathlib import Path
from neuro.graph import Builder
def peak():  # of this program alone: getrusage also counts what forked it
    return 1024 * int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])
before = peak()
b = Builder(seed=1)
b.lif("n", 100_000, bias=0.05)
b.connect("n", "n", weight=lambda rng, k: rng.normal(0, 1, k), fan_in=100, delay=(1, 10))
graph = b.build()
graph.sha256
print((peak() - before) / graph.n_synapses)
"""


def test_building_takes_little_more_than_what_is_kept() -> None:
    # A synapse is 20 bytes, and its weight before rounding 8 more, which the builder keeps: what else is made must be small.
    done = subprocess.run(
        [sys.executable, "-c", PEAK], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2]
    )
    assert 20 < float(done.stdout) < 36
