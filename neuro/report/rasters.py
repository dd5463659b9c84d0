"""Draw one sample of a run: inputs, spikes of every population and the readout on one time axis."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from numpy.typing import NDArray

from neuro.backend import Stimulus
from neuro.errors import DataError
from neuro.graph import Graph, SpikeInput
from neuro.recording import Events, Recording
from neuro.report.answer import Answer

# Okabe and Ito's palette: told apart with every common kind of colour vision, and in grey.
_SPIKE, _RIGHT, _WRONG, _SHADE, _OTHER = "#000000", "#0072B2", "#D55E00", "#56B4E9", "#9A9A9A"
_CLASSES = ((_RIGHT, "-"), (_WRONG, "--"), ("#009E73", "-."), ("#CC79A7", ":"))
"""Colour and kind of line of each class, where there are no more than these."""
_MOST_LINES = 4
"""Current inputs with more channels than this are drawn as an image."""

Panel = Callable[[Any], None]


def raster(
    graph: Graph,
    stimulus: Stimulus,
    recording: Recording,
    sample: int = 0,
    *,
    answer: Answer | None = None,
    title: str = "",
    mark_step: int | None = None,
) -> Figure:
    """Return a figure of one sample: a panel for each input, each population of neurons and each recorded readout.

    Parameters: sample, its number within stimulus and recording; mark_step, a step to mark in every panel (where two backends
    part, say). Spikes of step t stand at t * dt ms; a decision window is shaded from its first step to the end of its last.
    Neurons are counted from 0; a panel says the mean rate in this sample and how many neurons were silent in it.
    Raises: DataError if the sample is not in the recording.
    """
    if not 0 <= sample < min(stimulus.batch, recording.batch):
        raise DataError(
            f"raster: no such sample (got {sample}; need 0..{min(stimulus.batch, recording.batch) - 1}). Choose one of the batch."
        )
    panels = _panels(graph, stimulus, recording, sample, answer)
    figure = Figure(figsize=(9.0, 0.9 + sum(height for height, _ in panels)), layout="constrained")
    axes: Any = figure.subplots(
        len(panels), 1, sharex=True, squeeze=False, gridspec_kw={"height_ratios": [height for height, _ in panels]}
    )[:, 0]
    end = recording.steps * graph.dt_ms
    for axis, (_, draw) in zip(axes, panels, strict=True):
        _shade(axis, answer, graph.dt_ms)
        draw(axis)
        if mark_step is not None:
            axis.axvline(mark_step * graph.dt_ms, color=_WRONG, linestyle="--", linewidth=1.0, zorder=0)
        axis.set_xlim(0, end)
        axis.spines[["top", "right"]].set_visible(False)
    axes[-1].set_xlabel("time (ms)")
    axes[0].set_title("\n".join(part for part in (title, _asked(answer)) if part), loc="left", fontsize=10)
    return figure


def save(figure: Figure, stem: str | Path) -> tuple[Path, Path]:
    """Write a figure as STEM.png and STEM.svg; equal figures give equal bytes (no date, no random ids)."""
    stem = Path(stem)
    stem.parent.mkdir(parents=True, exist_ok=True)
    png, svg = (stem.with_name(f"{stem.name}.{kind}") for kind in ("png", "svg"))
    FigureCanvasAgg(figure).print_figure(png, dpi=150, metadata={"Software": None})
    with matplotlib.rc_context({"svg.hashsalt": "neuro", "svg.fonttype": "path"}):
        FigureCanvasSVG(figure).print_figure(svg, metadata={"Date": None, "Creator": "neuro"})
    return png, svg


def _panels(
    graph: Graph, stimulus: Stimulus, recording: Recording, sample: int, answer: Answer | None
) -> list[tuple[float, Panel]]:
    """Return height in inches and drawing of each panel, from the inputs down."""
    found: list[tuple[float, Panel]] = []
    for p in graph.inputs:
        if isinstance(p, SpikeInput):
            found.append(
                _spike_panel(p.name, "input", p.size, stimulus.spikes.get(p.name, Events.none()), sample, recording)
            )
        else:
            found.append(_current_panel(p.name, stimulus.currents[p.name][sample], graph.dt_ms))
    found += [
        _spike_panel(p.name, type(p).__name__, p.size, recording.spikes[p.name], sample, recording)
        for p in graph.neurons
        if p.name in recording.spikes
    ]
    found += [
        _readout_panel(p.name, recording.traces[p.name]["y"][sample], graph.dt_ms, answer)
        for p in graph.readouts
        if "y" in recording.traces.get(p.name, {})
    ]
    if not found:
        raise DataError(
            "raster: nothing to draw (got a recording without spikes and traces; need one of them). Record spikes."
        )
    return found


def _spike_panel(
    name: str, kind: str, size: int, events: Events, sample: int, recording: Recording
) -> tuple[float, Panel]:
    mine = events.select(sample, sample + 1)
    rate = len(mine) / (size * recording.steps * recording.dt_ms / 1000)
    silent = size - len(np.unique(mine.unit))

    def draw(axis: Any) -> None:
        unit = mine.unit.astype(float)
        width = float(np.clip(450.0 / recording.steps, 0.4, 1.6))  # the axis is some 450 points wide
        axis.vlines(mine.step * recording.dt_ms, unit - 0.45, unit + 0.45, color=_SPIKE, linewidth=width)
        axis.set_ylim(-0.5, size - 0.5)
        axis.set_ylabel(f"{name}\n{'channel' if kind == 'input' else kind + ' neuron'}")
        axis.yaxis.get_major_locator().set_params(integer=True)
        _remark(axis, f"{rate:.1f} Hz, {silent} of {size} silent")

    return float(np.clip(0.03 * size, 1.0, 3.2)), draw


def _current_panel(name: str, values: NDArray[np.float64], dt_ms: float) -> tuple[float, Panel]:
    steps, size = values.shape

    def draw(axis: Any) -> None:
        if size <= _MOST_LINES:
            styles = ("-", "--", ":", "-.")
            for k in range(size):
                axis.stairs(values[:, k], np.arange(steps + 1) * dt_ms, color=_SPIKE, linestyle=styles[k], label=f"{k}")
            if size > 1:
                axis.legend(title="channel", loc="upper left", fontsize=7, title_fontsize=7, frameon=False)
            axis.set_ylabel(f"{name}\ncurrent u")
            return
        extent = (0.0, steps * dt_ms, -0.5, size - 0.5)
        image = axis.imshow(
            values.T, aspect="auto", origin="lower", extent=extent, cmap="cividis", interpolation="none"
        )
        axis.set_ylabel(f"{name}\nchannel")
        axis.figure.colorbar(image, ax=axis, label="current u", pad=0.01)

    return 1.3, draw


def _readout_panel(name: str, y: NDArray[np.float64], dt_ms: float, answer: Answer | None) -> tuple[float, Panel]:
    """Draw the readout of every class over time.

    Few classes have a colour and a kind of line each. Of many, the label is blue, a wrong answer orange and broken, the rest grey.
    """
    time = np.arange(len(y)) * dt_ms
    n_classes = y.shape[1]
    asked = set(answer.labels) if answer else set()
    wrong = set(answer.predictions) - asked if answer else set()

    def draw(axis: Any) -> None:
        if n_classes <= len(_CLASSES):
            for k, (color, line) in enumerate(_CLASSES[:n_classes]):
                axis.plot(time, y[:, k], color=color, linewidth=1.4, linestyle=line, label=f"class {k}")
        else:
            for k in sorted(range(n_classes), key=lambda k: (k in asked, k in wrong)):
                told = f"class {k} (label)" if k in asked else f"class {k} (predicted)" if k in wrong else None
                color = _RIGHT if k in asked else _WRONG if k in wrong else _OTHER
                line, width = ("--" if k in wrong else "-"), (1.8 if told else 0.7)
                axis.plot(time, y[:, k], color=color, linewidth=width, linestyle=line, label=told)
            axis.plot([], [], color=_OTHER, linewidth=0.7, label="other classes" if asked else "classes")
        axis.legend(loc="upper left", fontsize=7, frameon=False, ncols=4)
        axis.set_ylabel(f"{name}\nreadout y")
        axis.margins(y=0.25)

    return 1.7, draw


def _shade(axis: Any, answer: Answer | None, dt_ms: float) -> None:
    for first, stop in _windows(answer):
        axis.axvspan(first * dt_ms, stop * dt_ms, color=_SHADE, alpha=0.2, linewidth=0)


def _windows(answer: Answer | None) -> Sequence[tuple[int, int]]:
    """Return (first step, step after the last) of every stretch of one decision."""
    if answer is None:
        return []
    edges = [0, *(np.flatnonzero(np.diff(answer.window)) + 1).tolist(), len(answer.window)]
    return [(a, b) for a, b in pairwise(edges) if answer.window[a] >= 0]


def _asked(answer: Answer | None) -> str:
    if answer is None or not answer.labels:
        return ""
    plural = "s" if len(answer.labels) > 1 else ""
    labels, predictions = (" ".join(map(str, x)) for x in (answer.labels, answer.predictions))
    n_right = sum(a == b for a, b in zip(answer.labels, answer.predictions, strict=True))
    verdict = {len(answer.labels): "right", 0: "wrong"}.get(n_right, f"{n_right} of {len(answer.labels)} right")
    return f"label{plural} {labels}, predicted {predictions}: {verdict}; shaded: when the answer is read"


def _remark(axis: Any, text: str) -> None:
    """Write above the panel's right end, where nothing is drawn."""
    axis.set_title(text, loc="right", fontsize=7, pad=2.0)
