"""The training kernels: exact forward on every instruction set, the gradient of plain autograd, at any size, on any number of threads."""

from __future__ import annotations

import copy
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from neuro.errors import DataError, UnsupportedError
from neuro.graph import ALIF, LI, LIF, CurrentInput, Graph, Projection, SpikeInput, reference
from neuro.seeds import stream
from neuro.train import LSNN, ModelConfig, kernel, lsnn
from neuro.train.structure import arrange

DOUBLE_TOLERANCE = 1e-9
"""Norm of the difference over norm of autograd's gradient, per parameter, in float64: sums in another order."""
SINGLE_TOLERANCE = 1e-4
"""The same in float32, where the spikes are those of float64."""
CASES = settings(max_examples=200, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
SEEDS = st.integers(0, 2**31 - 1)


def able() -> list[str]:
    """Return the instruction sets of this machine."""
    return list(kernel.ISAS[: kernel.isa() + 1])


@pytest.fixture(autouse=True)
def _always_events(monkeypatch):
    monkeypatch.setattr(lsnn, "DENSE_ABOVE", float("inf"))


def gradients(model: LSNN, inputs, seed: int, twin: bool) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """Return the gradients of a random linear loss of readouts, spikes and spike counts, and the spikes."""
    model.zero_grad()
    out = model(inputs, twin=twin)
    rng = torch.Generator().manual_seed(seed)
    weigh = [torch.randn(x.shape, generator=rng, dtype=torch.float64) for x in (out.y, out.z, out.n_spikes)]
    loss = sum((x * w.to(x.dtype)).sum() for x, w in zip((out.y, out.z, out.n_spikes), weigh, strict=True))
    loss.backward()
    return {name: p.grad.clone() for name, p in model.named_parameters()}, out.z.detach()


def errors(found: dict[str, torch.Tensor], plain: dict[str, torch.Tensor]) -> dict[str, float]:
    """Return |found - plain| / |plain| for every parameter whose gradient is not zero; it must be zero in both."""
    result = {}
    for name, expected in plain.items():
        norm = expected.norm().item()
        if norm == 0:
            assert found[name].norm().item() == 0, name
        else:
            result[name] = ((found[name].double() - expected.double()).norm() / norm).item()
    return result


seen = {
    "cases": 0,
    "spikes": 0.0,
    "compared": 0,
    "worst": 0.0,
    "singles": 0,
    "gradients": 0,
    "single spikes": 0.0,
    "worst single": 0.0,
}


@given(seed=SEEDS, lanes=st.sampled_from(kernel.LANES), isa=st.sampled_from(able()))
@CASES
def check_double_gradient(make, monkeypatch, seed, lanes, isa):
    graph, inputs = make(seed)
    monkeypatch.setenv("NEURO_ISA", isa)
    monkeypatch.setattr(kernel, "choose_lanes", lambda batch, n_threads: lanes)
    model = LSNN.from_graph(graph)
    plain, z = gradients(model, inputs, seed, twin=True)
    found, same = gradients(model, inputs, seed, twin=False)
    assert torch.equal(z, same), "the spikes of the kernel are those of autograd's network"
    worst = errors(found, plain)
    seen["cases"] += 1
    seen["spikes"] += z.sum().item()
    seen["compared"] += len(worst)
    seen["worst"] = max(seen["worst"], *worst.values(), 0.0)
    assert all(e < DOUBLE_TOLERANCE for e in worst.values()), worst


def test_gradient_in_double_is_that_of_autograd(random_graph, monkeypatch):
    """All resets, LIF and ALIF, constants of each neuron, delays of each synapse, refractory periods, spikes and currents, readouts."""
    check_double_gradient(random_graph, monkeypatch)
    print(f"{seen['cases']} nets, {seen['compared']} gradients, largest relative error {seen['worst']:.1e}")
    assert seen["cases"] >= 200
    assert seen["spikes"] > 5_000
    assert seen["compared"] > 800


RECIPES = st.fixed_dictionaries(
    {
        "n_lif": st.integers(0, 20),
        "n_alif": st.integers(1, 20),
        "reset": st.sampled_from(("threshold", "adaptive", "zero")),
        "n_ref": st.integers(0, 6),
        "delay_max": st.integers(1, 10),
        "in_delay_max": st.integers(0, 9),
        "out_delay": st.integers(1, 10),
        "tau_m_ms": st.sampled_from((20.0, (5.0, 40.0))),
        "tau_a_ms": st.sampled_from((60.0, (20.0, 700.0))),
        "bias": st.booleans(),
        "out_bias": st.booleans(),
    }
)


@given(recipe=RECIPES, seed=SEEDS, lanes=st.sampled_from(kernel.LANES), isa=st.sampled_from(able()))
@CASES
def check_single_gradient(monkeypatch, recipe, seed, lanes, isa):
    monkeypatch.setenv("NEURO_ISA", isa)
    monkeypatch.setattr(kernel, "choose_lanes", lambda batch, n_threads: lanes)
    config = ModelConfig(**recipe, gain_in=5.0, gain_rec=2.0, beta=0.2)
    single = LSNN.from_config(config, 7, 3, partial(stream, seed))
    double = copy.deepcopy(single).double()
    rng = np.random.default_rng(seed)
    inputs = torch.from_numpy((rng.random((int(rng.integers(2, 40)), 50, 7)) < 0.2).astype(np.uint8))
    plain, z = gradients(double, inputs, seed, twin=True)
    found, same = gradients(single, inputs, seed, twin=False)
    assume(torch.equal(z, same.double()) and z.sum() > 0)
    worst = errors(found, plain)
    seen["singles"] += 1
    seen["single spikes"] += z.sum().item()
    seen["worst single"] = max(seen["worst single"], *worst.values(), 0.0)
    seen["gradients"] += len(worst)
    assert all(e < SINGLE_TOLERANCE for e in worst.values()), worst


def test_gradient_in_single_precision_on_the_same_spikes(monkeypatch):
    check_single_gradient(monkeypatch)
    print(f"{seen['singles']} nets, {seen['gradients']} gradients, largest relative error {seen['worst single']:.1e}")
    assert seen["singles"] >= 200
    assert seen["gradients"] > 550
    assert seen["single spikes"] > 100_000


def test_every_instruction_set_and_width_equals_the_reference(random_graph, monkeypatch):
    spikes = 0
    for seed in range(25):
        graph, inputs = random_graph(seed)
        golden = reference.simulate(graph, inputs)
        for isa in able():
            monkeypatch.setenv("NEURO_ISA", isa)
            for lanes in kernel.LANES:
                monkeypatch.setattr(kernel, "choose_lanes", lambda batch, n, lanes=lanes: lanes)
                with torch.no_grad():
                    traces = LSNN.from_graph(graph)(inputs, traces=True).traces
                for population, states in traces.items():
                    for state, values in states.items():
                        assert np.array_equal(values.numpy(), golden[population][state]), (seed, isa, lanes, state)
                        spikes += int(values.sum()) if state == "z" else 0
    assert spikes > 5000


def recipe_net(**changes) -> LSNN:
    config = {
        "n_lif": 13,
        "n_alif": 9,
        "tau_a_ms": 60.0,
        "gain_in": 6.0,
        "gain_rec": 2.0,
        "delay_max": 10,
        "n_ref": 3,
        **changes,
    }
    return LSNN.from_config(ModelConfig(bias=True, **config), 7, 3, partial(stream, 3))


def noise(batch: int, steps: int, n_in: int = 7) -> torch.Tensor:
    return torch.from_numpy((np.random.default_rng(0).random((batch, steps, n_in)) < 0.2).astype(np.uint8))


def test_threads_change_no_bit():
    model, inputs, found = recipe_net(), noise(75, 40), []
    for n in (1, 2, 3, 7):
        torch.set_num_threads(n)
        monkey = kernel.choose_lanes(75, n)
        assert monkey in kernel.LANES
        found.append((gradients_at(model, inputs, lanes=8), n))
    first = found[0][0]
    assert all(g.abs().sum() > 0 for g in first.values())
    for other, n in found[1:]:
        assert all(torch.equal(first[k], other[k]) for k in first), n


def gradients_at(model: LSNN, inputs, lanes: int) -> dict[str, torch.Tensor]:
    kept, kernel.choose_lanes = kernel.choose_lanes, lambda batch, n: lanes
    try:
        return gradients(model, inputs, 0, twin=False)[0]
    finally:
        kernel.choose_lanes = kept


def test_a_block_for_every_thread_where_the_batch_has_as_many():
    assert [kernel.choose_lanes(256, n) for n in (1, 2, 8)] == [32, 32, 32]
    assert [kernel.choose_lanes(b, 2) for b in (1, 8, 9, 17, 33)] == [8, 8, 8, 16, 32]


@pytest.mark.parametrize(("batch", "steps"), [(1, 1), (1, 30), (33, 1), (31, 20), (32, 20), (65, 20)])
def test_odd_sizes(batch, steps):
    model = recipe_net()
    inputs = noise(batch, steps)
    alone = [model(inputs[b : b + 1], traces=True) for b in range(batch)]
    out = model(inputs, traces=True)
    assert out.y.shape == (batch, steps, 3)
    for b, other in enumerate(alone):
        assert torch.equal(out.z[b], other.z[0]), "a sample does not depend on its neighbours"
        assert torch.equal(out.y[b], other.y[0])
    assert torch.equal(out.n_spikes, out.z.sum(1))
    (out.y.sum() + out.n_spikes.sum()).backward()
    assert torch.isfinite(model.w_in.grad).all()


def test_idle_lanes_leave_no_gradient():
    """A bias and the rate's gradient reach every lane; those without a sample must not count."""
    model = recipe_net()
    with torch.no_grad():
        model.bias.fill_(0.2)
    one = {}
    for lanes in kernel.LANES:
        model.zero_grad()
        kept, kernel.choose_lanes = kernel.choose_lanes, lambda batch, n, lanes=lanes: lanes
        model(noise(3, 40), spikes=False).n_spikes.sum(0).square().sum().backward()
        kernel.choose_lanes = kept
        one[lanes] = model.bias.grad.clone()
    assert one[8].abs().min() > 0
    for lanes in (16, 32):
        assert torch.allclose(one[lanes], one[8], rtol=1e-4, atol=1e-4 * one[8].abs().max().item())


def one_neuron(*projections: Projection, kind=LIF, **changes) -> Graph:
    cell = kind(name="n", size=1, alpha=0.9, v_th=1.0, **({"rho": 0.9, "beta": 0.1} if kind is ALIF else {}), **changes)
    populations = (
        SpikeInput(name="in", size=1),
        CurrentInput(name="u", size=1),
        cell,
        LI(name="out", size=1, kappa=0.8),
    )
    return Graph(populations=populations, projections=projections)


@pytest.mark.parametrize("kind", [LIF, ALIF])
@pytest.mark.parametrize("reset", ["threshold", "adaptive", "zero"])
def test_one_neuron_with_long_delays(kind, reset):
    wires = [
        ("in", "n", 1.3, 0),
        ("u", "n", 0.7, 3),
        ("n", "n", -0.4, 40),
        ("n", "out", 1.0, 25),
        ("in", "out", 0.5, 33),
    ]
    graph = one_neuron(
        *(
            Projection(name=f"c{k}", source=a, target=b, pre=[0], post=[0], weight=[w], delay=[d])
            for k, (a, b, w, d) in enumerate(wires)
        ),
        kind=kind, n_ref=2, reset=reset,
    )  # fmt: skip
    inputs = {"in": noise(5, 120, 1), "u": np.random.default_rng(1).integers(0, 257, (5, 120, 1)) / 256}
    model = LSNN.from_graph(graph)
    plain, z = gradients(model, inputs, 0, twin=True)
    found, same = gradients(model, inputs, 0, twin=False)
    assert z.sum() > 20
    assert torch.equal(z, same)
    worst = errors(found, plain)
    assert len(worst) == 5
    assert max(worst.values()) < DOUBLE_TOLERANCE


def wires_at_random(rng, n: int, delays: dict[str, list[int]], n_in: int = 9) -> Graph:
    """Return n LIF neurons with inputs and a readout, 5 n synapses each way, whose delays are drawn from those of their source."""
    populations = (
        SpikeInput(name="in", size=n_in),
        LIF(name="n", size=n, alpha=0.9, v_th=1.0),
        LI(name="out", size=1, kappa=0.8),
    )
    wires = (("in", "n", n_in, n, 0.5), ("n", "n", n, n, 0.2), ("n", "out", n, 1, 0.3))
    return Graph(populations=populations, projections=tuple(
        Projection(name=f"c{k}", source=a, target=b, pre=rng.integers(0, n_pre, 5 * n), post=rng.integers(0, n_post, 5 * n),
                   weight=rng.normal(0, w, 5 * n), delay=rng.choice(delays[a], 5 * n))
        for k, (a, b, n_pre, n_post, w) in enumerate(wires)
    ))  # fmt: skip


def check_against_twin(graph: Graph, inputs) -> torch.Tensor:
    """Hold spikes, counts and gradients of a graph's kernel to autograd's; return the spikes."""
    model = LSNN.from_graph(graph)
    plain, z = gradients(model, inputs, 0, twin=True)
    found, same = gradients(model, inputs, 0, twin=False)
    assert torch.equal(z, same)
    assert torch.equal(model(inputs).n_spikes, z.sum(1))
    worst = errors(found, plain)
    assert len(worst) == 3
    assert max(worst.values()) < DOUBLE_TOLERANCE
    return z


@pytest.mark.parametrize("longest", [20, 300])
def test_a_window_too_long_for_short_indices(longest):
    """Places in the window of delays are counted in 16 bits, by 8 bytes or by rows: 301 steps of 61 targets fit only the latter."""
    delays = {"in": [0, longest], "n": [1, longest]}
    z = check_against_twin(wires_at_random(np.random.default_rng(0), 60, delays), noise(2, longest + 60, 9))
    assert z.sum() > 50


def test_a_window_too_long_for_indices_of_16_bits():
    """With 300 readouts that nothing reaches, 301 steps of 361 targets are counted in 32 bits: nothing else may change."""
    graph = wires_at_random(np.random.default_rng(0), 60, {"in": [0, 300], "n": [1, 300]})
    wide = Graph(populations=(*graph.populations, LI(name="more", size=300, kappa=0.8)), projections=graph.projections)
    inputs, found = noise(2, 360, 9), []
    for g in (graph, wide):
        model = LSNN.from_graph(g)
        out = model(inputs)
        ((out.y[..., :1] ** 2).sum() + (out.z * torch.arange(60)).sum()).backward()
        found.append((out.z, out.y[..., :1], *(p.grad for p in model.parameters())))
    assert found[0][0].sum() > 50
    assert len(found[0]) == 5
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


@pytest.mark.parametrize("steps", [1, 2, 255, 1019, 1020, 1021, 3000])
def test_every_spike_is_counted(steps):
    """Sums in binary have ten digits, and are read when they could be full."""
    graph = one_neuron(Projection(name="c", source="in", target="n", pre=[0], post=[0], weight=[3.0], delay=[0]))
    out = LSNN.from_graph(graph)({"in": np.ones((3, steps, 1)), "u": np.zeros((3, steps, 1))})
    assert out.n_spikes.flatten().tolist() == [steps] * 3


@pytest.mark.parametrize("isa", able())
@pytest.mark.parametrize(
    ("share", "delay_in", "delay"), [(0.1, 0, 1), (0.7, 0, 1), (0.1, 4, 3), (0.1, 2, 1), (0.7, 0, 2)]
)
def test_shared_delays(monkeypatch, isa, share, delay_in, delay):
    """Small nets add whole rows of weights where inputs spike seldom, and go synapse by synapse where they often do."""
    monkeypatch.setenv("NEURO_ISA", isa)
    rng = np.random.default_rng(1)
    graph = wires_at_random(rng, 20, {"in": [delay_in], "n": [delay]})
    z = check_against_twin(graph, (rng.random((11, 300, 9)) < share).astype(np.uint8))
    assert z.sum() > 1000
    assert z.sum(1).max() > 3


@pytest.mark.parametrize("isa", able())
@pytest.mark.parametrize("lanes", kernel.LANES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_whole_rows_change_no_bit(monkeypatch, isa, lanes, dtype):
    """An input of currents keeps a net from whole rows; one that nothing listens to must leave everything as it was."""
    monkeypatch.setenv("NEURO_ISA", isa)
    monkeypatch.setattr(kernel, "choose_lanes", lambda batch, n_threads: lanes)
    rng = np.random.default_rng(2)
    sizes, found = {"in": 5, "n": 21, "out": 3}, []
    populations = (
        SpikeInput(name="in", size=5),
        LIF(name="n", size=21, alpha=0.9, v_th=1.0),
        LI(name="out", size=3, kappa=0.8),
    )
    projections = []
    for source, target, w, delay in (("in", "n", 0.9, 2), ("n", "n", 0.3, 1), ("n", "out", 0.3, 1)):
        pre, post = np.nonzero(rng.random((sizes[source], sizes[target])) < 0.4)
        weight = rng.normal(0, w, len(pre))
        projections.append(Projection(name=f"{source}_{target}", source=source, target=target, pre=pre, post=post, weight=weight,
                                      delay=np.full(len(pre), delay)))  # fmt: skip
    spikes = (rng.random((37, 60, 5)) < 0.1).astype(np.uint8)  # at more than 0.2 there are no whole rows
    for more in ((), (CurrentInput(name="u", size=1),)):
        model = LSNN.from_graph(Graph(populations=(*more, *populations), projections=tuple(projections)), dtype)
        out = model({"in": spikes, "u": torch.ones(37, 60, 1)} if more else spikes, traces=True)
        ((out.y**2).sum() + (out.z * torch.arange(21)).sum()).backward()
        found.append((out.z, out.y, out.n_spikes, *(p.grad for p in model.parameters())))
    assert found[0][0].sum() > 200
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


@pytest.mark.parametrize(("n_in", "batch"), [(63, 9), (64, 17), (65, 33), (130, 33)])
def test_inputs_are_packed_in_tiles_of_64(n_in, batch):
    graph = wires_at_random(np.random.default_rng(3), 40, {"in": [0, 1], "n": [1, 2]}, n_in)
    assert check_against_twin(graph, noise(batch, 20, n_in)).sum() > 100


def test_many_blocks_share_a_sum(monkeypatch):
    """Beyond 32 blocks one pass back runs several, one after another, in the same memory."""
    monkeypatch.setattr(kernel, "choose_lanes", lambda batch, n_threads: 8)
    graph = wires_at_random(np.random.default_rng(4), 20, {"in": [0, 3], "n": [1, 9]})
    assert check_against_twin(graph, noise(8 * 3 * kernel.MAX_GROUPS - 5, 25, 9)).sum() > 1000


def test_no_synapses_no_neurons_no_readouts():
    silent = LSNN.from_graph(one_neuron(bias=0.3))
    out = silent({"in": noise(2, 50, 1), "u": torch.zeros(2, 50, 1)}, traces=True)
    assert out.z.sum() > 5, "the bias alone makes it spike"
    assert torch.all(out.y == 0)
    bare = Graph(populations=(SpikeInput(name="in", size=2), LI(name="out", size=2, kappa=0.5)),
                 projections=(Projection(name="c", source="in", target="out", pre=[0, 1], post=[1, 0], weight=[1.0, 2.0], delay=[0, 2]),))  # fmt: skip
    model = LSNN.from_graph(bare)
    out = model(torch.ones(1, 4, 2))
    assert out.z.shape == (1, 4, 0)
    assert out.y[0, :, 1].tolist() == [1.0, 1.5, 1.75, 1.875]
    out.y.sum().backward()
    assert model.w0.grad.tolist() == [1.875 + 1.75 + 1.5 + 1.0, 1.5 + 1.0]
    alone = LSNN.from_graph(Graph(populations=(SpikeInput(name="in", size=1), LIF(name="n", size=2, alpha=0.5))))
    inputs_alone = LSNN.from_graph(Graph(populations=(SpikeInput(name="in", size=1),)))
    for sparse in (False, True):
        alone.sparse = inputs_alone.sparse = sparse
        assert alone(torch.ones(3, 2, 1)).y.shape == (3, 2, 0)
        assert inputs_alone(torch.ones(3, 2, 1)).z.shape == (3, 2, 0)


def test_second_backward_and_two_runs_before_one(random_graph):
    """The memory of a tape is lent to the next run only when nothing can read it any more."""
    graph, inputs = random_graph(3)
    model = LSNN.from_graph(graph)
    first, _ = gradients(model, inputs, 1, twin=False)
    model.zero_grad()
    a = model(inputs)
    model(inputs, spikes=False).y.square().sum().backward()
    model.zero_grad()
    rng = torch.Generator().manual_seed(1)
    weigh = [torch.randn(x.shape, generator=rng, dtype=torch.float64) for x in (a.y, a.z, a.n_spikes)]
    loss = sum((x * w).sum() for x, w in zip((a.y, a.z, a.n_spikes), weigh, strict=True))
    loss.backward(retain_graph=True)
    once = {name: p.grad.clone() for name, p in model.named_parameters()}
    assert all(torch.equal(once[k], first[k]) for k in first)
    loss.backward()
    assert all(torch.equal(p.grad, 2 * once[name]) for name, p in model.named_parameters())


def test_rewiring_changes_the_rows_and_nothing_else():
    model, inputs = recipe_net(), noise(4, 30)
    model.sparse = True
    rng = np.random.default_rng(0)
    total = 0.0
    for _ in range(5):
        with torch.no_grad():
            for name in ("w_in", "w_rec", "w_out"):
                w = model.get_parameter(name)
                w.copy_(torch.from_numpy(rng.normal(0, 1, w.shape) * (rng.random(w.shape) < 0.4)))
            fresh = recipe_net()
            fresh.load_state_dict(model.state_dict())
            out = model(inputs)
            assert torch.equal(out.y, fresh(inputs).y)
            total += out.z.sum().item()
    assert total > 100


def test_rows_are_a_stable_sort_by_source():
    rng = np.random.default_rng(0)
    pre, post, delay = (
        torch.from_numpy(rng.integers(low, high, 500).astype(np.int32)) for low, high in ((0, 20), (0, 30), (1, 9))
    )
    rows = arrange(pre, post, delay, 5, 15, 15)
    assert torch.equal(rows.order, torch.argsort(pre, stable=True))
    assert torch.equal(rows.row[1:] - rows.row[:-1], torch.bincount(pre, minlength=20))
    assert torch.equal(rows.post, post[rows.order])
    assert rows.max_delay == int(delay[pre >= 5].max())


@pytest.mark.parametrize(
    ("value", "message"),
    [(2.0, r"input 'in': not a spike train \(got 2\.0 at \(sample, step, unit\) \(1, 3, 0\); need 0 or 1\. Values belong"),
     (float("nan"), r"input 'in': not a spike train \(got nan at")],
)  # fmt: skip
def test_what_is_no_spike_is_refused_by_name(value, message):
    model = recipe_net()
    inputs = noise(2, 5).float()
    inputs[1, 3, 0] = value
    with pytest.raises(DataError, match=message):
        model(inputs)


@pytest.mark.parametrize("sparse", [False, True])
def test_what_is_not_finite_is_refused_by_name(sparse):
    model = LSNN.from_graph(one_neuron())
    currents = torch.zeros(2, 5, 1)
    currents[0, 4, 0] = float("inf")
    with pytest.raises(
        DataError, match=r"input 'u': not finite \(got inf at \(sample, step, unit\) \(0, 4, 0\); need a finite current"
    ):
        model({"in": noise(2, 5, 1), "u": currents})
    net = recipe_net()
    net.sparse = sparse
    with torch.no_grad():
        net.w_rec[2, 1] = float("nan")
    with pytest.raises(DataError, match=r"parameter 'w_rec': not finite \(got nan at \(2, 1\)"):
        net(noise(2, 5))


def test_unknown_instruction_set_is_named(monkeypatch):
    monkeypatch.setenv("NEURO_ISA", "avx")
    with pytest.raises(
        UnsupportedError, match=r"NEURO_ISA names no instruction set of this machine \(got 'avx'; need one of baseline"
    ):
        kernel.isa()


def test_delays_beyond_the_window_are_refused():
    populations = (
        SpikeInput(name="in", size=1),
        LIF(name="n", size=70_000, alpha=0.9),
        LI(name="out", size=1, kappa=0.5),
    )
    wire = Projection(name="c", source="in", target="out", pre=[0], post=[0], weight=[1.0], delay=[4095])
    model = LSNN.from_graph(Graph(populations=populations, projections=(wire,)))
    with pytest.raises(
        UnsupportedError, match=r"delays too long for a net of this size \(got 4096 steps times 70001 targets"
    ):
        model(torch.zeros(1, 2, 1))
