"""Several processes train as one: the same losses, the same connections on all, one end for all, and every failure told by all."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from neuro.errors import NeuroError
from neuro.tasks import Batch
from neuro.train import Group, checkpoint, joined
from tests import tiny
from tests.train import ranks

ROOT = Path(__file__).parents[2]
RELATIVE = 1e-12
"""Largest difference of a gradient, relative to its norm: rounding of sums in another order, in float64."""
OVER_STEPS = 1e-12
"""Largest relative difference of losses over 24 steps, which carry the rounding on (measured with two processes: 4e-16)."""


def free_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return int(held.getsockname()[1])


def start(jobs: Sequence[str], folder: Path, size: int, **variables: str) -> list[subprocess.Popen]:
    """Start the processes that go through scenarios (see `ranks`)."""
    common = {**os.environ, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "WORLD_SIZE": str(size)}
    common |= {"PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "backends"))), **variables}
    command = [sys.executable, "-m", "tests.train.ranks", str(folder), *jobs]
    return [subprocess.Popen(command, env={**common, "RANK": str(rank)}) for rank in range(size)]


def go(jobs: Sequence[str], folder: Path, size: int, **variables: str) -> Path:
    """Go through scenarios to their end; return the folder."""
    processes = start(jobs, folder, size, **variables)
    try:
        assert [process.wait(timeout=100) for process in processes] == [0] * size
    finally:
        for process in processes:
            process.kill()
            process.wait()
    return folder


def found(folder: Path, scenario: str, size: int) -> list[dict]:
    """Return what each rank found in a scenario."""
    return [json.loads((folder / f"{scenario}-{rank}.json").read_text()) for rank in range(size)]


def log(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def column(folder: Path, name: str) -> np.ndarray:
    return np.array([entry[name] for entry in log(folder) if "loss" in entry])


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the run of one process."""
    folder = tmp_path_factory.mktemp("alone") / "run"
    ranks.run(folder)
    return folder


def active(folder: Path) -> dict[str, torch.Tensor]:
    """Return the connections of a run's last checkpoint."""
    return {name: t for name, t in checkpoint.load(folder)[1].items() if name.endswith("/active")}


