"""Convert recordings to what other tools read: pandas, Neo, NIR data."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

from neuro.errors import UnsupportedError
from neuro.recording.events import Events
from neuro.recording.recording import Recording


def to_pandas(recording: Recording) -> Any:
    """Return all spikes as a pandas DataFrame with columns population, sample, step, unit, time_ms.

    Raises: UnsupportedError if pandas is not installed.
    """
    pandas = _optional("pandas")
    columns = ("population", "sample", "step", "unit", "time_ms")
    frames = [
        pandas.DataFrame(dict(zip(columns, (name, e.sample, e.step, e.unit, e.step * recording.dt_ms), strict=True)))
        for name, e in recording.spikes.items()
    ]
    return pandas.concat(frames, ignore_index=True) if frames else pandas.DataFrame(columns=columns)


def to_neo(recording: Recording) -> Any:
    """Return a neo.Block: a Segment a sample, in it a SpikeTrain a unit with times in ms.

    Raises: UnsupportedError if neo is not installed.
    """
    neo = _optional("neo")
    block = neo.Block(name=f"{recording.backend} {recording.graph_sha256[:12]}")
    for sample in range(recording.batch):
        segment = neo.Segment(name=f"sample {sample}", index=sample)
        for name, e in recording.spikes.items():
            mine = e.select(sample, sample + 1)
            for unit in range(recording.sizes[name]):
                times = mine.step[mine.unit == unit] * recording.dt_ms
                stop = recording.steps * recording.dt_ms
                segment.spiketrains.append(neo.SpikeTrain(times, t_stop=stop, units="ms", name=f"{name}[{unit}]"))
        block.segments.append(segment)
    return block


def to_nir(recording: Recording) -> Any:
    """Return nir's NIRGraphData: for each population "spikes" as EventData, and traces by state as TimeGriddedData.

    Times are in seconds, in the middle of the step, so that they fall into their step again when gridded.
    Raises: UnsupportedError if nir is not installed.
    """
    data = _optional("nir.data_ir")
    dt_s = recording.dt_ms / 1000
    nodes: dict[str, dict[str, Any]] = {}
    for name, e in recording.spikes.items():
        size, shape = recording.sizes[name], (recording.batch, _most(e, recording.batch))
        unit, time_s = np.full(shape, -1), np.full(shape, np.inf)
        first = np.searchsorted(e.sample, np.arange(recording.batch))
        place = np.arange(len(e)) - first[e.sample]
        unit[e.sample, place], time_s[e.sample, place] = e.unit, (e.step + 0.5) * dt_s
        nodes.setdefault(name, {})["spikes"] = data.EventData(unit, time_s, size, recording.steps * dt_s)
    for name, states in recording.traces.items():
        for state, values in states.items():
            nodes.setdefault(name, {})[state] = data.TimeGriddedData(np.asarray(values), dt_s)
    return data.NIRGraphData({name: data.NIRNodeData(observables) for name, observables in nodes.items()})


def _most(e: Events, batch: int) -> int:
    return int(np.bincount(e.sample, minlength=batch).max())


def _optional(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as err:
        package = name.split(".")[0]
        raise UnsupportedError(
            f"recording: {package} is not installed (got {err}; need it to convert). Install it: pip install {package}."
        ) from err
