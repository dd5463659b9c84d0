"""Train a model on a task: one loop for spiking networks and dense baselines, resumable at any point."""

from __future__ import annotations

import json
import math
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from torch import Tensor, nn

from neuro.errors import DataError, NeuroError
from neuro.seeds import stream
from neuro.tasks import Batch, Task
from neuro.train import checkpoint
from neuro.train.blame import blame
from neuro.train.build import TaskShape
from neuro.train.config import DeepRConfig, ModelConfig, TrainConfig
from neuro.train.evaluation import Score, evaluate
from neuro.train.loss import decision_loss, float_logits, rate_loss, rates_hz
from neuro.train.lsnn import Output
from neuro.train.quantized import Template
from neuro.train.start import Start, check_same, origin_settings, prepare, save_origin

FREE_TO_CHANGE = {("train", "iterations"), ("train", "checkpoint_every")}
"""Settings that a resumed run may have otherwise than the run it continues."""


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


@dataclass
class _Progressed:
    """What changes from one step to the next, besides weights and optimiser."""

    iteration: int = 0
    best: Score | None = None
    best_iteration: int = 0
    best_weights: dict[str, Tensor] = field(default_factory=dict)
    since_best: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)


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
) -> FitResult:
    """Train a model on a task and leave the run in a folder.

    The loss is cross-entropy of the mean readout over each decision window, plus rate_reg times the rate loss. Step i draws its
    batch from the stream "batch/i" and DEEP R from "deep_r/i", so a run that was killed at any point and is resumed on the same
    machine with the same number of threads ends with the same weights, bit for bit, as one that was not.

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

    Returns
    -------
    FitResult
        Ctrl-C ends the run after the current step with a checkpoint, and `stopped` says so; a second one ends it at once.

    Raises
    ------
    NeuroError
        Loss or gradient is not finite: the message names the step and the first tensor. The last checkpoint stays.
    DataError
        The folder holds another run.
    """
    folder = Path(run_dir)
    settings = {"model": asdict(model), "train": asdict(train), "deep_r": asdict(deep_r or DeepRConfig()), "seed": seed}
    settings |= origin_settings(start, template)
    wanted = json.loads(json.dumps({**settings, "task": TaskShape.of(task).as_dict()}))
    _check_folder(folder, wanted, resume)
    with _threads(train.threads), _interrupts() as interrupted:
        run = _Run(task, folder, model, train, deep_r or DeepRConfig(), seed, start, template)
        folder.mkdir(parents=True, exist_ok=True)
        save_origin(folder, start, template)
        checkpoint.write_json(
            folder / checkpoint.RUN, {"format": checkpoint.FORMAT, **wanted, "notes": dict(notes or {})}
        )
        if resume and (folder / checkpoint.CHECKPOINT).exists():
            run.restore()
        show = sys.stderr.isatty() if progress is None else progress
        stopped = run.go(interrupted, _Display(show, echo, train.iterations))
    return run.result(stopped)


