"""Check nodes, graph, builder and grid."""

from __future__ import annotations

import math
from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neuro.backend import Capabilities
from neuro.backend.conformance import Limits, example, graphs
from neuro.errors import GraphError
from neuro.graph import (
    ALIF,
    LIF,
    Builder,
    CurrentInput,
    Graph,
    Projection,
    SpikeInput,
    decay,
    reference,
    states,
    tau_ms,
    to_grid,
)

any_graph = graphs(Limits(neurons=20), Capabilities())


def test_decay_is_math_exp_to_the_last_bit() -> None:
    taus = np.linspace(0.3, 2000, 5000)
    assert decay(taus, 1.0).tolist() == [math.exp(-1.0 / tau) for tau in taus]
    assert decay(0.0, 1.0) == 0 and decay(np.inf, 1.0) == 1


def test_time_constants_are_shown_from_decays() -> None:
    assert tau_ms(decay([5.0, 20.0, 700.0], 0.5), 0.5) == pytest.approx([5, 20, 700], rel=1e-12)
    assert tau_ms([0.0, 1.0], 1.0).tolist() == [0.0, math.inf]


@pytest.mark.parametrize("bad", [-1.0, float("nan")])
def test_decay_refuses_impossible_time_constants(bad: float) -> None:
    with pytest.raises(GraphError, match="time constant out of range"):
        decay([1.0, bad], 1.0)
    with pytest.raises(GraphError, match="dt_ms is not a positive time"):
        decay(1.0, bad)


def test_nodes_are_frozen_and_their_arrays_read_only() -> None:
    p = LIF(name="a", size=2, alpha=0.5)
    with pytest.raises(FrozenInstanceError):
        p.size = 3  # type: ignore[misc]
    with pytest.raises(ValueError, match="read-only"):
        p.alpha[0] = 0.1
    mine = np.array([0.5, 0.25])
    q = LIF(name="a", size=2, alpha=mine)
    mine[0] = 9
    assert q.alpha.tolist() == [0.5, 0.25]


def test_synapses_are_sorted_whatever_the_order_given() -> None:
    pre, post, weight, delay = [1, 0, 1, 0], [0, 1, 0, 0], [3.0, 1.0, 2.0, 4.0], [2, 1, 2, 9]
    c = Projection(name="p", source="a", target="a", pre=pre, post=post, weight=weight, delay=delay)
    assert list(zip(c.pre, c.post, c.delay, c.weight, strict=True)) == [
        (0, 0, 9, 4.0),
        (0, 1, 1, 1.0),
        (1, 0, 2, 2.0),
        (1, 0, 2, 3.0),
    ]
    again = replace(c, pre=c.pre[::-1], post=c.post[::-1], weight=c.weight[::-1], delay=c.delay[::-1])
    assert again == c and again.pre.flags.writeable is False


def test_negative_zero_is_one_value() -> None:
    a, b = (Graph(populations=(LIF(name="a", size=1, alpha=0.5, bias=x),)) for x in (0.0, -0.0))
    assert a.sha256 == b.sha256


def test_states_of_each_kind() -> None:
    graph = example()
    assert [states(p) for p in graph.populations] == [(), (), ("z", "v"), ("z", "v", "a"), ("y",)]


def test_unknown_population_is_named_with_the_nearest() -> None:
    with pytest.raises(GraphError, match=r"unknown population \(got 'ali'; need one of .*\)\. Did you mean 'alif'\?"):
        example().population("ali")


def test_hash_covers_meaning_and_not_names_for_people() -> None:
    graph = example()
    assert replace(graph, name="other").with_notes(a="b").sha256 == graph.sha256
    assert replace(graph, populations=graph.populations[::-1]).sha256 == graph.sha256
    assert replace(graph, dt_ms=0.5).sha256 != graph.sha256
    first = graph.projections[0]
    changed = replace(first, weight=np.where(np.arange(first.size) == 0, first.weight + 1, first.weight))
    assert replace(graph, projections=(changed, *graph.projections[1:])).sha256 != graph.sha256


