"""Extend a graph in Nengo: what a user gets, finds by name, drives, probes and connects."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from neuro.backend import Record, Stimulus, conformance
from neuro.errors import DataError, UnsupportedError
from neuro.graph import Builder, Graph
from neuro.recording import Recording
from neuro_nengo import session, to_nengo

nengo: Any = session.load()


def simulate(net: Any, steps: int, **options: Any) -> Any:
    """Run a network with Nengo's own simulator and return it with its data."""
    with nengo.Simulator(net, **{"dt": getattr(net, "dt", None), "progress_bar": False, **options}) as simulator:
        simulator.run_steps(steps)
    return simulator


def expected(graph: Graph, stimulus: Stimulus) -> Recording:
    got = conformance.golden(graph, stimulus, conformance.ALL)
    assert all(n.sum() > 0 for n in got.counts.spikes.values())
    return got


def assert_same(net: Any, simulator: Any, golden: Recording, sample: int = 0) -> None:
    """Compare every probe with the golden model."""
    n = 0
    for name, probes in net.states.items():
        for state, probe in probes.items():
            data = simulator.data[probe]
            if state == "z":
                want = golden.spikes[name].to_dense(golden.batch, golden.steps, data.shape[1])[sample]
            else:
                want = golden.traces[name][state][sample]
            assert np.array_equal(data, want), (name, state)
            n += data.size
    assert n > 0


@pytest.mark.parametrize("optimize", [False, True])
def test_network_runs_in_nengos_simulator_as_the_golden_model(optimize: bool) -> None:
    graph = conformance.example()
    stimulus = conformance.draw_stimulus(graph, 2, 60, 1)
    net = to_nengo(graph)
    assert isinstance(net, nengo.Network)
    for sample in range(2):
        net.drive(stimulus, sample)
        assert_same(net, simulate(net, 60, optimize=optimize), expected(graph, stimulus), sample)


def test_equal_populations_are_not_joined_by_the_optimizer() -> None:
    # Nengo steps ensembles of equal neuron types as one: with arrays for parameters that must not happen.
    b = Builder(seed=3)
    b.spike_input("in", 4)
    for name in ("one", "two"):
        b.alif(name, 5, tau_m_ms=np.linspace(5, 20, 5), tau_a_ms=50.0, beta=0.2, n_ref=np.arange(5))
        b.connect("in", name, weight=lambda rng, n: rng.normal(0.6, 0.2, n))
    b.connect("one", "two", weight=0.3)
    graph = b.build()
    stimulus = conformance.draw_stimulus(graph, 1, 80, 5)
    net = to_nengo(graph)
    net.drive(stimulus)
    assert_same(net, simulate(net, 80), expected(graph, stimulus))


def test_simulator_that_is_reset_starts_again() -> None:
    graph = conformance.example()
    stimulus = conformance.draw_stimulus(graph, 1, 40, 2)
    net = to_nengo(graph)
    net.drive(stimulus)
    with nengo.Simulator(net, dt=net.dt, progress_bar=False) as simulator:
        simulator.run_steps(23)
        simulator.reset()
        simulator.run_steps(40)
    assert_same(net, simulator, expected(graph, stimulus))


def test_a_user_adds_a_node_and_a_probe_and_the_graph_goes_on_as_before() -> None:
    graph = conformance.example()
    stimulus = conformance.draw_stimulus(graph, 1, 60, 1)
    net = to_nengo(graph)
    net.drive(stimulus)
    lif = net.populations["lif"]
    with net:
        count = nengo.Node(size_in=1, label="spikes of lif in a step")
        nengo.Connection(lif.neurons, count, transform=np.ones((1, lif.n_neurons)), synapse=None)
        counted = nengo.Probe(count)
        waits = nengo.Probe(lif.neurons, "wait")
    simulator = simulate(net, 60)
    golden = expected(graph, stimulus)
    assert_same(net, simulator, golden)
    assert np.array_equal(simulator.data[counted][:, 0], golden.spikes["lif"].to_dense(1, 60, 8)[0].sum(axis=1))
    assert simulator.data[waits].max() == 2  # n_ref


