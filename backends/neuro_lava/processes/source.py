"""Send the stimulus: spikes or currents, from a file that is mapped into memory."""

from __future__ import annotations

from typing import Any

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.ports import PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.ports.ports import OutPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol

from neuro_lava import exchange
from neuro_lava.processes.timed import TimedModel


class SpikeSource(AbstractProcess):  # type: ignore[misc]
    """Send the spikes of a SpikeInput, 0 or 1, to `s_out` of shape (size, batch)."""

    def __init__(self, *, name: str, index: int, folder: str, size: int, batch: int) -> None:
        super().__init__(name=name, index=index, folder=folder, shape=(size, batch))
        self.s_out = OutPort(shape=(size, batch))


class CurrentSource(AbstractProcess):  # type: ignore[misc]
    """Send the values of a CurrentInput to `s_out` of shape (size, batch)."""

    def __init__(self, *, name: str, index: int, folder: str, size: int, batch: int) -> None:
        super().__init__(name=name, index=index, folder=folder, shape=(size, batch))
        self.s_out = OutPort(shape=(size, batch))


class SourceModel(TimedModel):
    """Send row k of the signal in step k, and zeros in the last step and for samples that the run does not have."""

    s_out: Any

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self._index, self._shape = proc_params["index"], proc_params["shape"]

    def begin(self, run: exchange.Run) -> None:
        """Map the run's signal, (steps, size, samples)."""
        self._signal = exchange.open_signal(self.folder, self._index)
        self._row = np.zeros(self._shape, self._signal.dtype)

    def step(self, k: int) -> None:
        """Send one row."""
        if k < len(self._signal):
            self._row[:, : self._signal.shape[2]] = self._signal[k]
        else:
            self._row[:] = 0
        self.s_out.send(self._row)


@implements(proc=SpikeSource, protocol=LoihiProtocol)
@requires(CPU)
@tag("floating_pt", "fixed_pt")
class PySpikeSource(SourceModel):
    """Send spikes as bytes."""

    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.uint8)


@implements(proc=CurrentSource, protocol=LoihiProtocol)
@requires(CPU)
@tag("floating_pt")
class PyCurrentSource(SourceModel):
    """Send currents as doubles."""

    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.float64)