def test_equality_sees_every_field() -> None:
    graph = example()
    assert graph == example() and hash(graph) == hash(example())
    assert graph != replace(graph, name="x") and graph != "graph"
    assert graph.populations[2] != graph.populations[3] and (graph.populations[2] == 3) is False


def test_summary_tells_a_person_what_the_graph_is() -> None:
    text = example().summary()
    for part in ("13 neurons", "tau_m 5..30 ms", "tau_a 60 ms", "beta 0.3", "n_ref 2", "reset adaptive", "bias 0.01",
                 "lif -> alif", "1..9", "%", "|u| <= 1 in steps of 0.00390625", "exact: every backend gives the same bits"):  # fmt: skip
        assert part in text, part
    assert "not exact: no grid in lif, alif, out" in example(grid=False).summary()
    assert max(map(len, text.splitlines())) < 130
    assert repr(example()).startswith("<Graph 'example': 5 populations, ")


# ------------------------------------------------------------------------------------------------------------- grid


def test_grid_is_the_power_of_two_that_the_design_names() -> None:
    b = Builder()
    b.spike_input("in", 2)
    b.current_input("u", 1, u_max=3.0, u_step=0.25)
    b.lif("a", 1, bias=-0.5)
    b.connect("in", "a", weight=[1.0, -2.0], pre=[0, 1], post=[0, 0])
    b.connect("u", "a", weight=0.75)
    graph, note = to_grid(b.build(grid=False))
    # S = 0.5 + 1 + 2 + 0.75 * 3 = 5.75, so g = 2**(3 - 52) / 0.25
    assert graph.population("a").grid == 2.0**-47 == note.grids["a"]  # type: ignore[union-attr]


@pytest.mark.parametrize(("total", "exponent"), [(1.0, 0), (1.0000001, 1), (2.0, 1), (0.25, -2), (0.26, -1)])
def test_grid_takes_the_ceiling_of_the_logarithm_exactly(total: float, exponent: int) -> None:
    graph, _ = to_grid(Graph(populations=(LIF(name="a", size=1, alpha=0.5, bias=total),)))
    assert graph.population("a").grid == 2.0 ** (exponent - 52)  # type: ignore[union-attr]


@settings(max_examples=60, deadline=None)
@given(any_graph, st.integers(0, 2**32 - 1))
def test_sums_on_the_grid_are_exact_in_any_order(graph: Graph, seed: int) -> None:
    rng = np.random.default_rng(seed)
    for p in graph.receivers:
        terms = [p.bias[:1]]
        for c in graph.projections_to(p.name):
            mine = c.weight[c.post == 0]
            source = graph.population(c.source)
            if isinstance(source, CurrentInput):
                n = int(source.u_max / source.u_step)
                mine = mine * rng.integers(-n, n + 1, len(mine)) * source.u_step
            terms.append(mine)
        values = np.concatenate(terms)
        sums = {float(np.sum(rng.permutation(values))) for _ in range(5)}
        assert sums == {math.fsum(values)}


@settings(max_examples=60, deadline=None)
@given(any_graph)
def test_to_grid_is_idempotent(graph: Graph) -> None:
    again, note = to_grid(graph)
    assert again == graph and not note.grids and note.largest_change == 0 and graph.exact


def test_grid_drops_and_lists_synapses_that_round_to_zero_but_keeps_true_zeros() -> None:
    b = Builder()
    b.spike_input("in", 3)
    b.lif("a", 1)
    b.connect("in", "a", weight=[1.0, 1e-20, 0.0], pre=[0, 1, 2], post=[0, 0, 0], name="p")
    graph, note = to_grid(b.build(grid=False))
    assert note.dropped == (("p", 1, 0, 1e-20, 0),) and graph.projections[0].pre.tolist() == [0, 2]
    assert note.largest_change == 1e-20 and note.largest_change_in == "'p'"
    assert "1 synapses rounded to 0" in str(note) and "multiples of 2**-52" in str(note)


