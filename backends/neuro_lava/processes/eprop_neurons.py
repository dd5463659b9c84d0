"""Spiking neurons that tell their synapses what e-prop needs of them."""

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

from neuro_lava.processes.neurons import ALIF, PyALIF


class EPropALIF(ALIF):
    """ALIF neurons of one sample with one more port: `told`, (size, 4).

    At each step a neuron tells psi = (gamma / v_th) max(0, 1 - |(v - A) / v_th|), 0 while refractory, with v before a reset; keep and
    open, 1, but with reset "zero" 0 in the step after a spike, and while v is held at 0; and its spike. gamma: the dampening factor.
    """

    def __init__(self, *, gamma: float, **alif: Any) -> None:
        super().__init__(**alif)
        self.proc_params["gamma"] = gamma
        self.told = OutPort(shape=(self.a_in.shape[0], 4))


@implements(proc=EPropALIF, protocol=LoihiProtocol)
@requires(CPU)
@tag("floating_pt")
class PyEPropALIF(PyALIF):
    """EPropALIF in IEEE double."""

    implements_process = None  # else Lava refuses: the base class is another Process's model

    told: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.float64)

    def begin(self, run: Any) -> None:
        """Start from zero state, with nothing to tell."""
        super().begin(run)
        self._known = np.zeros((len(self.v), 4))

    def step(self, k: int) -> None:
        """Do step t = k - 1 and tell of it."""
        super().step(k)
        self.told.send(self._known)

    def _update(self, current: NDArray[np.float64]) -> None:
        zero = self.proc_params["reset"] == "zero"
        v, spiked, free = self.alpha * self.v + current, self.z, self.left == 0
        super()._update(current)
        v = np.where(free, v, 0.0) if zero else self.v
        distance = (v - (self.v_th + self.beta * self.a)) / self.v_th
        psi = self.proc_params["gamma"] / self.v_th * np.maximum(0.0, 1 - np.abs(distance)) * free
        ones = np.ones_like(psi)
        keep, open_ = (1 - spiked, free * ones) if zero else (ones, ones)
        self._known = np.concatenate([psi, keep, open_, self.z], axis=1)
