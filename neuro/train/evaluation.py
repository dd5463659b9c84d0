"""Score a model on a split of its task."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from neuro.errors import DataError
from neuro.seeds import stream
from neuro.tasks import Batch, Task, score
from neuro.train.loss import decision_losses, float_logits
from neuro.train.lsnn import Output
from neuro.train.parallel import ALONE, Group


@dataclass(frozen=True)
class Score:
    """How well a model did: share of right decisions, mean cross-entropy (nats), mean rate (Hz, None without spikes)."""

    accuracy: float
    loss: float
    rate_hz: float | None
    n_decisions: int


def batches(task: Task, split: str, limit: int | None, batch: int, seed: int, group: Group = ALONE) -> Iterator[Batch]:
    """Yield the first `limit` samples of a split (None: all) in its order; of an endless split, samples of stream "score".

    In a group each process gets its share of every batch, none where there are fewer samples than processes.
    """
    size = task.sizes[split]
    if size is None and limit is None:
        raise DataError(
            f"task '{task.name}', split '{split}': without an end (got no limit; need one). Give a number of samples."
        )
    total = min(n for n in (size, limit) if n is not None)
    for start in range(0, total, batch):
        n = min(batch, total - start)
        own = group.part(n)
        if own.start == own.stop:
            continue
        if size is None:
            yield group.share(task.sample(split, stream(seed, f"score/{split}/{start}"), n))
        else:
            yield task.fixed(split, start + own.start, start + own.stop)


@torch.no_grad()
def evaluate(
    model: nn.Module,
    task: Task,
    split: str = "test",
    *,
    limit: int | None = None,
    batch: int = 128,
    logit_scale: float = 1.0,
    seed: int = 0,
    group: Group = ALONE,
) -> Score:
    """Run a model on samples of a split and score its decisions.

    Parameters: limit, how many samples, None for all; batch, samples at once; logit_scale, for the loss alone; seed, of the samples
    of an endless split; group, the processes that share the samples and all get the score.
    Raises: DataError if the split is unknown, or endless without a limit.
    """

    def own() -> Tensor:
        sums = torch.zeros(5, dtype=torch.float64)
        for part in batches(task, split, limit, batch, seed, group):
            sums += _sums(model, part, logit_scale)
        return sums

    right, asked, loss, spikes, updates = group.total(f"{split} samples of '{task.name}'", 5, own).tolist()
    rate = 1000.0 / task.dt_ms * spikes / updates if updates else None
    return Score(right / max(asked, 1), loss / max(asked, 1), rate, int(asked))


def _sums(model: nn.Module, batch: Batch, logit_scale: float) -> Tensor:
    """Return the sums over a batch that a score is made of: right ones, decisions, cross-entropy, spikes, neuron updates."""
    output: Output = model(batch.inputs, spikes=False)
    right, asked = score(output.y.numpy(), batch)
    loss = decision_losses(float_logits(output, batch), torch.as_tensor(batch.targets), logit_scale).item()
    n_spikes = output.n_spikes
    fired, updates = 0.0, 0
    if n_spikes is not None:
        fired, updates = n_spikes.sum(dtype=torch.float64).item(), n_spikes.numel() * batch.window.shape[1]
    return torch.tensor([right, asked, loss, fired, updates], dtype=torch.float64)
