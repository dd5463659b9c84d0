"""Export gives the graph that the trained module is, and reports what changed."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from neuro.errors import UnsupportedError
from neuro.graph import ALIF, LI, LIF, CurrentInput, SpikeInput, reference
from neuro.seeds import stream
from neuro.tasks import Batch
from neuro.train import LSNN, LSTMClassifier, ModelConfig, to_graph

CONFIG = ModelConfig(
    n_lif=12, n_alif=8, gain_in=5.0, gain_rec=2.0, delay_max=6, n_ref=2, tau_a_ms=(50.0, 90.0), bias=True
)


def model(**changes: object) -> LSNN:
    made = LSNN.from_config(replace(CONFIG, **changes), 9, 4, partial(stream, 1))
    with torch.no_grad():
        made.w_rec[made.w_rec.abs() < 0.3] = 0
        if made.bias is not None:
            made.bias += 0.01 * torch.randn(20, generator=torch.Generator().manual_seed(0))
    return made


def samples(n: int = 20, steps: int = 60) -> Batch:
    rng = np.random.default_rng(0)
    window = np.full((n, steps), -1, dtype=np.int16)
    window[:, -20:] = 0
    inputs = (rng.random((n, steps, 9)) < 0.15).astype(np.uint8)
    return Batch(inputs=inputs, window=window, targets=rng.integers(0, 4, (n, 1)))


def test_graph_holds_the_modules_numbers():
    trained = model()
    graph, report = to_graph(trained, name="small", notes={"from": "test"})
    assert [(p.name, type(p), p.size) for p in graph.populations] == [
        ("in", SpikeInput, 9),
        ("lif", LIF, 12),
        ("alif", ALIF, 8),
        ("out", LI, 4),
    ]
    assert {c.name for c in graph.projections} == {
        f"{a}->{b}" for a, b in [("in", "lif"), ("in", "alif"), ("lif", "out"), ("alif", "out")]
    } | {f"{a}->{b}" for a in ("lif", "alif") for b in ("lif", "alif")}
    assert graph.exact
    assert (graph.name, graph.notes) == ("small", {"from": "test"})
    assert (
        graph.n_synapses
        == report.n_synapses
        == sum(int((trained.get_parameter(b.name) != 0).sum()) for b in trained.blocks)
    )
    assert report.largest_change == 0.0
    c = next(c for c in graph.projections if c.name == "lif->alif")
    assert len(c.pre) > 20
    assert np.array_equal(c.weight, trained.w_rec.detach().double().numpy()[c.pre, 12 + c.post])
    assert np.array_equal(c.delay, trained.delay_w_rec.numpy()[c.pre, 12 + c.post])
    assert np.array_equal(graph.population("alif").bias, trained.bias.detach().double().numpy()[12:])


def test_double_module_and_exported_graph_agree_bit_for_bit():
    trained, batch = model().double(), samples()
    graph, report = to_graph(trained, batch)
    golden = reference.simulate(graph, {"in": batch.inputs})
    traces = trained(batch.inputs, traces=True).traces
    assert golden["lif"]["z"].sum() > 100
    assert golden["alif"]["z"].sum() > 100
    for population, states in traces.items():
        for state, values in states.items():
            assert np.array_equal(values.detach().numpy(), golden[population][state]), (population, state)
    assert report.n_identical == report.n_samples == 20


def test_report_compares_the_float32_module_with_the_graph():
    batch = samples()
    _, report = to_graph(model(), batch)
    assert report.n_samples == 20
    assert 0.5 < report.identical_rasters <= 1
    assert report.accuracy_module == pytest.approx(report.accuracy_graph, abs=0.1)
    assert f"{report.n_identical} of 20 samples identical" in str(report)
    assert "largest change of a weight or bias 0" in str(report)


def test_report_shows_a_difference_where_there_is_one():
    """A threshold between two float32 numbers rounds up to the weight: only the graph, in double, spikes."""
    trained = model(n_alif=0, bias=False, gain_rec=0.0)
    trained.neurons = (replace(trained.neurons[0], v_th=1 + 0.75 * 2.0**-23),)
    with torch.no_grad():
        trained.w_in.fill_(1 + 2.0**-23)
    inputs = np.zeros((3, 5, 9), dtype=np.uint8)
    inputs[0, 0, 0] = 1
    window = np.zeros((3, 5), dtype=np.int16)
    graph, report = to_graph(trained, Batch(inputs=inputs, window=window, targets=np.zeros((3, 1), dtype=np.int64)))
    assert trained(inputs).z.sum() == 0
    assert LSNN.from_graph(graph)(inputs).z.sum() == 12
    assert (report.n_identical, report.n_samples) == (2, 3)


def test_tiny_weights_are_dropped_and_listed():
    trained = model()
    with torch.no_grad():
        trained.w_out[3, 2] = 1e-18
    graph, report = to_graph(trained)
    assert report.grid.dropped[0][:3] == ("lif->out", 3, 2)
    assert "1 synapses rounded to 0 and were dropped" in str(report)
    assert report.largest_change == pytest.approx(1e-18)
    assert graph.n_synapses == report.n_synapses


def test_from_graph_and_back_is_the_same_graph(random_graph):
    for seed in range(20):
        graph, _ = random_graph(seed)
        again, report = to_graph(LSNN.from_graph(graph))
        assert again == graph
        assert report.largest_change == 0


def test_current_input_is_kept():
    node = CurrentInput(name="in", size=9, u_max=0.5, u_step=2.0**-6)
    trained = LSNN.from_config(CONFIG, 9, 4, partial(stream, 1), input_node=node)
    assert to_graph(trained)[0].population("in") == node


def test_dense_baselines_have_no_graph():
    with pytest.raises(UnsupportedError, match=r"no spiking network \(got LSTMClassifier; need LSNN\)"):
        to_graph(LSTMClassifier(3, 4, 2, partial(stream, 0)))
