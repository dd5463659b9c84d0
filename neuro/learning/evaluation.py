"""Score a graph on a split of its task, without learning."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuro.backend import Program, Record, Stimulus
from neuro.engine import EngineBackend
from neuro.errors import DataError
from neuro.graph import Graph
from neuro.learning.signals import softmax
from neuro.learning.teacher import Lesson
from neuro.tasks import Batch, Task, decision_logits, score, squares
from neuro.tasks.batch import split_size

_AT_ONCE = 64
"""Samples that run together: their readouts are in memory."""


@dataclass(frozen=True, kw_only=True)
class Score:
    """How well a graph did a task.

    accuracy: share of right decisions; nmse: normalised error of a regression; the other is None. loss: mean cross-entropy of a
    decision's mean readout (nats), or mean over samples of 1/2 sum (y - y*)^2. rate_hz: mean rate of neurons, by population and in
    all. n_samples.
    """

    accuracy: float | None
    nmse: float | None
    loss: float
    rate_hz: float
    rates_hz: Mapping[str, float] = field(default_factory=dict)
    n_samples: int = 0

    def better_than(self, other: Score | None) -> bool:
        """Tell whether it is the better one: a higher accuracy, or a lower nmse; where equal, the lower loss."""
        return other is None or self._order() < other._order()

    def _order(self) -> tuple[float, float]:
        return (-self.accuracy if self.accuracy is not None else self.nmse or 0.0, self.loss)

    def __str__(self) -> str:
        done = f"NMSE {self.nmse:.4f}" if self.nmse is not None else f"{100 * (self.accuracy or 0.0):.1f} %"
        return f"{done} (loss {self.loss:.3f}), {self.rate_hz:.1f} Hz"

    @classmethod
    def from_dict(cls, held: Mapping[str, Any]) -> Score:
        """Read what `dataclasses.asdict` wrote."""
        return cls(**held)


def evaluate(graph: Graph, task: Task, lesson: Lesson, split: str = "test", limit: int | None = None) -> Score:
    """Run a graph on the first `limit` samples of a split (None: all) and score it.

    It runs on the engine, which gives what every exact backend gives. Raises: DataError if the split is unknown or endless.
    """
    size = split_size(task.name, task.sizes, split)
    if size is None:
        raise DataError(
            f"task '{task.name}': a split without an end (got '{split}'; need validation or test). Choose one."
        )
    n = min(size, limit) if limit else size
    sums = _Sums()
    program = EngineBackend().compile(graph)
    try:
        for start in range(0, n, _AT_ONCE):
            batch = task.fixed(split, start, min(start + _AT_ONCE, n))
            sums.add(program, graph, batch, lesson)
    finally:
        program.close()
    return sums.score(graph)


def loss_of(y: NDArray[np.float64], batch: Batch) -> float:
    """Return the sum over samples of what `Score.loss` is the mean of; decisions of a sample add up.

    Parameters: y, (batch, steps, size) of the readout. In nats, or half the squared error of a regression.
    """
    if batch.signal is not None:
        return squares(y, batch)[0] / 2
    asked = batch.targets >= 0
    pi = softmax(decision_logits(y, batch)[asked])
    return float(-np.log(np.maximum(pi[np.arange(len(pi)), batch.targets[asked]], 1e-300)).sum())


class _Sums:
    """Add up what a score is made of, over batches."""

    def __init__(self) -> None:
        self.right = self.asked = self.n_samples = self.steps = 0
        self.error = self.spread = self.loss = 0.0
        self.spikes: dict[str, int] = {}

    def add(self, program: Program, graph: Graph, batch: Batch, lesson: Lesson) -> None:
        stimulus = Stimulus.dense({lesson.input: batch.inputs}, graph)
        found = program.run(stimulus, Record(spikes=False, traces={lesson.readout: ("y",)}))
        y = found.traces[lesson.readout]["y"]
        if batch.signal is None:
            right, asked = score(y, batch)
            self.right, self.asked = self.right + right, self.asked + asked
        else:
            error, spread = squares(y, batch)
            self.error, self.spread = self.error + error, self.spread + spread
        self.loss += loss_of(y, batch)
        self.n_samples += len(batch)
        self.steps += batch.window.size
        for p in graph.neurons:
            self.spikes[p.name] = self.spikes.get(p.name, 0) + int(found.counts.spikes[p.name].sum())

    def score(self, graph: Graph) -> Score:
        per_step = 1000.0 / (graph.dt_ms * max(self.steps, 1))
        size = {p.name: p.size for p in graph.neurons}
        return Score(
            accuracy=self.right / self.asked if self.asked else None,
            nmse=self.error / self.spread if self.spread else None,
            loss=self.loss / (self.asked or self.n_samples or 1),
            rate_hz=per_step * sum(self.spikes.values()) / max(sum(size.values()), 1),
            rates_hz={name: per_step * n / size[name] for name, n in self.spikes.items()},
            n_samples=self.n_samples,
        )
