"""What training minimises: cross-entropy of each decision, and the distance of firing rates from a target."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from neuro.tasks import Batch
from neuro.train.lsnn import Output


def decision_logits(y: Tensor, batch: Batch) -> Tensor:
    """Return the mean of the readout over each decision window, (batch, K, n_out).

    Parameters: y, (batch, steps, n_out); batch, its windows and targets. A window without a step gives 0.
    """
    decision = torch.arange(batch.targets.shape[1])
    inside = (torch.as_tensor(batch.window)[:, None, :] == decision[:, None]).to(y.dtype)  # (batch, K, steps)
    return torch.bmm(inside / inside.sum(2, keepdim=True).clamp(min=1), y)


def float_logits(output: Output, batch: Batch) -> Tensor:
    """Return `decision_logits` of an output in the float network's units, whatever its readouts count in."""
    logits = decision_logits(output.y, batch)
    return logits if output.y_unit is None else logits * output.y_unit.to(logits.dtype)


def decision_loss(logits: Tensor, targets: Tensor, scale: float) -> Tensor:
    """Return the mean cross-entropy of all decisions that were asked for, in nats.

    Parameters: logits, (batch, K, n_out); targets, (batch, K), -1 where there is no decision; scale, applied to the logits
    before the softmax.
    """
    return decision_losses(logits, targets, scale) / (targets >= 0).sum()


def decision_losses(logits: Tensor, targets: Tensor, scale: float) -> Tensor:
    """Return the sum that `decision_loss` is the mean of; 0 where no decision was asked for."""
    return functional.cross_entropy(scale * logits.flatten(0, 1), targets.flatten(), ignore_index=-1, reduction="sum")


def rates_hz(n_spikes: Tensor, steps: int, dt_ms: float) -> Tensor:
    """Return the mean rate of each neuron in Hz, (n,), from its spikes in each sample, (batch, n), of so many steps."""
    return n_spikes.sum(0) * (1000.0 / (dt_ms * steps * n_spikes.shape[0]))


def rate_loss(rate_hz: Tensor, target_hz: float) -> Tensor:
    """Return the sum over neurons of (rate - target)^2, rates in spikes per ms.

    Source: Bellec et al. 2018 (arXiv 1803.09574), supplement; there in spikes per step of 1 ms too.
    """
    return ((rate_hz - target_hz) / 1000.0).square().sum()
