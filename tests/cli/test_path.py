"""The main path through the command line: train, export, show, run, compare, each on what the one before wrote."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

import neuro as library
from neuro import recording as recordings
from neuro import tasks
from neuro.backend import Record, Stimulus
from tests.cli.conftest import RECIPE, Neuro

PARAMETERS = {"steps_per_pixel": 1, "cue_steps": 8, "decision_steps": 4}


def test_training_says_what_it_does_and_what_came_of_it(neuro: Neuro, tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_text(RECIPE)
    done = neuro(
        "train", tmp_path, "--out", tmp_path / "run", "--set", "train.lr=0.01", "--set", "name=mine", "--seed", "5"
    )
    assert done.exit_code == 0, done.output
    assert "mine: 12 LIF + 8 ALIF on digits, up to 6 steps of 16 samples, seed 5" in done.stdout
    assert "step 6/6: validation" in done.stdout
    assert re.search(r"test \d+\.\d % of 360 decisions in 360 of 360 samples, mean rate \d+\.\d Hz", done.stdout)
    assert f"next: neuro export {tmp_path / 'run'}" in done.stdout
    settings = json.loads((tmp_path / "run" / "run.json").read_text())
    assert settings["seed"] == 5
    assert settings["train"]["lr"] == 0.01
    assert settings["notes"]["name"] == "mine"


def test_run_goes_on_after_its_end_with_more_steps(neuro: Neuro, trained: Path, tmp_path: Path) -> None:
    arguments = ("train", trained / "recipe.toml", "--out", tmp_path / "run")
    assert neuro(*arguments).exit_code == 0
    refused = neuro(*arguments)
    assert refused.exit_code == 2
    assert "there is a run already. Resume it, or choose another folder." in refused.stderr
    more = neuro(*arguments, "--resume", "--set", "train.iterations=7")
    assert more.exit_code == 0, more.output
    assert re.search(r"ended after step 7: all steps done; \d+\.\d minutes of training steps", more.stdout)


def test_graph_knows_its_task_and_recipe(neuro: Neuro, trained: Path) -> None:
    graph = library.load(trained / "graph.h5")
    assert graph.name == "tiny"
    assert json.loads(graph.notes["task"]) == {
        "name": "digits",
        "params": {**PARAMETERS, "levels": 8, "max_shift": 0, "noise": 0},
        "seed": 0,
    }
    shown = neuro("show", trained / "graph.h5")
    assert shown.exit_code == 0
    assert shown.stdout.startswith(graph.summary())
    assert "task: digits (cue_steps 8" in shown.stdout
    recipe = neuro("show", trained / "graph.h5", "--recipe")
    assert "iterations = 6" in recipe.stdout
    assert recipe.stdout.startswith('name = "tiny"')


def test_export_reports_what_changed(neuro: Neuro, trained: Path, tmp_path: Path) -> None:
    done = neuro("export", trained / "run", "-o", tmp_path / "new" / "graph.h5", "--check", "16", "--last")
    assert done.exit_code == 0, done.output
    assert re.search(r"rasters: \d+ of 16 samples identical", done.stdout)
    assert "grid: largest change" in done.stdout
    blind = neuro("export", trained / "run", "-o", tmp_path / "blind.h5", "--check", "0")
    assert blind.exit_code == 0
    assert "rasters:" not in blind.stdout
    assert library.load(tmp_path / "blind.h5").sha256 == library.load(trained / "graph.h5").sha256


def test_run_records_what_the_library_gives(neuro: Neuro, trained: Path, tmp_path: Path) -> None:
    done = neuro("run", trained / "graph.h5", "-n", "12", "--traces", "-o", tmp_path / "recording.h5")
    assert done.exit_code == 0, done.output
    found = recordings.load(tmp_path / "recording.h5")
    graph, batch = library.load(trained / "graph.h5"), tasks.make("digits", **PARAMETERS).fixed("test", 0, 12)  # type: ignore[arg-type]
    expected = library.run(graph, Stimulus.dense({"in": batch.inputs}), record=Record(traces="all"))
    assert len(found.spikes["lif"]) > 20
    assert found.spikes["lif"] == expected.spikes["lif"]
    assert np.array_equal(found.traces["alif"]["a"], expected.traces["alif"]["a"])
    n_right, n = tasks.score(found.traces["out"]["y"], batch)
    assert f"({n_right} of {n} decisions)" in done.stdout
    assert f"{found.rate_hz('lif'):.2f} Hz" in done.stdout


def test_run_takes_another_backend_with_options(neuro: Neuro, trained: Path) -> None:
    slow = neuro("run", trained / "graph.h5", "-n", "3", "--backend", "reference")
    fast = neuro("run", trained / "graph.h5", "-n", "3", "--backend-option", "n_threads=1")
    assert slow.exit_code == fast.exit_code == 0, (slow.output, fast.output)

    def counted(text: str) -> list[str]:
        return [line for line in text.splitlines() if not re.search("wall time|versions|on (engine|reference)", line)]

    assert counted(slow.stdout) == counted(fast.stdout)


FOLDER = {
    "comparison.json", "comparison.md", "models.json", "models.md", "graph.h5", "recording.h5", "sample.h5", "answers.json",
}  # fmt: skip
"""What `neuro compare` writes of one graph, besides pictures."""


def test_compare_shows_parity_and_draws(neuro: Neuro, graph: Path) -> None:
    done = neuro("compare", graph, "--backends", "engine,reference", "-n", "8", "--sample", "5")
    assert done.exit_code == 0, done.output
    assert "digits, 8 test samples of 72 steps of 1 ms" in done.stdout
    assert "exact" in done.stdout
    folder = graph.parent / "graph-compare"
    assert {p.name for p in folder.iterdir()} == FOLDER | {"raster.png", "raster.svg"}
    picture = imread(folder / "raster.png")
    assert picture.ndim == 3
    assert min(picture.shape[:2]) > 500
    assert picture[..., :3].std() > 0.05, "the raster is blank"
    assert "<path" in (folder / "raster.svg").read_text()
    data = json.loads((folder / "comparison.json").read_text())
    assert data["rows"][0]["parity"]["exact"]
    assert data["rows"][0]["parity"]["n_spikes"] > 100


def test_compare_writes_where_it_is_told_and_without_pictures(neuro: Neuro, trained: Path, tmp_path: Path) -> None:
    done = neuro(
        "compare", trained / "graph.h5", "-b", "engine", "-n", "2", "--no-rasters", "-o", tmp_path / "deep" / "er"
    )
    assert done.exit_code == 0, done.output
    assert {p.name for p in (tmp_path / "deep" / "er").iterdir()} == FOLDER


def test_graph_made_by_hand_runs_on_a_task_that_is_named(neuro: Neuro, tmp_path: Path) -> None:
    b = library.Builder(name="by hand")
    b.spike_input("in", 17)
    b.lif("lif", 10)
    b.li("out", 10)
    b.connect("in", "lif", weight=0.5)
    b.connect("lif", "out", weight=np.eye(10))
    library.save(b.build(), tmp_path / "hand.h5")
    done = neuro("run", tmp_path / "hand.h5", "--task", "digits", "-n", "2", "--task-option", "steps_per_pixel=1")
    assert done.exit_code == 0, done.output
    assert "of 86 steps" in done.stdout
    refused = neuro("run", tmp_path / "hand.h5", "-n", "2")
    assert refused.exit_code == 2
    assert "its notes name no task" in refused.stderr
    assert "--task delayed_match|digits|evidence_accumulation|pattern_generation|smnist|store_recall" in refused.stderr


def test_run_tells_the_error_of_a_regression(neuro: Neuro, tmp_path: Path) -> None:
    b = library.Builder()
    b.spike_input("in", 100)
    b.li("out", 1)
    b.connect("in", "out", weight=0.001)
    library.save(b.build(), tmp_path / "hand.h5")
    done = neuro("run", tmp_path / "hand.h5", "--task", "pattern_generation", "-n", "1")
    assert done.exit_code == 0, done.output
    assert re.search(r"NMSE +\d+\.\d{4} \(sum of squares", done.stdout)
    assert "accuracy" not in done.stdout


def test_dense_baseline_trains_and_has_no_graph(neuro: Neuro, tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_text(
        RECIPE.replace("[model]\nn_lif = 12\nn_alif = 8", '[model]\nkind = "rnn"\nn_units = 8')
    )
    done = neuro("train", tmp_path, "--out", tmp_path / "run")
    assert done.exit_code == 0, done.output
    assert "rnn of 8 on digits" in done.stdout
    assert f"next: neuro export {tmp_path / 'run'} -o {tmp_path / 'run' / 'model.safetensors'}" in done.stdout
    refused = neuro("export", tmp_path / "run", "-o", tmp_path / "graph.h5")
    assert refused.exit_code == 2
    assert "no spiking network" in refused.stderr
    assert not (tmp_path / "graph.h5").exists()
    done = neuro("export", tmp_path / "run", "-o", tmp_path / "model.safetensors")
    assert done.exit_code == 0, done.output
    assert "rnn of 8, 298 parameters, sha256 " in done.stdout
    assert (tmp_path / "model.safetensors").stat().st_size > 4 * 298


@pytest.mark.parametrize("command", ["train", "learn", "export", "show", "run", "compare", "diff", "backends"])
def test_every_command_has_help(neuro: Neuro, command: str) -> None:
    done = neuro(command, "--help")
    assert done.exit_code == 0
    assert "Usage" in done.stdout
    assert command in neuro("--help").stdout


def test_version_is_the_librarys(neuro: Neuro) -> None:
    assert neuro("--version").stdout == f"neuro {library.__version__}\n"
