"""Run trials: in this process, one after another, or several at once in processes of their own."""

from __future__ import annotations

import time
import traceback
from pathlib import Path
from typing import Any, Protocol

from neuro.sweep.child import Child
from neuro.sweep.order import OUTPUT
from neuro.sweep.trial import run_trial

POLL_S = 0.1


class Runner(Protocol):
    """Who makes trials. Trials are told by number; the folder of each holds its order."""

    def room(self) -> int:
        """Return how many more trials can be begun now."""

    def begin(self, number: int, folder: Path) -> None:
        """Begin a trial, or go on with it."""

    def wait(self) -> list[tuple[int, dict[str, Any]]]:
        """Return the trials that ended, and what came of each; wait a moment if there is none."""

    def interrupt(self) -> None:
        """Have all trials write a checkpoint and end; they come out of `wait` as "interrupted"."""

    def close(self) -> None:
        """End everything that was begun."""


class Here:
    """Make one trial after another in this process."""

    def __init__(self) -> None:
        self._next: tuple[int, Path] | None = None

    def room(self) -> int:
        return 0 if self._next else 1

    def begin(self, number: int, folder: Path) -> None:
        self._next = number, folder

    def wait(self) -> list[tuple[int, dict[str, Any]]]:
        """Make the trial. A fault that is not the trial's own is told in its folder, and the sweep goes on."""
        if self._next is None:
            return []
        (number, folder), self._next = self._next, None
        try:
            return [(number, run_trial(folder))]
        except Exception as err:
            with (folder / OUTPUT).open("a", encoding="utf-8") as output:
                output.write(traceback.format_exc())
            return [(number, {"state": "lost", "reason": f"{type(err).__name__}: {err}; see {OUTPUT}"})]

    def interrupt(self) -> None:
        """Nothing is running between two calls; what was begun is left as it was."""
        self._next = None

    def close(self) -> None:
        self._next = None


class Processes:
    """Make up to `n` trials at once, each in a process of its own."""

    def __init__(self, n: int) -> None:
        self._n = n
        self._children: dict[int, Child] = {}

    def room(self) -> int:
        return self._n - len(self._children)

    def begin(self, number: int, folder: Path) -> None:
        self._children[number] = Child(folder)

    def wait(self) -> list[tuple[int, dict[str, Any]]]:
        over = [number for number, child in self._children.items() if child.ended()]
        if not over:
            time.sleep(POLL_S)
        return [(number, self._children.pop(number).outcome()) for number in over]

    def interrupt(self) -> None:
        for child in self._children.values():
            child.interrupt()

    def close(self) -> None:
        for child in self._children.values():
            child.kill()
        self._children.clear()
