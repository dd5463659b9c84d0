"""The training loop learns, reports, stops, survives being killed, and says where a bad number came from."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from neuro.errors import DataError, NeuroError, RecipeError, UnsupportedError
from neuro.tasks import Batch, PatternGeneration
from neuro.train import LSNN, DeepRConfig, ModelConfig, TrainConfig, checkpoint, evaluate, fit, load_run, loop, start

MODEL = ModelConfig(n_lif=10, n_alif=6, gain_in=4.0, tau_a_ms=50.0)
TRAIN = TrainConfig(
    iterations=12, batch=16, lr=0.01, validate_every=5, validate_samples=32, checkpoint_every=4, threads=1
)
WIRED = DeepRConfig(mode="hard", connectivity=0.3, temperature=1e-5)


@dataclass(frozen=True)
class WhichInput:
    """Two classes: the first or the second half of the inputs fires. `poison` spoils the batches from then on."""

    poison: float = 0.0
    input_kind: str = "current"
    name = "which_input"
    n_in, n_out, steps, dt_ms, u_max, u_step = 6, 2, 30, 1.0, 1.0, 2.0**-8

    @property
    def sizes(self) -> dict[str, int | None]:
        return {"train": None, "validation": 64}

    def sample(self, split: str, rng: np.random.Generator, n: int) -> Batch:
        target = rng.integers(0, 2, n)
        inputs = (rng.random((n, self.steps, self.n_in)) < 0.3).astype(np.float64)
        inputs *= np.arange(self.n_in)[None, None, :] // 3 == target[:, None, None]
        if self.poison and split == "train":
            inputs[1, 3, 0] = self.poison
        window = np.full((n, self.steps), -1, dtype=np.int16)
        window[:, -10:] = 0
        return Batch(inputs=inputs, window=window, targets=target[:, None])

    def fixed(self, split: str, start: int, stop: int) -> Batch:
        whole = self.sample(split, np.random.default_rng(1), 64)
        return Batch(
            inputs=whole.inputs[start:stop], window=whole.window[start:stop], targets=whole.targets[start:stop]
        )


def run(folder: Path, task: WhichInput | None = None, **changes: object) -> loop.FitResult:
    """Train the small network quietly; changes go to TRAIN, or are model, deep_r, resume, echo, seed, progress."""
    own = {key: changes.pop(key) for key in ("model", "deep_r", "resume", "echo", "seed", "progress") if key in changes}
    settings = {"model": MODEL, "deep_r": WIRED, "echo": lambda line: None, **own}
    return fit(task or WhichInput(), folder, train=replace(TRAIN, **changes), **settings)  # type: ignore[arg-type]


def log(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def same_weights(a: torch.nn.Module, b: torch.nn.Module) -> bool:
    first, second = a.state_dict(), b.state_dict()
    return set(first) == set(second) and all(torch.equal(first[name], second[name]) for name in first)


def same_checkpoint(a: Path, b: Path) -> bool:
    """Compare everything that decides the next step."""
    (first, x), (second, y) = checkpoint.load(a), checkpoint.load(b)
    return (
        set(x) == set(y)
        and all(torch.equal(x[name], y[name]) for name in x)
        and all(
            first[key] == second[key] for key in ("iteration", "optimizer", "counters", "best", "since_best", "history")
        )
    )


@pytest.mark.parametrize("kind", ["lsnn", "lif", "lstm", "rnn"])
def test_every_kind_of_model_learns_by_the_same_loop(tmp_path, kind):
    spiking = kind in ("lsnn", "lif")
    deep_r = WIRED if kind == "lsnn" else DeepRConfig()
    model = replace(MODEL, kind=kind, n_units=8)
    result = run(tmp_path / "run", model=model, deep_r=deep_r, iterations=80, logit_scale=3.0, validate_samples=64)
    assert result.stopped == "finished"
    assert result.best.accuracy > 0.95
    assert (result.best.rate_hz is not None) == spiking
    entries = log(tmp_path / "run")
    losses = [e["loss"] for e in entries if "loss" in e]
    assert len(losses) == 80
    assert np.mean(losses[-10:]) < 0.6 * losses[0]
    assert same_weights(load_run(tmp_path / "run"), result.model)
    again = evaluate(load_run(tmp_path / "run"), WhichInput(), "validation", limit=64, batch=16, logit_scale=3.0)
    assert again == result.best


def test_connectivity_equals_the_budget_in_every_line(tmp_path):
    lines: list[str] = []
    result = run(tmp_path / "run", echo=lines.append)
    budget = round(0.3 * (6 * 16 + 16 * 16 + 16 * 2))
    assert result.n_active == result.budget == budget
    assert all(e["n_active"] == e["budget"] == budget for e in log(tmp_path / "run"))
    assert len(lines) == 3
    assert all(f"connections {budget} (budget {budget}, 29.95 %" in line for line in lines)
    w = load_run(tmp_path / "run", weights="last")
    assert sum(int((w.get_parameter(n) != 0).sum()) for n in ("w_in", "w_rec", "w_out")) == budget


def test_learning_rate_decays_in_steps(tmp_path):
    run(tmp_path / "run", lr=0.01, lr_decay=0.5, lr_decay_every=5)
    assert [e["lr"] for e in log(tmp_path / "run") if "lr" in e] == [0.01] * 5 + [0.005] * 5 + [0.0025] * 2


def test_training_stops_early(tmp_path):
    reached = run(tmp_path / "a", iterations=200, logit_scale=3.0, stop_accuracy=0.9)
    assert (reached.stopped, reached.iterations % 5) == ("accuracy", 0)
    assert reached.iterations < 200
    stuck = run(tmp_path / "b", iterations=200, lr=1e-12, patience=2)
    assert (stuck.stopped, stuck.iterations, stuck.best_iteration) == ("patience", 15, 5)
    assert run(tmp_path / "b", iterations=200, lr=1e-12, patience=2, resume=True).iterations == 15


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_resumed_run_equals_uninterrupted_run(tmp_path, optimizer):
    whole = run(tmp_path / "whole", optimizer=optimizer)
    run(tmp_path / "parts", optimizer=optimizer, iterations=3)
    run(tmp_path / "parts", optimizer=optimizer, iterations=7, resume=True)
    parts = run(tmp_path / "parts", optimizer=optimizer, resume=True)
    assert [e["iteration"] for e in log(tmp_path / "parts") if "loss" in e] == list(range(1, 13))
    assert same_weights(load_run(tmp_path / "whole", weights="last"), load_run(tmp_path / "parts", weights="last"))
    assert parts.iterations == whole.iterations == 12


def test_interrupt_leaves_a_checkpoint_to_resume_from(tmp_path):
    whole = run(tmp_path / "whole")
    before = signal.getsignal(signal.SIGINT)
    stopped = run(tmp_path / "cut", echo=lambda line: os.kill(os.getpid(), signal.SIGINT))
    assert signal.getsignal(signal.SIGINT) is before
    assert (stopped.stopped, stopped.iterations) == ("interrupted", 5)
    assert checkpoint.load(tmp_path / "cut")[0]["iteration"] == 5
    resumed = run(tmp_path / "cut", resume=True)
    assert resumed.stopped == "finished"
    assert same_weights(whole.model, resumed.model)
    assert same_checkpoint(tmp_path / "whole", tmp_path / "cut")


SCRIPT = """
import sys
from neuro.tasks import make
from neuro.train import DeepRConfig, ModelConfig, TrainConfig, fit
task = make("store_recall", characters=3, ms_per_character=20, delay=1, wait=1, group_size=5, validation_size=32, test_size=8)
fit(task, sys.argv[1], model=ModelConfig(n_lif=20, n_alif=20, delay_max=4, n_ref=2, gain_in=4.0), resume=True,
    train=TrainConfig(iterations=60, batch=32, lr=0.01, checkpoint_every=3, validate_every=4, validate_samples=32, threads=1),
    deep_r=DeepRConfig(mode="hard", connectivity=0.2, temperature=1e-5), seed=7, progress=False, echo=lambda line: None)
