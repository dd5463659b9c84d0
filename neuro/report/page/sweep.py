"""Read what `neuro sweep` wrote: its trials, and which of them no other beats."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from neuro.report.page.fields import Fields, read

FILE = "sweep.json"


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One trial. accuracy and energy (joules an inference) are None unless it is done; reason: why it is not."""

    number: int
    params: Mapping[str, str]
    state: str
    accuracy: float | None
    mean_rate_hz: float | None
    low: float | None
    energy: float | None
    high: float | None
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """A sweep over settings of one recipe, its energies on one device. pareto: numbers of the trials that no other beats."""

    name: str
    path: Path
    recipe: str
    device: str
    search: str
    trials: tuple[Trial, ...]
    pareto: tuple[int, ...]

    @property
    def done(self) -> tuple[Trial, ...]:
        """Return the trials that have both an accuracy and an energy."""
        return tuple(t for t in self.trials if t.accuracy is not None and t.energy is not None)


def read_sweep(folder: Path, name: str) -> Sweep:
    """Read sweep.json of a folder. Raises DataError if it is damaged."""
    given = read(folder / FILE, "neuro-sweep")
    return Sweep(
        name=name,
        path=folder,
        recipe=_word(given, "recipe"),
        device=_word(given, "device"),
        search=_word(given, "search"),
        trials=tuple(_trial(x) for x in given.each("trials")),
        pareto=given.wholes("pareto"),
    )


def _trial(entry: Fields) -> Trial:
    energy = entry.inner("energy")
    return Trial(
        number=entry.whole("number"),
        params={name: _shown(value) for name, value in entry.inner("params").value.items()},
        state=entry.text("state"),
        accuracy=entry.maybe("accuracy"),
        mean_rate_hz=entry.maybe("mean_rate_hz"),
        low=energy.maybe("low"),
        energy=energy.maybe("value"),
        high=energy.maybe("high"),
        reason=entry.text("reason", ""),
    )


def _word(given: Fields, key: str) -> str:
    """Return a value of the head as text, whatever it is."""
    found = given.value.get(key, "")
    return found if isinstance(found, str) else str(found.get("name", "")) if isinstance(found, dict) else str(found)


def _shown(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
