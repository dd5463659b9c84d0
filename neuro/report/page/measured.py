"""Read what `neuro measure` wrote: time and joules that this machine's own counters gave."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from neuro.report.page.fields import Fields, read

FILE = "measured.json"


@dataclass(frozen=True, kw_only=True)
class Spread:
    """Median, least and most of the repetitions."""

    median: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """What one meter gave, joules an inference. net: above the idle draw; above_idle: whether it is large enough to be told from it."""

    meter: str
    covers: str
    net: Spread
    gross: Spread
    idle_w: float | None
    above_idle: bool


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One measurement. seconds: an inference. drawn: by meter, none where no counter could be read. absent: which, and why not."""

    path: Path
    model: str
    backend: str
    machine: str
    drawn: tuple[Drawn, ...]
    absent: tuple[str, ...]
    n_samples: int
    batch: int
    repeats: int
    seconds: Spread
    left_out: tuple[str, ...]
    command: str


def read_measured(path: Path) -> Measured:
    """Read a measurement. Raises DataError if it is damaged."""
    given = read(path, "neuro-measured")
    meters = {m.text("name"): m for m in given.each("meters")}
    return Measured(
        path=path,
        model=given.text("model"),
        backend=given.text("backend"),
        machine=", ".join(f"{key} {value}" for key, value in given.inner("machine").value.items()),
        drawn=tuple(_drawn(name, m, given) for name, m in meters.items()),
        absent=tuple(": ".join(str(x) for x in a.value.values()) for a in given.each("absent")),
        n_samples=given.whole("n_samples"),
        batch=given.whole("batch"),
        repeats=given.whole("repeats"),
        seconds=_spread(given.inner("seconds_per_inference")),
        left_out=given.texts("left_out"),
        command=given.text("command", ""),
    )


def _drawn(name: str, meter: Fields, given: Fields) -> Drawn:
    joules, n = given.inner("joules").inner("by_meter").inner(name), given.whole("n_samples")
    return Drawn(
        meter=name,
        covers=meter.text("covers", ""),
        net=_spread(joules, n),
        gross=_spread(joules.inner("gross"), n),
        idle_w=joules.maybe("idle_w"),
        above_idle=joules.value.get("above_idle") is True,
    )


def _spread(entry: Fields, n: int = 1) -> Spread:
    """Return a spread, of n samples together, for one."""
    median, low, high = (entry.number(key) / max(n, 1) for key in ("median", "low", "high"))
    return Spread(median=median, low=low, high=high)
