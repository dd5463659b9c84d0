"""Hold the serving parts of a worker one by one, in this process: bootstrap, server, words for failures."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import neuro.backend
from neuro import graph, recording
from neuro.backend import Record, bootstrap, failure, process, session, worker
from neuro.backend.probe import tiny_graph, tiny_stimulus
from neuro.errors import DataError, UnsupportedError

SLEEP = "import time; print(flush=True); time.sleep(60)"


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
        ({"failed": "no"}, 0, r"does not start \(got no; need what that names\).*'neuro backends install'"),
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
