"""`neuro measure`: graphs and dense models, with a meter and without, and what is refused."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

import neuro as library
from neuro import measure
from neuro.measure import Absent, Found
from neuro.tasks import make
from neuro.train import evaluate, load_run
from tests.cli.conftest import RECIPE, Neuro

QUICK = ("-r", "2", "--warmup", "1", "--idle", "0.1", "--seconds", "0")
NONE = Found((), (Absent("rapl", "no counters here"), Absent("nvml", "no GPU here")))


class Processor:
    """A meter that takes 5 W, and 20 W more while this process computes."""

    name, covers, domains = "rapl", "this process", ("package-0",)

    def start(self) -> Any:
        first = self.joules()

        class Window:
            def stop(self) -> dict[str, float]:
                return {"package-0": Processor.joules() - first}

        return Window()

    @staticmethod
    def joules() -> float:
        return 5 * time.perf_counter() + 20 * time.process_time()

    def close(self) -> None:
        pass


@pytest.fixture(autouse=True)
def _no_meter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the machine that runs the tests can measure, these tests say."""
    monkeypatch.setattr(measure, "meters", lambda: NONE)


@pytest.fixture(scope="module")
def dense(tmp_path_factory: pytest.TempPathFactory, neuro: Neuro) -> Path:
    """Return a folder with a short run of an LSTM."""
    folder = tmp_path_factory.mktemp("dense")
    (folder / "recipe.toml").write_text(
        RECIPE.replace("n_lif = 12\nn_alif = 8", 'kind = "lstm"\nn_units = 8').replace('"tiny"', '"tiny lstm"')
    )
    done = neuro("train", folder / "recipe.toml", "--out", folder / "run")
    assert done.exit_code == 0, done.output
    return folder / "run"


def ran(neuro: Neuro, file: Path, *arguments: object) -> tuple[str, dict[str, Any]]:
    """Return what was printed, in one line, and the file."""
    done = neuro("measure", *QUICK, "-o", file, *arguments)
    assert done.exit_code == 0, done.output
    return " ".join(done.stdout.split()), json.loads(file.read_text())


def test_without_a_counter_time_alone_is_told_and_why(neuro: Neuro, graph: Path, tmp_path: Path) -> None:
    text, data = ran(neuro, tmp_path / "m.json", graph, "-n", "7")
    assert "digits, 7 test samples of 72 steps of 1 ms, 7 at once, on engine" in text
    assert "not measured rapl: no counters here" in text
    assert "not measured nvml: no GPU here" in text
    assert "energy," not in text
    assert f"measured: {tmp_path / 'm.json'}" in text
    assert data["joules"] is None
    assert data["idle_w"] is None
    assert data["seconds"]["median"] > 0
    assert [a["meter"] for a in data["absent"]] == ["rapl", "nvml"]
    assert data["about"]["sha256"] == library.load(graph).sha256
    assert (data["model"], data["about"]["kind"], data["backend"]) == (graph.parent.name, "spiking", "engine")
    assert (data["n_samples"], data["batch"], data["repeats"]) == (7, 7, 2)
    assert data["task"]["name"] == "digits"
    assert data["task"]["params"]["cue_steps"] == 8
    assert data["versions"]["neuro"] == library.__version__


def test_energy_above_idle_is_told_where_there_is_a_meter(
    neuro: Neuro, graph: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measure, "meters", lambda: Found((Processor(),), NONE.absent[1:]))
    text, data = ran(
        neuro, tmp_path / "m.json", graph, "-n", "50", "--seconds", "0.2", "--backend-option", "n_threads=1"
    )
    assert "energy, rapl" in text
    assert "an inference above idle" in text
    joules = data["joules"]
    assert data["idle_w"] == pytest.approx(5.0, rel=0.2)
    # what a second of computing takes more; on a busy machine a second is less than a second of computing
    assert 1.0 < joules["median"] / data["seconds"]["median"] < 21.0
    assert joules["gross"]["median"] > joules["median"]
    assert joules["per_inference"]["median"] == pytest.approx(joules["median"] / 50)
    assert joules["by_meter"]["rapl"]["median"] == joules["median"]
    assert data["n_calls"] > 1


def test_samples_a_few_at_once_are_the_same_samples(neuro: Neuro, graph: Path, tmp_path: Path) -> None:
    _, whole = ran(neuro, tmp_path / "a.json", graph, "-n", "20")
    text, parts = ran(neuro, tmp_path / "b.json", graph, "-n", "20", "--batch", "8", "-b", "reference")
    assert "8 at once, on reference" in text
    assert (whole["score"]["n_right"], whole["score"]["n_decisions"]) == (
        parts["score"]["n_right"],
        parts["score"]["n_decisions"],
    )
    assert whole["score"]["n_decisions"] == 20