class _Run:
    """Hold a run's model, optimiser and state, and step them."""

    def __init__(
        self,
        task: Task,
        folder: Path,
        model: ModelConfig,
        train: TrainConfig,
        deep_r: DeepRConfig,
        seed: int,
        start: Start | None,
        template: Template | None,
    ) -> None:
        self.task, self.folder, self.train, self.seed = task, folder, train, seed
        made = prepare(model, train, deep_r, TaskShape.of(task), seed, start, template)
        self.model, self.optimizer, self.deep_r = made.model, made.optimizer, made.deep_r
        self.state = _Progressed()
        self.starts = start is not None  # such weights may be the best ones before the first step

        self.warning = ""

    def go(self, interrupted: Callable[[], bool], display: _Display) -> str:
        """Step to the end; return why it ended."""
        state, train = self.state, self.train
        lines = checkpoint.read_log(self.folder, state.iteration)
        checkpoint.write_text(self.folder / checkpoint.LOG, "".join(f"{line}\n" for line in lines))
        with display, (self.folder / checkpoint.LOG).open("a", encoding="utf-8") as log:
            if self.warning:
                display.line(self.warning)
            if self.starts and not state.iteration:
                self._validate_to(log, display)
            stopped = self._reason()
            if stopped and not (self.folder / checkpoint.CHECKPOINT).exists():
                self.save()
            while not stopped:
                entry = self._step()
                _append(log, entry)
                display.step(state.iteration, entry)
                if state.iteration % train.validate_every == 0 or state.iteration == train.iterations:
                    self._validate_to(log, display)
                stopped = "interrupted" if interrupted() else self._reason()
                if stopped or state.iteration % train.checkpoint_every == 0:
                    self.save()
        return stopped

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
        lr = train.lr * train.lr_decay ** (state.iteration // train.lr_decay_every)
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        batch = self.task.sample("train", stream(self.seed, f"batch/{state.iteration}"), train.batch)
        self.optimizer.zero_grad()
        output: Output = self.model(batch.inputs, spikes=False)
        logits = float_logits(output, batch)
        targets = torch.as_tensor(batch.targets)
        loss = decision_loss(logits, targets, train.logit_scale)
        entry: dict[str, Any] = {"iteration": state.iteration + 1, "loss": loss.item()}
        if output.n_spikes is not None:
            rate = rates_hz(output.n_spikes, batch.inputs.shape[1], self.task.dt_ms)
            loss = loss + train.rate_reg * rate_loss(rate, train.rate_target_hz)
            entry["rate_hz"] = rate.detach().mean().item()
        self._check(loss, batch)
        loss.backward()  # type: ignore[no-untyped-call]
        self._check(loss, batch, gradients=True)
        if train.clip_norm:
            nn.utils.clip_grad_norm_(self.model.parameters(), train.clip_norm)
        (self.deep_r or self.optimizer).step()
        state.iteration += 1
        right = (logits.detach().argmax(2) == targets)[targets >= 0]
        entry["accuracy"] = right.float().mean().item()
        if self.deep_r is not None:
            entry["n_active"], entry["budget"] = self.deep_r.n_active, self.deep_r.budget
        return {**entry, "lr": lr, "time_s": round(time.perf_counter() - started, 4)}

    def _check(self, loss: Tensor, batch: Batch, gradients: bool = False) -> None:
        """Refuse a loss or gradient that is not finite, before it reaches the weights."""
        good = math.isfinite(loss.item())
        if good and gradients:
            good = all(bool(torch.isfinite(p.grad).all()) for p in self.model.parameters() if p.grad is not None)
        if not good:
            what = f"gradient at loss {loss.item():.6g}" if gradients else f"loss {loss.item()}"
            raise NeuroError(
                f"training step {self.state.iteration + 1}: not finite (got {what}; need finite numbers). First seen in "
                f"{blame(self.model, batch, self.train.logit_scale)}. Lower lr or set clip_norm; the last checkpoint is kept."
            )

    def _validate(self) -> dict[str, Any]:
        """Score the validation set, remember the best weights, return the log entry."""
        state = self.state
        score = evaluate(
            self.model,
            self.task,
            "validation",
            limit=self.train.validate_samples,
            batch=self.train.batch,
            logit_scale=self.train.logit_scale,
            seed=self.seed,
        )
        better = state.best is None or (score.accuracy, -score.loss) > (state.best.accuracy, -state.best.loss)
        state.since_best = 0 if better else state.since_best + 1
        if better:
            state.best, state.best_iteration = score, state.iteration
            state.best_weights = {name: value.clone() for name, value in self.model.state_dict().items()}
        entry: dict[str, Any] = {"iteration": state.iteration, "validation": asdict(score), "best": better}
        if self.deep_r is not None:
            entry["n_active"], entry["budget"] = self.deep_r.n_active, self.deep_r.budget
            entry["connectivity"] = self.deep_r.connectivity
        state.history.append(entry)
        return entry

    def _validate_to(self, log: Any, display: _Display) -> None:
        """Validate, and write it to the log and the screen."""
        entry = self._validate()
        _append(log, entry)
        display.line(self._sentence(entry))

    def _sentence(self, entry: dict[str, Any]) -> str:
        """Put a validation into words."""
        score = entry["validation"]
        text = f"step {entry['iteration']}/{self.train.iterations}: validation {100 * score['accuracy']:.1f} %"
        text += f" (loss {score['loss']:.3f})"
        if score["rate_hz"] is not None:
            text += f", {score['rate_hz']:.1f} Hz"
        if "budget" in entry:
            text += f", connections {entry['n_active']} (budget {entry['budget']}, {100 * entry['connectivity']:.2f} %)"
        return text + (", best so far" if entry["best"] else "")

    def save(self) -> None:
        """Write a checkpoint of everything that decides the next step."""
        state = self.state
        optimizer, values = checkpoint.optimizer_state(self.optimizer)
        tensors = {f"model/{k}": v for k, v in self.model.state_dict().items()}
        tensors |= {f"best/{k}": v for k, v in state.best_weights.items()}
        tensors |= {f"optimizer/{k}": v for k, v in optimizer.items()}
        counters: dict[str, int] = {}
        if self.deep_r is not None:
            wired, counters = self.deep_r.state()
            tensors |= {f"deep_r/{k}": v for k, v in wired.items()}
        record = {
            "optimizer": values,
            "counters": {"batch": state.iteration, "deep_r": counters},
            "best": None if state.best is None else asdict(state.best),
            "best_iteration": state.best_iteration,
            "since_best": state.since_best,
            "history": state.history,
            "threads": torch.get_num_threads(),
            "torch": torch.__version__,
        }
        checkpoint.save(self.folder, state.iteration, tensors, record)

    def restore(self) -> None:
        """Return to the folder's checkpoint."""
        record, tensors = checkpoint.load(self.folder)

        def part(prefix: str) -> dict[str, Tensor]:
            return {k[len(prefix) :]: v for k, v in tensors.items() if k.startswith(prefix)}

        self.model.load_state_dict(part("model/"))
        checkpoint.restore_optimizer(self.optimizer, part("optimizer/"), record["optimizer"])
        if self.deep_r is not None:
            self.deep_r.restore(part("deep_r/"), record["counters"]["deep_r"])
        self.state = _Progressed(
            iteration=record["iteration"],
            best=None if record["best"] is None else Score(**record["best"]),
            best_iteration=record["best_iteration"],
            best_weights=part("best/"),
            since_best=record["since_best"],
            history=record["history"],
        )
        threads, version = torch.get_num_threads(), torch.__version__
        if (record["threads"], record["torch"]) != (threads, version):
            self.warning = (
                f"run '{self.folder}': resumed with torch {version} on {threads} threads, checkpoint by torch {record['torch']} on "
                f"{record['threads']}: weights may differ in the last bit from those of an uninterrupted run"
            )

    def result(self, stopped: str) -> FitResult:
        """Put the best weights into the model and sum the run up."""
        state, wired = self.state, self.deep_r
        active = None if wired is None else wired.n_active
        if state.best_weights:
            self.model.load_state_dict(state.best_weights)
        return FitResult(
            run_dir=self.folder,
            stopped=stopped,
            iterations=state.iteration,
            best=state.best,
            best_iteration=state.best_iteration,
            model=self.model,
            history=state.history,
            n_active=active,
            budget=None if wired is None else wired.budget,
        )


class _Display:
    """Show a bar, and lines of text above it."""

    def __init__(self, bar: bool, echo: Callable[[str], None] | None, total: int) -> None:
        self._console = Console(stderr=True, highlight=False)
        self._echo = echo or self._console.print
        columns = (
            TextColumn("training"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        self._bar = Progress(*columns, TextColumn("{task.fields[now]}"), console=self._console) if bar else None
        self._task = self._bar.add_task("training", total=total, now="") if self._bar is not None else None

    def __enter__(self) -> _Display:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def step(self, iteration: int, entry: dict[str, Any]) -> None:
        """Move the bar to a step."""
        if self._bar is not None and self._task is not None:
            now = f"loss {entry['loss']:.3f}  {100 * entry['accuracy']:.0f} %"
            now += f"  {entry['rate_hz']:.1f} Hz" if "rate_hz" in entry else ""
            self._bar.update(self._task, completed=iteration, now=now)

    def line(self, text: str) -> None:
        """Print a line."""
        self._echo(text)


def _append(log: Any, entry: dict[str, Any]) -> None:
    log.write(json.dumps(entry) + "\n")
    log.flush()


def _check_folder(folder: Path, wanted: dict[str, Any], resume: bool) -> None:
    """Refuse a folder that holds another run, or a run that is not to be resumed."""
    path = folder / checkpoint.RUN
    if path.exists():
        if not resume:
            raise DataError(f"run '{folder}': there is a run already. Resume it, or choose another folder.")
        held = checkpoint.read_json(path)
        differences = [
            f"run '{folder}': {where} '{key}' differs (got {wanted[where][key]!r}; the run has {held[where].get(key)!r}). Resume with the "
            "same settings, or choose another folder."
            for where in ("model", "train", "deep_r", "task")
            for key in wanted[where]
            if (where, key) not in FREE_TO_CHANGE and wanted[where][key] != held[where].get(key)
        ]
        if wanted["seed"] != held["seed"]:
            differences.append(f"run '{folder}': seed differs (got {wanted['seed']}; the run has {held['seed']}).")
        if differences:
            raise DataError("\n".join(differences))
        check_same(folder, held, wanted["start"].get("path"), wanted["quantize"].get("profile"))


@contextmanager
def _threads(n: int) -> Iterator[None]:
    """Use n torch threads meanwhile; 0: as many as before."""
    before = torch.get_num_threads()
    if n:
        torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _interrupts() -> Iterator[Callable[[], bool]]:
    """Turn the first Ctrl-C into a flag that a step can finish under; the second acts as usual."""
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    seen = False

    def note(number: int, frame: Any) -> None:
        nonlocal seen
        if seen:
            signal.default_int_handler(number, frame)
        seen = True

    before = signal.signal(signal.SIGINT, note)
    try:
        yield lambda: seen
    finally:
        signal.signal(signal.SIGINT, before)
