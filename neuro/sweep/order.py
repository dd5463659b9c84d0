"""Say in one file what a trial is, so that any process that sees its folder can make it or go on with it."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from neuro._runs import write_json
from neuro.errors import DataError

ORDER, TRIAL, ATTEMPTS, OUTPUT = "order.json", "trial.json", "attempts.jsonl", "output.txt"
"""In a trial's folder: what to do, what came of it (written last), who tried, and what a process of its own printed."""
_LOCK = ".lock"


@dataclass(frozen=True, kw_only=True)
class Order:
    """Everything that decides what a trial gives.

    | name | meaning |
    | --- | --- |
    | number, params | of the trial |
    | recipe | TOML: what is trained |
    | bits | of a weight, sign included, or "float" |
    | profile, calibration_runs | chip to quantise for, and runs of the search for scales |
    | device, step_time_s | of the energy; None: real time |
    | samples | of the validation split, None: all |
    | data | folder of the task's data, None: the environment's |
    """

    number: int
    params: Mapping[str, Any]
    recipe: str
    bits: int | str
    profile: str
    calibration_runs: int
    device: str
    step_time_s: float | None
    samples: int | None
    data: str | None

    def write(self, folder: Path) -> None:
        """Put the order into a trial's folder, which is made."""
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / ORDER, asdict(self))

    @classmethod
    def read(cls, folder: Path) -> Order:
        """Read the order of a folder. Raises DataError if it is not there: another machine does not see it, say."""
        try:
            return cls(**json.loads((folder / ORDER).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError) as err:
            raise DataError(
                f"trial '{folder}': no order to read (got '{err}' on {socket.gethostname()}; need the folder that the sweep wrote). Give --out "
                "a folder that every machine sees under the same path."
            ) from err


def finished(folder: Path, order: Order) -> dict[str, Any] | None:
    """Return what came of a trial, None if it has not ended yet. Raises DataError if the file is of another trial."""
    try:
        found = json.loads((folder / TRIAL).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as err:
        raise DataError(
            f"trial '{folder}': {TRIAL} is damaged (got {err}; need JSON). Delete the file: the trial goes on."
        ) from err
    if found.get("number") != order.number or found.get("params") != dict(order.params):
        raise DataError(
            f"trial '{folder}': of another sweep (got params {found.get('params')}; need {dict(order.params)}). Choose another folder."
        )
    return dict(found)


def note(folder: Path, event: str) -> None:
    """Add a line to the trial's list of attempts: "began", "ended", "interrupted"; with host, process and time."""
    line = {"event": event, "host": socket.gethostname(), "pid": os.getpid(), "time": round(time.time(), 3)}
    with (folder / ATTEMPTS).open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def attempts(folder: Path) -> list[dict[str, Any]]:
    """Return who tried a trial, in order."""
    path = folder / ATTEMPTS
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


@contextmanager
def held(folder: Path, *, wait: bool = True) -> Iterator[None]:
    """Be the only process that works in a folder; the lock of a process that dies is free at once.

    wait: for the one that has it. Raises: DataError if another has it and `wait` is False, or the file system has no locks.
    """
    handle = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        _lock(handle, folder, wait)
        yield
    finally:
        os.close(handle)


def _lock(handle: int, folder: Path, wait: bool) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError as err:
        raise DataError(
            f"folder '{folder}': another process works in it (got a lock that is held; need a folder of its own). Wait for it, or choose "
            "another folder."
        ) from err
    except OSError as err:
        raise DataError(
            f"folder '{folder}': no lock (got '{err.strerror}'; need a file system with flock). Choose a folder on another one."
        ) from err
