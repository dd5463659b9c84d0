"""Turn a graph into a Nengo network that a user can extend and run with any nengo.Simulator."""

from __future__ import annotations

from typing import TYPE_CHECKING

from neuro.backend import Record, require
from neuro.graph import Graph

from . import session
from .backend import NengoBackend

if TYPE_CHECKING:
    from .network import GraphNetwork


def to_nengo(graph: Graph, *, record: Record | None = None, seed: int | None = None) -> GraphNetwork:
    """Return a graph as a `nengo.Network`: an ensemble for each population, a node for each input.

    Called inside a `with nengo.Network():` block it becomes a subnetwork, as every network of Nengo does. Run it with
    `nengo.Simulator(net, dt=net.dt)`: one step of Nengo is one step of the graph, and spikes and states equal those of every
    other backend bit for bit. How Nengo's objects are found again by the names of the graph: `neuro_nengo.network.GraphNetwork`.

    Parameters: graph, of the float semantics; record, which states get probes (default: all; spikes of inputs have none);
    seed, of the network, as Nengo has it: for what a user adds, since the graph itself has no randomness.
    Raises: UnsupportedError if nengo is missing or the graph is of another semantics; DataError for an unknown name in record.
    """
    require(NengoBackend(), graph)
    session.load()
    from .network import GraphNetwork

    return GraphNetwork(graph, record=record or Record(traces="all"), seed=seed)
