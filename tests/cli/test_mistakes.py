"""Every bad input ends with a message that says where, what and what to do, and with its exit code."""

from __future__ import annotations

import importlib.util
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

import neuro as library
from tests.cli.conftest import RECIPE, Neuro
from tests.report.strangers import offer


def told(neuro: Neuro, *arguments: object, code: int = 2) -> str:
    """Run a command that has to fail and return what it says, on one line."""
    done = neuro(*arguments)
    assert done.exit_code == code, (done.exit_code, done.output)
    assert "Traceback" not in done.output
    return " ".join(done.stderr.split())


@pytest.mark.parametrize(
    ("change", "texts"),
    [
        ("[train]\nitrations = 3", ["'itrations'", "Did you mean 'iterations'?"]),
        ("[trian]\niterations = 3", ["'trian'", "Did you mean 'train'?"]),
        ("[train]\niterations = -3", ["iterations", "got -3", "whole number >= 0"]),
        ("[train]\niterations = ", ["not TOML"]),
    ],
)
def test_recipe_with_a_mistake(neuro: Neuro, tmp_path: Path, change: str, texts: list[str]) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(RECIPE[: RECIPE.index("[train]")] + change + "\n")
    text = told(neuro, "train", path, "--out", tmp_path / "run")
    assert str(path) in text
    for wanted in texts:
        assert wanted in text
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("setting", "texts"),
    [
        ("train.lrr=0.1", ["train.lrr=0.1", "unknown key", "Did you mean 'lr'?"]),
        ("model.n_lif=-1", ["n_lif", "got -1"]),
        ("train.dtype=float16", ["dtype", "float16", "float32, float64"]),
        ("train.lr", ["--set: no setting (got 'train.lr'; need KEY=VALUE)"]),
        ("task.levels=99", ["levels", "99", "1..16"]),
        ("trane.lr=1", ["Did you mean 'train'?"]),
    ],
)
def test_setting_with_a_mistake(neuro: Neuro, trained: Path, tmp_path: Path, setting: str, texts: list[str]) -> None:
    text = told(neuro, "train", trained / "recipe.toml", "--out", tmp_path / "run", "--set", setting)
    for wanted in texts:
        assert wanted in text


def test_setting_given_twice(neuro: Neuro, trained: Path) -> None:
    assert "given twice" in told(neuro, "train", trained / "recipe.toml", "--set", "seed=1", "--seed", "2")
    assert "given twice" in told(neuro, "train", trained / "recipe.toml", "--set", "seed=1", "--set", "seed=2")


def test_missing_files_are_named(neuro: Neuro, tmp_path: Path) -> None:
    assert "recipe not found" in told(neuro, "train", tmp_path / "none.toml")
    for command in ("show", "run", "compare"):
        text = told(neuro, command, tmp_path / "none.h5")
        assert f"{tmp_path / 'none.h5'}: no such file" in text
    text = told(neuro, "export", tmp_path / "nowhere", "-o", tmp_path / "graph.h5")
    assert "no run.json" in text
    assert "need a folder that training wrote" in text