def test_a_users_nodes_drive_inputs_and_neurons() -> None:
    graph = conformance.example()
    dense = {"in": np.zeros((1, 50, 3), bool), "cur": np.zeros((1, 50, 2))}
    dense["in"][0, ::3, 1] = True
    dense["cur"][:] = 0.5
    stimulus = Stimulus.dense(dense, graph)
    golden = conformance.golden(graph, stimulus, conformance.ALL)
    net = to_nengo(graph)
    with net:
        flash = nengo.Node(lambda t: [0.0, float((round(t / net.dt) - 1) % 3 == 0), 0.0])
        nengo.Connection(flash, net.inputs["in"], synapse=None)
        nengo.Connection(nengo.Node([0.5, 0.5]), net.inputs["cur"], synapse=None)
    assert_same(net, simulate(net, 50), golden)

    with net:
        nengo.Connection(nengo.Node([1.0]), net.populations["lif"], synapse=None)  # adds 1 to the input of every neuron
    driven = simulate(net, 50)
    assert driven.data[net.states["lif"]["z"]].sum() > golden.counts.spikes["lif"].sum()


def test_inputs_are_silent_until_driven() -> None:
    graph = conformance.example()
    net = to_nengo(graph)
    silence = Stimulus.dense({"in": np.zeros((1, 30, 3), bool), "cur": np.zeros((1, 30, 2))}, graph)
    simulator = simulate(net, 30)
    assert_same(net, simulator, conformance.golden(graph, silence, conformance.ALL))
    assert simulator.data[net.states["alif"]["v"]].max() > 0  # its bias


def test_what_a_user_connects_to_an_input_is_added_to_the_stimulus() -> None:
    graph = conformance.example()
    both = conformance.draw_stimulus(graph, 1, 40, 1)
    even = np.arange(40)[:, None] % 2 == 0
    whole = {name: both.dense_input(graph, name) for name in ("in", "cur")}
    parts = {name: (x * even, x * ~even) for name, x in whole.items()}
    net = to_nengo(graph)
    net.drive(Stimulus.dense({name: part[0] for name, part in parts.items()}, graph))
    with net:
        for name, part in parts.items():
            more = nengo.Node(lambda t, values=part[1][0]: values[round(t / net.dt) - 1])
            nengo.Connection(more, net.inputs[name], synapse=None)
    assert_same(net, simulate(net, 40), expected(graph, both))


def test_stimulus_is_silent_after_its_last_step() -> None:
    graph = conformance.example()
    stimulus = conformance.draw_stimulus(graph, 1, 20, 1)
    dense = {name: stimulus.dense_input(graph, name) for name in ("in", "cur")}
    longer = {name: np.concatenate([x, np.zeros((1, 15, x.shape[2]))], axis=1) for name, x in dense.items()}
    net = to_nengo(graph)
    net.drive(stimulus)
    assert_same(net, simulate(net, 35), expected(graph, Stimulus.dense(longer, graph)))


def test_objects_are_found_by_the_names_of_the_graph() -> None:
    graph = conformance.example()
    net = to_nengo(graph, record=Record(spikes=("lif",), traces={"alif": ("a",)}))
    assert net.dt == graph.dt_ms / 1000
    assert set(net.inputs) == {"in", "cur"} and set(net.populations) == {"lif", "alif", "out"}
    assert set(net.projections) == {c.name for c in graph.projections}
    assert {name: set(probes) for name, probes in net.states.items()} == {"lif": {"z"}, "alif": {"a"}, "out": set()}
    assert [e.label for e in net.ensembles] == ["lif", "alif", "out"]
    assert {c.label for c in net.connections} >= set(net.projections)
    assert len(net.probes) == 2


def test_projection_with_one_step_of_delay_is_a_plain_connection_with_its_weights() -> None:
    b = Builder(seed=2)
    b.spike_input("in", 2)
    b.lif("n", 3)
    b.connect("in", "n", weight=[1.0, 0.5, 0.25], pre=[0, 1, 1], post=[0, 1, 1])
    b.connect("n", "n", weight=[0.5], pre=[2], post=[0], name="rec")
    graph = b.build()
    net = to_nengo(graph)
    assert not net.delay_lines
    weights = net.projections["in->n"].transform.sample().toarray()
    assert np.array_equal(weights, [[1.0, 0.0], [0.0, 0.75], [0.0, 0.0]])  # parallel synapses add
    assert net.projections["rec"].pre_obj == net.populations["n"].neurons
    assert net.projections["rec"].synapse.tau == 0 and net.projections["in->n"].synapse is None


