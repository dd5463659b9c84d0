"""Draw accuracy against energy: every trial, and the front."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import sqrt
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter

from neuro.sweep.table import title

_TRIAL, _FRONT, _RANGE = "#9A9A9A", "#0072B2", "#D0D0D0"


def pareto(held: Mapping[str, Any]) -> Figure:
    """Return the figure of what sweep.json holds.

    A trial is a point at its dynamic energy (logarithmic; joules to microjoules) and accuracy. Thin bars: the range of the energy, and one standard error of the
    accuracy, sqrt(p (1 - p) / n). The front is joined by steps, since between two trials nothing was measured, and numbered.
    """
    figure = Figure(figsize=(8.0, 5.0), layout="constrained")
    axis: Any = figure.subplots()
    done = [t for t in held["trials"] if t["state"] == "done"]
    on_front = [held["trials"][k] for k in held["pareto"]]
    others = [t for t in done if t["number"] not in held["pareto"]]
    _points(axis, others, _TRIAL, 4.0, "trials")
    if on_front:
        x, y = zip(*map(_place, on_front), strict=True)
        axis.step(x, y, where="post", color=_FRONT, linewidth=1.0, zorder=2)
        _points(axis, on_front, _FRONT, 6.0, "Pareto front")
        for trial in on_front:
            axis.annotate(
                str(trial["number"]), _place(trial), textcoords="offset points", xytext=(5, 6), fontsize=8, color=_FRONT
            )
        axis.legend(frameon=False, loc="lower right", fontsize=9)
    if done and all(_place(t)[0] > 0 for t in done):
        axis.set_xscale("log")
        plain = LogFormatter(labelOnlyBase=False, minor_thresholds=(2, 0.5))
        axis.xaxis.set_major_formatter(plain)
        axis.xaxis.set_minor_formatter(plain)
    axis.set_xlabel("dynamic energy of an inference (uJ), an estimate; bars: range of the sources")
    axis.set_ylabel(f"accuracy on {held['split']} samples (%); bars: standard error")
    axis.set_title(title(held).replace(". ", ".\n"), loc="left", fontsize=9)
    axis.spines[["top", "right"]].set_visible(False)
    return figure


def save(figure: Figure, path: Path) -> Path:
    """Write a figure as SVG; equal figures give equal bytes (no date, no random ids)."""
    with matplotlib.rc_context({"svg.hashsalt": "neuro", "svg.fonttype": "path"}):
        FigureCanvasSVG(figure).print_figure(path, metadata={"Date": None, "Creator": "neuro"})
    return path


def _place(trial: Mapping[str, Any]) -> tuple[float, float]:
    return 1e6 * trial["energy"]["value"], 100 * trial["accuracy"]


def _points(axis: Any, trials: Sequence[Mapping[str, Any]], color: str, size: float, label: str) -> None:
    if not trials:
        return
    x, y = zip(*map(_place, trials), strict=True)
    left = [1e6 * (t["energy"]["value"] - t["energy"]["low"]) for t in trials]
    right = [1e6 * (t["energy"]["high"] - t["energy"]["value"]) for t in trials]
    error = [100 * sqrt(t["accuracy"] * (1 - t["accuracy"]) / max(t["n_decisions"], 1)) for t in trials]
    axis.errorbar(x, y, xerr=(left, right), yerr=error, fmt="none", ecolor=_RANGE, elinewidth=0.8, zorder=1)
    axis.plot(x, y, "o", color=color, markersize=size, label=label, zorder=3)
