"""Keep a run in a folder so that no moment of a crash loses it, and end it at Ctrl-C after the step that it is in."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from neuro.errors import DataError

FORMAT = 1
RUN, CHECKPOINT, LOG = "run.json", "checkpoint.json", "log.jsonl"


def write_json(path: Path, value: Any) -> None:
    """Write JSON as `write_text` does."""
    write_text(path, json.dumps(value, indent=1) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write a file under a temporary name, then rename: a reader sees the old file or the new one, whole."""
    part = path.with_name(path.name + ".part")
    with part.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)
    _sync(path.parent)


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object. Raises DataError if it is missing, damaged or of another format."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as err:
        raise DataError(
            f"run '{path.parent}': no {path.name} (got nothing; need a folder that training wrote). Check the path."
        ) from err
    except (UnicodeDecodeError, json.JSONDecodeError) as err:
        raise DataError(f"run '{path.parent}': {path.name} is damaged (got {err}; need JSON). Train again.") from err
    if not isinstance(value, dict) or value.get("format") != FORMAT:
        got = value.get("format") if isinstance(value, dict) else type(value).__name__
        raise DataError(
            f"run '{path.parent}': {path.name} of an unknown format (got {got!r}; need {FORMAT}). Train again."
        )
    return value


def read_log(run_dir: Path, last: int) -> list[str]:
    """Return the whole lines of the log up to iteration `last`; a line torn by a crash is left out."""
    path = run_dir / LOG
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []
    kept = []
    for line in lines:
        try:
            if json.loads(line)["iteration"] <= last:
                kept.append(line)
        except (json.JSONDecodeError, KeyError, TypeError):
            continue
    return kept


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def interrupts() -> Iterator[Callable[[], bool]]:
    """Turn the first Ctrl-C into a flag that a step can finish under; the second acts as usual."""
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    seen = False

    def note(number: int, frame: Any) -> None:
        nonlocal seen
        if seen:
            signal.default_int_handler(number, frame)
        seen = True

    before = signal.signal(signal.SIGINT, note)
    try:
        yield lambda: seen
    finally:
        signal.signal(signal.SIGINT, before)
