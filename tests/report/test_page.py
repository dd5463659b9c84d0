"""What the page says, before it is drawn: what is read and refused, claims, activity, packed states, connectivity, numbers."""

from __future__ import annotations

import base64
import json
import shutil
from dataclasses import replace
from pathlib import Path

import elephant.statistics
import numpy as np
import pytest

import neuro
from neuro import graph as graphs
from neuro import recording as recordings
from neuro.errors import DataError, UnsupportedError
from neuro.graph import Graph
from neuro.metrics import cv, intervals_ms
from neuro.recording import Events, Recording
from neuro.report import match
from neuro.report.page import (
    Page,
    activity,
    assemble,
    claims,
    connectivity,
    numbers,
    packed,
    read_sources,
    render,
    sample,
)
from neuro.report.page.document import Claim
from neuro.report.page.rendering import as_json, check_installed
from neuro.report.page.sample import Room
from tests.report.folder import N_SAMPLES, SHOWN, write_folder
from tests.report.nets import digits_graph, digits_task
from tests.report.page_files import write_measured, write_run, write_sweep


def page_of(*paths: Path, networks: tuple[Graph | None, Graph | None] = (None, None)) -> Page:
    return assemble(read_sources(paths, lambda _: networks))


def claim(page: Page, section: str) -> Claim:
    return next(c for c in page.claims if c.section == section)


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("several"))


@pytest.fixture(scope="module")
def recorded() -> tuple[Graph, Recording]:
    graph, batch = digits_graph(), digits_task().fixed("test", 0, 8)
    return graph, neuro.run(
        graph, match(graph, digits_task()).stimulus(graph, batch), record=neuro.Record(traces="all")
    )


def changed(folder: Path, change: dict[str, object], model: int | None = None) -> Path:
    """Change models.json of a folder, or one of its models."""
    told = json.loads((folder / "models.json").read_text())
    (told if model is None else told["models"][model]).update(change)
    (folder / "models.json").write_text(json.dumps(told))
    return folder


