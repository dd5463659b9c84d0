"""Write a recording to its file as the run goes on, in memory that does not grow with the number of steps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuro import _hdf5
from neuro.graph import Graph
from neuro.recording.events import Events
from neuro.recording.hdf5 import put_frame
from neuro.recording.recording import Recording

_CHUNK_BYTES = 2**16
"""Size of a piece of the file that grows: what `load` reads at once, and what a column of few spikes takes at least."""


class Writer:
    """Append spikes and traces to an open file; `finish` makes it a recording that `load` reads."""

    def __init__(
        self, file: Any, graph: Graph, batch: int, keep: tuple[str, ...], traces: Mapping[str, tuple[str, ...]]
    ) -> None:
        self._file, self._steps = file, 0
        spikes, states = file.create_group("spikes"), file.create_group("traces")
        self._columns = {name: self._new_columns(spikes.create_group(name)) for name in keep}
        self._traces = {
            name: self._new_traces(states.create_group(name), wanted, batch, graph.population(name).size)
            for name, wanted in traces.items()
        }

    @staticmethod
    def _new_columns(group: Any) -> dict[str, Any]:
        rows = _CHUNK_BYTES // 4
        return {
            f.name: group.create_dataset(
                f.name, shape=(0,), maxshape=(None,), chunks=(rows,), dtype="<i4", track_times=False
            )
            for f in fields(Events)
        }

    @staticmethod
    def _new_traces(group: Any, wanted: tuple[str, ...], batch: int, size: int) -> dict[str, Any]:
        shape, rows = (batch, 0, size), max(1, _CHUNK_BYTES // (8 * size))
        return {
            state: group.create_dataset(
                state, shape=shape, maxshape=(batch, None, size), chunks=(1, rows, size), dtype="<f8", track_times=False
            )
            for state in wanted
        }

    def add(
        self, spikes: Mapping[str, Events], traces: Mapping[str, Mapping[str, NDArray[np.float64]]], n_steps: int
    ) -> None:
        """Append the next steps: spikes with steps counted from the begin of the run, traces (batch, n_steps, size)."""
        for name, columns in self._columns.items():
            for key, column in columns.items():
                values = getattr(spikes[name], key)
                begin = column.shape[0]
                column.resize(begin + len(values), axis=0)
                column[begin:] = values
        for name, states in self._traces.items():
            for state, rows in states.items():
                rows.resize(self._steps + n_steps, axis=1)
                rows[:, self._steps :] = traces[name][state]
        self._steps += n_steps

    def finish(self, recording: Recording) -> None:
        """Write all that is known when a run has ended: counts, versions, steps."""
        put_frame(self._file, recording)


@contextmanager
def writing(
    path: str | Path, graph: Graph, batch: int, keep: tuple[str, ...], traces: Mapping[str, tuple[str, ...]]
) -> Iterator[Writer]:
    """Open a file for a run; it takes its name when the block ends well, and what bore the name before stays until then.

    Parameters: keep, the populations whose spikes are written; traces, the states by population.
    """
    with _hdf5.writing(path) as file:
        yield Writer(file, graph, batch, keep, traces)
