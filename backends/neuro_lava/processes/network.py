"""A whole spiking graph as one hierarchical Lava Process."""

from __future__ import annotations

from typing import Any

import numpy as np
from lava.magma.core.decorator import implements, tag
from lava.magma.core.model.sub.model import AbstractSubProcessModel
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol

from neuro.graph import Graph, Population, kind, states
from neuro_lava.processes.integer_neurons import AHP, IntALIF
from neuro_lava.processes.integer_readout import IntLI
from neuro_lava.processes.neurons import ALIF
from neuro_lava.processes.readout import LI
from neuro_lava.processes.source import CurrentSource, SpikeSource
from neuro_lava.processes.synapses import Synapses
from neuro_lava.wiring import wire


class Network(AbstractProcess):  # type: ignore[misc]
    """A graph for `batch` samples side by side; `folder` is where its models exchange data with the program."""

    def __init__(self, *, graph: Graph, batch: int, folder: str) -> None:
        super().__init__(name=graph.name or "network", graph=graph, batch=batch, folder=folder)


@implements(proc=Network, protocol=LoihiProtocol)
@tag("floating_pt", "fixed_pt")
class NetworkModel(AbstractSubProcessModel):  # type: ignore[misc]
    """A Process for each population, and one for the synapses that end in it.

    Each Process costs about 0.2 ms a step whatever it does (`benchmarks/lava_step.py`). One connection Process for each population instead of one
    for each projection is the compromise between that and a network in which every population can be found. An input
    that nothing is connected to has no Process.
    """

    def __init__(self, process: Network) -> None:
        graph, batch, folder = (process.proc_params[key] for key in ("graph", "batch", "folder"))
        index = {p.name: k for k, p in enumerate(graph.populations)}
        targets = wire(graph)
        heard = {name for w in targets.values() for name in w.sources}
        made = {
            p.name: _population(p, index[p.name], batch, folder)
            for p in graph.populations
            if p.name in heard or p.name in targets
        }
        for name, found in targets.items():
            if not found.sources:
                continue
            synapses = Synapses(
                name=f"synapses of {name}",
                folder=folder,
                size=graph.population(name).size,
                batch=batch,
                wiring=found,
                spiking=tuple(kind(graph.population(s)) not in ("CurrentInput", "LI", "IntLI") for s in found.sources),
            )
            for k, source in enumerate(found.sources):
                made[source].s_out.connect(getattr(synapses, f"s_in{k}"))
            synapses.a_out.connect(made[name].a_in)
            setattr(self, f"synapses_{index[name]}", synapses)
        for name, population in made.items():
            setattr(self, f"population_{index[name]}", population)


def _population(p: Population, index: int, batch: int, folder: str) -> Any:
    """Return the Process of a population."""
    where: dict[str, Any] = {"name": p.name, "index": index, "folder": folder, "batch": batch}
    none = np.zeros(p.size, np.int64)
    match kind(p):
        case "SpikeInput":
            return SpikeSource(**where, size=p.size)
        case "CurrentInput":
            return CurrentSource(**where, size=p.size)
        case "LI":
            return LI(**where, **_fields(p, "kappa", "bias"))
        case "LIF" | "ALIF":
            adaptation = {"rho": none, "beta": none} if kind(p) == "LIF" else _fields(p, "rho", "beta")
            return ALIF(**where, **adaptation, **_fields(p, "reset", "alpha", "v_th", "bias", "n_ref"))
    where["clipped"] = tuple(s for s in states(p) if s != "z")
    if kind(p) == "IntLI":
        return IntLI(**where, **_fields(p, "state_bits", "d_u", "d_y", "bias"))
    shared = _fields(p, "state_bits", "d_u", "d_v", "v_th", "bias", "n_ref")
    if kind(p) == "AHP":
        return AHP(**where, **shared, **_fields(p, "d_x", "w_x"))
    adaptation = {"d_a": none, "bump": none} if kind(p) == "IntLIF" else _fields(p, "d_a", "bump")
    return IntALIF(**where, **shared, **adaptation, **_fields(p, "reset"))


def _fields(p: Population, *names: str) -> dict[str, Any]:
    return {name: getattr(p, name) for name in names}
