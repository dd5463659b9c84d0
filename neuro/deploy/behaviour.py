"""Observe what a graph does on a stimulus, and measure how far two graphs are apart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neuro import seeds
from neuro.backend import Program, Record, Stimulus, get
from neuro.errors import UnsupportedError
from neuro.graph import ALIF, Graph, SpikeInput
from neuro.recording import Events, Recording

DEFAULT_RATE_HZ, DEFAULT_BATCH, DEFAULT_STEPS = 50.0, 8, 200
_CHUNK_BYTES = 2**27
"""Most memory that the traces of one group of samples may take while peaks are looked for."""
_FULL = 0.9
"""A neuron that fires at this share of its highest possible rate counts as saturated."""


@dataclass(frozen=True, eq=False)
class Behaviour:
    """What a graph did on a stimulus.

    counts: spikes of each neuron in each sample, int64 (batch, size), by population, spike inputs included.
    readouts: y, float64 (batch, steps, size), by readout. peaks: largest |state| by population and state ("a" of a float ALIF is
    beta * a, as an integer one has it), empty unless asked for. saturations: clips by integer population and state.
    """

    batch: int
    steps: int
    dt_ms: float
    counts: Mapping[str, NDArray[np.int64]]
    readouts: Mapping[str, NDArray[np.float64]]
    peaks: Mapping[str, Mapping[str, float]]
    saturations: Mapping[str, Mapping[str, int]]

    def rate_hz(self, population: str) -> float:
        """Return the mean rate of a population."""
        return float(self.counts[population].mean()) / (self.steps * self.dt_ms / 1000)

    def silent(self, population: str) -> NDArray[np.bool_]:
        """Tell which neurons spiked in no sample, bool (size,)."""
        return np.asarray(self.counts[population].sum(axis=0) == 0)

    def saturated(self, population: str, n_ref: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Tell which neurons fired nearly as often as their refractory period lets them, bool (size,)."""
        return np.asarray(self.counts[population].mean(axis=0) >= _FULL * self.steps / (n_ref + 1))


def poisson(graph: Graph, seed: int) -> Stimulus:
    """Return a random stimulus: each input channel spikes with probability rate * dt in each step (50 Hz, 8 samples of 200 steps)."""
    probability = min(DEFAULT_RATE_HZ * graph.dt_ms / 1000, 1.0)
    spikes = {}
    for p in graph.inputs:
        if isinstance(p, SpikeInput):
            rng = seeds.stream(seed, f"quantize/stimulus/{p.name}")
            spikes[p.name] = Events.from_dense(rng.random((DEFAULT_BATCH, DEFAULT_STEPS, p.size)) < probability)
    return Stimulus(batch=DEFAULT_BATCH, steps=DEFAULT_STEPS, spikes=spikes)


def observe(graph: Graph, stimulus: Stimulus, *, peaks: bool = False) -> Behaviour:
    """Run a graph, on the engine where it can, else on the reference, and return what it did.

    Parameters: stimulus, a batch that fits the graph; peaks, also find the largest |state| of each population, for which every
    state is recorded, as many samples at a time as fit in memory.
    Raises: DataError if the stimulus does not fit the graph.
    """
    program = compiled(graph)
    traces: Mapping[str, tuple[str, ...]] | str = "all" if peaks else {p.name: ("y",) for p in graph.readouts}
    wide = sum(p.size for p in graph.receivers) * stimulus.steps * 24
    group = max(1, _CHUNK_BYTES // max(wide, 1)) if peaks else stimulus.batch
    parts: list[Behaviour] = []
    found: dict[str, dict[str, float]] = {}
    try:
        for start in range(0, stimulus.batch, group):
            part = stimulus.select(start, min(start + group, stimulus.batch))
            recording = program.run(part, Record(traces=traces))
            if peaks:
                found = _larger(found, _peaks(graph, recording))
            parts.append(_of(graph, recording))
    finally:
        program.close()
    return Behaviour(
        batch=stimulus.batch,
        steps=stimulus.steps,
        dt_ms=graph.dt_ms,
        counts={name: np.concatenate([p.counts[name] for p in parts]) for name in parts[0].counts},
        readouts={name: np.concatenate([p.readouts[name] for p in parts]) for name in parts[0].readouts},
        peaks=found,
        saturations={
            name: {s: sum(p.saturations[name][s] for p in parts) for s in by_state}
            for name, by_state in parts[0].saturations.items()
        },
    )


def compiled(graph: Graph) -> Program:
    """Compile a graph on the engine; on the reference, which is slow, where the engine cannot run it."""
    try:
        return get("engine", isolated=False).compile(graph)
    except UnsupportedError:
        return get("reference", isolated=False).compile(graph)


def distance(graph: Graph, target: Behaviour, found: Behaviour, scales: Mapping[str, float]) -> NDArray[np.float64]:
    """Measure how far an integer graph's behaviour is from the float graph's, in each sample: float64 (batch,).

    The mean over readouts of rms(y / scale - y_float) / rms(y_float), plus the mean over populations of neurons of
    sum |n - n_float| / sum n_float over spike counts, plus the share of state updates that were clipped. The rms in
    the denominator, and sum n_float, are means over all samples, so that quiet samples count as little as they should.
    """
    readouts, spikes = [], []
    for p in graph.readouts:
        y, y_float = found.readouts[p.name] / scales[p.name], target.readouts[p.name]
        size = float(np.sqrt(np.mean(y_float**2))) or 1.0
        readouts.append(np.sqrt(np.mean((y - y_float) ** 2, axis=(1, 2))) / size)
    for name in (p.name for p in graph.neurons):
        n, n_float = found.counts[name], target.counts[name]
        spikes.append(np.abs(n - n_float).sum(axis=1) / max(float(n_float.sum(axis=1).mean()), 1.0))
    clips = sum(n for by_state in found.saturations.values() for n in by_state.values())
    updates = found.batch * found.steps * sum(p.size for p in graph.receivers)
    total = np.full(found.batch, clips / max(updates, 1))
    for part in (readouts, spikes):
        if part:
            total += np.mean(part, axis=0)
    return total


def _of(graph: Graph, recording: Recording) -> Behaviour:
    counts = {}
    for name, e in recording.spikes.items():
        size = recording.sizes[name]
        flat = np.bincount(e.sample.astype(np.int64) * size + e.unit, minlength=recording.batch * size)
        counts[name] = flat.reshape(recording.batch, size)
    return Behaviour(
        batch=recording.batch,
        steps=recording.steps,
        dt_ms=graph.dt_ms,
        counts=counts,
        readouts={p.name: recording.traces[p.name]["y"] for p in graph.readouts},
        peaks={},
        saturations={
            name: {s: int(n.sum()) for s, n in by_state.items()}
            for name, by_state in recording.counts.saturations.items()
        },
    )


def _peaks(graph: Graph, recording: Recording) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {}
    for p in graph.receivers:
        traces = recording.traces[p.name]
        found[p.name] = {s: float(np.abs(x).max(initial=0.0)) for s, x in traces.items()}
        if isinstance(p, ALIF):
            found[p.name]["a"] = float(np.abs(p.beta * traces["a"]).max(initial=0.0))
    return found


def _larger(a: Mapping[str, Mapping[str, float]], b: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    return {name: {s: max(x, a.get(name, {}).get(s, 0.0)) for s, x in states.items()} for name, states in b.items()}
