"""`neuro diff`, `neuro compare --find`, and integer graphs on the command line."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.image import imread

import neuro as library
from neuro import recording as recordings
from neuro.backend import Record, Stimulus
from neuro.cli.options import task_note
from neuro.graph import Graph
from tests.cli.conftest import Neuro
from tests.report.nets import DIGITS, digits_graph, digits_task, integer_digits_graph
from tests.report.strangers import LATE, offer

GRAPHS = {"float": digits_graph(), "integer": integer_digits_graph()}


def saved(folder: Path, semantics: str) -> Path:
    """Write a graph that knows its task and return its path."""
    library.save(GRAPHS[semantics].with_notes(task=task_note("digits", DIGITS)), folder / "graph.h5")
    return folder / "graph.h5"


def wrong(graph: Graph) -> Graph:
    """Return the graph with one synapse of 'in->lif' a step later."""

    def late(c: Any) -> Any:
        hit = (c.source, c.target) == ("in", "lif") and c.size > LATE
        return replace(c, delay=c.delay + (np.arange(c.size) == LATE)) if hit else c

    return replace(graph, projections=tuple(late(c) for c in graph.projections))


def fault(folder: Path, semantics: str, **changed: Any) -> Path:
    """Write what a backend records that holds one delay wrong and does not know it."""
    graph = GRAPHS[semantics]
    stimulus = Stimulus.dense({"in": digits_task().fixed("test", 0, 4).inputs})
    found = library.run(wrong(graph), stimulus, record=Record(traces="all"))
    found = replace(found, backend="mine", graph_sha256=graph.sha256, **changed)
    recordings.save(found, folder / "mine.h5")
    return folder / "mine.h5"


def told(neuro: Neuro, *arguments: object, code: int) -> str:
    done = neuro(*arguments)
    assert done.exit_code == code, done.output
    return " ".join(done.output.split())


@pytest.mark.parametrize("semantics", sorted(GRAPHS))
def test_two_files_that_differ_are_explained_and_drawn(neuro: Neuro, tmp_path: Path, semantics: str) -> None:
    graph, mine = saved(tmp_path, semantics), fault(tmp_path, semantics)
    ran = told(neuro, "run", graph, "-n", "4", "--traces", "-o", tmp_path / "engine.h5", code=0)
    assert ("integer semantics" in ran) == (semantics == "integer")
    assert ("sums in all samples (out y" in ran) == (semantics == "integer")
    done = neuro("diff", tmp_path / "engine.h5", mine, "--plot", tmp_path / "plots" / "why.png", "--steps", "5")
    assert done.exit_code == 1, done.output
    text = " ".join(done.stdout.split())
    assert "first difference at step" in text
    values = re.search(r"neuron \d+, state \w+: engine (\S+), mine (\S+) ", text)
    assert values is not None
    assert all(x.lstrip("-").isdigit() for x in values.groups()) == (semantics == "integer")
    assert "engine holds what the golden model gives" in text
    assert "mine leaves the golden model" in text
    assert "lost in mine?" in text
    assert "mine holds exactly what would come of this: the delivery of in[" in text
    assert imread(tmp_path / "plots" / "why.png")[..., :3].std() > 0.02
    assert (neuro("diff", tmp_path / "engine.h5", mine, "--plot", tmp_path / "why.svg")).exit_code == 1
    assert "<path" in (tmp_path / "why.svg").read_text()


def test_plot_of_another_kind_is_refused_before_anything_is_read(neuro: Neuro, tmp_path: Path) -> None:
    text = told(neuro, "diff", tmp_path / "none.h5", tmp_path / "none.h5", "--plot", tmp_path / "why.pdf", code=2)
    assert text == "plot: kind of file not known (got 'why.pdf'; need a name that ends with .png or .svg). Rename it."


def test_two_files_that_agree_are_exit_0(neuro: Neuro, tmp_path: Path) -> None:
    graph = saved(tmp_path, "integer")
    for name in ("engine", "reference"):
        assert neuro("run", graph, "-n", "3", "-b", name, "-o", tmp_path / f"{name}.h5", "--traces").exit_code == 0
    text = told(neuro, "diff", tmp_path / "engine.h5", tmp_path / "reference.h5", code=0)
    assert "exact (" in text
    assert "values in 3 samples)" in text
    assert neuro("run", graph, "-n", "3", "-o", tmp_path / "bare.h5").exit_code == 0
    assert "exact (" in told(neuro, "diff", tmp_path / "bare.h5", tmp_path / "engine.h5", code=0)


def test_graph_is_found_beside_a_recording_or_named_or_missed(neuro: Neuro, tmp_path: Path) -> None:
    graph = saved(tmp_path, "float")
    apart = tmp_path / "apart"
    apart.mkdir()
    mine = fault(apart, "float")
    assert neuro("run", graph, "-n", "4", "--traces", "-o", apart / "engine.h5").exit_code == 0
    blind = told(neuro, "diff", apart / "engine.h5", mine, code=1)
    assert "without the graph" in blind
    assert "--graph" in blind
    assert "arrivals" not in blind
    seen = told(neuro, "diff", apart / "engine.h5", mine, "--graph", graph, code=1)
    assert "arrivals at lif[" in seen
    library.save(GRAPHS["integer"], tmp_path / "other.h5")
    text = told(neuro, "diff", apart / "engine.h5", mine, "--graph", tmp_path / "other.h5", code=2)
    assert "the graph is another" in text


def test_recordings_that_do_not_belong_together_are_exit_2(neuro: Neuro, tmp_path: Path) -> None:
    graph = saved(tmp_path, "float")
    for name, arguments in {"a": (), "b": ("--split", "validation"), "c": ("-n", "3")}.items():
        assert neuro("run", graph, "-n", "4", *arguments, "-o", tmp_path / f"{name}.h5").exit_code == 0
    assert "stimulus differs (got other spikes of input 'in', first at step" in told(
        neuro, "diff", tmp_path / "a.h5", tmp_path / "b.h5", code=2
    )
    assert "batch differs (got 4 and 3" in told(neuro, "diff", tmp_path / "a.h5", tmp_path / "c.h5", code=2)
    library.save(GRAPHS["integer"].with_notes(task=task_note("digits", DIGITS)), tmp_path / "graph.h5")
    assert neuro("run", graph, "-n", "4", "-o", tmp_path / "d.h5").exit_code == 0
    assert "graph differs" in told(neuro, "diff", tmp_path / "a.h5", tmp_path / "d.h5", code=2)
    library.save(
        GRAPHS["float"], tmp_path / "float.h5"
    )  # beside them: it is found for a.h5, and the answer is the same
    assert "graph differs" in told(neuro, "diff", tmp_path / "a.h5", tmp_path / "d.h5", code=2)
    empty = replace(recordings.load(tmp_path / "a.h5"), batch=0, spikes={})
    for name in ("e", "f"):
        recordings.save(empty, tmp_path / f"{name}.h5")
    assert "nothing was recorded (got 0 samples of 72 steps" in told(
        neuro, "diff", tmp_path / "e.h5", tmp_path / "f.h5", code=2
    )
    assert "another kind of file" in told(neuro, "diff", graph, tmp_path / "d.h5", code=2)
    assert "no such file" in told(neuro, "diff", tmp_path / "none.h5", tmp_path / "d.h5", code=2)


def test_stimulus_of_currents_can_be_given(neuro: Neuro, tmp_path: Path) -> None:
    b = library.Builder()
    b.current_input("grey", 3)
    b.lif("lif", 4)
    b.connect("grey", "lif", weight=0.9)
    graph = b.build()
    stimulus = Stimulus.dense({"grey": np.random.default_rng(0).integers(0, 257, (2, 25, 3)) / 256})
    found = library.run(graph, stimulus, record=Record(traces="all"))
    v = found.traces["lif"]["v"].copy()
    v[1, 20, 2] += 0.25
    library.save(graph, tmp_path / "graph.h5")
    recordings.save(found, tmp_path / "a.h5")
    recordings.save(replace(found, backend="mine", traces={"lif": {"v": v}}), tmp_path / "b.h5")
    stimulus.save(tmp_path / "stimulus.h5")
    files = (tmp_path / "a.h5", tmp_path / "b.h5")
    assert "unknown: what 'grey' sent" in told(neuro, "diff", *files, code=1)
    text = told(neuro, "diff", *files, "--stimulus", tmp_path / "stimulus.h5", code=1)
    assert "mine leaves the golden model at step 20, state v" in text
    stimulus.select(0, 1).save(tmp_path / "short.h5")
    assert "currents of 'grey': wrong shape" in told(neuro, "diff", *files, "--stimulus", tmp_path / "short.h5", code=2)


def test_run_saves_its_stimulus(neuro: Neuro, tmp_path: Path) -> None:
    graph = saved(tmp_path, "float")
    assert neuro("run", graph, "-n", "2", "--save-stimulus", tmp_path / "in.h5").exit_code == 0
    assert (
        Stimulus.load(tmp_path / "in.h5").spikes
        == Stimulus.dense({"in": digits_task().fixed("test", 0, 2).inputs}).spikes
    )


# -------------------------------------------------------------------------------------------------- compare --find


@pytest.fixture
def strangers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    offer(tmp_path, monkeypatch)


@pytest.mark.usefixtures("strangers")
@pytest.mark.parametrize("semantics", sorted(GRAPHS))
def test_find_explains_the_first_backend_that_parts(neuro: Neuro, tmp_path: Path, semantics: str) -> None:
    graph = saved(tmp_path, semantics)
    text = told(neuro, "compare", graph, "-b", "engine,late", "-n", "4", "--find", "-o", tmp_path / "out", code=1)
    assert "late leaves the golden model" in text
    assert "lost in late?" in text
    names = {p.name for p in (tmp_path / "out").iterdir()}
    assert {"divergence.md", "divergence.png", "divergence.svg", "comparison.md"} <= names
    page = (tmp_path / "out" / "divergence.md").read_text()
    assert page.startswith("# engine and late part at step")


@pytest.mark.usefixtures("strangers")
def test_find_without_pictures_and_without_a_difference(neuro: Neuro, tmp_path: Path) -> None:
    graph = saved(tmp_path, "float")
    arguments = ("compare", graph, "-n", "4", "--find", "--no-rasters", "-o", tmp_path / "out")
    assert "find: no two backends differ" in told(neuro, *arguments, "-b", "engine,reference", code=0)
    assert not (tmp_path / "out" / "divergence.md").exists()
    assert "find: nothing to compare, fewer than two backends ran" in told(neuro, *arguments, "-b", "engine", code=0)
    told(neuro, *arguments, "-b", "engine,differs", code=1)
    assert {p.name for p in (tmp_path / "out").glob("divergence*")} == {"divergence.md"}


@pytest.mark.usefixtures("strangers")
def test_float_backends_are_left_out_of_an_integer_graph_unless_asked_for(neuro: Neuro, tmp_path: Path) -> None:
    graph = saved(tmp_path, "integer")
    everything = neuro("compare", graph, "-n", "2", "--no-rasters")
    (line,) = (x for x in everything.stdout.splitlines() if x.startswith("left out"))
    assert line.startswith("left out, as they do not run graphs of integer semantics: ")
    assert "differs" in line
    assert "late" not in line
    assert "engine" not in line
    asked = told(neuro, "compare", graph, "-n", "2", "--no-rasters", "-b", "engine,differs", code=3)
    assert "integer semantics (can: float)" in asked