"""


def test_killed_and_resumed_process_equals_uninterrupted_one(tmp_path):
    """SIGKILL at three points that fall where they may; then the same weights, optimiser and history, bit for bit."""
    command = [sys.executable, "-c", SCRIPT]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    subprocess.run([*command, str(tmp_path / "whole")], check=True, env=environment, timeout=120)
    killed = 0
    for lines in (5, 23, 50):
        process = subprocess.Popen([*command, str(tmp_path / "cut")], env=environment)
        path = tmp_path / "cut" / "log.jsonl"
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and process.poll() is None:
            if path.exists() and len(path.read_text().splitlines()) >= lines:
                process.kill()
            time.sleep(0.002)
        killed += process.wait(timeout=60) == -signal.SIGKILL
    assert killed == 3
    at = checkpoint.load(tmp_path / "cut")[0]["iteration"]
    assert 20 < at < 60
    subprocess.run([*command, str(tmp_path / "cut")], check=True, env=environment, timeout=120)
    assert same_checkpoint(tmp_path / "whole", tmp_path / "cut")
    without_time = [
        [{key: value for key, value in e.items() if key != "time_s"} for e in log(tmp_path / name)]
        for name in ("whole", "cut")
    ]
    assert without_time[0] == without_time[1]
    assert [p.name for p in (tmp_path / "cut").glob("*.safetensors*")] == ["checkpoint-00000060.safetensors"]


def test_crash_while_writing_keeps_the_last_checkpoint(tmp_path, monkeypatch):
    run(tmp_path / "run", iterations=4)

    def crash(path: Path, value: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(checkpoint, "write_json", crash)
    with pytest.raises(KeyboardInterrupt):
        checkpoint.save(tmp_path / "run", 8, {"x": torch.zeros(1)}, {})
    monkeypatch.undo()
    assert checkpoint.load(tmp_path / "run")[0]["iteration"] == 4
    with (tmp_path / "run" / "log.jsonl").open("a") as torn:
        torn.write('{"iteration": 5, "lo')
    assert run(tmp_path / "run", resume=True).iterations == 12
    assert [e["iteration"] for e in log(tmp_path / "run") if "loss" in e] == list(range(1, 13))


def test_input_that_is_not_finite_names_the_step(tmp_path):
    run(tmp_path / "run", iterations=4)
    with pytest.raises(
        NeuroError, match=r"training step 5: input 'in': not finite \(got inf at \(sample, step, unit\) \(1, 3, 0\)"
    ):
        run(tmp_path / "run", task=WhichInput(poison=float("inf")), resume=True)
    assert checkpoint.load(tmp_path / "run")[0]["iteration"] == 4


def test_loss_that_is_not_finite_names_step_and_state(tmp_path, monkeypatch):
    built = start.build_model

    def huge(*arguments: object) -> torch.nn.Module:
        model = built(*arguments)
        with torch.no_grad():
            model.w_out.fill_(3e38)
        return model

    monkeypatch.setattr(start, "build_model", huge)
    with pytest.raises(
        NeuroError, match=r"training step 1: not finite .*state y of 'out' at step \d+, sample \d+, unit 0. Lower lr"
    ):
        run(tmp_path / "run", deep_r=DeepRConfig())


def test_parameter_that_is_not_finite_is_named(tmp_path, monkeypatch):
    built = start.build_model

    def spoilt(*arguments: object) -> torch.nn.Module:
        model = built(*arguments)
        with torch.no_grad():
            model.w_rec[2, 3] = float("nan")
        return model

    monkeypatch.setattr(start, "build_model", spoilt)
    with pytest.raises(NeuroError, match=r"training step 1: parameter 'w_rec': not finite \(got nan at \(2, 3\)"):
        run(tmp_path / "run", deep_r=DeepRConfig())


def test_gradient_that_is_not_finite_is_named(tmp_path, monkeypatch):
    def spoilt(self: LSNN, *arguments: object, **options: object) -> object:
        if self.w_out._backward_hooks is None:
            self.w_out.register_hook(lambda grad: grad * float("nan"))
        return forward(self, *arguments, **options)

    forward = LSNN.forward
    monkeypatch.setattr(LSNN, "forward", spoilt)
    with pytest.raises(
        NeuroError, match=r"step 1: not finite \(got gradient at loss .*the gradient of 'w_out' at \(0, 0\)"
    ):
        run(tmp_path / "run", deep_r=DeepRConfig())


def test_logits_too_large_for_a_loss_are_named(tmp_path):
    with pytest.raises(NeuroError, match="the loss itself"):
        run(tmp_path / "run", logit_scale=3e38, model=replace(MODEL, gain_in=30.0))


def test_a_folder_keeps_its_run(tmp_path):
    run(tmp_path / "run", iterations=2)
    with pytest.raises(DataError, match=r"there is a run already\. Resume it"):
        run(tmp_path / "run")
    with pytest.raises(DataError, match=r"train 'lr' differs \(got 0.5; the run has 0.01\)"):
        run(tmp_path / "run", resume=True, lr=0.5)
    with pytest.raises(DataError, match=r"model 'n_lif' differs \(got 11; the run has 10\)"):
        run(tmp_path / "run", resume=True, model=replace(MODEL, n_lif=11))
    with pytest.raises(DataError, match=r"seed differs \(got 1; the run has 0\)"):
        run(tmp_path / "run", resume=True, seed=1)


def test_damaged_runs_are_named(tmp_path):
    with pytest.raises(DataError, match=r"no run\.json"):
        load_run(tmp_path)
    run(tmp_path / "run", iterations=2)
    tensors = next((tmp_path / "run").glob("*.safetensors"))
    tensors.write_bytes(tensors.read_bytes()[:100])
    with pytest.raises(DataError, match=r"checkpoint-00000002.safetensors is missing or damaged"):
        load_run(tmp_path / "run")
    (tmp_path / "run" / "checkpoint.json").write_text("{")
    with pytest.raises(DataError, match=r"checkpoint.json is damaged"):
        load_run(tmp_path / "run")
    (tmp_path / "run" / "run.json").write_text('{"format": 99}')
    with pytest.raises(DataError, match=r"run.json of an unknown format \(got 99; need 1\)"):
        load_run(tmp_path / "run")


def test_threads_are_set_for_the_run_alone(tmp_path):
    torch.set_num_threads(2)
    run(tmp_path / "run", iterations=1)
    assert checkpoint.load(tmp_path / "run")[0]["threads"] == 1
    assert torch.get_num_threads() == 2


def test_resuming_on_other_threads_is_told(tmp_path):
    lines: list[str] = []
    torch.set_num_threads(1)
    run(tmp_path / "run", threads=0, iterations=2)
    torch.set_num_threads(2)
    run(tmp_path / "run", threads=0, resume=True, echo=lines.append)
    assert "on 2 threads, checkpoint by torch" in lines[0]


def test_run_without_a_step_can_be_loaded(tmp_path):
    untrained = run(tmp_path / "run", iterations=0)
    assert (untrained.iterations, untrained.best) == (0, None)
    assert same_weights(load_run(tmp_path / "run"), untrained.model)


def test_dense_baselines_refuse_deep_r(tmp_path):
    with pytest.raises(RecipeError, match=r"deep_r 'mode': needs a spiking network \(got 'hard' with LSTMClassifier"):
        run(tmp_path / "run", model=replace(MODEL, kind="lstm"))


def test_progress_bar_shows_steps_on_stderr(tmp_path, capsys):
    run(tmp_path / "run", progress=True)
    assert "12/12" in capsys.readouterr().err
    run(tmp_path / "other", progress=False)
    assert capsys.readouterr().err == ""


def test_a_regression_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match=r"task 'pattern_generation': a regression .*neuro learn"):
        run(tmp_path / "run", PatternGeneration())  # type: ignore[arg-type]
    assert not (tmp_path / "run").exists()
