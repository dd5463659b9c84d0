"""Say what a meter is: something that counts the joules that parts of a machine take."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Absent:
    """A meter, or a part of one, that cannot be read here, and why: one sentence that says what to do where something can be done."""

    meter: str
    reason: str


class Window(Protocol):
    """A stretch of time over which a meter counts."""

    def stop(self) -> Mapping[str, float]:
        """End it and return joules by domain. Raises UnsupportedError if the meter could not be read."""
        ...


class Meter(Protocol):
    """Count joules by domain: a part of the machine that has a counter of its own. Domains of a meter do not overlap."""

    @property
    def name(self) -> str: ...

    @property
    def covers(self) -> str:
        """What is counted, in one line."""
        ...

    @property
    def domains(self) -> tuple[str, ...]: ...

    def start(self) -> Window:
        """Begin to count. Raises UnsupportedError if the meter cannot be read."""
        ...

    def close(self) -> None:
        """Give back what the meter holds."""
        ...


class Ticker:
    """Call a function every period_s in a thread, until it is stopped or the function fails."""

    def __init__(self, call: Callable[[], None], period_s: float) -> None:
        self._call, self._period_s = call, period_s
        self._end = threading.Event()
        self._fault: Exception | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._end.wait(self._period_s):
            try:
                self._call()
            except Exception as err:  # told by stop(), to whom it concerns
                self._fault = err
                return

    def stop(self) -> None:
        """End the thread; raise what the function raised."""
        self._end.set()
        self._thread.join()
        if self._fault is not None:
            raise self._fault
