"""Hold what a run gave: spikes as events, traces, counts, and where it came from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neuro import _hdf5
from neuro.errors import DataError, UnsupportedError
from neuro.graph import Graph

FORM = "neuro-recording"
SCHEMA_VERSION = 1


@dataclass(frozen=True, eq=False)
class Events:
    """Spikes of one population in a batch: sample, step and unit of each.

    sample, step, unit: int32 arrays of one length, sorted by (sample, step, unit), no spike twice. Read-only.
    """

    sample: NDArray[np.int32]
    step: NDArray[np.int32]
    unit: NDArray[np.int32]

    def __post_init__(self) -> None:
        columns = []
        for f in fields(self):
            raw = np.asarray(getattr(self, f.name))
            if raw.ndim != 1 or (raw.size and raw.dtype.kind not in "iu"):
                raise DataError(
                    f"events: {f.name} is not a list of integers (got {raw.dtype}, shape {raw.shape}; need 1-d). Convert it."
                )
            columns.append(raw.astype(np.int32))
        if len({len(c) for c in columns}) != 1:
            raise DataError(
                f"events: columns differ in length (got {[len(c) for c in columns]}; need one length). Mend them."
            )
        sample, step, unit = columns
        ordered = _ordered(sample, step, unit)
        if not ordered:
            order = np.lexsort((unit, step, sample))
            columns = [c[order] for c in columns]
            sample, step, unit = columns
        same = (np.diff(sample) == 0) & (np.diff(step) == 0) & (np.diff(unit) == 0)
        if same.any():
            k = int(np.flatnonzero(same)[0])
            raise DataError(
                f"events: a spike is given twice (got sample {sample[k]}, step {step[k]}, unit {unit[k]} twice; need once). "
                "A unit sends one spike a step at most: remove the copies."
            )
        for f, column in zip(fields(self), columns, strict=True):
            column.flags.writeable = False
            object.__setattr__(self, f.name, column)

    @classmethod
    def from_dense(cls, spikes: ArrayLike) -> Events:
        """Return the events of an array (batch, steps, units) in which every entry is 0 or 1."""
        dense = np.asarray(spikes)
        if dense.ndim != 3:
            raise DataError(f"events: wrong shape (got {dense.shape}; need (batch, steps, units)). Add a batch axis.")
        if dense.dtype != np.bool_:
            off = (dense != 0) & (dense != 1)
            if off.any():
                where = tuple(int(x[0]) for x in np.nonzero(off))
                raise DataError(
                    f"events: not a spike train (got {dense[where]} at (sample, step, unit) {where}; need 0 or 1). "
                    "Values belong to a CurrentInput."
                )
        sample, step, unit = np.nonzero(dense)
        return cls(sample.astype(np.int32), step.astype(np.int32), unit.astype(np.int32))

    @classmethod
    def none(cls) -> Events:
        """Return no events."""
        empty = np.zeros(0, np.int32)
        return cls(empty, empty, empty)

    def to_dense(self, batch: int, steps: int, size: int) -> NDArray[np.bool_]:
        """Return a bool array (batch, steps, size)."""
        dense = np.zeros((batch, steps, size), dtype=np.bool_)
        dense[self.sample, self.step, self.unit] = True
        return dense

    def select(self, start: int, stop: int) -> Events:
        """Return the events of samples start..stop-1, renumbered from 0."""
        low, high = np.searchsorted(self.sample, [start, stop])
        return Events(self.sample[low:high] - np.int32(start), self.step[low:high], self.unit[low:high])

    def __len__(self) -> int:
        return len(self.sample)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Events):
            return NotImplemented
        return all(np.array_equal(getattr(self, f.name), getattr(other, f.name)) for f in fields(self))

    __hash__ = None  # type: ignore[assignment]


def _ordered(sample: NDArray[np.int32], step: NDArray[np.int32], unit: NDArray[np.int32]) -> bool:
    """Tell whether events are sorted by (sample, step, unit)."""
    ds, dt, du = np.diff(sample), np.diff(step), np.diff(unit)
    return bool(np.all((ds > 0) | ((ds == 0) & ((dt > 0) | ((dt == 0) & (du >= 0))))))


@dataclass(frozen=True)
class Counts:
    """Count what a run did, per sample: what energy estimates stand on.

    spikes: (batch,) int64 by population, spike inputs included.
    synaptic_events: (batch,) int64 by projection; arrivals with t + d < steps at every stored synapse, whatever its
    weight and the target's state. A current input sends one event a synapse in every step with u != 0.
    neuron_updates: by population, size x steps, the same in every sample.
    """

    spikes: Mapping[str, NDArray[np.int64]]
    synaptic_events: Mapping[str, NDArray[np.int64]]
    neuron_updates: Mapping[str, int]


def count(
    graph: Graph, spikes: Mapping[str, Events], currents: Mapping[str, NDArray[np.float64]], batch: int, steps: int
) -> Counts:
    """Count spikes, synaptic events and neuron updates of a run.

    Parameters: spikes, events of every spiking population and spike input; currents, (batch, steps, size) by input.
    """
    n_spikes = {name: np.bincount(e.sample, minlength=batch).astype(np.int64) for name, e in spikes.items()}
    sent = dict(spikes)
    sent.update({name: Events.from_dense(values != 0) for name, values in currents.items()})
    events = {}
    for c in graph.projections:
        size = graph.population(c.source).size
        events[c.name] = _arrivals(sent[c.source], c.pre, c.delay, size, batch, steps)
    updates = {p.name: p.size * steps for p in graph.receivers}
    return Counts(spikes=n_spikes, synaptic_events=events, neuron_updates=updates)


def _arrivals(
    e: Events, pre: NDArray[np.int32], delay: NDArray[np.int32], size: int, batch: int, steps: int
) -> NDArray[np.int64]:
    """Return, per sample, how many synapses the events reach before the run ends."""
    fan_out = np.bincount(pre, minlength=size)
    longest = int(delay.max()) if delay.size else 0
    late = e.step + longest >= steps
    total = np.bincount(e.sample[~late], weights=fan_out[e.unit[~late]], minlength=batch).astype(np.int64)
    first = np.concatenate([[0], np.cumsum(fan_out)])
    for sample, step, unit in zip(e.sample[late].tolist(), e.step[late].tolist(), e.unit[late].tolist(), strict=True):
        total[sample] += int(np.count_nonzero(delay[first[unit] : first[unit + 1]] < steps - step))
    return total


@dataclass(frozen=True)
class Recording:
    """What a backend returns for a batch.

    backend, versions, graph_sha256, dt_ms: provenance. exact: whether the graph is on its grid and the backend exact, so
    that equality with other exact backends is asserted and not only reported. batch, steps: the stimulus.
    spikes: events by population, spike inputs included where they were asked for. traces: (batch, steps, size) float64 by
    population and state (v, a of neurons before a subtractive reset; y of readouts). wall_time_s: the run alone.
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

    def rate_hz(self, population: str) -> float:
        """Return the mean firing rate of a population over all samples, neurons and steps, in Hz."""
        seconds = self.batch * self.sizes[population] * self.steps * self.dt_ms / 1000
        return float(self.counts.spikes[population].sum() / seconds) if seconds else 0.0

    def to_pandas(self) -> Any:
        """Return all spikes as a pandas DataFrame: population, sample, step, unit, time_ms. Needs pandas."""
        pandas = _optional("pandas")
        frames = [
            pandas.DataFrame(
                {"population": name, "sample": e.sample, "step": e.step, "unit": e.unit, "time_ms": e.step * self.dt_ms}
            )
            for name, e in self.spikes.items()
        ]
        return pandas.concat(frames, ignore_index=True) if frames else pandas.DataFrame()

    def to_neo(self) -> Any:
        """Return a neo.Block with a Segment a sample and a SpikeTrain a unit, times in ms. Needs neo."""
        neo = _optional("neo")
        block = neo.Block(name=f"{self.backend} {self.graph_sha256[:12]}")
        for sample in range(self.batch):
            segment = neo.Segment(name=f"sample {sample}", index=sample)
            for name, e in self.spikes.items():
                mine = e.select(sample, sample + 1)
                for unit in range(self.sizes[name]):
                    times = mine.step[mine.unit == unit] * self.dt_ms
                    train = neo.SpikeTrain(times, t_stop=self.steps * self.dt_ms, units="ms", name=f"{name}[{unit}]")
                    segment.spiketrains.append(train)
            block.segments.append(segment)
        return block

    def save(self, path: str | Path) -> None:
        """Write the recording to an HDF5 file, atomically."""
        save(self, path)

    @classmethod
    def load(cls, path: str | Path) -> Recording:
        """Read a recording. Raises DataError if the file is missing, damaged or of another kind."""
        return load(path)


