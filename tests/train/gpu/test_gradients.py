"""The kernels, in Triton's interpreter, give what plain autograd gives in float64 on the same spikes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from neuro.graph import ALIF, RESETS, CurrentInput, Graph
from neuro.train.gpu import layout
from tests.train.gpu.nets import error, kernels, plain

TOLERANCE = {torch.float64: 1e-9, torch.float32: 1e-4}
"""Norm of the difference over norm of the reference, for each tensor. Single precision keeps psi in 15 bits."""
STEPS = 9
"""Enough for delays of 8 steps and two refractory periods; the interpreter takes some 20 ms a step."""
SEEDS = (
    *(0, 8, 10, 11, 13, 21, 22, 24, 30, 31, 32, 33, 37, 38, 41, 45),
    *(48, 54, 59, 60, 65, 66, 70, 72, 73, 80, 90, 93, 106, 112, 114, 119),
)
"""Graphs that spike in the first steps, in float32 and float64 alike."""


def made(random_graph, seed: int) -> tuple[Graph, dict[str, torch.Tensor]]:
    graph, inputs = random_graph(seed)
    return graph, {name: torch.from_numpy(values[:, :STEPS]) for name, values in inputs.items()}


def compare(graph: Graph, inputs: dict[str, torch.Tensor], dtype: torch.dtype, samples: int | None, seed: int) -> None:
    reference, found = plain(graph, inputs, seed), kernels(graph, inputs, dtype, samples, seed)
    assert reference.z.sum() > 0 and reference.grad_w.norm() > 0
    assert torch.equal(found.z.double(), reference.z)
    assert torch.equal(found.n_spikes.double(), reference.n_spikes)
    for name in ("y", "grad_w", "grad_b"):
        value, expected = getattr(found, name), getattr(reference, name)
        assert (value is None) == (expected is None)
        if expected is not None:
            assert value.dtype == dtype
            assert error(value, expected) < TOLERANCE[dtype], name


def test_the_graphs_have_every_feature(random_graph):
    graphs = [made(random_graph, seed)[0] for seed in SEEDS]
    neurons = [p for g in graphs for p in g.neurons]
    assert len(SEEDS) >= 32
    assert {p.reset for p in neurons} == set(RESETS)
    assert {isinstance(p, ALIF) for p in neurons} == {False, True}
    assert {int(n) for p in neurons for n in p.n_ref} == set(range(5))
    assert {int(d) for g in graphs for c in g.projections for d in c.delay} == set(range(9))
    kinds = {
        (isinstance(g.population(c.source), CurrentInput), c.target[0])
        for g in graphs
        for c in g.projections
        if len(c.pre)
    }
    assert kinds == {(True, "p"), (True, "o"), (False, "p"), (False, "o")}


@pytest.mark.parametrize("seed", SEEDS)
def test_single_precision_equals_autograd(random_graph, seed):
    graph, inputs = made(random_graph, seed)
    compare(graph, inputs, torch.float32, None, seed)


@pytest.mark.parametrize("seed", SEEDS[::8])
def test_double_precision_equals_autograd(random_graph, seed):
    """Blocks that the batch does not fill, too."""
    graph, inputs = made(random_graph, seed)
    compare(graph, inputs, torch.float64, 2, seed)


@pytest.mark.parametrize("seed", SEEDS[2:5])
def test_tiles_equal_autograd(random_graph, seed, monkeypatch):
    """More neurons than one tile holds."""
    monkeypatch.setattr(layout, "HELD_MAX", 4)
    monkeypatch.setattr(layout, "TILE", 4)
    graph, inputs = made(random_graph, seed)
    compare(graph, inputs, torch.float64, None, seed)


def test_inputs_of_zeros_and_ones_go_as_bits(random_graph):
    """The same numbers for spikes as bits and as values: an added input of halves without synapses changes only how they travel."""
    graph, inputs = made(random_graph, SEEDS[0])
    inputs["u"] = (inputs["u"] > 0.5).double()
    compare(graph, inputs, torch.float64, None, 0)
    bits = kernels(graph, inputs, torch.float64)
    assert np.isin(inputs["in"].numpy(), (0, 1)).all()
    assert bits.z.sum() > 0
