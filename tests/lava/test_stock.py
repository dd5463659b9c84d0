"""Test graphs on Lava's stock Processes, chosen by stock=True: equal to the golden model, states and clips included."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from neuro.backend import Backend, Record, Stimulus, get
from neuro.backend.conformance import ALL, assert_equal, draw_stimulus, golden
from neuro.errors import UnsupportedError
from neuro.graph import Builder, Graph
from neuro.recording import Recording
from neuro_lava import plan_stock


@pytest.fixture(scope="module")
def stock() -> Backend:
    """Return the backend with stock Processes wherever they are equal."""
    return get("lava", stock=True)


def check(stock: Backend, graph: Graph, stimulus: Stimulus, record: Record = ALL) -> Recording:
    program = stock.compile(graph)
    try:
        got = program.run(stimulus, record)
    finally:
        program.close()
    assert_equal(got, golden(graph, stimulus, record), graph)
    return got


def random_graph(seed: int) -> Graph:
    """Return a graph in which much is stock: IntLIF populations with biases, delays to 62, and some of what is not."""
    rng = np.random.default_rng(seed)
    b = Builder(seed=seed)
    names = ["in"]
    b.spike_input("in", int(rng.integers(2, 6)))
    for k in range(int(rng.integers(1, 4))):
        size, d_u, d_v = (
            int(rng.integers(1, 9)),
            int(rng.choice([300, 2000, 4095])),
            int(rng.choice([0, 40, 900, 4000])),
        )
        bias = rng.integers(-4096, 4096, size) * rng.choice([0, 0, 1, 8], size) // (1 + d_v // 500)
        names.append(b.int_lif(f"n{k}", size, d_u=d_u, d_v=d_v, v_th=int(rng.integers(200, 5000)), bias=bias))
    if rng.random() < 0.5:
        names.append(b.int_alif("adaptive", 3, d_v=200, v_th=900, d_a=40, bump=9000, n_ref=2))
    readouts = [b.int_li("out", 2, d_y=100)] if rng.random() < 0.7 else []
    for target in (*names[1:], *readouts):
        for source in names:
            if source == "in" or rng.random() < 0.6:
                delay = int(source != "in")
                late = (delay, int(rng.choice([delay, delay, delay, 6, 6, 6, 62])))
                b.connect(source, target, weight=lambda r, n: r.integers(-120, 255, n), p=0.7, delay=late,
                          exponent=int(rng.integers(0, 5)))  # fmt: skip
    return b.build()


def test_random_graphs_equal_the_golden_model(stock: Backend) -> None:
    seen: dict[str, int] = {"stock neurons": 0, "spikes": 0, "biased": 0, "own": 0, "delayed": 0, "clips": 0}
    for seed in range(8):
        graph = random_graph(seed)
        plan = plan_stock(graph)
        got = check(stock, graph, draw_stimulus(graph, 2, 80, seed))
        for p in graph.neurons:
            stocked = p.name in plan.populations
            seen["own"] += not stocked
            seen["stock neurons"] += p.size * stocked
            seen["spikes"] += int(got.counts.spikes[p.name].sum()) * stocked
            seen["biased"] += int(np.count_nonzero(p.bias)) * stocked
            seen["clips"] += int(got.counts.saturations[p.name]["v"].sum()) * stocked
        seen["delayed"] += sum(int((c.delay > 20).sum()) for c in graph.projections if c.name in plan.projections)
    assert min(seen.values()) > 2, seen
    print(seen)


def net(**changes: Any) -> Graph:
    """Return a small net that is stock altogether but for its readout."""
    b = Builder(seed=2)
    b.spike_input("in", 4)
    b.int_lif("a", 5, **{"d_u": 1000, "d_v": 300, "v_th": 900, "bias": 320, **changes})
    b.int_li("out", 2, d_y=200)
    b.connect("in", "a", weight=lambda r, n: r.integers(0, 255, n), delay=(0, 3), exponent=2)
    b.connect("a", "a", weight=lambda r, n: r.integers(-100, 0, n), delay=(1, 5), p=0.5)
    b.connect("a", "out", weight=lambda r, n: r.integers(-50, 50, n) * 2)
    return b.build()


def test_groups_and_runs_start_from_zero() -> None:
    graph = net()
    program = get("lava", stock=True, batch=2).compile(graph)
    try:
        for seed in (1, 2):
            stimulus = draw_stimulus(graph, 3, 40, seed)  # groups of 2 and 1
            got = program.run(stimulus, ALL)
            assert_equal(got, golden(graph, stimulus, ALL), graph)
            assert got.counts.spikes["a"].min() > 5
    finally:
        program.close()


def test_synapses_of_weight_zero_and_parts_without_a_connection_run(stock: Backend) -> None:
    b = Builder()
    b.spike_input("in", 2)
    b.int_lif("a", 2, d_v=100, v_th=500)
    b.int_lif("lonely", 1, d_v=100, v_th=500, bias=4000)
    b.connect("in", "a", weight=[[200, 0], [0, 0]], pre=None, delay=0, exponent=3, name="some")
    b.connect("in", "a", weight=np.zeros(4, int), pre=[0, 0, 1, 1], post=[0, 1, 0, 1], delay=[3, 0, 1, 2], name="none")
    graph = b.build()
    assert plan_stock(graph).populations == {"a", "lonely"}
    got = check(stock, graph, draw_stimulus(graph, 2, 60, 3))
    assert got.counts.spikes["a"].min() > 0
    assert got.counts.spikes["lonely"].min() > 3


def test_the_recording_says_what_was_stock(stock: Backend) -> None:
    graph = net()
    got = check(stock, graph, draw_stimulus(graph, 1, 20, 1), Record())
    assert got.versions["lava stock processes"] == "populations a; projections a->a, a->out, in->a"
    assert "lava stock processes" not in get("lava").compile(graph).run(draw_stimulus(graph, 1, 5, 1)).versions


def test_every_reason_against_stock_is_named() -> None:
    b = Builder()
    b.spike_input("in", 3)
    b.int_lif(
        "lif",
        2,
        d_u=[0, 5],
        d_v=[10, 4000],
        v_th=[10, 20],
        n_ref=[0, 3],
        reset="adaptive",
        bias=[4097, 299_904],
        state_bits=20,
    )
    b.int_alif("alif", 1, d_v=1, v_th=1, d_a=1, bump=1)
    b.connect("in", "lif", weight=255, exponent=7, name="loud")
    b.connect("in", "lif", weight=2, exponent=-1, name="fine")
    b.connect("in", "alif", weight=1, pre=[0, 0, 0], post=[0, 0, 0], delay=[1, 2, 2], exponent=-2, name="often")
    plan = plan_stock(b.build())
    assert plan.populations == set()
    assert plan.projections == {"loud"}
    assert plan.reasons == [
        "population 'lif': reset 'adaptive' (stock LIF: 'zero')",
        "population 'lif': n_ref 3 (stock LIF: 0)",
        "population 'lif': state_bits 20 (stock LIF: 24)",
        "population 'lif': d_u with 2 values (stock LIF: one a population)",
        "population 'lif': d_v with 2 values (stock LIF: one a population)",
        "population 'lif': v_th with 2 values (stock LIF: one a population)",
        "population 'lif': projection 'fine' has exponent -1 (stock LIF: 0..7, its input has no finer unit)",
        "population 'lif': bias 4097 of neuron 0 (stock LIF: 13 bits times 2**0..7)",
        "population 'lif': bias 299904 of neuron 1 with d_v 4000 (stock LIF integrates it once before step 0, and no start of "
        "v makes up for that)",
        f"population 'lif': |u| can reach {3 * (255 * 2**13 + 2 * 2**5) * 4096} (stock LIF: up to 8388607, it wraps beyond)",
        "population 'alif': kind IntALIF (stock LIF: IntLIF)",
        "projection 'fine': exponent -1 (stock Sparse: 0..7)",
        "projection 'often': exponent -2 (stock Sparse: 0..7)",
        "projection 'often': several synapses a pair, 2 too many (stock Sparse: one)",
    ]


def test_a_bound_on_u_that_is_just_kept_is_stock() -> None:
    def can_be_stock(weight: int, d_u: int) -> bool:
        b = Builder()
        b.spike_input("in", 1)
        b.int_lif("n", 1, d_u=d_u, d_v=1, v_th=1)
        b.connect("in", "n", weight=weight, exponent=7)
        return bool(plan_stock(b.build()).populations)

    assert can_be_stock(255, 1023)  # 255 * 2**13 * 4096 / 1024 = 8355840
    assert not can_be_stock(255, 1018)  # 8396880
    assert not can_be_stock(-255, 1018)


def test_a_graph_without_anything_stock_is_refused(stock: Backend) -> None:
    b = Builder()
    b.spike_input("in", 1)
    b.int_lif("n", 1, d_v=1, v_th=1, n_ref=1)
    b.connect("in", "n", weight=1, exponent=-3, name="p")
    with pytest.raises(
        UnsupportedError, match=r"n_ref 1 .*has exponent -3 .*projection 'p': exponent -3 .*need none of"
    ):
        stock.compile(b.build())
    floating = Builder()
    floating.lif("n", 1)
    with pytest.raises(UnsupportedError, match=r"kind LIF \(stock LIF: IntLIF; neuro\.quantize makes integers\)"):
        stock.compile(floating.build())


def test_the_backend_is_available_though_it_refuses_the_floats_of_the_probe(stock: Backend) -> None:
    available = stock.is_available()
    assert available, available.reason
