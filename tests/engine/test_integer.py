"""Integer graphs on the engine where the conformance suite does not look: widest sums, chunks, threads, parts of the states."""

from __future__ import annotations

import numpy as np
import pytest

from neuro.backend import Record, Stimulus, conformance, run
from neuro.engine import EngineBackend
from neuro.engine import run as engine
from neuro.graph import MAX_STATE, Builder, Graph, IntALIF, IntLI, IntLIF
from neuro.recording import Recording

ALL = Record(traces="all")


def loud() -> Graph:
    """Return a net of all kinds in which every state is clipped now and then, with delays up to 62."""
    b = Builder(name="loud", seed=3)
    b.spike_input("in", 4)
    b.int_alif("sub", 5, d_u=300, d_v=60, v_th=4000, d_a=10, bump=-900_000, n_ref=2, reset="threshold")
    b.int_alif("adaptive", 5, d_u=4095, d_v=100, v_th=3000, d_a=2, bump=900_000, n_ref=1, reset="adaptive")
    b.add(IntLIF(name="narrow", size=3, d_u=200, d_v=50, v_th=500, n_ref=3, state_bits=16))
    b.ahp("ahp", 4, d_u=100, d_v=30, v_th=6000, d_x=60, w_x=-5_000_000, n_ref=1)
    b.add(IntLI(name="out", size=2, d_u=500, d_y=20, bias=3, state_bits=20))
    for target in ("sub", "adaptive", "narrow", "ahp"):
        b.connect("in", target, weight=lambda rng, n: rng.integers(60, 256, n), delay=(0, 62), exponent=4)
    names = ("sub", "adaptive", "narrow", "ahp")
    for source, target in zip(names, (*names[1:], names[0]), strict=True):  # a ring of populations
        b.connect(source, target, weight=lambda rng, n: rng.integers(-255, 200, n), delay=(1, 62), exponent=3)
        b.connect(source, "out", weight=lambda rng, n: rng.integers(-100, 255, n), delay=(1, 9), exponent=2)
    return b.build()


def spikes(graph: Graph, batch: int, steps: int) -> Stimulus:
    """Return random input spikes."""
    return conformance.draw_stimulus(graph, batch, steps, 11)


def clips(found: Recording) -> dict[str, int]:
    """Return the clips of a run by state, all populations and samples together."""
    total: dict[str, int] = {}
    for by_state in found.counts.saturations.values():
        for state, n in by_state.items():
            total[state] = total.get(state, 0) + int(n.sum())
    return total


def test_widest_sums_do_not_wrap() -> None:
    # 1028 synapses of 255 * 2**13 bring 2**31 - 32768 in one step, and as much below zero in the other neuron.
    n = 1028
    b = Builder()
    b.spike_input("in", n)
    b.int_lif("n", 2, d_u=0, d_v=0, v_th=131071, bias=[MAX_STATE, -MAX_STATE], reset="threshold")
    weight = np.repeat([[255, -255]], n, axis=0)
    b.connect("in", "n", weight=weight, exponent=7)
    graph = b.build()
    got = run(graph, Stimulus.dense({"in": np.ones((2, 3, n), bool)}), EngineBackend(), ALL)
    assert got.traces["n"]["u"][0, 0].tolist() == [MAX_STATE, -MAX_STATE]
    assert got.traces["n"]["v"][1, 2].tolist() == [MAX_STATE, -MAX_STATE]
    assert got.counts.saturations["n"]["u"].tolist() == [6, 6]  # two neurons, three steps
    conformance.assert_equal(got, run(graph, Stimulus.dense({"in": np.ones((2, 3, n), bool)}), "reference", ALL), graph)


def test_decay_goes_toward_zero_on_both_sides() -> None:
    b = Builder()
    b.spike_input("in", 1)
    b.int_li("out", 2, d_u=4095, d_y=[1, 4095])
    b.connect("in", "out", weight=[[3, 3]], exponent=-6, name="up")
    b.connect("in", "out", weight=[[-6, -6]], exponent=-6, delay=9, name="down")
    first = np.zeros((1, 15, 1), bool)
    first[0, 0] = True
    y = run(b.build(), Stimulus.dense({"in": first}), EngineBackend(), ALL).traces["out"]["y"][0]
    assert y[:, 0].tolist() == [3, 2, 1, 0, 0, 0, 0, 0, 0, -6, -5, -4, -3, -2, -1]
    assert y[:, 1].tolist() == [3, 0, 0, 0, 0, 0, 0, 0, 0, -6, 0, 0, 0, 0, 0]


