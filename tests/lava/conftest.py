"""Reach Lava: one worker for many programs, and the interpreter of its environment for what happens inside.

Where the environment is missing these tests fail, with what to install; they never skip.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from neuro.backend import Backend, get
from neuro_lava import LavaBackend

ROOT = Path(__file__).resolve().parents[2]

Inside = Callable[[str], dict[str, Any]]


@pytest.fixture(scope="session")
def lava() -> Backend:
    """Return the backend as a user gets it."""
    return get("lava")


@pytest.fixture(scope="session")
def lava_python() -> Path:
    """Return the interpreter that has Lava; fails with what to install."""
    return LavaBackend.environment.interpreter()


@pytest.fixture
def inside(lava_python: Path, tmp_path: Path) -> Inside:
    """Return a function that runs a case of `in_lava.py` in Lava's interpreter and returns what it found."""
    return runner(lava_python, tmp_path, "in_lava.py")


@pytest.fixture
def by_hand(lava_python: Path, tmp_path: Path) -> Inside:
    """Return a function that runs a case of `by_hand.py`, a net written against Lava's own API."""
    return runner(lava_python, tmp_path, "by_hand.py")


def runner(lava_python: Path, tmp_path: Path, script: str) -> Inside:
    def run(case: str) -> dict[str, Any]:
        env = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
        env.update(PYTHONPATH=os.pathsep.join((str(ROOT), str(ROOT / "backends"))), TMPDIR=str(tmp_path))
        found = tmp_path / "found.json"
        done = subprocess.run(
            [str(lava_python), str(Path(__file__).with_name(script)), case, str(found)],
            capture_output=True, text=True, timeout=120, env=env, start_new_session=True, check=False,
        )  # fmt: skip
        assert found.exists(), done.stderr
        result: dict[str, Any] = json.loads(found.read_text())
        found.unlink()
        return {
            **result,
            "code": done.returncode,
            "out": done.stdout,
            "err": done.stderr,
            "folder": os.listdir(tmp_path),
        }

    return run
