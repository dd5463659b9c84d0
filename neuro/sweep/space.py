"""Say what a sweep varies: one axis a parameter, a list of values or a range."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from neuro.errors import nearest

FLOAT = "float"
"""The value of axis "bits" that leaves a graph in doubles."""
MIN_BITS, MAX_BITS = 2, 9


def _number(x: Any) -> bool:
    return isinstance(x, (int, float)) and not isinstance(x, bool) and math.isfinite(x)


def _whole(x: Any) -> bool:
    return isinstance(x, int) and not isinstance(x, bool)


AXES: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "connectivity": (lambda x: _number(x) and 0 < x <= 1, "a number in (0, 1]"),
    "rate_target_hz": (lambda x: _number(x) and x > 0, "a number > 0"),
    "alif_fraction": (lambda x: _number(x) and 0 <= x <= 1, "a number in 0..1"),
    "bits": (lambda x: (_whole(x) and MIN_BITS <= x <= MAX_BITS) or x == FLOAT, f'{MIN_BITS}..{MAX_BITS} or "{FLOAT}"'),
}
"""What can vary: whether a value is in range, and what it needs to be."""
_KEYS = ("low", "high", "log", "n")


@dataclass(frozen=True, kw_only=True)
class Axis:
    """One parameter of a sweep.

    values: those of a list, empty for a range. low, high: of a range; log: spread by factors and not by steps. n: points of a grid over a range,
    None without a grid. whole: whole numbers alone (bits).
    """

    name: str
    values: tuple[float | str, ...] = ()
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    n: int | None = None

    @property
    def whole(self) -> bool:
        """Tell whether its numbers are whole."""
        return self.name == "bits"

    @property
    def choices(self) -> tuple[float | str, ...]:
        """Return all values, where there is an end of them: those of a list, or all whole numbers of a range."""
        if self.values or not self.whole:
            return self.values
        return tuple(range(int(self.low), int(self.high) + 1))

    def grid(self) -> tuple[float | str, ...]:
        """Return the points of a grid: all choices, or n of a range, its ends included; the same whole number only once."""
        if self.values or self.n is None:
            return self.choices
        spread = np.geomspace if self.log else np.linspace
        points = [float(x) for x in spread(self.low, self.high, self.n)]
        points[0], points[-1] = self.low, self.high if self.n > 1 else self.low  # no rounding at the ends
        return tuple(dict.fromkeys(round(x) for x in points)) if self.whole else tuple(points)

    def draw(self, rng: np.random.Generator) -> float | str:
        """Draw a value: any of the choices with equal chance, or uniformly between the ends (of the logarithm)."""
        if self.choices:
            return self.choices[int(rng.integers(len(self.choices)))]
        if self.log:
            x = math.exp(rng.uniform(math.log(self.low), math.log(self.high)))
            return min(max(x, self.low), self.high)
        return float(rng.uniform(self.low, self.high))

    def as_json(self) -> list[float | str] | dict[str, Any]:
        """Return the axis as a sweep file has it."""
        if self.values:
            return list(self.values)
        given = {"low": self.low, "high": self.high, "log": self.log, "n": self.n}
        return {key: value for key, value in given.items() if value is not None}


def grid(axes: tuple[Axis, ...]) -> Iterator[dict[str, float | str]]:
    """Yield every point of a grid, the last axis fastest."""
    for point in itertools.product(*(axis.grid() for axis in axes)):
        yield dict(zip((axis.name for axis in axes), point, strict=True))


def read_space(table: Mapping[str, Any], problems: list[str]) -> tuple[Axis, ...]:
    """Read the table [space], and note everything that is wrong with it."""
    axes = []
    if not table:
        problems.append(f"'space': nothing to vary (got no axis; need at least one of {', '.join(AXES)}).")
    for name, given in table.items():
        if name not in AXES:
            problems.append(
                f"space: unknown axis (got '{name}'; need one of {', '.join(AXES)}). {nearest(name, AXES)}".rstrip()
            )
        elif isinstance(given, dict):
            axes.append(_range(name, given, problems))
        else:
            axes.append(_list(name, given if isinstance(given, list) else [given], problems))
    return tuple(axis for axis in axes if axis is not None)


def _list(name: str, values: list[Any], problems: list[str]) -> Axis | None:
    holds, need = AXES[name]
    wrong = [x for x in values if not holds(x)]
    if wrong or not values:
        got = repr(wrong[0]) if wrong else "an empty list"
        problems.append(f"space '{name}': out of range (got {got}; need {need}). Correct the list.")
    twice = [x for k, x in enumerate(values) if x in values[:k]]
    if twice:
        problems.append(f"space '{name}': given twice (got {twice[0]!r} twice; need it once). Leave one out.")
    return None if wrong or twice or not values else Axis(name=name, values=tuple(values))


def _range(name: str, given: Mapping[str, Any], problems: list[str]) -> Axis | None:
    holds, need = AXES[name]
    found = [
        f"space '{name}': unknown key (got '{key}'; need one of {', '.join(_KEYS)}). {nearest(key, _KEYS)}".rstrip()
        for key in given
        if key not in _KEYS
    ]
    low, high, log, n = (given.get(key) for key in _KEYS)
    for key, x in (("low", low), ("high", high)):
        if not holds(x) or x == FLOAT:
            found.append(
                f"space '{name}': {key} out of range (got {x!r}; need {need.replace(f' or {chr(34)}{FLOAT}{chr(34)}', '')})."
            )
    if not found and not low < high:  # type: ignore[operator]
        found.append(
            f"space '{name}': no range (got low {low}, high {high}; need low < high). Swap them, or give a list."
        )
    if log is not None and not isinstance(log, bool):
        found.append(f"space '{name}': log out of range (got {log!r}; need true or false).")
    if log is True and name == "bits":
        found.append(f"space '{name}': log of whole numbers (got log = true; need false). Leave log out.")
    if log is True and low == 0:
        found.append(
            f"space '{name}': no logarithm (got low 0; need low > 0 with log). Leave log out, or begin above 0."
        )
    if n is not None and not (_whole(n) and n >= 2):
        found.append(f"space '{name}': n out of range (got {n!r}; need a whole number >= 2).")
    problems += found
    return None if found else Axis(name=name, low=low, high=high, log=bool(log), n=n)  # type: ignore[arg-type]
