"""Name the kinds of population: which receive, which spike, which states they have, which arithmetic they use."""

from __future__ import annotations

from neuro.graph.integer import AHP, IntALIF, IntLI, IntLIF, IntProjection
from neuro.graph.nodes import ALIF, LI, LIF, CurrentInput, Projection, SpikeInput

FloatReceiver = LIF | ALIF | LI
IntReceiver = IntLIF | IntALIF | AHP | IntLI
Neurons = LIF | ALIF | IntLIF | IntALIF | AHP
Readout = LI | IntLI
Receiver = FloatReceiver | IntReceiver
Population = SpikeInput | CurrentInput | Receiver

NEURONS = (LIF, ALIF, IntLIF, IntALIF, AHP)
READOUTS = (LI, IntLI)
INTEGER = (IntLIF, IntALIF, AHP, IntLI)
FLOAT_KINDS = frozenset({"SpikeInput", "CurrentInput", "LIF", "ALIF", "LI"})
"""Kinds of population in graphs of the float semantics (DESIGN 2)."""
INTEGER_KINDS = frozenset({"SpikeInput", "IntLIF", "IntALIF", "AHP", "IntLI"})
"""Kinds of population in graphs of the integer semantics (DESIGN 2.2)."""
KINDS: dict[str, type] = {c.__name__: c for c in (SpikeInput, CurrentInput, LIF, ALIF, LI, *INTEGER)}
PROJECTIONS: dict[str, type] = {c.__name__: c for c in (Projection, IntProjection)}

_STATES = {
    "LIF": ("z", "v"),
    "ALIF": ("z", "v", "a"),
    "LI": ("y",),
    "IntLIF": ("z", "u", "v"),
    "IntALIF": ("z", "u", "v", "a"),
    "AHP": ("z", "u", "v", "x"),
    "IntLI": ("u", "y"),
}


def kind(population: Population) -> str:
    """Return the name of a population's kind, one of KINDS."""
    return type(population).__name__


def states(population: Population) -> tuple[str, ...]:
    """Return the names of the states a population has, z first; inputs have none."""
    return _STATES.get(kind(population), ())