def test_grid_changes_float32_weights_by_nothing() -> None:
    rng = np.random.default_rng(0)
    b = Builder()
    b.spike_input("in", 40)
    b.lif("a", 30)
    b.connect("in", "a", weight=rng.normal(0, 0.3, 1200).astype(np.float32))
    assert to_grid(b.build(grid=False))[1].largest_change == 0


def test_grid_refuses_weights_whose_sum_overflows() -> None:
    b = Builder()
    b.spike_input("in", 2)
    b.lif("a", 1)
    b.connect("in", "a", weight=1.5e308)
    with pytest.raises(GraphError, match=r"inputs too large for a grid \(got S = inf"):
        b.build()


# ---------------------------------------------------------------------------------------------------------- builder


def test_two_population_net_takes_fewer_than_15_lines() -> None:
    b = Builder(dt_ms=1.0, seed=3)
    b.spike_input("in", 20)
    b.lif("lif", 60, tau_m_ms=20.0, n_ref=3)
    b.alif("alif", 40, tau_m_ms=20.0, tau_a_ms=200.0, beta=0.1, n_ref=3)
    b.connect("in", "lif", weight=lambda rng, n: rng.normal(0.3, 0.1, n), p=0.5)
    b.connect("lif", "alif", weight=0.2, p=0.3, delay=(1, 10))
    b.connect("alif", "lif", weight=-0.1, p=0.3, delay=(1, 10))
    graph = b.build()
    spikes = np.random.default_rng(0).random((1, 300, 20)) < 0.05
    result = reference.simulate(graph, {"in": spikes})
    assert result["lif"]["z"].sum() > 10 and result["alif"]["z"].sum() > 10 and graph.exact


def test_random_connections_follow_their_own_stream() -> None:
    def build(extra: bool) -> Graph:
        b = Builder(seed=4)
        b.spike_input("in", 30)
        b.lif("a", 50)
        if extra:
            b.connect("in", "a", weight=1.0, p=0.2, name="extra")
        b.connect("in", "a", weight=1.0, p=0.2, delay=(0, 5))
        return b.build()

    one, two = build(False).projections[-1], build(True).projections[-1]
    assert one == two and 200 < one.size < 400 and set(one.delay.tolist()) == set(range(6))
    assert len(set(zip(one.pre, one.post, strict=True))) == one.size, "no pair is drawn twice"


def test_matrix_of_weights_and_delays() -> None:
    b = Builder()
    b.spike_input("in", 2)
    b.lif("a", 3)
    b.connect("in", "a", weight=[[1.0, 0.0, 2.0], [0.0, 3.0, 0.0]], delay=np.arange(6).reshape(2, 3))
    c = b.build().projections[0]
    assert c.pre.tolist() == [0, 0, 1] and c.post.tolist() == [0, 2, 1] and c.delay.tolist() == [0, 2, 4]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"source": "x", "target": "a", "weight": 1.0}, r"unknown population \(got 'x'; need one of in, a\)"),
        ({"weight": np.ones((3, 2))}, r"weight matrix has the wrong shape \(got \(3, 2\); need \(2, 3\)"),
        ({"weight": 1.0, "p": 1.5}, r"connection probability out of range \(got 1.5; need 0..1\)"),
        ({"weight": np.ones((2, 3)), "p": 0.5}, "pairs given twice"),
        ({"weight": 1.0, "pre": [0, 1], "post": [0]}, "pre and post do not pair"),
    ],
)
def test_builder_refuses(arguments: dict[str, object], message: str) -> None:
    b = Builder()
    b.spike_input("in", 2)
    b.lif("a", 3)
    with pytest.raises(GraphError, match=message):
        b.connect(**{"source": "in", "target": "a", **arguments})  # type: ignore[arg-type]


def test_added_nodes_are_taken_as_they_are() -> None:
    b = Builder()
    b.add(SpikeInput(name="in", size=1))
    b.add(ALIF(name="a", size=1, alpha=0.5, rho=0.9, beta=0.1))
    b.connect("in", "a", weight=1.0)
    assert [p.name for p in b.build().populations] == ["in", "a"]
