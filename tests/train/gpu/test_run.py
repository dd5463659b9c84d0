"""Odd sizes, equal runs, and what is refused by name."""

from __future__ import annotations

import dataclasses
import itertools
import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from neuro.errors import DataError, UnsupportedError
from neuro.graph import Builder, Graph
from neuro.seeds import stream
from neuro.train import LSNN, ModelConfig, gpu
from neuro.train.gpu import layout, sequence
from neuro.train.twin import unroll
from tests.train.gpu.nets import error, kernels, plain, structure

TOLERANCE = 1e-9


def net(n: int = 6, n_in: int = 4, n_out: int = 2, delay: int = 2, p: float = 0.7, **alif: float) -> Graph:
    """Return a graph that spikes at every input."""
    b = Builder(seed=1, name="net")
    b.spike_input("in", n_in)
    b.alif("alif", n, **{"tau_a_ms": 20.0, "beta": 0.1, "v_th": 0.3, "n_ref": 1, **alif})
    b.li("out", n_out, tau_out_ms=10.0)
    b.connect("in", "alif", weight=lambda rng, k: rng.normal(0.8, 0.2, k), p=p, delay=(0, 1))
    b.connect("alif", "alif", weight=lambda rng, k: rng.normal(0, 0.2, k), p=p, delay=(1, delay))
    b.connect("alif", "out", weight=lambda rng, k: rng.normal(0, 1, k), p=p)
    return b.build()


def ones(graph: Graph, batch: int, steps: int) -> dict[str, torch.Tensor]:
    """Return noise in which every input spikes at step 0."""
    spikes = np.random.default_rng(0).random((batch, steps, graph.inputs[0].size)) < 0.4
    spikes[:, 0] = True
    return {"in": torch.from_numpy(spikes.astype(np.uint8))}


def agree(graph: Graph, batch: int, steps: int, samples: int | None = None) -> None:
    inputs = ones(graph, batch, steps)
    reference, found = plain(graph, inputs), kernels(graph, inputs, torch.float64, samples)
    learnt = "grad_w" if reference.grad_b is None else "grad_b"
    assert reference.z.sum() > 0 and getattr(reference, learnt).norm() > 0
    assert torch.equal(found.z, reference.z)
    for name in ("y", "n_spikes", "grad_w", learnt):
        assert getattr(found, name).shape == getattr(reference, name).shape
        assert error(getattr(found, name), getattr(reference, name)) < TOLERANCE, name


def test_one_neuron_one_sample():
    agree(net(n=1, n_in=1, n_out=1, p=1.0), batch=1, steps=4)


def test_one_step():
    agree(net(n_in=1, p=1.0, v_th=0.7), batch=2, steps=1)


def test_no_synapses():
    """Neurons that spike by their bias alone, and readouts that nothing reaches."""
    agree(net(p=0.0, bias=0.2), batch=2, steps=4)


@pytest.mark.parametrize("samples", [1, 2, 4, 8])
def test_a_batch_that_does_not_fill_its_blocks(samples):
    agree(net(n=3, n_in=2), batch=3, steps=5, samples=samples)


def test_readouts_of_several_tiles():
    agree(net(n=3, n_in=2, n_out=70), batch=1, steps=4)


def test_more_neurons_than_one_tile_holds():
    graph = net(n=layout.HELD_MAX + 1, n_in=2, p=0.01)
    assert structure(LSNN.from_graph(graph)).to_neurons[0].n_tiles == 3
    agree(graph, batch=1, steps=3)


def test_places_beyond_16_bits():
    """A delay of 200 steps of 200 inputs is 40,000 places away."""
    b = Builder(seed=1, name="far")
    b.spike_input("in", 200)
    b.lif("lif", 3, v_th=0.3)
    b.li("out", 1, tau_out_ms=10.0)
    b.connect("in", "lif", weight=lambda rng, k: rng.normal(0.8, 0.2, k), p=0.05, delay=(0, 200))
    b.connect("lif", "out", weight=lambda rng, k: rng.normal(1, 0.1, k), p=1.0)
    graph = b.build()
    assert structure(LSNN.from_graph(graph)).to_neurons[0].index.dtype == torch.int32
    agree(graph, batch=1, steps=8)


