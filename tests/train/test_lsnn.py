"""The trainable network means what the graph means, and its fast gradients are those of autograd."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import pytest
import torch

from neuro.errors import DataError
from neuro.graph import RESETS, CurrentInput, reference
from neuro.seeds import stream
from neuro.train import LSNN, ModelConfig, lsnn, wiring
from neuro.train.surrogate import pseudo_derivative, spike

GRADIENT_TOLERANCE = 1e-12
"""Largest |fast - autograd| over largest |autograd| in float64: sums of some 1e4 terms in another order."""


@pytest.fixture(params=["events", "matrices"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run networks event by event, or as products of whole matrices."""
    monkeypatch.setattr(lsnn, "DENSE_ABOVE", float("inf") if request.param == "events" else -1.0)
    return str(request.param)


def small(**changes: object) -> LSNN:
    settings = {"n_lif": 8, "n_alif": 6, "tau_a_ms": 60.0, "beta": 0.2, "gain_in": 6.0, "gain_rec": 2.0, **changes}
    return LSNN.from_config(ModelConfig(**settings), 7, 3, partial(stream, 3), dtype=torch.float64)  # type: ignore[arg-type]


def noise(model: LSNN, batch: int = 4, steps: int = 50, p: float = 0.2) -> torch.Tensor:
    return torch.from_numpy((np.random.default_rng(0).random((batch, steps, model.n_in)) < p).astype(np.uint8))


@pytest.mark.parametrize("twin", [False, True])
def test_from_graph_equals_reference_bit_for_bit(random_graph, twin, way):
    spikes = 0.0
    for seed in range(40):
        graph, inputs = random_graph(seed)
        model = LSNN.from_graph(graph)
        with torch.no_grad():
            traces = model(inputs, traces=True, twin=twin).traces
        golden = reference.simulate(graph, inputs)
        assert set(traces) == {p.name for p in graph.receivers}
        for population, states in traces.items():
            assert set(states) == set(golden[population])
            for state, values in states.items():
                assert np.array_equal(values.numpy(), golden[population][state]), (seed, population, state)
            spikes += states["z"].sum().item() if "z" in states else 0
    assert spikes > 1000


def test_dense_and_sparse_products_are_both_exact(random_graph, monkeypatch):
    monkeypatch.setattr(lsnn, "DENSE_ABOVE", -1.0)
    used = set()
    for has_sparse in (True, False):
        monkeypatch.setattr(wiring, "HAS_SPARSE", has_sparse)
        for seed in range(40, 60):
            graph, inputs = random_graph(seed)
            model = LSNN.from_graph(graph)
            with torch.no_grad():
                y = model(inputs).y
            golden = reference.simulate(graph, inputs)
            assert np.array_equal(y.numpy(), np.concatenate([golden["o"]["y"], golden["o2"]["y"]], axis=2))
            used.add((has_sparse, model.arrangement().plan(None, torch.float64).forward.dense))
    assert used == {(True, False), (False, True)}
    full = small()
    full(noise(full))
    assert full.arrangement().plan(None, torch.float64).forward.dense, "an all-to-all network takes the dense product"


def test_fast_gradients_equal_autograd(random_graph, way):
    worst, where, compared = 0.0, "", 0
    for seed in range(40):
        graph, inputs = random_graph(seed)
        model = LSNN.from_graph(graph)
        gradients = []
        rng = torch.Generator().manual_seed(seed)
        for twin in (False, True):
            model.zero_grad()
            out = model(inputs, twin=twin)
            if twin is False:
                weigh_y = torch.randn(out.y.shape, generator=rng, dtype=torch.float64)
                weigh_z = torch.randn(out.z.shape, generator=rng, dtype=torch.float64)
            ((out.y * weigh_y).sum() + (out.z * weigh_z).sum()).backward()
            gradients.append({name: p.grad.clone() for name, p in model.named_parameters()})
        for name, plain in gradients[1].items():
            if plain.numel() == 0 or plain.abs().max() == 0:
                assert torch.equal(gradients[0][name], plain)
                continue
            compared += 1
            error = ((gradients[0][name] - plain).abs().max() / plain.abs().max()).item()
            if error > worst:
                worst, where = error, f"seed {seed}, {name}"
    assert compared > 150
    assert worst < GRADIENT_TOLERANCE, where


