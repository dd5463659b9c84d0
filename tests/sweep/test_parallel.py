"""Several trials at once, in processes and on Dask workers, some of which are killed: nothing is lost, nothing made twice."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import neuro
from neuro.errors import WorkerError
from neuro.sweep import cluster, load, run
from neuro.sweep.cluster import STOP, Cluster
from neuro.sweep.order import attempts
from neuro.sweep.runners import Processes
from tests.sweep.conftest import Write, start, steps_of, until

LONG = "iterations = 120\nvalidate_every = 40\ncheckpoint_every = 10"
"""Seconds of training: long enough to be killed on the way."""
ENDLESS = "iterations = 100000\nvalidate_every = 1000\ncheckpoint_every = 1000"
SPACE = "bits = [9]\nconnectivity = [0.2, 0.3, 0.4]"
TELLS = ("number", "params", "state", "accuracy", "n_right", "mean_rate_hz", "synaptic_events", "energy", "sha256")


def trials_of(folder: Path) -> list[dict[str, Any]]:
    return list(json.loads((folder / "sweep.json").read_text())["trials"])


def ended_once(folder: Path) -> bool:
    """Tell whether each trial came to its end in one process alone."""
    events = [[line["event"] for line in attempts(folder / t["folder"])] for t in trials_of(folder)]
    return all(e.count("ended") == 1 and e[-1] == "ended" for e in events)


def children(folder: Path) -> list[int]:
    """Return the processes that make trials of a sweep."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if str(folder / "trials").encode() in (place / "cmdline").read_bytes():
                found.append(int(place.name))
    return found


def told(folder: Path) -> list[dict[str, Any]]:
    return [{key: trial[key] for key in TELLS} for trial in trials_of(folder)]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """Return what the trials give in one process that nobody disturbs."""
    from tests.sweep.conftest import RECIPE, text_of

    folder = tmp_path_factory.mktemp("undisturbed")
    (folder / "recipe.toml").write_text(RECIPE)
    (folder / "sweep.toml").write_text(text_of(SPACE, LONG))
    run(load(folder / "sweep.toml"), folder / "out")
    found = told(folder / "out")
    assert len({t["accuracy"] for t in found}) > 1 and all(t["state"] == "done" for t in found)
    return found


def test_a_killed_process_is_replaced_and_its_trial_goes_on(
    write: Write, tmp_path: Path, undisturbed: list[dict[str, Any]]
) -> None:
    folder, said = tmp_path / "out", []
    first = folder / "trials" / "0000"

    class Killing(Processes):
        killed = 0

        def wait(self) -> list[tuple[int, dict[str, Any]]]:
            if not self.killed and steps_of(first) > 20:
                self.killed = self._children[0].process.pid
                os.kill(self.killed, signal.SIGKILL)
            return super().wait()

    runner = Killing(2)
    found = run(load(write(SPACE, LONG)), folder, runner=lambda _: runner, say=said.append)
    assert runner.killed
    assert said[0] == "trial 0: its process died (signal SIGKILL); it goes on from its last checkpoint"
    assert not found.unfinished and told(folder) == undisturbed and ended_once(folder)
    assert [line["event"] for line in attempts(first)] == ["began", "began", "ended"]
    assert attempts(first)[0]["pid"] == runner.killed
    assert len({line["pid"] for k in range(3) for line in attempts(folder / "trials" / f"000{k}")}) == 4


def test_a_sweep_that_is_killed_leaves_no_process_and_goes_on(
    write: Write, tmp_path: Path, undisturbed: list[dict[str, Any]]
) -> None:
    folder, file = tmp_path / "out", write(SPACE, LONG)
    with start("sweep", file, "-o", folder, "--workers", 2) as process:
        until(lambda: steps_of(folder / "trials" / "0000") > 12, "training", process)
        process.kill()
    until(lambda: not children(folder), "the end of the processes")
    assert trials_of(folder)[0]["state"] == "running"
    assert [line["event"] for line in attempts(folder / "trials" / "0000")] == ["began", "interrupted"]
    run(load(file), folder, resume=True)
    assert told(folder) == undisturbed and ended_once(folder)


