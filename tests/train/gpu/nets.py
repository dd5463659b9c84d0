"""What the tests of the GPU run with: a graph's network, and its gradients by plain autograd and by the kernels."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from neuro.graph import Graph
from neuro.train import LSNN, gpu, signals


class Found(NamedTuple):
    """Outputs of a run and gradients of weights and biases, None where there is no bias."""

    y: Tensor
    n_spikes: Tensor
    z: Tensor
    grad_w: Tensor
    grad_b: Tensor | None


def structure(model: LSNN) -> gpu.Structure:
    """Return all synapses of a network."""
    s = model.wiring().synapses
    return gpu.Structure(s.pre.int(), s.post.int(), s.delay.int(), model.n_in, model.n_neurons, model.n_out)


def loss(y: Tensor, n_spikes: Tensor, z: Tensor, seed: int) -> Tensor:
    """Return a random sum of all that a run returns, the same for every dtype."""
    rng = torch.Generator().manual_seed(seed)
    weigh = (torch.randn(t.shape, generator=rng, dtype=torch.float64) for t in (y, n_spikes, z))
    return sum(((t * w.to(t.dtype)).sum() for t, w in zip((y, n_spikes, z), weigh, strict=True)), y.new_zeros(()))


def plain(graph: Graph, inputs: dict[str, Tensor], seed: int = 0) -> Found:
    """Run the twin under autograd in float64."""
    model = LSNN.from_graph(graph)
    out = model(inputs, twin=True)
    assert out.z is not None
    counts = out.z.sum(1)
    loss(out.y, counts, out.z, seed).backward()
    lists = [model.get_parameter(b.name) for b in model.blocks]
    none = torch.zeros(0, dtype=torch.float64)  # autograd has no gradient for an empty list
    grad_w = torch.cat([none, *(w.grad for w in lists if w.numel())])
    return Found(out.y.detach(), counts.detach(), out.z.detach(), grad_w, _bias_gradient(model))


def _bias_gradient(model: LSNN) -> Tensor | None:
    if model.bias is None and model.bias_out is None:
        return None
    parts = ((model.bias, model.n_neurons), (model.bias_out, model.n_out))
    return torch.cat([torch.zeros(n, dtype=model.dtype) if b is None else b.grad for b, n in parts])


def kernels(
    graph: Graph, inputs: dict[str, Tensor], dtype: torch.dtype, samples: int | None = None, seed: int = 0
) -> Found:
    """Run the kernels."""
    model = LSNN.from_graph(graph, dtype=dtype)
    weights = model.weights().detach().requires_grad_()
    y, n_spikes, z = gpu.run(
        torch.cat(signals.parts(model.inputs, inputs), 2),
        weights,
        model._biases(),
        model.rows(),
        structure(model),
        spikes=True,
        samples=samples,
    )
    assert z is not None
    loss(y, n_spikes, z, seed).backward()
    return Found(y.detach(), n_spikes.detach(), z.detach(), weights.grad, _bias_gradient(model))


def error(found: Tensor, reference: Tensor) -> float:
    """Return the norm of the difference over that of the reference; 0 where both are empty or zero."""
    difference, norm = (found.double() - reference).norm().item(), reference.norm().item()
    return difference / norm if norm else difference
