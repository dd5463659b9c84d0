"""A tiny recipe and sweeps of it: seconds, a handful of neurons."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from neuro._recipes import toml
from tests import tiny

RECIPE = tiny.recipe(iterations=4, validate_every=2)
HEAD: dict[str, Any] = {
    "name": "tradeoff",
    "recipe": "recipe.toml",
    "device": "loihi",
    "samples": 32,
    "calibration_runs": 1,
}
SPACE = "connectivity = [0.1, 0.5]\nbits = [4, 9]\n"

Write = Callable[..., Path]


def text_of(space: str = SPACE, train: str = "", **head: Any) -> str:
    """Return a sweep file; a key that is None is left out."""
    lines = [f"{key} = {toml(value)}" for key, value in {**HEAD, **head}.items() if value is not None]
    return "\n".join([*lines, "[train]", train, "[space]", space]) + "\n"


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Return a function that writes the recipe and a sweep file beside it, and returns the file."""

    def to_file(space: str = SPACE, train: str = "", base: str = RECIPE, **head: Any) -> Path:
        (tmp_path / "recipe.toml").write_text(base)
        (tmp_path / "sweep.toml").write_text(text_of(space, train, **head))
        return tmp_path / "sweep.toml"

    return to_file


def start(*arguments: object) -> subprocess.Popen[str]:
    """Start `neuro ARGUMENTS` in a process and a session of its own."""
    code = "from neuro.cli import app; app()"
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", code, *map(str, arguments)],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        env={**os.environ, "COLUMNS": "200"},
    )  # fmt: skip


def until(
    true: Callable[[], Any], what: str, process: subprocess.Popen[str] | None = None, limit_s: float = 120.0
) -> Any:
    """Wait until something is true, and return it; fail at the limit, or when the process ends before."""
    end = time.monotonic() + limit_s
    while not (found := true()):
        if process is not None and process.poll() is not None:
            pytest.fail(f"ended before {what}: {process.communicate()[0]}")
        assert time.monotonic() < end, f"never: {what}"
        time.sleep(0.05)
    return found


def steps_of(folder: Path) -> int:
    """Return how many training steps a trial's log holds."""
    log = folder / "log.jsonl"
    return log.read_text().count('"time_s"') if log.exists() else 0
