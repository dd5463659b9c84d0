"""Say where one recording leaves the golden model, and which single fault of a synapse would give what it holds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from neuro.graph import Graph, reference
from neuro.metrics.replay import Replay, Synapse, alone, synapses_into, total

Fault = Literal["lost", "twice", "early"]
EARLY = 3
"""Most steps by which a delivery is looked for that came too early. (One that comes late is lost when it is due.)"""
_ORDER = ("u", "a", "x", "v", "z", "y")


@dataclass(frozen=True, kw_only=True)
class Departure:
    """The first place at which a recording does not hold what the golden model gives from its inputs."""

    step: int
    state: str
    recorded: float
    expected: float


@dataclass(frozen=True, kw_only=True)
class Suspect:
    """A delivery of which one fault gives exactly the recorded state.

    fault: "lost", it did not arrive; "twice", it counted twice; "early", it was due `by` steps later. synapse: None: all
    deliveries of the step together.
    """

    fault: Fault
    synapse: Synapse | None
    by: int = 0


def departure(found: Replay, recorded: Mapping[str, NDArray[np.float64]]) -> Departure | None:
    """Return the first difference of a neuron's recorded states from the replay's, by step and then in the order of causes."""
    here = []
    for rank, state in enumerate(_ORDER):
        if state in recorded and state in found.values:
            x, y = recorded[state], found.values[state]
            at = np.flatnonzero((x != y) & ~(np.isnan(x) & np.isnan(y)))
            if len(at):
                here.append((int(at[0]), rank, state))
    if not here:
        return None
    step, _, state = min(here)
    return Departure(
        step=step, state=state, recorded=float(recorded[state][step]), expected=float(found.values[state][step])
    )


def suspects(
    graph: Graph, population: str, neuron: int, found: Replay, arrived: NDArray[np.float64], left: Departure
) -> tuple[Suspect, ...]:
    """Return each single fault in the deliveries of the last replayed step after which the golden model holds what was recorded.

    Tried are, one at a time: every delivery of the step lost, or counted twice; every one of the next EARLY steps, come too early;
    and all deliveries of the step lost together. A state that inputs do not reach in this step (a, x, z) has no suspects.

    Parameters: arrived, as `arrivals` gives it, up to EARLY steps beyond the replay.
    """
    if left.state not in ("u", "v", "y"):
        return ()
    synapses = synapses_into(graph, population, neuron)
    now = arrived[:, left.step]
    p: Any = alone(graph, population, neuron)
    values = np.array([s.value for s in synapses])
    last = {name: np.asarray(x) for name, x in found.before.items()}
    hits = []
    for suspect, changed in _faults(synapses, arrived, left.step):
        state = reference.step(p, last, total(p, values, now + changed))
        if float(state[left.state][0, 0]) == left.recorded:
            hits.append(suspect)
    return tuple(hits)


def _faults(
    synapses: tuple[Synapse, ...], arrived: NDArray[np.float64], step: int
) -> Iterator[tuple[Suspect, NDArray[np.float64]]]:
    """Yield every fault that is tried, and by how much it changes the arrivals of a step."""
    now = arrived[:, step]

    def one(k: int, amount: float) -> NDArray[np.float64]:
        return np.where(np.arange(len(synapses)) == k, amount, 0.0)

    for k in np.flatnonzero(now).tolist():
        yield Suspect(fault="lost", synapse=synapses[k]), one(k, -now[k])
        yield Suspect(fault="twice", synapse=synapses[k]), one(k, now[k])
    seen: set[tuple[int, float]] = set()  # a synapse that delivers the same in two of the next steps: the nearer one
    for by, later in enumerate(arrived[:, step + 1 : step + 1 + EARLY].T, start=1):
        for k in np.flatnonzero(later).tolist():
            if (k, later[k]) not in seen:
                seen.add((k, later[k]))
                yield Suspect(fault="early", synapse=synapses[k], by=by), one(k, later[k])
    if np.count_nonzero(now) > 1:
        yield Suspect(fault="lost", synapse=None), -now
