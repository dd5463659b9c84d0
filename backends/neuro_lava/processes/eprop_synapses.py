"""Connections that learn by e-prop: eligibility in each synapse, a learning signal from outside."""

from __future__ import annotations

from typing import Any

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.ports import PyInPort, PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.ports.ports import InPort, OutPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol

from neuro_lava import exchange
from neuro_lava.learning import eligibility
from neuro_lava.learning.eprop import Site
from neuro_lava.processes.timed import TimedModel
from neuro_lava.wiring import Wiring


class EPropSynapses(AbstractProcess):  # type: ignore[misc]
    """All synapses that end in one population, for one sample; some of them learn.

    index: of the population. site: what learns, and how. listens: the extra ports it has. Ports: s_in0, s_in1, ..., (source size, 1), one a
    source; a_out, (size, 1); w_out, (n,), the weights that this step used; and of `listens`: told, (size, 4), from the neurons
    (`EPropALIF`); error, (K,), from the readout (`EPropLI`); w_in, (m,), the weights into that readout, for symmetric feedback.
    """

    def __init__(
        self, *, name: str, index: int, folder: str, size: int, wiring: Wiring, spiking: tuple[bool, ...], site: Site,
        listens: dict[str, tuple[int, ...]],
    ) -> None:  # fmt: skip
        super().__init__(
            name=name, index=index, folder=folder, size=size, wiring=wiring, spiking=spiking, site=site, listens=listens
        )
        for k, n in enumerate(wiring.sizes):
            setattr(self, f"s_in{k}", InPort(shape=(n, 1)))
        for port, shape in listens.items():
            setattr(self, port, InPort(shape=shape))
        self.a_out, self.w_out = OutPort(shape=(size, 1)), OutPort(shape=(len(wiring.pre),))


@implements(proc=EPropSynapses, protocol=LoihiProtocol)
@requires(CPU)
@tag("floating_pt")
class PyEPropSynapses(TimedModel):
    """EPropSynapses in IEEE double: in Lava step k they deliver, and learn from, what arrives at the graph's step t = k - 1.

    What was sent is kept, and weighed when it arrives, with the weights of that step.
    """

    a_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.float64)
    w_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.float64)

    @classmethod
    def for_process(cls, process: EPropSynapses) -> type[PyEPropSynapses]:
        """Return the model with the process's own in-ports; Lava wants each port declared in a class."""
        spiking, listens = process.proc_params["spiking"], process.proc_params["listens"]
        ports = {
            f"s_in{k}": LavaPyType(PyInPort.VEC_DENSE, np.uint8 if bytes_ else np.float64)
            for k, bytes_ in enumerate(spiking)
        }
        ports |= {port: LavaPyType(PyInPort.VEC_DENSE, np.float64) for port in listens}
        return type(f"{cls.__name__}{len(ports)}", (cls,), ports)

    def begin(self, run: exchange.Run) -> None:
        """Take the run's weights; nothing is in flight, nothing is remembered."""
        p = self.proc_params
        self._site: Site = p["site"]
        self._wiring: Wiring = p["wiring"]
        self._steps, self._every = run.steps, exchange.read_lesson(self.folder).trajectory_every
        self._weight = exchange.read_weights(self.folder, p["index"])
        self._sent = np.zeros((int(self._wiring.lag.max(initial=0)) + 1, sum(self._wiring.sizes)))
        first = np.cumsum([0, *self._wiring.sizes])
        self._rows = [slice(int(at), int(at + n)) for at, n in zip(first, self._wiring.sizes, strict=False)]
        n = int(self._site.learns.sum())
        self._state = eligibility.start(self._site.constants) if n else {}
        self._gradient: Any = np.zeros(n)
        self._changes: Any = np.zeros(n, np.int64)
        self._trajectory: list[Any] = []

    def step(self, k: int) -> None:
        """Deliver, receive, learn."""
        arrived = self._sent[self._wiring.lag, self._wiring.pre]
        current = np.bincount(self._wiring.post, self._weight * arrived, self.proc_params["size"])
        self.a_out.send(current[:, None])
        self.w_out.send(self._weight)
        self._sent = np.roll(self._sent, 1, axis=0)
        for number, rows in enumerate(self._rows):
            self._sent[0, rows] = getattr(self, f"s_in{number}").recv()[:, 0]
        heard = {port: getattr(self, port).recv() for port in self.proc_params["listens"]}
        if self._state and k > 0:
            self._learn(arrived[self._site.learns], heard, last=k == self._steps)
            if self._every and k % self._every == 0:
                self._trajectory.append(self._weight[self._site.learns])
        if self._state and k == self._steps:
            trajectory = np.array(self._trajectory).reshape(len(self._trajectory), len(self._changes))
            learned = exchange.Learned(self._weight, self._gradient, self._changes, trajectory)
            exchange.write_learned(self.folder, self.proc_params["index"], learned)

    def _learn(self, arrived: Any, heard: dict[str, Any], last: bool) -> None:
        """Advance the traces by a step, and change the weights whose time it is."""
        site = self._site
        post = site.post[site.learns]
        if site.feedback is None:
            told, signal = np.zeros((len(post), 4)), heard["error"][None, post]
        else:
            told = heard["told"][post]
            signal = site.feedback.signal(heard["error"], heard.get("w_in", np.zeros(0)))[:, post]
        self._state, gradient = eligibility.step(site.constants, self._state, arrived, told, signal)
        self._gradient = self._gradient + gradient
        if site.update == "step":
            self._change(gradient)
        if last:
            self._gradient = self._gradient + eligibility.finish(site.constants, self._state)
            if site.update == "episode":
                self._change(self._gradient)

    def _change(self, gradient: Any) -> None:
        """Take a step against a gradient, on the grid and within the bounds."""
        old = self._weight[self._site.learns]
        new = self._site.settled(old - self._site.lr * gradient)
        self._changes = self._changes + (new != old)
        self._weight = self._weight.copy()
        self._weight[self._site.learns] = new
