"""Take the active weights of a network, those that are not zero, out of its parameters."""

from __future__ import annotations

import ctypes
import itertools
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from neuro import kernels
from neuro.train import kernel

_ROOM = 8  # places that the kernel may write beyond the last


def find_active(parameters: Sequence[Tensor]) -> Tensor:
    """Return where the weights of some parameters are not zero: sorted positions in the list of all of them, int64 (n,).

    NaN is not zero. On the CPU a kernel counts, and then finds them.
    """
    flat = [p.detach().reshape(-1) for p in parameters]
    if not flat:
        return torch.zeros(0, dtype=torch.int64)
    if not _on_cpu(flat):
        return torch.nonzero(torch.cat(flat)).view(-1)
    kind, listed = (ctypes.c_int32(kernel.isa()), *_kind(flat)), _listed(flat)
    count = kernels.library().neuro_lsnn_count
    count.restype = ctypes.c_int64
    n = count(*kind, *listed)
    found = torch.empty(n + _ROOM, dtype=torch.int64)
    kernels.library().neuro_lsnn_places(*kind, *listed, ctypes.c_void_p(found.data_ptr()))
    return found[:n]


class _TakeActive(torch.autograd.Function):
    """Gather from all parameters at once; back, scatter into zeros."""

    @staticmethod
    def forward(ctx: Any, at: Tensor, *parameters: Tensor) -> Tensor:
        flat = [p.detach().reshape(-1) for p in parameters]
        ctx.at, ctx.shapes = at, [p.shape for p in parameters]
        if not _on_cpu(flat):
            return torch.cat(flat).index_select(0, at)
        taken = torch.empty(len(at), dtype=flat[0].dtype)
        _move("neuro_lsnn_take", flat, at, taken)
        return taken

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Any) -> Any:
        grad = grads[0].contiguous()
        flat = [grad.new_zeros(shape.numel()) for shape in ctx.shapes]
        if _on_cpu(flat):
            _move("neuro_lsnn_put", flat, ctx.at, grad)
        else:
            whole = grad.new_zeros(sum(map(len, flat))).index_copy_(0, ctx.at, grad)
            flat = list(whole.split([len(x) for x in flat]))
        return None, *(x.view(shape) for x, shape in zip(flat, ctx.shapes, strict=True))


def take_active(parameters: Sequence[Tensor], at: Tensor) -> Tensor:
    """Return the weights at some positions in the list of all, (n,); the gradient of all others is zero.

    Parameters: parameters, at least one, of one dtype; at, as `find_active` returns them, int64 (n,), sorted.
    """
    return _TakeActive.apply(at, *parameters)  # type: ignore[no-untyped-call]


def _on_cpu(flat: Sequence[Tensor]) -> bool:
    """Tell whether the kernel can read these."""
    return flat[0].dtype in (torch.float32, torch.float64) and not any(x.is_cuda for x in flat)


def _kind(flat: Sequence[Tensor]) -> tuple[Any, ...]:
    assert all(x.dtype == flat[0].dtype and x.is_contiguous() for x in flat)
    return (ctypes.c_int32(flat[0].dtype == torch.float64),)


def _listed(flat: Sequence[Tensor]) -> tuple[Any, ...]:
    """Return how many lists there are, where each begins, and the position at which each ends in the list of all."""
    k = len(flat)
    ends = itertools.accumulate(len(x) for x in flat)
    return ctypes.c_int64(k), (ctypes.c_void_p * k)(*(x.data_ptr() for x in flat)), (ctypes.c_int64 * k)(*ends)


def _move(function: str, flat: Sequence[Tensor], at: Tensor, values: Tensor) -> None:
    """Let the kernel copy values (n,) from, or to, the positions in some lists; it stops at one that is out of order."""
    assert at.dtype == torch.int64 and at.is_contiguous() and values.shape == at.shape and values.dtype == flat[0].dtype
    move = getattr(kernels.library(), function)
    move.restype = ctypes.c_int64
    pointers = ctypes.c_void_p(at.data_ptr()), ctypes.c_void_p(values.data_ptr())
    moved = move(*_kind(flat), *_listed(flat), ctypes.c_int64(len(at)), *pointers)
    assert moved == len(at), "positions: sorted, in the list of all"