def test_a_delay_line_holds_each_unit_and_lag_once() -> None:
    b = Builder(seed=2)
    b.spike_input("in", 2)
    b.lif("n", 2, v_th=0.5, tau_m_ms=0.0)
    b.connect("in", "n", weight=1.0, pre=[0, 0, 1], post=[0, 1, 1], delay=[4, 4, 2], name="a")
    b.connect("in", "n", weight=0.25, pre=[0, 1], post=[1, 0], delay=[4, 0], name="b")
    graph = b.build()
    net = to_nengo(graph)
    line = net.delay_lines["in"].output
    assert sorted(zip(line.unit.tolist(), line.lag.tolist(), strict=True)) == [(0, 4), (1, 0), (1, 2)]
    assert line.depth == 5
    stimulus = conformance.draw_stimulus(graph, 1, 30, 1)
    net.drive(stimulus)
    assert_same(net, simulate(net, 30), expected(graph, stimulus))


def test_a_graph_becomes_a_subnetwork_and_two_graphs_are_joined() -> None:
    b = Builder(seed=4)
    b.spike_input("in", 3)
    b.lif("n", 3, tau_m_ms=10.0)
    b.connect("in", "n", weight=0.75)
    graph = b.build()
    stimulus = conformance.draw_stimulus(graph, 1, 40, 3)
    with nengo.Network(seed=1) as model:
        first, second = to_nengo(graph), to_nengo(graph)
        first.drive(stimulus)
        nengo.Connection(first.populations["n"].neurons, second.inputs["in"], synapse=0)
    assert model.networks == [first, second]
    simulator = simulate(model, 40, dt=first.dt)
    golden = expected(graph, stimulus)
    assert_same(first, simulator, golden)
    spikes = golden.spikes["n"].to_dense(1, 40, 3)
    later = np.concatenate([np.zeros((1, 1, 3), bool), spikes[:, :-1]], axis=1)
    assert_same(second, simulator, expected(graph, Stimulus.dense({"in": later})))


def test_a_users_defaults_do_not_reach_the_graph() -> None:
    graph = conformance.example()
    stimulus = conformance.draw_stimulus(graph, 1, 40, 1)
    with nengo.Network(seed=1) as model:
        model.config[nengo.Ensemble].update({"radius": 2.0, "noise": nengo.processes.WhiteNoise(), "bias": [9.0]})
        model.config[nengo.Ensemble].max_rates = nengo.dists.Uniform(1, 2)
        model.config[nengo.Connection].synapse = 0.1
        model.config[nengo.Probe].synapse = 0.1
        model.config[nengo.Probe].sample_every = 0.01
        net = to_nengo(graph)
        net.drive(stimulus)
    assert_same(net, simulate(model, 40, dt=net.dt), expected(graph, stimulus))


def test_what_cannot_be_is_said() -> None:
    graph = conformance.example()
    with pytest.raises(
        UnsupportedError, match=r"backend 'nengo': cannot run this graph \(got graph: integer semantics"
    ):
        to_nengo(conformance.integer_example())
    with pytest.raises(DataError, match=r"record: no states of that name \(got 'lift'.*Did you mean 'lif'"):
        to_nengo(graph, record=Record(traces={"lift": ("v",)}))
    net = to_nengo(graph)
    with pytest.raises(DataError, match=r"stimulus: sample out of range \(got 2; need 0..1\)"):
        net.drive(conformance.draw_stimulus(graph, 2, 5, 1), sample=2)
    with pytest.raises(DataError, match="stimulus 'cur': no currents"):
        net.drive(Stimulus(batch=1, steps=5))
    with net:
        nengo.Connection(net.populations["lif"], nengo.Node(size_in=1))
    with pytest.raises(UnsupportedError, match=r"neuron type GraphLIF: has no rates to decode from.*ensemble\.neurons"):
        nengo.Simulator(net, dt=net.dt, progress_bar=False)


def test_single_precision_is_refused_not_rounded() -> None:
    net = to_nengo(conformance.example())
    bits = nengo.rc.get("precision", "bits")
    nengo.rc.set("precision", "bits", "32")
    try:
        with pytest.raises(UnsupportedError, match=r"signals of the wrong precision \(got float32; need float64\)"):
            nengo.Simulator(net, dt=net.dt, progress_bar=False)
    finally:
        nengo.rc.set("precision", "bits", bits)
