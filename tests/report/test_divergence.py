"""What is said, tabled and drawn of two recordings that part; what `compare` keeps for it; integer graphs side by side."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from rich.console import Console

from neuro.errors import DataError
from neuro.graph import Graph
from neuro.metrics import Explanation
from neuro.report import (
    Candidate,
    Comparison,
    as_json,
    compare,
    explain_first,
    explanation_markdown,
    explanation_table,
    markdown,
    match,
    table,
    write_explanation,
    write_rasters,
)
from neuro.report.divergence_plot import divergence_plot, save_plot
from tests.report.nets import digits_graph, digits_task, integer_digits_graph
from tests.report.strangers import LATE, offer

N = 6
GRAPHS = {"float": digits_graph(), "integer": integer_digits_graph()}


@pytest.fixture(autouse=True)
def strangers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    offer(tmp_path, monkeypatch)


def compared(graph: Graph, *names: str, n_samples: int = N) -> Comparison:
    return compare(graph, digits_task(), [Candidate(name=name) for name in names], n_samples=n_samples)


def explained(comparison: Comparison) -> Explanation:
    found = explain_first(comparison)
    assert found is not None
    return found


def printed(e: Explanation) -> str:
    console = Console(width=160, record=True, file=io.StringIO())
    console.print(explanation_table(e))
    return console.export_text()


@pytest.mark.parametrize("semantics", sorted(GRAPHS))
def test_synapse_that_delivers_late_is_named(semantics: str) -> None:
    graph = GRAPHS[semantics]
    comparison = compared(graph, "reference", "engine", "late")
    assert comparison.failed
    e = explained(comparison)
    c = next(c for c in graph.projections if (c.source, c.target) == ("in", "lif") and c.size > LATE)
    assert e.divergence.backends == ("reference", "late")
    assert (e.divergence.population, e.divergence.neuron) == ("lif", c.post[LATE])
    assert any(s.synapse and (s.synapse.unit, s.fault) == (c.pre[LATE], "lost") for s in e.sides[1].suspects)
    text = " ".join(printed(e).split())
    assert str(e.divergence) in text
    assert "reference holds what the golden model gives" in text
    assert f"late leaves the golden model at step {e.divergence.step}, state {e.divergence.state}" in text
    assert f"the delivery of in[{c.pre[LATE]}] by '{c.name}'" in text
    assert "lost in late?" in text
    assert ("into u" in text) == (semantics == "integer")
    assert ("* 2**8" in text) == (semantics == "integer")
    page = explanation_markdown(e)
    assert page.startswith(f"# reference and late part at step {e.divergence.step}")
    assert page.count("\n| ") == 2 + 2 + len(e.steps) + len(e.deliveries or ())


def test_pair_is_the_sample_that_parts_whatever_its_group(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = explained(compared(digits_graph(), "reference", "late"))
    monkeypatch.setattr(sys.modules["neuro.report.comparison"], "_GROUP_BYTES", 2 * 2 * 8 * 72 * (12 + 16 + 10))
    cut = compared(digits_graph(), "reference", "late")
    pair = cut.pairs["late"]
    assert (pair.base.batch, pair.other.batch, pair.stimulus.batch) == (1, 1, 1)
    assert explained(cut).divergence == whole.divergence
    assert printed(explained(cut)) == printed(whole)
    assert pair.sample == whole.divergence.sample
    parity = next(r.parity for r in cut.rows if r.backend == "late")
    assert parity is not None
    assert parity.divergence == whole.divergence


def test_fault_that_depends_on_the_batch_is_explained_from_what_was_compared() -> None:
    # `differs` flips a spike of sample 3 only where the batch is large enough: run alone, that sample would agree.
    e = explained(compared(digits_graph(), "reference", "differs"))
    assert (e.divergence.sample, e.divergence.step, e.divergence.state) == (3, 40, "z")
    left = e.sides[1].departure
    assert left is not None
    assert (left.state, left.recorded) == ("z", 1.0 - left.expected)
    assert e.steps.tolist() == list(range(30, 41))


def test_unasserted_difference_is_explained_too() -> None:
    e = explained(compared(digits_graph(), "engine", "rough"))
    assert not e.asserted
    assert "reported, not asserted" in printed(e)


def test_equal_backends_have_nothing_to_explain() -> None:
    comparison = compared(digits_graph(), "engine", "reference", n_samples=2)
    assert explain_first(comparison) is None
    assert comparison.pairs == {}


def test_explanation_is_written_with_its_plot(tmp_path: Path) -> None:
    e = explained(compared(integer_digits_graph(), "reference", "late"))
    paths = write_explanation(e, tmp_path / "out")
    assert [p.name for p in paths] == ["divergence.md", "divergence.png", "divergence.svg"]
    assert paths[0].read_text() == explanation_markdown(e)
    again = write_explanation(e, tmp_path / "again")
    assert [p.read_bytes() for p in paths] == [p.read_bytes() for p in again]
    assert [p.name for p in write_explanation(e, tmp_path / "text", plot=False)] == ["divergence.md"]
    with pytest.raises(DataError, match=r"plot: kind of file not known \(got 'x.pdf'"):
        save_plot(e, tmp_path / "x.pdf")


@pytest.mark.parametrize("semantics", sorted(GRAPHS))
def test_plot_shows_both_membranes_and_all_arrivals(semantics: str) -> None:
    e = explained(compared(GRAPHS[semantics], "reference", "late"))
    figure = divergence_plot(e)
    labels = [axis.get_ylabel().split("\n")[0] for axis in figure.axes]
    assert labels == (["v", "u", "arrivals"] if semantics == "integer" else ["v", "arrivals"])
    drawn = {str(line.get_label()): np.asarray(line.get_ydata()) for line in figure.axes[0].lines}
    for side in e.sides:
        assert np.array_equal(drawn[f"v, {side.name}"], side.recorded["v"])
        assert np.array_equal(drawn[f"A, {side.name}"], side.recorded["A"])
    bars = sorted(p.get_height() for p in figure.axes[-1].patches)  # type: ignore[attr-defined]
    assert bars == sorted(x.amount for x in e.deliveries or ())
    assert bars
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    assert len(np.unique(np.asarray(canvas.buffer_rgba()).reshape(-1, 4), axis=0)) > 30


# ------------------------------------------------------------------------------------- integer graphs, side by side


def test_table_of_an_integer_graph_says_so_and_counts_clips(tmp_path: Path) -> None:
    found = compared(integer_digits_graph(), "engine", "reference")
    assert not found.failed
    assert {r.n_clips for r in found.rows} == {found.rows[0].n_clips}
    assert found.rows[0].n_clips > 100
    console = Console(width=160, record=True, file=io.StringIO())
    console.print(table(found))
    for text in (console.export_text(), markdown(found)):
        assert "integer semantics" in text
        assert "clips" in text
        assert str(found.rows[0].n_clips) in text
    data = json.loads(as_json(found))
    assert data["graph"]["semantics"] == "integer"
    assert data["rows"][0]["n_clips"] == found.rows[0].n_clips
    assert data["rows"][0]["saturations"]["out"]["y"] > 100
    assert [p.name for p in write_rasters(found, tmp_path / "out")] == ["raster.png", "raster.svg"]
    plain = markdown(compared(digits_graph(), "engine", n_samples=1))
    assert "clips" not in plain
    assert "integer" not in plain


def test_backend_that_counts_other_clips_fails_though_every_state_agrees() -> None:
    found = compared(integer_digits_graph(), "reference", "miscounts")
    assert found.miscounted == ("miscounts",)
    assert found.failed
    n = found.rows[0].n_clips
    text = markdown(found)
    assert f"agrees in every state, but counts other clips than reference: out y {n + N}; reference: out y {n}" in text


def test_float_backend_on_an_integer_graph_is_a_row_that_says_why() -> None:
    found = compared(integer_digits_graph(), "reference", "differs")
    assert found.missing == ("differs",)
    assert not found.failed
    assert "integer semantics (can: float)" in markdown(found)


def test_readout_that_does_not_fit_is_told_in_the_graphs_own_words() -> None:
    with pytest.raises(DataError, match=r"got IntLI 'out' of size 7; need one IntLI of size 10"):
        match(integer_digits_graph(n_out=7), digits_task())
