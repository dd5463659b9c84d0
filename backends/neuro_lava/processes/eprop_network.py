"""A spiking graph that learns by e-prop, as one hierarchical Lava Process."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lava.magma.core.decorator import implements, tag
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol

from neuro.graph import LI, Graph, kind
from neuro_lava.learning.eprop import Site
from neuro_lava.processes.eprop_neurons import EPropALIF
from neuro_lava.processes.eprop_readout import EPropLI
from neuro_lava.processes.eprop_synapses import EPropSynapses
from neuro_lava.processes.network import NetworkModel, parameters
from neuro_lava.stock import NOTHING_STOCK
from neuro_lava.wiring import Wiring


class LearningNetwork(AbstractProcess):  # type: ignore[misc]
    """A graph for one sample at a time; sites: what learns, by population (`neuro_lava.learning.eprop.read`)."""

    def __init__(self, *, graph: Graph, folder: str, sites: Mapping[str, Site]) -> None:
        super().__init__(
            name=graph.name or "network", graph=graph, batch=1, folder=folder, plan=NOTHING_STOCK, sites=sites
        )


@implements(proc=LearningNetwork, protocol=LoihiProtocol)
@tag("floating_pt")
class LearningNetworkModel(NetworkModel):
    """The network of `NetworkModel`, with Processes that learn, and what they are told, where there is a site."""

    implements_process = None  # else Lava refuses: the base class is another Process's model

    def __init__(self, process: LearningNetwork) -> None:
        self._sites: Mapping[str, Site] = process.proc_params["sites"]
        super().__init__(process)
        for name, site in self._sites.items():
            if site.learns.any():
                self._teach(name, site)

    def _process(self, p: Any, index: int) -> Any:
        """Make the Process of a population."""
        site = self._sites.get(p.name)
        if site is None:
            return super()._process(p, index)
        where = parameters(p, index, 1, self._folder)
        return EPropLI(**where) if isinstance(p, LI) else EPropALIF(gamma=site.gamma, **where)

    def _connect(self, name: str, found: Wiring) -> None:
        """Make the Process of all synapses that end in a population."""
        site = self._sites.get(name)
        if site is None:
            super()._connect(name, found)
            return
        listens: dict[str, tuple[int, ...]] = {}
        if site.learns.any():
            listens["error"] = (self._graph.population(site.signal).size,)
            if site.feedback is not None:
                listens["told"] = (self._graph.population(name).size, 4)
                if not site.feedback.matrix.size:
                    listens["w_in"] = (len(self._sites[site.signal].post),)
        synapses = EPropSynapses(
            name=f"synapses of {name}", index=self._index[name], folder=self._folder, size=self._graph.population(name).size,
            wiring=found, site=site, listens=listens,
            spiking=tuple(kind(self._graph.population(s)) not in ("CurrentInput", "LI") for s in found.sources),
        )  # fmt: skip
        self._attach(name, found, synapses)

    def _teach(self, name: str, site: Site) -> None:
        """Connect what tells a site's synapses."""
        synapses, index = getattr(self, f"synapses_{self._index[name]}"), self._index[site.signal]
        getattr(self, f"population_{index}").error.connect(synapses.error)
        if site.feedback is not None:
            getattr(self, f"population_{self._index[name]}").told.connect(synapses.told)
            if not site.feedback.matrix.size:
                getattr(self, f"synapses_{index}").w_out.connect(synapses.w_in)
