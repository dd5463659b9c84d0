"""Faults made on purpose, in float and integer graphs: the explanation finds the neuron, the synapse and who is wrong."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from neuro.backend import Record, Stimulus, run
from neuro.backend.conformance import draw_stimulus, example, integer_example
from neuro.errors import DataError
from neuro.graph import Graph, IntProjection
from neuro.metrics import Explanation, explain
from neuro.recording import Events, Recording

BATCH, STEPS = 3, 60
GRAPHS = {"float": example(), "integer": integer_example()}
STIMULI = {name: draw_stimulus(graph, BATCH, STEPS, 3) for name, graph in GRAPHS.items()}
BASES = {name: run(graph, STIMULI[name], "reference", Record(traces="all")) for name, graph in GRAPHS.items()}
PLACES = [(s, c.name) for s, graph in GRAPHS.items() for c in graph.projections if c.size]
"""Semantics and name of every projection."""


def faulty(semantics: str, projection: str, change: dict[str, Any]) -> Recording:
    """Return what a backend records that has other synapses than the graph and does not know it."""
    graph = GRAPHS[semantics]
    wrong = replace(
        graph, projections=tuple(replace(c, **change) if c.name == projection else c for c in graph.projections)
    )
    found = run(wrong, STIMULI[semantics], "reference", Record(traces="all"))
    return replace(found, backend="faulty", graph_sha256=graph.sha256)


def explained(semantics: str, other: Recording, **arguments: Any) -> Explanation:
    found = explain(
        BASES[semantics], other, GRAPHS[semantics], **({"currents": STIMULI[semantics].currents} | arguments)
    )
    assert found is not None
    return found


def busiest(semantics: str, projection: str) -> int:
    """Return a synapse of a projection whose source sends early: its fault is sure to show."""
    (c,) = (c for c in GRAPHS[semantics].projections if c.name == projection)
    if c.source in STIMULI[semantics].currents:
        return 0
    n = [int((BASES[semantics].spikes[c.source].unit == i).sum()) for i in c.pre]
    return int(np.argmax(n))


def test_the_bases_are_not_vacuous() -> None:
    for semantics, base in BASES.items():
        assert sum(map(len, base.spikes.values())) > 100, semantics
    assert {s for s, _ in PLACES} == {"float", "integer"}
    assert len(PLACES) >= 8
    assert {kind for s in BASES["integer"].traces.values() for kind in s} == {"u", "v", "a", "x", "y"}


@pytest.mark.parametrize(("semantics", "projection"), PLACES)
def test_one_wrong_weight_is_at_one_of_the_synapses_that_are_named(semantics: str, projection: str) -> None:
    (c,) = (c for c in GRAPHS[semantics].projections if c.name == projection)
    k, weight = busiest(semantics, projection), c.weight.copy()
    weight[k] = (
        weight[k] // 4 * 2 + 4 * (1 if weight[k] >= 0 else -1)
        if isinstance(c, IntProjection)
        else weight[k] - np.sign(weight[k]) / 8
    )
    assert weight[k] != c.weight[k]
    e = explained(semantics, faulty(semantics, projection, {"weight": weight}))
    d = e.divergence
    assert (d.population, d.neuron) == (c.target, int(c.post[k]))
    assert d.state in ("u", "v", "y")
    assert e.sides[0].departure is None
    left = e.sides[1].departure
    assert left is not None
    assert (left.step, left.state, left.recorded, left.expected) == (d.step, d.state, d.values[1], d.values[0])
    here = [x for x in e.deliveries or () if x.step == d.step]
    assert any(
        (x.synapse.projection, x.synapse.unit, x.synapse.delay) == (projection, int(c.pre[k]), int(c.delay[k]))
        for x in here
    )
    assert all(x.by == (True, True) for x in here)


@pytest.mark.parametrize(("semantics", "projection"), PLACES)
def test_one_delay_off_by_one_is_a_delivery_lost_or_early(semantics: str, projection: str) -> None:
    (c,) = (c for c in GRAPHS[semantics].projections if c.name == projection)
    k = busiest(semantics, projection)
    for fault, by in (("lost", 1), ("early", -1)):
        delay = c.delay.copy()
        delay[k] += by
        if by < 0 and delay[k] < (1 if c.source in {p.name for p in GRAPHS[semantics].neurons} else 0):
            continue
        e = explained(semantics, faulty(semantics, projection, {"delay": delay}))
        d = e.divergence
        assert (d.population, d.neuron) == (c.target, int(c.post[k]))
        assert e.sides[0].departure is None
        place = (projection, int(c.pre[k]), int(c.delay[k]), fault)
        hits = [
            (s.synapse.projection, s.synapse.unit, s.synapse.delay, s.fault, s.by)
            for s in e.sides[1].suspects
            if s.synapse is not None
        ]
        assert (*place, int(fault == "early")) in hits, (e.divergence, hits)


@pytest.mark.parametrize("semantics", sorted(GRAPHS))
def test_lost_spike_is_found_where_it_was_lost(semantics: str) -> None:
    base = BASES[semantics]
    events = base.spikes["lif"]
    k = len(events) // 2
    keep = np.arange(len(events)) != k
    other = replace(
        base, backend="faulty",
        spikes={**base.spikes, "lif": Events(events.sample[keep], events.step[keep], events.unit[keep])},
    )  # fmt: skip
    e = explained(semantics, other)
    d = e.divergence
    assert (d.sample, d.step, d.neuron, d.state) == (events.sample[k], events.step[k], events.unit[k], "z")
    left = e.sides[1].departure
    assert left is not None
    assert (left.state, left.recorded, left.expected) == ("z", 0.0, 1.0)
    assert e.sides[1].suspects == ()
    if d.step >= 10:
        assert e.steps.tolist() == list(range(d.step - 10, d.step + 1))


@pytest.mark.parametrize("semantics", sorted(GRAPHS))
def test_replay_gives_every_recorded_state_and_threshold(semantics: str) -> None:
    # One flipped spike in the last step: all before it must be what the golden model gives, for every kind of neuron.
    base, graph = BASES[semantics], GRAPHS[semantics]
    for p in graph.receivers:
        state = "y" if p in graph.readouts else "v"
        values = base.traces[p.name][state].copy()
        values[1, STEPS - 1, 0] += 1.0
        traces = {**base.traces, p.name: {**base.traces[p.name], state: values}}
        e = explained(semantics, replace(base, backend="faulty", traces=traces), n_before=STEPS)
        assert e.sides[0].departure is None
        assert len(e.steps) == STEPS
        for name, x in e.sides[0].recorded.items():
            assert np.array_equal(x, e.sides[0].expected[name]), (p.name, name)
        if p in graph.neurons:
            z, v, a = (e.sides[0].expected[n] for n in ("z", "v", "A"))
            assert z.any()
            assert not z[v < a][:-1].any() or getattr(p, "reset", "zero") == "zero"


def test_what_arrives_is_the_input_of_the_step() -> None:
    for semantics, graph in GRAPHS.items():
        other = replace(BASES[semantics], backend="faulty", traces={}, spikes=_without_last(BASES[semantics]))
        e = explained(semantics, other)
        p: Any = graph.population(e.divergence.population)
        bias = 0 if semantics == "integer" else float(p.bias[e.divergence.neuron])
        for row, step in enumerate(e.steps.tolist()):
            amount = sum(x.amount for x in e.deliveries or () if x.step == step)
            assert e.sides[0].expected["I"][row] == pytest.approx(bias + amount, rel=1e-12)
        assert any(e.sides[0].expected["I"])


def _without_last(r: Recording) -> dict[str, Events]:
    """Return the spikes without the last one of 'lif'."""
    e = r.spikes["lif"]
    keep = np.arange(len(e)) != np.lexsort((e.unit, e.sample, e.step))[-1]
    return {**r.spikes, "lif": Events(e.sample[keep], e.step[keep], e.unit[keep])}


def test_states_that_were_not_recorded_are_computed() -> None:
    base = BASES["integer"]
    bare = replace(base, traces={})
    e = explain(bare, replace(bare, backend="faulty", spikes=_without_last(base)), GRAPHS["integer"])
    assert e is not None
    d = e.divergence
    assert set(e.sides[0].recorded) == {"z", "A"}  # the threshold of IntLIF is a constant
    for state in ("u", "v"):
        expected = base.traces["lif"][state][d.sample, e.steps, d.neuron]
        assert np.array_equal(e.sides[0].expected[state], expected)


def test_unknown_inputs_are_named_and_nothing_is_guessed() -> None:
    base = BASES["float"]
    found = explain(base, replace(base, backend="faulty", spikes=_without_last(base)), GRAPHS["float"])
    assert found is not None
    into = {c.source for c in GRAPHS["float"].projections_to("lif")}
    assert "cur" not in into  # else the lines below show nothing
    assert found.unknown == ()
    spikes = {name: e for name, e in base.spikes.items() if name != "alif"}
    values = base.traces["lif"]["v"].copy()
    values[0, 30, 1] += 1.0
    blind = replace(base, spikes=spikes)
    other = replace(blind, backend="faulty", traces={**base.traces, "lif": {"v": values}})
    e = explain(blind, other, GRAPHS["float"])
    assert e is not None
    assert e.unknown == ("alif",)
    assert e.sides[0].expected == {}
    assert e.sides[0].departure is None
    a = base.traces["alif"]["a"].copy()
    a[0, 30, 0] += 1.0
    e = explain(
        base, replace(base, backend="faulty", traces={**base.traces, "alif": {**base.traces["alif"], "a": a}}),
        GRAPHS["float"],
    )  # fmt: skip
    assert e is not None
    assert e.unknown == ("cur",)
    assert "A" in e.sides[0].recorded


def test_without_a_graph_recorded_states_are_told() -> None:
    base = BASES["float"]
    e = explain(base, replace(base, backend="faulty", spikes=_without_last(base)))
    assert e is not None
    assert e.deliveries is None
    assert set(e.sides[0].recorded) == {"v", "z"}
    assert len(e.sides[0].recorded["v"]) == len(e.steps)


def test_equal_recordings_have_nothing_to_explain() -> None:
    assert explain(BASES["integer"], replace(BASES["integer"], backend="other"), GRAPHS["integer"]) is None


def test_other_graph_and_other_stimulus_are_refused_by_name() -> None:
    base, graph = BASES["float"], GRAPHS["float"]
    with pytest.raises(
        DataError, match=rf"graph is another \(got {GRAPHS['integer'].sha256[:12]}; need {graph.sha256[:12]}"
    ):
        explain(base, base, GRAPHS["integer"])
    with pytest.raises(DataError, match="graph differs"):
        explain(base, BASES["integer"])
    elsewhere = draw_stimulus(graph, BATCH, STEPS, 4)
    other = run(graph, elsewhere, "reference", Record(traces="all"))
    for known in (graph, None):
        with pytest.raises(
            DataError, match=r"stimulus differs \(got other spikes of input 'in', first at step \d+, sample \d"
        ):
            explain(base, other, known)
    with pytest.raises(DataError, match=r"stimulus differs.*in their numbers of spikes"):
        explain(replace(base, spikes={"lif": base.spikes["lif"]}), other, graph)
    short = {"cur": np.zeros((BATCH, STEPS - 1, 2))}
    with pytest.raises(DataError, match=r"currents of 'cur': wrong shape \(got \(3, 59, 2\); need \(3, 60, 2\)\)"):
        explain(base, replace(base, spikes=_without_last(base)), graph, currents=short)


def test_difference_that_both_had_before_is_told_as_such() -> None:
    # Both hold a v that the golden model does not give, long before they part.
    base = BASES["float"]
    shifted = base.traces["lif"]["v"].copy()
    shifted[:, 10:, 3] += 0.5
    traces = {**base.traces, "lif": {"v": shifted}}
    again = shifted.copy()
    again[0, 40, 3] += 0.5
    e = explain(
        replace(base, traces=traces), replace(base, backend="faulty", traces={**base.traces, "lif": {"v": again}}),
        GRAPHS["float"],
    )  # fmt: skip
    assert e is not None
    assert [side.departure.step for side in e.sides if side.departure] == [10, 10]
    assert e.sides[1].suspects == ()


def test_graph_off_its_grid_parts_by_the_order_of_its_sums() -> None:
    rng = np.random.default_rng(0)
    graph = _loose(rng)
    spikes = rng.random((1, 60, 40)) < 0.3
    stimulus = Stimulus.dense({"in": spikes})
    a, b = (run(graph, stimulus, name, Record(traces="all")) for name in ("reference", "engine"))
    e = explain(a, b, graph)
    assert e is not None
    assert not e.asserted
    assert e.sides[0].departure is None


def _loose(rng: np.random.Generator) -> Graph:
    from neuro.graph import Builder

    b = Builder(seed=2)
    b.spike_input("in", 40)
    b.lif("lif", 30)
    b.connect("in", "lif", weight=rng.normal(0.05, 0.1, (40, 30)))
    b.connect("lif", "lif", weight=rng.normal(0.0, 0.2, (30, 30)), delay=(1, 4))
    return b.build(grid=False)
