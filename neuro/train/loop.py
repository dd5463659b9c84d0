"""Train a model on a task: one loop for spiking networks and dense baselines, resumable at any point."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from neuro._runs import interrupts
from neuro.errors import RecipeError, UnsupportedError
from neuro.seeds import stream
from neuro.tasks import Batch, Task, is_regression
from neuro.train import checkpoint
from neuro.train.build import TaskShape
from neuro.train.config import DeepRConfig, ModelConfig, TrainConfig
from neuro.train.display import Display
from neuro.train.evaluation import Score, evaluate
from neuro.train.parallel import Group
from neuro.train.process import threads
from neuro.train.quantized import Template
from neuro.train.start import Prepared, Start, origin_settings, prepare
from neuro.train.state import Progressed, check_folder, found, read, restore, tensors_of, warning, write
from neuro.train.step import gradients


@dataclass(frozen=True)
class FitResult:
    """How a run ended.

    stopped: "finished", "patience", "accuracy" or "interrupted"; iterations: steps done; best: the validation score that was
    kept, None if there was none yet, and its iteration; model: with the best weights, or the last ones without a validation;
    history: one entry a validation, as in the log; n_active, budget: connections, None without DEEP R.
    """

    run_dir: Path
    stopped: str
    iterations: int
    best: Score | None
    best_iteration: int
    model: nn.Module
    history: list[dict[str, Any]]
    n_active: int | None
    budget: int | None


def fit(
    task: Task,
    run_dir: str | Path,
    *,
    model: ModelConfig,
    train: TrainConfig,
    deep_r: DeepRConfig | None = None,
    seed: int = 0,
    resume: bool = False,
    progress: bool | None = None,
    echo: Callable[[str], None] | None = None,
    notes: Mapping[str, Any] | None = None,
    start: Start | None = None,
    template: Template | None = None,
    group: Group | None = None,
) -> FitResult:
    """Train a model on a task and leave the run in a folder.

    The loss is cross-entropy of the mean readout over each decision window, plus rate_reg times the rate loss. Step i draws its
    batch from the stream "batch/i" and DEEP R from "deep_r/i", so a run that was killed at any point and is resumed on the same
    machine with the same number of threads ends with the same weights, bit for bit, as one that was not.

    In a group of processes every one calls `fit` with the same arguments. Each takes its share of every batch; losses and weights
    are those of one process with the same batch, up to the order of sums. Rank 0 alone reads and writes the folder and speaks.

    Parameters
    ----------
    task : Task
        Splits "train" and "validation" are used.
    run_dir : path
        Gets run.json (settings), log.jsonl (a line each step and validation), checkpoint.json with its safetensors file.
    model, train, deep_r
        Settings; deep_r None is mode "off".
    seed : int
        Of every random stream of the run.
    resume : bool
        Continue what the folder holds; it may hold nothing yet. The settings must be those of the run; more iterations are fine.
    progress : bool or None
        Show a bar on stderr; None: when stderr is a terminal.
    echo : callable or None
        Gets a line of text at every validation; None: printed to stderr.
    notes : mapping
        Kept in run.json, JSON values.
    start : Start
        Where the first weights come from; None: drawn from the seed. A resumed run needs it for what it is compared with.
    template : Template
        Train for a chip: the forward pass is exactly that of the integer graph, see `QuantizedLSNN`. None: a float network.
    group : Group
        The processes that train together; None: torch.distributed's default process group where it is initialised (by torchrun
        and `joined`, or by Lightning Fabric), else this process by itself, which `Group()` is in any case.

    Returns
    -------
    FitResult
        The same on every process of a group. Ctrl-C ends the run after the current step with a checkpoint, and `stopped` says
        so, on every process if any of them got it; a second one ends the process at once.

    Raises
    ------
    NeuroError
        Loss or gradient is not finite: the message names the step and the first tensor. The last checkpoint stays. In a group also:
        processes are not the same any more, or one is gone. What makes one process raise makes all raise.
    DataError
        The folder holds another run.
    UnsupportedError
        The task is a regression: the loss here is that of decisions.
    """
    _check_task(task)
    group = Group.current() if group is None else group
    folder, where = Path(run_dir), f"run '{run_dir}'"
    settings = {"model": asdict(model), "train": asdict(train), "deep_r": asdict(deep_r or DeepRConfig()), "seed": seed}
    settings |= origin_settings(start, template)
    wanted = json.loads(json.dumps({**settings, "task": TaskShape.of(task).as_dict()}))
    group.check_same(where, {"settings": json.dumps(wanted, sort_keys=True).encode()})
    _check_shares(train, group)
    group.together(where, lambda: check_folder(folder, wanted, resume) if group.chief else None)
    held = {"format": checkpoint.FORMAT, **wanted, "notes": dict(notes or {})}
    with threads(train.threads), interrupts() as interrupted:
        made = group.together(
            where,
            lambda: prepare(model, train, deep_r or DeepRConfig(), TaskShape.of(task), seed, start, template),
        )
        run = _Run(task, folder, train, seed, made, start is not None, group)
        group.together(where, lambda: found(folder, start, template, held) if group.chief else None)
        if resume:
            run.restore()
        show = group.chief and (sys.stderr.isatty() if progress is None else progress)
        stopped = run.go(interrupted, Display(show, echo if group.chief else lambda line: None, train.iterations))
    return run.result(stopped)


def _check_task(task: Task) -> None:
    """Refuse a task without decisions."""
    if is_regression(task):
        raise UnsupportedError(
            f"task '{task.name}': a regression (got a task with a signal; need one with decisions, whose cross-entropy BPTT minimises). "
            "Learn it by a local rule: neuro learn."
        )


def _check_shares(train: TrainConfig, group: Group) -> None:
    """Refuse a batch that leaves a process without a sample."""
    if train.batch < group.size:
        raise RecipeError(
            f"train 'batch': fewer samples than processes (got {train.batch}; need >= {group.size}). Start fewer processes."
        )


class _Run:
    """Hold a run's model, optimiser and state, and step them; the same on every process of the group."""

    def __init__(
        self, task: Task, folder: Path, train: TrainConfig, seed: int, made: Prepared, starts: bool, group: Group
    ) -> None:
        self.task, self.folder, self.train, self.seed, self.made, self.group = task, folder, train, seed, made, group
        self.state = Progressed()
        self.starts = starts  # such weights may be the best ones before the first step
        self.warning, self.saved = "", False

    @property
    def where(self) -> str:
        """Return where a message of an exchange between processes begins."""
        return f"after training step {self.state.iteration}"

    def go(self, interrupted: Callable[[], bool], display: Display) -> str:
        """Step to the end; return why it ended."""
        state, train = self.state, self.train
        path = self.group.together(self.where, self._cut_log)
        with display, path.open("a", encoding="utf-8") as log:

            def tell(entries: list[dict[str, Any]]) -> bool:
                """Log and show entries; return whether any process was interrupted."""

                def own() -> Tensor:
                    for entry in entries:
                        log.write(json.dumps(entry) + "\n")
                        log.flush()
                        (display.validation if "validation" in entry else display.step)(entry)
                    return torch.tensor([float(interrupted())])

                return bool(self.group.total(self.where, 1, own))

            if self.warning:
                display.line(self.warning)
            self.group.check_same(self.where, tensors_of(self.made, state))
            if self.starts and not state.iteration:
                tell([self._validate()])
            stopped = self._reason()
            if stopped and not self.saved:
                self.save()
            while not stopped:
                entries = [self._step()]
                if state.iteration % train.validate_every == 0 or state.iteration == train.iterations:
                    entries.append(self._validate())
                stopped = "interrupted" if tell(entries) else self._reason()
                if stopped or state.iteration % train.checkpoint_every == 0:
                    self.save()
        return stopped

    def _cut_log(self) -> Path:
        """Leave in the log what the state holds, and return where to go on; only the chief has a log."""
        if not self.group.chief:
            return Path(os.devnull)
        lines = checkpoint.read_log(self.folder, self.state.iteration)
        checkpoint.write_text(self.folder / checkpoint.LOG, "".join(f"{line}\n" for line in lines))
        return self.folder / checkpoint.LOG

    def _reason(self) -> str:
        """Return why the run is over, or "" if it is not."""
        state, train = self.state, self.train
        if state.best is not None and train.stop_accuracy and state.best.accuracy >= train.stop_accuracy:
            return "accuracy"
        if train.patience and state.since_best >= train.patience:
            return "patience"
        return "finished" if state.iteration >= train.iterations else ""

    def _step(self) -> dict[str, Any]:
        """Take one optimiser step and return its log entry."""
        state, train, started = self.state, self.train, time.perf_counter()
        model, optimizer, deep_r = self.made.model, self.made.optimizer, self.made.deep_r
        lr = train.lr * train.lr_decay ** (state.iteration // train.lr_decay_every)
        for group in optimizer.param_groups:
            group["lr"] = lr
        optimizer.zero_grad()
        seen = gradients(
            model, self._sample, train, self.task.dt_ms, self.group, f"training step {state.iteration + 1}"
        )
        if train.clip_norm:
            nn.utils.clip_grad_norm_(model.parameters(), train.clip_norm)
        (deep_r or optimizer).step()
        state.iteration += 1
        entry: dict[str, Any] = {"iteration": state.iteration, "loss": seen.loss}
        if seen.rate_hz is not None:
            entry["rate_hz"] = seen.rate_hz
        entry["accuracy"] = seen.accuracy
        if deep_r is not None:
            entry["n_active"], entry["budget"] = deep_r.n_active, deep_r.budget
        return {**entry, "lr": lr, "time_s": round(time.perf_counter() - started, 4)}

    def _sample(self) -> Batch:
        """Draw the global batch of the next step."""
        return self.task.sample("train", stream(self.seed, f"batch/{self.state.iteration}"), self.train.batch)

    def _validate(self) -> dict[str, Any]:
        """Score the validation set, remember the best weights, return the log entry."""
        state, train, deep_r = self.state, self.train, self.made.deep_r
        self.group.check_same(self.where, tensors_of(self.made, state))
        score = evaluate(
            self.made.model,
            self.task,
            "validation",
            limit=train.validate_samples,
            batch=train.batch,
            logit_scale=train.logit_scale,
            seed=self.seed,
            group=self.group,
        )
        better = state.best is None or (score.accuracy, -score.loss) > (state.best.accuracy, -state.best.loss)
        state.since_best = 0 if better else state.since_best + 1
        if better:
            state.best, state.best_iteration = score, state.iteration
            state.best_weights = {name: value.clone() for name, value in self.made.model.state_dict().items()}
        entry: dict[str, Any] = {"iteration": state.iteration, "validation": asdict(score), "best": better}
        if deep_r is not None:
            entry["n_active"], entry["budget"] = deep_r.n_active, deep_r.budget
            entry["connectivity"] = deep_r.connectivity
        state.history.append(entry)
        return entry

    def save(self) -> None:
        """Write a checkpoint; no process goes on before it is written."""
        group = self.group
        group.check_same(self.where, tensors_of(self.made, self.state))
        group.together(
            self.where, lambda: write(self.folder, self.made, self.state, group.size) if group.chief else None
        )
        self.saved = True

    def restore(self) -> None:
        """Return to the folder's checkpoint, if it has one."""
        held = read(self.folder, self.group)
        if held is not None:
            self.state = self.group.together(f"run '{self.folder}'", lambda: restore(self.made, *held))
            self.warning, self.saved = warning(self.folder, held[0], self.group.size), True

    def result(self, stopped: str) -> FitResult:
        """Put the best weights into the model and sum the run up."""
        state, wired = self.state, self.made.deep_r
        if state.best_weights:
            self.made.model.load_state_dict(state.best_weights)
        return FitResult(
            run_dir=self.folder,
            stopped=stopped,
            iterations=state.iteration,
            best=state.best,
            best_iteration=state.best_iteration,
            model=self.made.model,
            history=state.history,
            n_active=None if wired is None else wired.n_active,
            budget=None if wired is None else wired.budget,
        )
