"""The raster plots: that they show what was recorded, and are the same bytes each time."""

from __future__ import annotations

import io
import re
from pathlib import Path

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from numpy.typing import NDArray

from neuro.backend import Record, Stimulus, run
from neuro.errors import DataError
from neuro.graph import Builder
from neuro.report import Answer, Candidate, Comparison, answer_of, compare, write_rasters, write_tables
from neuro.report.rasters import raster, save
from tests.report.nets import digits_graph, digits_task
from tests.report.strangers import offer


@pytest.fixture(scope="module")
def comparison() -> Comparison:
    return compare(digits_graph(), digits_task(), [Candidate(name="engine")], n_samples=4)


def drawn(comparison: Comparison, sample: int = 2) -> Figure:
    group = comparison.groups["engine"]
    answer = answer_of(comparison, group, sample)
    return raster(comparison.graph, group.given.stimulus, group.recording, sample, answer=answer, title="a title")


def pixels(figure: Figure) -> NDArray[np.uint8]:
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())


def test_every_population_has_a_panel_with_all_its_spikes(comparison: Comparison) -> None:
    figure = drawn(comparison)
    labels = [axis.get_ylabel() for axis in figure.axes]
    assert labels == ["in\nchannel", "lif\nLIF neuron", "alif\nALIF neuron", "out\nreadout y"]
    recording = comparison.groups["engine"].recording
    for axis, name in zip(figure.axes[1:3], ("lif", "alif"), strict=True):
        (lines,) = [c for c in axis.collections if isinstance(c, LineCollection)]
        mine = recording.spikes[name].select(2, 3)
        assert len(mine) > 5
        where = np.array([segment.mean(axis=0) for segment in lines.get_segments()])
        assert np.array_equal(where, np.stack([mine.step * 1.0, mine.unit], axis=1))
    readout = figure.axes[3].lines
    y = recording.traces["out"]["y"][2]
    shown = {tuple(np.asarray(line.get_ydata())) for line in readout if len(np.asarray(line.get_ydata()))}
    assert shown == {tuple(y[:, k]) for k in range(10)}


def test_time_is_in_ms_and_shared(comparison: Comparison) -> None:
    figure = drawn(comparison)
    assert figure.axes[-1].get_xlabel() == "time (ms)"
    assert {axis.get_xlim() for axis in figure.axes} == {(0.0, 72.0)}


def test_title_says_label_and_prediction(comparison: Comparison) -> None:
    answer = answer_of(comparison, comparison.groups["engine"], 2)
    title = drawn(comparison).axes[0].get_title(loc="left")
    verdict = "right" if answer.labels == answer.predictions else "wrong"
    assert title.startswith("a title\n")
    assert f"label {answer.labels[0]}, predicted {answer.predictions[0]}: {verdict}" in title
    assert answer.labels == tuple(digits_task().fixed("test", 2, 3).targets[0])


def test_decision_window_is_shaded_where_the_answer_is_read(comparison: Comparison) -> None:
    for axis in drawn(comparison).axes:
        (patch,) = axis.patches
        box = patch.get_window_extent().transformed(axis.transData.inverted())
        assert box.x0 == pytest.approx(68.0)
        assert box.x1 == pytest.approx(72.0)


def test_several_decisions_are_several_windows() -> None:
    graph = digits_graph()
    recording = run(graph, Stimulus(batch=1, steps=30), record=Record(traces="all"))
    window = np.full(30, -1)
    window[5:10], window[20:30] = 0, 1
    answer = Answer(window=window, labels=(1, 0), predictions=(1, 1))
    figure = raster(graph, Stimulus(batch=1, steps=30), recording, answer=answer)
    assert len(figure.axes[0].patches) == 2
    assert "labels 1 0, predicted 1 1: 1 of 2 right" in figure.axes[0].get_title(loc="left")


@pytest.mark.parametrize("n_out", [2, 4, 5, 10])
def test_every_class_is_drawn_and_few_are_told_apart(n_out: int) -> None:
    graph = digits_graph(n_out=n_out)
    recording = run(graph, Stimulus(batch=1, steps=30), record=Record(traces="all"))
    window = np.full(30, -1)
    window[20:] = 0
    answer = Answer(window=window, labels=(1,), predictions=(0,))
    lines = list(raster(graph, Stimulus(batch=1, steps=30), recording, answer=answer).axes[-1].lines)
    shown = [line for line in lines if len(np.asarray(line.get_xdata()))]
    assert len(shown) == n_out
    styles = {(str(line.get_color()), line.get_linestyle()) for line in shown}
    assert len(styles) == (n_out if n_out <= 4 else 3)


