"""Spiking neurons: LIF and ALIF with all three resets and refractory periods."""

from __future__ import annotations

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
from numpy.typing import ArrayLike, NDArray

from neuro_lava.processes.recorded import RecordedModel


class ALIF(AbstractProcess):  # type: ignore[misc]
    """A population of adaptive leaky integrate-and-fire neurons, for a batch of samples side by side.

    | Var | shape | meaning |
    | --- | --- | --- |
    | alpha, rho | (size, 1) | decay of v and of a in one step |
    | v_th, beta | (size, 1) | threshold, and its rise with a |
    | bias | (size, 1) | constant input |
    | n_ref | (size, 1) | steps after a spike in which no spike is possible |
    | v, a, z, r | (size, batch) | membrane, adaptation, spikes, what the next step subtracts from v |
    | left | (size, batch) | refractory steps that are left |

    Ports, both (size, batch): a_in, the sum of synaptic inputs; s_out, spikes. reset: "threshold", "adaptive" or "zero".
    LIF is beta = rho = 0. The equations are those of `neuro.graph.reference`, in its order.
    """

    def __init__(
        self,
        *,
        name: str,
        index: int,
        folder: str,
        batch: int,
        reset: str,
        alpha: ArrayLike,
        rho: ArrayLike,
        v_th: ArrayLike,
        beta: ArrayLike,
        bias: ArrayLike,
        n_ref: ArrayLike,
    ) -> None:
        super().__init__(name=name, index=index, folder=folder, reset=reset)
        size = np.size(alpha)
        self.a_in, self.s_out = InPort(shape=(size, batch)), OutPort(shape=(size, batch))
        self.alpha, self.rho = _column(alpha), _column(rho)
        self.v_th, self.beta = _column(v_th), _column(beta)
        self.bias, self.n_ref = _column(bias), _column(n_ref)
        self.v, self.a, self.z, self.r, self.left = (Var(shape=(size, batch), init=0) for _ in range(5))


def _column(values: ArrayLike) -> Any:
    array = np.reshape(values, (-1, 1))
    return Var(shape=array.shape, init=array)


@implements(proc=ALIF, protocol=LoihiProtocol)
@requires(CPU)
@tag("floating_pt")
class PyALIF(RecordedModel):
    """ALIF in IEEE double."""

    a_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.float64)
    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.uint8)
    alpha: NDArray[np.float64] = LavaPyType(np.ndarray, np.float64)
    rho: NDArray[np.float64] = LavaPyType(np.ndarray, np.float64)
    v_th: NDArray[np.float64] = LavaPyType(np.ndarray, np.float64)
    beta: NDArray[np.float64] = LavaPyType(np.ndarray, np.float64)
    bias: NDArray[np.float64] = LavaPyType(np.ndarray, np.float64)
    n_ref: NDArray[np.float64] = LavaPyType(np.ndarray, np.float64)
    v: NDArray[np.float64] = LavaPyType(np.ndarray, np.float64)
    a: NDArray[np.float64] = LavaPyType(np.ndarray, np.float64)
    z: NDArray[np.float64] = LavaPyType(np.ndarray, np.float64)
    r: NDArray[np.float64] = LavaPyType(np.ndarray, np.float64)
    left: NDArray[np.float64] = LavaPyType(np.ndarray, np.float64)

    STATES = ("v", "a", "z", "r", "left")

    def step(self, k: int) -> None:
        """Receive the inputs, do step t = k - 1, send its spikes."""
        current = self.a_in.recv()
        if k > 0:
            self._update(self.bias + current)
            self.write_rows(k - 1)
        self.s_out.send(self.z.astype(np.uint8))

    def _update(self, current: NDArray[np.float64]) -> None:
        reset = self.proc_params["reset"]
        self.a = self.rho * self.a + self.z
        threshold = self.v_th + self.beta * self.a
        free = self.left == 0
        v = self.alpha * self.v + current
        v = np.where(free, v, 0.0) if reset == "zero" else v - self.r
        spikes = (v > threshold) & free
        self.v = np.where(spikes, 0.0, v) if reset == "zero" else v
        self.z = spikes.astype(np.float64)
        if reset != "zero":
            self.r = self.z * (self.v_th if reset == "threshold" else threshold)
        self.left = np.where(spikes, self.n_ref, np.maximum(self.left - 1, 0))
