"""Find the first tensor that is not finite, for the message of a failed step."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from neuro.tasks import Batch
from neuro.train.loss import decision_loss, float_logits
from neuro.train.lsnn import Output


def blame(model: nn.Module, batch: Batch, logit_scale: float) -> str:
    """Name the first of weights, states over time, readout, loss and gradients that holds a number that is not finite."""
    for name, parameter in model.named_parameters():
        if (where := _first(parameter.detach())) is not None:
            return f"parameter '{name}' at {where}"
    with torch.no_grad():
        output: Output = model(batch.inputs, traces=True)
    found = []
    for population, states in (output.traces or {"readout": {"y": output.y}}).items():
        for state, values in states.items():
            where = _first(values.transpose(0, 1))
            if where is not None:
                step, sample, unit = where
                found.append((step, f"state {state} of '{population}' at step {step}, sample {sample}, unit {unit}"))
    if found:
        return min(found, key=lambda entry: entry[0])[1]
    if not bool(
        torch.isfinite(decision_loss(float_logits(output, batch), torch.as_tensor(batch.targets), logit_scale))
    ):
        return "the loss itself, the readouts being finite: no decision in this batch, or logits too large"
    for name, parameter in model.named_parameters():
        if parameter.grad is not None and (where := _first(parameter.grad)) is not None:
            return f"the gradient of '{name}' at {where}"
    return "the regularisation of rates"


def _first(values: Tensor) -> tuple[int, ...] | None:
    """Return the index of the first entry that is not finite."""
    bad = torch.nonzero(~torch.isfinite(values))
    return tuple(bad[0].tolist()) if len(bad) else None