def _optional(name: str) -> Any:
    import importlib

    try:
        return importlib.import_module(name)
    except ImportError as err:
        raise UnsupportedError(
            f"recording: {name} is not installed (got {err}; need it). Install it with pip."
        ) from err


_ATTRIBUTES: dict[str, type] = {
    "backend": str, "graph_sha256": str, "exact": int, "dt_ms": float, "batch": int, "steps": int, "wall_time_s": float,
}  # fmt: skip


def save(recording: Recording, path: str | Path) -> None:
    """Write a recording: attributes, versions (JSON), and groups spikes, traces, counts with one member a population."""
    with _hdf5.writing(path) as file:
        file.attrs["format"], file.attrs["schema_version"] = FORM, SCHEMA_VERSION
        for key, kind in _ATTRIBUTES.items():
            file.attrs[key] = kind(getattr(recording, key))
        _hdf5.put_text(file, "versions", json.dumps(dict(recording.versions)))
        _hdf5.put_text(file, "sizes", json.dumps(dict(recording.sizes)))
        _hdf5.put_text(file, "neuron_updates", json.dumps(dict(recording.counts.neuron_updates)))
        spikes, traces = file.create_group("spikes"), file.create_group("traces")
        for name, e in recording.spikes.items():
            put_events(spikes, name, e)
        for name, states in recording.traces.items():
            group = traces.create_group(name)
            for state, values in states.items():
                _hdf5.put(group, state, values)
        for key in ("spikes", "synaptic_events"):
            group = file.create_group(f"n_{key}")
            for name, values in getattr(recording.counts, key).items():
                _hdf5.put(group, name, values)


