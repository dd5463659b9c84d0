"""Take the active weights of a network, those that are not zero, out of its parameters."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from neuro import kernels


def find_active(weight: Tensor) -> Tensor:
    """Return where a parameter is not zero, sorted positions in its flat form, int64 (k,); one pass, unlike `torch.nonzero`."""
    flat = weight.detach().reshape(-1)
    if flat.is_cuda or flat.dtype not in (torch.float32, torch.float64):
        return torch.nonzero(flat).view(-1)
    found = torch.empty(len(flat), dtype=torch.int64)
    count = kernels.library().neuro_lsnn_places(
        ctypes.c_int32(flat.dtype == torch.float64), ctypes.c_int64(len(flat)),
        ctypes.c_void_p(flat.data_ptr()), ctypes.c_void_p(found.data_ptr()),
    )  # fmt: skip
    return found[:count].clone()


class _TakeActive(torch.autograd.Function):
    """Gather from all parameters at once; back, scatter into zeros."""

    @staticmethod
    def forward(ctx: Any, at: Sequence[Tensor], *parameters: Tensor) -> Tensor:
        ctx.at, ctx.shapes = at, [p.shape for p in parameters]
        return torch.cat([p.reshape(-1).index_select(0, k) for p, k in zip(parameters, at, strict=True)])

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        (grad,) = grads
        parts = grad.split([len(k) for k in ctx.at])
        return None, *(
            grad.new_zeros(shape.numel()).index_copy_(0, k, part).view(shape)
            for shape, k, part in zip(ctx.shapes, ctx.at, parts, strict=True)
        )


def take_active(parameters: Sequence[Tensor], at: Sequence[Tensor]) -> Tensor:
    """Return the weights at some places of each parameter, side by side, (n,); the gradient of all others is zero.

    Parameters: at, for each parameter, sorted positions in its flat form, int64 (k,).
    """
    return _TakeActive.apply(tuple(at), *parameters)  # type: ignore[no-untyped-call]