@pytest.mark.parametrize("sizes", [(0, 3, 2), (2, 3, 0), (2, 0, 2)], ids=["no inputs", "no readouts", "no neurons"])
def test_networks_that_lack_a_part(sizes):
    n_in, n, n_out = sizes
    b = Builder(seed=1, name="part")
    names = [
        *([b.spike_input("in", n_in)] if n_in else []),
        *([b.lif("lif", n, v_th=0.3, bias=0.2)] if n else []),
        *([b.li("out", n_out, bias=0.1)] if n_out else []),
    ]
    for source, target in itertools.product(names, names):
        if source != "out" and target != "in":
            b.connect(source, target, weight=lambda rng, k: rng.normal(0.4, 0.1, k))
    model = LSNN.from_graph(b.build())
    inputs = torch.from_numpy((np.random.default_rng(0).random((3, 5, n_in)) < 0.5).astype(np.float64))
    weights = model.weights().detach().requires_grad_()
    twin = unroll(inputs, weights, model.wiring(), *model._cells())
    given = arguments(model, inputs, spikes=True)
    found = gpu.run(**given)
    for y, n_spikes in ((twin["y"], twin["z"].sum(1)), found[:2]):
        (y.square().sum() + n_spikes.square().sum()).backward()
    assert weights.grad.norm() > 0
    assert torch.equal(found[2], twin["z"]) and found[0].shape == twin["y"].shape
    assert error(found[0], twin["y"]) < TOLERANCE
    assert error(given["weights"].grad, weights.grad) < TOLERANCE


def test_each_output_alone_has_its_part_of_the_gradient():
    model, inputs = small()
    grads = []
    for which in ((0,), (1,), (2,), (0, 1, 2)):
        given = arguments(model, inputs, spikes=True)
        sum((gpu.run(**given)[k].square().sum() for k in which), torch.zeros(())).backward()
        grads.append(given["weights"].grad)
    assert all(g.norm() > 0 for g in grads)
    assert error(sum(grads[:3]), grads[3].double()) < 1e-5


def small() -> tuple[LSNN, torch.Tensor]:
    model = LSNN.from_config(
        ModelConfig(n_lif=5, n_alif=4, gain_in=6.0, gain_rec=2.0, delay_max=3, n_ref=2), 6, 2, partial(stream, 3)
    )
    return model, torch.from_numpy((np.random.default_rng(0).random((3, 6, 6)) < 0.4).astype(np.uint8))


def arguments(model: LSNN, inputs: torch.Tensor, **changes: Any) -> dict[str, Any]:
    weights = model.weights().detach().requires_grad_()
    given = {
        "inputs": inputs, "weights": weights, "bias": model._biases(), "rows": model.rows(), "structure": structure(model),
    }  # fmt: skip
    return {**given, **changes}


def test_equal_runs_give_equal_numbers_and_blocks_change_no_output():
    model, inputs = small()
    runs = []
    for samples in (2, 2, 8):
        given = arguments(model, inputs, samples=samples)
        y, n_spikes, z = gpu.run(**given)
        (y.square().sum() + n_spikes.square().sum()).backward()
        runs.append((y.detach(), n_spikes.detach(), given["weights"].grad))
        assert z is None
    assert runs[0][1].sum() > 10 and runs[0][2].norm() > 0
    assert all(torch.equal(a, b) for a, b in zip(runs[0], runs[1], strict=True))
    assert torch.equal(runs[0][0], runs[2][0]) and torch.equal(runs[0][1], runs[2][1])
    assert error(runs[2][2], runs[0][2].double()) < 1e-5


@pytest.mark.parametrize("tile", [4, layout.TILE])
def test_nothing_is_read_before_it_is_written(tile, monkeypatch):
    """Memory full of NaN and ones gives the same numbers: no program waits for another, and no step for a later one."""
    model, inputs = small()
    monkeypatch.setattr(layout, "HELD_MAX", 4 if tile == 4 else layout.HELD_MAX)
    monkeypatch.setattr(layout, "TILE", tile)
    empty, filled, runs = torch.Tensor.new_empty, [], []

    def poisoned(self: torch.Tensor, *size: Any, **how: Any) -> torch.Tensor:
        filled.append(empty(self, *size, **how))
        return filled[-1].fill_(float("nan") if filled[-1].is_floating_point() else 127)

    for new_empty in (empty, poisoned):
        monkeypatch.setattr(torch.Tensor, "new_empty", new_empty)
        given = arguments(model, inputs, spikes=True)
        y, n_spikes, z = gpu.run(**given)
        (y.square().sum() + n_spikes.square().sum()).backward()
        runs.append((y.detach(), n_spikes.detach(), z.detach(), given["weights"].grad))
    assert {torch.uint8, torch.int16, torch.float32} <= {t.dtype for t in filled if t.numel()}
    assert runs[0][2].sum() > 10 and runs[0][3].norm() > 0
    assert all(torch.equal(a, b) for a, b in zip(*runs, strict=True))


