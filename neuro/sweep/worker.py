"""Make one trial in a process of its own: python -m neuro.sweep.worker FOLDER.

Exit codes: 0 the trial has ended, trial.json tells how; 130 interrupted, with a checkpoint; 1 a fault, told in the output. The end of
stdin is an interrupt: whoever started this process is gone.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path

from neuro._runs import interrupts
from neuro.errors import NeuroError
from neuro.sweep.trial import run_trial


def main(folder: Path) -> int:
    """Make the trial of a folder and return the exit code."""
    with interrupts():  # an interrupt between training and its end is heard too late to stop anything, and does no harm
        threading.Thread(target=_watch, daemon=True).start()
        try:
            found = run_trial(folder, lambda line: print(line, flush=True))
        except NeuroError as err:
            print(err, flush=True)
            return 1
    return 130 if found["state"] == "interrupted" else 0


def _watch() -> None:
    """Interrupt this process when its stdin ends."""
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGINT)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
