"""Ctrl-C in `neuro run`: what was recorded is told and written."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

import neuro as library
from neuro import recording as recordings
from neuro.backend import RunInterrupted
from neuro.engine import EngineProgram
from tests.cli.conftest import Neuro

COMMAND = (
    "import sys, time\n"
    "from neuro import backend\n"
    "from neuro.engine import EngineBackend, run\n"
    "run._FIRST_WORK, run._CALL_S = 2_000, 0.0\n"  # short calls: a tiny net would be done before the signal comes
    "tell = EngineBackend.__init__\n"
    "def slow(self, *, n_threads=None, progress=None):\n"
    "    def wait(done, total, what):\n"
    "        print('step', done, flush=True)\n"
    "        time.sleep(0.02)\n"
    "    tell(self, n_threads=n_threads, progress=wait)\n"
    "EngineBackend.__init__ = slow\n"
    "from neuro.cli import app; app()\n"
)


def test_ctrl_c_keeps_what_was_run(trained: Path, tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-c",
        COMMAND,
        "run",
        str(trained / "graph.h5"),
        "-n",
        "40",
        "-o",
        str(tmp_path / "part.h5"),
    ]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("step") and int(line.split()[1]) > 2:
                break
        time.sleep(0.05)
        os.killpg(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130, (out, err)
    assert "Traceback" not in err
    part = recordings.load(tmp_path / "part.h5")
    assert part.interrupted
    assert f"interrupted: {part.batch} of 40 samples, {part.steps} of " in err and "and are in the recording" in err
    assert 0 < part.batch < 40
    assert "accuracy" in out and f"recording: {tmp_path / 'part.h5'}" in out
    graph = library.load(trained / "graph.h5")
    assert part.graph_sha256 == graph.sha256


@pytest.mark.parametrize(
    ("batch", "steps", "accuracy"), [(3, None, " decisions)"), (5, 40, "none: no sample came to its end")]
)
def test_an_interrupted_run_is_scored_as_far_as_it_goes(
    neuro: Neuro, trained: Path, monkeypatch: pytest.MonkeyPatch, batch: int, steps: int | None, accuracy: str
) -> None:
    whole = EngineProgram.run

    def stopped(self: EngineProgram, *arguments: object) -> recordings.Recording:
        done = whole(self, *arguments).select(0, batch)  # type: ignore[arg-type]
        if steps is not None:
            traces = {p: {s: x[:, :steps] for s, x in kept.items()} for p, kept in done.traces.items()}
            done = replace(done, steps=steps, traces=traces)
        raise RunInterrupted(replace(done, interrupted=True))

    monkeypatch.setattr(EngineProgram, "run", stopped)
    done = neuro("run", trained / "graph.h5", "-n", 5)
    assert done.exit_code == 130
    assert accuracy in done.stdout
    assert f"interrupted: {batch} of 5 samples" in done.stderr
    assert "in the recording" not in done.stderr
