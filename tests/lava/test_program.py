"""Test what a program on Lava does beyond the suite: groups, odd graphs, progress."""

from __future__ import annotations

import numpy as np
import pytest

from neuro.backend import Backend, Stimulus, get
from neuro.backend.conformance import ALL, assert_equal, draw_stimulus, example, golden
from neuro.errors import UnsupportedError
from neuro.graph import LI, LIF, MAX_DELAY, Builder, CurrentInput, Graph, SpikeInput, to_grid
from neuro.recording import Recording


@pytest.fixture(scope="module")
def grouped() -> Backend:
    """Return a backend that runs at most three samples side by side."""
    return get("lava", batch=3)


def check(lava: Backend, graph: Graph, stimulus: Stimulus) -> Recording:
    program = lava.compile(graph)
    try:
        got = program.run(stimulus, ALL)
    finally:
        program.close()
    assert_equal(got, golden(graph, stimulus, ALL), graph)
    return got


def test_groups_are_equal_and_in_order(grouped: Backend) -> None:
    graph = example()
    stimulus = draw_stimulus(graph, 8, 40, 5)  # groups of 3, 3 and 2
    got = check(grouped, graph, stimulus)
    assert got.counts.spikes["lif"].min() > 0


def test_progress_counts_the_steps_of_all_groups() -> None:
    seen: list[tuple[int, int, str]] = []
    backend = get("lava", batch=2, progress=lambda *args: seen.append(args))
    graph = example()
    check(backend, graph, draw_stimulus(graph, 4, 250, 1))
    assert seen[-1] == (500, 500, "lava")
    assert seen == sorted(seen)


def test_a_closed_program_does_not_run(lava: Backend) -> None:
    graph = example()
    program = lava.compile(graph)
    program.close()
    program.close()
    with pytest.raises(Exception, match="clos"):
        program.run(draw_stimulus(graph, 1, 5, 1))


def test_parts_that_are_not_connected_all_run(lava: Backend) -> None:
    # Lava's compiler drops parts silently: two nets, a lonely neuron, a lonely readout, an unheard input.
    b = Builder(name="parts", seed=1)
    b.spike_input("in", 3)
    b.spike_input("unheard", 2)
    b.lif("one", 4)
    b.lif("two", 5, bias=0.2)
    b.lif("lonely neuron", 1, bias=0.3)
    b.li("out", 1)
    b.li("lonely readout", 2, bias=0.5)
    b.connect("in", "one", weight=0.9)
    b.connect("one", "out", weight=0.5)
    b.connect("two", "two", weight=lambda rng, n: rng.normal(0.0, 0.2, n), delay=(1, 3))
    graph = b.build()
    got = check(lava, graph, draw_stimulus(graph, 2, 30, 1))
    assert all(got.counts.spikes[name].min() > 0 for name in ("one", "two", "lonely neuron", "unheard"))
    assert (got.traces["lonely readout"]["y"][:, -1] > 5).all()


def test_a_graph_without_inputs_runs(lava: Backend) -> None:
    b = Builder(seed=4)
    b.alif("n", 6, bias=np.linspace(0.05, 0.4, 6), beta=0.3, n_ref=2, reset="zero")
    b.connect("n", "n", weight=lambda rng, n: rng.normal(0.0, 0.3, n), delay=(1, 4))
    got = check(lava, b.build(), Stimulus(batch=2, steps=50))
    assert got.counts.spikes["n"].min() > 10


def test_readouts_alone_run(lava: Backend) -> None:
    graph = to_grid(Graph(populations=tuple(LI(name=n, size=1, kappa=0.9, bias=0.1) for n in "ab")))[0]
    got = check(lava, graph, Stimulus(batch=1, steps=5))
    assert got.traces["b"]["y"][0, -1, 0] > 0.4


def test_inputs_alone_run(lava: Backend) -> None:
    graph = Graph(populations=(SpikeInput(name="in", size=2), CurrentInput(name="u", size=1)))
    got = check(lava, graph, draw_stimulus(graph, 2, 20, 1))
    assert got.counts.spikes["in"].sum() > 0


def test_the_longest_delays_run_and_leave_nothing_for_the_next_run(lava: Backend) -> None:
    b = Builder()
    b.spike_input("in", 1)
    b.lif("n", 1, tau_m_ms=0.0, v_th=0.5)
    b.connect("in", "n", weight=[1.0, 1.0, 1.0], pre=[0, 0, 0], post=[0, 0, 0], delay=[0, 50, MAX_DELAY])
    graph = b.build()
    program = lava.compile(graph)
    try:
        for steps, expected in ((60, [5, 55]), (40, [5]), (MAX_DELAY + 10, [5, 55, MAX_DELAY + 5]), (60, [5, 55])):
            spikes = np.zeros((1, steps, 1), bool)
            spikes[0, 5] = True
            got = program.run(Stimulus.dense({"in": spikes}))
            assert got.spikes["n"].step.tolist() == expected
    finally:
        program.close()


def test_names_are_only_names(lava: Backend) -> None:
    b = Builder(name="name with a ' and ünïcode", seed=1)
    names = ("a b", "v", "stop", "__init__", "1", "populatión")
    b.spike_input(names[0], 2)
    for name in names[1:]:
        b.lif(name, 2)
        b.connect(names[0], name, weight=0.9, name=f"to {name}")
    graph = b.build()
    got = check(lava, graph, draw_stimulus(graph, 1, 20, 1))
    assert all(got.counts.spikes[name].sum() > 0 for name in names)


def test_currents_of_both_signs_and_spikes_meet_in_one_population(lava: Backend) -> None:
    b = Builder(seed=7)
    b.spike_input("s", 3)
    b.current_input("u", 3, u_max=2.0, u_step=2.0**-4)
    b.current_input("w", 1)
    b.lif("n", 7, n_ref=1)
    for k, name in enumerate(("s", "u", "w", "u", "n")):
        b.connect(name, "n", weight=lambda rng, n: rng.normal(0.2, 0.4, n), delay=(1, 5), name=f"p{k}")
    graph = b.build()
    stimulus = draw_stimulus(graph, 3, 60, 2)
    assert stimulus.currents["u"].min() < 0 < stimulus.currents["u"].max()
    assert check(lava, graph, stimulus).counts.spikes["n"].min() > 0


def test_more_sources_than_a_connection_usually_has(lava: Backend) -> None:
    b = Builder(seed=3)
    for k in range(12):
        b.spike_input(f"in {k}", 1)
    b.lif("n", 3)
    for k in range(12):
        b.connect(f"in {k}", "n", weight=0.3)
    graph = b.build()
    assert check(lava, graph, draw_stimulus(graph, 2, 30, 3)).counts.spikes["n"].min() > 0


def test_versions_name_lava(lava: Backend) -> None:
    graph = example()
    versions = check(lava, graph, draw_stimulus(graph, 1, 10, 1)).versions
    assert versions["lava-nc"] == "0.10.0"
    assert versions["numpy"].startswith("1.")


def test_a_bad_number_of_samples_is_refused(lava: Backend) -> None:
    graph = Graph(populations=(LIF(name="n", size=1, alpha=0.9),))
    with pytest.raises(UnsupportedError, match=r"batch out of range \(got 0; need a whole number >= 1\)"):
        get("lava", batch=0).compile(graph)
