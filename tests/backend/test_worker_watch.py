"""Hold the watching parts of a worker one by one, in this process: process table, shared memory, supervisor."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from multiprocessing import resource_tracker
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path
from typing import Any

import pytest

from neuro.backend import session, supervisor

SLEEP = "import time; print(flush=True); time.sleep(60)"
FAMILY = f"import subprocess, sys; p = subprocess.Popen([sys.executable, '-c', {SLEEP!r}]); p.wait()"


@pytest.fixture(params=["proc", "ps"])
def table(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """Have the process table read from /proc, or from ps as on a system without /proc."""
    if request.param == "ps":
        monkeypatch.setattr(session, "_PROC", tmp_path / "no proc")
    return str(request.param)


def test_process_table_holds_this_process(table: str) -> None:
    found = {p.pid: p for p in session.processes()}
    mine = found[os.getpid()]
    assert mine.parent == os.getppid()
    assert mine.session == (os.getsid(0) if table == "proc" else os.getpgid(0))
    assert not mine.zombie


def test_family_is_found_and_swept(table: str, started: Callable[..., subprocess.Popen[bytes]]) -> None:
    p = started(FAMILY, mark=f"family of {table}")
    other = started(SLEEP)
    pids = {q.pid for q in session.below(p.pid, p.pid)}
    assert p.pid in pids
    assert len(pids) == 2
    assert {q.pid for q in session.marked(f"family of {table}", p.pid)} == pids
    assert session.marked("") == []
    assert session.sweep(lambda: session.below(p.pid, p.pid), session.SharedMemory(0.0)) == []
    assert p.wait(5) == -signal.SIGKILL
    assert other.poll() is None


def test_mark_in_the_callers_own_session_takes_only_its_bearer(started: Callable[..., subprocess.Popen[bytes]]) -> None:
    p = started(SLEEP, mark="in the caller's session", own_session=False)
    assert [q.pid for q in session.marked("in the caller's session")] == [p.pid]


@pytest.mark.parametrize("obedient", [True, False])
def test_resource_tracker_is_spared_for_a_while(
    table: str, obedient: bool, started: Callable[..., subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "_TRACKER_LIMIT_S", 0.3)
    stays = 0.1 if obedient else 60
    p = started(f"# multiprocessing.resource_tracker\nimport time; print(flush=True); time.sleep({stays})")
    assert session.sweep(lambda: session.below(p.pid, p.pid), session.SharedMemory(0.0), trackers=False) == []
    assert p.poll() is None
    assert session.sweep(lambda: session.below(p.pid, p.pid), session.SharedMemory(0.0)) == []
    assert p.wait(5) == (0 if obedient else -signal.SIGKILL)


def test_process_that_does_not_end_is_reported(
    started: Callable[..., subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "_END_LIMIT_S", 0.05)
    monkeypatch.setattr(session, "_kill", lambda victims: None)  # as if in uninterruptible sleep
    p = started(SLEEP)
    assert session.sweep(lambda: session.below(p.pid, p.pid), session.SharedMemory(0.0)) == [p.pid]


def test_only_shared_memory_that_is_the_workers_and_unused_is_removed() -> None:
    began = time.time() - 1.0
    ours, used, older = (SharedMemory(create=True, size=100) for _ in range(3))
    try:
        paths = [f"/dev/shm/{s.name}" for s in (ours, used, older)]
        later = session.SharedMemory(time.time() + 60.0)
        later.look([os.getpid()])
        assert later.remove() == []  # all are older than that worker
        memory = session.SharedMemory(began)
        memory.look([os.getpid()])
        ours.close()
        older.close()
        os.unlink(paths[2])
        Path(paths[2]).touch()  # another one of that name
        assert memory.remove() == [paths[0]]
        assert [os.path.exists(p) for p in paths] == [False, True, True]
    finally:
        for s in (ours, used, older):
            s.close()
            if os.path.exists(f"/dev/shm/{s.name}"):
                s.unlink()
            else:
                resource_tracker.unregister(f"/{s.name}", "shared_memory")


class Supervised:
    """A supervisor's loop in a thread of this process, around a worker that is a plain Python program."""

    def __init__(self, folder: Path, code: str, parent: int = 0) -> None:
        self.folder = folder
        self.messages: list[dict[str, Any]] = []
        commands, self.commands = os.pipe()
        wake, self.wake = os.pipe()
        spare, _ = os.pipe()
        self._fds = [commands, self.commands, wake, self.wake]
        config = {
            "argv": [sys.executable, "-S", "-c", code],
            "pass_fds": [spare],
            "folder": str(folder),
            "parent": parent or os.getppid(),
        }
        self.thread = threading.Thread(
            target=supervisor.supervise,
            args=(config,),
            kwargs={"commands": commands, "wake": wake, "root": None, "status": self.messages.append},
        )
        self.thread.start()

    def ended(self) -> dict[str, Any]:
        """Wait for the end and return the supervisor's last message."""
        self.thread.join(20)
        assert not self.folder.exists()
        return self.messages[-1].get("ended", self.messages[-1])

    def wait(self, text: str) -> None:
        """Wait until the worker has printed a text."""
        end = time.monotonic() + 20
        while text not in supervisor.details(self.folder)["output"] and time.monotonic() < end:
            time.sleep(0.01)

    def close(self) -> None:
        for fd in self._fds:
            os.close(fd)


