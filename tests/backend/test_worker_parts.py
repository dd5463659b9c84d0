"""Hold the parts of a worker one by one, in this process: process table, shared memory, supervisor, bootstrap, server."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from multiprocessing import resource_tracker
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import neuro.backend
from neuro import graph, recording
from neuro.backend import Record, bootstrap, failure, process, session, supervisor, worker
from neuro.backend.probe import tiny_graph, tiny_stimulus
from neuro.errors import DataError, UnsupportedError

SLEEP = "import time; print(flush=True); time.sleep(60)"
FAMILY = f"import subprocess, sys; p = subprocess.Popen([sys.executable, '-c', {SLEEP!r}]); p.wait()"


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


class Served:
    """A worker's server, begun through the bootstrap, in a thread of this process."""

    def __init__(self, load: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
        monkeypatch.setattr(sys, "path", list(sys.path))
        monkeypatch.setattr(worker, "follow", lambda life: os.close(life) if os.read(life, 1) == b"" else None)
        requests, self.requests = os.pipe()
        replies, replies_out = os.pipe()
        life, self.life = os.pipe()
        self.replies = os.fdopen(replies, "rb")
        self._replies_out = replies_out
        self.status: list[int] = []
        arguments = [str(fd) for fd in (requests, replies_out, life)]
        self.thread = threading.Thread(target=lambda: self.status.append(bootstrap.main(arguments)))
        os.write(self.requests, json.dumps({"op": "load", "path": [], "places": {}, **load}).encode() + b"\n")
        self.thread.start()

    def reply(self) -> dict[str, Any]:
        """Return the next line from the server."""
        return json.loads(self.replies.readline())

    def ask(self, op: str, **request: Any) -> dict[str, Any]:
        os.write(self.requests, json.dumps({"op": op, **request}).encode() + b"\n")
        return self.reply()

    def end(self) -> int:
        """Let go of it and return its exit status."""
        os.close(self.requests)
        os.close(self.life)
        self.thread.join(20)
        self.replies.close()
        os.close(self._replies_out)
        return self.status[0]


def backend_of(act: str = "", **options: Any) -> dict[str, Any]:
    """Return the first request for the fake backend."""
    plain = {"act": act, **options}
    return {"backend": {"module": "neuro_fake", "attribute": "FakeBackend", "options": plain, "progress": True}}


def test_server_compiles_runs_and_closes(fake: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    s = Served(backend_of(), monkeypatch)
    assert s.reply()["python"] == ".".join(map(str, sys.version_info[:3]))
    graph.save(tiny_graph(), tmp_path / "g.h5")
    tiny_stimulus().save(tmp_path / "s.h5")
    assert s.ask("compile", program=1, graph=str(tmp_path / "g.h5")) == {"ok": True}
    files = {"stimulus": str(tmp_path / "s.h5"), "recording": str(tmp_path / "r.h5")}
    reply = s.ask("run", program=1, record=worker.plain_record(Record(traces={"lif": ("v",)})), **files)
    assert reply == {"progress": [0, 1000, ""]}
    while "progress" in reply:
        reply = s.reply()
    assert reply == {"ok": True}
    found = recording.load(tmp_path / "r.h5")
    assert len(found.spikes["lif"]) > 0
    assert set(found.traces["lif"]) == {"v"}
    assert s.ask("close", program=1) == {"ok": True}
    error = s.ask("close", program=1)["error"]
    assert (error["class"], error["kind"]) == (None, "KeyError")
    assert s.ask("compile", program=2, graph=str(tmp_path / "g.h5")) == {"ok": True}
    assert s.ask("quit") == {"ok": True}
    assert s.end() == 0


def test_server_waits_for_its_end_when_the_parent_is_gone(fake: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    s = Served(backend_of(), monkeypatch)
    s.reply()
    assert s.end() == 0


def test_server_that_cannot_load_says_so(fake: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    s = Served(backend_of("raise", on="load"), monkeypatch)
    assert s.reply()["error"]["message"] == "the membrane burst"
    assert s.end() == 1


def test_bootstrap_that_cannot_import_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(neuro.backend, "worker")
    monkeypatch.setitem(sys.modules, "neuro.backend.worker", None)  # as if something it needs were missing
    s = Served({}, monkeypatch)
    error = s.reply()["error"]
    assert (error["class"], error["kind"]) == (None, "ModuleNotFoundError")
    assert s.end() == 1


def test_worker_that_lost_its_supervisor_clears_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, started: Callable[..., subprocess.Popen[bytes]]
) -> None:
    p = started(SLEEP, mark="lost")
    folder = tmp_path / "job"
    folder.mkdir()
    monkeypatch.setenv(session.MARK, "lost")
    monkeypatch.setenv(worker.FOLDER, str(folder))
    read, write = os.pipe()
    os.close(write)
    ends: list[int] = []
    worker.follow(read, lambda: ends.append(1))
    os.close(read)
    assert p.wait(5) == -signal.SIGKILL
    assert not folder.exists()
    assert ends == [1]


def test_finder_finds_just_the_named_packages(tmp_path: Path) -> None:
    (tmp_path / "named").mkdir()
    (tmp_path / "named" / "part.py").write_text("")
    (tmp_path / "single.py").write_text("")
    places = {"named": (None, [str(tmp_path / "named")]), "single": (str(tmp_path / "single.py"), None)}
    finder = bootstrap.Finder(places)
    package, module = finder.find_spec("named", None), finder.find_spec("single", None)
    assert package is not None
    assert package.submodule_search_locations == [str(tmp_path / "named")]  # a namespace package
    assert module is not None
    assert module.origin == str(tmp_path / "single.py")
    assert finder.find_spec("named.part", package.submodule_search_locations) is None  # left to Python
    assert finder.find_spec("numpy", None) is None


def test_records_go_to_the_worker_and_back() -> None:
    for record in (
        Record(),
        Record(spikes=False, traces="all"),
        Record(spikes=("a",), traces={"a": ("v", "a"), "b": ()}),
    ):
        assert worker.record_of(json.loads(json.dumps(worker.plain_record(record)))) == record


@pytest.mark.parametrize(
    ("ended", "status", "message"),
    [
        (None, 0, r"^b: cannot run \(got a worker that was ended here; need a running one\)\. Compile the graph again\.$"),
        ({}, -9, r"ended from outside \(got a supervisor killed by SIGKILL; need an answer to run\)"),
        ({}, -99, r"supervisor killed by signal 99"),
        ({"failed": "no"}, 0, r"does not start \(got no; need a Python that runs\).*'neuro backends install'"),
        ({"died": False}, 0, r"ended from outside \(got a signal to its supervisor"),
        ({"died": True, "code": 2, "output": "o", "traceback": "t"}, 0,
         r"(?s)died \(got exit code 2; .*--- noted by the backend ---\nt\n--- end of the worker's output ---\no$"),
    ],
)  # fmt: skip
def test_every_death_has_its_words(ended: dict[str, Any] | None, status: int, message: str) -> None:
    with pytest.raises(Exception, match=message):
        raise failure.died("b", "run", ended, status)


def test_error_of_the_worker_keeps_the_nearest_known_class() -> None:
    class Own(DataError):
        pass

    err = failure.raised("b", "run", worker.describe(Own("as it was")), {})
    assert (type(err), str(err)) == (DataError, "as it was")


def test_folder_has_room_for_sockets(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    short = Path("/var/tmp")
    monkeypatch.setattr("tempfile.tempdir", str(short))
    assert process._room() == short
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / ("x" * 60)))
    assert process._room() == Path("/tmp")


def test_system_without_posix_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    python = Path("python")
    monkeypatch.setattr(process, "_POSIX", False)
    with pytest.raises(UnsupportedError, match=r"b: no worker on this system \(got \w+; need Linux or macOS\)"):
        process.WorkerProcess("b", python, {})


def test_forked_child_leaves_its_parents_worker_alone() -> None:
    held = subprocess.Popen(["sleep", "60"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    requests, replies = os.pipe()
    process._end(held, requests, replies, Path("/no/such"), "none", owner=os.getpid() + 1)
    assert os.waitid(os.P_PID, held.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None  # it goes on
    os.kill(held.pid, signal.SIGKILL)
    assert os.waitpid(held.pid, 0)[1] == signal.SIGKILL
