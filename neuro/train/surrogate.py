"""Give the spike a derivative: a step function forward, a triangle backward."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def pseudo_derivative(x: Tensor, v_th: Tensor, dampening: float) -> Tensor:
    """Return psi = (gamma / v_th) max(0, 1 - |x / v_th|), the derivative that stands in for dz/dv.

    Parameters: x = v - A, (..., n), distance of the membrane from its threshold; v_th, (n,), threshold at rest;
    dampening, gamma.
    Returns: psi, the shape of x, in units of 1 / v_th.
    Source: Bellec et al. 2018 (arXiv 1803.09574), eq. 3, there divided by the adaptive threshold in place of v_th.
    """
    return dampening / v_th * torch.clamp(1 - (x / v_th).abs(), min=0)


class _Spike(torch.autograd.Function):
    """z = 1 where v > A and the neuron is free; dz/dv = psi, dz/dA = -psi where it is free, and 0 elsewhere."""

    @staticmethod
    def forward(ctx: Any, v: Tensor, threshold: Tensor, free: Tensor, v_th: Tensor, dampening: float) -> Tensor:
        ctx.save_for_backward(v, threshold, free, v_th)
        ctx.dampening = dampening
        return ((v > threshold) & free).to(v.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        v, threshold, free, v_th = ctx.saved_tensors
        flow = grads[0] * pseudo_derivative(v - threshold, v_th, ctx.dampening) * free
        return flow, -flow, None, None, None


def spike(v: Tensor, threshold: Tensor, free: Tensor, v_th: Tensor, dampening: float) -> Tensor:
    """Return z = [v > A and free], with the pseudo-derivative as its gradient to v and A.

    Parameters: v and threshold (A), (batch, n); free, bool (batch, n): not refractory, without a gradient; v_th, (n,);
    dampening, gamma >= 0.
    Returns: z in {0, 1}, (batch, n), dtype of v.
    """
    z: Tensor = _Spike.apply(v, threshold, free, v_th, dampening)  # type: ignore[no-untyped-call]
    return z