def test_nothing_is_kept_without_a_gradient(monkeypatch):
    model, inputs = small()
    kept = []
    sweep = sequence.launch.sweep
    monkeypatch.setattr(sequence.launch, "sweep", lambda *a: kept.append(sweep(*a)) or kept[-1])
    outputs = gpu.run(**arguments(model, inputs))[0]
    with torch.no_grad():
        silent = gpu.run(**arguments(model, inputs))[0]
    assert kept[0][0].psi is not None and kept[1][0].psi is None
    assert torch.equal(outputs, silent)


def test_only_active_synapses_are_there():
    """A structure of some synapses, in the order of their weights: DEEP R's, with the gradients of the whole at these."""
    model, inputs = small()
    with torch.no_grad():
        model.w_rec[torch.rand(model.w_rec.shape, generator=torch.Generator().manual_seed(1)) < 0.6] = 0
    active = torch.nonzero(model.weights()).view(-1)
    s = structure(model)
    some = dataclasses.replace(s, pre=s.pre[active], post=s.post[active], delay=s.delay[active])
    grads = []
    for given in (
        arguments(model, inputs),
        arguments(model, inputs, structure=some, weights=model.weights().detach()[active].requires_grad_()),
    ):
        y, n_spikes, _ = gpu.run(**given)
        (y.square().sum() + n_spikes.sum()).backward()
        grads.append(given["weights"].grad)
    assert 0 < len(active) < len(s.pre) and grads[1].norm() > 0
    assert error(grads[1], grads[0][active].double()) < 1e-5