@pytest.mark.parametrize("reset", RESETS)
@pytest.mark.parametrize("sparse", [False, True])
def test_recipe_network_gradients_equal_autograd(reset, sparse, way):
    """Delays 1..10, a refractory period and more steps than one chunk, with a share of dormant connections."""
    model = small(reset=reset, delay_max=10, n_ref=3, in_delay_max=4, bias=True, out_bias=True)
    model.sparse = sparse
    with torch.no_grad():
        for name in ("w_in", "w_rec", "w_out"):
            w = model.get_parameter(name)
            w[torch.rand(w.shape, generator=torch.Generator().manual_seed(1)) < 0.6] = 0
    gradients = []
    for twin in (False, True):
        model.zero_grad()
        out = model(noise(model), twin=twin)
        (out.y[:, -20:].square().sum() + 1000 * out.z.mean((0, 1)).square().sum()).backward()
        gradients.append({name: p.grad.clone() for name, p in model.named_parameters()})
        assert out.z.sum() > 100
    assert set(gradients[0]) == {"w_in", "w_rec", "w_out", "bias", "bias_out"}
    for name, plain in gradients[1].items():
        dormant = (model.get_parameter(name) == 0) & name.startswith("w") & sparse
        assert torch.all(gradients[0][name][dormant] == 0)
        error = ((gradients[0][name] - plain)[~dormant].abs().max() / plain.abs().max()).item()
        assert plain.abs().max() > 0
        assert error < GRADIENT_TOLERANCE, name


def test_both_ways_count_spikes_and_leave_z_out_on_request(way):
    model = small(delay_max=3)
    out = model(noise(model))
    assert out.z.sum() > 50
    assert torch.equal(out.n_spikes, out.z.sum(1))
    short = model(noise(model), spikes=False)
    assert short.z is None
    assert torch.equal(short.n_spikes, out.n_spikes)
    assert torch.equal(short.y, out.y)


def test_dormant_connections_have_no_effect():
    model = small()
    with torch.no_grad():
        model.w_rec[::2] = 0
    everything = model(noise(model))
    model.sparse = True
    assert torch.equal(model(noise(model)).y, everything.y)


def test_surrogate_is_the_triangle():
    v = torch.linspace(-1, 3, 41, dtype=torch.float64).requires_grad_()
    threshold, v_th = torch.full((41,), 1.0, dtype=torch.float64), torch.full((41,), 0.5, dtype=torch.float64)
    free = torch.ones(41, dtype=torch.bool)
    free[20] = False
    z = spike(v, threshold, free, v_th, 0.3)
    z.sum().backward()
    expected = [0.3 / 0.5 * max(0.0, 1 - abs(x - 1) / 0.5) for x in v.tolist()]
    expected[20] = 0.0
    assert torch.allclose(v.grad, torch.tensor(expected, dtype=torch.float64), atol=1e-15)
    assert torch.equal(z, ((v > 1.0) & free).double())
    assert pseudo_derivative(torch.zeros(1), torch.ones(1), 0.3).item() == pytest.approx(0.3)


def test_membrane_and_readout_follow_the_closed_form():
    """One input spike at step 2 below threshold: v(t) = w alpha^(t-2); nothing ever reaches the readout."""
    model = small(n_lif=1, n_alif=0, gain_rec=0.0)
    with torch.no_grad():
        model.w_in.fill_(0.01)
    spikes = torch.zeros(1, 30, 7)
    spikes[0, 2, 0] = 1
    v = model(spikes, traces=True).traces["lif"]["v"][0, :, 0]
    alpha = math.exp(-1 / 20)
    expected = torch.tensor([0.0 if t < 2 else 0.01 * alpha ** (t - 2) for t in range(30)], dtype=torch.float64)
    assert torch.allclose(v, expected, rtol=1e-13, atol=0)