def test_dense_model_of_a_run_is_run_by_torch(neuro: Neuro, dense: Path, tmp_path: Path) -> None:
    text, data = ran(neuro, tmp_path / "m.json", dense, "-n", "40", "--batch", "16")
    assert "on torch" in text
    task = make("digits", steps_per_pixel=1, cue_steps=8, decision_steps=4)
    assert data["score"]["accuracy"] == pytest.approx(evaluate(load_run(dense), task, limit=40).accuracy)
    assert (data["model"], data["about"]["kind"], data["backend"]) == ("run", "lstm", "torch")
    assert data["options"]["device"] == "cpu"
    assert data["versions"]["torch"]


def test_file_of_a_dense_model_is_the_model_of_its_run(neuro: Neuro, dense: Path, tmp_path: Path) -> None:
    done = neuro("export", dense, "-o", tmp_path / "lstm.safetensors")
    assert done.exit_code == 0, done.output
    _, whole = ran(neuro, tmp_path / "a.json", dense, "-n", "30", "--device", "cpu")
    _, file = ran(neuro, tmp_path / "b.json", tmp_path / "lstm.safetensors", "-n", "30")
    assert (file["model"], file["about"]["kind"]) == ("lstm", "lstm")
    assert file["about"]["sha256"] == whole["about"]["sha256"] != ""
    assert file["score"]["n_right"] == whole["score"]["n_right"]


def test_spiking_run_is_exported_for_this_once(neuro: Neuro, trained: Path, tmp_path: Path) -> None:
    before = sorted(p.name for p in (trained / "run").iterdir())
    _, data = ran(neuro, tmp_path / "m.json", trained / "run", "-n", "4")
    assert data["about"]["sha256"] == library.load(trained / "graph.h5").sha256
    assert sorted(p.name for p in (trained / "run").iterdir()) == before


def test_folder_with_a_graph_gets_its_file_beside_it(neuro: Neuro, graph: Path) -> None:
    done = neuro("measure", graph.parent, "-n", "3", *QUICK)
    assert done.exit_code == 0, done.output
    assert json.loads((graph.parent / "measured.json").read_text())["n_samples"] == 3
    (graph.parent / "measured.json").unlink()
    assert neuro("measure", graph, "-n", "3", *QUICK).exit_code == 0
    assert (graph.parent / "measured.json").exists()


def test_error_of_a_regression_is_told(neuro: Neuro, tmp_path: Path) -> None:
    b = library.Builder()
    b.spike_input("in", 100)
    b.li("out", 1)
    b.connect("in", "out", weight=0.001)
    library.save(b.build(), tmp_path / "hand.h5")
    text, data = ran(neuro, tmp_path / "m.json", tmp_path / "hand.h5", "--task", "pattern_generation", "-n", "1")
    assert f"NMSE {data['score']['nmse']:.4f}" in text
    assert data["score"]["nmse"] > 0
    assert data["score"]["accuracy"] is None


def test_mistakes_are_told(neuro: Neuro, graph: Path, dense: Path, tmp_path: Path) -> None:
    def refused(*arguments: object) -> str:
        done = neuro("measure", *QUICK, "-o", tmp_path / "m.json", *arguments)
        assert done.exit_code == 2, done.output
        assert not (tmp_path / "m.json").exists()
        return " ".join(done.stderr.split())

    (tmp_path / "empty").mkdir()
    assert "no model" in refused(tmp_path / "empty")
    assert "no file (got a folder; need the name of a file)" in refused(graph, "-o", tmp_path / "empty")
    (tmp_path / "file").write_text("here")
    told = refused(graph, "-o", tmp_path / "file" / "m.json")
    assert f"{tmp_path / 'file'}: no folder (got a file" in told
    assert "no such file" in refused(tmp_path / "none.h5")
    assert "a dense model runs in torch (got 'engine' with" in refused(dense, "-b", "engine")
    assert "--device: only for dense models (got 'cuda' with a graph" in refused(graph, "--device", "cuda")
    assert "device 'cude': not here (got torch " in refused(dense, "--device", "cude")
    assert "no such backend" in refused(graph, "--backend-option", "brian2.target=cython")
    assert "'idle_s' out of range (got 0.0" in refused(graph, "--idle", "0")
