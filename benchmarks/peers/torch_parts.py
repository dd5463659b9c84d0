"""What the contestants in torch share: the loss, the spike with its surrogate gradient, and showing what a step gave."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from .case import CALIBRATION_SAMPLES, TARGET_HZ, Case, gain_for_rate
from .worker import Outcome


class Spike(torch.autograd.Function):
    """z = [x > 0] with x = v - A; the derivative is gamma / v_th max(0, 1 - |x / v_th|)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, v_th: float, dampening: float) -> Tensor:
        """Return the spikes."""
        ctx.save_for_backward(x)
        ctx.v_th, ctx.dampening = v_th, dampening
        return (x > 0).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        """Return the gradient with respect to x."""
        (x,) = ctx.saved_tensors
        psi = torch.clamp(1 - (x / ctx.v_th).abs(), min=0) * (ctx.dampening / ctx.v_th)
        return grads[0] * psi, None, None


def loss(y_mean: Tensor, n_spikes: Tensor, labels: Tensor, sample_steps: int) -> Tensor:
    """Return cross-entropy of the mean readouts plus sum over neurons of (rate - target)^2, rates in spikes per step.

    Parameters: y_mean, (batch, n_out); n_spikes, (n,), of all samples and steps; labels, (batch,); sample_steps, samples x steps.
    """
    rate = n_spikes / sample_steps
    return functional.cross_entropy(y_mean, labels) + (rate - TARGET_HZ / 1000).square().sum()


def versions(*modules: Any) -> dict[str, str]:
    """Return versions of torch and some modules."""
    return {m.__name__: str(m.__version__) for m in (torch, *modules)}


def count(parameters: Any) -> int:
    """Return how many numbers are trained."""
    return sum(p.numel() for p in parameters)


class DenseWeights(nn.Module):
    """The three matrices as parameters, (pre, post) each, zeros where there is no synapse."""

    def __init__(self, case: Case) -> None:
        super().__init__()
        for name, w in case.weights.items():
            self.register_parameter(name, nn.Parameter(torch.from_numpy(w.copy())))

    def gradients(self) -> dict[str, np.ndarray]:
        """Return the gradients by name."""
        return {name: p.grad.numpy() for name, p in self.named_parameters() if p.grad is not None}


def outcome(
    total: Tensor, spikes: Tensor, steps: np.ndarray, n_spikes: Tensor, case: Case, gradients: dict[str, np.ndarray]
) -> Outcome:
    """Collect what a step gave; spikes, (batch, len(steps), n) of some steps; n_spikes, of all samples, steps and neurons."""
    rate = 1000 * n_spikes.item() / (case.batch * case.steps * case.n)
    return Outcome(total.item(), rate, gradients, steps, (spikes.detach() > 0).numpy())


def calibrate(rate_hz: Callable[[Tensor], float], parameters: list[Tensor], inputs: Tensor) -> float:
    """Scale parameters in place so that a network of other dynamics fires at the target rate too; return the factor.

    Parameters: rate_hz, of a batch of inputs; inputs, (steps, batch, n_in): some samples of it are used.
    """
    kept = [p.detach().clone() for p in parameters]
    sample = inputs[:, :CALIBRATION_SAMPLES].contiguous()

    def rate_at(gain: float) -> float:
        with torch.no_grad():
            for p, original in zip(parameters, kept, strict=True):
                p.copy_(original * gain)
            return rate_hz(sample)

    return gain_for_rate(rate_at)
