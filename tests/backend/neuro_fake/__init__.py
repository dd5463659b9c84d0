"""A backend that does on demand what a simulator might: leave processes and shared memory, raise, die, hang, talk.

It is installed nowhere: the worker finds it by location. Like Lava it runs processes that it forks, and shares memory with them
through multiprocessing's SharedMemoryManager.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import time
from multiprocessing.managers import SharedMemoryManager
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path
from typing import Any

from neuro.backend import Availability, Capabilities, Learned, Progress, Record, Stimulus, Teacher, require
from neuro.backend.golden import ReferenceBackend
from neuro.errors import DataError, GraphError
from neuro.graph import Graph
from neuro.learning.reference import Learner
from neuro.recording import Recording

TALK = "the simulator talks to itself"


class FakeError(DataError):
    """A backend's own kind of a NeuroError."""


class FakeBackend:
    """Run the golden model, and do `act` besides.

    on: "load", "compile" or "run": when to act. shares: whether to hold processes and shared memory as Lava does.
    """

    name = "fake"
    capabilities = Capabilities()
    environment: Any = None

    def __init__(
        self, *, act: str = "", on: str = "run", shares: bool = False, progress: Progress | None = None
    ) -> None:
        self._act, self._on, self._shares, self._progress = act, on, shares, progress
        if on == "load":
            _ACTS[act]()

    def compile(self, graph: Graph) -> FakeProgram:
        require(self, graph)
        if self._on == "compile":
            _ACTS[self._act]()
        return FakeProgram(graph, self._act if self._on == "run" else "", self._shares, self._progress)

    def is_available(self) -> Availability:
        return Availability(True)


class FakeProgram:
    """A graph, perhaps with processes and shared memory around it."""

    def __init__(self, graph: Graph, act: str, shares: bool, progress: Progress | None) -> None:
        self._program = ReferenceBackend().compile(graph)
        self._act, self._progress = act, progress
        self._segments: list[SharedMemory] = []
        if shares:
            self._share()

    def _share(self) -> None:
        """Hold what Lava holds: a manager's process, segments, processes that map them, a file, and a stray grandchild."""
        context = multiprocessing.get_context("fork")
        self._manager = SharedMemoryManager()
        self._manager.start()
        self._segments = [self._manager.SharedMemory(1000), SharedMemory(create=True, size=1000)]
        names = [s.name for s in self._segments]
        for _ in range(2):
            context.Process(target=_hold, args=(names,), daemon=True).start()
        stray = "import os, time; os.setsid(); os.fork() and os._exit(0); time.sleep(600)"
        subprocess.Popen([sys.executable, "-c", stray]).wait()
        handle, _ = tempfile.mkstemp()
        os.close(handle)

    def run(self, stimulus: Stimulus, record: Record = Record()) -> Recording:  # noqa: B008
        if self._progress:
            for step in range(1001):
                self._progress(step, 1000, ",".join(s.name for s in self._segments))
        if self._act:
            time.sleep(0.2 if self._segments else 0.0)  # let the test look
            _ACTS[self._act]()
        return self._program.run(stimulus, record)

    def close(self) -> None:
        self._program.close()


class FakeLearningBackend(FakeBackend):
    """Learn by the golden model of learning; `act` when it is asked to."""

    name = "fake learner"
    capabilities = Capabilities(plasticity=frozenset({"eprop"}))

    def compile(self, graph: Graph) -> FakeLearningProgram:
        require(self, graph)
        return FakeLearningProgram(graph, self._act, self._shares, self._progress)


class FakeLearningProgram(FakeProgram):
    """A graph that learns."""

    def __init__(self, graph: Graph, act: str, shares: bool, progress: Progress | None) -> None:
        super().__init__(graph, act, shares, progress)
        self._learner = Learner(graph)

    def learn(self, stimulus: Stimulus, teacher: Teacher, *, trajectory_every: int = 0) -> Learned:
        _ACTS[self._act]()
        return self._learner.learn(stimulus, teacher, trajectory_every=trajectory_every)


def _hold(names: list[str]) -> None:
    held = [SharedMemory(name) for name in names]
    while held:
        time.sleep(1)


def _raise() -> None:
    print(TALK)
    raise ValueError("the membrane burst")


def _refuse() -> None:
    raise GraphError("population 'lif': too large (got 3; need 2). Use fewer neurons.")


def _refuse_in_own_way() -> None:
    raise FakeError("stimulus: wrong colour (got red; need blue). Repaint it.")


def _note() -> None:
    # As a backend whose simulator runs models in processes of their own does
    Path(os.environ["NEURO_WORKER_TRACEBACK"]).write_text("Traceback: in model LIF, line 7")
    raise RuntimeError("a model failed")


def _leave() -> None:
    print(TALK, file=sys.stderr)
    os._exit(7)


def _stick() -> None:
    print(TALK)
    time.sleep(600)


def _stick_in_c() -> None:
    ctypes.PyDLL(None).sleep(600)  # holds the interpreter's lock: no other thread of it runs


def _kill_all() -> None:
    time.sleep(1.0)  # let the supervisor look
    os.killpg(0, signal.SIGKILL)


_ACTS = {
    "": lambda: None,
    "raise": _raise,
    "refuse": _refuse,
    "refuse in own way": _refuse_in_own_way,
    "note": _note,
    "exit": lambda: sys.exit("no licence"),
    "leave": _leave,
    "segfault": lambda: ctypes.string_at(0),
    "stick": _stick,
    "stick in C": _stick_in_c,
    "SIGKILL": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "SIGTERM": lambda: os.kill(os.getpid(), signal.SIGTERM),
    "kill all": _kill_all,
}
