"""Watch over one worker: start it in a session of its own, and leave nothing of it behind, whatever ends.

A small process between parent and worker. It ends the worker's processes, waits for multiprocessing's resource tracker to
unlink their shared memory, and removes the folder of the jobs, as soon as

- the parent asks for it, or is gone (its end of the pipe is closed, or the process has ended, SIGKILL included),
- the worker has ended, in whatever way, or
- it is asked to end itself (SIGTERM, SIGHUP).

When the supervisor itself is killed, parent and worker both notice (their pipes close), and do the same. Jobs and answers
go directly between parent and worker; the supervisor's only messages are {"worker": pid}, {"failed": reason} and
{"ended": {"code", "output", "traceback"}}, JSON lines on its standard output. Standard library only: see `COMMAND`.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import selectors
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from . import session

COMMAND = (
    "import sys, types\n"
    "for name, path in (('neuro', sys.argv[1]), ('neuro.backend', sys.argv[2])):\n"
    "    sys.modules[name] = types.ModuleType(name)\n"
    "    sys.modules[name].__path__ = [path]\n"
    "from neuro.backend.supervisor import main\n"
    "main(sys.argv[3])\n"
)
"""Run this module with -c, bare: without the package's __init__, and so without numpy, in 30 ms instead of 300."""

OUTPUT, TRACEBACK, TEMPORARY = "output", "traceback", "t"
"""Names in a worker's folder: what it prints, what a backend noted of an exception, and its TMPDIR."""

TAIL = 4000  # characters of output and of traceback that go into an error; both, escaped, fit a pipe of 64 KiB
_LOOK_AFTER_S, _LOOK_EVERY_S = 0.5, 5.0  # when to note the worker's shared memory, 1-10 ms of work: ever more rarely
_PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h

Status = Callable[[dict[str, Any]], None]


def supervise(config: dict[str, Any], *, commands: int, wake: int, root: int | None, status: Status) -> None:
    """Start a worker, watch over it, clear it away.

    Parameters: config, with argv of the worker, folder to make for it, pass_fds for it, and the parent's process id;
    commands, a pipe from the parent (b"d": have the worker show where it is, and end it; b"e" or closed: end it); wake, a pipe that brings the
    numbers of signals; root, the process below which all processes are the worker's (None: the worker itself).
    """
    folder = Path(config["folder"])
    since = time.time() - 1.0  # file systems keep coarser time
    try:
        os.mkdir(folder, 0o700)
    except OSError as err:  # not ours then: it stays
        status({"failed": f"{type(err).__name__}: {err}"})
        return
    try:
        os.mkdir(folder / TEMPORARY)
        worker, life = _start(config, folder)
    except OSError as err:
        shutil.rmtree(folder, ignore_errors=True)
        status({"failed": f"{type(err).__name__}: {err}"})
        return
    memory = session.SharedMemory(since)

    def find() -> list[session.Process]:
        return session.below(worker.pid if root is None else root, worker.pid)

    try:
        status({"worker": worker.pid})
        _watch(config["parent"], worker, commands, wake, lambda: memory.look(p.pid for p in find()))
    finally:
        died, said = _ended(worker), details(folder)  # before its resource tracker grumbles over what it finds
        shutil.rmtree(folder, ignore_errors=True)  # now, as well as below: see `session.sweep`
        stuck = session.sweep(find, memory)
        code = worker.wait() if not stuck else None
        os.close(life)
        ended = {"code": code, "died": died, "stuck": stuck, **said}
        shutil.rmtree(folder, ignore_errors=True)
        status({"ended": ended})


def _start(config: dict[str, Any], folder: Path) -> tuple[subprocess.Popen[bytes], int]:
    """Start the worker in its own session; return it, and the pipe that tells it of this process's end."""
    read, write = os.pipe()
    with open(folder / OUTPUT, "ab") as output:
        try:
            worker = subprocess.Popen(
                [*config["argv"], str(read)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=(*config["pass_fds"], read),
                start_new_session=True,
            )
        except OSError:
            os.close(write)
            raise
        finally:
            for fd in (read, *config["pass_fds"]):
                os.close(fd)
    return worker, write


def _watch(parent: int, worker: subprocess.Popen[bytes], commands: int, wake: int, look: Callable[[], None]) -> None:
    """Return when the worker is to end, or has ended."""
    pause, due = _LOOK_AFTER_S, time.monotonic() + _LOOK_AFTER_S
    with selectors.DefaultSelector() as selector, contextlib.ExitStack() as stack:
        for fd in (commands, wake):
            selector.register(fd, selectors.EVENT_READ)
        watched = _watched(parent)
        if watched is not None:
            stack.callback(os.close, watched)
            selector.register(watched, selectors.EVENT_READ)
        while os.getppid() == parent and not _ended(worker):
            for key, _ in selector.select(timeout=min(1.0, pause)):
                data = os.read(key.fd, 64) if key.fd != watched else b""
                if key.fd == wake and data and not {signal.SIGTERM, signal.SIGHUP} & set(data):
                    continue  # SIGCHLD: seen above
                if key.fd == commands and b"d" in data:
                    _show(worker)
                return
            if time.monotonic() >= due:
                look()
                pause = min(2 * pause, _LOOK_EVERY_S)
                due = time.monotonic() + pause


def _watched(parent: int) -> int | None:
    """Return a descriptor that is readable when the parent has ended, where the system has such a thing.

    The pipe from the parent alone would stay open in processes that the parent forked.
    """
    with contextlib.suppress(AttributeError, OSError):
        return os.pidfd_open(parent)
    return None


def _ended(worker: subprocess.Popen[bytes]) -> bool:
    """Tell whether the worker has ended, leaving it unburied so that its id, the session's, stays taken."""
    if worker.returncode is None and hasattr(os, "waitid"):
        return os.waitid(os.P_PID, worker.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    return worker.poll() is not None


def _show(worker: subprocess.Popen[bytes]) -> None:
    """Have the worker print where it hangs: its faulthandler answers SIGUSR1 even from within C code."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(worker.pid, signal.SIGUSR1)
    time.sleep(0.2)


def details(folder: Path) -> dict[str, str]:
    """Return the ends of what the worker printed, and of the traceback that a backend noted."""
    found = {}
    for name in (OUTPUT, TRACEBACK):
        try:
            with open(folder / name, "rb") as file:
                file.seek(max(0, os.fstat(file.fileno()).st_size - 4 * TAIL))
                found[name] = file.read().decode(errors="replace").strip()[-TAIL:]
        except OSError:
            found[name] = ""
    return found


def main(text: str) -> None:
    """Be the supervisor: become the reaper of orphans below, turn signals into bytes on a pipe, supervise."""
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    wake, signalled = os.pipe()
    for fd in (wake, signalled):
        os.set_blocking(fd, False)
    signal.set_wakeup_fd(signalled, warn_on_full_buffer=False)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    commands = sys.stdin.fileno()
    supervise(json.loads(text), commands=commands, wake=wake, root=os.getpid(), status=_say)


def _say(message: dict[str, Any]) -> None:
    with contextlib.suppress(OSError):  # the parent may be gone
        os.write(sys.stdout.fileno(), json.dumps(message).encode() + b"\n")
