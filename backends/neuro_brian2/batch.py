"""Turn a stimulus into what the network reads, and what it recorded into events and traces of populations."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from neuro.backend import Progress, Stimulus
from neuro.graph import INTEGER, states
from neuro.recording import Events

from .cells import trace
from .layout import Layout

Wanted = Mapping[str, NDArray[np.int32]]
"""By name of a trace, a state of cells, the cells of one sample that are recorded, ascending."""

_BYTES_A_SYNAPSE = 80
"""Memory of a synapse: of 4 million, 64 bytes each were measured with numpy and cython, 77 with C++ standalone."""


@dataclass(frozen=True)
class Drive:
    """The stimulus of a batch.

    index, step: int32, spikes of all spike inputs, sorted by (step, index), index = sample * lines + line.
    table: float64 (1 + steps, batch, columns), all current inputs side by side, after a row of zeros.
    """

    batch: int
    steps: int
    index: NDArray[np.int32]
    step: NDArray[np.int32]
    table: NDArray[np.float64]


@dataclass(frozen=True)
class Output:
    """What a simulation recorded, and the seconds it took.

    sample, step, cell: spikes. traces: (batch, steps, cells recorded) by name. clips: of integer graphs, by state of a
    cell, how many of its sums were clipped, (batch, cells).
    """

    sample: NDArray[np.int64]
    step: NDArray[np.int64]
    cell: NDArray[np.int64]
    traces: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    clips: Mapping[str, NDArray[np.int64]] = field(default_factory=dict)
    seconds: float = 0.0


class Simulator(Protocol):
    """Runs a layout from zero state."""

    def run(self, drive: Drive, wanted: Wanted, progress: Callable[[int], None] | None) -> Output: ...

    def close(self) -> None: ...


@contextmanager
def compiling(progress: Progress | None) -> Iterator[None]:
    """Tell of a compilation, which may take a minute, before and after it."""
    if progress is not None:
        progress(0, 1, "brian2: compiling")
    yield
    if progress is not None:
        progress(1, 1, "brian2: compiling")


def drive(layout: Layout, stimulus: Stimulus) -> Drive:
    """Return a stimulus, that fits the graph, in the order the network reads it."""
    index: list[NDArray[np.int64]] = [np.zeros(0, np.int64)]
    step: list[NDArray[np.int32]] = [np.zeros(0, np.int32)]
    for name, e in stimulus.spikes.items():
        index.append(e.sample.astype(np.int64) * layout.n_lines + (layout.line[name] + e.unit))
        step.append(e.step)
    indices, steps = np.concatenate(index), np.concatenate(step)
    order = np.lexsort((indices, steps))
    table = np.zeros((1 + stimulus.steps, stimulus.batch, layout.n_columns))
    for name, first in layout.column.items():
        u = stimulus.currents[name]
        table[1:, :, first : first + u.shape[2]] = u.transpose(1, 0, 2)
    return Drive(stimulus.batch, stimulus.steps, indices[order].astype(np.int32), steps[order], table)


def one_after_another(layout: Layout, stimulus: Stimulus, period: int) -> Drive:
    """Return a stimulus as one sample: sample b begins at step b * period, and nothing comes between its end and the next."""
    given, batch = drive(layout, stimulus), stimulus.batch
    sample, line = np.divmod(given.index.astype(np.int64), max(layout.n_lines, 1))
    step = given.step + sample * period
    order = np.lexsort((line, step))
    table = np.zeros((batch, period, layout.n_columns))
    table[:, : stimulus.steps] = given.table[1:].transpose(1, 0, 2)
    rows = np.concatenate([np.zeros((1, layout.n_columns)), table.reshape(batch * period, -1)])
    return Drive(1, batch * period, line[order].astype(np.int32), step[order].astype(np.int32), rows[:, None])


def wanted(layout: Layout, traces: Mapping[str, tuple[str, ...]]) -> Wanted:
    """Return the cells to record for the traces asked for, by population and state."""
    cells: dict[str, list[NDArray[np.int32]]] = {}
    for name, first in layout.cell.items():
        size = layout.graph.population(name).size
        for state in traces.get(name, ()):
            cells.setdefault(trace(state), []).append(np.arange(first, first + size, dtype=np.int32))
    return {name: np.concatenate(parts) for name, parts in cells.items()}


def by_population(layout: Layout, output: Output) -> dict[str, Events]:
    """Return the spikes of every neuron population."""
    found = {}
    for p in layout.graph.neurons:
        first = layout.cell[p.name]
        mine = (output.cell >= first) & (output.cell < first + p.size)
        columns = output.sample[mine], output.step[mine], output.cell[mine] - first
        found[p.name] = Events(*(c.astype(np.int32) for c in columns))
    return found


def by_state(
    layout: Layout, traces: Mapping[str, tuple[str, ...]], recorded: Wanted, values: Mapping[str, NDArray[np.float64]]
) -> dict[str, dict[str, NDArray[np.float64]]]:
    """Return the traces asked for, by population and state."""
    found: dict[str, dict[str, NDArray[np.float64]]] = {}
    for name, asked in traces.items():
        found[name] = {}
        for state in asked:
            at = int(np.searchsorted(recorded[trace(state)], layout.cell[name]))
            size = layout.graph.population(name).size
            found[name][state] = np.ascontiguousarray(values[trace(state)][:, :, at : at + size])
    return found


def saturations(layout: Layout, output: Output) -> dict[str, dict[str, NDArray[np.int64]]]:
    """Return how many sums were clipped, (batch,) by integer population and state."""

    def clips(name: str, size: int, state: str) -> NDArray[np.int64]:
        first = layout.cell[name]
        return output.clips[trace(state)][:, first : first + size].sum(axis=1)

    populations = [p for p in layout.graph.receivers if isinstance(p, INTEGER)]
    return {p.name: {s: clips(p.name, p.size, s) for s in states(p) if s != "z"} for p in populations}


def samples_at_once(layout: Layout, steps: int, recorded: Wanted, limit: int) -> int:
    """Return how many samples fit into a simulation of `limit` bytes, at least 1."""
    a_step = 8 * (2 * layout.n_columns + 3 * sum(len(cells) for cells in recorded.values()))
    a_sample = _BYTES_A_SYNAPSE * layout.n_synapses + 500 * layout.n_cells + a_step * (steps + 1)
    widest = max(layout.n_cells, layout.n_lines, len(layout.channels), layout.n_columns * (steps + 1), 1)
    return max(1, min(limit // max(a_sample, 1), (2**31 - 1) // widest))  # Brian2 counts in int32
