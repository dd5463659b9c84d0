"""Read what `neuro measure` wrote: time and joules that this machine's own counters gave."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from neuro.report.page.fields import Fields, read

FILE = "measured.json"


@dataclass(frozen=True, kw_only=True)
class Spread:
    """Median, least and most of repetitions."""

    median: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One measurement. seconds: of one repetition; joules: the same, above idle, None where no counter is. absent: why not."""

    path: Path
    model: str
    backend: str
    machine: str
    meters: tuple[str, ...]
    absent: tuple[str, ...]
    n_samples: int
    repeats: int
    seconds: Spread
    joules: Spread | None
    idle_w: float | None
    command: str


def read_measured(path: Path) -> Measured:
    """Read a measurement. Raises DataError if it is damaged."""
    given = read(path, "neuro-measured")
    machine = given.value.get("machine", "")
    return Measured(
        path=path,
        model=given.text("model"),
        backend=given.text("backend", ""),
        machine=machine if isinstance(machine, str) else ", ".join(f"{k} {v}" for k, v in dict(machine).items()),
        meters=tuple(_word(x) for x in given.entries("meters")),
        absent=tuple(_word(x) for x in given.entries("absent")),
        n_samples=given.whole("n_samples"),
        repeats=given.whole("repeats"),
        seconds=_spread(given.inner("seconds")),
        joules=_spread(given.inner("joules")) if "joules" in given else None,
        idle_w=given.maybe("idle_w"),
        command=given.text("command", ""),
    )


def _spread(entry: Fields) -> Spread:
    return Spread(median=entry.number("median"), low=entry.number("low"), high=entry.number("high"))


def _word(value: object) -> str:
    """Return a meter, or an absent one and why, as text."""
    return (
        value
        if isinstance(value, str)
        else ": ".join(str(x) for x in value.values())
        if isinstance(value, dict)
        else str(value)
    )
