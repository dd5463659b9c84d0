"""Read the log of a training or learning run: losses, shares of right answers and rates over iterations."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuro._runs import LOG, RUN, read_json, read_log
from neuro.errors import DataError
from neuro.graph import Graph
from neuro.report.page.packed import rounded

MOST_POINTS = 400
"""More iterations than this are drawn as means of as many stretches."""
_STEPS = ("loss", "accuracy", "rate_hz")
_LAST = 2**62


@dataclass(frozen=True, kw_only=True)
class Line:
    """Values over iterations; n_each: iterations that a point is the mean of."""

    iteration: list[float]
    value: list[float]
    n_each: int = 1


@dataclass(frozen=True, kw_only=True)
class Training:
    """A run's log. steps: of the batches trained on, by quantity; validation: of the validation set. settings: of run.json."""

    name: str
    path: Path
    kind: str
    settings: Mapping[str, Any]
    steps: Mapping[str, Line]
    validation: Mapping[str, Line]
    n_iterations: int
    before: Graph | None = None
    after: Graph | None = None

    @property
    def best(self) -> tuple[float, float] | None:
        """Return iteration and share of the best validation, None without one."""
        line = self.validation.get("accuracy")
        if line is None or not line.value:
            return None
        k = int(np.argmax(line.value))
        return line.iteration[k], line.value[k]


def read_training(folder: Path, name: str, before: Graph | None = None, after: Graph | None = None) -> Training:
    """Read run.json and log.jsonl of a folder.

    Parameters: before, after, the network as it started and as it ended, where the caller has them.
    Raises: DataError if the folder holds no run, or its log holds nothing yet.
    """
    settings = read_json(folder / RUN)
    entries = [json.loads(line) for line in read_log(folder, _LAST)]
    if not entries:
        raise DataError(f"run '{folder}': {LOG} holds nothing (got no iteration; need one or more). Train it first.")
    validations = [
        {"iteration": e["iteration"], **e["validation"]} for e in entries if isinstance(e.get("validation"), dict)
    ]
    steps = [e for e in entries if not isinstance(e.get("validation"), dict)]
    return Training(
        name=name,
        path=folder,
        kind=_kind(settings),
        settings=settings,
        steps={key: line for key in _STEPS if (line := _line(steps, key)) is not None},
        validation={key: line for key in _STEPS if (line := _line(validations, key)) is not None},
        n_iterations=int(entries[-1]["iteration"]),
        before=before,
        after=after,
    )


def _kind(settings: Mapping[str, Any]) -> str:
    """Return the kind of network, of a run of `neuro learn` its rule."""
    model = settings.get("model")
    if isinstance(model, dict):
        return str(model.get("kind", ""))
    rule = settings.get("rule")
    return str(rule.get("name", "local rule")) if isinstance(rule, dict) else "local rule"


def _line(entries: list[dict[str, Any]], key: str) -> Line | None:
    found = [(e["iteration"], e[key]) for e in entries if _finite(e.get(key)) and _finite(e["iteration"])]
    if not found:
        return None
    iteration, value = (np.array(column, dtype=np.float64) for column in zip(*found, strict=True))
    n_each = -(-len(value) // MOST_POINTS)
    return Line(iteration=_means(iteration, n_each), value=_means(value, n_each), n_each=n_each)


def _finite(x: object) -> bool:
    return isinstance(x, (int, float)) and not isinstance(x, bool) and math.isfinite(x)


def _means(x: NDArray[np.float64], n: int) -> list[float]:
    first = np.arange(0, len(x), n)
    return rounded(np.add.reduceat(x, first) / np.diff(np.append(first, len(x))))
