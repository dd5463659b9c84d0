"""One graph on several backends: agreement, disagreement, absence, and what is printed and written of each."""

from __future__ import annotations

import io
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from neuro.errors import DataError, UnsupportedError
from neuro.graph import Builder
from neuro.metrics import activity
from neuro.report import Candidate, Comparison, Row, as_json, compare, markdown, match, table
from neuro.tasks import make
from tests.report.nets import digits_graph, digits_task
from tests.report.strangers import AT, offer

N = 6


def candidates(*names: str) -> list[Candidate]:
    return [Candidate(name=name) for name in names]


def printed(comparison: Comparison, width: int = 140) -> str:
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(table(comparison))
    return console.export_text()


@pytest.fixture(scope="module")
def agreed() -> Comparison:
    return compare(digits_graph(), digits_task(), candidates("engine", "reference"), n_samples=N)


@pytest.fixture
def strangers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    offer(tmp_path, monkeypatch)


def row(comparison: Comparison, name: str) -> Row:
    return next(r for r in comparison.rows if r.backend == name)


def test_two_backends_agree_exactly(agreed: Comparison) -> None:
    assert agreed.base == "reference"
    assert [r.backend for r in agreed.rows] == ["engine", "reference"]
    assert not agreed.failed
    assert agreed.missing == ()
    parity = row(agreed, "engine").parity
    assert parity is not None
    assert parity.exact
    assert parity.asserted
    assert parity.n_samples == N
    assert parity.n_spikes > 100
    assert row(agreed, "reference").parity is None
    a = row(agreed, "engine").activity
    assert a is not None
    assert a == row(agreed, "reference").activity
    assert a.spikes_per_inference > 10


def test_accuracy_is_what_the_task_scores() -> None:
    # A net whose readout answers 3 whatever it sees is right as often as the label is 3.
    graph = digits_graph()
    out = graph.population("out")
    bias = np.zeros(10)
    bias[3] = 100.0
    graph = replace(
        graph, populations=(*(p for p in graph.populations if p is not out), replace(out, bias=bias, grid=None))
    )  # type: ignore[type-var]
    found = compare(graph, digits_task(), candidates("engine"), n_samples=50)
    labels = digits_task().fixed("test", 0, 50).targets[:, 0]
    assert found.rows[0].n_decisions == 50
    assert found.rows[0].n_right == (labels == 3).sum()
    assert 0 < found.rows[0].accuracy < 1


def test_a_regression_is_scored_by_its_error() -> None:
    task = make("pattern_generation", duration_ms=50, n_clock=5, rate_hz=200.0)
    b = Builder(name="silent readout")
    b.spike_input("in", 5)
    b.li("value", 3)  # of another size than the task asks for
    b.li("out", 1)
    b.connect("in", "value", weight=1.0)
    found = compare(b.build(), task, candidates("engine"), n_samples=1)
    signal = task.fixed("test", 0, 1).signal
    assert signal is not None
    expected = np.square(signal).sum() / np.square(signal - signal.mean()).sum()
    assert 1.0 < expected == pytest.approx(found.rows[0].nmse, rel=1e-12)
    assert np.isnan(found.rows[0].accuracy)
    assert f"NMSE {expected:.4f}" in printed(found)
    assert json.loads(as_json(found))["rows"][0]["nmse"] == found.rows[0].nmse


def test_engine_is_put_in_front_as_the_base() -> None:
    found = compare(digits_graph(), digits_task(), candidates("engine"), n_samples=1)
    assert [r.backend for r in found.rows] == ["engine"]


def test_samples_run_in_groups_give_what_one_batch_gives(monkeypatch: pytest.MonkeyPatch, agreed: Comparison) -> None:
    module = sys.modules["neuro.report.comparison"]
    monkeypatch.setattr(module, "_GROUP_BYTES", 2 * 2 * 8 * 72 * (12 + 16 + 10))
    told: list[tuple[int, int, str]] = []
    found = compare(
        digits_graph(), digits_task(), candidates("engine", "reference"), n_samples=5,
        progress=lambda *at: told.append(at),
    )  # fmt: skip
    assert list(dict.fromkeys(what for _, _, what in told if what.startswith("engine"))) == [
        "engine: building", "engine: samples 0 to 1", "engine: samples 2 to 3", "engine: samples 4 to 4",
    ]  # fmt: skip
    assert told[-1] == (800, 800, "done")
    assert [done for done, _, _ in told] == sorted(done for done, _, _ in told)
    whole = compare(digits_graph(), digits_task(), candidates("engine", "reference"), n_samples=5)
    assert row(found, "engine").activity == row(whole, "engine").activity
    assert row(found, "engine").parity == row(whole, "engine").parity
    assert row(found, "engine").n_right == row(whole, "engine").n_right
    assert found.groups["reference"].given.first_sample == 0


@pytest.mark.usefixtures("strangers")
def test_one_flipped_spike_is_a_failure_that_says_where() -> None:
    found = compare(digits_graph(), digits_task(), candidates("differs", "reference"), n_samples=N)
    assert found.failed
    parity = row(found, "differs").parity
    assert parity is not None
    assert parity.failed
    assert parity.n_equal_samples == N - 1
    d = parity.divergence
    assert d is not None
    assert (d.sample, d.step, d.neuron, d.state) == (AT["sample"], AT["step"], AT["unit"], "z")
    assert d.backends == ("reference", "differs")
    text = printed(found)
    assert "step 40, sample 3" in text
    assert "lif[2] z" in text
    assert str(d) in " ".join(text.split())
    assert str(d) in markdown(found)
    stored = json.loads(as_json(found))["rows"][0]["parity"]["divergence"]
    assert (stored["step"], stored["sample"], stored["population"], stored["neuron"]) == (40, 3, "lif", 2)
    assert set(stored["values"]) == {"reference", "differs"}
    assert set(found.groups) == {"reference", "differs"}


