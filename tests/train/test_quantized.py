"""A network trained for a chip runs as its integer graph does, bit for bit, and has the gradient of its twin."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from neuro.errors import QuantizationError
from neuro.graph import (
    AHP,
    CurrentInput,
    Graph,
    IntLIF,
    IntProjection,
    fit_exponent,
    reference,
    round_to_mantissas,
)
from neuro.seeds import stream
from neuro.train import LSNN, ModelConfig, QuantizedLSNN, Template, integer_sweep, to_graph, wiring
from tests.train.integer_nets import kinds, random_net, template

GRADIENT_TOLERANCE = 1e-12
"""Largest |fast - autograd| over largest |autograd| in float64: sums of some 1e4 terms in another order."""
SINGLE_TOLERANCE = 1e-4
"""The same where the backward pass runs in float32: 1e3 steps of relative error 6e-8."""


def quantized(seed: int) -> tuple[QuantizedLSNN, np.ndarray, Template]:
    graph, spikes = random_net(seed)
    made = template(graph, np.random.default_rng(1000 + seed))
    return QuantizedLSNN.of(LSNN.from_graph(graph), made), spikes, made


def recipe_net(dtype: torch.dtype = torch.float64, *, slow: bool = False, **changes: object) -> QuantizedLSNN:
    """Return a network as a recipe makes it, with dormant connections, for a template made by hand."""
    settings = {"n_lif": 8, "n_alif": 6, "tau_a_ms": 60.0, "beta": 0.2, "gain_in": 6.0, "gain_rec": 2.0, **changes}
    made = LSNN.from_config(ModelConfig(**settings), 7, 3, partial(stream, 3), dtype=torch.float64)  # type: ignore[arg-type]
    with torch.no_grad():
        for b in made.blocks:
            w = made.get_parameter(b.name)
            w[torch.rand(w.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64) < 0.5] = 0
    made.sparse = True
    return QuantizedLSNN.of(made, template(to_graph(made)[0], slow=slow)).to(dtype)


def noise(batch: int = 4, steps: int = 50) -> np.ndarray:
    return (np.random.default_rng(0).random((batch, steps, 7)) < 0.2).astype(np.uint8)


@pytest.mark.parametrize("twin", [False, True])
def test_forward_equals_golden_model_bit_for_bit(twin):
    """All kinds, resets, delays, refractory periods, memories of u, own synapses, widths from 14 to 24 bits; states at their limits."""
    spikes = clips = clips_u = 0
    seen: set[str] = set()
    special = {"memory": 0, "own": 0}
    for seed in range(60):
        model, x, made = quantized(seed)
        graph, _ = to_graph(model)
        golden = reference.simulate(graph, {"in": x})
        with torch.no_grad():
            traces = model(x, traces=True, twin=twin).traces
        for population, states in traces.items():
            assert {*states, "u"} == {s for s in golden[population] if not s.startswith("clipped")} | {"u"}
            for state, values in states.items():
                assert np.array_equal(values.numpy(), golden[population][state]), (seed, population, state)
        spikes += sum(int(s["z"].sum()) for s in traces.values() if "z" in s)
        clips += sum(int(n.sum()) for s in golden.values() for name, n in s.items() if name.startswith("clipped"))
        clips_u += sum(int(s["clipped u"].sum()) for s in golden.values() if "clipped u" in s)
        seen |= kinds(made)
        special["memory"] += any((p.d_u != 4095).any() for p in made.graph.receivers)
        special["own"] += bool(made.graph.projections)
    assert min(special.values()) > 10, special
    assert spikes > 500
    assert clips > 1000
    assert clips_u > 100
    assert seen == {"IntLIF", "IntALIF", "AHP", "IntLI"}


def test_single_and_double_products_and_both_storages_are_exact(monkeypatch):
    used, dtype_of = set(), integer_sweep.product_dtype

    def watched(weights, plan):
        found = dtype_of(weights, plan)
        used.add((found[0], plan.forward.dense))
        return found

    monkeypatch.setattr(integer_sweep, "product_dtype", watched)
    for has_sparse in (True, False):
        monkeypatch.setattr(wiring, "HAS_SPARSE", has_sparse)
        for seed in range(60, 80):
            model, x, _ = quantized(seed)
            with torch.no_grad():
                for k, pair in enumerate(model.pairs if seed % 2 else ()):  # units of 1 beside weights of 2**21
                    w = model.get_parameter(f"w{k}")
                    w.copy_(w.sign() * (2e6 if k % 2 else 100.0) / model.template.scales[pair.target])
                y = model(x).y
            golden = reference.simulate(to_graph(model)[0], {"in": x})
            assert np.array_equal(y.numpy(), np.concatenate([golden["o"]["y"], golden["o2"]["y"]], axis=2))
    assert used == {(kind, dense) for kind in (torch.float32, torch.float64) for dense in (False, True)}


def test_gradients_equal_those_of_the_twin():
    worst, where, compared = 0.0, "", 0
    for seed in range(40):
        model, x, _ = quantized(seed)
        gradients = []
        rng = torch.Generator().manual_seed(seed)
        for twin in (False, True):
            model.zero_grad()
            out = model(x, twin=twin)
            if not twin:
                weigh_y = torch.randn(out.y.shape, generator=rng, dtype=torch.float64)
                weigh_z = torch.randn(out.z.shape, generator=rng, dtype=torch.float64)
            ((out.y * out.y_unit * weigh_y).sum() + (out.z * weigh_z).sum()).backward()
            gradients.append({name: p.grad.clone() for name, p in model.named_parameters()})
        for name, plain in gradients[1].items():
            if plain.numel() == 0 or plain.abs().max() == 0:
                assert torch.equal(gradients[0][name], plain)
                continue
            compared += 1
            error = ((gradients[0][name] - plain).abs().max() / plain.abs().max()).item()
            if error > worst:
                worst, where = error, f"seed {seed}, {name}"
    assert compared > 100
    assert worst < GRADIENT_TOLERANCE, where


@pytest.mark.parametrize("slow", [False, True])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_recipe_network_gradients_equal_those_of_the_twin(slow, dtype):
    """More steps than one chunk, delays, refractory periods, biases, dormant connections; float32 weights too."""
    settings = {"delay_max": 10, "n_ref": 3, "in_delay_max": 4, "bias": True, "out_bias": True}
    model = recipe_net(dtype, slow=slow, **settings)
    plain = recipe_net(slow=slow, **settings)
    plain.load_state_dict(model.state_dict())  # the same numbers, those of float32 included
    gradients = []
    for net, twin in ((model, False), (plain, True)):
        out = net(noise(), twin=twin)
        ((out.y * out.y_unit)[:, -20:].square().sum() + 1000 * out.z.double().mean((0, 1)).square().sum()).backward()
        gradients.append({name: p.grad.double() for name, p in net.named_parameters()})
        assert out.z.sum() > 100
    assert set(gradients[0]) == {"w_in", "w_rec", "w_out", "bias", "bias_out"}
    for name, expected in gradients[1].items():
        active = (plain.get_parameter(name) != 0) | (not name.startswith("w"))
        assert torch.all(gradients[0][name][~active] == 0)
        assert expected.abs().max() > 0
        error = ((gradients[0][name] - expected)[active].abs().max() / expected.abs().max()).item()
        assert error < (GRADIENT_TOLERANCE if dtype is torch.float64 else SINGLE_TOLERANCE), name


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_a_membrane_held_in_u_trains_as_well(dtype):
    """What `neuro.deploy.keep_soft_reset` makes: u decays, v has next to no memory, own synapses take the threshold off."""
    plain = recipe_net(slow=True, delay_max=10, n_ref=3, bias=True)
    made = plain.template
    populations, own = [], []
    for p in made.graph.populations:
        if isinstance(p, (IntLIF, AHP)):
            e = fit_exponent(float(p.v_th.max()) * 64)
            weight = -round_to_mantissas(p.v_th * 64, e)
            at = np.arange(p.size)
            own.append(
                IntProjection(name=f"{p.name}.reset", source=p.name, target=p.name, pre=at, post=at, weight=weight,
                              delay=1, exponent=e, sign_mode="inhibitory")
            )  # fmt: skip
            p = (
                replace(p, d_u=p.d_v - 1, d_v=4095)
                if isinstance(p, AHP)
                else replace(p, d_u=p.d_v - 1, d_v=4095, reset="zero")
            )
        populations.append(p)
    soft = replace(made, graph=Graph(populations=tuple(populations), projections=tuple(own)))
    model, twin = (QuantizedLSNN.of(plain, soft).to(kind) for kind in (dtype, torch.float64))
    twin.load_state_dict(model.state_dict())
    golden = reference.simulate(to_graph(model)[0], {"in": noise()})
    for population, states in model(noise(), traces=True).traces.items():
        assert all(np.array_equal(v.detach().numpy(), golden[population][s]) for s, v in states.items())
    assert sum(int(s["z"].sum()) for s in golden.values() if "z" in s) > 100
    for net in (model, twin):
        out = net(noise(), twin=net is twin)
        ((out.y * out.y_unit)[:, -20:].square().sum() + 1000 * out.z.double().mean((0, 1)).square().sum()).backward()
    for name, p in model.named_parameters():
        active = (p != 0) | (not name.startswith("w"))
        found, expected = p.grad.double()[active], twin.get_parameter(name).grad[active]
        assert expected.abs().max() > 0
        error = (found - expected).abs().max() / expected.abs().max()
        assert error < (GRADIENT_TOLERANCE if dtype is torch.float64 else SINGLE_TOLERANCE), name


def test_gradient_reaches_the_slow_current():
    """With AHP neurons the gradient of a weight differs from that without their slow current."""
    found = []
    for held in (False, True):
        model = recipe_net(slow=True)
        if held:
            rows = model.rows()
            model._rows = replace(rows, w_x=torch.zeros_like(rows.w_x))
        model(noise()).z.mean((0, 1)).square().sum().backward()
        found.append(model.w_in.grad.clone())
    assert (found[0] - found[1]).abs().max() > 1e-3 * found[0].abs().max()


def test_weights_are_those_of_the_graph_functions():
    model = recipe_net()
    whole = model.mantissas()
    weights = model.weights().detach().numpy() * 2.0**12
    some = 0
    for pair in model.pairs:
        for sign in (1, -1):
            here = pair.entries[np.sign(weights[pair.entries]) == sign]
            e = fit_exponent(np.abs(weights[here]).max())
            assert (whole.exponent[here] == e).all()
            assert np.array_equal(whole.mantissa[here], round_to_mantissas(weights[here], e))
            some += here.size
    assert some == (weights != 0).sum()
    assert np.abs(whole.mantissa).max() >= 128


def test_rounding_depends_on_the_weights_alone():
    model = recipe_net()
    first = model(noise()).y
    with torch.no_grad():
        model.w_rec += 1
        model(noise())
        model.w_rec -= 1
    fresh = recipe_net()
    fresh.load_state_dict(model.state_dict())
    assert torch.equal(fresh(noise()).y, model(noise()).y)
    assert first.abs().max() > 0


def test_biases_fit_the_chip():
    model = recipe_net(bias=True)
    with torch.no_grad():
        model.bias += 2.0
    graph, _ = to_graph(model)
    assert graph.population("alif").bias.tolist() == [4096 * 2] * 6


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("slow", [False, True])
def test_export_is_the_module(slow, dtype):
    model = recipe_net(dtype, slow=slow, bias=True, n_ref=2, delay_max=5)
    graph, report = to_graph(model)
    golden = reference.simulate(graph, {"in": noise()})
    traces = model(noise(), traces=True).traces
    for population, states in traces.items():
        for state, values in states.items():
            assert np.array_equal(values.detach().numpy(), golden[population][state])
    assert sum(int(s["z"].sum()) for s in golden.values() if "z" in s) > 100
    assert ("x" in traces["alif"]) == slow
    assert graph.notes["profile"] == "by hand"
    assert graph.n_synapses == report.n_synapses == int((model.mantissas().mantissa != 0).sum())
    assert {c.name for c in graph.projections} >= {"in->lif.exc", "in->lif.inh", "alif->out.inh"}
    assert "largest change of a weight" in str(report)
    assert 0 < report.largest_change < 0.1


def test_export_says_what_was_dropped_and_clipped():
    model = recipe_net()
    with torch.no_grad():
        model.w_out[model.w_out != 0] *= torch.linspace(1e-7, 1, int((model.w_out != 0).sum()), dtype=torch.float64)
        model.w_in[0, 0] = 1e4
    _, report = to_graph(model)
    assert report.grid.n_dropped > 0
    assert report.grid.n_clipped == 1
    assert f"{report.grid.n_dropped} synapses rounded to 0 and were dropped, 1 weights clipped" in str(report)


def test_what_has_no_place_on_the_chip_is_named():
    graph, _ = random_net(3)
    model = LSNN.from_graph(graph)
    made = template(graph)
    other = [p for p in made.graph.populations if p.name not in ("p0", "o")]
    with pytest.raises(QuantizationError, match=r"population 'p0': no place in the template \(got nothing") as caught:
        QuantizedLSNN.of(model, replace(made, graph=Graph(populations=tuple(other), projections=())))
    assert "population 'o'" in str(caught.value)
    currents = LSNN.from_config(
        ModelConfig(n_lif=3, n_alif=0), 2, 1, partial(stream, 0), input_node=CurrentInput(name="in", size=2)
    )
    fed = LSNN.from_config(ModelConfig(n_lif=3, n_alif=0), 2, 1, partial(stream, 0))
    with pytest.raises(QuantizationError, match=r"input 'in': currents \(got a CurrentInput; need SpikeInput\)"):
        QuantizedLSNN.of(currents, template(to_graph(fed)[0]))
    late = LSNN.from_config(ModelConfig(n_lif=3, n_alif=0, in_delay_max=80), 9, 1, partial(stream, 0))
    with pytest.raises(QuantizationError, match=r"delay out of range \(got \d\d; need <= 62\)"):
        QuantizedLSNN.of(late, template(to_graph(late)[0]))
