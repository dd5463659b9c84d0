"""One trial: what it counts, that it goes on where it stopped, and what a failure leaves."""

from __future__ import annotations

import json
import shutil
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import neuro
from neuro.backend import Record, Stimulus
from neuro.deploy import placement, profile
from neuro.errors import DataError
from neuro.metrics import device, estimate, workload
from neuro.metrics.energy import DYNAMIC
from neuro.recipe import loads
from neuro.sweep.order import ATTEMPTS, ORDER, TRIAL, Order, attempts, held
from neuro.sweep.trial import run_trial
from neuro.tasks import score
from neuro.train import LSNN, fit, load_run
from tests.sweep.conftest import RECIPE

ORDERED: dict[str, Any] = {
    "number": 3, "params": {"bits": 9}, "recipe": RECIPE, "bits": 9, "profile": "loihi1", "calibration_runs": 1, "device": "loihi",
    "step_time_s": None, "samples": 40, "data": None,
}  # fmt: skip


def ordered(folder: Path, **changes: Any) -> Path:
    Order(**{**ORDERED, **changes}).write(folder)
    return folder


def test_counts_and_energy_are_those_of_the_graph_that_it_leaves(tmp_path: Path) -> None:
    found = run_trial(ordered(tmp_path / "t", step_time_s=50e-6))
    graph = neuro.load(tmp_path / "t" / "graph.h5")
    assert graph.semantics == "integer" and neuro.load(tmp_path / "t" / "float.h5").semantics == "float"
    assert found["sha256"] == graph.sha256 and found["n_synapses"] == graph.n_synapses
    batch = loads(RECIPE).make_task().fixed("validation", 0, 40)
    recording = neuro.run(graph, Stimulus.dense({"in": batch.inputs}, graph), "engine", Record(traces={"out": ("y",)}))
    assert sum(map(len, recording.spikes.values())) > 1000  # not vacuous
    right, asked = score(recording.traces["out"]["y"], batch)
    assert (found["n_right"], found["n_decisions"], found["n_samples"]) == (right, asked, 40)
    assert found["accuracy"] == right / asked
    placed = placement(graph, profile("loihi1"))
    energy = estimate(workload(graph, recording, placed=placed, mesh=device("loihi").mesh), "loihi", step_time_s=50e-6)
    assert found["energy"] == {"low": energy.dynamic.low, "value": energy.dynamic.value, "high": energy.dynamic.high}
    parts = [found["parts"][name].get("value", 0.0) for name in DYNAMIC]
    assert sum(parts) == pytest.approx(found["energy"]["value"], rel=1e-12) and min(parts[:3]) > 0
    assert found["latency_s"] == pytest.approx(72 * 50e-6)
    assert found["n_cores"] == placed.n_cores == 1
    assert found["state"] == "done" and found["attempts"] == 1 and found["limits"] == []
    assert json.loads((tmp_path / "t" / TRIAL).read_text()) == found


def test_a_float_trial_is_the_trained_net_itself(tmp_path: Path) -> None:
    found = run_trial(ordered(tmp_path / "t", bits="float", params={"bits": "float"}, device="digital45", samples=None))
    graph = neuro.load(tmp_path / "t" / "graph.h5")
    assert graph.semantics == "float" and not (tmp_path / "t" / "float.h5").exists()
    assert found["n_samples"] == loads(RECIPE).make_task().sizes["validation"]
    model = load_run(tmp_path / "t")
    assert isinstance(model, LSNN)
    assert graph.n_synapses == int((model.weights() != 0).sum())
    assert found["energy"]["value"] > 0 and found["n_cores"] == 0


def test_fewer_bits_reach_the_graph(tmp_path: Path) -> None:
    run_trial(ordered(tmp_path / "t", bits=4, params={"bits": 4}))
    weights = [c.weight for c in neuro.load(tmp_path / "t" / "graph.h5").projections if not c.name.endswith(".reset")]
    assert sum(map(len, weights)) > 50
    assert all(not (w % 32).any() for w in weights)


