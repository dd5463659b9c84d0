"""Readouts that judge themselves: what they compare with comes from a file."""

from __future__ import annotations

from typing import Any

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.ports import PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.ports.ports import OutPort
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol
from numpy.typing import NDArray

from neuro_lava import exchange
from neuro_lava.processes.readout import LI, PyLI


class EPropLI(LI):
    """Leaky integrators of one sample with one more port: `error`, (size,), d loss / d y of the step, broadcast to who learns."""

    def __init__(self, **li: Any) -> None:
        super().__init__(**li)
        self.error = OutPort(shape=(self.a_in.shape[0],))


@implements(proc=EPropLI, protocol=LoihiProtocol)
@requires(CPU)
@tag("floating_pt")
class PyEPropLI(PyLI):
    """EPropLI in IEEE double: error (pi - pi*) mask of a softmax, (y - y*) mask of a regression."""

    implements_process = None  # else Lava refuses: the base class is another Process's model

    error: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.float64)

    def begin(self, run: exchange.Run) -> None:
        """Start from zero state, with the run's lesson."""
        super().begin(run)
        self._lesson = exchange.read_lesson(self.folder)

    def step(self, k: int) -> None:
        """Do step t = k - 1 and judge it."""
        super().step(k)
        self.error.send(self._judged(k - 1) if k else np.zeros(len(self.y)))

    def _judged(self, t: int) -> NDArray[np.float64]:
        y = self.y[:, 0]
        if self._lesson.loss == "softmax":
            grown = np.exp(y - y.max())
            y = grown / grown.sum()
        return np.asarray((y - self._lesson.target[t]) * self._lesson.mask[t])
