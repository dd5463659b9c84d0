"""Measure what the page shows of activity: rates of neurons, intervals between spikes, and how irregular these are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neuro.metrics import cv, intervals_ms, neuron_populations
from neuro.recording import Recording

BAND_HZ = (10.0, 20.0)
"""Where sparse activity is wanted (DESIGN): mean rates of 10 to 20 Hz."""
_RATE_BINS = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0)
_MOST_BINS = 40
_CV_STEP, _CV_MOST = 0.1, 2.0


@dataclass(frozen=True, kw_only=True)
class Bars:
    """A histogram by population. edges: one more than bars. counts: by population, in the order of the graph."""

    edges: list[float]
    counts: dict[str, list[int]]


@dataclass(frozen=True, kw_only=True)
class Activity:
    """How active the neurons of a recording were.

    rates: neurons by mean rate. intervals: intervals by length, on a logarithmic scale. cv: neurons by coefficient of variation.
    in_band, n_neurons, n_silent: neurons with a mean rate in BAND_HZ, all, and those that never spiked. n_cv: neurons with at
    least two intervals, which a CV needs. mean_rate_hz, median_interval_ms, mean_cv: of all; None where there is nothing to measure.
    """

    n_samples: int
    duration_ms: float
    rates: Bars
    intervals: Bars
    cv: Bars
    n_neurons: int
    in_band: int
    n_silent: int
    n_cv: int
    mean_rate_hz: float
    median_interval_ms: float | None
    mean_cv: float | None


def measure(recording: Recording) -> Activity | None:
    """Measure the neurons whose spikes a recording kept; None if it kept none."""
    names = [name for name in neuron_populations(recording) if name in recording.spikes]
    if not names:
        return None
    rates = {name: rates_hz(recording, name) for name in names}
    intervals = {name: intervals_ms(recording, name) for name in names}
    cvs = {name: cv(recording, name) for name in names}
    every_rate, every_interval, every_cv = (np.concatenate(list(x.values())) for x in (rates, intervals, cvs))
    known = every_cv[np.isfinite(every_cv)]
    return Activity(
        n_samples=recording.batch,
        duration_ms=recording.steps * recording.dt_ms,
        rates=_bars(rates, _rate_edges(every_rate)),
        intervals=_bars(intervals, _interval_edges(every_interval, recording.dt_ms)),
        cv=_bars({n: x[np.isfinite(x)] for n, x in cvs.items()}, _cv_edges(known)),
        n_neurons=len(every_rate),
        in_band=int(((every_rate >= BAND_HZ[0]) & (every_rate <= BAND_HZ[1])).sum()),
        n_silent=int((every_rate == 0).sum()),
        n_cv=len(known),
        mean_rate_hz=float(every_rate.mean()) if len(every_rate) else 0.0,
        median_interval_ms=float(np.median(every_interval)) if len(every_interval) else None,
        mean_cv=float(known.mean()) if len(known) else None,
    )


def rates_hz(recording: Recording, population: str) -> NDArray[np.float64]:
    """Return the mean rate of each neuron over all samples, Hz, (size,)."""
    seconds = recording.batch * recording.steps * recording.dt_ms / 1000
    n = np.bincount(recording.spikes[population].unit, minlength=recording.sizes[population])
    return n / seconds if seconds else np.zeros(len(n))


def _bars(values: dict[str, NDArray[np.float64]], edges: NDArray[np.float64]) -> Bars:
    inside = {name: np.clip(x, edges[0], edges[-1]) for name, x in values.items()}
    return Bars(edges=edges.tolist(), counts={n: np.histogram(x, edges)[0].tolist() for n, x in inside.items()})


def _rate_edges(rates: NDArray[np.float64]) -> NDArray[np.float64]:
    most = max(float(rates.max(initial=0.0)), 2 * BAND_HZ[1])
    width = next((w for w in _RATE_BINS if most / w <= _MOST_BINS), most / _MOST_BINS)
    return np.arange(int(most // width) + 2, dtype=np.float64) * width


def _interval_edges(intervals: NDArray[np.float64], dt_ms: float) -> NDArray[np.float64]:
    """Return edges that grow by a tenth of a decade where that is a step or more, between the multiples of dt that intervals are."""
    most, steps = max(float(intervals.max(initial=0.0)) / dt_ms, 100.0), [1]
    while steps[-1] <= most:
        steps.append(max(steps[-1] + 1, round(steps[-1] * 10**0.1)))
    return (np.array(steps) - 0.5) * dt_ms


def _cv_edges(known: NDArray[np.float64]) -> NDArray[np.float64]:
    most = max(float(known.max(initial=0.0)), 1.5)
    return np.arange(int(min(most, _CV_MOST) / _CV_STEP) + 2, dtype=np.float64) * _CV_STEP
