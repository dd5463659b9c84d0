"""Find and end the processes of a worker, and the shared memory they leave.

Used on three sides: by the supervisor (every process below it), and, when the supervisor itself was killed, by the parent
and by the worker (every process that carries the mark, an environment variable). Standard library only: the supervisor runs
this without neuro's package being imported.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

MARK = "NEURO_WORKER"
"""Environment variable whose value every process of one worker inherits."""

_PROC = Path("/proc")
_SHARED = "/dev/shm/"
_END_LIMIT_S = (
    10.0  # for SIGKILL to take effect: only a process in uninterruptible sleep takes longer than milliseconds
)
_TRACKER_LIMIT_S = 5.0  # for multiprocessing's resource tracker to unlink what is registered: it takes about 20 ms


class Process(NamedTuple):
    """One row of the process table; session is the process group where the system does not show sessions."""

    pid: int
    parent: int
    session: int
    zombie: bool


def processes() -> list[Process]:
    """Return the process table, from /proc or else from ps (macOS)."""
    return _from_proc() if (_PROC / "self" / "stat").exists() else _from_ps()


def _from_proc() -> list[Process]:
    found = []
    for name in os.listdir(_PROC):
        if name.isdigit():
            with contextlib.suppress(OSError):
                # "pid (command) state parent group session ...": the command may hold spaces and brackets
                state, parent, _, session = (_PROC / name / "stat").read_text().rpartition(")")[2].split()[:4]
                found.append(Process(int(name), int(parent), int(session), state in "ZX"))
    return found


def _from_ps() -> list[Process]:
    ps = subprocess.Popen(["ps", "-A", "-o", "pid=,ppid=,pgid=,stat="], stdout=subprocess.PIPE, text=True)
    rows = [line.split() for line in ps.communicate()[0].splitlines()]
    table = [Process(int(pid), int(parent), int(group), state[0] == "Z") for pid, parent, group, state in rows]
    return [p for p in table if p.pid != ps.pid]


def below(root: int, session: int) -> list[Process]:
    """Return the processes below `root` and those of a session, without this process."""
    table = processes()
    family, size = {root}, 0
    while len(family) > size:
        size = len(family)
        family |= {p.pid for p in table if p.parent in family}
    return [p for p in table if (p.pid in family - {root} or p.session == session) and p.pid != os.getpid()]


def marked(token: str, session: int = 0) -> list[Process]:
    """Return the processes that carry a mark, and all others in their sessions, without this process.

    Where the system does not show environments, those of `session`.
    """
    table = processes()
    bearers = {p.pid for p in table if token and _environment_has(p.pid, f"{MARK}={token}")}
    sessions = {p.session for p in table if p.pid in bearers}
    if token and not _PROC.exists():
        sessions = {session} - {0}
    if os.getpid() not in bearers:
        sessions.discard(os.getsid(0))  # never the caller's own terminal
    return [p for p in table if (p.pid in bearers or p.session in sessions) and p.pid != os.getpid()]


def _environment_has(pid: int, entry: str) -> bool:
    try:
        return entry.encode() in (_PROC / str(pid) / "environ").read_bytes().split(b"\0")
    except OSError:
        return False


def _is_tracker(pid: int) -> bool:
    """Tell whether a process is multiprocessing's resource tracker, which unlinks what the others leave."""
    try:
        command = (_PROC / str(pid) / "cmdline").read_bytes()
    except OSError:
        if _PROC.exists():
            return False
        shown = subprocess.run(["ps", "-ww", "-p", str(pid), "-o", "args="], capture_output=True, check=False)
        command = shown.stdout
    return b"multiprocessing.resource_tracker" in command


class SharedMemory:
    """Remember the shared-memory segments that a worker's processes mapped, to remove those that outlive them.

    multiprocessing's resource tracker does this itself, unless it was killed too. Only what provably is the worker's
    is removed: it was seen mapped by one of its processes, is this user's, was made after `since` (seconds since the
    epoch), and nobody maps it any more.
    """

    def __init__(self, since: float) -> None:
        self._since = since
        self._seen: dict[str, int] = {}

    def look(self, pids: Iterable[int]) -> None:
        """Note what these processes map."""
        for pid in pids:
            self._seen.update(_mapped(pid))

    def remove(self) -> list[str]:
        """Remove what is left and return its paths."""
        left = [path for path, inode in self._seen.items() if self._is_left(path, inode)]
        if left:
            in_use = {path for p in processes() for path in _mapped(p.pid)}
            left = [path for path in left if path not in in_use]
        for path in left:
            with contextlib.suppress(OSError):
                os.unlink(path)
        self._seen.clear()
        return left

    def _is_left(self, path: str, inode: int) -> bool:
        try:
            found = os.lstat(path)
        except OSError:
            return False
        return found.st_ino == inode and found.st_uid == os.getuid() and found.st_ctime >= self._since


def _mapped(pid: int) -> dict[str, int]:
    """Return the shared-memory files that a process maps, with their inodes."""
    found = {}
    with contextlib.suppress(OSError):
        for line in (_PROC / str(pid) / "maps").read_text().splitlines():
            # "from-to rights offset device inode path"
            if _SHARED in line and not line.endswith("(deleted)"):
                *_, inode, path = line.split(maxsplit=5)
                found[path] = int(inode)
    return found


def sweep(find: Callable[[], list[Process]], memory: SharedMemory, *, trackers: bool = True) -> list[int]:
    """Kill all processes that `find` returns until none is left, and return the ids of those that would not end.

    Resource trackers are spared: they end by themselves when all others are dead, after unlinking what those left. With
    trackers=False they are not waited for (the caller holds their pipe itself, and is about to end).

    The worker, leader of its session, is killed last: should the caller be killed while it is at this, having removed the
    worker's folder before, then the worker still finds the supervisor gone, and does what is left to do.
    """
    end = time.monotonic() + _END_LIMIT_S
    while living := _living(find, memory, trackers=False):
        if time.monotonic() > end:
            return [p.pid for p in living]
        _kill(living)
        time.sleep(0.01)
    if not trackers:
        return []
    end = time.monotonic() + _TRACKER_LIMIT_S
    while (living := _living(find, memory, trackers=True)) and time.monotonic() < end + _END_LIMIT_S:
        if time.monotonic() > end:
            _kill(living)
        time.sleep(0.01)
    memory.remove()
    return [p.pid for p in living]


def _living(find: Callable[[], list[Process]], memory: SharedMemory, *, trackers: bool) -> list[Process]:
    found = find()
    for p in found:
        # Orphans become children of the supervisor, a subreaper, which buries them. The worker itself stays unburied
        # (its Popen does that), so that its id, the session's, is not given away before the session is empty.
        if p.zombie and p.parent == os.getpid() and p.pid != p.session:
            with contextlib.suppress(OSError):
                os.waitpid(p.pid, os.WNOHANG)
    living = [p for p in found if not p.zombie]
    memory.look(p.pid for p in living)
    return [p for p in living if trackers or not _is_tracker(p.pid)]


def _kill(victims: Iterable[Process]) -> None:
    for p in sorted(victims, key=lambda p: p.pid == p.session):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(p.pid, signal.SIGKILL)
