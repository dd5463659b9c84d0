"""Active weights are found as `torch.nonzero` finds them, and taken out with the gradient of plain indexing."""

from __future__ import annotations

import pytest
import torch

from neuro.train.active import find_active, take_active


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16])
def test_active_weights_are_those_that_are_not_zero(dtype):
    weight = torch.randn(13, 17, generator=torch.Generator().manual_seed(0)).to(dtype)
    weight[torch.rand(13, 17, generator=torch.Generator().manual_seed(1)) < 0.8] = 0
    weight[0, :3] = torch.tensor([-0.0, float("nan"), float("inf")])
    found = find_active(weight)
    assert 20 < len(found) < 80
    assert torch.equal(found, torch.nonzero(weight.view(-1)).view(-1))
    assert len(find_active(weight[:0])) == 0
    assert torch.equal(find_active(weight.t()), torch.nonzero(weight.t().reshape(-1)).view(-1))


def test_gradient_of_what_is_taken_is_that_of_indexing():
    parameters = [torch.randn(shape, requires_grad=True, dtype=torch.float64) for shape in ((3, 4), (5,), (2, 2))]
    at = [torch.tensor([1, 5, 11]), torch.tensor([], dtype=torch.int64), torch.tensor([0, 3])]
    weigh = torch.arange(1.0, 6.0, dtype=torch.float64)
    taken = take_active(parameters, at)
    plain = torch.cat([p.view(-1)[k] for p, k in zip(parameters, at, strict=True)])
    assert torch.equal(taken, plain)
    found = torch.autograd.grad((taken * weigh).sum(), parameters)
    expected = torch.autograd.grad((plain * weigh).sum(), parameters)
    assert sum(g.abs().sum() for g in expected) == 15
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
