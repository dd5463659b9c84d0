"""Where to connect to a population, on the host and on a board."""

from __future__ import annotations

import importlib
from typing import Any


class Ends:
    """The out-port of a population, as the host and as a board can connect to it.

    In a simulation both are the Process's own. With hardware they lie on two sides of an adapter of lava-loihi, Intel's
    extension (used as `lava.networks.gradedvecnetwork` of lava-nc uses them): made where one is first asked for.
    """

    def __init__(self, process: Any, hardware: bool, *, on_board: bool = False) -> None:
        self.process, self._hardware, self._on_board = process, hardware, on_board
        self._adapted: Any = None

    @property
    def to_host(self) -> Any:
        """Return the out-port for Processes on the host."""
        return self._adapt("NxToPyAdapter") if self._hardware and self._on_board else self.process.s_out

    @property
    def to_board(self) -> Any:
        """Return the out-port for Processes on the board."""
        return self._adapt("PyToNxAdapter") if self._hardware and not self._on_board else self.process.s_out

    def _adapt(self, kind: str) -> Any:
        if self._adapted is None:
            adapters = importlib.import_module("lava.proc.embedded_io").spike
            self._adapted = getattr(adapters, kind)(shape=self.process.s_out.shape, num_message_bits=0)
            self.process.s_out.connect(self._adapted.inp)
        return self._adapted.out
