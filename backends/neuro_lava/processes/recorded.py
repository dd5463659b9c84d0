"""Models with states that a run can ask for."""

from __future__ import annotations

from typing import Any, ClassVar

from neuro_lava import exchange
from neuro_lava.processes.timed import TimedModel


class RecordedModel(TimedModel):
    """Set the states to zero at the beginning of a run, and write those that were asked for in every step.

    The model writes its rows itself. A sink Process for each population would cost another 0.2 ms a step, as every
    Process does (`benchmarks/lava_step.py`), and v and a have no port.
    """

    STATES: ClassVar[tuple[str, ...]] = ()

    def begin(self, run: exchange.Run) -> None:
        """Start from zero state."""
        for state in self.STATES:
            getattr(self, state)[...] = 0
        index = self.proc_params["index"]
        wanted = run.record.get(str(index), ())
        self._rows: dict[str, Any] = {state: exchange.open_rows(self.folder, index, state) for state in wanted}

    def write_rows(self, t: int) -> None:
        """Write the states of step t, of the samples that the run has."""
        for state, rows in self._rows.items():
            rows[t] = getattr(self, state)[:, : rows.shape[2]]
