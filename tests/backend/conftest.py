"""Offer the fake backend, which is installed nowhere, and look for what a worker may leave."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

from neuro.backend import IsolatedBackend, interpreters, session

FAKE = Path(__file__).with_name("neuro_fake") / "__init__.py"


@pytest.fixture(scope="session")
def fake() -> ModuleType:
    """Return the fake backend's package, loaded by location: its folder is not on sys.path."""
    spec = importlib.util.spec_from_file_location("neuro_fake", FAKE, submodule_search_locations=[str(FAKE.parent)])
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["neuro_fake"] = module
    spec.loader.exec_module(module)
    return module


class Traces:
    """What one worker leaves on the system: processes that carry its mark, its folder, its shared memory."""

    def __init__(self, folder: Path, segments: list[str]) -> None:
        self.folder, self.segments = folder, [Path("/dev/shm") / name for name in segments]
        self.mark = f"NEURO_WORKER={folder.name.removeprefix('neuro-')}".encode()

    def processes(self) -> list[int]:
        """Return the processes that carry the mark, zombies left out."""
        found = []
        for entry in Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and self.mark in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
            except OSError:
                continue
        return found

    def left(self) -> list[str]:
        """Return what there is."""
        found = [f"process {pid}" for pid in self.processes()]
        return found + [str(p) for p in (self.folder, *self.segments) if p.exists()]

    def soon_gone(self, limit_s: float = 10.0) -> bool:
        """Wait until nothing is left."""
        end = time.monotonic() + limit_s
        while self.left() and time.monotonic() < end:
            time.sleep(0.02)
        return not self.left()


@pytest.fixture
def traces_of() -> type[Traces]:
    """Return the class that looks for what a worker leaves."""
    return Traces


class Watcher:
    """A progress callback that finds out, while a job runs, what the worker holds."""

    def __init__(self) -> None:
        self.backend: IsolatedBackend | None = None
        self.act: Callable[[Traces], None] = lambda _: None
        self.traces: Traces | None = None
        self.n_held = 0

    def __call__(self, done: int, total: int, what: str) -> None:
        if self.traces is None:
            assert self.backend is not None
            assert self.backend._worker is not None
            self.traces = Traces(self.backend._worker.folder, [name for name in what.split(",") if name])
            self.n_held = len(self.traces.left())
            self.act(self.traces)


@pytest.fixture
def watched(fake: ModuleType) -> Iterator[Callable[..., tuple[IsolatedBackend, Watcher]]]:
    """Return a maker of isolated fakes that share memory as Lava does, and of what watches over each."""
    made = []

    def make(act: str = "", **options: object) -> tuple[IsolatedBackend, Watcher]:
        watcher = Watcher()
        backend = IsolatedBackend("fake", fake.FakeBackend, {"act": act, "shares": True}, progress=watcher, **options)  # type: ignore[arg-type]
        watcher.backend = backend
        made.append(backend)
        return backend, watcher

    yield make
    for backend in made:
        backend.close()


@pytest.fixture
def as_python_3_10(python_3_10: str, fake: ModuleType, monkeypatch: pytest.MonkeyPatch) -> str:
    """Have the fake backend declare an environment: a bare Python 3.10 without neuro."""

    class Elsewhere:
        def here(self) -> bool:
            return False

        def interpreter(self) -> Path:
            return Path(python_3_10)

    monkeypatch.setattr(fake.FakeBackend, "environment", Elsewhere())
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))  # must not leak into the other interpreter
    return python_3_10


@pytest.fixture
def started() -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Return a starter of Python processes in sessions of their own, marked, that have begun when it returns."""
    made: list[subprocess.Popen[bytes]] = []

    def start(code: str, mark: str = "", own_session: bool = True) -> subprocess.Popen[bytes]:
        env = {**os.environ, session.MARK: mark}
        command = [sys.executable, "-S", "-c", code]
        made.append(subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=own_session, env=env))
        assert made[-1].stdout is not None
        made[-1].stdout.readline()
        return made[-1]

    yield start
    for p in made:
        p.kill()
        p.communicate()


@pytest.fixture
def script() -> Callable[..., Path]:
    """Return a writer of shell scripts that stand for interpreters and tools."""

    def write(path: Path, text: str) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
        return path

    return write


@pytest.fixture
def empty_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Hide the machine's interpreters, tools and environments."""
    for name in ("NEURO_PYTHON310", "NEURO_PYTHON397", interpreters.variable(interpreters.THIS), "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NEURO_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "pyenv"))
    monkeypatch.setenv("PATH", f"{tmp_path / 'first'}{os.pathsep}{tmp_path / 'second'}")
