"""Leaky integrators: the readout."""

from __future__ import annotations

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.ports import PyInPort, PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.ports.ports import InPort, OutPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.process.variable import Var
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol
from numpy.typing import ArrayLike, NDArray

from neuro_lava.processes.recorded import RecordedModel


class LI(AbstractProcess):  # type: ignore[misc]
    """Leaky integrators without a threshold, y(t) = kappa y(t-1) + (bias + input), for a batch side by side.

    Vars: kappa and bias, (size, 1); y, (size, batch). Ports, both (size, batch): a_in, the sum of synaptic inputs;
    s_out, y, for whoever wants to listen.
    """

    def __init__(self, *, name: str, index: int, folder: str, batch: int, kappa: ArrayLike, bias: ArrayLike) -> None:
        super().__init__(name=name, index=index, folder=folder)
        size = np.size(kappa)
        self.a_in, self.s_out = InPort(shape=(size, batch)), OutPort(shape=(size, batch))
        self.kappa = Var(shape=(size, 1), init=np.reshape(kappa, (size, 1)))
        self.bias = Var(shape=(size, 1), init=np.reshape(bias, (size, 1)))
        self.y = Var(shape=(size, batch), init=0)


@implements(proc=LI, protocol=LoihiProtocol)
@requires(CPU)
@tag("floating_pt")
class PyLI(RecordedModel):
    """LI in IEEE double."""

    a_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.float64)
    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.float64)
    kappa: NDArray[np.float64] = LavaPyType(np.ndarray, np.float64)
    bias: NDArray[np.float64] = LavaPyType(np.ndarray, np.float64)
    y: NDArray[np.float64] = LavaPyType(np.ndarray, np.float64)

    STATES = ("y",)

    def step(self, k: int) -> None:
        """Receive the inputs and do step t = k - 1."""
        current = self.a_in.recv()
        if k > 0:
            self.y = self.kappa * self.y + (self.bias + current)
            self.write_rows(k - 1)
        self.s_out.send(self.y)