SHOW = "import faulthandler, time; faulthandler.register(10, 2); print('up', flush=True); time.sleep(60)"


@pytest.mark.parametrize("command", [b"e", b"d", b"chld, then term"])
def test_supervisor_ends_the_worker_when_told(tmp_path: Path, command: bytes) -> None:
    s = Supervised(tmp_path / "job", SHOW)
    s.wait("up")
    assert (s.folder.stat().st_mode & 0o777) == 0o700
    if len(command) == 1:
        os.write(s.commands, command)
    else:
        os.write(s.wake, bytes([signal.SIGCHLD]))
        time.sleep(0.1)
        assert s.thread.is_alive()
        os.write(s.wake, bytes([signal.SIGCHLD, signal.SIGTERM]))
    ended = s.ended()
    s.close()
    assert s.messages[0].keys() == {"worker"}
    assert (ended["code"], ended["died"], ended["stuck"]) == (-signal.SIGKILL, False, [])
    assert ("most recent call first" in ended["output"]) == (command == b"d")


def test_supervisor_tells_how_a_worker_died(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "_LOOK_AFTER_S", 0.01)
    monkeypatch.setattr(supervisor, "_watched", lambda parent: None)  # as on a system without pidfd
    s = Supervised(tmp_path / "job", "import sys, time; time.sleep(0.3); print('x' * 9000); sys.exit(3)")
    ended = s.ended()
    s.close()
    assert (ended["code"], ended["died"]) == (3, True)
    assert ended["output"] == "x" * supervisor.TAIL
    assert ended["traceback"] == ""


def test_supervisor_of_another_parent_ends_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "waitid")  # as on macOS
    s = Supervised(tmp_path / "job", SLEEP, parent=os.getpid())  # it is not its own parent: that one has ended
    assert s.ended()["code"] == -signal.SIGKILL
    s.close()


def test_supervisor_tells_that_a_worker_does_not_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    s = Supervised(tmp_path / "job", "")
    assert "No such file" in s.ended()["failed"]
    s.close()


def test_supervisor_keeps_its_hands_off_a_folder_that_is_there(tmp_path: Path) -> None:
    (tmp_path / "job").mkdir()
    (tmp_path / "job" / "precious").touch()
    s = Supervised(tmp_path / "job", SLEEP)
    s.thread.join(20)
    s.close()
    assert "FileExistsError" in s.messages[-1]["failed"]
    assert (tmp_path / "job" / "precious").exists()
