"""What threads, parts of the targets, calls and instruction sets must not change: anything."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from neuro.backend import Record, Stimulus, conformance, run
from neuro.engine import EngineBackend, call, kernel, layout
from neuro.engine import run as runs
from neuro.graph import Builder, Graph
from neuro.recording import Recording
from tests.engine.nets import drive, lively

ALL = Record(traces="all")


@pytest.fixture(scope="module", autouse=True)
def _small_parts() -> Iterator[None]:
    """Cut even the smallest net into parts: else these nets would run over samples alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(layout, "_LEAST_PART", 1)
        patch.setattr(layout, "_ALIGNED", 1)
        yield


TestOverNeurons = conformance.suite(lambda: EngineBackend(n_threads=3), n_graphs=60, n_integer_graphs=30)


def same(a: Recording, b: Recording) -> None:
    """Hold two recordings to one another, counts included."""
    assert a.spikes == b.spikes
    for name, states in a.traces.items():
        for state, values in states.items():
            assert np.array_equal(values, b.traces[name][state]), (name, state)
    for field in ("spikes", "synaptic_events"):
        mine, other = getattr(a.counts, field), getattr(b.counts, field)
        assert {k: v.tolist() for k, v in mine.items()} == {k: v.tolist() for k, v in other.items()}


@pytest.mark.parametrize("batch", [1, 2, 3, 5])
@pytest.mark.parametrize("n_threads", [1, 2, 3, 4])
def test_threads_change_nothing(batch: int, n_threads: int) -> None:
    graph = lively()
    stimulus = drive(graph, batch)
    expected = run(graph, stimulus, "reference", ALL)
    assert all(len(expected.spikes[p.name]) > 100 for p in graph.neurons)
    same(run(graph, stimulus, EngineBackend(n_threads=n_threads), ALL), expected)


@pytest.mark.parametrize("batch", [1, 3])
def test_off_the_grid_too_a_result_does_not_depend_on_threads(batch: int) -> None:
    # Sums of doubles depend on their order there; the order at a target is the same however the targets are cut.
    graph = lively(grid=False)
    assert not graph.exact
    stimulus = drive(graph, batch)
    one, *others = (run(graph, stimulus, EngineBackend(n_threads=n), ALL) for n in (1, 2, 3))
    assert all(len(one.spikes[p.name]) > 100 for p in graph.neurons)
    for other in others:
        same(other, one)


def test_parts_are_used_and_samples_side_by_side_before_them(monkeypatch: pytest.MonkeyPatch) -> None:
    jobs: list[tuple[int, bool]] = []
    advance = kernel.advance

    def spy(*arguments: Any) -> call.Spikes:
        jobs.append((arguments[2].current.shape[0], arguments[4].over_neurons))
        return advance(*arguments)

    monkeypatch.setattr(kernel, "advance", spy)
    run(lively(), drive(lively(), 5), EngineBackend(n_threads=2))
    assert set(jobs) == {(4, False), (1, True)} or set(jobs) == {(2, False), (1, True)}
    assert jobs[-1] == (1, True)


@pytest.mark.parametrize("work", [1, 500, 20_000])
def test_calls_join_without_a_seam(monkeypatch: pytest.MonkeyPatch, work: int) -> None:
    graph = lively()
    stimulus = drive(graph, 3)
    expected = run(graph, stimulus, "reference", ALL)
    monkeypatch.setattr(runs, "_FIRST_WORK", work)
    monkeypatch.setattr(runs, "_CALL_S", 0.0)
    told: list[tuple[int, int, str]] = []
    same(run(graph, stimulus, EngineBackend(n_threads=2, progress=lambda *x: told.append(x)), ALL), expected)
    assert len(told) > 2 and told[-1] == (120, 120, "engine") and told == sorted(told)