class TestClaims:
    def test_one_model_on_two_backends(self, tmp_path: Path) -> None:
        page = page_of(write_folder(tmp_path, one=True))
        assert page.title == "digits: float on 2 backends"
        assert claim(page, "parity").mark == "good"
        said = "engine and reference agree bit for bit in every spike and every state (3,539 spikes, 32,832 values of states)."
        assert claim(page, "parity").text == said

    def test_a_difference_is_told_with_its_place_and_comes_first(self, tmp_path: Path) -> None:
        folder = write_folder(tmp_path)
        first = "first difference at step 12, sample 3, population 'lif', neuron 5, state v: reference 0.25, brian2 0.5 (3 of 12 samples agree)"
        told = json.loads((folder / "models.json").read_text())["models"][0]["backends"]
        told["brian2"] = {**told["engine"], "parity": "differs", "text": first}
        page = page_of(changed(folder, {"backends": told}, 0))
        assert page.claims[0].mark == "bad"
        assert page.claims[0].title == "Not the same network"
        assert page.claims[0].text == f"float on brian2 parts from reference: {first}."
        assert ("differs", "bad") in {(c.text, c.mark) for row in page.tables["parity"].rows for c in row}

    def test_a_backend_that_broke_is_no_agreement(self, tmp_path: Path) -> None:
        folder = write_folder(tmp_path, one=True)
        told = json.loads((folder / "models.json").read_text())["models"][0]["backends"]
        told["engine"] |= {"status": "failed", "parity": "none", "reason": "ZeroDivisionError: division by zero"}
        page = page_of(changed(folder, {"backends": told}, 0))
        assert page.claims[0].mark == "bad"
        assert "engine broke: ZeroDivisionError" in page.claims[0].text

    def test_one_backend_alone_proves_nothing(self, tmp_path: Path) -> None:
        folder = write_folder(tmp_path, one=True)
        told = json.loads((folder / "models.json").read_text())["models"][0]["backends"]
        page = page_of(changed(folder, {"backends": {"reference": told["reference"]}}, 0))
        assert (page.claims[0].mark, page.claims[0].title) == ("open", "Nothing compared")

    def test_what_is_equal_and_not_asserted_is_not_called_exact(self, tmp_path: Path) -> None:
        folder = write_folder(tmp_path, one=True)
        told = json.loads((folder / "models.json").read_text())["models"][0]["backends"]
        told["engine"]["parity"] = "equal"
        page = page_of(changed(folder, {"backends": told}, 0))
        assert "reported, not asserted" in page.claims[0].text
        assert "bit for bit" not in page.claims[0].text

    def test_accuracy_says_when_decisions_are_too_few(self, several: Path, tmp_path: Path) -> None:
        assert "hardly tell them apart" in claim(page_of(several), "models").text
        folder = changed(write_folder(tmp_path), {"n_right": 950, "n_decisions": 1000}, 0)
        changed(changed(folder, {"n_right": 500, "n_decisions": 1000}, 1), {"n_right": 940, "n_decisions": 1000}, 2)
        assert (
            claim(page_of(folder), "models").text
            == "float 95.0 % (950 of 1,000), lstm 94.0 % (940 of 1,000), integer 50.0 % (500 of 1,000)."
        )

    def test_energy_is_never_one_bare_number(self, several: Path) -> None:
        told = {m["name"]: m["energy"] for m in json.loads((several / "models.json").read_text())["models"]}
        said = claim(page_of(several), "energy")
        low, value, high = (
            numbers.si(told["integer"]["digital45"]["dynamic"][key], "J") for key in ("low", "value", "high")
        )
        assert low != value
        assert f"integer {value} ({low} to {high})" in said.text
        assert "Estimates from published figures, not measurements." in said.text
        beside = sum(told["integer"]["loihi"]["parts"][part]["value"] for part in ("static", "host"))
        assert said.details[0].startswith("On loihi: integer ")
        assert said.details[0].endswith(f", beside {numbers.si(beside, 'J')} static and host.")

    @pytest.mark.parametrize(
        ("right", "n", "low", "high"), [(0, 10, 0.0, 0.2775), (8, 10, 0.4902, 0.9433), (50, 50, 0.9287, 1.0)]
    )
    def test_interval_is_wilsons(self, right: int, n: int, low: float, high: float) -> None:
        # by R's prop.test(x, n, correct = FALSE)
        assert claims.interval(right, n) == pytest.approx((low, high), abs=5e-5)

    def test_no_decisions_no_interval(self) -> None:
        assert claims.interval(0, 0) is None


class TestActivity:
    def test_cv_is_elephants(self, recorded: tuple[Graph, Recording]) -> None:
        _, r = recorded
        found = cv(r, "lif")
        e, compared = r.spikes["lif"], 0
        for unit in range(r.sizes["lif"]):
            trains = [np.sort(e.step[(e.unit == unit) & (e.sample == k)]) for k in range(r.batch)]
            intervals = np.concatenate([elephant.statistics.isi(t) for t in trains if len(t) > 1] or [[]])
            if len(intervals) < 2:
                assert np.isnan(found[unit])
            else:
                compared += 1
                assert found[unit] == pytest.approx(elephant.statistics.cv(intervals), rel=1e-12)
        assert compared >= 8

    def test_histograms_hold_every_neuron_and_interval(self, recorded: tuple[Graph, Recording]) -> None:
        _, r = recorded
        a = activity.measure(r)
        assert a is not None
        assert {n: sum(c) for n, c in a.rates.counts.items()} == {"lif": 12, "alif": 8}
        assert {n: sum(c) for n, c in a.intervals.counts.items()} == {
            n: len(intervals_ms(r, n)) for n in ("lif", "alif")
        }
        assert sum(sum(c) for c in a.cv.counts.values()) == a.n_cv > 10
        rates = np.concatenate([activity.rates_hz(r, n) for n in ("lif", "alif")])
        assert a.mean_rate_hz == pytest.approx(
            (r.counts.spikes["lif"].sum() + r.counts.spikes["alif"].sum()) / (20 * 8 * 0.072)
        )
        assert (a.in_band, a.n_silent) == (((rates >= 10) & (rates <= 20)).sum(), (rates == 0).sum())

    def test_intervals_fall_into_their_bar(self) -> None:
        r = one_neuron([0, 7, 14, 44])
        a = activity.measure(r)
        assert a is not None
        edges, counts = a.intervals.edges, a.intervals.counts["n"]
        held = {(lo, hi): n for lo, hi, n in zip(edges, edges[1:], counts, strict=False) if n}
        assert [n for _, n in sorted(held.items())] == [2, 1]
        assert all(any(lo < x < hi for lo, hi in held) for x in (7.0, 30.0))
        assert a.median_interval_ms == 7.0

    def test_silence_has_no_intervals_and_no_cv(self) -> None:
        a = activity.measure(one_neuron([]))
        assert a is not None
        assert (a.n_silent, a.n_cv, a.median_interval_ms, a.mean_cv, a.mean_rate_hz) == (1, 0, None, None, 0.0)


