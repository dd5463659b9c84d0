"""Hold what was measured of a job: seconds and joules of every repetition, and what was left out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neuro.measure.meter import Absent

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Spread:
    """The median of all repetitions, and the least and the most of them."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: ArrayLike) -> Spread:
        """Return the spread of one or more values."""
        v = np.asarray(values, dtype=np.float64)
        return cls(float(np.median(v)), float(v.min()), float(v.max()))

    def __truediv__(self, n: float) -> Spread:
        return Spread(self.median / n, self.low / n, self.high / n)


@dataclass(frozen=True, kw_only=True, eq=False)
class Drawn:
    """What one meter counted. Joules are those of one call of the job: float64, (repeats,).

    | field | unit | meaning |
    | --- | --- | --- |
    | covers | | what the meter counts |
    | gross_j | J | by domain: all that was counted while the job ran |
    | net_j | J | by domain: gross_j less what the idle machine takes in this time |
    | idle_w | W | by domain: power of the idle machine, the mean of before and after the repetitions |
    | drift_w | W | by domain: the idle power after the repetitions less that before |
    """

    covers: str
    gross_j: Mapping[str, Values]
    net_j: Mapping[str, Values]
    idle_w: Mapping[str, float]
    drift_w: Mapping[str, float]

    @property
    def total_gross_j(self) -> Values:
        """The sum of all domains, (repeats,)."""
        return np.sum(list(self.gross_j.values()), axis=0)

    @property
    def total_net_j(self) -> Values:
        """The sum of all domains, (repeats,); below 0 where the noise is larger than what the job takes."""
        return np.sum(list(self.net_j.values()), axis=0)

    def resolved(self, seconds: float) -> bool:
        """Tell whether the net energy of a call of so many seconds is more than what the idle power drifted by in that time."""
        return bool(np.median(self.total_net_j) > abs(sum(self.drift_w.values())) * seconds)


@dataclass(frozen=True, kw_only=True, eq=False)
class Measured:
    """What `measure` found.

    | field | unit | meaning |
    | --- | --- | --- |
    | seconds | s | of one call of the job, float64 (repeats,) |
    | n_calls | | calls in one repetition: a repetition is as long as the meters need |
    | warmup, repeats | | calls before, repetitions |
    | idle_s | s | how long idle power was measured, before and again after; 0 without a meter |
    | drawn | | by meter; empty where time alone was measured. Meters count different parts of the machine |
    | absent | | meters that could not be read, with reasons |
    """

    seconds: Values
    n_calls: int
    warmup: int
    repeats: int
    idle_s: float
    drawn: Mapping[str, Drawn]
    absent: tuple[Absent, ...]

    @property
    def left_out(self) -> tuple[str, ...]:
        """Say in sentences what the figures do not include."""
        found = (f"of seconds and joules: the first {self.warmup} calls, to warm up",)
        if not self.drawn:
            return (*found, "of joules: all, as no meter could be read")
        return (
            *found,
            "of net joules: what the idle machine takes in the same time",
            "of all joules: what no meter counts, as power supply, fans, disks and network",
        )
