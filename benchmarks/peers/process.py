"""Run a contestant in a process of its own and talk to it."""

from __future__ import annotations

import json
import os
import select
import subprocess
import time
from pathlib import Path
from typing import Any

BENCHMARKS = Path(__file__).resolve().parents[1]
PREPARE_S, ANSWER_S = 900.0, 600.0  # compiling takes a minute or two; a step takes seconds


class WorkerFailed(Exception):
    """A contestant could not do what was asked; the text says why."""


class Worker:
    """A contestant's process; the module's errors and prints go to a log file."""

    def __init__(self, python: Path, module: str, threads: int, log: Path) -> None:
        self.threads, self.log = threads, log
        counts = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(threads))
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("w") as errors:
            self.process = subprocess.Popen(
                [str(python), "-m", module], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True,
                cwd=BENCHMARKS, env={**os.environ, **counts, "TORCHINDUCTOR_CACHE_DIR": str(log.parent / "inductor")},
            )  # fmt: skip

    def prepare(self, case: Path) -> dict[str, Any]:
        """Load a case and get ready to train: n_parameters, gain, versions."""
        return self._ask(PREPARE_S, do="prepare", case=str(case), threads=self.threads)

    def peak_bytes(self) -> int:
        """Return what one step needs, in bytes: see `worker.step_peak_bytes`."""
        return self._ask(ANSWER_S, do="memory")["peak_bytes"]

    def check(self, out: Path) -> dict[str, Any]:
        """Do one step; return loss and rate_hz, and write spikes and gradients to a file."""
        return self._ask(ANSWER_S, do="check", out=str(out))

    def seconds(self, fill_seconds: float) -> float:
        """Return the median time of the steps that fill a stretch of time, in s."""
        return self._ask(ANSWER_S, do="time", seconds=fill_seconds)["seconds"]

    def close(self) -> None:
        """End the process."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()

    def _ask(self, timeout_s: float, **request: Any) -> dict[str, Any]:
        try:
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError as err:
            raise WorkerFailed(self._ended()) from err
        deadline = time.monotonic() + timeout_s
        ready, _, _ = select.select([self.process.stdout], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            self.close()
            raise WorkerFailed(f"no answer to '{request['do']}' in {timeout_s:.0f} s")
        line = self.process.stdout.readline()
        if not line:
            raise WorkerFailed(self._ended())
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise WorkerFailed(f"{answer['error']} (log: {self.log})")
        return answer

    def _ended(self) -> str:
        last = self.log.read_text().strip().splitlines()[-1:]
        return f"the process ended with {self.process.wait()}: {''.join(last)} (log: {self.log})"