def test_picture_is_not_blank_and_shows_the_spikes(comparison: Comparison) -> None:
    group = comparison.groups["engine"]
    figure = drawn(comparison)
    image = pixels(figure)
    assert len(np.unique(image.reshape(-1, 4), axis=0)) > 50
    silent = Stimulus(batch=1, steps=72)
    quiet = raster(comparison.graph, silent, run(comparison.graph, silent, record=Record(traces="all")))
    black = [(pixels(f)[..., :3] < 60).all(axis=2).sum() for f in (figure, quiet)]
    assert black[0] > 1.5 * black[1], black
    assert len(group.recording.spikes["lif"]) > 20


def test_files_are_the_same_bytes_each_time(comparison: Comparison, tmp_path: Path) -> None:
    first, second = (save(drawn(comparison), tmp_path / name / "raster") for name in ("one", "two"))
    for a, b in zip(first, second, strict=True):
        assert a.read_bytes() == b.read_bytes()
        assert a.stat().st_size > 5000
    svg = first[1].read_text()
    assert "<dc:date>" not in svg
    assert svg.rstrip().endswith("</svg>")


def test_colours_are_told_apart_without_colour() -> None:
    # Relative luminance (WCAG 2): what is left of a colour in grey.
    from neuro.report import rasters

    def grey(colour: str) -> float:
        channels = [int(x, 16) / 255 for x in re.findall("..", colour[1:])]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))

    tones = sorted(grey(c) for c in (rasters._SPIKE, rasters._RIGHT, rasters._WRONG, rasters._OTHER))
    assert min(np.diff(tones)) > 0.05


@pytest.mark.parametrize("size", [1, 3, 12])
def test_current_inputs_are_drawn_as_lines_or_as_an_image(size: int) -> None:
    b = Builder()
    b.current_input("grey", size)
    b.lif("lif", 3)
    b.connect("grey", "lif", weight=0.9)
    rng = np.random.default_rng(0)
    stimulus = Stimulus.dense({"grey": rng.integers(0, 257, (1, 25, size)) / 256})
    graph = b.build()
    figure = raster(graph, stimulus, run(graph, stimulus))
    axis = figure.axes[0]
    assert bool(axis.images) is (size > 4)
    if axis.images:
        assert np.array_equal(axis.images[0].get_array(), stimulus.currents["grey"][0].T)
    assert pixels(figure).std() > 5


def test_sample_or_record_that_is_not_there_is_refused(comparison: Comparison) -> None:
    group = comparison.groups["engine"]
    with pytest.raises(DataError, match=r"no such sample \(got 4; need 0..3\)"):
        raster(comparison.graph, group.given.stimulus, group.recording, 4)
    b = Builder()
    b.lif("lif", 1)
    graph = b.build()
    recording = run(graph, Stimulus(batch=1, steps=3), record=Record(spikes=False))
    with pytest.raises(DataError, match="nothing to draw"):
        raster(graph, Stimulus(batch=1, steps=3), recording)


def test_folder_holds_tables_and_rasters(comparison: Comparison, tmp_path: Path) -> None:
    paths = write_tables(comparison, tmp_path / "new" / "out") + write_rasters(comparison, tmp_path / "new" / "out")
    assert [p.name for p in paths] == ["comparison.json", "comparison.md", "raster.png", "raster.svg"]
    assert all(p.stat().st_size for p in paths)
    assert sorted(p.name for p in (tmp_path / "new" / "out").iterdir()) == sorted(p.name for p in paths)


def test_backend_that_differs_is_drawn_where_it_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    offer(tmp_path, monkeypatch)
    wanted = [Candidate(name="engine"), Candidate(name="differs")]
    found = compare(digits_graph(), digits_task(), wanted, n_samples=4)
    paths = write_rasters(found, tmp_path / "out")
    assert [p.name for p in paths if "differs" in p.name] == ["raster-differs.png", "raster-differs.svg"]


def test_drawing_leaves_matplotlibs_settings_alone(comparison: Comparison, tmp_path: Path) -> None:
    import sys

    import matplotlib

    before = dict(matplotlib.rcParams)
    save(drawn(comparison), tmp_path / "raster")
    assert dict(matplotlib.rcParams) == before
    buffer = io.BytesIO()
    drawn(comparison).savefig(buffer, format="png")
    assert buffer.tell() > 1000
    assert "matplotlib.pyplot" not in sys.modules or sys.modules["matplotlib.pyplot"].get_fignums() == []
