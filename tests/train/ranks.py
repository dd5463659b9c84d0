"""What one process of a parallel run does in a test, started with the variables that torchrun gives.

`python -m tests.train.ranks FOLDER SCENARIO@NAME ...` goes through the scenarios in one process group, each in FOLDER/NAME, and leaves what
came of each in FOLDER/NAME/SCENARIO-RANK.json.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist

from neuro.errors import NeuroError
from neuro.seeds import stream
from neuro.tasks import Batch
from neuro.train import DeepRConfig, FitResult, Group, ModelConfig, TaskShape, TrainConfig, fit, joined, loop, prepare
from neuro.train.parallel import flat_gradient
from neuro.train.step import gradients

MODEL = ModelConfig(n_lif=12, n_alif=8, gain_in=4.0, tau_a_ms=50.0, delay_max=3, n_ref=2)
# 7 samples: neither 2 nor 3 processes have equal shares. float64: a sum in another order flips no spike.
TRAIN = TrainConfig(
    iterations=24, batch=7, lr=0.01, rate_reg=5.0, clip_norm=2.0, validate_every=5, validate_samples=18, checkpoint_every=4, threads=1,
    dtype="float64",
)  # fmt: skip
WIRED = DeepRConfig(mode="hard", connectivity=0.3, temperature=1e-5)


@dataclass(frozen=True)
class TwoDecisions:
    """Which half of the inputs fires, before and after the middle; a third of the samples have no second decision.

    trouble: called with the number of each training batch, before it is drawn.
    """

    trouble: Callable[[int], None] = lambda number: None
    drawn: list[int] = field(default_factory=list)
    input_kind: str = "current"
    name = "two_decisions"
    n_in, n_out, steps, dt_ms, u_max, u_step = 6, 2, 40, 1.0, 1.0, 2.0**-8

    @property
    def sizes(self) -> dict[str, int | None]:
        return {"train": None, "validation": 64}

    def sample(self, split: str, rng: np.random.Generator, n: int) -> Batch:
        if split == "train":
            self.drawn.append(len(self.drawn))
            self.trouble(len(self.drawn))
        targets = rng.integers(0, 2, (n, 2))
        now = np.arange(self.steps) // (self.steps // 2)
        inputs = (rng.random((n, self.steps, self.n_in)) < 0.3).astype(np.float64)
        inputs *= np.arange(self.n_in) // 3 == targets[:, now, None]
        window = np.full((n, self.steps), -1, dtype=np.int16)
        window[:, 10:20], window[:, 30:] = 0, 1
        targets[rng.random(n) < 1 / 3, 1] = -1
        return Batch(inputs=inputs, window=window, targets=targets)

    def fixed(self, split: str, start: int, stop: int) -> Batch:
        whole = self.sample(split, np.random.default_rng(1), 64)
        return Batch(
            inputs=whole.inputs[start:stop], window=whole.window[start:stop], targets=whole.targets[start:stop]
        )


def run(folder: Path, task: TwoDecisions | None = None, lines: list[str] | None = None, **options: object) -> FitResult:
    """Train quietly. Options: settings of TRAIN, or resume, group, model."""
    own = {key: options.pop(key) for key in ("resume", "group", "model") if key in options}
    say = (lambda line: None) if lines is None else lines.append
    settings = {"model": MODEL, "deep_r": WIRED, "echo": say, "progress": False, **own}
    return fit(task or TwoDecisions(), folder, train=replace(TRAIN, **options), seed=3, **settings)  # type: ignore[arg-type]


def one_gradient(group: Group, kind: str) -> dict[str, object]:
    """Return gradient, loss and rate of the first batch."""
    deep_r = WIRED if kind == "lsnn" else DeepRConfig()
    model = prepare(replace(MODEL, kind=kind), TRAIN, deep_r, TaskShape.of(TwoDecisions()), 3).model
    seen = gradients(
        model, lambda: TwoDecisions().sample("train", stream(3, "batch/0"), TRAIN.batch), TRAIN, 1.0, group
    )
    return {"gradient": flat_gradient(list(model.parameters())).tolist(), **seen._asdict()}


def _fit(folder: Path, group: Group | None, **options: object) -> dict[str, object]:
    lines: list[str] = []
    # as if the others were on another machine, where there is no such folder
    chief = (group or Group.current()).chief
    result = run(folder / ("run" if chief else "nowhere"), lines=lines, group=group, **options)  # type: ignore[arg-type]
    weights = {name: value.tolist() for name, value in result.model.state_dict().items()}
    best = None if result.best is None else asdict(result.best)
    return {
        "stopped": result.stopped,
        "iterations": result.iterations,
        "best": best,
        "weights": weights,
        "lines": lines,
    }


def _at(number: int, act: Callable[[], object], group: Group) -> TwoDecisions:
    """Return the task that has trouble with a batch on rank 1."""
    return TwoDecisions(lambda n: act() if n == number and group.rank == 1 else None)  # type: ignore[arg-type, return-value]


def _poisoned(group: Group) -> TwoDecisions:
    """Return the task whose fourth batch is not finite on rank 1 alone."""

    class Poisoned(TwoDecisions):
        def sample(self, split: str, rng: np.random.Generator, n: int) -> Batch:
            batch = super().sample(split, rng, n)
            if len(self.drawn) == 4 and split == "train" and group.rank == 1:
                batch.inputs[:, 3, 0] = np.inf
            return batch

    return Poisoned()


@contextmanager
def _spoilt(group: Group) -> Iterator[None]:
    """Change a matrix on rank 1 by a little before step 7."""
    found = loop.gradients

    def spoil(model: torch.nn.Module, *arguments: object) -> object:
        if group.rank == 1 and arguments[-1] == "training step 7":
            with torch.no_grad():
                model.get_parameter("w_rec").mul_(1 + 1e-12)
        return found(model, *arguments)  # type: ignore[arg-type]

    loop.gradients = spoil  # type: ignore[assignment]
    yield
    loop.gradients = found


def act(scenario: str, folder: Path, group: Group) -> dict[str, object]:
    """Do what the scenario says and return what came of it."""
    me = os.getpid()
    if scenario == "already":
        return _fit(folder, group=None)
    if scenario.startswith("gradient-"):
        return one_gradient(group, scenario.removeprefix("gradient-"))
    options: dict[str, dict[str, object]] = {
        "half": {"iterations": 10},
        "resume": {"resume": True},
        "poison": {"task": _poisoned(group)},
        "interrupt": {"task": _at(9, lambda: os.kill(me, signal.SIGINT), group)},
        "die": {"task": _at(6, lambda: os.kill(me, signal.SIGKILL), group)},
        "stop": {"task": _at(6, lambda: os.kill(me, signal.SIGSTOP), group)},
        "bug": {"task": _at(6, lambda: {}["no such key"], group)},
        "other": {"lr": 0.01 * (1 + group.rank)},
        "few": {"batch": 1},
    }
    with _spoilt(group) if scenario == "spoil" else nullcontext():
        return _fit(folder, group, **options.get(scenario, {}))


def attempt(scenario: str, folder: Path, group: Group) -> None:
    """Leave in a file what came of a scenario, or the error that it raised."""
    if group.chief:
        folder.mkdir(exist_ok=True)
    try:
        found = act(scenario, folder, group)
    except (NeuroError, KeyError) as err:
        found = {"error": str(err), "type": type(err).__name__}
    if group.chief or folder.exists():
        (folder / f"{scenario}-{group.rank}.json").write_text(json.dumps(found))


def already(folder: Path) -> None:
    """Train in a group that something else made, as Lightning Fabric does; it is found, used and kept."""
    rank = int(os.environ["RANK"])
    dist.init_process_group("gloo", init_method=f"file://{folder / 'meet'}", rank=rank, world_size=2)
    with joined() as group:
        assert (group.rank, group.size) == (rank, 2)
    attempt("already", folder, group)
    assert dist.is_initialized()
    dist.destroy_process_group()


if __name__ == "__main__":
    here, jobs = Path(sys.argv[1]), [job.split("@") for job in sys.argv[2:]]
    if jobs == [["already", "."]]:
        already(here)
    else:
        with joined(timeout_s=float(os.environ.get("TIMEOUT_S", "60"))) as group:
            for scenario, name in jobs:
                attempt(scenario, here / name, group)
        assert not dist.is_initialized()
