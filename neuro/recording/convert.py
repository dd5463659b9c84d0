"""Convert recordings to what other tools read: CSV, pandas, Neo, NIR data."""

from __future__ import annotations

import csv
import importlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from neuro.errors import UnsupportedError
from neuro.recording.events import Events

if TYPE_CHECKING:  # a recording's methods call these functions
    from neuro.recording.recording import Recording

COLUMNS = ("population", "sample", "step", "unit", "time_ms")
"""Of every table of spikes: time_ms is step * dt_ms, the begin of the step."""


def to_csv(recording: Recording, path: str | Path) -> None:
    """Write all spikes that were kept as CSV (RFC 4180, UTF-8): a line of COLUMNS, then a line a spike. Traces are not in it."""
    path = Path(path)
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with part.open("w", encoding="utf-8", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(COLUMNS)
            for name, e in recording.spikes.items():
                columns = (e.sample, e.step, e.unit, e.step * recording.dt_ms)
                rows.writerows((name, *row) for row in zip(*(c.tolist() for c in columns), strict=True))
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def to_pandas(recording: Recording) -> Any:
    """Return all spikes that were kept as a pandas DataFrame with the columns COLUMNS.

    Raises: UnsupportedError if pandas is not installed.
    """
    pandas = _optional("pandas")
    frames = [
        pandas.DataFrame(dict(zip(COLUMNS, (name, e.sample, e.step, e.unit, e.step * recording.dt_ms), strict=True)))
        for name, e in recording.spikes.items()
    ]
    return pandas.concat(frames, ignore_index=True) if frames else pandas.DataFrame(columns=COLUMNS)


def to_neo(recording: Recording) -> Any:
    """Return a neo.Block: a Segment a sample, in it a SpikeTrain a unit and an AnalogSignal a trace.

    SpikeTrains have times in ms, the begin of the step, and the annotations population and neuron; AnalogSignals have one channel a
    unit, no unit, and the annotations population and state.
    Raises: UnsupportedError if neo is not installed.
    """
    neo = _optional("neo")
    stop, block = (
        recording.steps * recording.dt_ms,
        neo.Block(name=f"{recording.backend} {recording.graph_sha256[:12]}"),
    )
    block.annotate(backend=recording.backend, graph_sha256=recording.graph_sha256, dt_ms=recording.dt_ms)
    trains = {name: list(_trains(recording, name)) for name in recording.spikes}
    for sample in range(recording.batch):
        segment = neo.Segment(name=f"sample {sample}", index=sample)
        for name, of_all in trains.items():
            size = recording.sizes[name]
            for neuron, times in enumerate(of_all[sample * size : (sample + 1) * size]):
                about = {"name": f"{name}[{neuron}]", "population": name, "neuron": neuron}
                segment.spiketrains.append(neo.SpikeTrain(times, t_stop=stop, units="ms", **about))
        segment.analogsignals.extend(list(_signals(neo, recording, sample)))
        block.segments.append(segment)
    return block


def _trains(recording: Recording, name: str) -> Iterator[NDArray[np.float64]]:
    """Yield the spike times in ms of each sample's each unit, in this order."""
    e, size = recording.spikes[name], recording.sizes[name]
    row = e.sample.astype(np.int64) * size + e.unit
    order = np.argsort(row, kind="stable")  # events come in order of step
    ends = np.searchsorted(row[order], np.arange(1, recording.batch * size))
    yield from np.split(e.step[order] * recording.dt_ms, ends)


def _signals(neo: Any, recording: Recording, sample: int) -> Iterator[Any]:
    period = _optional("quantities").Quantity(recording.dt_ms, "ms")
    for name, states in recording.traces.items():
        for state, values in states.items():
            about = {"name": f"{name}.{state}", "population": name, "state": state}
            yield neo.AnalogSignal(values[sample], units="dimensionless", sampling_period=period, **about)


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
