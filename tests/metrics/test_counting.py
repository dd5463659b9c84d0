"""The workload of spiking graphs: counted by hand on small nets, and by plain loops on nets of every kind."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from neuro.backend import Record, Stimulus, run
from neuro.backend.conformance import draw_stimulus, example
from neuro.errors import DataError
from neuro.graph import Builder, Graph
from neuro.metrics import Workload, distribution, workload
from neuro.recording import Events, Recording
from tests.metrics.equal import assert_same

STEPS = 8


def engine(
    graph: Graph, spikes: dict[str, list[tuple[int, int, int]]], batch: int = 1, steps: int = STEPS
) -> Recording:
    """Run a graph on spikes given as (sample, step, unit) by input."""
    dense = {p.name: np.zeros((batch, steps, p.size), bool) for p in graph.inputs}
    for name, places in spikes.items():
        for place in places:
            dense[name][place] = True
    return run(graph, Stimulus.dense(dense), "engine", Record())


def total(w: Workload) -> tuple[dict[str, list[int]], dict[str, list[int]]]:
    """Return active and idle updates by population."""
    return ({n: u.active.tolist() for n, u in w.updates.items()}, {n: u.idle.tolist() for n, u in w.updates.items()})


def relays(delay: list[int]) -> Graph:
    """Return a neuron without memory that repeats unit 0 of its input after each delay, and a readout 2 steps behind it."""
    b = Builder()
    b.spike_input("in", 2)
    b.lif("relay", 2, tau_m_ms=0.0, v_th=0.5, reset="zero")
    b.li("out", 1)
    b.connect("in", "relay", weight=1.0, pre=[0] * len(delay), post=[0] * len(delay), delay=delay)
    b.connect("relay", "out", weight=0.5, delay=2)
    return b.build()


def test_lif_by_hand() -> None:
    # in: steps 1, 2, 7; arrivals and spikes of the relay: 1, 2, 7; arrivals at the readout: 3, 4, and 9, which is beyond the end
    graph = relays([0])
    recording = engine(graph, {"in": [(0, 1, 0), (0, 2, 0), (0, 7, 0), (0, 3, 1)]})
    w = workload(graph, recording)
    assert recording.spikes["relay"].step.tolist() == [1, 2, 7]
    assert (w.kind, w.semantics, w.n_samples, w.steps, w.dt_ms) == ("spiking", "float", 1, STEPS, 1.0)
    assert {n: c.tolist() for n, c in w.spikes.items()} == {"in": [4], "relay": [3]}
    assert {n: c.tolist() for n, c in w.spikes_by_unit.items()} == {"in": [[3, 1]], "relay": [[3, 0]]}
    assert {n: c.tolist() for n, c in w.synaptic_events.items()} == {"in->relay": [3], "relay->out": [2]}
    assert total(w) == ({"relay": [3], "out": [2]}, {"relay": [13], "out": [6]})
    assert (w.synaptic.ac.tolist(), w.synaptic.mac.tolist()) == ([5], [0])
    assert (w.synaptic.read.tolist(), w.synaptic.write.tolist()) == ([15], [5])
    # 2 relays and 1 readout, each alpha v + I, over 8 steps; a reset a spike; v and accumulator read and written
    assert (w.neuron.mac.tolist(), w.neuron.ac.tolist()) == ([24], [3])
    assert (w.neuron.read.tolist(), w.neuron.write.tolist()) == ([48], [48])
    assert not (w.neuron.mul.any() or w.neuron.nonlinear.any() or w.synaptic.mul.any() or w.synaptic.nonlinear.any())
    assert w.dense_mac.tolist() == [3 * STEPS]
    # 3 weights; alpha and v_th of the relays, kappa of the readout
    assert (w.n_parameters, w.parameter_bytes) == (6, 3 * 8 + 3 * 4)
    assert w.state_bytes == 4 * (2 * (1 + 1) + 1 * (1 + 3))
    assert (w.n_cores, w.n_chips, w.routing, w.learning_updates) == (0, 0, None, {})


def test_delays_at_the_end_of_the_run() -> None:
    graph = relays([0, 3])
    w = workload(graph, engine(graph, {"in": [(0, 5, 0)]}))
    # arrivals at the relay: 5, and 8, which is beyond the end; at the readout: 7
    assert w.synaptic_events["in->relay"].tolist() == [1]
    assert total(w) == ({"relay": [1], "out": [1]}, {"relay": [15], "out": [7]})
    late = workload(graph, engine(graph, {"in": [(0, 7, 0)]}))
    assert total(late)[0] == {"relay": [1], "out": [0]}


def test_parallel_synapses_are_two_events_and_one_active_update() -> None:
    b = Builder()
    b.spike_input("in", 1)
    b.li("out", 1)
    b.connect("in", "out", weight=[0.5, -0.5, 0.25], pre=[0, 0, 0], post=[0, 0, 0], delay=[1, 1, 2])
    graph = b.build()
    w = workload(graph, engine(graph, {"in": [(0, 0, 0)]}))
    assert w.synaptic_events["in->out"].tolist() == [3]
    assert total(w) == ({"out": [2]}, {"out": [6]})


def test_a_weight_of_zero_is_an_event() -> None:
    b = Builder()
    b.spike_input("in", 1)
    b.li("out", 1)
    b.connect("in", "out", weight=[0.0, 1.0], pre=[0, 0], post=[0, 0], delay=[2, 4])
    graph = b.build(grid=False)
    w = workload(graph, engine(graph, {"in": [(0, 0, 0)]}))
    assert w.synaptic_events["in->out"].tolist() == [2]
    assert total(w)[0] == {"out": [2]}


def test_a_neuron_that_spikes_without_an_arrival_is_active() -> None:
    b = Builder()
    b.lif("n", 1, tau_m_ms=0.0, v_th=0.5, bias=1.0, n_ref=1)
    graph = b.build()
    recording = run(graph, Stimulus(batch=1, steps=STEPS), "engine", Record())
    w = workload(graph, recording)
    assert recording.spikes["n"].step.tolist() == [0, 2, 4, 6]
    assert total(w) == ({"n": [4]}, {"n": [4]})
    # an addition an update for the bias, one a spike; v, the counter of the refractory period and the accumulator
    assert (w.neuron.mac.tolist(), w.neuron.ac.tolist()) == ([8], [8 + 4])
    assert w.neuron.read.tolist() == w.neuron.write.tolist() == [3 * STEPS]
    assert w.n_parameters == 4


def test_alif_by_hand() -> None:
    b = Builder()
    b.spike_input("in", 1)
    b.alif("n", 2, tau_m_ms=0.0, v_th=0.5, beta=[0.1, 0.2])
    b.connect("in", "n", weight=1.0, delay=1)
    graph = b.build()
    w = workload(graph, engine(graph, {"in": [(0, 0, 0), (0, 4, 0)]}))
    assert w.spikes["n"].tolist() == [4]
    assert total(w) == ({"n": [4]}, {"n": [12]})
    # alpha v + I, rho a + z, v_th + beta a; v, a, accumulator, and beta, which differs
    assert (w.neuron.mac.tolist(), w.neuron.ac.tolist()) == ([3 * 16], [4])
    assert (w.neuron.read.tolist(), w.neuron.write.tolist()) == ([4 * 16], [3 * 16])
    # 2 weights; alpha, v_th and rho, shared; beta of each
    assert (w.n_parameters, w.parameter_bytes) == (7, 2 * 8 + 5 * 4)
    assert w.state_bytes == 4 * 2 * (2 + 2)


def ahp() -> Graph:
    """Return one AHP neuron that spikes whenever an input arrives, an IntALIF of the same kind, and a readout."""
    b = Builder()
    b.spike_input("in", 1)
    b.ahp("n", 1, d_v=4095, v_th=1, d_x=4095, w_x=-64)
    b.int_alif("a", 1, d_v=4095, v_th=1, d_a=4095, bump=64)
    b.int_li("out", 1, d_y=4095)
    b.connect("in", "n", weight=200, exponent=0)
    b.connect("in", "a", weight=200, exponent=0)
    b.connect("n", "out", weight=2)
    return b.build()


def test_ahp_has_two_compartments_and_its_own_spikes_arrive_at_the_second() -> None:
    graph = ahp()
    recording = engine(graph, {"in": [(0, 2, 0), (0, 3, 0), (0, 7, 0)]})
    w = workload(graph, recording)
    assert recording.spikes["n"].step.tolist() == recording.spikes["a"].step.tolist() == [2, 3, 7]
    assert w.semantics == "integer"
    assert w.synaptic_events["n (own spikes)"].tolist() == [2]
    assert w.synaptic_events["n->out"].tolist() == [2]
    # main compartment 2, 3, 7; auxiliary 3, 4
    assert total(w) == ({"n": [5], "a": [3], "out": [2]}, {"n": [11], "a": [5], "out": [6]})
    assert w.synaptic.ac.tolist() == [3 + 3 + 2 + 2]
    # a step: v, u, x and v + x; v, u, a and v_th + a; u, y
    assert (w.neuron.mac.tolist(), w.neuron.ac.tolist()) == ([STEPS * (3 + 3 + 2)], [STEPS * (1 + 1) + 6])
    # u, v, x and two accumulators; u, v, a and one; u, y and one
    assert w.neuron.read.tolist() == w.neuron.write.tolist() == [STEPS * (5 + 4 + 3)]
    # 3 weights of a byte; d_u, d_v, v_th, d_x, w_x; d_u, d_v, v_th, d_a, bump; d_u, d_y
    assert (w.n_parameters, w.parameter_bytes) == (15, 3 * 5 + 12 * 4)
    assert w.state_bytes == 4 * ((3 + 1 + 2) + (3 + 1) + (2 + 2))


def test_current_input_sends_an_event_where_it_is_not_zero() -> None:
    b = Builder()
    b.current_input("cur", 2)
    b.li("out", 3)
    b.connect("cur", "out", weight=[0.5, 0.5, 0.25], pre=[0, 0, 1], post=[0, 1, 1], delay=[0, 0, 1])
    graph = b.build()
    u = np.zeros((1, STEPS, 2))
    u[0, [1, 2], 0] = 0.5, -0.25
    u[0, [1, 7], 1] = 1.0
    stimulus = Stimulus.dense({"cur": u}, graph)
    recording = run(graph, stimulus, "engine", Record())
    w = workload(graph, recording, currents=stimulus.currents)
    # unit 0 in steps 1, 2 at two readouts; unit 1 arrives in 2, and in 8, which is beyond the end
    assert w.synaptic_events["cur->out"].tolist() == [5]
    assert total(w) == ({"out": [4]}, {"out": [20]})
    assert (w.synaptic.mac.tolist(), w.synaptic.ac.tolist()) == ([5], [0])
    with pytest.raises(DataError, match=r"currents of 'cur' missing \(got none; need \(1, 8, 2\)\)"):
        workload(graph, recording)
    u[0, 5, 0] = 1.0
    with pytest.raises(DataError, match=r"not those of the run \(got 7 events in 'cur->out'; need 5\)"):
        workload(graph, recording, currents={"cur": u})


def test_groups_of_samples_are_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = example()
    stimulus = draw_stimulus(graph, 5, 40, 2)
    recording = run(graph, stimulus, "engine", Record())
    whole = workload(graph, recording, currents=stimulus.currents)
    parts = [(0, 1), (1, 4), (4, 5)]
    split = workload(
        graph, [recording.select(*p) for p in parts], currents=[stimulus.select(*p).currents for p in parts]
    )
    assert_same(whole, split)
    monkeypatch.setattr("neuro.metrics.updates._FLAGS_AT_ONCE", 400)
    monkeypatch.setattr("neuro.metrics.updates._ARRIVALS_AT_ONCE", 7)
    assert_same(whole, workload(graph, recording, currents=stimulus.currents))


def test_one_spike_more_is_another_workload() -> None:
    graph = relays([0])
    recording = engine(graph, {"in": [(0, 1, 0)]})
    moved = replace(recording, spikes={**recording.spikes, "relay": Events(*(np.array([k]) for k in (0, 1, 1)))})
    assert_same(workload(graph, recording), workload(graph, recording))
    with pytest.raises(AssertionError):
        assert_same(workload(graph, recording), workload(graph, moved))


def test_learning_updates_are_spread_over_the_samples_of_their_run() -> None:
    graph = relays([0])
    recording = engine(graph, {"in": [(0, 1, 0), (2, 1, 0)]}, batch=3)
    learned = SimpleNamespace(n_updates={"in->relay": 8})
    assert workload(graph, recording, learned=learned).learning_updates["in->relay"].tolist() == [2, 3, 3]
    two = workload(
        graph, [recording, recording.select(0, 1)], learned=[learned, SimpleNamespace(n_updates={"in->relay": 5})]
    )
    assert two.learning_updates["in->relay"].tolist() == [2, 3, 3, 5]
    with pytest.raises(DataError, match=r"learning runs do not fit the recordings \(got 2; need 1\)"):
        workload(graph, recording, learned=[learned, learned])


def test_what_cannot_be_counted_is_refused() -> None:
    graph = relays([0])
    recording = engine(graph, {"in": [(0, 1, 0)]})
    with pytest.raises(DataError, match=r"nothing was recorded.*got no recording"):
        workload(graph, [])
    with pytest.raises(DataError, match=r"nothing was recorded.*got \[\(0, 8\)\]"):
        workload(graph, replace(recording, batch=0))
    with pytest.raises(DataError, match=r"recording of another graph \(got [0-9a-f]{12}; need"):
        workload(relays([0, 3]), recording)
    with pytest.raises(DataError, match=r"spikes were not kept \(got none of relay"):
        workload(graph, replace(recording, spikes={"in": recording.spikes["in"]}))
    with pytest.raises(DataError, match=r"differ in length \(got 5 steps; need 8\)"):
        workload(graph, [recording, engine(graph, {}, steps=5)])


def test_distribution_by_hand() -> None:
    d = distribution([4, 1, 2, 3, 10])
    assert (d.n, d.mean, d.least, d.quartiles, d.most) == (5, 4.0, 1.0, (2.0, 3.0, 4.0), 10.0)
    assert d.sd == pytest.approx(np.sqrt((0 + 9 + 4 + 1 + 36) / 5))
    assert str(d) == "4 ± 3.2 (1 | 2 3 4 | 10)"
    with pytest.raises(DataError, match="no values"):
        distribution([])
    with pytest.raises(DataError, match=r"not finite \(got nan in sample 1"):
        distribution([0.0, np.nan])


def test_samples_are_distributed_and_not_only_averaged() -> None:
    graph = relays([0])
    recording = engine(graph, {"in": [(0, 1, 0), (2, 1, 0), (2, 2, 0), (2, 4, 0)]}, batch=3)
    w = workload(graph, recording)
    d = distribution(w.spikes["relay"])
    assert (d.mean, d.least, d.most) == (4 / 3, 0.0, 3.0)
    assert total(w)[0] == {"relay": [1, 0, 3], "out": [1, 0, 3]}
