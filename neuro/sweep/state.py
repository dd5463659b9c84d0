"""Keep a sweep in sweep.json: its settings, every trial, and the front; written whole after every change."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from neuro._runs import write_json
from neuro.errors import DataError
from neuro.sweep.config import Sweep
from neuro.sweep.order import Order, finished
from neuro.sweep.pareto import front
from neuro.sweep.space import FLOAT

FILE, FORMAT, SCHEMA = "sweep.json", "neuro-sweep", 1
ENDED = ("done", "failed")
"""States of a trial that is never made again; "running" and "lost" ones go on with the next resume."""


class State:
    """The trials of a sweep so far.

    Each is a mapping: number, params, state ("running", "done", "failed" or "lost"), folder (relative to the sweep's), search (what the
    search keeps with it), and what `run_trial` returned.
    """

    def __init__(self, sweep: Sweep, folder: Path, about: Mapping[str, Any]) -> None:
        self.folder, self._sweep, self._about = folder, sweep, dict(about)
        self.trials: list[dict[str, Any]] = []

    @classmethod
    def open(cls, sweep: Sweep, folder: Path, about: Mapping[str, Any], resume: bool) -> State:
        """Return the state of a folder: empty, or of the same sweep with `resume`. What ended and was not noted yet is noted.

        about: versions, command: what sweep.json tells beside the settings.
        Raises: DataError if there is a sweep and `resume` is False, or it is another one, or the file is damaged.
        """
        state, path = cls(sweep, folder, about), folder / FILE
        if not path.exists():
            return state
        if not resume:
            raise DataError(
                f"sweep '{folder}': there is a sweep already. Go on with it: --resume, or choose another folder."
            )
        held = read(path)
        _check_same(folder, held, sweep)
        state.trials = [dict(trial) for trial in held["trials"]]
        for trial in state.trials:
            if trial["state"] not in ENDED:
                trial["state"] = "running"
                ended = finished(state.folder_of(trial), state.order_of(trial, None))
                if ended is not None:
                    trial |= _outcome(ended)
        return state

    def folder_of(self, trial: Mapping[str, Any]) -> Path:
        """Return where a trial is made."""
        return self.folder / str(trial["folder"])

    def order_of(self, trial: Mapping[str, Any], data: Path | None) -> Order:
        """Return what has to be done for a trial."""
        sweep, params = self._sweep, trial["params"]
        return Order(
            number=trial["number"],
            params=dict(params),
            recipe=sweep.of_trial(trial["number"], params).to_toml(),
            bits=params.get("bits", FLOAT),
            profile=sweep.profile,
            calibration_runs=sweep.calibration_runs,
            device=sweep.device,
            step_time_s=sweep.step_time_s,
            samples=sweep.samples,
            data=None if data is None else str(data.resolve()),
        )

    def add(self, params: Mapping[str, Any], search: Mapping[str, Any]) -> dict[str, Any]:
        """Add a trial that is to be made, and return it."""
        number = len(self.trials)
        trial = {
            "number": number,
            "params": dict(params),
            "state": "running",
            "folder": f"trials/{number:04d}",
            "search": dict(search),
        }
        self.trials.append(trial)
        return trial

    def twin(self, params: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return a trial with the same parameters that is done: training it again would give the same."""
        return next((t for t in self.trials if t["state"] == "done" and t["params"] == dict(params)), None)

    def end(self, trial: dict[str, Any], outcome: Mapping[str, Any]) -> None:
        """Note what came of a trial."""
        trial |= _outcome(outcome)

    def as_json(self) -> dict[str, Any]:
        """Return what sweep.json holds."""
        head = {"format": FORMAT, "schema_version": SCHEMA, **self._about, "trials_wanted": self._sweep.trials}
        return (
            head | self._sweep.settings() | {"split": "validation", "trials": self.trials, "pareto": front(self.trials)}
        )

    def save(self) -> None:
        """Write sweep.json, whole or not at all."""
        write_json(self.folder / FILE, self.as_json())


def read(path: Path) -> dict[str, Any]:
    """Read a sweep.json. Raises DataError if it is damaged or of another format."""
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as err:
        raise DataError(f"{path}: damaged (got {err}; need JSON). Choose another folder.") from err
    if not isinstance(held, dict) or (held.get("format"), held.get("schema_version")) != (FORMAT, SCHEMA):
        got = (held.get("format"), held.get("schema_version")) if isinstance(held, dict) else type(held).__name__
        raise DataError(
            f"{path}: no sweep of this version (got {got}; need {(FORMAT, SCHEMA)}). Choose another folder."
        )
    return held


def _check_same(folder: Path, held: Mapping[str, Any], sweep: Sweep) -> None:
    wanted = json.loads(json.dumps(sweep.settings()))
    differ = [
        f"sweep '{folder}': {key} differs (got {_short(value)}; the sweep has {_short(held.get(key))}). Go on with the same file, or choose "
        "another folder."
        for key, value in wanted.items()
        if key != "recipe" and value != held.get(key)
    ]
    if differ:
        raise DataError("\n".join(differ))


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:197]}..."


def _outcome(found: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in found.items() if k not in ("format", "schema_version", "number", "params", "died")}
