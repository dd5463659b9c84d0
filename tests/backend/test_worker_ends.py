"""End workers in every way and look for what is left: no process, no shared memory, no file.

The fake backend holds what Lava holds: a manager's process, two forked processes, segments, and a resource tracker; and besides
a process that left its session and a temporary file.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from neuro.backend import IsolatedBackend
from neuro.backend.probe import tiny_graph, tiny_stimulus
from neuro.errors import WorkerError

Watched = Callable[..., tuple[IsolatedBackend, Any]]

FAKE = Path(__file__).with_name("neuro_fake") / "__init__.py"
N_HELD = 10  # supervisor, worker, manager, tracker, two forked, the stray; the folder, two segments


def run_once(backend: IsolatedBackend) -> None:
    """Compile and run what takes one step in the fake."""
    backend.compile(tiny_graph()).run(tiny_stimulus())


@pytest.mark.parametrize("python", ["this Python", "Python 3.10"])
def test_nothing_is_left_after_success(watched: Watched, python: str, request: pytest.FixtureRequest) -> None:
    if python == "Python 3.10":
        request.getfixturevalue("as_python_3_10")
    backend, watcher = watched()
    run_once(backend)
    assert watcher.n_held == N_HELD
    assert len(watcher.traces.left()) >= N_HELD  # the worker stays for the next job
    backend.close()
    assert watcher.traces.left() == []
    backend.close()


def test_nothing_is_left_when_the_backend_is_forgotten(watched: Watched) -> None:
    backend, watcher = watched()
    run_once(backend)
    assert backend._worker is not None
    backend._worker._end()  # what its finalizer calls
    assert watcher.n_held == N_HELD
    assert watcher.traces.left() == []


@pytest.mark.parametrize("act", ["raise", "exit"])
def test_nothing_is_left_after_an_exception(watched: Watched, act: str) -> None:
    backend, watcher = watched(act)
    with pytest.raises(WorkerError, match="failed to run"):
        run_once(backend)
    backend.close()
    assert watcher.n_held == N_HELD
    assert watcher.traces.left() == []


@pytest.mark.parametrize("act", ["leave", "segfault", "SIGKILL", "SIGTERM"])
def test_nothing_is_left_when_the_worker_dies(watched: Watched, act: str) -> None:
    backend, watcher = watched(act)
    with pytest.raises(WorkerError, match="its worker died"):
        run_once(backend)
    assert watcher.n_held == N_HELD
    assert watcher.traces.left() == []  # at once: the error comes after the clearing


def test_nothing_is_left_when_all_its_processes_are_killed_and_the_resource_tracker_too(watched: Watched) -> None:
    backend, watcher = watched("kill all")
    with pytest.raises(WorkerError, match="killed by SIGKILL"):
        run_once(backend)
    assert watcher.n_held == N_HELD
    assert watcher.traces.left() == []


@pytest.mark.parametrize("act", ["stick", "stick in C"])
def test_nothing_is_left_after_the_time_limit(watched: Watched, act: str) -> None:
    backend, watcher = watched(act, time_limit_s=1.0)
    with pytest.raises(WorkerError, match="took too long"):
        run_once(backend)
    assert watcher.n_held == N_HELD
    assert watcher.traces.left() == []


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP, signal.SIGINT])
def test_nothing_is_left_when_the_worker_gets_a_signal(watched: Watched, number: signal.Signals) -> None:
    backend, watcher = watched("stick", time_limit_s=1.5)
    watcher.act = lambda _: os.kill(backend._worker.pid, number)  # type: ignore[union-attr]
    with pytest.raises(WorkerError, match="took too long" if number == signal.SIGSTOP else f"killed by {number.name}"):
        run_once(backend)
    assert watcher.n_held == N_HELD
    assert watcher.traces.left() == []


@pytest.mark.parametrize(
    ("number", "message"),
    [(signal.SIGKILL, r"\(got a supervisor killed by SIGKILL"), (signal.SIGTERM, r"\(got a signal to its supervisor")],
)
def test_nothing_is_left_when_the_supervisor_gets_a_signal(
    watched: Watched, number: signal.Signals, message: str
) -> None:
    backend, watcher = watched("stick")
    watcher.act = lambda _: os.kill(backend._worker._supervisor.pid, number)  # type: ignore[union-attr]
    with pytest.raises(WorkerError, match=rf"its worker was ended from outside {message}"):
        run_once(backend)
    assert watcher.n_held == N_HELD
    assert watcher.traces.soon_gone(), watcher.traces.left()


def test_nothing_is_left_when_the_progress_callback_raises(watched: Watched) -> None:
    backend, watcher = watched("stick")

    def stop(_: object) -> None:
        raise KeyboardInterrupt

    watcher.act = stop
    with pytest.raises(KeyboardInterrupt):
        run_once(backend)
    assert watcher.n_held == N_HELD
    assert watcher.traces.left() == []


PARENT = """
import importlib.util, os, sys, time
from pathlib import Path
from neuro.backend import IsolatedBackend
from neuro.backend.probe import tiny_graph, tiny_stimulus
fake, act, fork = sys.argv[1:]
spec = importlib.util.spec_from_file_location("neuro_fake", fake, submodule_search_locations=[os.path.dirname(fake)])
module = importlib.util.module_from_spec(spec)
sys.modules["neuro_fake"] = module
spec.loader.exec_module(module)
said = []
def say(done, total, what):
    if not said:
        said.append(backend._worker)
        child = 0
        if fork:  # a process that holds all of this one's pipes open
            child = os.fork()
            if child == 0:
                os.close(1)
                time.sleep(60)
        print(backend._worker.folder, what, backend._worker._supervisor.pid, backend._worker.pid, child, flush=True)
