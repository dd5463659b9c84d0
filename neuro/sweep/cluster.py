"""Run trials on the workers of a Dask cluster, on any machines that see the sweep's folder under one path."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from neuro.errors import NeuroError, UnsupportedError, WorkerError
from neuro.sweep.child import Child
from neuro.sweep.runners import POLL_S

STOP = "stop"
"""A file in the sweep's folder: workers interrupt what they have begun while it is there."""
CONNECT_S = 30.0
"""For a scheduler to answer, and for a first worker to be there."""


class Cluster:
    """Make as many trials at once as the workers of a Dask scheduler have threads, each in a process of its own.

    A trial whose worker dies is given to another one by Dask, and goes on from its last checkpoint.

    Parameters: address, of the scheduler ("tcp://HOST:8786"); folder, of the sweep; most, trials at once, None for no limit.
    Raises: UnsupportedError if `distributed` is not installed; WorkerError if no scheduler answers, it has no worker, or a worker does not
    see the folder or has another version of neuro.
    """

    def __init__(self, address: str, folder: Path, most: int | None = None) -> None:
        try:
            from distributed import Client
            from distributed.comm.addressing import get_address_host_port
        except ImportError as err:
            raise UnsupportedError(
                "--scheduler: Dask is not installed (got no package 'distributed'; need it here and on the workers). Install it with: "
                "pip install 'neuro[sweep]'"
            ) from err
        self._address, self._folder, self._most = address, folder.resolve(), most
        self._futures: dict[int, Any] = {}
        (self._folder / STOP).unlink(missing_ok=True)
        try:
            # Looked at before: a Client that cannot read its address waits a minute when it is thrown away, and prints a traceback.
            parse: Any = get_address_host_port
            parse(address)
            connect: Any = Client
            self._client: Any = connect(address, timeout=CONNECT_S, set_as_default=False)
        except (OSError, ValueError, TypeError) as err:
            raise WorkerError(
                f"--scheduler: no scheduler answers (got '{err}' at '{address}'; need the address of a Dask scheduler, as tcp://HOST:8786). "
                "Start one with: dask scheduler"
            ) from err
        try:
            self._check()
        except BaseException:
            self._client.close()
            raise

    def room(self) -> int:
        n = sum(self._client.nthreads().values())
        return (n if self._most is None else min(n, self._most)) - len(self._futures)

    def begin(self, number: int, folder: Path) -> None:
        self._futures[number] = self._client.submit(make, str(folder.resolve()), str(self._folder / STOP), pure=False)

    def wait(self) -> list[tuple[int, dict[str, Any]]]:
        over = [number for number, future in self._futures.items() if future.done()]
        if not over:
            time.sleep(POLL_S)
        return [(number, outcome(self._futures.pop(number))) for number in over]

    def interrupt(self) -> None:
        """Leave a sign that every worker sees, at once if it has not begun."""
        (self._folder / STOP).touch()

    def close(self) -> None:
        self._client.close()

    def _check(self) -> None:
        """Refuse a cluster that could not make a trial."""
        try:
            self._client.wait_for_workers(1, timeout=CONNECT_S)
        except TimeoutError as err:
            raise WorkerError(
                f"--scheduler: no worker (got 0 at '{self._address}' after {CONNECT_S:g} s; need at least one). Start some: dask worker "
                f"{self._address} --nthreads 1"
            ) from err
        try:
            told = self._client.run(facts, str(self._folder))
        except Exception as err:  # whatever a worker's interpreter says
            raise WorkerError(
                f"--scheduler: a worker cannot load neuro (got {type(err).__name__}: {err}; need neuro[train,sweep] there). Install it."
            ) from err
        mine = facts(str(self._folder))
        wrong = [
            f"--scheduler: worker {where} cannot take part (got neuro {its['neuro']}, folder '{self._folder}' "
            f"{'seen' if its['sees'] else 'not seen'}; need neuro {mine['neuro']}, and the folder under the same path). Install the same "
            "version, or give --out a shared folder."
            for where, its in told.items()
            if its != mine
        ]
        if wrong:
            raise WorkerError("\n".join(wrong))


def facts(folder: str) -> dict[str, Any]:
    """Return what a worker has to have: the version of neuro, and sight of the sweep's folder."""
    from neuro import __version__

    return {"neuro": __version__, "sees": Path(folder).is_dir()}


def make(folder: str, stop: str) -> dict[str, Any]:
    """Make a trial, on a worker: in a process of its own, which ends with the worker and at the sign to stop."""
    if Path(stop).exists():
        return {"state": "interrupted"}
    child = Child(Path(folder))
    try:
        while not child.ended():
            time.sleep(POLL_S)
            if Path(stop).exists():
                child.interrupt()
        return child.outcome()
    finally:
        child.kill()


def outcome(future: Any) -> dict[str, Any]:
    """Return what came of a trial; a worker that died again and again, or was shut down, leaves it lost."""
    if future.status == "finished":
        return dict(future.result())
    err = future.exception() if future.status == "error" else None
    if isinstance(err, NeuroError):
        return {"state": "lost", "reason": str(err)}
    return {
        "state": "lost",
        "reason": f"{type(err).__name__ if err else future.status}: {err or 'taken from its worker'}",
    }
