"""Explain the first difference of two recordings: the neuron's states and inputs before it, and which of the two is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from neuro.errors import DataError
from neuro.graph import ALIF, Graph, IntALIF, SpikeInput, kind
from neuro.metrics.blame import EARLY, Departure, Suspect, departure, suspects
from neuro.metrics.parity import Divergence, compare_recordings
from neuro.metrics.replay import Synapse, alone, arrivals, replay, synapses_into, threshold, unknown_sources
from neuro.recording import Recording

Currents = Mapping[str, NDArray[np.float64]]


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """One arrival at the neuron: the synapse, the step, and what it adds to the input.

    amount: the synapse's value, times the current where a current input sends. by: by which of the two recordings.
    """

    step: int
    synapse: Synapse
    amount: float
    by: tuple[bool, bool]


@dataclass(frozen=True, kw_only=True)
class Side:
    """What one recording holds of the neuron, and what the golden model gives from the spikes that this recording holds.

    recorded, expected: (steps,) by name: z and other states, "A" the threshold; expected holds also "I", the sum that arrives
    (float: with the bias; integer: into u), and is empty where an input of the neuron is unknown.
    departure: the first place from step 0 on at which recorded is not expected; None if there is none, or it is unknown.
    suspects: synapses of which one fault, at the last step, gives exactly what was recorded.
    """

    name: str
    recorded: Mapping[str, NDArray[np.float64]]
    expected: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    departure: Departure | None = None
    suspects: tuple[Suspect, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """The first difference of two recordings, and what led to it.

    asserted: both have to agree. kind, semantics: of the population and the graph ("" without a graph). steps: those that are
    shown, the last one is where they part. deliveries: all arrivals at the neuron in these steps; None without a graph.
    n_synapses: into the neuron. unknown: sources whose spikes or currents are not at hand.
    """

    divergence: Divergence
    asserted: bool
    steps: NDArray[np.int64]
    sides: tuple[Side, Side]
    kind: str = ""
    semantics: str = ""
    n_synapses: int = 0
    deliveries: tuple[Delivery, ...] | None = None
    unknown: tuple[str, ...] = ()


def explain(
    a: Recording,
    b: Recording,
    graph: Graph | None = None,
    *,
    currents: Currents | None = None,
    n_before: int = 10,
    names: tuple[str, str] | None = None,
) -> Explanation | None:
    """Explain where two recordings of one graph and one stimulus first part; None if nothing that both hold differs.

    Parameters: graph, of the recordings; without it only recorded states are told. currents, (batch, steps, size) by current
    input, which no recording holds. n_before, steps before the first difference to show. names, instead of the backends'.
    Raises: DataError if the recordings are not of one graph, one stimulus and one shape, or the graph is another.
    """
    check_one_stimulus(a, b, graph)
    parity = compare_recordings(a, b)
    if parity.divergence is None:
        return None
    names = names or (a.backend, b.backend)
    d = replace(parity.divergence, backends=names)
    steps = np.arange(max(d.step - n_before, 0), d.step + 1)
    recorded = [_recorded(r, d, graph) for r in (a, b)]
    if graph is None:
        sides = [Side(name=n, recorded=_shown(r, steps)) for n, r in zip(names, recorded, strict=True)]
        return Explanation(divergence=d, asserted=parity.asserted, steps=steps, sides=(sides[0], sides[1]))
    given = _checked(currents or {}, graph, a)
    synapses = synapses_into(graph, d.population, d.neuron)
    until = min(d.step + 1 + EARLY, a.steps)
    arrived = tuple(arrivals(synapses, r, d.sample, until, given) for r in (a, b))
    unknown = [name for r in (a, b) for name in unknown_sources(graph, r, d.population, d.neuron, given)]
    sides = [_side(graph, d, k, steps, recorded[k], arrived[k]) for k in range(2)]
    return Explanation(
        divergence=d,
        asserted=parity.asserted,
        steps=steps,
        sides=(sides[0], sides[1]),
        kind=kind(graph.population(d.population)),
        semantics=graph.semantics,
        n_synapses=len(synapses),
        deliveries=_deliveries(synapses, arrived, steps),
        unknown=tuple(dict.fromkeys(unknown)),
    )


def check_one_stimulus(a: Recording, b: Recording, graph: Graph | None = None) -> None:
    """Raise DataError if two recordings have different inputs, as far as they tell, or are not of this graph.

    Without a graph only the number of input spikes is compared.
    """
    where = f"recordings of '{a.backend}' and '{b.backend}'"
    if (a.graph_sha256, a.batch, a.steps) != (b.graph_sha256, b.batch, b.steps):
        compare_recordings(a, b)  # says what differs
    if graph is not None and a.graph_sha256 != graph.sha256:
        raise DataError(
            f"{where}: the graph is another (got {graph.sha256[:12]}; need {a.graph_sha256[:12]}, which they are of). "
            "Give the graph that was recorded."
        )
    inputs = {p.name for p in graph.inputs if isinstance(p, SpikeInput)} if graph is not None else _inputs(a)
    for name in sorted(inputs):
        kept = name in a.spikes and name in b.spikes
        if kept and a.spikes[name] != b.spikes[name]:
            d = compare_recordings(*(replace(r, spikes={name: r.spikes[name]}, traces={}) for r in (a, b))).divergence
            assert d is not None
            at = f"first at step {d.step}, sample {d.sample}, channel {d.neuron}"
        elif np.array_equal(a.counts.spikes[name], b.counts.spikes[name]):
            continue
        else:
            at = "in their numbers of spikes"
        raise DataError(
            f"{where}: stimulus differs (got other spikes of input '{name}', {at}; need one). "
            "Record one stimulus on both: the same task, split and samples."
        )


def _checked(currents: Currents, graph: Graph, r: Recording) -> Currents:
    """Return the currents. Raises DataError for those of another shape than the recordings' samples and steps."""
    for p in graph.inputs:
        if p.name in currents and currents[p.name].shape != (r.batch, r.steps, p.size):
            raise DataError(
                f"currents of '{p.name}': wrong shape (got {currents[p.name].shape}; need {(r.batch, r.steps, p.size)}). "
                "Give the stimulus that was recorded."
            )
    return currents