@pytest.mark.usefixtures("strangers")
def test_rough_backend_is_reported_and_does_not_fail() -> None:
    found = compare(digits_graph(), digits_task(), candidates("rough", "engine"), n_samples=N)
    assert not found.failed
    assert "reported, not asserted" in " ".join(printed(found).split())


def test_graph_off_its_grid_is_compared_and_not_asserted() -> None:
    found = compare(digits_graph(grid=False), digits_task(), candidates("engine", "reference"), n_samples=2)
    parity = row(found, "engine").parity
    assert parity is not None
    assert not parity.asserted
    assert not found.failed


@pytest.mark.usefixtures("strangers")
def test_what_cannot_run_is_a_row_that_says_why_and_stops_no_other() -> None:
    names = ("absent", "picky", "unimportable", "explodes", "breaks", "chokes", "reference")
    found = compare(digits_graph(), digits_task(), candidates(*names), n_samples=2)
    assert {r.backend: r.status for r in found.rows} == {
        "absent": "unavailable", "picky": "unavailable", "unimportable": "unavailable", "explodes": "unavailable", "breaks": "failed", "chokes": "failed", "reference": "ok",
    }  # fmt: skip
    assert found.missing == ("absent", "picky", "unimportable", "explodes")
    assert found.failed
    text = " ".join(printed(found).split())
    assert "pip install absent" in text
    assert "kind ALIF (can: LIF)" in text
    assert "no_such_package_at_all" in text
    assert "ZeroDivisionError: in the simulator" in text
    assert "ValueError: cannot swallow this" in text
    assert "OSError: its library is broken" in text
    assert row(found, "reference").n_decisions == 2
    assert json.loads(as_json(found))["rows"][4]["reason"] == "ZeroDivisionError: in the simulator"


@pytest.mark.usefixtures("strangers")
def test_without_any_backend_that_runs_there_is_a_table_still() -> None:
    found = compare(digits_graph(), digits_task(), [Candidate(name="engine"), Candidate(name="absent")], n_samples=1)
    assert found.base == "engine"
    assert "absent" in printed(found)


@pytest.mark.parametrize(
    ("wanted", "text"),
    [
        (candidates("brain2"), "not installed.*Did you mean 'brian2'"),
        (candidates("engine", "engine"), "given twice"),
        ([Candidate(name="engine", options={"n_thread": 2})], "option not known.*n_thread"),
    ],
)
def test_mistakes_in_the_call_are_refused_before_anything_runs(wanted: list[Candidate], text: str) -> None:
    with pytest.raises(UnsupportedError, match=text):
        compare(digits_graph(), digits_task(), wanted, n_samples=1)


@pytest.mark.parametrize("n", [0, 361])
def test_more_samples_than_there_are_is_refused(n: int) -> None:
    with pytest.raises(DataError, match=rf"split 'test'.*got {n}; need 1..360"):
        compare(digits_graph(), digits_task(), candidates("engine"), n_samples=n)


def test_unknown_split_is_refused() -> None:
    with pytest.raises(DataError, match="Did you mean 'test'"):
        compare(digits_graph(), digits_task(), candidates("engine"), n_samples=1, split="tset")


def test_task_that_does_not_fit_is_refused_with_every_reason() -> None:
    with pytest.raises(DataError) as caught:
        match(digits_graph(n_out=7, n_in=5, dt_ms=0.5), digits_task())
    text = str(caught.value)
    assert "inputs do not fit (got SpikeInput 'in' of size 5; need one SpikeInput of size 17)" in text
    assert "readouts do not fit (got LI 'out' of size 7; need one LI of size 10)" in text
    assert "time step differs (got 0.5 ms; need 1 ms)" in text
    assert "neuro show" in text
    with pytest.raises(DataError, match="task 'store_recall' on graph 'untrained'"):
        match(digits_graph(), make("store_recall"))


def test_table_holds_what_the_rows_hold(agreed: Comparison) -> None:
    text, page = printed(agreed), markdown(agreed)
    r = row(agreed, "engine")
    a = r.activity
    assert a is not None
    for shown in (text, page):
        assert f"digits, {N} test samples of 72 steps of 1 ms" in shown
        assert f"{100 * r.accuracy:.1f} % ({r.n_right}/{N})" in shown
        assert f"{a.mean_rate_hz:.2f}" in shown
        assert f"{a.spikes_per_inference:.1f}" in shown
        assert "exact" in shown
        assert "base" in shown
    assert page.count("\n| ") == 4
    assert "numpy" in page


def test_json_holds_every_digit(agreed: Comparison) -> None:
    data = json.loads(as_json(agreed))
    assert (data["format"], data["schema_version"]) == ("neuro-comparison", 1)
    assert data["graph"]["sha256"] == digits_graph().sha256
    a = activity(agreed.groups["reference"].recording)
    assert data["rows"][0]["mean_rate_hz"] == a.mean_rate_hz
    assert data["rows"][0]["rate_hz"] == dict(a.rate_hz)
    assert data["rows"][0]["parity"]["exact"] is True
    assert data["rows"][1]["parity"] is None
