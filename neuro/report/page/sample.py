"""Prepare one sample for the page: spikes of inputs and neurons, the states of chosen neurons, the readouts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from neuro.graph import ALIF, INTEGER, SCALE_BITS, Graph, IntALIF, kind, states
from neuro.recording import Events, Recording
from neuro.report.page.packed import Curves, curves

_MOST_NEURONS = 1000
"""Neurons that can be chosen from: a list for people."""
_STATES = ("u", "v", "a", "x", "y")


@dataclass(frozen=True)
class Room:
    """How much of one sample may go into a page.

    n_values: of states; beyond it those of the neurons that spiked most are taken. n_spikes: beyond it every n-th neuron is taken.
    """

    n_values: int
    n_spikes: int


@dataclass(frozen=True, kw_only=True)
class Lane:
    """The spikes of a population. every: 1 if all neurons are shown, n for every n-th. n_spikes: of all."""

    name: str
    kind: str
    size: int
    n_spikes: int
    every: int
    step: list[int]
    unit: list[int]


@dataclass(frozen=True, kw_only=True)
class States:
    """States of neurons or readouts. threshold: A = base + slope * a, a pair by neuron; empty for readouts."""

    name: str
    units: list[int]
    curves: Mapping[str, Curves]
    threshold: list[tuple[float, float]] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One sample of one model. number: its own in the split, None if that is not known. notes: what is left out, and why."""

    number: int | None
    steps: int
    dt_ms: float
    inputs: list[Lane]
    neurons: list[Lane]
    states: list[States]
    readouts: list[States]
    label: int | None = None
    prediction: int | None = None
    notes: list[str] = field(default_factory=list)


def prepare(recording: Recording, graph: Graph | None, room: Room, number: int | None = None) -> Sample:
    """Prepare the first sample of a recording, as far as there is room for it. number: of the sample in its split."""
    one = recording.select(0, 1)
    every = max(1, -(-sum(len(e) for e in one.spikes.values()) // room.n_spikes))
    updated = set(one.counts.neuron_updates)
    lanes = [_lane(name, e, one, graph, every) for name, e in one.spikes.items()]
    readouts = [name for name, by_state in one.traces.items() if "y" in by_state]
    neurons = [name for name in one.traces if name not in readouts]
    left = room.n_values - sum(one.steps * one.sizes[name] for name in readouts)
    if left < 0:
        readouts, left = [], room.n_values
    units = _chosen(one, neurons, left)
    found = [_states(one, name, units[name], graph) for name in neurons if len(units[name])]
    return Sample(
        number=number,
        steps=one.steps,
        dt_ms=one.dt_ms,
        inputs=[lane for lane in lanes if lane.name not in updated],
        neurons=[lane for lane in lanes if lane.name in updated],
        states=found,
        readouts=[_states(one, name, np.arange(one.sizes[name]), None) for name in readouts],
        notes=_notes(one, graph, lanes, units, readouts),
    )


def _lane(name: str, e: Events, r: Recording, graph: Graph | None, every: int) -> Lane:
    keep = e.unit % every == 0
    return Lane(
        name=name,
        kind=kind(graph.population(name)) if graph is not None else "",
        size=r.sizes[name],
        n_spikes=len(e),
        every=every,
        step=e.step[keep].tolist(),
        unit=e.unit[keep].tolist(),
    )


def _chosen(r: Recording, names: list[str], most_values: int) -> dict[str, NDArray[np.int64]]:
    """Return the neurons whose states go into the page: all, or those with most spikes, by population."""
    ranked = []
    for name in names:
        n = np.bincount(r.spikes[name].unit, minlength=r.sizes[name]) if name in r.spikes else np.zeros(r.sizes[name])
        cost = r.steps * len(r.traces[name])
        ranked += [(-int(n[k]), names.index(name), k, cost) for k in range(r.sizes[name])]
    units: dict[str, list[int]] = {name: [] for name in names}
    for _, at, k, cost in sorted(ranked)[:_MOST_NEURONS]:
        most_values -= cost
        if most_values < 0:
            break
        units[names[at]].append(k)
    return {name: np.array(sorted(chosen), dtype=np.int64) for name, chosen in units.items()}


def _states(r: Recording, name: str, units: NDArray[np.int64], graph: Graph | None) -> States:
    traces = r.traces[name]
    return States(
        name=name,
        units=units.tolist(),
        curves={s: curves(traces[s][0][:, units].T.copy()) for s in _STATES if s in traces},
        threshold=_thresholds(graph, name, units) if graph is not None else [],
    )


def _thresholds(graph: Graph, name: str, units: NDArray[np.int64]) -> list[tuple[float, float]]:
    """Return base and slope of each neuron's threshold A = base + slope * a (DESIGN section 2)."""
    p = graph.population(name)
    if "z" not in states(p):
        return []
    base = np.asarray(getattr(p, "v_th"), dtype=np.float64)[units]  # noqa: B009
    if isinstance(p, INTEGER):
        base = base * 2**SCALE_BITS
    slope = np.zeros(len(units))
    if isinstance(p, ALIF):
        slope = p.beta[units]
    elif isinstance(p, IntALIF):
        slope = np.ones(len(units))
    return list(zip(base.tolist(), slope.tolist(), strict=True))


def _notes(
    r: Recording, graph: Graph | None, lanes: list[Lane], units: dict[str, NDArray[np.int64]], shown: list[str]
) -> list[str]:
    notes = []
    thinned = [lane for lane in lanes if lane.every > 1]
    if thinned:
        drawn, total = sum(len(lane.step) for lane in thinned), sum(lane.n_spikes for lane in thinned)
        notes.append(f"{total:,} spikes are too many to draw: the raster shows every n-th neuron, {drawn:,} spikes.")
    kept, size = sum(len(u) for u in units.values()), sum(r.sizes[name] for name in units)
    if kept < size:
        notes.append(
            f"States of the {kept} neurons with most spikes, of {size}, are in this page; the recording has them all."
        )
    if any("y" in by_state and name not in shown for name, by_state in r.traces.items()):
        notes.append("The readout is too long for this page; the recording has it.")
    if not units:
        notes.append("This recording holds no states of neurons; 'neuro run --traces' keeps them.")
    missing = [p.name for p in graph.neurons if p.name not in r.spikes] if graph is not None else []
    if missing:
        notes.append(f"Spikes of {', '.join(missing)} were not recorded.")
    return notes


def answered(found: Sample, label: int, prediction: int) -> Sample:
    """Return the sample with the class that was right and the one that was given."""
    return replace(found, label=label, prediction=prediction)
