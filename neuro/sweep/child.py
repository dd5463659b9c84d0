"""Hold a trial's process from the side of whoever started it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from neuro.sweep.order import OUTPUT, TRIAL

_INTERRUPTED = 130
_LAST_BYTES = 4096
"""Of the output, where the reason of a fault is looked for."""


class Child:
    """A process that makes the trial of a folder; what it prints is added to output.txt there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        # Threads of OpenMP that wait inside torch would spin on the cores that the training kernels need (docs/training.md).
        env = {"OMP_WAIT_POLICY": "PASSIVE", **os.environ}
        with (folder / OUTPUT).open("ab") as output:
            # A session of its own: Ctrl-C of a terminal goes to the sweep, which passes it on once. Stdin ends with the sweep.
            self.process = subprocess.Popen(
                [sys.executable, "-m", "neuro.sweep.worker", str(folder)],
                stdin=subprocess.PIPE, stdout=output, stderr=subprocess.STDOUT, start_new_session=True, env=env,
            )  # fmt: skip
        self.interrupted = False

    def ended(self) -> bool:
        """Tell whether the process is over."""
        return self.process.poll() is not None

    def interrupt(self) -> None:
        """Have it write a checkpoint and end; once, since a second one would end it at once."""
        if not self.interrupted and not self.ended():
            self.process.send_signal(signal.SIGINT)
        self.interrupted = True

    def kill(self) -> None:
        """End it at once, and close what belongs to it."""
        if not self.ended():
            self.process.kill()
        self.process.wait()
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()

    def outcome(self) -> dict[str, Any]:
        """Return what came of the trial, once the process is over: as `run_trial`, or "lost" with the reason; "died": by a signal."""
        code = self.process.wait()
        self.kill()
        if code == 0:
            return dict(json.loads((self.folder / TRIAL).read_text(encoding="utf-8")))
        if code == _INTERRUPTED or self.interrupted:
            return {"state": "interrupted"}
        if code < 0:
            return {"state": "lost", "died": True, "reason": f"its process died (signal {signal.Signals(-code).name})"}
        return {"state": "lost", "reason": f"its process failed (exit code {code}: {self._last_line()}); see {OUTPUT}"}

    def _last_line(self) -> str:
        text = (self.folder / OUTPUT).read_bytes()[-_LAST_BYTES:].decode("utf-8", "replace").strip()
        return text.splitlines()[-1] if text else "no output"