def load(path: str | Path) -> Recording:
    """Read a recording that `save` wrote. Raises DataError, naming file and place."""
    path = Path(path)
    with _hdf5.reading(path, form=FORM, version=SCHEMA_VERSION, error=DataError) as file:
        plain = {k: _hdf5.attribute(file, k, t, path, DataError) for k, t in _ATTRIBUTES.items()}
        plain["exact"] = bool(plain["exact"])
        spikes, traces = (_hdf5.group(file, key, path, DataError) for key in ("spikes", "traces"))
        n_spikes, n_events = (
            {
                name: _hdf5.array(_hdf5.group(file, key, path, DataError), name, np.int64, path, DataError)
                for name in _hdf5.group(file, key, path, DataError)
            }
            for key in ("n_spikes", "n_synaptic_events")
        )
        updates, sizes, versions = (
            json.loads(_hdf5.text(file, key, path, DataError)) for key in ("neuron_updates", "sizes", "versions")
        )
        return Recording(
            **plain,
            spikes={name: get_events(spikes, name, path) for name in spikes},
            traces={name: _traces(traces, name, path) for name in traces},
            counts=Counts(spikes=n_spikes, synaptic_events=n_events, neuron_updates=updates),
            sizes=sizes,
            versions=versions,
        )


def put_events(parent: Any, name: str, e: Events) -> None:
    """Write events as three columns in a group of their own."""
    group = parent.create_group(name)
    for f in fields(Events):
        _hdf5.put(group, f.name, getattr(e, f.name))


def get_events(parent: Any, name: str, path: Path) -> Events:
    """Read events that `put_events` wrote."""
    group = _hdf5.group(parent, name, path, DataError)
    return Events(*(_hdf5.array(group, f.name, np.int32, path, DataError) for f in fields(Events)))


def _traces(parent: Any, name: str, path: Path) -> dict[str, NDArray[np.float64]]:
    group = _hdf5.group(parent, name, path, DataError)
    return {state: _hdf5.array(group, state, np.float64, path, DataError, ndim=3) for state in group}


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
) -> Recording:
    """Make the recording of a run from all its spikes: every backend counts here, by the same rules.

    Parameters: spikes, events of *all* spiking populations and spike inputs; keep, the populations whose spikes stay.
    """
    missing = [p.name for p in (*graph.inputs, *graph.neurons) if p.name not in spikes and p.name not in currents]
    if missing:
        raise DataError(
            f"recording: no spikes of {missing} (got {sorted(spikes)}; need every population). A backend's fault."
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
        counts=count(graph, spikes, currents, batch, steps),
        sizes={p.name: p.size for p in graph.populations},
        versions=dict(versions),
        wall_time_s=wall_time_s,
    )


def spiking(graph: Graph) -> tuple[str, ...]:
    """Return the names of the populations that have spikes: spike inputs and neurons."""
    return tuple(p.name for p in graph.populations if type(p).__name__ in ("SpikeInput", "LIF", "ALIF"))
