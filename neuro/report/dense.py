"""Run a dense model on a task: its answers, and its operations counted as those of spiking graphs are."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from neuro.errors import DataError
from neuro.metrics import NeuroBench, Workload, dense_workload, join_dense, neurobench_dense
from neuro.report.answer import Answers
from neuro.report.fit import predictions
from neuro.tasks import Task, score, squares

_GROUP_BYTES = 2**26
"""Most memory for inputs, gates, hidden states and readouts of one group of samples."""


class DenseRun(Protocol):
    """What a dense model says about a batch: readouts y (batch, steps, n_out), hidden states (batch, steps, n_units)."""

    @property
    def y(self) -> NDArray[np.floating[Any]]: ...
    @property
    def hidden(self) -> NDArray[np.floating[Any]]: ...


class Dense(Protocol):
    """A recurrent model without spikes that can be compared; `neuro.train.DenseModel` is one.

    weights: as `neuro.metrics.dense_workload` takes them. versions: of what runs it, under which its row stands by the first name.
    """

    @property
    def kind(self) -> Literal["lstm", "rnn"]: ...
    @property
    def sha256(self) -> str: ...
    @property
    def n_in(self) -> int: ...
    @property
    def n_out(self) -> int: ...
    @property
    def dt_ms(self) -> float: ...
    @property
    def weights(self) -> Mapping[str, NDArray[np.floating[Any]]]: ...
    @property
    def versions(self) -> Mapping[str, str]: ...

    def run(self, inputs: NDArray[Any]) -> DenseRun: ...


@dataclass(frozen=True, kw_only=True, eq=False)
class DenseOutcome:
    """What a dense model gave: right decisions and decisions, the sums of a regression, answers, operations, seconds of the runs alone."""

    n_right: int
    n_decisions: int
    error: float
    spread: float
    answers: Answers
    workload: Workload
    neurobench: NeuroBench
    wall_time_s: float


def evaluate_dense(
    model: Dense,
    task: Task,
    split: str,
    n_samples: int,
    name: str = "dense",
    progress: Callable[[int, int, str], None] | None = None,
) -> DenseOutcome:
    """Run the first samples of a split in groups that bound memory.

    Raises: DataError if the model does not fit the task, or the task has fewer samples.
    """
    check_dense(model, task, name)
    size = task.sizes.get(split, n_samples)  # the task itself refuses an unknown split
    if n_samples < 1 or (size is not None and n_samples > size):
        raise DataError(
            f"task '{task.name}', split '{split}': number of samples out of range (got {n_samples}; need 1..{size}). Ask for fewer."
        )
    weights = model.weights
    a_sample = 8 * task.steps * (model.n_in + len(weights["w_rec"]) + 2 * len(weights["w_out"]))
    length = min(n_samples, max(1, _GROUP_BYTES // a_sample))
    n_right = n_decisions = 0
    error = spread = wall_time_s = 0.0
    workloads, benches, answers = [], [], []
    n_classes = model.n_out
    for first in range(0, n_samples, length):
        stop = min(first + length, n_samples)
        if progress is not None:
            progress(first, n_samples, f"samples {first} to {stop - 1}")
        batch = task.fixed(split, first, stop)
        start = time.perf_counter()
        found = model.run(batch.inputs)
        wall_time_s += time.perf_counter() - start
        if batch.signal is None:
            right, asked = score(found.y, batch)
            n_right, n_decisions = n_right + right, n_decisions + asked
        else:
            off, off_mean = squares(found.y, batch)
            error, spread, n_classes = error + off, spread + off_mean, 0
        answers.append((batch.targets, predictions(found.y, batch)))
        benches.append((len(batch), neurobench_dense(model.kind, weights, batch.inputs, found.hidden)))
        workloads.append(dense_workload(model.kind, weights, batch.inputs, found.hidden, dt_ms=task.dt_ms))
    return DenseOutcome(
        n_right=n_right, n_decisions=n_decisions, error=error, spread=spread, answers=Answers.of(n_classes, answers),
        workload=join_dense(workloads), neurobench=_mean_of(benches), wall_time_s=wall_time_s,
    )  # fmt: skip


def _mean_of(groups: Sequence[tuple[int, NeuroBench]]) -> NeuroBench:
    """Return the figures of all samples from those of groups: what depends on the run is a mean over samples."""
    n = sum(size for size, _ in groups)
    means = {
        name: sum(size * getattr(bench, name) for size, bench in groups) / n
        for name in ("activation_sparsity", "effective_macs", "effective_acs")
    }
    return replace(groups[0][1], **means)


def check_dense(model: Dense, task: Task, name: str) -> None:
    """Raise DataError, naming everything that differs, unless a dense model has the inputs, outputs and time step of a task."""
    failures = [
        f"task '{task.name}' on model '{name}': {what} do not fit (got {got:g}; need {need:g})"
        for what, got, need in (
            ("inputs", model.n_in, task.n_in),
            ("outputs", model.n_out, task.n_out),
            ("milliseconds of a step", model.dt_ms, task.dt_ms),
        )
        if got != need
    ]
    if failures:
        raise DataError("\n".join(failures) + ".\nName the task, and the parameters, that the model was trained for.")
