"""The spiking graph: nodes, validity rules, the file, and the golden model that says what it all means."""

from neuro.graph import reference
from neuro.graph.builder import Builder
from neuro.graph.graph import SCHEMA_VERSION, Graph
from neuro.graph.grid import GridNote, to_grid
from neuro.graph.hdf5 import load, save
from neuro.graph.nodes import (
    ALIF,
    INPUTS,
    KINDS,
    LI,
    LIF,
    NEURONS,
    RESETS,
    CurrentInput,
    Population,
    Projection,
    Receiver,
    SpikeInput,
    decay,
    kind,
    states,
    tau_ms,
)
from neuro.graph.rules import MAX_DELAY, problems

__all__ = [
    "ALIF",
    "INPUTS",
    "KINDS",
    "LI",
    "LIF",
    "MAX_DELAY",
    "NEURONS",
    "RESETS",
    "SCHEMA_VERSION",
    "Builder",
    "CurrentInput",
    "Graph",
    "GridNote",
    "Population",
    "Projection",
    "Receiver",
    "SpikeInput",
    "decay",
    "kind",
    "load",
    "problems",
    "reference",
    "save",
    "states",
    "tau_ms",
    "to_grid",
]
