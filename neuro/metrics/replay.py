"""Run one neuron again by the golden model, driven by the spikes that a recording holds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuro.graph import (
    ALIF,
    INTEGER,
    SCALE_BITS,
    Graph,
    IntALIF,
    IntProjection,
    Receiver,
    SpikeInput,
    reference,
    states,
)
from neuro.recording import Recording


@dataclass(frozen=True, kw_only=True)
class Synapse:
    """One synapse into the neuron.

    projection, source, unit: where it comes from. delay: steps. weight: as the graph stores it, a mantissa in integer graphs.
    exponent: of integer synapses. value: what one spike adds, the weight or weight * 2**(6 + exponent).
    """

    projection: str
    source: str
    unit: int
    delay: int
    weight: float
    exponent: int | None
    value: float


@dataclass(frozen=True, kw_only=True)
class Replay:
    """What the golden model gives for one neuron from its inputs.

    values: (steps,) by name: every state of the neuron, z included; "A", the threshold of neurons; "I", the sum that arrives:
    float I(t) with the bias, integer what arrives in u. before: the state before the last step.
    """

    values: Mapping[str, NDArray[np.float64]]
    before: Mapping[str, NDArray[Any]]


def synapses_into(graph: Graph, population: str, neuron: int) -> tuple[Synapse, ...]:
    """Return the synapses into a neuron, in the order in which the golden model adds them."""
    return tuple(s for c in graph.projections_to(population) for s in _of(c, neuron))


def _of(c: Any, neuron: int) -> Iterator[Synapse]:
    value = c.activation if isinstance(c, IntProjection) else c.weight
    exponent = c.exponent if isinstance(c, IntProjection) else None
    for k in np.flatnonzero(c.post == neuron).tolist():
        yield Synapse(
            projection=c.name, source=c.source, unit=int(c.pre[k]), delay=int(c.delay[k]), weight=c.weight[k].item(),
            exponent=exponent, value=value[k].item(),
        )  # fmt: skip


def unknown_sources(
    graph: Graph, recording: Recording, population: str, neuron: int, currents: Mapping[str, Any]
) -> tuple[str, ...]:
    """Return the sources of a neuron's synapses of which neither spikes were recorded nor currents are given."""
    known = {p.name: p.name in (recording.spikes if isinstance(p, SpikeInput) else currents) for p in graph.inputs}
    known |= {p.name: p.name in recording.spikes for p in graph.neurons}
    return tuple(dict.fromkeys(s.source for s in synapses_into(graph, population, neuron) if not known[s.source]))


def arrivals(
    synapses: tuple[Synapse, ...],
    recording: Recording,
    sample: int,
    steps: int,
    currents: Mapping[str, NDArray[np.float64]],
) -> NDArray[np.float64]:
    """Return s_i(t - d) of every synapse in steps 0..steps-1: float64, (synapses, steps); NaN where the source is unknown.

    currents: (batch, steps, size) by current input.
    """
    sent: dict[str, NDArray[np.float64]] = {}
    for name in {s.source for s in synapses}:
        if name in currents:
            sent[name] = currents[name][sample, :steps]
        elif name in recording.spikes:
            mine = recording.spikes[name].select(sample, sample + 1)
            sent[name] = mine.to_dense(1, recording.steps, recording.sizes[name])[0, :steps].astype(np.float64)
    found = np.zeros((len(synapses), steps))
    for row, s in zip(found, synapses, strict=True):
        row[s.delay :] = sent[s.source][: max(steps - s.delay, 0), s.unit] if s.source in sent else np.nan
    return found


def replay(graph: Graph, population: str, neuron: int, arrived: NDArray[np.float64]) -> Replay:
    """Run one neuron by the golden model from step 0.

    Parameters: arrived, as `arrivals` gives it, without NaN.
    """
    p = alone(graph, population, neuron)
    values = np.array([s.value for s in synapses_into(graph, population, neuron)])
    steps = arrived.shape[1]
    state = before = reference.start(p, 1)
    names = (*states(p), *(("A",) if "z" in states(p) else ()), "I")
    out: dict[str, NDArray[np.float64]] = {name: np.zeros(steps) for name in names}
    for t in range(steps):
        current = total(p, values, arrived[:, t])
        before, state = state, reference.step(p, state, current)
        for name in states(p):
            out[name][t] = state[name][0, 0]
        out["I"][t] = current[0, 0]
    if "A" in out:
        out["A"] = np.broadcast_to(threshold(p, out.get("a")), (steps,))
    return Replay(values=out, before=before)


def alone(graph: Graph, population: str, neuron: int) -> Receiver:
    """Return one neuron of a graph as a population of size 1."""
    p: Any = graph.population(population)
    one: Receiver = replace(p, size=1, **{field: getattr(p, field)[neuron : neuron + 1] for field in p.parameters})
    return one


def total(p: Receiver, values: NDArray[np.float64], arrived: NDArray[np.float64]) -> NDArray[Any]:
    """Return I of one step, (1, 1): the bias first in float populations, then one synapse after the other."""
    if isinstance(p, INTEGER):
        return np.array([[int(np.sum(values.astype(np.int64) * arrived.astype(np.int64)))]])
    current = np.array(p.bias, dtype=np.float64)
    np.add.at(current, np.zeros(len(values), np.int64), values * arrived)
    return current[None]


def threshold(p: Any, a: NDArray[np.float64] | None) -> NDArray[np.float64]:
    """Return A of a population of one neuron: of adaptive ones from a, (steps,); of others, whatever a, shape (1,)."""
    integer = isinstance(p, INTEGER)
    if isinstance(p, IntALIF):
        return (p.v_th << SCALE_BITS) + a
    if isinstance(p, ALIF):
        return p.v_th + p.beta * a
    return np.asarray(p.v_th << SCALE_BITS if integer else p.v_th, dtype=np.float64)
