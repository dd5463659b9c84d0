"""Several trials at once, in processes and on Dask workers, some of which are killed: nothing is lost, nothing made twice."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

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


@pytest.fixture
def dask(tmp_path: Path) -> Iterator[tuple[str, list[subprocess.Popen[bytes]]]]:
    """Start a scheduler and two workers as a user does; return the address and the workers."""
    named = tmp_path / "scheduler.json"
    command = [sys.executable, "-m", "distributed.cli.dask_scheduler"]
    common = ["--scheduler-file", str(named), "--no-dashboard"]
    log = (tmp_path / "dask.log").open("ab")
    places = {"cwd": tmp_path, "stdout": log, "stderr": log}
    worker = [sys.executable, "-m", "distributed.cli.dask_worker", *common, "--nthreads", "1", "--no-nanny"]
    started = [subprocess.Popen([*command, *common, "--host", "127.0.0.1", "--port", "0"], **places)]  # type: ignore[call-overload]
    try:
        until(lambda: named.exists() and named.read_text().endswith("}"), "a scheduler")
        workers = [subprocess.Popen([*worker, "--name", f"worker-{k}"], **places) for k in range(2)]  # type: ignore[call-overload]
        started += workers
        yield json.loads(named.read_text())["address"], workers
    finally:
        for process in reversed(started):
            process.terminate()
        for process in started:
            process.wait(30)
        log.close()


def test_a_dask_worker_that_is_killed_loses_nothing(
    write: Write, tmp_path: Path, undisturbed: list[dict[str, Any]], dask: tuple[str, list[subprocess.Popen[bytes]]]
) -> None:
    address, workers = dask
    folder = tmp_path / "out"
    with start("sweep", write(SPACE, LONG), "-o", folder, "--scheduler", address) as process:
        until(lambda: steps_of(folder / "trials" / "0000") > 20, "training", process)
        pid = attempts(folder / "trials" / "0000")[0]["pid"]
        parent = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        (killed,) = (w for w in workers if w.pid == parent)
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
    (other,) = (w for w in workers if w is not killed)
    assert other.poll() is None


def test_ctrl_c_stops_the_trials_of_a_cluster(
    write: Write, tmp_path: Path, dask: tuple[str, list[subprocess.Popen[bytes]]]
) -> None:
    folder = tmp_path / "out"
    with start("sweep", write(SPACE, ENDLESS), "-o", folder, "--scheduler", dask[0], "--workers", 1) as process:
        until(lambda: steps_of(folder / "trials" / "0000") > 2, "training", process)
        os.killpg(process.pid, signal.SIGINT)
        printed = process.communicate(timeout=60)[0]
    assert process.returncode == 130, printed
    assert [line["event"] for line in attempts(folder / "trials" / "0000")] == ["began", "interrupted"]
    assert not (folder / "trials" / "0001").exists()  # one at once
    assert (folder / STOP).exists()


def test_a_cluster_that_cannot_take_part_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "CONNECT_S", 0.5)
    with pytest.raises(WorkerError, match=r"--scheduler: no scheduler answers \(got .* at 'tcp://127.0.0.1:9'; need"):
        Cluster("tcp://127.0.0.1:9", tmp_path)
    with pytest.raises(WorkerError, match=r"--scheduler: no scheduler answers"):
        Cluster("nonsense://x", tmp_path)
