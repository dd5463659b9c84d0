"""Leaky integrators in integers: the readout."""

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
from numpy.typing import ArrayLike

from neuro_lava.processes.integers import IntegerModel, Integers, decay


class IntLI(AbstractProcess):  # type: ignore[misc]
    """Leaky integrators without a threshold, y(t) = decay(y(t-1), d_y) + u(t) + bias, for a batch side by side.

    Vars: d_u, d_y and bias, (size, 1); u and y, (size, batch). Ports, (size, batch): a_in, the sum of synaptic inputs in
    units of u; w_in, that of stock connections, in units of 2**6 of them; s_out, y, for whoever wants to listen. state_bits:
    the width of u and y. clipped: the states whose clips are counted.
    """

    def __init__(
        self, *, name: str, index: int, folder: str, batch: int, state_bits: int, clipped: tuple[str, ...], d_u: ArrayLike,
        d_y: ArrayLike, bias: ArrayLike,
    ) -> None:  # fmt: skip
        super().__init__(name=name, index=index, folder=folder, state_bits=state_bits, clipped=clipped)
        size = np.size(d_u)
        self.a_in, self.w_in = InPort(shape=(size, batch)), InPort(shape=(size, batch))
        self.s_out = OutPort(shape=(size, batch))
        self.d_u, self.d_y, self.bias = (
            Var(shape=(size, 1), init=np.reshape(values, (size, 1))) for values in (d_u, d_y, bias)
        )
        self.u, self.y = Var(shape=(size, batch), init=0), Var(shape=(size, batch), init=0)


@implements(proc=IntLI, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class PyIntLI(IntegerModel):
    """IntLI in int64."""

    a_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int64)
    w_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int64)
    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int64)
    d_u: Integers = LavaPyType(np.ndarray, np.int64)
    d_y: Integers = LavaPyType(np.ndarray, np.int64)
    bias: Integers = LavaPyType(np.ndarray, np.int64)
    u: Integers = LavaPyType(np.ndarray, np.int64)
    y: Integers = LavaPyType(np.ndarray, np.int64)

    STATES = ("u", "y")

    def step(self, k: int) -> None:
        """Receive the inputs and do step t = k - 1."""
        arrived = self.a_in.recv() + (self.w_in.recv() << 6)
        if k > 0:
            self.u = self.clip("u", decay(self.u, self.d_u + 1) + arrived)
            self.y = self.clip("y", decay(self.y, self.d_y) + self.u + self.bias)
            self.write_rows(k - 1)
        self.s_out.send(self.y)