def _inputs(r: Recording) -> set[str]:
    """Return the spike inputs: what spikes and is not updated."""
    return set(r.counts.spikes) - set(r.counts.neuron_updates)


def _recorded(r: Recording, d: Divergence, graph: Graph | None) -> dict[str, NDArray[np.float64]]:
    """Return the recorded states of the neuron in steps 0..d.step, and the threshold where they give it."""
    found = {s: v[d.sample, : d.step + 1, d.neuron] for s, v in r.traces.get(d.population, {}).items()}
    if d.population in r.spikes:
        mine = r.spikes[d.population].select(d.sample, d.sample + 1)
        found["z"] = np.zeros(d.step + 1)
        found["z"][mine.step[(mine.unit == d.neuron) & (mine.step <= d.step)]] = 1.0
    if graph is not None and "z" in found:
        p = alone(graph, d.population, d.neuron)
        if "a" in found or not isinstance(p, (ALIF, IntALIF)):
            found["A"] = np.broadcast_to(threshold(p, found.get("a")), (d.step + 1,))
    return found


def _shown(values: Mapping[str, NDArray[np.float64]], steps: NDArray[np.int64]) -> dict[str, NDArray[np.float64]]:
    return {name: v[steps] for name, v in values.items()}


def _side(
    graph: Graph,
    d: Divergence,
    k: int,
    steps: NDArray[np.int64],
    recorded: Mapping[str, NDArray[np.float64]],
    arrived: NDArray[np.float64],
) -> Side:
    """Replay the neuron from one recording's spikes, and hold what this recording has of it to that."""
    known = Side(name=d.backends[k], recorded=_shown(recorded, steps))
    if np.isnan(arrived).any():
        return known
    found = replay(graph, d.population, d.neuron, arrived[:, : d.step + 1])
    left = departure(found, recorded)
    blamed: tuple[Suspect, ...] = ()
    if left is not None and left.step == d.step:
        blamed = suspects(graph, d.population, d.neuron, found, arrived, left)
    return replace(known, expected=_shown(found.values, steps), departure=left, suspects=blamed)


def _deliveries(
    synapses: tuple[Synapse, ...], arrived: tuple[NDArray[np.float64], ...], steps: NDArray[np.int64]
) -> tuple[Delivery, ...]:
    """Return every arrival in these steps, by step and then in the order of the synapses."""
    found = []
    for t in steps.tolist():
        for k, s in enumerate(synapses):
            sent = [0.0 if np.isnan(x[k, t]) else float(x[k, t]) for x in arrived]
            if any(sent):
                amount = s.value * next(filter(None, sent))
                found.append(Delivery(step=t, synapse=s, amount=amount, by=(bool(sent[0]), bool(sent[1]))))
    return tuple(found)
