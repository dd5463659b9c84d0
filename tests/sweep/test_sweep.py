"""`neuro sweep` in this process: what it writes, what a resume does and does not, and what it refuses."""

from __future__ import annotations

import json
import re
import signal
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from neuro.cli import app
from neuro.errors import DataError, RecipeError
from neuro.sweep import Result, driver, load, run
from neuro.sweep.order import attempts, held
from neuro.sweep.runners import Here
from neuro.sweep.table import markdown
from tests.sweep.conftest import RECIPE, Write, start, steps_of, until

Neuro = Callable[..., Any]
CURRENTS = RECIPE.replace(
    "steps_per_pixel = 1\ncue_steps = 8\ndecision_steps = 4", 'encoding = "current"\nvalidation_size = 10'
)
CURRENTS = CURRENTS.replace('"digits"', '"smnist"').replace("validate_samples = 32", "validate_samples = 8")


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Return a folder with forty images of noise in the files of MNIST."""
    rng = np.random.default_rng(0)
    for part in ("train", "t10k"):
        labels = np.arange(40, dtype=np.uint8) % 10
        for name, array in (
            (f"{part}-images-idx3-ubyte", rng.integers(0, 256, (40, 28, 28), dtype=np.uint8)),
            (f"{part}-labels-idx1-ubyte", labels),
        ):
            head = struct.pack(f">{1 + array.ndim}i", 0x800 + array.ndim, *array.shape)
            (tmp_path / name).write_bytes(head + array.tobytes())
    return tmp_path


@pytest.fixture
def neuro() -> Neuro:
    return lambda *arguments: CliRunner().invoke(app, [str(a) for a in arguments])


def read(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "sweep.json").read_text()))


def test_a_grid_from_the_command_line_to_the_plot(neuro: Neuro, write: Write, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    done = neuro("sweep", write(), "--out", folder)
    assert done.exit_code == 0, done.output
    found = read(folder)
    assert (found["format"], found["schema_version"]) == ("neuro-sweep", 1)
    assert [t["params"] for t in found["trials"]] == [
        {"connectivity": c, "bits": b} for c in (0.1, 0.5) for b in (4, 9)
    ]
    for trial in found["trials"]:
        assert trial["state"] == "done" and trial["n_samples"] == 32 and trial["reason"] == ""
        assert 0 <= trial["accuracy"] <= 1 and trial["mean_rate_hz"] > 0 and trial["synaptic_events"] > 0
        assert 0 < trial["energy"]["low"] <= trial["energy"]["value"] <= trial["energy"]["high"]
        assert set(trial["parts"]) == {"synaptic", "neuron", "routing", "learning", "static", "host"}
        assert (folder / trial["folder"] / "graph.h5").exists() and (folder / trial["folder"] / "log.jsonl").exists()
    sparse, dense = found["trials"][1], found["trials"][3]
    assert sparse["n_synapses"] < 0.4 * dense["n_synapses"]
    assert sparse["parts"]["synaptic"]["value"] < dense["parts"]["synaptic"]["value"]
    assert found["pareto"] and found["recipe"] == "recipe.toml" and found["device"] == "loihi"
    assert found["space"] == {"connectivity": [0.1, 0.5], "bits": [4, 9]}
    text = (folder / "sweep.md").read_text()
    assert "4 of 4 trials done. Accuracy on 32 validation samples, energy on device loihi." in text
    assert len(re.findall(r"^\| [0-3] \|", text, re.MULTILINE)) == 4 + len(found["pareto"])
    assert "Judge a chosen trial once on test samples" in text
    svg = (folder / "pareto.svg").read_text()
    assert svg.startswith("<?xml") and "<path" in svg
    assert f"written into {folder}: sweep.json, sweep.md, pareto.svg" in done.output.replace("\n", "")


def test_a_resume_makes_only_what_is_left_and_more_trials_can_be_asked_for(
    neuro: Neuro, write: Write, tmp_path: Path
) -> None:
    file, folder = (
        write("bits = {low = 8, high = 9}\nconnectivity = {low = 0.1, high = 0.5}", search="random", trials=2),
        tmp_path / "out",
    )
    assert neuro("sweep", file, "-o", folder).exit_code == 0
    before = read(folder)["trials"]
    again = neuro("sweep", file, "-o", folder)
    assert again.exit_code == 2
    assert "there is a sweep already. Go on with it: --resume, or choose another folder." in again.output
    assert neuro("sweep", file, "-o", folder, "--resume", "--trials", 3).exit_code == 0
    after = read(folder)["trials"]
    assert after[:2] == before and len(after) == 3 and after[2]["state"] == "done"
    assert [len(attempts(folder / t["folder"])) for t in after] == [2, 2, 2]  # began and ended, once each
    assert neuro("sweep", file, "-o", folder, "--resume", "--trials", 3).exit_code == 0
    assert read(folder)["trials"] == after


def test_other_settings_are_another_sweep(write: Write, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    run(load(write("bits = [9]", search="random", trials=1)), folder)
    for changes, key in (
        ({"samples": 31}, "samples"),
        ({"device": "digital45"}, "device"),
        ({"train": "iterations = 5"}, "recipe_toml"),
        ({"seed": 1}, "seed"),
    ):
        path = write("bits = [9]", **{"search": "random", "trials": 1, **changes})
        with pytest.raises(
            DataError, match=rf"sweep '.*out': {key} differs \(got .*; the sweep has .*\). Go on with the"
        ):
            run(load(path), folder, resume=True)
    (folder / "sweep.json").write_text("{}")
    with pytest.raises(DataError, match=r"no sweep of this version \(got \(None, None\); need \('neuro-sweep', 1\)\)"):
        run(load(write("bits = [9]", search="random", trials=1)), folder, resume=True)


def test_a_folder_is_swept_by_one_process(write: Write, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with held(tmp_path / "out"), pytest.raises(DataError, match=r"out': another process works in it"):
        run(load(write("bits = [9]")), tmp_path / "out")


def test_what_the_task_forbids_is_told_before_anything_is_trained(write: Write, tmp_path: Path, images: Path) -> None:
    with pytest.raises(
        RecipeError, match=r"space 'bits': task 'smnist' sends currents \(got input 'current'; need spikes"
    ):
        run(load(write("bits = [9]", base=CURRENTS)), tmp_path / "out", data=images)
    with pytest.raises(DataError, match="train-images-idx3-ubyte: file not found"):
        run(load(write("bits = [9]", base=CURRENTS)), tmp_path / "out", data=tmp_path / "absent")
    with pytest.raises(RecipeError, match=r"'samples': more than there are \(got 5000; the validation split has \d+\)"):
        run(load(write("bits = [9]", samples=5000)), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_currents_are_counted_too(write: Write, tmp_path: Path, images: Path) -> None:
    path = write("connectivity = [0.5]", base=CURRENTS, device="digital45", samples=8)
    found = run(load(path), tmp_path / "out", data=images)
    (trial,) = found.trials
    assert trial["state"] == "done" and trial["energy"]["value"] > 0
    assert trial["spikes"] * 5 < trial["synaptic_events"]


def test_failed_trials_are_told_and_end_with_1(neuro: Neuro, write: Write, tmp_path: Path) -> None:
    file = write("bits = [9]", 'lr = 1e30\noptimizer = "sgd"')
    done = neuro("sweep", file, "-o", tmp_path / "out")
    assert done.exit_code == 1
    assert "trial 0 (bits 9): failed: population 'lif': no scale fits" in done.output
    assert "trials failed: 0. sweep.md tells why." in done.output.replace("\n", " ")
    assert "no scale fits" in (tmp_path / "out" / "sweep.md").read_text()
    assert read(tmp_path / "out")["pareto"] == []
    assert neuro("sweep", file, "-o", tmp_path / "out", "--resume").exit_code == 1
    assert len(attempts(tmp_path / "out" / "trials" / "0000")) == 2  # not tried again


def test_a_fault_of_the_machine_leaves_a_trial_for_the_next_resume(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from neuro.sweep import trial

    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(trial.graphs, "save", full)
    said: list[str] = []
    first = run(load(write("bits = [8, 9]")), tmp_path / "out", say=said.append)
    assert first.unfinished == (0, 1) and not first.failed and not first.interrupted
    assert said == [
        f"trial {k}: not finished: OSError: [Errno 28] No space left on device; see output.txt" for k in (0, 1)
    ]
    assert "No space left" in (tmp_path / "out" / "trials" / "0000" / "output.txt").read_text()
    assert "| 0 |  | 8 | lost |" in markdown(read(tmp_path / "out"))
    monkeypatch.undo()
    assert run(load(write("bits = [8, 9]")), tmp_path / "out", resume=True).unfinished == ()
    assert all(steps_of(tmp_path / "out" / "trials" / f"000{k}") == 4 for k in (0, 1))


def test_a_trial_that_ended_unseen_is_taken_in_not_made(write: Write, tmp_path: Path) -> None:
    # The sweep was killed after a worker had written trial.json, and before it was noted.
    folder, file = tmp_path / "out", write("bits = [8, 9]")
    run(load(file), folder)
    whole = read(folder)
    cut = json.loads(json.dumps(whole))
    cut["trials"] = [
        cut["trials"][0],
        {k: cut["trials"][1][k] for k in ("number", "params", "folder", "search")} | {"state": "running"},
    ]
    (folder / "sweep.json").write_text(json.dumps(cut))
    run(load(file), folder, resume=True)
    assert read(folder)["trials"] == whole["trials"]
    assert len(attempts(folder / "trials" / "0001")) == 2


def test_the_same_parameters_are_trained_once(write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Twice:
        def ask(self, trials: Any) -> Any:
            return {"bits": 8 + len(trials) // 2}, {}

    monkeypatch.setattr(driver, "_search", lambda sweep: Twice())
    said: list[str] = []
    found = run(load(write("bits = {low = 8, high = 9}", search="tpe", trials=4)), tmp_path / "out", say=said.append)
    assert [t.get("same_as") for t in found.trials] == [None, 0, None, 2]
    assert found.trials[1]["accuracy"] == found.trials[0]["accuracy"]
    assert sorted(p.name for p in (tmp_path / "out" / "trials").iterdir()) == ["0000", "0002"]
    assert said[1].endswith("; as trial 0")
    assert "trained once, as trial 0" in markdown(read(tmp_path / "out"))


class Dying(Here):
    """A runner whose processes die, in place of ones that take all memory."""

    def wait(self) -> list[tuple[int, dict[str, Any]]]:
        assert self._next is not None
        number, self._next = self._next[0], None
        return [(number, {"state": "lost", "died": True, "reason": "its process died (signal SIGKILL)"})]


def test_a_trial_that_kills_its_process_again_and_again_is_left(write: Write, tmp_path: Path) -> None:
    said: list[str] = []
    found = run(load(write("bits = [9]")), tmp_path / "out", runner=lambda folder: Dying(), say=said.append)
    assert found.unfinished == (0,)
    assert len(said) == 3
    assert said[-1] == "trial 0: not finished: its process died (signal SIGKILL), 3 times"
    assert found.trials[0].keys() == {"number", "params", "state", "folder", "search", "reason"}


def test_optuna_makes_trials_and_goes_on(write: Write, tmp_path: Path) -> None:
    space = "connectivity = {low = 0.1, high = 0.5, log = true}\nbits = {low = 8, high = 9}"
    run(load(write(space, "iterations = 2", search="nsga2", trials=2, population=2)), tmp_path / "parts")
    parts = run(
        load(write(space, "iterations = 2", search="nsga2", trials=3, population=2)), tmp_path / "parts", resume=True
    )
    whole = run(load(write(space, "iterations = 2", search="nsga2", trials=3, population=2)), tmp_path / "whole")
    assert [t["params"] for t in parts.trials] == [t["params"] for t in whole.trials]
    assert [t["accuracy"] for t in parts.trials] == [t["accuracy"] for t in whole.trials]
    assert parts.trials[2]["search"]["NSGAIISampler:generation"] == 1


def test_ctrl_c_keeps_what_is_done_and_a_resume_goes_on(neuro: Neuro, write: Write, tmp_path: Path) -> None:
    file, folder = (
        write("bits = [9]\nconnectivity = [0.2, 0.4]", "iterations = 150\nvalidate_every = 50"),
        tmp_path / "out",
    )
    with start("sweep", file, "-o", folder) as process:
        until(lambda: steps_of(folder / "trials" / "0000") > 10, "training", process)
        process.send_signal(signal.SIGINT)
        printed = process.communicate(timeout=60)[0]
    assert process.returncode == 130, printed
    assert "interrupted; nothing is lost. Go on with: --resume" in printed and "Traceback" not in printed
    trials = read(folder)["trials"]
    assert [t["state"] for t in trials] == ["running"]
    n = steps_of(folder / "trials" / "0000")
    assert 10 < n < 150
    assert [line["event"] for line in attempts(folder / "trials" / "0000")] == ["began", "interrupted"]
    done = neuro("sweep", file, "-o", folder, "--resume")
    assert done.exit_code == 0, done.output
    assert [t["state"] for t in read(folder)["trials"]] == ["done", "done"]
    assert steps_of(folder / "trials" / "0000") == 150


def test_what_a_result_tells() -> None:
    trials = (
        {"number": 0, "state": "done"},
        {"number": 1, "state": "lost"},
        {"number": 2, "state": "failed"},
        {"number": 3, "state": "running"},
    )
    found = Result(Path("x"), trials, (0,), False)
    assert found.unfinished == (1, 3)
    assert found.failed == (2,)
