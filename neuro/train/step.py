"""Find the gradient of a global batch, by one process or by several that share it, and refuse one that is not finite."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from neuro.errors import DataError, NeuroError
from neuro.tasks import Batch
from neuro.train.blame import blame
from neuro.train.config import TrainConfig
from neuro.train.loss import decision_losses, float_logits, rate_loss, rates_hz
from neuro.train.parallel import ALONE, Group, flat_gradient, set_gradient


class Seen(NamedTuple):
    """What a step saw in the global batch: mean cross-entropy, share of right decisions, mean rate (None without spikes)."""

    loss: float
    accuracy: float
    rate_hz: float | None


def gradients(
    model: nn.Module,
    sample: Callable[[], Batch],
    config: TrainConfig,
    dt_ms: float,
    group: Group = ALONE,
    where: str = "training step",
) -> Seen:
    """Leave the gradient of the global batch's loss in the parameters of every process.

        loss = sum of cross-entropy over all decisions / their number + rate_reg rate_loss(mean rate over all samples)

    Both means are those of the global batch: their sums are exchanged after the forward pass, the gradients after the backward pass.
    The result is the gradient that one process would find, up to the order of sums, and the same bits on all processes.

    Parameters: sample, draws the global batch, the same on every process; config, for rate_reg, rate_target_hz, logit_scale; where,
    starts messages.
    Raises: NeuroError on every process if the loss or the gradient of one is not finite; its message names the first tensor.
    """
    own = _Pass(model, config, dt_ms, group, where)
    # a network that spikes says how many neurons it has
    sums = group.total(where, 3 + int(getattr(model, "n_neurons", 0)), lambda: own.forward(sample()))
    if group.size == 1:
        own.backward(sums)
    else:
        parameters = list(model.parameters())
        n, like = sum(p.numel() for p in parameters), parameters[0]

        def backward() -> Tensor:
            own.backward(sums)
            return flat_gradient(parameters)

        flat = group.total(where, n, backward, like.dtype, like.device)
        if not bool(torch.isfinite(flat).all()):
            raise NeuroError(
                f"{where}: not finite (got finite gradients with an infinite sum). Lower lr or set clip_norm."
            )
        set_gradient(parameters, flat)
    loss, asked, right = sums[:3].tolist()
    return Seen(loss / asked, right / asked, None if own.rate is None else own.rate.mean().item())


class _Pass:
    """The forward and the backward pass of one process over its share of the batch."""

    def __init__(self, model: nn.Module, config: TrainConfig, dt_ms: float, group: Group, where: str) -> None:
        self.model, self.config, self.dt_ms, self.group, self.where = model, config, dt_ms, group, where
        self.rate: Tensor | None = None

    def forward(self, batch: Batch) -> Tensor:
        """Run the share; return the sums to exchange: cross-entropy, decisions, right ones, spikes of each neuron."""
        self.n_samples, self.batch = len(batch), self.group.share(batch)
        try:
            output: Any = self.model(self.batch.inputs, spikes=False)
        except DataError as err:
            raise DataError(f"{self.where}: {err}") from err
        logits, targets = float_logits(output, self.batch), torch.as_tensor(self.batch.targets)
        self.losses, self.n_spikes = decision_losses(logits, targets, self.config.logit_scale), output.n_spikes
        self._check(self.losses.item())
        asked = targets >= 0
        right = (logits.detach().argmax(2) == targets) & asked
        sums = torch.stack([self.losses.detach().double(), asked.sum().double(), right.sum().double()])
        return sums if self.n_spikes is None else torch.cat([sums, self.n_spikes.detach().sum(0).double()])

    def backward(self, sums: Tensor) -> None:
        """Leave this process's part of the gradient in its parameters, given the sums of all."""
        loss = self.losses / sums[1].to(self.losses.dtype)
        value = sums[0].item() / sums[1].item() if sums[1] else math.nan
        if self.n_spikes is not None:
            own = self.n_spikes.sum(0)
            # the value of all processes, with a gradient to the spikes of this one
            everywhere = sums[3:].to(own.dtype) + (own - own.detach())
            rate = rates_hz(everywhere[None], self.batch.window.shape[1], self.dt_ms) / self.n_samples
            self.rate = rate.detach()
            loss = loss + self.config.rate_reg * rate_loss(rate, self.config.rate_target_hz)
        self._check(value)
        loss.backward()  # type: ignore[no-untyped-call]
        self._check(value, gradients=True)

    def _check(self, loss: float, gradients: bool = False) -> None:
        """Refuse a loss or gradient that is not finite, before it reaches the others or the weights."""
        good = math.isfinite(loss)
        if good and gradients:
            good = all(bool(torch.isfinite(p.grad).all()) for p in self.model.parameters() if p.grad is not None)
        if not good:
            what = f"gradient at loss {loss:.6g}" if gradients else f"loss {loss}"
            raise NeuroError(
                f"{self.where}: not finite (got {what}; need finite numbers). First seen in "
                f"{blame(self.model, self.batch, self.config.logit_scale)}. Lower lr or set clip_norm; the last checkpoint is kept."
            )