def test_ctrl_c_reaches_every_process_once(write: Write, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    with start("sweep", write(SPACE, ENDLESS), "-o", folder, "--workers", 2) as process:
        until(lambda: all(steps_of(folder / "trials" / f"000{k}") > 2 for k in (0, 1)), "training", process)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal sends it
        printed = process.communicate(timeout=60)[0]
    assert process.returncode == 130, printed
    assert "nothing is lost" in printed and "Traceback" not in printed
    for k in (0, 1):
        assert [line["event"] for line in attempts(folder / "trials" / f"000{k}")] == ["began", "interrupted"]
        assert (folder / "trials" / f"000{k}" / "checkpoint.json").exists()


class Dask:
    """A scheduler, and workers as a user starts them."""

    def __init__(self, folder: Path) -> None:
        self._folder, named = folder, folder / "scheduler.json"
        self._common = ["--scheduler-file", str(named), "--no-dashboard"]
        self._log = (folder / "dask.log").open("ab")
        self.workers: list[subprocess.Popen[bytes]] = []
        self._scheduler = self._start("dask_scheduler", "--host", "127.0.0.1", "--port", "0")
        until(lambda: named.exists() and named.read_text().endswith("}"), "a scheduler")
        self.address = str(json.loads(named.read_text())["address"])

    def add_worker(self) -> None:
        self.workers.append(
            self._start("dask_worker", "--nthreads", "1", "--no-nanny", "--name", f"w{len(self.workers)}")
        )

    def end(self) -> None:
        for process in (*self.workers, self._scheduler):
            process.terminate()
            process.wait(30)
        self._log.close()

    def _start(self, what: str, *options: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", f"distributed.cli.{what}", *self._common, *options]
        return subprocess.Popen(command, cwd=self._folder, stdout=self._log, stderr=self._log)


@pytest.fixture
def scheduler(tmp_path: Path) -> Iterator[Dask]:
    """Start a scheduler that has no worker."""
    started = Dask(tmp_path)
    try:
        yield started
    finally:
        started.end()


@pytest.fixture
def dask(scheduler: Dask) -> Dask:
    """Start a scheduler with two workers."""
    for _ in range(2):
        scheduler.add_worker()
    return scheduler


def test_a_dask_worker_that_is_killed_loses_nothing(
    write: Write, tmp_path: Path, undisturbed: list[dict[str, Any]], dask: Dask
) -> None:
    folder = tmp_path / "out"
    with start("sweep", write(SPACE, LONG), "-o", folder, "--scheduler", dask.address) as process:
        until(lambda: steps_of(folder / "trials" / "0000") > 20, "training", process)
        pid = attempts(folder / "trials" / "0000")[0]["pid"]
        parent = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        (killed,) = (w for w in dask.workers if w.pid == parent)
        killed.kill()  # and with it what it was at, as a machine that goes down
        os.kill(pid, signal.SIGKILL)
        printed = process.communicate(timeout=200)[0]
    assert process.returncode == 0, printed
    assert killed.wait(10) == -signal.SIGKILL
    assert told(folder) == undisturbed  # nothing lost, not one bit
    assert ended_once(folder)
    first = attempts(folder / "trials" / "0000")
    assert [line["event"] for line in first] in (
        ["began", "began", "ended"],
        ["began", "interrupted", "began", "ended"],
    )
    assert len({line["pid"] for line in first}) == 2
    (other,) = (w for w in dask.workers if w is not killed)
    assert other.poll() is None


def test_ctrl_c_stops_the_trials_of_a_cluster(write: Write, tmp_path: Path, dask: Dask) -> None:
    folder = tmp_path / "out"
    with start("sweep", write(SPACE, ENDLESS), "-o", folder, "--scheduler", dask.address, "--workers", 1) as process:
        until(lambda: steps_of(folder / "trials" / "0000") > 2, "training", process)
        os.killpg(process.pid, signal.SIGINT)
        printed = process.communicate(timeout=60)[0]
    assert process.returncode == 130, printed
    assert [line["event"] for line in attempts(folder / "trials" / "0000")] == ["began", "interrupted"]
    assert not (folder / "trials" / "0001").exists()  # one at once
    assert (folder / STOP).exists()


def test_a_scheduler_that_does_not_answer_or_has_no_worker_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scheduler: Dask
) -> None:
    monkeypatch.setattr(cluster, "CONNECT_S", 5.0)
    with pytest.raises(
        WorkerError, match=r"--scheduler: no worker \(got 0 at 'tcp://127.* after 5 s; need at least one\)"
    ):
        Cluster(scheduler.address, tmp_path)
    monkeypatch.setattr(cluster, "CONNECT_S", 0.5)
    for address in ("tcp://127.0.0.1:9", "nonsense://x"):
        with pytest.raises(
            WorkerError, match=rf"--scheduler: no scheduler answers \(got .* at '{address}'; need the address"
        ):
            Cluster(address, tmp_path)


@pytest.mark.parametrize("address", ["nonsense", "", "tcp://host:port"])
def test_what_is_no_address_is_told_at_once_with_nothing_more(write: Write, tmp_path: Path, address: str) -> None:
    begin = time.monotonic()
    with start("sweep", write(), "-o", tmp_path / "out", "--scheduler", address) as process:
        printed = process.communicate(timeout=100)[0]
    assert process.returncode == 2
    assert "no scheduler answers (got" in printed
    assert "Traceback" not in printed
    assert time.monotonic() - begin < 30  # a Client of no address is thrown away after 60 s


def test_a_worker_of_another_version_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dask: Dask) -> None:
    monkeypatch.setattr(neuro, "__version__", "9.9")  # here; workers are processes of their own
    with pytest.raises(
        WorkerError,
        match=r"--scheduler: worker tcp://.* cannot take part \(got neuro .*, folder '.*' seen; need neuro 9.9",
    ):
        Cluster(dask.address, tmp_path)


class Future:
    """What Dask hands back, in the states that a cluster on one machine does not reach."""

    def __init__(self, status: str, err: Exception | None = None) -> None:
        self.status, self._err = status, err

    def exception(self) -> Exception | None:
        return self._err


@pytest.mark.parametrize(
    ("future", "reason"),
    [
        (Future("error", RuntimeError("4 workers died")), "RuntimeError: 4 workers died"),
        (Future("error", WorkerError("trial: no order")), "trial: no order"),
        (Future("cancelled"), "cancelled: taken from its worker"),
    ],
)
def test_what_dask_gives_up_is_left_for_a_resume(future: Future, reason: str) -> None:
    assert cluster.outcome(future) == {"state": "lost", "reason": reason}
