"""Save and load recordings as HDF5."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuro import _hdf5
from neuro.errors import DataError
from neuro.recording.counts import Counts
from neuro.recording.events import Events
from neuro.recording.recording import Recording

FORM = "neuro-recording"
SCHEMA_VERSION = 1

_ATTRIBUTES: dict[str, type] = {
    "backend": str, "graph_sha256": str, "exact": int, "dt_ms": float, "batch": int, "steps": int, "wall_time_s": float,
}  # fmt: skip


def save(recording: Recording, path: str | Path) -> None:
    """Write a recording: attributes, versions (JSON), and groups spikes, traces, counts with one member a population."""
    with _hdf5.writing(path) as file:
        put_frame(file, recording)
        spikes, traces = file.create_group("spikes"), file.create_group("traces")
        for name, e in recording.spikes.items():
            put_events(spikes, name, e)
        for name, states in recording.traces.items():
            group = traces.create_group(name)
            for state, values in states.items():
                _hdf5.put(group, state, values)


def put_frame(file: Any, recording: Recording) -> None:
    """Write all of a recording but its spikes and traces."""
    file.attrs["format"], file.attrs["schema_version"] = FORM, SCHEMA_VERSION
    for key, kind in _ATTRIBUTES.items():
        file.attrs[key] = kind(getattr(recording, key))
    file.attrs["interrupted"] = int(recording.interrupted)
    _hdf5.put_text(file, "versions", json.dumps(dict(recording.versions)))
    _hdf5.put_text(file, "sizes", json.dumps(dict(recording.sizes)))
    _hdf5.put_text(file, "neuron_updates", json.dumps(dict(recording.counts.neuron_updates)))
    for key in ("spikes", "synaptic_events"):
        group = file.create_group(f"n_{key}")
        for name, values in getattr(recording.counts, key).items():
            _hdf5.put(group, name, values)
    clips = file.create_group("n_saturations")
    for name, by_state in recording.counts.saturations.items():
        group = clips.create_group(name)
        for state, n in by_state.items():
            _hdf5.put(group, state, n)


def load(path: str | Path) -> Recording:
    """Read a recording that `save` wrote. Raises DataError, naming file and place."""
    path = Path(path)
    with _hdf5.reading(path, form=FORM, version=SCHEMA_VERSION, error=DataError) as file:
        plain = {k: _hdf5.attribute(file, k, t, path, DataError) for k, t in _ATTRIBUTES.items()}
        plain["exact"] = bool(plain["exact"])
        interrupted = "interrupted" in file.attrs  # older files have none
        plain["interrupted"] = interrupted and bool(_hdf5.attribute(file, "interrupted", int, path, DataError))
        spikes, traces = (_hdf5.group(file, key, path, DataError) for key in ("spikes", "traces"))
        n_spikes, n_events = (
            {
                name: _hdf5.array(_hdf5.group(file, key, path, DataError), name, np.int64, path, DataError)
                for name in _hdf5.group(file, key, path, DataError)
            }
            for key in ("n_spikes", "n_synaptic_events")
        )
        clips = _saturations(file, path) if "n_saturations" in file else {}  # older files have none
        updates, sizes, versions = (
            json.loads(_hdf5.text(file, key, path, DataError)) for key in ("neuron_updates", "sizes", "versions")
        )
        return Recording(
            **plain,
            spikes={name: get_events(spikes, name, path) for name in spikes},
            traces={name: _traces(traces, name, path) for name in traces},
            counts=Counts(spikes=n_spikes, synaptic_events=n_events, neuron_updates=updates, saturations=clips),
            sizes=sizes,
            versions=versions,
        )


def _saturations(file: Any, path: Path) -> dict[str, dict[str, NDArray[np.int64]]]:
    parent = _hdf5.group(file, "n_saturations", path, DataError)
    groups = {name: _hdf5.group(parent, name, path, DataError) for name in parent}
    return {
        name: {state: _hdf5.array(group, state, np.int64, path, DataError) for state in group}
        for name, group in groups.items()
    }


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
