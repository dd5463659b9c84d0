"""Connections with a delay for each synapse: all that end in one population."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.ports import PyInPort, PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.ports.ports import InPort, OutPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol
from scipy.sparse import csr_matrix  # type: ignore[import-untyped]

from neuro_lava import exchange
from neuro_lava.processes.timed import TimedModel
from neuro_lava.wiring import Wiring


class Synapses(AbstractProcess):  # type: ignore[misc]
    """All synapses that end in one population, from any number of sources, several to a pair if need be.

    wiring: what is connected to what, with weights and lags. spiking: for each source, whether it sends spikes (bytes) or
    currents (doubles). into_stock: whether a stock LIF listens, whose sums are 32 bits wide. Ports: s_in0, s_in1, ...
    (source size, batch), one a source; a_out (size, batch).

    Own, and not Lava's DelaySparse: that rebuilds its delay matrix in every step, and takes one synapse a pair, one
    source a Process, no batch, and no reset. For 120 neurons and 50 samples side by side a step takes 0.6 ms with this
    one and 10 ms with DelaySparse (`benchmarks/lava_step.py`, two busy cores).
    """

    def __init__(
        self,
        *,
        name: str,
        folder: str,
        size: int,
        batch: int,
        wiring: Wiring,
        spiking: tuple[bool, ...],
        into_stock: bool = False,
    ) -> None:
        super().__init__(
            name=name, folder=folder, size=size, batch=batch, wiring=wiring, spiking=spiking, into_stock=into_stock
        )
        for k, n in enumerate(wiring.sizes):
            setattr(self, f"s_in{k}", InPort(shape=(n, batch)))
        self.a_out = OutPort(shape=(size, batch))


@implements(proc=Synapses, protocol=LoihiProtocol)
@requires(CPU)
@tag("floating_pt")
class PySynapses(TimedModel):
    """Deliver w * s(k) into the ring of sums that lie ahead, row `lag` of it, and send the row whose time has come.

    What arrives in Lava step k leaves in step k + 1 + lag. The ring, (depth * size, batch), is no deeper than the run is
    long: what would arrive later never does.
    """

    a_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.float64)
    DTYPE: ClassVar[type] = np.float64

    @classmethod
    def for_process(cls, process: Synapses) -> type[PySynapses]:
        """Return the model with the process's own number of in-ports; Lava wants each port declared in a class."""
        spiking = process.proc_params["spiking"]
        ports = {
            f"s_in{k}": LavaPyType(PyInPort.VEC_DENSE, np.uint8 if bytes_ else np.float64)
            for k, bytes_ in enumerate(spiking)
        }
        if process.proc_params["into_stock"]:
            ports["a_out"] = LavaPyType(PyOutPort.VEC_DENSE, np.int32)
        return type(f"{cls.__name__}{len(ports)}", (cls,), ports)

    def begin(self, run: exchange.Run) -> None:
        """Empty the ring: nothing is in flight."""
        p = self.proc_params
        wiring: Wiring = p["wiring"]
        self._size = p["size"]
        depth = min(int(wiring.lag.max(initial=0)) + 1, run.steps + 1)
        self._head, self._depth = 0, depth
        self._ring = np.zeros((depth * self._size, p["batch"]), self.DTYPE)
        self._sent = np.zeros((sum(wiring.sizes), p["batch"]), self.DTYPE)
        first = np.cumsum([0, *wiring.sizes])
        self._ports = [
            (getattr(self, f"s_in{k}"), slice(int(at), int(at + n)))
            for k, (at, n) in enumerate(zip(first, wiring.sizes, strict=False))
        ]
        inside = wiring.lag < depth
        cell = wiring.lag[inside].astype(np.int64) * self._size + wiring.post[inside]
        self._cells, row = np.unique(cell, return_inverse=True)
        shape = (len(self._cells), sum(wiring.sizes))
        self._weights = csr_matrix((wiring.weight[inside], (row, wiring.pre[inside])), shape=shape)

    def step(self, k: int) -> None:
        """Send what is due, receive, deliver."""
        due = slice(self._head * self._size, (self._head + 1) * self._size)
        self.a_out.send(self._ring[due])
        for port, rows in self._ports:
            self._sent[rows] = port.recv()
        self._ring[due] = 0
        self._head = (self._head + 1) % self._depth
        if self._sent.any():
            self._deliver(self._weights @ self._sent)

    def _deliver(self, arriving: Any) -> None:
        """Add to the ring; cells that lie beyond its end are at its beginning."""
        shift = self._head * self._size
        split = int(np.searchsorted(self._cells, len(self._ring) - shift))
        self._ring[self._cells[:split] + shift] += arriving[:split]
        self._ring[self._cells[split:] + (shift - len(self._ring))] += arriving[split:]


@implements(proc=Synapses, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class PyIntSynapses(PySynapses):
    """Deliver whole numbers, in int64: sums are below 2**31, so none is rounded or wraps."""

    a_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int64)
    DTYPE = np.int64