@pytest.mark.parametrize("instructions", [0, 1, 2])
def test_instruction_sets_give_the_same_bits(monkeypatch: pytest.MonkeyPatch, instructions: int) -> None:
    best = kernel.instructions()
    chosen = min(instructions, best)  # a processor without them runs what it has
    monkeypatch.setattr(kernel, "instructions", lambda: chosen)
    graph = lively(300)  # more than a block, and no multiple of one
    stimulus = drive(graph, 1, 60)
    expected = run(graph, stimulus, "reference", ALL)
    assert all(len(expected.spikes[p.name]) > 100 for p in graph.neurons)
    same(run(graph, stimulus, EngineBackend(n_threads=2), ALL), expected)


@pytest.mark.parametrize("reset", ["threshold", "adaptive", "zero"])
@pytest.mark.parametrize("kept", [Record(), Record(traces={"n": ("v",)}), ALL])
def test_where_few_neurons_adapt_all_spike_as_they_should(reset: str, kept: Record) -> None:
    n = 1500  # some blocks of neurons without adaptation, whose traces a nobody sees unless they are recorded
    beta = np.where((np.arange(n) > 600) & (np.arange(n) < 640), 0.5, 0.0)
    b = Builder(name="few adapt", seed=3)
    b.alif("n", n, bias=np.linspace(0.02, 0.2, n), beta=beta, tau_a_ms=50.0, reset=reset, n_ref=1)
    b.connect("n", "n", weight=lambda rng, k: rng.normal(0.0, 0.1, k), fan_in=10, delay=(1, 5))
    graph = b.build()
    stimulus = Stimulus(batch=1, steps=150)
    expected = run(graph, stimulus, "reference", kept)
    adapting = beta[expected.spikes["n"].unit] > 0
    assert adapting.sum() > 30 and (~adapting).sum() > 1000
    same(run(graph, stimulus, EngineBackend(n_threads=2), kept), expected)


def test_rows_are_split_as_the_twin_splits_them() -> None:
    graph = lively(grid=False)  # whose synapses stay where they are
    placed = kernel.lay_out(graph, 5)
    assert placed.n_parts == 5
    assert sum(w.split.any() for w in placed.wires) > 5
    for w in placed.wires:
        assert np.array_equal(w.split, layout.split_rows(w.row, w.post, w.first_target, placed.bound))


def one_neuron() -> Graph:
    b = Builder()
    b.lif("n", 1, bias=0.3, n_ref=1)
    return b.build()


def no_synapses() -> Graph:
    b = Builder()
    b.spike_input("in", 3)
    b.alif("n", 5, bias=np.linspace(0.05, 0.4, 5), beta=0.1)
    b.li("out", 2, bias=0.1)
    return b.build()


def no_neurons() -> Graph:
    b = Builder()
    b.spike_input("in", 3)
    b.li("out", 2)
    b.connect("in", "out", weight=0.25, delay=(0, 2))
    return b.build()


@pytest.mark.parametrize("make", [one_neuron, no_synapses, no_neurons])
@pytest.mark.parametrize(("batch", "steps"), [(1, 1), (1, 40), (4, 1), (5, 30)])
@pytest.mark.parametrize("n_threads", [1, 2, 7])
def test_odd_sizes(make: object, batch: int, steps: int, n_threads: int) -> None:
    graph: Graph = make()  # type: ignore[operator]
    stimulus = drive(graph, batch, steps) if graph.inputs else Stimulus(batch=batch, steps=steps)
    expected = run(graph, stimulus, "reference", ALL)
    got = run(graph, stimulus, EngineBackend(n_threads=n_threads), ALL)
    same(got, expected)
    assert steps == 1 or any(x.any() for states in got.traces.values() for x in states.values())


def test_a_large_net_is_cut_only_where_a_part_is_worth_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "_LEAST_PART", 2048)
    monkeypatch.setattr(layout, "_ALIGNED", 64)
    assert layout.part_bounds(4095, 4).tolist() == [0, 4095]
    assert layout.part_bounds(4096, 4).tolist() == [0, 2048, 4096]
    assert layout.part_bounds(10_000, 3).tolist() == [0, 3328, 6656, 10_000]
    assert layout.part_bounds(0, 3).tolist() == [0, 0]