@pytest.mark.parametrize("name", ["inputs", "weights", "bias"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_not_finite_is_refused_by_name(name, value):
    model, inputs = small()
    tensors = {"inputs": inputs.float(), "weights": model.weights().detach(), "bias": torch.zeros(11)}
    tensors[name].view(-1)[1] = value
    with pytest.raises(DataError, match=rf"gpu\.run: {name} not finite \(got 1 values that are NaN or infinite"):
        gpu.run(**arguments(model, **tensors))


def test_what_does_not_fit_is_refused():
    model, inputs = small()
    for changes, match in (
        ({"inputs": inputs[:, :, :5]}, r"inputs misshapen \(got \(3, 6, 5\); need \(batch, steps, 6\)"),
        ({"inputs": inputs[:, :0]}, r"inputs misshapen \(got \(3, 0, 6\)"),
        ({"weights": torch.zeros(3)}, r"weights misshapen \(got \(3,\); need \(153,\)"),
        ({"bias": torch.zeros(4)}, r"bias misshapen \(got \(4,\); need \(11,\)"),
        ({"samples": 3}, r"samples of a block out of range \(got 3; need 1, 2, 4 or 8"),
        ({"weights": model.weights().detach().double()}, r"several dtypes \(got \['torch.float32', 'torch.float64'\]"),
        ({"rows": dataclasses.replace(model.rows(), n_neurons=8)}, r"rows of another network \(got \(8, 11\)"),
        ({"weights": model.weights().detach().to("meta")}, r"tensors on several devices \(got \['cpu', 'meta'\]"),
    ):
        with pytest.raises(DataError, match=match):
            gpu.run(**arguments(model, **{"inputs": inputs, **changes}))


def test_what_the_kernels_cannot_do_is_refused():
    model, inputs = small()
    column = torch.zeros(9, 1)
    for changes, match in (
        (
            {"weights": model.weights().detach().half()},
            r"weights of another dtype \(got torch.float16; need float32 or float64",
        ),
        ({"rows": dataclasses.replace(model.rows(), w_x=column)}, r"no w_x \(AHP neurons\) on the GPU"),
        (
            {"rows": dataclasses.replace(model.rows(), keep_u=column)},
            r"no keep_u \(currents with a memory\) on the GPU",
        ),
        (
            {"rows": dataclasses.replace(model.rows(), own=column)},
            r"no own weights \(of a neuron to itself\) on the GPU",
        ),
    ):
        with pytest.raises(UnsupportedError, match=match):
            gpu.run(**arguments(model, **{"inputs": inputs, **changes}))


def test_synapses_out_of_range_are_refused():
    def made(pre: int, post: int, delay: int) -> gpu.Structure:
        return gpu.Structure(*(torch.tensor([x], dtype=torch.int32) for x in (pre, post, delay)), 2, 3, 1)

    assert made(4, 3, 1).n_targets == 4
    for entry, match in (
        ((5, 0, 1), r"pre out of range \(got 5..5; need 0..4\)"),
        ((0, 4, 1), r"post out of range \(got 4..4; need 0..3\)"),
        ((2, 0, 0), r"delay too short \(need >= 0 from inputs and >= 1 from neurons\)"),
        ((0, 0, -1), "delay too short"),
    ):
        with pytest.raises(DataError, match=match):
            made(*entry)
    with pytest.raises(DataError, match=r"synapses misshapen \(got \[\(1,\), \(2,\)\]"):
        gpu.Structure(torch.zeros(1), torch.zeros(2), torch.zeros(1), 2, 3, 1)


def fresh(code: str) -> str:
    """Run code in a new Python without the interpreter of Triton and return what it printed."""
    env = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_training_loads_no_triton():
    code = "import sys, neuro.train.lsnn, neuro.train.loop; from neuro.train import gpu; print('triton' in sys.modules, dir(gpu))"
    assert fresh(code) == "False ['Structure', 'run']\n"


def test_a_missing_triton_is_said():
    printed = fresh(
        "import sys\nsys.modules['triton'] = None\nfrom neuro.train import gpu\n"
        "assert gpu.Structure\ntry:\n    gpu.run\nexcept Exception as err:\n    print(type(err).__name__, err)"
    )
    assert printed.startswith(
        "UnsupportedError gpu: package missing (got no module 'triton'; need the gpu extra). Install it"
    )
    with pytest.raises(AttributeError, match=r"module 'neuro\.train\.gpu' has no attribute 'rnu'"):
        gpu.rnu  # noqa: B018


def test_tensors_on_the_cpu_are_refused_without_the_interpreter():
    printed = fresh(
        "import torch\nfrom functools import partial\nfrom neuro.seeds import stream\n"
        "from neuro.train import LSNN, ModelConfig, gpu\n"
        "m = LSNN.from_config(ModelConfig(n_lif=1, n_alif=1), 1, 1, partial(stream, 0))\ns = m.wiring().synapses\n"
        "t = gpu.Structure(s.pre.int(), s.post.int(), s.delay.int(), 1, 2, 1)\n"
        "try:\n    gpu.run(torch.zeros(1, 1, 1), m.weights(), None, m.rows(), t)\nexcept Exception as err:\n"
        "    print(type(err).__name__, err)"
    )
    assert printed.startswith(
        "UnsupportedError gpu.run: tensors not on a GPU (got weights on cpu; need a CUDA device). Move"
    )


def test_the_benchmark_without_a_gpu_measures_nothing():
    script = Path(__file__).resolve().parents[3] / "benchmarks" / "gpu.py"
    env = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run([sys.executable, "-W", "error", script], capture_output=True, text=True, env=env, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "gpu: no GPU here (torch sees no CUDA device). Nothing was measured.\n"


def test_lsnn_with_its_parameters_on_a_gpu_runs_there(monkeypatch):
    """The interpreter stands in for the device: what decides is `LSNN._on_gpu`."""
    graph = net()
    inputs = torch.from_numpy((np.random.default_rng(0).random((3, 12, 4)) < 0.5).astype(np.uint8))
    model = LSNN.from_graph(graph)
    expected = model(inputs)
    (expected.y.sum() + expected.n_spikes.square().sum()).backward()
    gradient = {name: p.grad.clone() for name, p in model.named_parameters()}
    model.zero_grad()
    monkeypatch.setattr(LSNN, "_on_gpu", lambda self: True)
    found = model(inputs)
    (found.y.sum() + found.n_spikes.square().sum()).backward()
    assert expected.z.sum() > 10
    assert torch.equal(found.z, expected.z)
    assert torch.equal(found.n_spikes, expected.n_spikes)
    for name, p in model.named_parameters():
        assert error(p.grad, gradient[name]) < TOLERANCE
    assert model(inputs, spikes=False).z is None
    with pytest.raises(UnsupportedError, match=r"no traces on a GPU \(got traces=True"):
        model(inputs, traces=True)
