"""`neuro compare` of several models: graphs, dense models, runs and folders that hold them; and what is wrong with them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import neuro as library
from tests.cli.conftest import RECIPE, Neuro
from tests.report.strangers import offer


@pytest.fixture(scope="session")
def dense_run(tmp_path_factory: pytest.TempPathFactory, neuro: Neuro) -> Path:
    """Return the run of a tiny LSTM on the digits of RECIPE, trained with noise; do not write into it."""
    folder = tmp_path_factory.mktemp("dense")
    recipe = RECIPE.replace("[model]\nn_lif = 12\nn_alif = 8", 'noise = 2\n[model]\nkind = "lstm"\nn_units = 6')
    (folder / "recipe.toml").write_text(recipe)
    done = neuro("train", folder / "recipe.toml", "--out", folder / "tiny_lstm")
    assert done.exit_code == 0, done.output
    assert "next: neuro export" in done.stdout
    return folder / "tiny_lstm"


@pytest.fixture
def dense_file(dense_run: Path, tmp_path: Path, neuro: Neuro) -> Path:
    path = tmp_path / "lstm_of_file.safetensors"
    assert neuro("export", dense_run, "-o", path).exit_code == 0
    return path


@pytest.fixture
def told(neuro: Neuro) -> Callable[..., str]:
    """Return a function that runs `neuro compare`, expects an exit code, and gives what was said, in one line."""

    def run(*arguments: Any, code: int = 0) -> str:
        done = neuro("compare", *arguments)
        assert done.exit_code == code, done.output
        return " ".join((done.stdout if code in (0, 1, 3) else done.stderr).split())

    return run


def read(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "models.json").read_text())
    return found


def test_graph_run_dense_run_and_dense_file_side_by_side(
    told: Callable[..., str], trained: Path, dense_run: Path, dense_file: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    text = told(
        trained / "graph.h5",
        trained / "run",
        dense_run,
        dense_file,
        "-n",
        "20",
        "--devices",
        "digital45",
        "-o",
        out,
        "--no-rasters",
    )
    data = read(out)
    assert [(m["name"], m["kind"]) for m in data["models"]] == [
        (trained.name, "spiking"), ("run", "spiking"), ("tiny_lstm", "lstm"), ("lstm_of_file", "lstm"),
    ]  # fmt: skip
    of_file, of_run, lstm, lstm_file = data["models"]
    assert of_run["sha256"] == of_file["sha256"] == library.load(trained / "graph.h5").sha256
    assert lstm_file["sha256"] == lstm["sha256"]
    assert lstm_file["energy"] == lstm["energy"]
    assert lstm["n_parameters"] == 4 * 6 * (17 + 6 + 1) + 10 * (6 + 1)
    assert lstm["energy"]["digital45"]["dynamic"]["value"] > 0
    assert data["command"].startswith(f"neuro compare {trained / 'graph.h5'} {trained / 'run'} ")
    assert "--samples 20 --output" in data["command"]
    assert "--devices digital45 --no-rasters" in data["command"]
    assert f"models.json, models.md; a folder each: {trained.name}, run, tiny_lstm, lstm_of_file" in text
    assert "digits, 20 test samples of 72 steps" in text
    assert "estimated from counts and published figures" in text


def test_one_dense_model_alone(told: Callable[..., str], dense_file: Path) -> None:
    told(dense_file, "-n", "5")
    folder = dense_file.with_name("lstm_of_file-compare")
    assert {p.name for p in folder.iterdir()} == {"models.json", "models.md", "answers.json"}
    assert read(folder)["models"][0]["backends"]["torch"]["status"] == "ok"


def test_folder_is_its_graph_or_its_dense_model(
    told: Callable[..., str], graph: Path, dense_file: Path, tmp_path: Path
) -> None:
    for name, file, inside in (("a", graph, "graph.h5"), ("b", dense_file, "model.safetensors")):
        (tmp_path / name).mkdir()
        shutil.copy(file, tmp_path / name / inside)
    told(tmp_path / "a", tmp_path / "b", tmp_path / "a" / "graph.h5", "-n", "3", "-o", tmp_path / "out", "--no-rasters")
    models = read(tmp_path / "out")["models"]
    assert [m["name"] for m in models] == ["a", "b", "a-2"]
    assert [m["folder"] for m in models] == ["a", "b", "a-2"]
    told(tmp_path / "a", "-b", "engine", "-n", "2", "--no-rasters")
    assert (tmp_path / "a-compare" / "models.json").exists()


def test_several_models_run_on_the_engine_and_into_compare(
    told: Callable[..., str], graph: Path, dense_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    told(graph, dense_file, "-n", "2")
    data = read(tmp_path / "compare")
    assert [list(m["backends"]) for m in data["models"]] == [["engine"], ["torch"]]
    assert (tmp_path / "compare" / data["models"][0]["folder"] / "raster.png").exists()


def test_devices_and_step_time_are_chosen(told: Callable[..., str], graph: Path, tmp_path: Path) -> None:
    arguments = (graph, "-b", "engine", "-n", "2", "--no-rasters", "-o", tmp_path / "out")
    assert "estimated" not in told(*arguments, "--devices", "none")
    assert read(tmp_path / "out")["devices"] == []
    told(*arguments, "--devices", "all", "--step-time-us", "20")
    data = read(tmp_path / "out")
    assert {"loihi", "digital45"} < set(data["devices"])
    assert data["step_time_s"] == pytest.approx(2e-5)
    assert data["models"][0]["energy"]["digital45"]["latency_s"] == pytest.approx(72 * 2e-5)
    assert "refused" in data["models"][0]["energy"]["loihi"]
    text = told(*arguments)
    assert "device 'loihi': needs a placement on the chip's cores" in text
    assert read(tmp_path / "out")["devices"] == ["loihi", "digital45"]


def test_training_noise_is_no_other_task(
    told: Callable[..., str], graph: Path, dense_run: Path, tmp_path: Path
) -> None:
    told(graph, dense_run, "-n", "2", "--no-rasters", "-o", tmp_path / "out")
    given = library.load(graph).with_notes(
        task=json.dumps(
            {"name": "digits", "params": {"steps_per_pixel": 1, "cue_steps": 8, "decision_steps": 4, "levels": 8}}
        )
    )
    library.save(given, graph)
    told(graph, dense_run, "-n", "2", "--no-rasters", "-o", tmp_path / "out")


def test_models_of_different_tasks_are_refused_with_both(
    told: Callable[..., str], graph: Path, dense_run: Path, tmp_path: Path
) -> None:
    other = tmp_path / "slow.h5"
    params = {"steps_per_pixel": 2, "cue_steps": 8, "decision_steps": 4}
    library.save(library.load(graph).with_notes(task=json.dumps({"name": "digits", "params": params})), other)
    text = told(graph, dense_run, other, "-n", "2", code=2)
    assert "models of different tasks (got" in text
    assert "'slow': digits with cue_steps=8, decision_steps=4, steps_per_pixel=2" in text
    assert "need the same test samples for all" in text
    told(graph, other, "-n", "2", "--task", "digits", "--task-option", "steps_per_pixel=1", "-o", tmp_path / "out")
    library.save(library.load(graph).with_notes(task=json.dumps({"name": "store_recall"})), other)
    assert "'slow': store_recall with defaults" in told(graph, other, "-n", "2", code=2)


def test_what_holds_no_model_is_refused(
    told: Callable[..., str], graph: Path, dense_file: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    assert (
        f"{tmp_path / 'empty'}: holds no model (got a folder without graph.h5, model.safetensors or run.json"
        in told(tmp_path / "empty", code=2)
    )
    assert "none.safetensors: no such file" in told(graph, tmp_path / "none.safetensors", code=2)
    dense_file.write_bytes(dense_file.read_bytes()[:500])
    assert "file cannot be read" in told(graph, dense_file, code=2)


def test_mistakes_in_devices_and_step_time(told: Callable[..., str], graph: Path) -> None:
    assert "Did you mean 'loihi'?" in told(graph, "--devices", "lohi", code=2)
    assert "device 'loihi2': cannot be priced" in told(graph, "--devices", "loihi2", code=2)
    assert "step time: out of range (got 0 s; need more than 0" in told(graph, "--step-time-us", "0", code=2)
    assert "step time: out of range (got 1e+294 s" in told(graph, "--step-time-us", "1e300", code=2)
    assert not (graph.parent / "graph-compare").exists()


def test_two_files_of_one_recording_are_no_models(
    told: Callable[..., str], neuro: Neuro, graph: Path, tmp_path: Path
) -> None:
    assert neuro("run", graph, "-n", "1", "-o", tmp_path / "recording.h5").exit_code == 0
    assert "another kind of file (got 'neuro-recording'; need 'neuro-graph')" in told(
        graph, tmp_path / "recording.h5", code=2
    )


@pytest.mark.usefixtures("strangers")
def test_exit_codes_are_those_of_the_worst_model(
    told: Callable[..., str], graph: Path, dense_file: Path, tmp_path: Path
) -> None:
    common = (graph, dense_file, "-n", "4", "--no-rasters", "-o", tmp_path / "out")
    assert "differs: first difference at step 40, sample 3" in told(*common, "-b", "engine,differs", code=1)
    data = read(tmp_path / "out")
    assert data["models"][0]["backends"]["differs"]["parity"] == "differs"
    assert "first difference at step 40, sample 3" in data["models"][0]["backends"]["differs"]["text"]
    assert "pip install absent" in told(*common, "-b", "engine,absent", code=3)
    told(*common, "-b", "engine,absent", "--allow-missing", code=0)
    told(*common, "-b", "engine,rough", code=0)
    assert read(tmp_path / "out")["models"][0]["backends"]["rough"]["parity"] == "differs"


@pytest.fixture
def strangers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    offer(tmp_path, monkeypatch)


@pytest.mark.usefixtures("strangers")
def test_find_explains_the_model_that_parts(
    told: Callable[..., str], graph: Path, dense_file: Path, tmp_path: Path
) -> None:
    twin = Path(shutil.copy(graph, tmp_path / "twin.h5"))
    out = tmp_path / "out"
    text = told(graph, twin, dense_file, "-b", "engine,late", "-n", "4", "--find", "--no-rasters", "-o", out, code=1)
    assert "late leaves the golden model" in text
    assert (out / "twin" / "divergence.md").exists()
    text = told(graph, twin, "-b", "engine,reference", "-n", "2", "--find", "--no-rasters", "-o", out)
    assert "find: twin: no two backends differ" in text


def test_a_place_that_cannot_be_written_is_told_before_anything_runs(
    told: Callable[..., str], graph: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("here")
    text = told(graph, "-n", "2", "-o", tmp_path / "file", code=2)
    assert f"{tmp_path / 'file'}: no folder (got a file; need a folder, or a new name)" in text
    text = told(graph, "-n", "2", "-o", tmp_path / "file" / "deeper" / "out", code=2)
    assert f"{tmp_path / 'file' / 'deeper' / 'out'}: Not a directory" in text
    assert "models:" not in text
    assert told(graph, "-n", "2", "-b", "nothere", "-o", tmp_path / "new" / "out", code=2)
    assert not (tmp_path / "new").exists()


def test_a_folder_of_something_else_is_not_written_over(
    told: Callable[..., str], graph: Path, dense_file: Path, tmp_path: Path
) -> None:
    zoo, graph = tmp_path / "zoo", Path(shutil.copy(graph, tmp_path / "net.h5"))
    (zoo / "net").mkdir(parents=True)
    held = zoo / "net" / "graph.h5"
    held.write_text("another net")
    common = ("-n", "2", "--no-rasters", "-b", "engine")
    text = told(graph, *common, "-o", held.parent, code=2)
    assert f"{held.parent}: holds files that no comparison wrote (got graph.h5; need a folder without them)" in text
    assert str(held.parent) in told(graph, dense_file, *common, "-o", zoo, code=2)
    assert held.read_text() == "another net"
    assert sorted(p.name for p in zoo.iterdir()) == ["net"]


def test_nothing_of_an_older_comparison_is_left(
    told: Callable[..., str], graph: Path, dense_file: Path, tmp_path: Path
) -> None:
    graph = Path(shutil.copy(graph, tmp_path / "net.h5"))
    out, common = tmp_path / "out", ("-n", "2", "-b", "engine", "-o", tmp_path / "out")
    told(graph, *common)
    assert {"graph.h5", "recording.h5", "raster.png", "comparison.md"} <= {p.name for p in out.iterdir()}
    (out / "notes.txt").write_text("mine")
    told(dense_file, *common)
    assert sorted(p.name for p in out.iterdir()) == ["answers.json", "models.json", "models.md", "notes.txt"]
    told(graph, dense_file, *common, "--no-rasters")
    assert {p.name for p in out.iterdir()} == {"net", dense_file.stem, "models.json", "models.md", "notes.txt"}
    told(graph, *common, "--no-rasters")
    assert not (out / "net").exists()
    assert (out / "notes.txt").read_text() == "mine"
