"""Choose the parameters of the next trial: by a grid, or at random. Optuna's searches are in `adaptive`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from neuro.seeds import stream
from neuro.sweep.space import Axis, grid

Params = dict[str, float | str]
Trials = Sequence[Mapping[str, Any]]
Asked = tuple[Params, dict[str, Any]]
"""The parameters of a trial, and what the search wants to be kept with it (JSON)."""


class Search(Protocol):
    """Who proposes trials. A proposal depends on the seed, its number and the trials so far, and on nothing else."""

    def ask(self, trials: Trials) -> Asked | None:
        """Return the trial that follows those so far, all of sweep.json in order; None if there is no further one."""


class Listed:
    """Go through a list of points that is known from the start."""

    def __init__(self, points: Sequence[Params]) -> None:
        self._points = points

    def ask(self, trials: Trials) -> Asked | None:
        """Return the next point of the list."""
        return (dict(self._points[len(trials)]), {}) if len(trials) < len(self._points) else None


class Random:
    """Draw trial after trial, each from a stream of its own; where the points have an end, none twice."""

    def __init__(self, axes: tuple[Axis, ...], seed: int) -> None:
        self._axes, self._seed = axes, seed
        self._finite: Listed | None = None
        if all(axis.choices for axis in axes):
            points = [dict(zip((a.name for a in axes), p, strict=True)) for p in _products(axes)]
            order = stream(seed, "sweep/order").permutation(len(points))
            self._finite = Listed([points[k] for k in order])

    def ask(self, trials: Trials) -> Asked | None:
        """Draw a point."""
        if self._finite is not None:
            return self._finite.ask(trials)
        rng = stream(self._seed, f"sweep/{len(trials)}")
        return {axis.name: axis.draw(rng) for axis in self._axes}, {}


def on_grid(axes: tuple[Axis, ...]) -> Listed:
    """Return the search over every point of a grid."""
    return Listed(list(grid(axes)))


def _products(axes: tuple[Axis, ...]) -> list[tuple[float | str, ...]]:
    """Return every combination of the choices of all axes, the last fastest."""
    sizes = [len(axis.choices) for axis in axes]
    at = np.indices(sizes).reshape(len(sizes), -1).T
    return [tuple(axis.choices[k] for axis, k in zip(axes, row, strict=True)) for row in at]