def test_a_trial_that_stopped_goes_on_and_gives_the_same(tmp_path: Path) -> None:
    whole = run_trial(ordered(tmp_path / "whole"))
    recipe = loads(RECIPE)
    folder = ordered(tmp_path / "parts")
    # As a process that was killed after its first checkpoint leaves it.
    first = fit(
        recipe.make_task(), folder, model=recipe.model, train=replace(recipe.train, iterations=2), deep_r=recipe.deep_r, seed=3, progress=False,
        echo=lambda line: None,
    )  # fmt: skip
    assert first.iterations == 2
    found = run_trial(folder)
    differ = {"seconds"}
    assert {k: v for k, v in found.items() if k not in differ} == {k: v for k, v in whole.items() if k not in differ}
    log = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    assert [entry["iteration"] for entry in log if "loss" in entry] == [1, 2, 3, 4]


def test_a_trial_that_ended_is_not_made_again(tmp_path: Path) -> None:
    folder = ordered(tmp_path / "t")
    found = run_trial(folder)
    before = {p.name: p.stat().st_mtime_ns for p in folder.iterdir()}
    assert run_trial(folder) == found
    assert {p.name: p.stat().st_mtime_ns for p in folder.iterdir()} == before
    assert [line["event"] for line in attempts(folder)] == ["began", "ended"]


def test_two_that_want_the_same_trial_make_it_once(tmp_path: Path) -> None:
    folder = ordered(tmp_path / "t")
    found: list[dict[str, Any]] = []
    with held(folder):
        waiting = threading.Thread(target=lambda: found.append(run_trial(folder)))
        waiting.start()
        time.sleep(0.3)
        assert not (folder / ATTEMPTS).exists()  # it waits
        (folder / TRIAL).write_text(json.dumps({"number": 3, "params": {"bits": 9}, "state": "done"}))
    waiting.join(60)
    assert found == [{"number": 3, "params": {"bits": 9}, "state": "done"}]
    assert not (folder / ATTEMPTS).exists()


def test_a_file_system_without_locks_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from neuro.sweep import order

    def none(handle: int, how: int) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr(order.fcntl, "flock", none)
    with (
        pytest.raises(DataError, match=r"no lock \(got 'No locks available'; need a file system with flock\)"),
        held(tmp_path),
    ):
        pytest.fail("it has no lock")


def test_what_makes_a_trial_impossible_is_its_reason(tmp_path: Path) -> None:
    diverges = RECIPE.replace("batch = 16", 'batch = 16\nlr = 1e30\noptimizer = "sgd"')
    found = run_trial(ordered(tmp_path / "t", recipe=diverges))
    assert found["state"] == "failed"
    assert "no scale fits" in found["reason"]  # of weights that grew beyond all bounds
    assert run_trial(tmp_path / "t") == found
    assert [line["event"] for line in attempts(tmp_path / "t")] == ["began", "ended"]


def test_a_folder_that_is_not_seen_or_is_another_trials_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"trial '.*absent': no order to read \(got .*No such file.*Give --out a folder"
    ):
        run_trial(tmp_path / "absent")
    folder = ordered(tmp_path / "t")
    (folder / TRIAL).write_text(json.dumps({"number": 3, "params": {"bits": 4}, "state": "done"}))
    with pytest.raises(DataError, match=r"of another sweep \(got params \{'bits': 4\}; need \{'bits': 9\}\)"):
        run_trial(folder)
    (folder / TRIAL).write_text("{")
    with pytest.raises(DataError, match=r"trial.json is damaged .* Delete the file"):
        run_trial(folder)
    shutil.rmtree(folder)
    ordered(folder)
    (folder / ORDER).write_text("[]")
    with pytest.raises(DataError, match="no order to read"):
        run_trial(folder)


def test_a_fault_that_is_not_the_trials_own_is_raised_and_leaves_it_unfinished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from neuro.sweep import trial

    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    folder = ordered(tmp_path / "t")
    monkeypatch.setattr(trial.graphs, "save", full)
    with pytest.raises(OSError, match="No space left"):
        run_trial(folder)
    assert not (folder / TRIAL).exists()
    monkeypatch.undo()
    assert run_trial(folder)["attempts"] == 2


def test_a_net_of_one_kind_of_neuron_is_made_too(tmp_path: Path) -> None:
    for name, n_lif, n_alif in (("lif", 20, 0), ("alif", 0, 20)):
        recipe = RECIPE.replace("n_lif = 12", f"n_lif = {n_lif}").replace("n_alif = 8", f"n_alif = {n_alif}")
        found = run_trial(ordered(tmp_path / name, recipe=recipe))
        assert found["state"] == "done", found["reason"]
        assert list(found["rate_hz"]) == [name]
        assert found["mean_rate_hz"] > 0
