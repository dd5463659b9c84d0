"""A whole spiking graph as one hierarchical Lava Process."""

from __future__ import annotations

from typing import Any

import numpy as np
from lava.magma.core.decorator import implements, tag
from lava.magma.core.model.sub.model import AbstractSubProcessModel
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol

from neuro.graph import Graph, IntLIF, IntProjection, Population, kind, states
from neuro_lava.processes.ends import Ends
from neuro_lava.processes.integer_neurons import AHP, IntALIF
from neuro_lava.processes.integer_readout import IntLI
from neuro_lava.processes.neurons import ALIF
from neuro_lava.processes.readout import LI
from neuro_lava.processes.source import CurrentSource, SpikeSource
from neuro_lava.processes.stock import Probe, stock_connection, stock_lif
from neuro_lava.processes.synapses import Synapses
from neuro_lava.stock import Plan
from neuro_lava.wiring import Wiring, wire


class Network(AbstractProcess):  # type: ignore[misc]
    """A graph for `batch` samples side by side; `folder` is where its models exchange data with the program.

    plan: what runs on Lava's stock Processes.
    """

    def __init__(self, *, graph: Graph, batch: int, folder: str, plan: Plan) -> None:
        super().__init__(name=graph.name or "network", graph=graph, batch=batch, folder=folder, plan=plan)


@implements(proc=Network, protocol=LoihiProtocol)
@tag("floating_pt", "fixed_pt")
class NetworkModel(AbstractSubProcessModel):  # type: ignore[misc]
    """A Process for each population, and one for the synapses that end in it; one for each projection that is stock.

    Each Process costs about 0.2 ms a step whatever it does (`benchmarks/lava_step.py`). One connection Process for each
    population instead of one for each projection is the compromise between that and a network in which every population
    can be found. An input that nothing is connected to has no Process.
    """

    def __init__(self, process: Network) -> None:
        self._graph, self._batch, self._folder, self._plan = (
            process.proc_params[key] for key in ("graph", "batch", "folder", "plan")
        )
        self._index = {p.name: k for k, p in enumerate(self._graph.populations)}
        targets = wire(self._graph, self._plan)
        stock = [c for c in self._graph.projections if c.name in self._plan.projections]
        heard = {name for w in targets.values() for name in w.sources} | {c.source for c in stock}
        self._ends = {p.name: self._add(p) for p in self._graph.populations if p.name in heard or p.name in targets}
        for name, found in targets.items():
            if found.sources:
                self._connect(name, found)
        for k, c in enumerate(stock):
            self._connect_stock(k, c)

    def _add(self, p: Population) -> Ends:
        """Make the Process of a population, and return where to connect to it."""
        index = self._index[p.name]
        if isinstance(p, IntLIF) and p.name in self._plan.populations:
            ends = self._add_stock(p, index)
        else:
            ends = Ends(self._process(p, index), self._plan.hardware)
        setattr(self, f"population_{index}", ends.process)
        return ends

    def _process(self, p: Population, index: int) -> Any:
        """Make the Process of our own of a population."""
        where = parameters(p, index, self._batch, self._folder)
        return _PROCESSES[kind(p)](**where)

    def _add_stock(self, p: IntLIF, index: int) -> Ends:
        """Make a stock LIF and its probe."""
        made = stock_lif(p, self._batch)
        ends = Ends(made, self._plan.hardware, on_board=True)
        probe = Probe(
            name=p.name, index=index, folder=self._folder, batch=self._batch, d_v=p.d_v, bias=p.bias,
            state_bits=p.state_bits, states=not self._plan.hardware,
        )  # fmt: skip
        ends.to_host.connect(probe.s_in)
        if not self._plan.hardware:
            probe.u_ref.connect_var(made.u)
            probe.v_ref.connect_var(made.v)
        setattr(self, f"probe_{index}", probe)
        return ends

    def _connect(self, name: str, found: Wiring) -> None:
        """Make the Process of all synapses of our own that end in a population."""
        populations = [self._graph.population(source) for source in found.sources]
        synapses = Synapses(
            name=f"synapses of {name}",
            folder=self._folder,
            size=self._graph.population(name).size,
            batch=self._batch,
            wiring=found,
            spiking=tuple(kind(p) not in ("CurrentInput", "LI", "IntLI") for p in populations),
            into_stock=name in self._plan.populations,
        )
        self._attach(name, found, synapses)

    def _attach(self, name: str, found: Wiring, synapses: Any) -> None:
        """Connect a Process of synapses with its sources and its population."""
        for k, source in enumerate(found.sources):
            self._ends[source].to_host.connect(getattr(synapses, f"s_in{k}"))
        synapses.a_out.connect(self._ends[name].process.a_in)
        setattr(self, f"synapses_{self._index[name]}", synapses)

    def _connect_stock(self, number: int, c: IntProjection) -> None:
        """Make the stock Process of a projection."""
        connection = stock_connection(self._graph, c, self._batch)
        source, target = self._ends[c.source].to_board, self._ends[c.target].process
        source.reshape((int(np.prod(source.shape)),)).connect(connection.s_in)
        sums = target.a_in if c.target in self._plan.populations else target.w_in
        connection.a_out.reshape(sums.shape).connect(sums)
        setattr(self, f"stock_{number}", connection)


_PROCESSES: dict[str, Any] = {
    "SpikeInput": SpikeSource,
    "CurrentInput": CurrentSource,
    "LI": LI,
    "LIF": ALIF,
    "ALIF": ALIF,
    "IntLI": IntLI,
    "IntLIF": IntALIF,
    "IntALIF": IntALIF,
    "AHP": AHP,
}
"""The Process of each kind of population; LIF is ALIF without adaptation."""


def parameters(p: Population, index: int, batch: int, folder: str) -> dict[str, Any]:
    """Return what the Process of a population is made with."""
    where: dict[str, Any] = {"name": p.name, "index": index, "folder": folder, "batch": batch}
    none = np.zeros(p.size, np.int64)
    match kind(p):
        case "SpikeInput" | "CurrentInput":
            return {**where, "size": p.size}
        case "LI":
            return where | _fields(p, "kappa", "bias")
        case "LIF" | "ALIF":
            adaptation = {"rho": none, "beta": none} if kind(p) == "LIF" else _fields(p, "rho", "beta")
            return where | adaptation | _fields(p, "reset", "alpha", "v_th", "bias", "n_ref")
    where["clipped"] = tuple(s for s in states(p) if s != "z")
    if kind(p) == "IntLI":
        return where | _fields(p, "state_bits", "d_u", "d_y", "bias")
    shared = _fields(p, "state_bits", "d_u", "d_v", "v_th", "bias", "n_ref")
    if kind(p) == "AHP":
        return where | shared | _fields(p, "d_x", "w_x")
    adaptation = {"d_a": none, "bump": none} if kind(p) == "IntLIF" else _fields(p, "d_a", "bump")
    return where | shared | adaptation | _fields(p, "reset")


def _fields(p: Population, *names: str) -> dict[str, Any]:
    return {name: getattr(p, name) for name in names}
