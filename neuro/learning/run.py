"""Step a learning run: show a batch, change the weights, validate, keep the best graph, write checkpoints."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

import numpy as np

from neuro.backend import Learned
from neuro.graph import Graph
from neuro.learning import programs, state
from neuro.learning.config import LearnConfig
from neuro.learning.evaluation import evaluate, loss_of
from neuro.learning.plan import Plan, prepare
from neuro.learning.rewiring import Wiring, after_update, carried
from neuro.learning.rules import rule_of
from neuro.learning.state import Progressed
from neuro.learning.teacher import Lesson, teacher_of
from neuro.learning.update import optimise, with_lr
from neuro.seeds import stream
from neuro.tasks import Batch, Task, score, squares

Watch = Callable[[dict[str, Any]], None]
"""Called with the log entry of each iteration and of each validation."""


class Run:
    """Hold a run's state and step it."""

    def __init__(
        self, task: Task, lesson: Lesson, begin: programs.Start, config: LearnConfig, seed: int, plan: Plan,
        held: Progressed, folder: Path | None, wiring: Wiring | None = None,
    ) -> None:  # fmt: skip
        self.task, self.lesson, self.config, self.seed = task, lesson, config, seed
        self.state, self.folder, self.wiring = held, folder, wiring
        self.plan = plan if wiring is None else prepare(held.graph)  # a run that goes on has been rewired
        self._begin, self._saved = begin, False
        self._program: programs.Learning | None = None
        self._factor = 1.0
        self._lr = {c.name: rule_of(c.plasticity).lr for c in held.graph.projections if c.plasticity is not None}

    def __enter__(self) -> Run:
        return self

    def __exit__(self, *_: object) -> None:
        self._drop()

    def go(self, interrupted: Callable[[], bool], watch: Watch) -> str:
        """Go on to the end; return why it ended."""
        now, config = self.state, self.config
        done = now.iteration if now.before is not None else -1
        path = state.cut_log(self.folder, done) if self.folder is not None else Path(os.devnull)
        with path.open("a", encoding="utf-8") as log:
            if now.before is None:
                _tell(self._validate(), log, watch)
            stopped = self._reason()
            while not stopped:
                _tell(self._step(), log, watch)
                if now.iteration % config.validate_every == 0 or now.iteration == config.iterations:
                    _tell(self._validate(), log, watch)
                stopped = "interrupted" if interrupted() else self._reason()
                if stopped or now.iteration % config.checkpoint_every == 0:
                    self._save()
        return stopped

    def _reason(self) -> str:
        """Return why the run is over, or "" if it is not."""
        now, config = self.state, self.config
        assert now.best is not None
        if config.stop_accuracy and now.best.accuracy is not None and now.best.accuracy >= config.stop_accuracy:
            return "accuracy"
        if config.stop_nmse and now.best.nmse is not None and now.best.nmse <= config.stop_nmse:
            return "nmse"
        if config.patience and now.since_best >= config.patience:
            return "patience"
        return "finished" if now.iteration >= config.iterations else ""

    def _step(self) -> dict[str, Any]:
        """Show one batch, change the weights, return the log entry."""
        now, config, started = self.state, self.config, time.perf_counter()
        factor = config.lr_decay ** (now.iteration // config.lr_decay_every)
        numbers = range(now.iteration * config.batch, (now.iteration + 1) * config.batch)
        batch = _joined([self.task.sample("train", stream(self.seed, f"learn/{i}"), 1) for i in numbers])
        chance = None
        if self.lesson.loss == "reward":
            chance = np.stack([stream(self.seed, f"chance/{i}").random(self.task.steps) for i in numbers])
        program = self._learning(factor)
        learned = program.learn(*teacher_of(batch, self.lesson, now.graph, chance))
        moved = self._take(learned, program.feedback, factor)
        now.iteration += 1
        seen = self._seen(learned, batch)
        for key, value in seen.items():
            now.sums[key] = now.sums.get(key, 0.0) + value
        lr = max(site.rule.lr for site in self.plan.sites) * factor
        return {
            "iteration": now.iteration, **_means(seen), "lr": lr, **moved, "time_s": round(time.perf_counter() - started, 4),
        }  # fmt: skip

    def _learning(self, factor: float) -> programs.Learning:
        """Return a program that has the present weights, and the rules with their present learning rate."""
        if self._program is None or factor != self._factor:
            self._drop()
            graph, n_samples = with_lr(self.state.graph, self._lr, factor), self.state.iteration * self.config.batch
            self._program, self._factor = self._begin(graph, self.state.feedback, n_samples), factor
        return self._program

    def _drop(self) -> None:
        if self._program is not None:
            self._program.close()
        self._program = None

    def _take(self, learned: Learned, feedback: programs.Matrices, factor: float) -> dict[str, int]:
        """Take over what a batch changed, let the optimiser change the rest, and rewire; return what the log says of that."""
        now = self.state
        graph = with_lr(learned.graph, self._lr)
        for key, n in learned.n_updates.items():
            now.n_updates[key] = now.n_updates.get(key, 0) + int(n)
        if any(site.rule.update == "batch" for site in self.plan.sites):
            graph, now.moments, feedback, changed = optimise(
                self.plan, graph, learned, feedback, now.moments, self.config.optimizer, 1.0 / self.config.batch, factor,
                now.iteration * self.config.batch,
            )  # fmt: skip
            for key, n in changed.items():
                now.n_updates[key] = now.n_updates.get(key, 0) + n
            self._drop()  # its weights are those before the optimiser's step
        told: dict[str, int] = {}
        if self.wiring is not None:
            graph, feedback, told = self._rewired(self.wiring, graph, feedback, factor)
        now.graph, now.feedback, self._saved = graph, {**feedback}, False
        return told

    def _rewired(
        self, wiring: Wiring, graph: Graph, feedback: programs.Matrices, factor: float
    ) -> tuple[Graph, programs.Matrices, dict[str, int]]:
        """Rewire the graph that an iteration has led to; return it, its feedback, and what the log says."""
        now = self.state
        due = (now.iteration + 1) % wiring.config.every == 0
        rng = stream(self.seed, f"rewire/{now.iteration}") if due else None
        found = after_update(self.plan, now.graph, graph, feedback, wiring, rng, factor)
        self.plan, now.moments = found.plan, carried(now.moments, found.origin)
        for name, n in found.n_moved.items():
            now.n_moved[name] = now.n_moved.get(name, 0) + n
        if found.plan.graph is not graph:
            self._drop()
        told = {"moved": sum(found.n_moved.values()), **({"clipped": found.n_clipped} if found.n_clipped else {})}
        return found.plan.graph, found.feedback, told

    def _seen(self, learned: Learned, batch: Batch) -> dict[str, float]:
        """Return what a batch adds to the sums that `_means` divides."""
        y = learned.y[self.lesson.readout]
        spikes = sum(int(n.sum()) for n in learned.n_spikes.values())
        updates = sum(n.size for n in learned.n_spikes.values()) * self.task.steps * self.task.dt_ms / 1000.0
        seen = {"n": float(len(batch)), "loss_sum": loss_of(y, batch), "spikes": float(spikes), "neuron_s": updates}
        if batch.signal is not None:
            seen["error"], seen["spread"] = squares(y, batch)
        else:
            right, asked = score(y, batch)
            seen["right"], seen["asked"] = float(right), float(asked)
        if self.lesson.loss == "reward":
            seen["reward_sum"] = float(learned.reward.sum())
        return seen

    def _validate(self) -> dict[str, Any]:
        """Score the validation set, remember the best graph, return the log entry."""
        now, config = self.state, self.config
        found = evaluate(now.graph, self.task, self.lesson, "validation", config.validate_samples)
        better = found.better_than(now.best)
        now.since_best = 0 if better else now.since_best + 1
        if better:
            now.best, now.best_iteration, now.best_graph = found, now.iteration, now.graph
        now.before = now.before or found
        entry: dict[str, Any] = {"iteration": now.iteration, "samples": now.iteration * config.batch}
        if now.sums:
            entry["train"] = _means(now.sums)
        entry |= {"validation": asdict(found), "best": better}
        now.sums = {}
        now.curve.append(entry)
        self._saved = False
        return entry

    def _save(self) -> None:
        """Write a checkpoint, where there is a folder."""
        if self.folder is not None and not self._saved:
            state.write(self.folder, self.state)
        self._saved = True


def _tell(entry: dict[str, Any], log: IO[str], watch: Watch) -> None:
    log.write(json.dumps(entry) + "\n")
    log.flush()
    watch(entry)


def _means(sums: Mapping[str, float]) -> dict[str, float]:
    """Return the means that are logged: loss, accuracy or nmse, reward (each a sample), rate_hz."""
    out = {"loss": sums["loss_sum"] / sums["n"]}
    if sums.get("asked"):
        out["accuracy"] = sums["right"] / sums["asked"]
    if sums.get("spread"):
        out["nmse"] = sums["error"] / sums["spread"]
    if "reward_sum" in sums:
        out["reward"] = sums["reward_sum"] / sums["n"]
    if sums["neuron_s"]:
        out["rate_hz"] = sums["spikes"] / sums["neuron_s"]
    return out


def _joined(batches: list[Batch]) -> Batch:
    """Return batches as one; their decisions are numbered alike."""
    signals = [b.signal for b in batches if b.signal is not None]
    return Batch(
        inputs=np.concatenate([b.inputs for b in batches]), window=np.concatenate([b.window for b in batches]),
        targets=np.concatenate([b.targets for b in batches]), signal=np.concatenate(signals) if signals else None,
    )  # fmt: skip
