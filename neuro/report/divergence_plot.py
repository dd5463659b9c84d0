"""Draw why two recordings part: membrane and threshold, the other states, and what arrived, over the steps before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from numpy.typing import NDArray

from neuro.errors import DataError
from neuro.metrics import Explanation

# Two of Okabe and Ito's colours that differ in grey too; the second side is broken, so that both are seen where they agree.
_SIDES = (("#0072B2", "-", "o"), ("#D55E00", "--", "x"))
_BAR, _MARK = "#9A9A9A", "#000000"
KINDS = (".png", ".svg")


def divergence_plot(e: Explanation) -> Figure:
    """Return a figure with a panel of v (or y) and A, one of the other states if there are any, and one of the arrivals.

    What was recorded is drawn, or what the golden model gives where it was not. Triangles are spikes; the last step, in which the
    two part, is marked.
    """
    main = "y" if any("y" in {*s.recorded, *s.expected} for s in e.sides) else "v"
    others = [n for n in ("u", "a", "x") if any(n in {*s.recorded, *s.expected} for s in e.sides)]
    heights = [2.2, *(1.2 for _ in others), 1.4]
    figure = Figure(figsize=(7.0, 0.8 + sum(heights)), layout="constrained")
    axes: Any = figure.subplots(len(heights), 1, sharex=True, squeeze=False, gridspec_kw={"height_ratios": heights})[
        :, 0
    ]
    _membrane(axes[0], e, main)
    for axis, name in zip(axes[1:-1], others, strict=True):
        _lines(axis, e, name)
        axis.set_ylabel(name)
    _arrivals(axes[-1], e)
    for axis in axes:
        axis.axvline(e.divergence.step, color=_MARK, linestyle=":", linewidth=1.0, zorder=0)
        axis.spines[["top", "right"]].set_visible(False)
    axes[-1].set_xlim(e.steps[0] - 0.5, e.steps[-1] + 0.5)
    axes[-1].xaxis.get_major_locator().set_params(integer=True)
    axes[-1].set_xlabel("step")
    d = e.divergence
    axes[0].set_title(
        f"{d.population}[{d.neuron}], sample {d.sample}: {d.state} parts at step {d.step}",
        loc="left",
        fontsize=10,
        pad=18.0,
    )
    return figure


def check_path(path: str | Path) -> Path:
    """Return the path of a plot. Raises DataError for a name that ends with none of KINDS."""
    path = Path(path)
    if path.suffix.lower() not in KINDS:
        raise DataError(
            f"plot: kind of file not known (got '{path.name}'; need a name that ends with {' or '.join(KINDS)}). Rename it."
        )
    return path


def save_plot(e: Explanation, path: str | Path) -> Path:
    """Write the figure as .png or .svg, whichever the name says; equal explanations give equal bytes.

    Raises: DataError for another kind of file.
    """
    path = check_path(path)
    figure = divergence_plot(e)
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix.lower() == ".png":
        FigureCanvasAgg(figure).print_figure(path, dpi=150, metadata={"Software": None})
    else:
        with matplotlib.rc_context({"svg.hashsalt": "neuro", "svg.fonttype": "path"}):
            FigureCanvasSVG(figure).print_figure(path, metadata={"Date": None, "Creator": "neuro"})
    return path


def _values(e: Explanation, k: int, name: str) -> NDArray[np.float64] | None:
    """Return what a side recorded, or what the golden model gives where it did not."""
    side = e.sides[k]
    return side.recorded.get(name, side.expected.get(name))


def _lines(axis: Any, e: Explanation, name: str) -> None:
    for k, (color, line, marker) in enumerate(_SIDES):
        values = _values(e, k, name)
        if values is not None:
            axis.plot(e.steps, values, color=color, linestyle=line, marker=marker, markersize=4.0, linewidth=1.4,
                      label=f"{name}, {e.sides[k].name}")  # fmt: skip


def _membrane(axis: Any, e: Explanation, name: str) -> None:
    _lines(axis, e, name)
    for k, (color, _, _) in enumerate(_SIDES):
        threshold, z = _values(e, k, "A"), _values(e, k, "z")
        if threshold is not None:
            axis.step(e.steps, threshold, where="mid", color=color, linewidth=0.9, linestyle=("-", "--")[k],
                      alpha=0.6, label=f"A, {e.sides[k].name}")  # fmt: skip
        if z is not None and z.any():
            at = e.steps[z > 0]
            axis.plot(at, np.full(len(at), 1.02 + 0.06 * k), "v", color=color, markersize=6.0, clip_on=False,
                      transform=axis.get_xaxis_transform(), label=f"spike, {e.sides[k].name}")  # fmt: skip
    axis.set_ylabel(name)
    axis.legend(fontsize=7, frameon=False, ncols=2, loc="upper left")
    axis.margins(y=0.35)


def _arrivals(axis: Any, e: Explanation) -> None:
    """Draw what each delivery of a step adds, one on the other: what excites upward, what inhibits downward."""
    up, down = dict.fromkeys(e.steps.tolist(), 0.0), dict.fromkeys(e.steps.tolist(), 0.0)
    for x in e.deliveries or ():
        pile = up if x.amount > 0 else down
        axis.bar(x.step, x.amount, bottom=pile[x.step], width=0.5, color=_BAR, edgecolor="white", linewidth=0.8)
        pile[x.step] += x.amount
    axis.axhline(0.0, color=_MARK, linewidth=0.6)
    axis.set_ylabel("arrivals\n" + ("into u" if e.semantics == "integer" else "w s"))