@pytest.mark.parametrize("work", [1, 300, 4_000])
def test_chunks_of_a_long_run_join_without_a_seam(monkeypatch: pytest.MonkeyPatch, work: int) -> None:
    graph, calls = loud(), []
    stimulus = spikes(graph, 3, 210)
    whole = run(graph, stimulus, "reference", ALL)
    assert all(len(whole.spikes[p.name]) > 20 for p in graph.neurons), "spikes must cross the borders"
    assert min(clips(whole).values()) > 0, clips(whole)
    monkeypatch.setattr(engine, "_FIRST_WORK", work)
    monkeypatch.setattr(engine, "_CALL_S", 0.0)  # every call took too long: the next does less
    parts = run(graph, stimulus, EngineBackend(progress=lambda *c: calls.append(c)), ALL)
    assert len(calls) > 3 and calls[-1][:2] == (210, 210)
    conformance.assert_equal(parts, whole, graph)


@pytest.mark.parametrize("n_threads", [1, 2, 7])
def test_threads_change_nothing(n_threads: int) -> None:
    graph = loud()
    stimulus = spikes(graph, 9, 120)
    got = run(graph, stimulus, EngineBackend(n_threads=n_threads), ALL)
    conformance.assert_equal(got, run(graph, stimulus, "reference", ALL), graph)
    v = got.counts.saturations["narrow"]["v"]
    assert v.shape == (9,) and len(set(v.tolist())) > 1, "samples differ, so a mix-up would show"


@pytest.mark.parametrize("wanted", [("u",), ("v",), ("x",), ("x", "u"), ()])
def test_states_are_kept_as_asked_and_clips_are_counted_anyway(wanted: tuple[str, ...]) -> None:
    graph = loud()
    stimulus = spikes(graph, 2, 150)
    expected = run(graph, stimulus, "reference", ALL)
    got = run(graph, stimulus, EngineBackend(), Record(spikes=False, traces={"ahp": wanted} if wanted else {}))
    assert not got.spikes and set(got.traces) == ({"ahp"} if wanted else set())
    for state in wanted:
        assert got.traces["ahp"][state].dtype == np.float64
        assert np.array_equal(got.traces["ahp"][state], expected.traces["ahp"][state])
        assert expected.traces["ahp"][state].any()
    assert clips(got) == clips(expected) and min(clips(got).values()) > 0
    assert got.exact


def test_every_integer_population_counts_the_clips_of_its_own_states() -> None:
    graph = loud()
    found = run(graph, spikes(graph, 2, 40), EngineBackend()).counts.saturations
    assert {name: set(by_state) for name, by_state in found.items()} == {
        "sub": {"u", "v", "a"},
        "adaptive": {"u", "v", "a"},
        "narrow": {"u", "v"},
        "ahp": {"u", "v", "x"},
        "out": {"u", "y"},
    }
    assert all(n.dtype == np.int64 and n.shape == (2,) for by_state in found.values() for n in by_state.values())


def test_a_membrane_that_is_held_forms_no_sum() -> None:
    # u and bias together are too wide for v at every step; while the neuron is refractory only u is clipped, and x decays.
    b = Builder()
    b.spike_input("in", 64)
    b.ahp("n", 1, d_v=0, v_th=100, d_x=2048, w_x=-64, n_ref=4, bias=500)
    b.connect("in", "n", weight=255, exponent=7)
    b.connect("in", "n", weight=2, exponent=0, name="again")
    graph = b.build()
    found = run(graph, Stimulus.dense({"in": np.ones((1, 10, 64), bool)}), EngineBackend(), ALL)
    assert found.spikes["n"].step.tolist() == [0, 5]
    assert found.traces["n"]["x"][0, :, 0].tolist() == [0, -64, -32, -16, -8, -4, -66, -33, -16, -8]
    assert {s: int(n[0]) for s, n in found.counts.saturations["n"].items()} == {"u": 10, "v": 2, "x": 0}


def test_a_graph_without_inputs_and_synapses() -> None:
    b = Builder()
    b.add(IntALIF(name="alone", size=2, d_v=[0, 400], v_th=[10, 3], bias=[7, 40], d_a=0, bump=64, n_ref=[0, 2]))
    graph = b.build()
    got = run(graph, Stimulus(batch=2, steps=300), EngineBackend(), ALL)
    assert len(got.spikes["alone"]) > 4
    conformance.assert_equal(got, run(graph, Stimulus(batch=2, steps=300), "reference", ALL), graph)
