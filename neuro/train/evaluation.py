"""Score a model on a split of its task."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import nn

from neuro.errors import DataError
from neuro.seeds import stream
from neuro.tasks import Batch, Task, score
from neuro.train.loss import decision_loss, float_logits, rates_hz
from neuro.train.lsnn import Output


@dataclass(frozen=True)
class Score:
    """How well a model did: share of right decisions, mean cross-entropy (nats), mean rate (Hz, None without spikes)."""

    accuracy: float
    loss: float
    rate_hz: float | None
    n_decisions: int


def batches(task: Task, split: str, limit: int | None, batch: int, seed: int) -> Iterator[Batch]:
    """Yield the first `limit` samples of a split (None: all) in its order; of an endless split, samples of stream "score"."""
    size = task.sizes[split]
    if size is None and limit is None:
        raise DataError(
            f"task '{task.name}', split '{split}': without an end (got no limit; need one). Give a number of samples."
        )
    total = min(n for n in (size, limit) if n is not None)
    for start in range(0, total, batch):
        stop = min(start + batch, total)
        if size is None:
            yield task.sample(split, stream(seed, f"score/{split}/{start}"), stop - start)
        else:
            yield task.fixed(split, start, stop)


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
) -> Score:
    """Run a model on samples of a split and score its decisions.

    Parameters: limit, how many samples, None for all; batch, samples at once; logit_scale, for the loss alone; seed, of the samples
    of an endless split.
    Raises: DataError if the split is unknown, or endless without a limit.
    """
    right = asked = spikes = cells = 0.0
    loss = 0.0
    for part in batches(task, split, limit, batch, seed):
        output: Output = model(part.inputs, spikes=False)
        n_right, n_asked = score(output.y.numpy(), part)
        right, asked = right + n_right, asked + n_asked
        logits = float_logits(output, part)
        loss += n_asked * decision_loss(logits, torch.as_tensor(part.targets), logit_scale).item()
        if output.n_spikes is not None:
            spikes += len(part) * float(rates_hz(output.n_spikes, part.inputs.shape[1], task.dt_ms).mean())
            cells += len(part)
    return Score(right / max(asked, 1), loss / max(asked, 1), spikes / cells if cells else None, int(asked))
