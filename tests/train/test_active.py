"""Active weights are found as `torch.nonzero` finds them, and taken out with the gradient of plain indexing."""

from __future__ import annotations

import pytest
import torch

from neuro.train import kernel
from neuro.train.active import find_active, take_active


@pytest.mark.parametrize("isa", kernel.ISAS[: kernel.isa() + 1])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16])
def test_active_weights_are_those_that_are_not_zero(monkeypatch, dtype, isa):
    monkeypatch.setenv("NEURO_ISA", isa)
    weight = torch.randn(13, 17, generator=torch.Generator().manual_seed(0)).to(dtype)
    weight[torch.rand(13, 17, generator=torch.Generator().manual_seed(1)) < 0.8] = 0
    weight[0, :3] = torch.tensor([-0.0, float("nan"), float("inf")])
    parts = [weight, weight[:0], weight.t(), weight[:1, :15]]
    found = find_active(parts)
    assert 60 < len(found) < 150
    assert torch.equal(found, torch.nonzero(torch.cat([p.reshape(-1) for p in parts])).view(-1))
    assert len(find_active([weight[:0]])) == len(find_active([])) == 0
    full = torch.ones(37, dtype=dtype)  # every place of every vector
    assert find_active([full]).tolist() == list(range(37))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_gradient_of_what_is_taken_is_that_of_indexing(dtype):
    parameters = [torch.randn(shape, requires_grad=True, dtype=dtype) for shape in ((3, 4), (5,), (2, 2))]
    at = torch.tensor([1, 5, 11, 17, 20])
    weigh = torch.arange(1.0, 6.0, dtype=dtype)
    taken = take_active(parameters, at)
    plain = torch.cat([p.reshape(-1) for p in parameters])[at]
    assert torch.equal(taken, plain)
    found = torch.autograd.grad((taken * weigh).sum(), parameters)
    expected = torch.autograd.grad((plain * weigh).sum(), parameters, materialize_grads=True)
    assert sum(g.abs().sum() for g in expected) == 15
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
    assert found[1].abs().sum() == 0, "nothing was taken from it"


@pytest.mark.parametrize("at", [[-1, 2], [3, 21], [0, 13, 3, 20], [0, 100, 3]])
def test_positions_out_of_order_are_refused(at):
    with pytest.raises(AssertionError, match="positions: sorted"):
        take_active([torch.ones(3, 4), torch.ones(9)], torch.tensor(at))
