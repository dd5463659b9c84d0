"""Show what Lava leaves behind, whatever ends a run: nothing; and that it says what went wrong."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neuro.backend import IsolatedBackend, Stimulus, get
from neuro.backend.conformance import driven
from neuro.errors import WorkerError

from .conftest import Inside

NOTHING: dict[str, list[Any]] = {"processes": [], "memory": [], "files": [], "threads": []}


def assert_alive(found: dict[str, Any]) -> None:
    """Make sure that the looking sees something, or every test here passes by seeing nothing."""
    alive = found["alive"]
    assert len(alive["processes"]) >= 4, alive  # source, synapses, neurons, runtime service, memory manager
    assert len(alive["memory"]) >= 4, alive
    assert any(name.startswith("neuro-lava-") for name in alive["files"]), alive
    assert alive["threads"], alive


def assert_silent(found: dict[str, Any]) -> None:
    assert (found["code"], found["out"], found["err"]) == (0, "", "")


def test_close_leaves_nothing_and_lava_is_silent(inside: Inside) -> None:
    found = inside("closed")
    assert found["right"]
    assert_alive(found)
    assert found["left"] == NOTHING
    assert found["handlers"] == 0
    assert_silent(found)


def test_a_program_that_never_ran_closes(inside: Inside) -> None:
    found = inside("never_run")
    assert_alive(found)
    assert found["left"] == NOTHING
    assert_silent(found)


def test_a_forgotten_program_is_closed(inside: Inside) -> None:
    found = inside("forgotten")
    assert_alive(found)
    assert found["left"] == NOTHING
    assert_silent(found)


def test_the_interpreter_ends_with_a_program_open(inside: Inside) -> None:
    found = inside("open_at_exit")
    assert_alive(found)
    assert found["folder"] == []
    assert_silent(found)


def test_an_exception_in_a_model_shows_its_traceback_and_the_next_run_works(inside: Inside) -> None:
    found = inside("failing_model")
    error = found["error"]
    assert error["kind"] == "WorkerError"
    assert (
        "a process model failed (got ArithmeticError: a neuron went wrong at k = 7; need no exception)"
        in error["message"]
    )
    assert "in PyALIF of 'alif':\nTraceback (most recent call last):" in error["message"]
    assert "in broken_step\n    raise ArithmeticError" in error["message"]
    assert found["after"] == NOTHING
    assert found["right"]
    assert found["builds"] == 2
    assert found["left"] == NOTHING
    assert_silent(found)


def test_a_model_that_cannot_be_made_leaves_nothing(inside: Inside) -> None:
    found = inside("failing_build")
    assert found["error"]["kind"] == "WorkerError"
    assert "the network cannot be built (got ArithmeticError: no such neuron; need no exc" in found["error"]["message"]
    assert "in broken_make\n    raise ArithmeticError" in found["error"]["message"]
    assert found["after"] == NOTHING
    assert found["right"]
    assert found["left"] == NOTHING


def test_a_process_that_is_killed_is_noticed_at_once(inside: Inside) -> None:
    found = inside("killed_process")
    assert found["error"]["kind"] == "WorkerError"
    assert "a process of the simulation died (got exit code -9; need none to end)" in found["error"]["message"]
    assert found["after"] == NOTHING
    assert found["right"]
    assert found["left"] == NOTHING
    assert_silent(found)


def test_an_interrupt_ends_the_run_and_the_next_works(inside: Inside) -> None:
    found = inside("interrupted")
    assert found["seen"] == "KeyboardInterrupt"
    assert {**found["after"], "threads": []} == NOTHING  # the thread that sent the signal may still be ending
    assert found["right"]
    assert {**found["left"], "threads": []} == NOTHING
    assert_silent(found)


def test_programs_live_side_by_side_and_lava_forgets_them(inside: Inside) -> None:
    found = inside("many_programs")
    assert found["right"]
    assert found["left"] == NOTHING
    assert found["known"] == 0
    assert_silent(found)


def marked(mark: str) -> list[str]:
    """Return the processes that carry a worker's mark in their environment."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and mark.encode() in (entry / "environ").read_bytes().split(b"\0"):
                found.append(entry.name)
        except OSError:
            continue
    return found


def test_nothing_is_left_when_the_worker_is_killed_in_a_run() -> None:
    seen: dict[str, Any] = {}

    def kill(done: int, total: int, what: str) -> None:
        if not seen:
            worker = backend._worker
            assert worker is not None
            seen["mark"] = f"NEURO_WORKER={worker.folder.name.removeprefix('neuro-')}"
            seen["folder"], seen["processes"] = worker.folder, marked(seen["mark"])
            maps = Path(f"/proc/{worker.pid}/maps").read_text().splitlines()
            seen["memory"] = {line.split()[5] for line in maps if "/dev/shm/" in line}
            os.kill(worker.pid, signal.SIGKILL)

    backend = get("lava", progress=kill)
    assert isinstance(backend, IsolatedBackend)
    program = backend.compile(driven("threshold"))
    with pytest.raises(WorkerError, match="killed by SIGKILL"):
        program.run(Stimulus.dense({"in": np.ones((1, 100_000, 1), bool)}))
    assert len(seen["processes"]) > 5, seen
    assert len(seen["memory"]) >= 4, seen
    assert marked(seen["mark"]) == []
    assert not seen["folder"].exists()
    assert [path for path in seen["memory"] if Path(path).exists()] == []
    backend.close()
