"""Measure how active a network was: rates, spikes and synaptic events an inference, silence, intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neuro.errors import DataError, nearest
from neuro.recording import Recording


@dataclass(frozen=True, kw_only=True)
class Activity:
    """How active the neurons of a graph were, over all samples of a batch. Spikes of inputs are not counted as spikes.

    | name | unit | meaning |
    | --- | --- | --- |
    | rate_hz | Hz | mean over samples, neurons and steps, by population of neurons |
    | mean_rate_hz | Hz | the same over all neurons of the graph |
    | spikes_per_inference | | spikes of all neurons in one sample, mean over samples |
    | input_spikes_per_inference | | spikes of the spike inputs in one sample, mean over samples |
    | synaptic_events_per_inference | | arrivals at a synapse in one sample, those from inputs included, mean over samples |
    | silent_fraction | | neurons that never spiked in any sample, of all: by population; of those whose spikes were kept |
    """

    n_samples: int
    rate_hz: Mapping[str, float]
    mean_rate_hz: float
    spikes_per_inference: float
    input_spikes_per_inference: float
    synaptic_events_per_inference: float
    silent_fraction: Mapping[str, float]


def activity(recordings: Recording | Sequence[Recording]) -> Activity:
    """Measure one recording, or several groups of samples of one graph together.

    Raises: DataError if there is none, one is empty, or they differ in graph or number of steps.
    """
    parts = [recordings] if isinstance(recordings, Recording) else list(recordings)
    if not parts or len({(r.graph_sha256, r.steps) for r in parts}) != 1:
        raise DataError(
            f"activity: recordings do not belong together (got {len(parts)}; need one or more of one graph and one length). "
            "Measure each by itself."
        )
    if not all(r.batch and r.steps for r in parts):
        raise DataError(
            f"activity: nothing was recorded (got samples and steps {[(r.batch, r.steps) for r in parts]}; need at least one of each). Record a "
            "run that went on."
        )
    first = parts[0]
    neurons = neuron_populations(first)
    n_samples = sum(r.batch for r in parts)
    n_spikes = {name: sum(int(r.counts.spikes[name].sum()) for r in parts) for name in first.counts.spikes}
    seconds = n_samples * first.steps * first.dt_ms / 1000
    size = {name: first.sizes[name] for name in neurons}
    total = sum(n_spikes[name] for name in neurons)
    n_events = sum(int(n.sum()) for r in parts for n in r.counts.synaptic_events.values())
    return Activity(
        n_samples=n_samples,
        rate_hz={name: n_spikes[name] / (size[name] * seconds) for name in neurons},
        mean_rate_hz=total / (sum(size.values()) * seconds) if neurons else 0.0,
        spikes_per_inference=total / n_samples,
        input_spikes_per_inference=sum(n for name, n in n_spikes.items() if name not in neurons) / n_samples,
        synaptic_events_per_inference=n_events / n_samples,
        silent_fraction={name: _silent(parts, name) for name in neurons if all(name in r.spikes for r in parts)},
    )


def neuron_populations(recording: Recording) -> tuple[str, ...]:
    """Return the populations of neurons in a recording: what spikes and is updated. (Inputs are not updated, readouts do not spike.)"""
    return tuple(name for name in recording.counts.spikes if name in recording.counts.neuron_updates)


def intervals_ms(recording: Recording, population: str) -> NDArray[np.float64]:
    """Return all intervals between consecutive spikes of one neuron in one sample, in ms, in the order (sample, unit, step).

    Raises: DataError if the population's spikes were not kept.
    """
    return _intervals(recording, population)[1]


def cv(recording: Recording, population: str) -> NDArray[np.float64]:
    """Return the coefficient of variation of each neuron's intervals between spikes: float64, (size,).

        cv_j = sqrt(mean((i - mean(i))**2)) / mean(i)       i: all intervals of neuron j, those of all samples together

    1 for a Poisson process, 0 for a clock. NaN for a neuron of fewer than two intervals, which has no variation that could be
    told. Differs from Elephant's `cv` in that alone: of one interval it says 0.
    Raises: DataError if the population's spikes were not kept.
    """
    unit, ms = _intervals(recording, population)
    size = recording.sizes[population]
    n = np.bincount(unit, minlength=size)
    mean = np.bincount(unit, ms, size) / np.maximum(n, 1)
    square = np.bincount(unit, (ms - mean[unit]) ** 2, size) / np.maximum(n, 1)
    found = np.full(size, np.nan)
    np.divide(np.sqrt(square), mean, out=found, where=n > 1)
    return found


def _intervals(recording: Recording, population: str) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """Return the neuron and the length in ms of each interval within a sample, in the order (sample, unit, step)."""
    if population not in recording.spikes:
        kept = sorted(recording.spikes)
        hint = nearest(population, kept) or "Record its spikes."
        raise DataError(
            f"intervals: no spikes of '{population}' (got {', '.join(kept) or 'none'}; need them kept). {hint}"
        )
    e = recording.spikes[population]
    order = np.lexsort((e.step, e.unit, e.sample))
    sample, unit, step = e.sample[order], e.unit[order], e.step[order]
    same = (np.diff(sample) == 0) & (np.diff(unit) == 0)
    return unit[1:][same], np.diff(step)[same] * recording.dt_ms


def _silent(parts: list[Recording], name: str) -> float:
    size = parts[0].sizes[name]
    spoke = np.unique(np.concatenate([r.spikes[name].unit for r in parts]))
    return 1.0 - len(spoke) / size
