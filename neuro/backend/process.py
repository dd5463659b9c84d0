"""Hold a worker from the parent's side: start it, exchange requests with it, end it."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import selectors
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import weakref
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from neuro import errors
from neuro.errors import NeuroError, UnsupportedError, WorkerError

from . import bootstrap, failure, session, supervisor, worker
from .api import Progress

_POSIX = os.name == "posix"
START_LIMIT_S = 120.0  # for imports in the worker: Lava's take 2-5 s, on a busy machine with cold files many times that
CLOSE_LIMIT_S = 30.0  # for a program to close: Lava joins its processes
_GENTLE_LIMIT_S = 5.0  # for a worker to close all its programs by itself before it is killed
_END_LIMIT_S = 30.0  # for the supervisor to clear away: its own limits add up to less
_SOCKET_ROOM = 103 - len("/neuro-12345678/t/pymp-12345678/listener-12345678")  # macOS: 104 bytes with the final 0


class WorkerProcess:
    """One worker with its supervisor.

    Parameters: where, how error messages begin; python, the interpreter; load, the first request (see `worker`).
    Raises: WorkerError if it does not start or cannot load its backend; UnsupportedError on a system without POSIX.
    """

    def __init__(self, where: str, python: Path, load: Mapping[str, Any]) -> None:
        if not _POSIX:
            raise UnsupportedError(f"{where}: no worker on this system (got {os.name}; need Linux or macOS). Use one.")
        self._where = where
        self._owner = os.getpid()
        self._lock = threading.RLock()
        self._busy = False
        self._discarded: list[int] = []
        self._n_jobs = 0
        token = secrets.token_hex(4)
        self.folder = _room() / f"neuro-{token}"
        self._supervisor, self._requests, self._replies = _launch(python, self.folder, token)
        self._end = weakref.finalize(
            self, _end, self._supervisor, self._requests, self._replies, self.folder, token, self._owner
        )
        assert self._supervisor.stdout is not None
        self._status = self._supervisor.stdout.fileno()
        self._unread = {self._replies: b"", self._status: b""}
        self._ended: dict[str, Any] | None = None
        self.pid = 0
        self.python = str(self.ask("load", load, limit_s=START_LIMIT_S)["python"])

    @property
    def alive(self) -> bool:
        """Tell whether it can take a request. In a forked child it cannot: it is the parent's."""
        with self._lock:
            if self._owner != os.getpid() or not self._end.alive:
                return False
            if not self._busy:
                self._read(0.0)
            return self._ended is None

    def discard(self, program: int) -> None:
        """Note that a program is no longer needed; it is closed before the next request. Safe from a finalizer."""
        self._discarded.append(program)

    @contextlib.contextmanager
    def job(self) -> Iterator[Path]:
        """Make a folder for the files of one job, and remove it; forget what was printed before.

        Raises: WorkerError if the worker is gone.
        """
        if not self.alive:
            raise self._death("begin a job")
        self._n_jobs += 1
        folder = self.folder / f"job{self._n_jobs}"
        try:
            folder.mkdir(mode=0o700)
            for name in (supervisor.OUTPUT, supervisor.TRACEBACK):
                with contextlib.suppress(FileNotFoundError):
                    os.truncate(self.folder / name, 0)
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def ask(
        self, op: str, request: Mapping[str, Any], *, limit_s: float | None = None, progress: Progress | None = None
    ) -> dict[str, Any]:
        """Send a request and return the reply.

        Raises: the NeuroError that was raised in the worker, with its message; WorkerError, with the worker's traceback
        and the end of its output, for any other exception there, for a worker that dies, and for one that takes longer
        than limit_s (it is ended). An exception here while waiting, KeyboardInterrupt too, ends the worker.
        """
        with self._lock:
            if self._busy:
                raise WorkerError(
                    f"{self._where}: its worker is at work (got a request to {op} from a progress callback; need one at a "
                    "time). Wait for the end of the run."
                )
            if not self.alive:
                raise self._death(op)
            self._busy = True
            try:
                while self._discarded and op != "quit":
                    self._exchange("close", {"program": self._discarded.pop()}, CLOSE_LIMIT_S, None)
                reply = self._exchange(op, request, limit_s, progress)
                details = {} if reply["ok"] else supervisor.details(self.folder)
            except BaseException:
                self._end()
                raise
            finally:
                self._busy = False
        if not reply["ok"]:
            raise failure.raised(self._where, op, reply["error"], details)
        return reply

    def end(self, *, gently: bool = False) -> None:
        """End the worker; nothing of it is left when this returns. Ending it twice is fine.

        Parameters: gently, give it a few seconds to close its programs itself.
        """
        if gently and self.alive:
            with contextlib.suppress(NeuroError):
                self.ask("quit", {}, limit_s=_GENTLE_LIMIT_S)
        self._end()

    def _exchange(
        self, op: str, request: Mapping[str, Any], limit_s: float | None, progress: Progress | None
    ) -> dict[str, Any]:
        data = memoryview(json.dumps({"op": op, **request}).encode() + b"\n")
        end = None if limit_s is None else time.monotonic() + limit_s
        with contextlib.suppress(BrokenPipeError):  # then its end is told below
            while data:
                data = data[os.write(self._requests, data) :]
        while True:
            left = None if end is None else max(end - time.monotonic(), 0.0)
            for message in self._read(left):
                if "progress" not in message:
                    return message
                if progress is not None:
                    progress(*message["progress"])
            if self._ended is not None:
                raise self._death(op)
            if limit_s is not None and left == 0.0:
                self._have_it_show()
                raise failure.late(self._where, op, limit_s, self._ended)

    def _read(self, timeout: float | None) -> list[dict[str, Any]]:
        """Wait for messages; take in the supervisor's, return the worker's."""
        found: list[dict[str, Any]] = []
        with selectors.DefaultSelector() as selector:
            for fd in self._unread:
                selector.register(fd, selectors.EVENT_READ)
            ready = {key.fd for key, _ in selector.select(timeout)}
        for fd in sorted(ready, key=lambda fd: fd == self._status):  # an answer counts, even if the worker then died
            data = os.read(fd, 1 << 16)
            *lines, self._unread[fd] = (self._unread[fd] + data).split(b"\n")
            if fd == self._replies:
                found += [json.loads(line) for line in lines]
            else:
                for line in lines:
                    self._note(line)
            if not data:
                del self._unread[fd]
                if fd == self._status and self._ended is None:
                    self._ended = {}  # without a word: the supervisor was killed
        return found

    def _note(self, line: bytes) -> None:
        """Take in a message of the supervisor; a line that is none is Python's on a fault of its own."""
        with contextlib.suppress(ValueError):
            message = json.loads(line)
            self.pid = message.get("worker", self.pid)
            self._ended = message.get("ended", message if "failed" in message else self._ended)

    def _have_it_show(self) -> None:
        """Have the worker print where it is, and its supervisor end it and report."""
        assert self._supervisor.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            os.write(self._supervisor.stdin.fileno(), b"d")
        end = time.monotonic() + _END_LIMIT_S
        while self._ended is None and time.monotonic() < end:
            self._read(1.0)

    def _death(self, op: str) -> WorkerError:
        self._end()
        return failure.died(self._where, op, self._ended, self._supervisor.returncode)


