"""Spiking neurons in integers: IntLIF, IntALIF and AHP."""

from __future__ import annotations

import abc
from typing import Any

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


class _Neurons(AbstractProcess):  # type: ignore[misc]
    """What integer neurons share, for a batch of samples side by side.

    | Var | shape | meaning |
    | --- | --- | --- |
    | d_u, d_v | (size, 1) | 12-bit decays of u and v |
    | v_th | (size, 1) | threshold, in units of 2**6 |
    | bias | (size, 1) | constant input of v |
    | n_ref | (size, 1) | steps after a spike in which no spike is possible |
    | u, v, z, r | (size, batch) | current, membrane, spikes, what the next step subtracts from v |
    | left | (size, batch) | refractory steps that are left |

    Ports, (size, batch): a_in, the sum of synaptic inputs in units of u; w_in, that of stock connections, in units of 2**6 of
    them; s_out, spikes. state_bits: the width of the states. clipped: the states whose clips are counted. The equations are
    those of `neuro.graph.reference`.
    """

    def __init__(
        self,
        *,
        name: str,
        index: int,
        folder: str,
        batch: int,
        state_bits: int,
        reset: str,
        clipped: tuple[str, ...],
        **parameters: ArrayLike,
    ) -> None:
        super().__init__(name=name, index=index, folder=folder, state_bits=state_bits, reset=reset, clipped=clipped)
        self.size, self.batch = np.size(parameters["d_u"]), batch
        self.a_in, self.w_in = InPort(shape=(self.size, batch)), InPort(shape=(self.size, batch))
        self.s_out = OutPort(shape=(self.size, batch))
        for key, values in parameters.items():
            setattr(self, key, Var(shape=(self.size, 1), init=np.reshape(values, (-1, 1))))
        self.u, self.v, self.z, self.r, self.left = (self._state() for _ in range(5))

    def _state(self) -> Var:
        return Var(shape=(self.size, self.batch), init=0)


class IntALIF(_Neurons):
    """Adaptive integrate-and-fire neurons in integers, threshold A = v_th * 2**6 + a; IntLIF is d_a = bump = 0.

    Vars beyond those of all neurons: d_a and bump, (size, 1); a, (size, batch). reset: "threshold", "adaptive" or "zero".
    """

    def __init__(self, **keywords: Any) -> None:
        super().__init__(**keywords)
        self.a = self._state()


class AHP(_Neurons):
    """Neurons with an auxiliary compartment x, a slow current that each spike makes more negative; reset to zero.

    Vars beyond those of all neurons: d_x and w_x, (size, 1); x, (size, batch).
    """

    def __init__(self, **keywords: Any) -> None:
        super().__init__(**keywords, reset="zero")
        self.x = self._state()


class _PyNeurons(IntegerModel):
    """Receive, advance, send; a subclass adds its adaptation."""

    a_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int64)
    w_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int64)
    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.uint8)
    d_u: Integers = LavaPyType(np.ndarray, np.int64)
    d_v: Integers = LavaPyType(np.ndarray, np.int64)
    v_th: Integers = LavaPyType(np.ndarray, np.int64)
    bias: Integers = LavaPyType(np.ndarray, np.int64)
    n_ref: Integers = LavaPyType(np.ndarray, np.int64)
    u: Integers = LavaPyType(np.ndarray, np.int64)
    v: Integers = LavaPyType(np.ndarray, np.int64)
    z: Integers = LavaPyType(np.ndarray, np.int64)
    r: Integers = LavaPyType(np.ndarray, np.int64)
    left: Integers = LavaPyType(np.ndarray, np.int64)

    def step(self, k: int) -> None:
        """Receive the inputs, do step t = k - 1, send its spikes."""
        arrived = self.a_in.recv() + (self.w_in.recv() << 6)
        if k > 0:
            self.u = self.clip("u", decay(self.u, self.d_u + 1) + arrived)
            self._adapt_and_fire()
            self.write_rows(k - 1)
        self.s_out.send(self.z.astype(np.uint8))

    @abc.abstractmethod
    def _adapt_and_fire(self) -> None:
        """Compute the states that follow from u(t) and z(t-1), and the spikes."""

    def _fire(self, drive: Integers, threshold: Integers) -> None:
        """Integrate the membrane, spike, reset; with reset "zero" a refractory membrane is held at 0 and forms no sum."""
        reset = self.proc_params["reset"]
        free = self.left == 0
        total = decay(self.v, self.d_v) + drive
        v = self.clip("v", np.where(free, total, 0) if reset == "zero" else total - self.r)
        spikes = (v > threshold) & free
        self.v = np.where(spikes, 0, v) if reset == "zero" else v
        self.z = spikes.astype(np.int64)
        if reset != "zero":
            self.r = self.z * (self.v_th << 6 if reset == "threshold" else threshold)
        self.left = np.where(spikes, self.n_ref, np.maximum(self.left - 1, 0))


@implements(proc=IntALIF, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class PyIntALIF(_PyNeurons):
    """IntALIF in int64."""

    d_a: Integers = LavaPyType(np.ndarray, np.int64)
    bump: Integers = LavaPyType(np.ndarray, np.int64)
    a: Integers = LavaPyType(np.ndarray, np.int64)

    STATES = ("u", "v", "a", "z", "r", "left")

    def _adapt_and_fire(self) -> None:
        self.a = self.clip("a", decay(self.a, self.d_a) + self.bump * self.z)
        self._fire(self.u + self.bias, (self.v_th << 6) + self.a)


@implements(proc=AHP, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class PyAHP(_PyNeurons):
    """AHP in int64: the auxiliary compartment x, then the main one."""

    d_x: Integers = LavaPyType(np.ndarray, np.int64)
    w_x: Integers = LavaPyType(np.ndarray, np.int64)
    x: Integers = LavaPyType(np.ndarray, np.int64)

    STATES = ("u", "v", "x", "z", "r", "left")

    def _adapt_and_fire(self) -> None:
        self.x = self.clip("x", decay(self.x, self.d_x) + self.w_x * self.z)
        self._fire(self.u + self.x + self.bias, self.v_th << 6)