def one_neuron(steps: list[int]) -> Recording:
    """Return a recording of one neuron that spikes in these of 100 steps."""
    zeros, step = np.zeros(len(steps), np.int32), np.array(steps, np.int32)
    counts = recordings.Counts(spikes={"n": np.array([len(steps)])}, synaptic_events={}, neuron_updates={"n": 100})
    return Recording(
        backend="hand", graph_sha256="0" * 64, exact=True, dt_ms=1.0, batch=1, steps=100, spikes={"n": Events(zeros, step, zeros)}, traces={},
        counts=counts, sizes={"n": 1},
    )  # fmt: skip


class TestSample:
    def test_curves_come_back_within_a_level(self) -> None:
        values = np.array([np.linspace(-3.0, 1.0, 50), np.full(50, 2.5), np.geomspace(1e-9, 1e9, 50)])
        values[0, 7] = np.nan
        values[0, 8] = np.inf
        found = packed.curves(values)
        levels = np.frombuffer(base64.b64decode(found.data), "<u2").reshape(3, 50).astype(float)
        back = np.array(found.low)[:, None] + levels * np.array(found.step)[:, None]
        assert (levels[0, 7:9] == 65535).all()
        keep = np.isfinite(values)
        largest = np.abs(back - values)[keep].max()
        assert largest <= 1e9 / 65534
        assert np.abs(back - values)[:2][keep[:2]].max() <= 0.5001 * 4.0 / 65534
        assert (back[1] == 2.5).all()

    def test_connections_never_vanish(self) -> None:
        most, data = packed.cells(np.array([[1.0, -1e-6, 0.0, 0.5]]))
        assert most == 1.0
        assert np.frombuffer(base64.b64decode(data), np.int8).tolist() == [127, -1, 0, 64]

    def test_states_that_are_too_many_are_those_of_the_busiest_neurons(self, recorded: tuple[Graph, Recording]) -> None:
        graph, r = recorded
        n_readout = 72 * 10
        found = sample.prepare(r, graph, Room(n_readout + 72 * 5, 10**6))
        one = r.select(0, 1)
        busiest = sorted((-(one.spikes[p].unit == k).sum(), p, k) for p in ("alif", "lif") for k in range(r.sizes[p]))[
            0
        ]
        assert busiest[2] in next(s.units for s in found.states if s.name == busiest[1])
        kept = sum(len(s.units) for s in found.states)
        assert 2 <= kept <= 5
        assert (
            found.notes[0]
            == f"States of the {kept} neurons with most spikes, of 20, are in this page; the recording has them all."
        )

    def test_spikes_that_are_too_many_are_thinned_and_it_is_said(self, recorded: tuple[Graph, Recording]) -> None:
        graph, r = recorded
        found = sample.prepare(r, graph, Room(10**6, 100))
        n_all = sum(len(e) for e in r.select(0, 1).spikes.values())
        lane = next(lane for lane in found.neurons if lane.name == "lif")
        assert n_all > 200
        assert lane.every == -(-n_all // 100)
        assert set(lane.unit) <= set(range(0, 12, lane.every))
        assert f"{n_all:,} spikes are too many to draw" in found.notes[0]

    def test_states_that_do_not_fit_at_all_are_left_out_and_it_is_said(self, recorded: tuple[Graph, Recording]) -> None:
        graph, r = recorded
        found = sample.prepare(r, graph, Room(70, 10**6))  # one curve has 72 points
        assert (found.states, found.readouts) == ([], [])
        assert found.notes == [
            "States of the 0 neurons with most spikes, of 20, are in this page; the recording has them all.",
            "The readout is too long for this page; the recording has it.",
        ]

    def test_shown_sample_has_its_number_and_answer(self, several: Path) -> None:
        figures = page_of(several).figures
        told = json.loads((several / "float" / "answers.json").read_text())
        shown = figures["samples"][0]
        assert (shown["number"], shown["label"], shown["prediction"]) == (
            SHOWN,
            told["labels"][SHOWN],
            told["predictions"][SHOWN],
        )
        assert len(told["labels"]) == N_SAMPLES

    def test_a_recording_without_traces_says_how_to_get_them(self, recorded: tuple[Graph, Recording]) -> None:
        graph, r = recorded
        found = sample.prepare(replace(r, traces={}), graph, Room(10**6, 10**6))
        assert found.notes == ["This recording holds no states of neurons; 'neuro run --traces' keeps them."]


class TestConnectivity:
    def test_matrix_is_the_graphs(self) -> None:
        graph = digits_graph()
        m = connectivity.prepare({"": graph}, 320).sides[0].matrix
        levels = np.frombuffer(base64.b64decode(m.data), np.int8).reshape(m.n_rows, m.n_columns)
        senders, receivers = dict(m.senders), dict(m.receivers)
        assert (sum(senders.values()), sum(receivers.values())) == (m.n_columns, m.n_rows)
        for c in graph.projections:
            column = sum(n for name, n in m.senders[: [n for n, _ in m.senders].index(c.source)])
            row = sum(n for name, n in m.receivers[: [n for n, _ in m.receivers].index(c.target)])
            block = levels[row : row + receivers[c.target], column : column + senders[c.source]]
            dense = np.zeros_like(block, dtype=float)
            np.add.at(dense, (c.post, c.pre), c.weight)
            assert (np.sign(block) == np.sign(dense)).all(), c.name
            assert np.abs(block * m.most / 127 - dense).max() <= m.most / 127
        assert (levels != 0).sum() > 400

    def test_what_rewiring_kept_is_counted_in_pairs(self) -> None:
        graph = digits_graph()
        first = graph.projections[0]
        fewer = replace(
            first, pre=first.pre[10:], post=first.post[10:], weight=first.weight[10:], delay=first.delay[10:]
        )
        after = replace(graph, projections=(fewer, *graph.projections[1:]))
        c = connectivity.prepare({"before": graph, "after": after}, 320)
        assert c.n_pairs == [graph.n_synapses, graph.n_synapses - 10]
        assert c.n_kept == graph.n_synapses - 10
        for side, g in zip(c.sides, (graph, after), strict=True):
            assert sum(side.weights) == side.n_synapses == g.n_synapses
            assert sum(side.fan_in) == 30

    def test_a_large_network_has_several_neurons_a_cell(self) -> None:
        m = connectivity.prepare({"": digits_graph()}, 10).sides[0].matrix
        assert (m.per_cell, m.n_columns, m.n_rows) == (4, 10, 8)


class TestRead:
    def test_recordings_of_one_graph_are_held_to_the_first(
        self, recorded: tuple[Graph, Recording], tmp_path: Path
    ) -> None:
        graph, r = recorded
        graphs.save(graph, tmp_path / "graph.h5")
        recordings.save(r, tmp_path / "a.h5")
        v = r.traces["lif"]["v"].copy()
        v[2, 30, 4] += 1.0
        recordings.save(replace(r, backend="other", traces={**r.traces, "lif": {"v": v}}), tmp_path / "b.h5")
        page = page_of(tmp_path / "a.h5", tmp_path / "b.h5")
        assert page.claims[0].mark == "bad"
        assert "first difference at step 30, sample 2, population 'lif', neuron 4, state v" in page.claims[0].text
        assert page.title == "untrained"
        assert "activity" in dict(page.sections)

    def test_recordings_of_other_samples_are_refused(self, recorded: tuple[Graph, Recording], tmp_path: Path) -> None:
        _, r = recorded
        recordings.save(r.select(0, 4), tmp_path / "a.h5")
        recordings.save(r.select(4, 8), tmp_path / "b.h5")
        with pytest.raises(DataError, match="stimulus differs"):
            page_of(tmp_path / "a.h5", tmp_path / "b.h5")

    def test_empty_recording_makes_a_page_that_says_so(self, tmp_path: Path) -> None:
        recordings.save(one_neuron([]), tmp_path / "empty.h5")
        page = page_of(tmp_path / "empty.h5")
        assert "outside the band of 10 to 20 Hz: empty 0 Hz" in claim(page, "activity").text
        assert "Silent in the recorded samples: 1 of 1 neurons of empty." in claim(page, "activity").text
        assert "<html" in render(page)

    def test_a_graph_alone_has_done_nothing(self, tmp_path: Path) -> None:
        graphs.save(digits_graph(), tmp_path / "graph.h5")
        with pytest.raises(DataError, match=r"a graph, which has done nothing yet .* Run it first: neuro compare"):
            page_of(tmp_path / "graph.h5")

    def test_a_path_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match=r"nowhere: not found \(got no such path"):
            page_of(tmp_path / "nowhere")

    def test_a_folder_of_something_else(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="nothing to report"):
            page_of(tmp_path)

    def test_a_folder_of_an_older_compare(self, tmp_path: Path) -> None:
        (tmp_path / "comparison.json").write_text("{}")
        with pytest.raises(DataError, match="compare again"):
            page_of(tmp_path)

    def test_a_path_given_twice(self, several: Path) -> None:
        with pytest.raises(DataError, match="a path is given twice"):
            page_of(several, several)

    def test_comparisons_of_other_samples_do_not_stand_side_by_side(self, several: Path, tmp_path: Path) -> None:
        other = changed(write_folder(tmp_path), {"n_samples": 11})
        with pytest.raises(DataError, match=r"do not stand on the same footing \(got n samples 12 in .* and 11 in"):
            page_of(several, other)

    def test_comparisons_of_one_task_stand_side_by_side(self, several: Path, tmp_path: Path) -> None:
        page = page_of(several, write_folder(tmp_path, one=True))
        assert len(page.tables["models"].rows) == 4
        assert len({row[0].text for row in page.tables["models"].rows}) == 4

    def test_a_folder_outside_the_comparison_is_not_opened(self, tmp_path: Path) -> None:
        (tmp_path / "in").mkdir()
        folder = changed(write_folder(tmp_path / "in"), {"folder": "../../elsewhere"}, 0)
        with pytest.raises(DataError, match="folder outside the comparison's"):
            page_of(folder)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"accuracy": 0.5, "n_right": "many"}, r"models\[0\]: wrong 'n_right' \(got 'many'; need a whole number"),
            ({"n_right": 13}, r"models\[0\]: wrong 'n_right' \(got 13 of 12 decisions"),
            ({"name": None}, r"models\[0\]: wrong 'name' \(got None; need a text\)"),
            ({"energy": {"loihi": {"parts": {}, "dynamic": {"low": 1, "high": 2}}}}, r"energy\.loihi, dynamic: wrong 'value' \(got nothing; need a number"),
            ({"backends": []}, r"backends: no object \(got \[\]; need one\)"),
        ],
    )  # fmt: skip
    def test_a_damaged_file_is_told_with_its_place(
        self, tmp_path: Path, change: dict[str, object], message: str
    ) -> None:
        with pytest.raises(DataError, match=message):
            page_of(changed(write_folder(tmp_path), change, 0))

    @pytest.mark.parametrize("name", ["graph.h5", "recording.h5", "sample.h5"])
    def test_files_of_another_network_are_not_shown(self, tmp_path: Path, name: str) -> None:
        folder = write_folder(tmp_path)
        shutil.copy(folder / "integer" / name, folder / "float" / name)
        with pytest.raises(DataError, match=rf"float/{name}: of another graph than was compared \(got \w+; need"):
            page_of(folder)

    def test_a_dense_model_has_no_network_whatever_lies_beside_it(self, tmp_path: Path) -> None:
        folder = write_folder(tmp_path)
        before = len(page_of(folder).figures["connectivity"])
        for name in ("graph.h5", "recording.h5", "sample.h5"):
            shutil.copy(folder / "float" / name, folder / "lstm" / name)
        assert len(page_of(folder).figures["connectivity"]) == before == 2

    def test_a_file_of_another_version(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match=r"got format 'neuro-models', version 9; need 'neuro-models', version 1"):
            page_of(changed(write_folder(tmp_path), {"schema_version": 9}))

    def test_json_that_is_torn(self, tmp_path: Path) -> None:
        folder = write_folder(tmp_path)
        (folder / "models.json").write_text((folder / "models.json").read_text()[:200])
        with pytest.raises(DataError, match=r"models\.json: damaged"):
            page_of(folder)

    def test_answers_out_of_range(self, tmp_path: Path) -> None:
        folder = write_folder(tmp_path, one=True)
        told = json.loads((folder / "answers.json").read_text())
        told["predictions"][2] = 10
        (folder / "answers.json").write_text(json.dumps(told))
        with pytest.raises(
            DataError, match=r"answers do not fit \(got class 10; need one of each a decision, 0\.\.9\)"
        ):
            page_of(folder)

    def test_a_run_without_a_log(self, tmp_path: Path) -> None:
        folder = write_run(tmp_path / "run")
        (folder / "log.jsonl").write_text("")
        with pytest.raises(DataError, match="holds nothing"):
            page_of(folder)


