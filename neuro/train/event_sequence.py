"""Run a whole sequence under autograd, event by event, in the training kernels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from neuro.train import kernel
from neuro.train.kernel import Parameters, Pool, Signals
from neuro.train.structure import Structure


@dataclass(frozen=True)
class Run:
    """What does not learn in a run: where weights go, constants, inputs, memory for the tape, states to return at every step."""

    structure: Structure
    parameters: Parameters
    signals: Signals
    pool: Pool
    record: frozenset[str]


class _EventSequence(torch.autograd.Function):
    """Tie the kernels forward and backward together for autograd."""

    @staticmethod
    def forward(ctx: Any, weights: Tensor, bias: Tensor | None, run: Run, keep_tape: bool) -> tuple[Tensor | None, ...]:
        weight = weights.detach().index_select(0, run.structure.order)
        found, tape = kernel.forward(
            run.structure,
            run.parameters,
            run.signals,
            weight,
            bias,
            pool=run.pool,
            keep_tape=keep_tape,
            record=run.record,
        )
        ctx.run, ctx.tape = run, tape
        ctx.save_for_backward(weight, bias)
        ctx.set_materialize_grads(False)
        ctx.mark_non_differentiable(*(t for t in (found.v, found.a) if t is not None))
        return found.y, found.n_spikes.to(weight.dtype), found.z, found.v, found.a

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Any) -> Any:
        weight, bias = ctx.saved_tensors
        run: Run = ctx.run
        y, n_spikes, z = (None if g is None else g.to(weight.dtype) for g in grads[:3])
        if n_spikes is not None and n_spikes.stride(0) == 0:  # a mean over samples: the same for all
            n_spikes = n_spikes[0]
        y, n_spikes, z = (None if g is None else g.contiguous() for g in (y, n_spikes, z))
        grad, grad_bias = kernel.backward(ctx.tape, weight, bias, y=y, n_spikes=n_spikes, z=z)
        return torch.empty_like(grad).index_copy_(0, run.structure.order, grad), grad_bias, None, None


def run(
    weights: Tensor, bias: Tensor | None, setting: Run
) -> tuple[Tensor, Tensor, Tensor | None, Tensor | None, Tensor | None]:
    """Return y (batch, steps, readouts), n_spikes (batch, neurons), and what is asked for of z, v, a (batch, steps, neurons).

    Gradients reach weights and bias from y, n_spikes and z.
    Parameters: weights, (n,), in the order of the network; bias, (targets,) or None.
    """
    keep_tape = torch.is_grad_enabled() and (weights.requires_grad or (bias is not None and bias.requires_grad))
    return _EventSequence.apply(weights, bias, setting, keep_tape)  # type: ignore[no-untyped-call]