def assert_same_run(got: Path, want: Path) -> None:
    """Compare two runs of 24 steps up to the order of sums."""
    assert len(column(want, "loss")) == ranks.TRAIN.iterations >= 20
    for name in ("loss", "rate_hz"):
        np.testing.assert_allclose(column(got, name), column(want, name), rtol=OVER_STEPS)
    for name in ("accuracy", "n_active", "iteration"):
        np.testing.assert_array_equal(column(got, name), column(want, name))
    validated, expected = ([e["validation"] for e in log(f) if "validation" in e] for f in (got, want))
    for a, b in zip(validated, expected, strict=True):
        assert (a["accuracy"], a["n_decisions"]) == (b["accuracy"], b["n_decisions"])
        assert a["loss"] == pytest.approx(b["loss"], rel=OVER_STEPS)
        assert a["rate_hz"] == pytest.approx(b["rate_hz"], rel=OVER_STEPS)
    assert len(validated) == 5
    masks = active(got)
    assert len(masks) == 3
    assert all(torch.equal(masks[name], mask) for name, mask in active(want).items())


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder where two processes went through most scenarios; starting them takes longer than the scenarios."""
    jobs = ["gradient-lsnn@gradient", "gradient-lstm@gradient", "fit@fit", "half@half", "interrupt@cut", "resume@cut", "poison@poison",
            "bug@bug", "fit@bug", "other@other", "few@few"]  # fmt: skip
    return go(jobs, tmp_path_factory.mktemp("two"), 2)


@pytest.fixture(scope="module")
def three(two: Path) -> Path:
    """Return the same folder, after three processes went on where two had begun, and through some more."""
    return go(["gradient-lsnn@gradient-3", "fit@fit-3", "resume@half", "spoil@spoil"], two, 3)


def assert_gradient(folder: Path, kind: str, size: int) -> None:
    """Compare the gradient of a global batch with that of one process; it is the same bits on all ranks."""
    want, got = ranks.one_gradient(Group(), kind), found(folder, f"gradient-{kind}", size)
    reference = np.array(want["gradient"])
    assert np.linalg.norm(reference) > 1e-3
    error = np.linalg.norm(np.array(got[0]["gradient"]) - reference) / np.linalg.norm(reference)
    assert error <= RELATIVE, f"largest error {error}"
    assert all(one == got[0] for one in got), "not the same bits on all"
    assert got[0]["accuracy"] == want["accuracy"]
    assert got[0]["loss"] == pytest.approx(want["loss"], rel=RELATIVE)
    if kind == "lsnn":
        assert want["rate_hz"] > 5  # type: ignore[operator]
        assert got[0]["rate_hz"] == pytest.approx(want["rate_hz"], rel=RELATIVE)


@pytest.mark.parametrize("kind", ["lsnn", "lstm"])
def test_gradient_of_two_processes_is_that_of_one(two: Path, kind: str) -> None:
    assert_gradient(two / "gradient", kind, 2)


def test_gradient_of_three_processes_is_that_of_one(three: Path) -> None:
    assert_gradient(three / "gradient-3", "lsnn", 3)


def test_run_of_two_processes_is_that_of_one(two: Path, alone: Path, tmp_path: Path) -> None:
    assert_same_run(two / "fit" / "run", alone)
    assert column(alone, "rate_hz").min() > 5
    ranks.run(tmp_path / "start", iterations=0)
    before, after = active(tmp_path / "start"), active(alone)
    assert sum(int((after[name] & ~before[name]).sum()) for name in after) >= 10, "DEEP R moved too little for a test"
    got = found(two / "fit", "fit", 2)
    assert got[0]["stopped"] == "finished"
    assert all(got[0][key] == got[1][key] for key in ("stopped", "iterations", "best", "weights"))
    assert (len(got[0]["lines"]), got[1]["lines"]) == (5, []), "rank 0 alone speaks"
    assert not (two / "fit" / "nowhere").exists(), "rank 0 alone writes"


def test_run_of_three_processes_is_that_of_one(three: Path, alone: Path) -> None:
    assert_same_run(three / "fit-3" / "run", alone)


def test_run_in_a_group_that_exists_already(tmp_path: Path, alone: Path) -> None:
    go(["already@."], tmp_path, 2)
    assert_same_run(tmp_path / "run", alone)


def test_run_goes_on_with_another_number_of_processes(three: Path, alone: Path) -> None:
    """Two processes begin, three go on, and one; the folder is seen by rank 0 alone."""
    assert found(three / "half", "half", 2)[1]["iterations"] == 10
    told = found(three / "half", "resume", 3)[0]["lines"][0]
    assert "3 processes, checkpoint by 2: sums may be formed in another order" in told
    assert_same_run(three / "half" / "run", alone)
    lines: list[str] = []
    ranks.run(three / "half" / "run", lines=lines, resume=True, iterations=26)
    assert "1 processes, checkpoint by 3" in lines[0]


def test_process_that_is_no_longer_the_same_is_named(three: Path) -> None:
    for got in found(three / "spoil", "spoil", 3):
        assert got["type"] == "NeuroError"
        assert "after training step 8: processes are no longer the same" in got["error"]
        assert "other numbers in 'model/w_rec' on rank 1 than on rank 0; need equal ones on all 3" in got["error"]
    assert checkpoint.load(three / "spoil" / "run")[0]["iteration"] == 4


def test_processes_of_different_settings_do_not_start(two: Path) -> None:
    for got in found(two / "other", "other", 2):
        assert "other numbers in 'settings' on rank 1 than on rank 0" in got["error"]
    assert not (two / "other" / "run").exists()


def test_interrupt_of_one_process_stops_all_after_the_same_step(two: Path, alone: Path) -> None:
    cut = found(two / "cut", "interrupt", 2)
    assert [(got["stopped"], got["iterations"]) for got in cut] == [("interrupted", 9)] * 2
    resumed = found(two / "cut", "resume", 2)
    assert resumed[0]["lines"][0].startswith("step 10/24"), "nothing to warn of"
    assert_same_run(two / "cut" / "run", alone)


def test_number_that_is_not_finite_on_one_process_stops_all(two: Path) -> None:
    first, second = found(two / "poison", "poison", 2)
    assert second["error"].startswith(
        "training step 4: input 'in': not finite (got inf at (sample, step, unit) (0, 3, 0); need a finite current)"
    )
    assert first["error"] == f"rank 1 of 2: {second['error']}"


def test_fault_of_one_process_stops_all(two: Path) -> None:
    first, second = found(two / "bug", "bug", 2)
    assert second["type"] == "KeyError"
    assert first["error"] == "rank 1 of 2: KeyError('no such key')"
    first, second = found(two / "bug", "fit", 2)
    assert first["type"] == "DataError"
    assert "there is a run already" in first["error"]
    assert second["error"] == f"rank 0 of 2: {first['error']}"


def test_batch_of_fewer_samples_than_processes_is_refused(two: Path) -> None:
    for got in found(two / "few", "few", 2):
        assert "train 'batch': fewer samples than processes (got 1; need >= 2)" in got["error"]


@pytest.mark.parametrize(("scenario", "code"), [("die", -9), ("stop", None)])
def test_process_that_is_gone_is_named_by_the_ones_left(tmp_path: Path, scenario: str, code: int | None) -> None:
    """Killed: noticed at once. Stopped: noticed after the time limit."""
    processes = start([f"{scenario}@."], tmp_path, 3, TIMEOUT_S="8")
    try:
        assert [processes[rank].wait(timeout=60) for rank in (0, 2)] == [0, 0]
        assert processes[1].poll() == code
    finally:
        for process in processes:
            process.kill()
            process.wait()
    for rank in (0, 2):
        error = json.loads((tmp_path / f"{scenario}-{rank}.json").read_text())["error"]
        assert f"training step 6: lost rank 1 of 3 (rank {rank} got '" in error
        assert "The last checkpoint is kept" in error
    assert checkpoint.load(tmp_path / "run")[0]["iteration"] == 4


def test_shares_are_the_batch() -> None:
    for n in range(1, 20):
        for size in range(1, 6):
            parts = [range(n)[Group(rank, size).part(n)] for rank in range(size)]
            assert [k for part in parts for k in part] == list(range(n))
            assert max(map(len, parts)) - min(map(len, parts)) <= 1
    batch = ranks.TwoDecisions().sample("validation", np.random.default_rng(0), 7)
    shares = [Group(rank, 3).share(batch) for rank in range(3)]
    assert [len(share) for share in shares] == [2, 2, 3]
    for name in ("inputs", "window", "targets"):
        np.testing.assert_array_equal(np.concatenate([getattr(s, name) for s in shares]), getattr(batch, name))
    assert isinstance(shares[0], Batch)


def test_environment_without_an_address_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MASTER_ADDR", "MASTER_PORT", "RANK"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WORLD_SIZE", "2")
    with (
        pytest.raises(NeuroError, match=r"processes: could not find each other \(got .*RANK.*need 2 of them\)"),
        joined(),
    ):
        pass
    monkeypatch.setenv("WORLD_SIZE", "1")
    with joined() as group:
        assert group == Group()


RECIPE = tiny.recipe(batch=15, validate_samples=33, dtype='"float64"')


def torchrun(arguments: list[str], folder: Path, out: str, **options: object) -> subprocess.Popen:
    """Start torchrun on `neuro train` in a session of its own."""
    neuro = Path(sys.executable).with_name("neuro")
    command = [sys.executable, "-m", "torch.distributed.run", *arguments, "--no-python", str(neuro), "train"]
    command += [str(folder), "--out", str(folder / out)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)  # type: ignore[call-overload]


def test_torchrun_on_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_text(RECIPE)
    process = torchrun(["--standalone", "--nproc-per-node", "2"], tmp_path, "two")
    said, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert f"up to 6 steps of 15 samples, seed 3, into {tmp_path / 'two'}, by 2 processes" in said
    assert said.count("step 6/6: validation") == said.count("ended after step 6") == said.count("test ") == 1
    neuro = Path(sys.executable).with_name("neuro")
    one = subprocess.run(
        [neuro, "train", tmp_path, "--out", tmp_path / "one"], capture_output=True, text=True, check=True
    )
    np.testing.assert_allclose(column(tmp_path / "two", "loss"), column(tmp_path / "one", "loss"), rtol=OVER_STEPS)
    last = [line for line in said.splitlines() if line.startswith("test ")]
    assert last == [line for line in one.stdout.splitlines() if line.startswith("test ")]


def test_torchrun_on_two_machines(tmp_path: Path) -> None:
    """Two launchers with one process each, which meet at an address."""
    (tmp_path / "recipe.toml").write_text(RECIPE)
    meet = ["--nnodes", "2", "--nproc-per-node", "1", "--master-addr", "127.0.0.1", "--master-port", str(free_port())]
    launchers = [torchrun([*meet, "--node-rank", str(rank)], tmp_path, "two") for rank in range(2)]
    try:
        said = [launcher.communicate(timeout=60) for launcher in launchers]
    finally:
        for launcher in launchers:
            launcher.kill()
            launcher.wait()
    assert [launcher.returncode for launcher in launchers] == [0, 0], said
    assert "by 2 processes" in said[0][0]
    assert "ended after step 6" in said[0][0]
    assert said[1][0] == ""
    assert len(column(tmp_path / "two", "loss")) == 6
