"""The folder that a comparison of models writes: what lies in it is what its contract says, whatever names are."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

import neuro
from neuro.graph import Graph
from neuro.metrics.energy import PARTS
from neuro.recording import load as load_recording
from neuro.report import (
    Candidate,
    Entry,
    Models,
    compare_models,
    folder_names,
    match,
    models_markdown,
    models_table,
    write_models,
)
from neuro.report import comparison as comparison_module
from neuro.report.model_files import KEPT_SAMPLES
from tests.report import folder as example
from tests.report.folder import N_SAMPLES, SHOWN, dense_model, write_folder
from tests.report.nets import digits_graph, digits_task

HOSTILE = "</script><img src=x onerror=alert(1)>|\n# [/red] ../../etc"


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("several"))


def read(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "models.json").read_text())
    return found


def printed(models: Models, width: int = 160) -> str:
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(models_table(models))
    return console.export_text()


def test_several_models_have_a_folder_each_and_one_has_none(several: Path, tmp_path: Path) -> None:
    inside = {str(p.relative_to(several)) for p in several.rglob("*") if p.is_file()}
    graph = {"graph.h5", "recording.h5", "sample.h5", "answers.json", "comparison.json", "comparison.md"}
    assert inside == {
        "models.json", "models.md", "lstm/answers.json", *(f"{name}/{f}" for name in ("float", "integer") for f in graph),
    }  # fmt: skip
    write_folder(tmp_path / "new" / "one", one=True)
    assert {p.name for p in (tmp_path / "new" / "one").iterdir()} == {*graph, "models.json", "models.md"}
    assert read(tmp_path / "new" / "one")["models"][0]["folder"] == "."
    assert [m["folder"] for m in read(several)["models"]] == ["float", "integer", "lstm"]


def test_json_has_the_keys_of_the_contract(several: Path) -> None:
    data = read(several)
    assert (data["format"], data["schema_version"]) == ("neuro-models", 1)
    for key in data:
        assert key in (example.__doc__ or ""), key
    ranges = {"low", "value", "high"}
    for m in data["models"]:
        for key in m:
            assert key in (example.__doc__ or ""), key
        assert set(m["operations"]) == {"synaptic", "neuron"}
        assert set(m["operations"]["neuron"]) == {"mac", "ac", "mul", "nonlinear", "read", "write"}
        assert set(m["distributions"]) == {"spikes", "synaptic_events", "dynamic_j"}
        assert len(m["distributions"]["dynamic_j"]["digital45"]) == N_SAMPLES
        assert set(m["energy"]) == set(data["devices"]) == {"loihi", "digital45"}
        priced = m["energy"]["digital45"]
        assert set(priced) == {"parts", "dynamic", "step_time_s", "latency_s", "edp", "notes"}
        assert set(priced["parts"]) == set(PARTS)
        assert set(priced["parts"]["synaptic"]) == {"status", "note", *ranges}
        assert set(priced["dynamic"]) == ranges
        assert np.mean(m["distributions"]["dynamic_j"]["digital45"]) == pytest.approx(
            priced["dynamic"]["value"], rel=1e-12
        )
        assert {b["parity"] for b in m["backends"].values()} <= {"base", "exact"}
    loihi = [set(m["energy"]["loihi"]) for m in data["models"]]
    assert loihi == [{"refused"}, set(priced), {"refused"}]
    assert data["models"][1]["n_cores"] == 1
    assert data["models"][1]["backends"]["engine"]["text"].startswith("exact (")


def test_json_counts_are_those_of_the_recording(several: Path) -> None:
    m = read(several)["models"][0]
    recording = load_recording(several / "float" / "recording.h5")
    spikes = sum(n for name, n in recording.counts.spikes.items() if name != "in")
    assert m["distributions"]["spikes"] == spikes.tolist()
    assert m["distributions"]["synaptic_events"] == sum(recording.counts.synaptic_events.values()).tolist()
    assert np.mean(spikes) == m["spikes_per_inference"] > 10
    assert np.mean(m["distributions"]["synaptic_events"]) == pytest.approx(m["synaptic_events_per_inference"])
    assert neuro.load(several / "float" / "graph.h5").sha256 == m["sha256"] == digits_graph().sha256


def test_recordings_are_those_of_a_run(several: Path) -> None:
    graph, task = digits_graph(), digits_task()
    fit = match(graph, task)
    whole = neuro.run(graph, fit.stimulus(graph, task.fixed("test", 0, N_SAMPLES)), record=neuro.Record(traces="all"))
    kept, shown = load_recording(several / "float" / "recording.h5"), load_recording(several / "float" / "sample.h5")
    assert kept.batch == N_SAMPLES
    assert kept.traces == {}
    assert kept.spikes == whole.spikes
    assert (shown.batch, set(shown.traces)) == (1, {"lif", "alif", "out"})
    assert np.array_equal(shown.traces["alif"]["a"], whole.traces["alif"]["a"][SHOWN : SHOWN + 1])
    assert shown.spikes == whole.select(SHOWN, SHOWN + 1).spikes
    assert len(shown.spikes["lif"]) > 5


def test_recording_keeps_the_first_samples_of_many_groups(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    graph, task = digits_graph(), digits_task()
    a_sample = 2 * 8 * 72 * (12 + 16 + 10)
    monkeypatch.setattr(comparison_module, "_GROUP_BYTES", 27 * a_sample)
    n = KEPT_SAMPLES + 20
    found = compare_models([Entry(name="x", model=graph)], task, n_samples=n, sample=70)
    assert found.models[0].comparison is not None
    assert [r.batch for r in found.models[0].comparison.recordings] == [27, 27, 27, 3]
    write_models(found, tmp_path, rasters=False)
    kept, shown = load_recording(tmp_path / "recording.h5"), load_recording(tmp_path / "sample.h5")
    whole = neuro.run(graph, match(graph, task).stimulus(graph, task.fixed("test", 0, n)))
    assert kept.batch == KEPT_SAMPLES
    assert kept.spikes == whole.select(0, KEPT_SAMPLES).spikes
    assert np.array_equal(kept.counts.spikes["lif"], whole.counts.spikes["lif"][:KEPT_SAMPLES])
    assert shown.spikes == whole.select(70, 71).spikes
    answers = json.loads((tmp_path / "answers.json").read_text())
    assert len(answers["labels"]) == len(answers["predictions"]) == n


def test_answers_are_all_decisions(several: Path) -> None:
    labels = digits_task().fixed("test", 0, N_SAMPLES).targets[:, 0].tolist()
    for m in read(several)["models"]:
        data = json.loads((several / m["folder"] / "answers.json").read_text())
        assert (data["format"], data["schema_version"], data["n_classes"]) == ("neuro-answers", 1, 10)
        assert data["labels"] == labels
        assert sum(x == y for x, y in zip(data["labels"], data["predictions"], strict=True)) == m["n_right"]


def test_tables_show_every_model_and_device(several: Path) -> None:
    page = (several / "models.md").read_text()
    assert page.startswith("digits, 12 test samples of 72 steps of 1 ms")
    for name in ("float", "integer", "lstm"):
        assert f"\n| {name} | " in page
        assert f"\n| {name} | digital45 | " in page
    assert "| integer | loihi | 3" in page
    assert "- float on loihi: device 'loihi': needs a placement" in page
    assert "- loihi: source: Davies et al. 2018" in page
    assert f"sha256 {digits_graph().sha256}" in page
    assert "measured" not in page.split("\n- ")[0]


@pytest.mark.parametrize("width", [60, 80, 120])
def test_narrow_terminals_break_numbers_and_crop_none(width: int) -> None:
    wide = replace(dense_model(), name="an_lstm_with_a_name_that_takes_much_room")
    found = compare_models([Entry(name=wide.name, model=wide)], digits_task(), n_samples=2, devices=[])
    work = found.models[0].workload
    assert work is not None
    many = replace(work, synaptic=replace(work.synaptic, mac=work.synaptic.mac + 56_000_000))
    models = replace(found, models=(replace(found.models[0], workload=many),))
    mac = f"{(many.synaptic.mac + many.neuron.mac).mean():,.0f}"
    assert len(mac) == len("56,123,456")
    lines = [line.split("│") for line in printed(models, width).splitlines() if line.startswith("│")]
    columns = ["".join(cells[k].strip() for cells in lines) for k in range(1, len(lines[0]) - 1)]
    assert any(text.startswith(mac) for text in columns)
    assert wide.name in columns
    if width == 120:
        assert any(mac in line for line in printed(models, width).splitlines())


def test_without_devices_there_is_no_table_of_energy() -> None:
    found = compare_models([Entry(name="x", model=digits_graph())], digits_task(), n_samples=2, devices=[])
    assert "energy" not in models_markdown(found)
    assert found._repr_markdown_() == models_markdown(found)
    assert "energy" not in printed(found)


# ----------------------------------------------------------------------------------------------------------- hostile names


def hostile(graph: Graph) -> Graph:
    return replace(graph, name=HOSTILE)


def test_names_of_strangers_stay_text_and_stay_inside(tmp_path: Path) -> None:
    given = [
        Entry(
            name=HOSTILE,
            model=hostile(digits_graph()),
            candidates=[Candidate(name="engine"), Candidate(name="reference")],
        ),
        Entry(name="../up", model=digits_graph(), path="<b>"),
        Entry(name="..", model=digits_graph()),
        Entry(name="..|", model=dense_model()),
        Entry(name="UP", model=dense_model("rnn")),
        Entry(name="x" * 300, model=dense_model()),
    ]
    found = compare_models(given, digits_task(), n_samples=2)
    out = tmp_path / "a" / "out"
    paths = write_models(found, out, rasters=False)
    names = list(folder_names(found).values())
    assert names == ["script_img_src_x_onerror_alert_1_red_.._.._etc", "up", "model", "model-2", "UP-2", "x" * 64]
    assert all(p.resolve().is_relative_to(out.resolve()) and p.exists() for p in paths)
    assert [p.name for p in tmp_path.iterdir()] == ["a"]
    assert [p.name for p in (tmp_path / "a").iterdir()] == ["out"]
    for page in (models_markdown(found), (out / names[0] / "comparison.md").read_text()):
        assert "<" not in page
        assert "&lt;/script>&lt;img src=x onerror=alert(1)>\\|; # [/red]" in page
    assert read(out)["models"][0]["name"] == HOSTILE
    assert "</script><img src=x onerror=alert(1)>|" in printed(found).replace("\n", "")


def test_task_and_graph_names_are_no_markup_on_the_terminal() -> None:
    from neuro.report import compare, table

    found = compare(hostile(digits_graph()), digits_task(), [Candidate(name="engine")], n_samples=1)
    console = Console(width=300, record=True, file=io.StringIO())
    console.print(table(found))
    assert "[/red] ../../etc" in console.export_text()