backend = IsolatedBackend("fake", module.FakeBackend, {"act": act, "shares": True}, progress=say)
try:
    backend.compile(tiny_graph()).run(tiny_stimulus())
    print("end", flush=True)
except KeyboardInterrupt:
    print("interrupted", said[0].folder.exists(), flush=True)
"""


class Parent:
    """A program that runs a worker, in a process of its own that can be killed."""

    def __init__(self, process: subprocess.Popen[str], make: Callable[[Path, list[str]], Any]) -> None:
        self.process = process
        assert process.stdout is not None
        folder, segments, supervisor, worker, child = process.stdout.readline().split()
        self.supervisor, self.worker, self.child = int(supervisor), int(worker), int(child)
        self.traces = make(Path(folder), segments.split(","))

    def rest(self) -> str:
        """Wait for its end and return what else it printed."""
        return self.process.communicate(timeout=30)[0].strip()


@pytest.fixture
def parent(traces_of: type[Any]) -> Iterator[Callable[..., Any]]:
    """Return a starter of parents in whose worker the job goes on."""
    started = []

    @contextmanager
    def running(act: str, fork: bool = False) -> Iterator[Parent]:
        process = subprocess.Popen(
            [sys.executable, "-c", PARENT, str(FAKE), act, "fork" if fork else ""], stdout=subprocess.PIPE, text=True
        )
        found = Parent(process, traces_of)
        started.append(found)
        yield found

    yield running
    for found in started:
        found.process.kill()
        found.process.communicate()
        if found.child:
            os.kill(found.child, signal.SIGKILL)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_nothing_is_left_when_the_parent_is_killed(parent: Callable[..., Any], number: signal.Signals) -> None:
    with parent("stick") as p:
        assert len(p.traces.left()) == N_HELD
        p.process.send_signal(number)
        p.process.wait()
        assert p.traces.soon_gone(), p.traces.left()


def test_nothing_is_left_when_the_parent_is_killed_and_a_child_holds_its_pipes(parent: Callable[..., Any]) -> None:
    with parent("stick", fork=True) as p:
        p.process.kill()
        p.process.wait()
        assert p.traces.soon_gone(), p.traces.left()
        os.kill(p.child, 0)  # the child lives


@pytest.mark.parametrize("first", ["parent", "supervisor"])
@pytest.mark.parametrize("pause_s", [0.0, 0.003, 0.02])  # so that the first death is being dealt with, or not
def test_nothing_is_left_when_parent_and_supervisor_are_killed(
    parent: Callable[..., Any], first: str, pause_s: float
) -> None:
    with parent("stick") as p:
        assert len(p.traces.left()) == N_HELD
        pids = [p.process.pid, p.supervisor]
        for pid in pids if first == "parent" else reversed(pids):
            os.kill(pid, signal.SIGKILL)
            time.sleep(pause_s)
        p.process.wait()
        assert p.traces.soon_gone(), p.traces.left()


@pytest.mark.parametrize("act", ["stick", "stick in C"])
def test_interrupt_stops_the_job_at_once_and_leaves_nothing(parent: Callable[..., Any], act: str) -> None:
    with parent(act) as p:
        assert len(p.traces.left()) == N_HELD
        start = time.monotonic()
        p.process.send_signal(signal.SIGINT)
        assert p.rest() == "interrupted False"
        assert time.monotonic() - start < 5.0
        assert p.traces.left() == []


@pytest.mark.parametrize("fork", [False, True])
def test_nothing_is_left_when_the_program_ends_without_closing(parent: Callable[..., Any], fork: bool) -> None:
    with parent("", fork) as p:
        assert p.rest() == "end"
        assert p.process.returncode == 0
        assert p.traces.left() == []
