"""Run a whole sequence under autograd with hand-written steps: the fast form of `dynamics`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from neuro.train.sweep import Rows, Traces, sweep
from neuro.train.unsweep import unsweep
from neuro.train.wiring import Plan

Sweep = Callable[[Tensor, Tensor, "Tensor | None", Rows, Plan, frozenset[str]], Traces]


class _Sequence(torch.autograd.Function):
    """Tie a sweep and `unsweep` together for autograd."""

    @staticmethod
    def forward(
        ctx: Any,
        inputs: Tensor,
        weights: Tensor,
        bias: Tensor | None,
        rows: Rows,
        plan: Plan,
        keep: frozenset[str],
        forward: Sweep,
    ) -> tuple[Tensor | None, ...]:
        traces = forward(inputs, weights, bias, rows, plan, keep)
        y, v, a = traces.y, traces.v, traces.a
        traces.y = traces.v = traces.a = None  # outputs held by their own node would be a cycle
        ctx.rows, ctx.plan, ctx.traces = rows, plan, traces
        ctx.save_for_backward(weights, bias)
        ctx.set_materialize_grads(False)
        ctx.mark_non_differentiable(*(t for t in (v, a) if t is not None))
        return y, traces.z(rows.n_inputs), v, a

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        weights, bias = ctx.saved_tensors
        grad_y, grad_z = (None if g is None else g.to(weights.dtype) for g in grads[:2])
        grad_w, grad_b = unsweep(ctx.traces, grad_y, grad_z, weights, bias, ctx.rows, ctx.plan)
        return None, grad_w, grad_b, None, None, None, None


def run(
    inputs: Tensor,
    weights: Tensor,
    bias: Tensor | None,
    rows: Rows,
    plan: Plan,
    traces: bool,
    forward: Sweep = sweep,
) -> tuple[Tensor, Tensor, Tensor | None, Tensor | None]:
    """Return (y, z, v, a) of a sequence, (steps, rows, batch); v and a only with `traces`, and without gradients.

    Gradients reach weights and bias from y and z. Parameters as in `sweep`; forward: `sweep`, or another that leaves such traces.
    """
    keep = {"v", "a"} if traces else set()
    if torch.is_grad_enabled() and (weights.requires_grad or (bias is not None and bias.requires_grad)):
        keep.add("x")
        keep |= {"threshold"} if rows.stretches("adaptive") else set()
        keep |= {"held"} if rows.stretches("zero") else set()
    return _Sequence.apply(inputs, weights, bias, rows, plan, frozenset(keep), forward)  # type: ignore[no-untyped-call]
