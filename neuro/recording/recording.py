"""Hold what a run gave: spikes, traces, counts, and where it came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuro.errors import DataError
from neuro.graph import INTEGER, Graph, SpikeInput, states
from neuro.recording import convert
from neuro.recording.counts import Counts, count
from neuro.recording.events import Events


@dataclass(frozen=True)
class Recording:
    """What a backend returns for a batch.

    backend, versions, graph_sha256, dt_ms: provenance. exact: whether the graph is on its grid and the backend exact, so
    that equality with other exact backends is asserted and not only reported. batch, steps: the stimulus.
    spikes: events by population, spike inputs included where they were asked for. traces: (batch, steps, size) float64 by
    population and state (v, a of neurons before a subtractive reset; y of readouts; u and x of integer populations, whole numbers
    that a double holds exactly). wall_time_s: the run alone. interrupted: the run was stopped, and steps and batch are those that were
    done.
    """

    backend: str
    graph_sha256: str
    exact: bool
    dt_ms: float
    batch: int
    steps: int
    spikes: Mapping[str, Events]
    traces: Mapping[str, Mapping[str, NDArray[np.float64]]]
    counts: Counts
    sizes: Mapping[str, int]
    versions: Mapping[str, str] = field(default_factory=dict)
    wall_time_s: float = 0.0
    interrupted: bool = False

    def rate_hz(self, population: str) -> float:
        """Return the mean firing rate of a population over all samples, neurons and steps, in Hz."""
        seconds = self.batch * self.sizes[population] * self.steps * self.dt_ms / 1000
        return float(self.counts.spikes[population].sum() / seconds) if seconds else 0.0

    def select(self, start: int, stop: int) -> Recording:
        """Return samples start..stop-1 as a recording of their own, with copies of their traces; wall_time_s stays that of all.

        Raises: DataError if start..stop is empty or not within 0..batch.
        """
        if not 0 <= start < stop <= self.batch:
            raise DataError(
                f"recording: samples out of range (got {start}..{stop}; need within 0..{self.batch}). Choose others."
            )
        return replace(
            self,
            batch=stop - start,
            spikes={name: e.select(start, stop) for name, e in self.spikes.items()},
            traces={p: {s: v[start:stop].copy() for s, v in states.items()} for p, states in self.traces.items()},
            counts=self.counts.select(start, stop),
        )

    def to_csv(self, path: str | Path) -> None:
        """Write all spikes that were kept as CSV: population, sample, step, unit, time_ms. (See `neuro.recording.to_csv`.)"""
        convert.to_csv(self, path)

    def to_pandas(self) -> Any:
        """Return all spikes that were kept as a pandas DataFrame, a row a spike. (See `neuro.recording.to_pandas`.)"""
        return convert.to_pandas(self)

    def to_neo(self) -> Any:
        """Return a neo.Block: a Segment a sample, a SpikeTrain a unit, an AnalogSignal a trace. (See `neuro.recording.to_neo`.)"""
        return convert.to_neo(self)

    def to_nir_data(self) -> Any:
        """Return nir's NIRGraphData with spikes as events and traces on the grid of steps. (See `neuro.recording.to_nir`.)"""
        return convert.to_nir(self)


def make(
    graph: Graph,
    *,
    backend: str,
    versions: Mapping[str, str],
    exact: bool,
    batch: int,
    steps: int,
    spikes: Mapping[str, Events],
    currents: Mapping[str, NDArray[np.float64]],
    traces: Mapping[str, Mapping[str, NDArray[np.float64]]],
    keep: tuple[str, ...],
    wall_time_s: float,
    saturations: Mapping[str, Mapping[str, NDArray[np.int64]]] | None = None,
    counts: Counts | None = None,
    interrupted: bool = False,
) -> Recording:
    """Make the recording of a run from all its spikes: every backend counts here, by the same rules.

    Parameters: spikes, events of *all* spiking populations and spike inputs; keep, the populations whose spikes stay;
    saturations, (batch,) clips by population and state, of every integer population and all its states; counts, where the run was
    counted as it went on (`Counter`): `spikes` then needs to hold only what stays.
    currents, (batch, steps, size) float64 by current input; traces, (batch, steps, size) by population and state; wall_time_s, seconds.
    Raises: DataError if spikes of a population or clips of a state are missing: a fault of the backend.
    """
    missing = [p.name for p in (*graph.inputs, *graph.neurons) if p.name not in spikes and p.name not in currents]
    if missing and counts is None:
        raise DataError(
            f"recording: no spikes of {missing} (got {sorted(spikes)}; need every population). A backend's fault."
        )
    saturations = saturations or {}
    for p in graph.receivers:
        wanted = {s for s in states(p) if s != "z"} if isinstance(p, INTEGER) else set()
        if set(saturations.get(p.name, ())) != wanted:
            raise DataError(
                f"recording: clips of '{p.name}' not counted (got {sorted(saturations.get(p.name, ()))}; need "
                f"{sorted(wanted)}). A backend's fault."
            )
    return Recording(
        backend=backend,
        graph_sha256=graph.sha256,
        exact=exact and graph.exact,
        dt_ms=graph.dt_ms,
        batch=batch,
        steps=steps,
        spikes={name: spikes[name] for name in keep if name in spikes},
        traces=traces,
        counts=replace(counts or count(graph, spikes, currents, batch, steps), saturations=saturations),
        sizes={p.name: p.size for p in graph.populations},
        versions=dict(versions),
        wall_time_s=wall_time_s,
        interrupted=interrupted,
    )


def spiking(graph: Graph) -> tuple[str, ...]:
    """Return the names of the populations that have spikes: spike inputs and neurons."""
    return tuple(p.name for p in graph.populations if isinstance(p, SpikeInput) or "z" in states(p))
