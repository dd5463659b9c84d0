"""What all models share: they count the steps of a run, and start each run from nothing."""

from __future__ import annotations

import abc
import contextlib
from collections.abc import Iterator
from typing import Any

from lava.magma.core.model.py.model import PyLoihiProcessModel

from neuro_lava import exchange


class TimedModel(PyLoihiProcessModel):  # type: ignore[misc]
    """Call `begin(run)` once a run and `step(k)` for k = 0 .. run.steps.

    A run of T steps takes T + 1 Lava steps. A connection delays by one step what it passes on, so in Lava step k sources
    send s(k) and neurons compute the graph's step t = k - 1; at k = 0 they have nothing to do but reset.

    The end of a run is known from its length, so each model finds the next run by itself, in the file that was written
    before it was started. Setting a Var of each Process would do it too, at 5 ms a Process. An exception is written to a
    file with its traceback, because Lava would report only that there was one.
    """

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self.folder: str = proc_params["folder"]
        self._first, self._last = 0, 0

    @abc.abstractmethod
    def begin(self, run: exchange.Run) -> None:
        """Reset everything and open the run's files."""

    @abc.abstractmethod
    def step(self, k: int) -> None:
        """Receive and send once on every port."""

    def run_spk(self) -> None:
        """Do one Lava step; Lava counts `time_step` from 1 and over all runs."""
        with self.reported():
            if self.time_step > self._last:
                run = exchange.read_run(self.folder)
                self._first, self._last = self.time_step, self.time_step + run.steps
                self.begin(run)
            self.step(self.k)

    @property
    def k(self) -> int:
        """Return the number of this Lava step within its run, 0 .. run.steps."""
        return self.time_step - self._first

    @contextlib.contextmanager
    def reported(self) -> Iterator[None]:
        """Leave the traceback of an exception in the file, and raise it."""
        try:
            yield
        except Exception:
            exchange.write_traceback(self.folder, f"{type(self).__name__} of '{self.proc_params['name']}'")
            raise