def test_corrupted_graph_is_refused(neuro: Neuro, graph: Path) -> None:
    whole = graph.read_bytes()
    graph.write_bytes(whole[: len(whole) // 2])
    assert "It is truncated or damaged" in told(neuro, "show", graph)
    graph.write_bytes(b"not a graph at all")
    assert "cannot be read" in told(neuro, "compare", graph)
    changed = bytearray(whole)
    at = whole.index(b"threshold")
    changed[at : at + 9] = b"adaptive\0"
    graph.write_bytes(changed)
    assert str(graph) in told(neuro, "run", graph)


def test_recording_is_not_taken_for_a_graph(neuro: Neuro, trained: Path, tmp_path: Path) -> None:
    assert neuro("run", trained / "graph.h5", "-n", "1", "-o", tmp_path / "recording.h5").exit_code == 0
    assert "another kind of file (got 'neuro-recording'; need 'neuro-graph')" in told(
        neuro, "show", tmp_path / "recording.h5"
    )


def test_unknown_backend_gets_the_nearest_name(neuro: Neuro, trained: Path) -> None:
    graph = trained / "graph.h5"
    for arguments in (("run", graph, "--backend", "brain2"), ("compare", graph, "--backends", "engine,brain2")):
        text = told(neuro, *arguments)
        assert "backend 'brain2': not installed" in text
        assert "Did you mean 'brian2'?" in text
    assert "Did you mean 'engine'?" in told(neuro, "backends", "check", "engin")
    assert "Did you mean 'lava'?" in told(neuro, "backends", "install", "lavaa")


def test_task_that_is_unknown_or_does_not_fit(neuro: Neuro, trained: Path) -> None:
    graph = trained / "graph.h5"
    assert "Did you mean 'digits'?" in told(neuro, "run", graph, "--task", "digitz")
    text = told(neuro, "compare", graph, "--task", "store_recall", "--no-rasters")
    assert "task 'store_recall' on graph 'tiny': inputs do not fit" in text
    assert "need one SpikeInput of size 100" in text
    assert "steps_per_pixle" in told(neuro, "run", graph, "--task-option", "steps_per_pixle=2")


def test_notes_that_do_not_help_are_told(neuro: Neuro, graph: Path) -> None:
    net = library.load(graph)
    for note in ("not JSON", "[1, 2]", '{"params": {}}'):
        library.save(net.with_notes(task=note), graph)
        assert "note 'task' cannot be read" in told(neuro, "run", graph)
    library.save(replace(net, notes={}), graph)
    assert "holds no recipe" in told(neuro, "show", graph, "--recipe")


def test_export_without_a_task_needs_no_check(neuro: Neuro, trained: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(trained / "run", tmp_path / "run"))
    settings = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps({**settings, "notes": {}}))
    assert "Export with --check 0" in told(neuro, "export", run, "-o", tmp_path / "graph.h5")
    assert neuro("export", run, "-o", tmp_path / "graph.h5", "--check", "0").exit_code == 0
    assert library.load(tmp_path / "graph.h5").name == "run"


def test_more_samples_than_there_are(neuro: Neuro, trained: Path, tmp_path: Path) -> None:
    graph = trained / "graph.h5"
    for command in ("run", "compare"):
        text = told(neuro, command, graph, "--samples", "400", "-o", tmp_path / "out")
        assert "split 'test'" in text
        assert "360" in text
    assert "Did you mean 'test'?" in told(neuro, "run", graph, "--split", "tets")
    assert "sample is not among those that run" in told(neuro, "compare", graph, "-n", "3", "--sample", "3")


def test_data_that_is_missing_is_named(neuro: Neuro, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NEURO_DATA", raising=False)
    (tmp_path / "recipe.toml").write_text('[task]\nname = "smnist"\n')
    text = told(neuro, "train", tmp_path, "--data", tmp_path)
    assert "train-images" in text
    assert str(tmp_path) in text


@pytest.mark.parametrize(
    ("option", "text"),
    [
        ("n_thread=2", "option not known (got n_thread"),
        ("lava.target=x", "need BACKEND.KEY with one of engine"),
        ("engine.=2", "need BACKEND.KEY"),
        ("n_threads", "--backend-option: no setting"),
        ("n_threads=0", "n_threads out of range (got 0; need 1..1024)"),
    ],
)
def test_backend_option_with_a_mistake(neuro: Neuro, trained: Path, option: str, text: str) -> None:
    assert text in told(neuro, "run", trained / "graph.h5", "-n", "1", "--backend-option", option)


def test_target_is_of_backend_lava(neuro: Neuro, trained: Path) -> None:
    graph = trained / "graph.h5"
    for arguments in (("run", graph), ("compare", graph, "-b", "engine,reference", "--no-rasters")):
        text = told(neuro, *arguments, "-n", "1", "--target", "hardware")
        assert "--target: says where backend lava runs (got backend engine" in text
        assert "need lava). Leave it out, or choose lava." in text


def test_target_is_an_option_of_backend_lava(neuro: Neuro, trained: Path) -> None:
    text = told(neuro, "run", trained / "graph.h5", "-n", "1", "-b", "lava", "--target", "hardware")
    assert "backend 'lava': target 'hardware' cannot be reached (got no lava-loihi in " in text
    assert "unknown target (got 'chip'; need one of simulation, hardware)" in told(
        neuro, "run", trained / "graph.h5", "-n", "1", "-b", "lava", "--target", "chip"
    )


def test_missing_matplotlib_is_told_before_anything_runs(
    neuro: Neuro, graph: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name == "matplotlib" else real(name, *a))
    text = told(neuro, "compare", graph, "-b", "engine", "-n", "1")
    assert "pip install 'neuro[report]'" in text
    assert "--no-rasters" in text
    assert neuro("compare", graph, "-b", "engine", "-n", "1", "--no-rasters").exit_code == 0


def test_folder_that_cannot_be_written_is_named(neuro: Neuro, trained: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for arguments in (
        ("run", trained / "graph.h5", "-n", "1", "-o", tmp_path / "file" / "recording.h5"),
        ("compare", trained / "graph.h5", "-n", "1", "-b", "engine", "--no-rasters", "-o", tmp_path / "file" / "out"),
    ):
        assert str(tmp_path / "file") in told(neuro, *arguments)


def test_damaged_checkpoint_is_refused(neuro: Neuro, trained: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(trained / "run", tmp_path / "run"))
    (tensors,) = run.glob("*.safetensors")
    tensors.write_bytes(tensors.read_bytes()[:100])
    assert "missing or damaged" in told(neuro, "export", run, "-o", tmp_path / "graph.h5")


def test_debug_adds_the_traceback_wherever_it_stands(neuro: Neuro, tmp_path: Path) -> None:
    for arguments in (("--debug", "show", tmp_path / "none.h5"), ("show", tmp_path / "none.h5", "--debug")):
        done = neuro(*arguments)
        assert done.exit_code == 2
        assert "Traceback (most recent call last)" in done.stderr
        assert done.stderr.rstrip().endswith("Check the path.")


def test_unknown_command_and_option_are_usage_errors(neuro: Neuro) -> None:
    assert neuro("trian").exit_code == 2
    assert neuro("show", "--nonsense", "x").exit_code == 2


# ------------------------------------------------------------------------------------------ backends that misbehave


@pytest.fixture
def strangers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    offer(tmp_path, monkeypatch)


@pytest.mark.usefixtures("strangers")
def test_backend_that_differs_is_exit_1_with_the_place(neuro: Neuro, graph: Path) -> None:
    done = neuro("compare", graph, "-b", "engine,differs", "-n", "4", "--allow-missing")
    assert done.exit_code == 1
    text = " ".join(done.stdout.split())
    assert "differs: first difference at step 40, sample 3, population 'lif', neuron 2, state z: engine" in text
    assert (graph.parent / "graph-compare" / "raster-differs.png").exists()


@pytest.mark.usefixtures("strangers")
def test_backend_that_breaks_is_exit_1_and_the_others_are_shown(neuro: Neuro, graph: Path) -> None:
    done = neuro("compare", graph, "-b", "breaks,engine,reference", "-n", "4", "--no-rasters")
    assert done.exit_code == 1
    assert "ZeroDivisionError: in the simulator" in done.stdout
    assert "exact" in done.stdout


@pytest.mark.usefixtures("strangers")
def test_missing_backend_is_exit_3_unless_allowed(neuro: Neuro, graph: Path) -> None:
    arguments = ("compare", graph, "-b", "engine,absent,reference", "-n", "4", "--no-rasters")
    done = neuro(*arguments)
    assert done.exit_code == 3
    assert "pip install absent" in " ".join(done.stdout.split())
    assert "exact" in done.stdout
    assert neuro(*arguments, "--allow-missing").exit_code == 0


@pytest.mark.usefixtures("strangers")
def test_rough_backend_is_told_and_is_no_failure(neuro: Neuro, graph: Path) -> None:
    done = neuro("compare", graph, "-b", "engine,rough", "-n", "4", "--no-rasters")
    assert done.exit_code == 0
    assert "reported, not asserted" in " ".join(done.stdout.split())


@pytest.mark.usefixtures("strangers")
def test_interrupt_is_exit_130_without_a_traceback(neuro: Neuro, graph: Path) -> None:
    for arguments in (("compare", graph, "-b", "engine,stopped"), ("run", graph, "--backend", "stopped")):
        done = neuro(*arguments, "-n", "4")
        assert done.exit_code == 130
        assert done.stderr.splitlines()[-1] == "interrupted"
        assert "Traceback" not in done.output
    assert not (graph.parent / "graph-compare").exists()


@pytest.mark.usefixtures("strangers")
def test_check_of_a_missing_backend_is_exit_3(neuro: Neuro) -> None:
    done = neuro("backends", "check", "absent")
    assert done.exit_code == 3
    assert "absent: not available" in done.stdout
    assert "pip install absent" in done.stdout


def test_check_of_one_backend(neuro: Neuro) -> None:
    done = neuro("backends", "check", "engine")
    assert done.exit_code == 0
    assert done.stdout.startswith("engine: ready (")


@pytest.mark.usefixtures("strangers")
def test_list_names_every_backend_and_why_one_is_missing(neuro: Neuro) -> None:
    done = neuro("backends")
    assert done.exit_code == 0, done.output
    text = " ".join(done.stdout.split())
    for name in ("engine", "reference", "brian2", "lava", "absent", "unimportable"):
        assert name in text
    assert "absent: backend 'absent': its simulator is not installed" in text
    assert "no_such_package_at_all" in text
    assert "explodes: OSError: its library is broken" in text


def test_installing_what_needs_no_environment_says_so(neuro: Neuro) -> None:
    done = neuro("backends", "install", "engine")
    assert done.exit_code == 0, done.output
    assert "engine: needs no environment of its own" in done.stdout