def _room() -> Path:
    """Return where to make the worker's folder: short enough for the sockets that multiprocessing makes in its TMPDIR."""
    folder = tempfile.gettempdir()
    return Path("/tmp" if len(os.fsencode(folder)) > _SOCKET_ROOM and os.access("/tmp", os.W_OK) else folder)


def _launch(python: Path, folder: Path, token: str) -> tuple[subprocess.Popen[bytes], int, int]:
    """Start a supervisor, and through it a worker; return it and the descriptors for requests and replies."""
    requests_in, requests = os.pipe()
    replies, replies_out = os.pipe()
    unwritten = ["-B"] if sys.dont_write_bytecode else []
    config = {
        "argv": [str(python), "-I", "-u", *unwritten, bootstrap.__file__, str(requests_in), str(replies_out)],
        "pass_fds": [requests_in, replies_out],
        "folder": str(folder),
        "parent": os.getpid(),
    }
    # The parent's PYTHONPATH and PYTHONHOME are for another interpreter, and the worker's own children would obey them.
    env = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON") and k != "__PYVENV_LAUNCHER__"}
    env[session.MARK], env[worker.FOLDER] = token, str(folder)
    env[worker.TRACEBACK] = str(folder / supervisor.TRACEBACK)
    env["TMPDIR"] = str(folder / supervisor.TEMPORARY)
    places = os.path.dirname(errors.__file__), os.path.dirname(supervisor.__file__)
    try:
        started = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", supervisor.COMMAND, *places, json.dumps(config)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=(requests_in, replies_out),
            start_new_session=True,
            env=env,
            bufsize=0,
        )
    except BaseException:
        os.close(requests)
        os.close(replies)
        raise
    finally:
        os.close(requests_in)
        os.close(replies_out)
    return started, requests, replies


def _end(started: subprocess.Popen[bytes], requests: int, replies: int, folder: Path, token: str, owner: int) -> None:
    """Have the supervisor clear everything away, and do it here if it cannot. A forked child only closes its copies."""
    assert started.stdin is not None
    assert started.stdout is not None
    if os.getpid() == owner:
        with contextlib.suppress(BrokenPipeError):
            os.write(started.stdin.fileno(), b"e")  # closing is not enough: a forked child may hold the pipe open
        with contextlib.suppress(subprocess.TimeoutExpired):
            started.wait(_END_LIMIT_S)
        if started.returncode != 0:
            started.kill()
            started.wait()
            shutil.rmtree(folder, ignore_errors=True)
            session.sweep(lambda: session.marked(token), session.SharedMemory(time.time()))
            shutil.rmtree(folder, ignore_errors=True)
    else:
        started.returncode = 0  # not this process's child: nothing to wait for
    for end in (started.stdin, started.stdout):
        end.close()
    for fd in (requests, replies):
        os.close(fd)