class TestRest:
    def test_a_regression_has_errors_in_place_of_accuracies(self, tmp_path: Path) -> None:
        folder = write_folder(tmp_path)
        for k in range(3):
            changed(folder, {"n_right": 0, "n_decisions": 0, "accuracy": None, "nmse": 0.01 * (3 - k)}, k)
        for name in ("float", "integer", "lstm"):
            told = json.loads((folder / name / "answers.json").read_text())
            (folder / name / "answers.json").write_text(
                json.dumps({**told, "n_classes": 0, "labels": [], "predictions": []})
            )
        page = page_of(folder)
        assert claim(page, "models").text == "Normalised mean squared error: lstm 0.01, integer 0.02, float 0.03."
        assert [c.title for c in page.tables["models"].columns][2] == "NMSE"
        assert not {"answers", "tradeoff"} & {key for key, _ in page.sections}
        assert "accuracy" not in render(page).split("<script")[0].partition("<main>")[2].lower()

    def test_a_graph_that_no_backend_could_run_is_a_row_without_figures(self, tmp_path: Path) -> None:
        folder = write_folder(tmp_path)
        told = json.loads((folder / "models.json").read_text())["models"][0]
        gone = {"status": "unavailable", "reason": "backend 'brian2': not installed", "parity": "none", "text": ""}
        none = dict.fromkeys(
            ("accuracy", "mean_rate_hz", "spikes_per_inference", "synaptic_events_per_inference", "operations")
        )
        changed(
            folder,
            {
                **none,
                "n_right": 0,
                "n_decisions": 0,
                "energy": {},
                "backends": {"brian2": {**told["backends"]["engine"], **gone}},
            },
            0,
        )
        for file in ("recording.h5", "sample.h5", "answers.json"):
            (folder / "float" / file).unlink()
        page = page_of(folder)
        assert page.claims[0].title == "The same network wherever it ran"
        assert page.claims[0].details == ("brian2: backend 'brian2': not installed",)
        assert {c.text for c in page.tables["models"].rows[0][7:]} >= {numbers.NONE}
        assert [s["model"] for s in page.figures["samples"]] == ["integer"]
        assert "<html" in render(page)

    def test_a_run_alone(self, tmp_path: Path) -> None:
        page = page_of(write_run(tmp_path / "run"))
        assert page.title == "Run run"
        assert [key for key, _ in page.sections] == ["training", "record"]
        line = page.figures["training"][0]["steps"]["loss"]
        assert line.n_each == 3
        assert line.value[0] == pytest.approx(2.3 * np.exp(-np.array([1, 2, 3]) / 300).mean(), rel=1e-5)

    def test_a_sweep_alone(self, tmp_path: Path) -> None:
        page = page_of(write_sweep(tmp_path / "sweep"))
        assert [key for key, _ in page.sections] == ["tradeoff", "record"]
        assert "5 of 6 trials are done, 4 are beaten by no other" in claim(page, "tradeoff").text
        row = page.tables["sweep-0"].rows[5]
        assert [c.text for c in row if c.text.startswith("failed")] == ["failed: worker lost"]

    @pytest.mark.parametrize("counted", [True, False])
    def test_measurements_have_a_table_of_their_own(self, several: Path, tmp_path: Path, counted: bool) -> None:
        page = page_of(several, write_measured(tmp_path / "m", counted=counted))
        titles = {name: {c.title for c in t.columns} for name, t in page.tables.items()}
        assert "energy above idle" in titles["measured"]
        assert not titles["measured"] & {"dynamic", "synaptic", "static"}
        cell = page.tables["measured"].rows[0][6]
        assert (cell.text, cell.value) == (("40 mJ", 0.04) if counted else ("no counter", None))

    def test_json_cannot_end_its_element(self) -> None:
        text = as_json({"</script><!--": ["\u2028&", float("nan"), (1, 2)]})
        assert not set("<>&\u2028") & set(text)
        assert json.loads(text) == {"</script><!--": ["\u2028&", None, [1, 2]]}

    def test_missing_packages_are_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("neuro.report.page.rendering.find_spec", lambda name: None)
        with pytest.raises(
            UnsupportedError, match=r"got no jinja2 and no plotly; need the report extra.*pip install 'neuro\[report\]'"
        ):
            check_installed()

    @pytest.mark.parametrize(
        ("value", "text"),
        [(1.234e-6, "1.23 µJ"), (0.99951e-6, "1 µJ"), (999.4e-9, "999 nJ"), (0.0, "0 J"), (12.0, "12 J"), (3e-16, "0.3 fJ"), (None, "\u2013")],
    )  # fmt: skip
    def test_energies_have_the_prefix_that_reads_best(self, value: float | None, text: str) -> None:
        assert numbers.si(value, "J") == text

    def test_ranges_stand_beside_their_value(self) -> None:
        assert numbers.ranged(9e-7, 1.2e-6, 2e-6, "J") == "1.2 µJ (900 nJ to 2 µJ)"
        assert numbers.ranged(1.0, 1.0, 1.0, "J") == "1 J"

    def test_words_are_joined_as_in_a_sentence(self) -> None:
        assert numbers.listed(["a", "b", "c"]) == "a, b and c"
        assert numbers.listed(["a"]) == "a"
        assert numbers.plural(1, "spike") == "1 spike"
        assert numbers.size(32768) == "32.8 kB"