def test_readout_sees_a_spike_one_step_later():
    model = small(n_lif=1, n_alif=0, gain_rec=0.0)
    with torch.no_grad():
        model.w_in.fill_(2.0)
        model.w_out.fill_(1.0)
    spikes = torch.zeros(1, 5, 7)
    spikes[0, 1, 0] = 1
    out = model(spikes)
    assert out.z[0, :, 0].tolist() == [0, 1, 0, 0, 0]
    assert out.y[0, :3, 0].tolist() == [0, 0, 1]


def test_refractory_period_and_adaptation_limit_the_rate():
    counts = {}
    for n_ref in (0, 4):
        model = small(n_lif=1, n_alif=1, n_ref=n_ref, gain_rec=0.0)
        with torch.no_grad():
            model.w_in.fill_(0.1)
        z = model(torch.ones(1, 100, 7)).z[0].detach()
        counts[n_ref] = z.sum(0).tolist()
        gaps = np.diff(np.flatnonzero(z[:, 0].numpy()))
        assert gaps.min() == n_ref + 1
    assert counts[0][1] < counts[0][0]
    assert counts[4][0] < counts[0][0]


def test_lif_only_and_current_inputs():
    model = LSNN.from_config(
        ModelConfig(kind="lif", n_lif=9, n_alif=5, gain_in=4.0),
        2,
        3,
        partial(stream, 0),
        input_node=CurrentInput(name="in", size=2, u_max=1.0),
    )
    assert [p.name for p in model.neurons] == ["lif"]
    assert model.inputs[0].u_max == 1.0
    currents = np.random.default_rng(0).integers(0, 257, (3, 40, 2)) / 256
    assert model(currents).z.sum() > 0


def test_delays_are_drawn_once_within_their_range_and_saved():
    model = small(delay_min=2, delay_max=9, in_delay_max=3)
    assert (model.delay_w_rec.min(), model.delay_w_rec.max()) == (2, 9)
    assert (model.delay_w_in.min(), model.delay_w_in.max()) == (0, 3)
    other = LSNN.from_config(
        ModelConfig(n_lif=8, n_alif=6, tau_a_ms=60.0, beta=0.2, delay_max=10),
        7,
        3,
        partial(stream, 4),
        dtype=torch.float64,
    )
    other(noise(model))
    other.load_state_dict(model.state_dict())
    assert torch.equal(other(noise(model)).y, model(noise(model)).y)


def test_time_constants_spread_evenly():
    model = small(tau_a_ms=(100.0, 200.0))
    tau = -1 / np.log(model.neurons[1].rho)
    assert tau[[0, -1]] == pytest.approx([100, 200])
    assert np.diff(tau) == pytest.approx([20] * 5)


def test_double_after_float32_takes_the_constants_in_full():
    model = small().float()
    model(noise(model))
    assert model.double().rows().decay[0, 0].item() == math.exp(-1 / 20)


def test_wrong_inputs_are_named():
    model = small()
    with pytest.raises(DataError, match=r"input 'in': wrong shape \(got \(2, 5, 6\); need \(batch, steps, 7\)"):
        model(torch.zeros(2, 5, 6))
    with pytest.raises(DataError, match=r"input 'in': no signal \(got \['out'\]"):
        model({"out": torch.zeros(2, 5, 7)})


def test_several_inputs_need_names(random_graph):
    graph, _ = random_graph(0)
    with pytest.raises(DataError, match="one array for several inputs"):
        LSNN.from_graph(graph)(torch.zeros(1, 5, 3))
