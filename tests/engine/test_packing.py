"""Synapses as words: what they hold, which graphs have them, and that a run gives the same without."""

from __future__ import annotations

import numpy as np
import pytest

from neuro.backend import Record, Stimulus, run
from neuro.engine import EngineBackend, kernel, packing
from neuro.engine.packing import CHUNK, NOT_PACKED, Packing, Words
from neuro.graph import Builder, Graph
from tests.engine.nets import drive, lively

ALL = Record(traces="all")


@pytest.fixture
def _any_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a synapse have as many words as it needs."""
    monkeypatch.setattr(packing, "_MOST_WORDS", 1e9)


def words_of(graph: Graph, bound: np.ndarray, chosen: Packing) -> list[tuple[Words, Words]]:
    """Return the words of every projection, by the kernel and by its twin."""
    units, found, first = packing.units(graph), [], kernel.lay_out(graph, 1).target
    assert units is not None
    for c in graph.projections:
        row = c.rows(graph.population(c.source).size)
        given = (c, row, first[c.target], bound, units[c.target], packing.lag(c, graph), chosen)
        packed = packing.pack(*given)
        assert packed is not None
        found.append((packed, packing.twin(*given)))
    return found


@pytest.mark.usefixtures("_any_number")
@pytest.mark.parametrize("bits", [11, 15])
@pytest.mark.parametrize("inner", [[], [50], [40, 80, 100]])
def test_words_are_those_of_the_twin(bits: int, inner: list[int]) -> None:
    graph = lively()
    bound = np.array([0, *inner, sum(p.size for p in graph.receivers)], np.int64)
    found = words_of(graph, bound, Packing(bits, 128))
    assert sum(len(mine.word) for mine, _ in found) > 100
    for mine, twin in found:
        assert np.array_equal(mine.chunk, twin.chunk) and np.array_equal(mine.word, twin.word)
        assert mine.word.ctypes.data % 64 == 0


@pytest.mark.usefixtures("_any_number")
def test_words_add_up_to_the_weights_and_the_widest_take_several() -> None:
    graph = lively()
    n = sum(p.size for p in graph.receivers)
    bits, bound, units = 15, np.array([0, n], np.int64), packing.units(graph)
    assert units is not None
    several = 0
    first = kernel.lay_out(graph, 1).target
    for c, (mine, _) in zip(graph.projections, words_of(graph, bound, Packing(bits, 128)), strict=True):
        place, value = mine.word & (2**bits - 1), mine.word >> bits
        total, wanted = np.zeros(2**bits), np.zeros(2**bits)
        np.add.at(total, place.ravel(), value.ravel() * units[c.target])
        np.add.at(wanted, (c.delay - packing.lag(c, graph)) * 128 + first[c.target] + c.post, c.weight)
        assert np.array_equal(total, wanted) and wanted.any()
        several += int((value != 0).sum()) > c.size
    assert several > 3


@pytest.mark.usefixtures("_any_number")
def test_a_row_is_filled_up_with_nothing_at_places_of_its_own() -> None:
    b = Builder(seed=1)
    b.lif("n", 20, bias=0.1)
    b.connect("n", "n", weight=0.25, fan_in=3, delay=(1, 4))
    graph = b.build()
    for mine, _ in words_of(graph, np.array([0, 20], np.int64), Packing(8, 24)):
        assert (mine.word >> 8 == 0).any()
        assert all(len(set(row.tolist())) == CHUNK for row in mine.word & 255)


def test_graphs_on_a_grid_are_packed_and_others_are_not() -> None:
    assert kernel.lay_out(lively(), 1).packing.bits > 0
    loose = kernel.lay_out(lively(grid=False), 1)
    assert loose.packing == NOT_PACKED and all(w.words is None for w in loose.wires)


def test_one_step_for_all_needs_one_row_and_longer_delays_a_power_of_two() -> None:
    def plan(longest: int, inputs: bool, n: int = 100) -> Packing:
        b = Builder(seed=1)
        b.lif("n", n, bias=0.1)
        b.connect("n", "n", weight=0.25, fan_in=3, delay=longest)
        if inputs:
            b.spike_input("in", 3)
            b.connect("in", "n", weight=0.25, delay=longest)
        return packing.plan(b.build(), np.array([0, n], np.int64))

    assert plan(1, inputs=False) == Packing(7, 0)
    assert plan(1, inputs=True) == Packing(8, 104)  # of inputs a delay of 1 is two steps: this one and the next
    assert plan(10, inputs=False) == Packing(11, 104)
    assert plan(10, inputs=False, n=30_000) == NOT_PACKED


def test_synapses_of_too_many_words_stay_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = lively()
    monkeypatch.setattr(packing, "_MOST_WORDS", -100.0)
    assert kernel.lay_out(graph, 1).packing == NOT_PACKED


@pytest.mark.parametrize("n_threads", [1, 2])
def test_packed_or_not_a_run_is_the_same(monkeypatch: pytest.MonkeyPatch, n_threads: int) -> None:
    graph = lively(1500)  # two parts
    stimulus = drive(graph, 1, 80)
    packed = run(graph, stimulus, EngineBackend(n_threads=n_threads), ALL)
    monkeypatch.setattr(packing, "_MOST_BITS", 0)
    loose = run(graph, stimulus, EngineBackend(n_threads=n_threads), ALL)
    assert all(len(packed.spikes[p.name]) > 1000 for p in graph.neurons)
    assert packed.spikes == loose.spikes and packed.counts.synaptic_events.keys() == loose.counts.synaptic_events.keys()
    for name, states in packed.traces.items():
        for state, values in states.items():
            assert np.array_equal(values, loose.traces[name][state]), (name, state)


def test_sums_up_to_the_limit_of_the_grid_are_exact() -> None:
    # The largest sum there may be, 2^52 units, the smallest, 1, and both signs: 53 bits of an integer become a double.
    b = Builder(seed=1)
    b.spike_input("in", 4)
    b.lif("n", 1, v_th=10.0)
    b.connect("in", "n", weight=np.array([[1.0], [-1.0], [2.0**-50], [-(2.0**-50)]]))
    graph = b.build()
    dense = np.zeros((1, 40, 4), bool)
    dense[0, :16] = (np.arange(16)[:, None] >> np.arange(4)) & 1
    stimulus = Stimulus.dense({"in": dense})
    golden = run(graph, stimulus, "reference", ALL)
    found = run(graph, stimulus, EngineBackend(n_threads=1), ALL)
    assert len(np.unique(golden.traces["n"]["v"])) > 16
    assert np.array_equal(found.traces["n"]["v"], golden.traces["n"]["v"])
