"""Serve a backend: load it, then compile, run and close programs as the parent asks, files in and files out.

Requests and replies are lines of JSON; graphs, stimuli and recordings are files in the folder of the job:

    load     backend {"module", "attribute", "options", "progress"}      -> python: version of this interpreter
    compile  program: its number, graph: path
    run      program, stimulus: path, record, recording: path to write
    learn    program, stimulus: path, teacher: path, trajectory_every, learned: path to write, graph: path to write
    close    program
    quit

A reply is {"ok": true} or {"ok": false, "error": {"class", "kind", "message", "traceback"}}, class being the name of a
NeuroError or null. While a job runs, lines {"progress": [done, total, what]} come before the reply.
"""

from __future__ import annotations

import contextlib
import faulthandler
import importlib
import json
import os
import platform
import shutil
import signal
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from neuro import errors, graph, recording

from . import learning_files, session
from .api import Backend, Program, Record
from .learning import LearningProgram
from .stimulus import Stimulus

FOLDER = "NEURO_WORKER_FOLDER"
TRACEBACK = "NEURO_WORKER_TRACEBACK"
"""Environment variable with the path of a file. A backend whose simulator loses tracebacks (Lava runs its models in processes
of their own) appends them there; they become part of the error."""

_PROGRESS_EVERY_S = 0.1


class Worker:
    """The backend and the programs of one worker."""

    def __init__(self, send: Callable[[dict[str, Any]], None]) -> None:
        self._send = send
        self._backend: Backend | None = None
        self._programs: dict[int, Program] = {}
        self._reported = 0.0

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Do what a request asks and return the reply; no exception gets out."""
        try:
            found: dict[str, Any] = getattr(self, f"_{request['op']}")(request) or {}
            return {"ok": True, **found}
        except BaseException as err:  # a simulator may call sys.exit: the worker stays, and says so
            return {"ok": False, "error": describe(err)}

    def _load(self, request: dict[str, Any]) -> dict[str, str]:
        wanted = request["backend"]
        found: Any = importlib.import_module(wanted["module"])
        for name in wanted["attribute"].split("."):
            found = getattr(found, name)
        options = dict(wanted["options"])
        if wanted["progress"]:
            options["progress"] = self._progress
        self._backend = found(**options)
        return {"python": platform.python_version()}

    def _compile(self, request: dict[str, Any]) -> None:
        assert self._backend is not None, "compile before load"
        self._programs[request["program"]] = self._backend.compile(graph.load(request["graph"]))

    def _run(self, request: dict[str, Any]) -> None:
        stimulus = Stimulus.load(request["stimulus"])
        result = self._programs[request["program"]].run(stimulus, record_of(request["record"]))
        recording.save(result, request["recording"])

    def _learn(self, request: dict[str, Any]) -> None:
        program = self._programs[request["program"]]
        assert isinstance(program, LearningProgram), "the backend's capabilities promise it"
        stimulus, teacher = Stimulus.load(request["stimulus"]), learning_files.load_teacher(request["teacher"])
        learned = program.learn(stimulus, teacher, trajectory_every=request["trajectory_every"])
        learning_files.save_learned(learned, request["learned"])
        graph.save(learned.graph, request["graph"])

    def _close(self, request: dict[str, Any]) -> None:
        self._programs.pop(request["program"]).close()

    def _quit(self, _: dict[str, Any]) -> None:
        while self._programs:
            self._programs.popitem()[1].close()

    def _progress(self, done: int, total: int, what: str) -> None:
        now = time.monotonic()
        if done >= total or now >= self._reported + _PROGRESS_EVERY_S:
            self._reported = now
            self._send({"progress": [int(done), int(total), str(what)[:200]]})


def describe(err: BaseException) -> dict[str, Any]:
    """Return an exception as plain data: the NeuroError it is (or None), its own kind, message and traceback."""
    known = next((c.__name__ for c in type(err).__mro__ if c.__module__ == errors.__name__), None)
    lines = traceback.format_exception(type(err), err, err.__traceback__)
    return {"class": known, "kind": type(err).__name__, "message": str(err), "traceback": "".join(lines).strip()}


def plain_record(record: Record) -> dict[str, Any]:
    """Return a Record as JSON has it."""
    spikes = record.spikes if isinstance(record.spikes, bool) else list(record.spikes)
    traces = record.traces if isinstance(record.traces, str) else {k: list(v) for k, v in record.traces.items()}
    return {"spikes": spikes, "traces": traces}


def record_of(plain: dict[str, Any]) -> Record:
    """Return the Record that `plain_record` wrote."""
    spikes, traces = plain["spikes"], plain["traces"]
    return Record(
        spikes=spikes if isinstance(spikes, bool) else tuple(spikes),
        traces=traces if isinstance(traces, str) else {k: tuple(v) for k, v in traces.items()},
    )


def serve(load: dict[str, Any], requests: IO[bytes], replies: int, life: int) -> int:
    """Answer requests, the first one already read, until "quit"; return the exit status.

    When the parent is gone this waits to be ended: by the supervisor, or, if that is gone too, by `follow`.
    """
    if threading.current_thread() is threading.main_thread():
        _prepare()
    following = threading.Thread(target=follow, args=(life,), name="neuro-life", daemon=True)
    following.start()

    def send(message: dict[str, Any]) -> None:
        data = memoryview(json.dumps(message).encode() + b"\n")
        while data:
            data = data[os.write(replies, data) :]

    worker = Worker(send)
    with contextlib.suppress(BrokenPipeError):
        reply = worker.answer(load)
        send(reply)
        if not reply["ok"]:
            return 1
        for line in requests:
            request = json.loads(line)
            send(worker.answer(request))
            if request["op"] == "quit":
                return 0
    following.join()
    return 0


def _prepare() -> None:
    """Let signals end this process at once (the supervisor cleans up), and SIGUSR1 show where it hangs."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    with contextlib.suppress(AttributeError, ValueError, OSError):
        faulthandler.enable(2)
        faulthandler.register(signal.SIGUSR1, 2)


def follow(life: int, end: Callable[[], None] = lambda: os.kill(os.getpid(), signal.SIGKILL)) -> None:
    """Wait until the supervisor is gone, then end this worker's processes, remove its folder, and end it."""
    with contextlib.suppress(OSError):
        os.read(life, 1)
    token = os.environ.get(session.MARK, "")
    session.sweep(lambda: session.marked(token, os.getsid(0)), session.SharedMemory(time.time()), trackers=False)
    if folder := os.environ.get(FOLDER):
        shutil.rmtree(Path(folder), ignore_errors=True)
    end()
