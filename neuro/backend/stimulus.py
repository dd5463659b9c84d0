"""Hold what is put into a graph: a batch of independent samples, spikes as events and currents as arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neuro import _hdf5
from neuro.errors import DataError, nearest
from neuro.graph import CurrentInput, Graph, SpikeInput
from neuro.recording import Events, get_events, put_events

FORM = "neuro-stimulus"
SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Stimulus:
    """Inputs of a batch.

    batch, steps: number of samples and of steps. spikes: events by SpikeInput; an input that is not named is silent.
    currents: float64 arrays (batch, steps, size) by CurrentInput; every current input must be given.
    """

    batch: int
    steps: int
    spikes: Mapping[str, Events] = field(default_factory=dict)
    currents: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for key, low in (("batch", 1), ("steps", 1)):
            value = getattr(self, key)
            if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or not low <= value < 2**31:
                raise DataError(
                    f"stimulus: {key} out of range (got {value!r}; need a whole number >= {low}). Give one."
                )
        for name, e in self.spikes.items():
            for what, column, limit in (("sample", e.sample, self.batch), ("step", e.step, self.steps)):
                if len(e) and not (column.min() >= 0 and column.max() < limit):
                    bad = column[(column < 0) | (column >= limit)][0]
                    raise DataError(
                        f"stimulus '{name}': {what} out of range (got {bad}; need 0..{limit - 1}). Check the events."
                    )
        frozen = {}
        for name, values in self.currents.items():
            frozen[name] = np.array(values, dtype=np.float64)
            frozen[name].flags.writeable = False
            if frozen[name].ndim != 3 or frozen[name].shape[:2] != (self.batch, self.steps):
                raise DataError(
                    f"stimulus '{name}': wrong shape (got {frozen[name].shape}; need ({self.batch}, {self.steps}, size)). "
                    "Reshape it."
                )
        object.__setattr__(self, "spikes", dict(self.spikes))
        object.__setattr__(self, "currents", frozen)

    @classmethod
    def dense(cls, inputs: Mapping[str, ArrayLike], graph: Graph | None = None) -> Stimulus:
        """Make a stimulus from arrays (batch, steps, size).

        With a graph, its kinds say what is spikes and what is currents; without one, an array of bool or integers is
        spikes and an array of floats is currents.
        """
        arrays = {name: np.asarray(values) for name, values in inputs.items()}
        if not arrays:
            raise DataError(
                "stimulus: no input (got none; need at least one array). Use Stimulus(batch=, steps=) for silence."
            )
        shapes = {name: a.shape for name, a in arrays.items()}
        if any(len(s) != 3 for s in shapes.values()) or len({s[:2] for s in shapes.values()}) != 1:
            raise DataError(
                f"stimulus: wrong shapes (got {shapes}; need (batch, steps, size), one batch and steps). Reshape."
            )
        kinds = {p.name: p for p in graph.inputs} if graph else {}
        spikes, currents = {}, {}
        for name, a in arrays.items():
            if isinstance(kinds.get(name), CurrentInput) or (name not in kinds and a.dtype.kind == "f"):
                currents[name] = a.astype(np.float64)
            else:
                spikes[name] = Events.from_dense(a)
        batch, steps = next(iter(shapes.values()))[:2]
        return cls(batch=batch, steps=steps, spikes=spikes, currents=currents)

    def check(self, graph: Graph) -> None:
        """Raise DataError, naming every fault, unless the stimulus fits a graph: names, kinds, sizes, grid of currents."""
        known = {p.name: p for p in graph.inputs}
        found = [m for name in (*self.spikes, *self.currents) for m in _unknown(name, known)]
        for p in known.values():
            if isinstance(p, SpikeInput):
                found += self._spike_problems(p)
            else:
                found += self._current_problems(p)
        if found:
            raise DataError("\n  ".join(found))

    def _spike_problems(self, p: SpikeInput) -> list[str]:
        if p.name in self.currents:
            return [
                f"stimulus '{p.name}': values for a spike input (got an array of currents; need events). Give 0 and 1."
            ]
        e = self.spikes.get(p.name)
        if e is not None and len(e) and not (e.unit.min() >= 0 and e.unit.max() < p.size):
            bad = e.unit[(e.unit < 0) | (e.unit >= p.size)][0]
            return [
                f"stimulus '{p.name}': unit out of range (got {bad}; need 0..{p.size - 1}). Match the graph's size."
            ]
        return []

    def _current_problems(self, p: CurrentInput) -> list[str]:
        where = f"stimulus '{p.name}'"
        u = self.currents.get(p.name)
        if u is None:
            return [f"{where}: no currents (got none; need ({self.batch}, {self.steps}, {p.size})). Give an array."]
        if u.shape[2] != p.size:
            return [f"{where}: wrong number of channels (got {u.shape[2]}; need {p.size}). Match the graph's size."]
        for test, what, need in (
            (~np.isfinite(u), "value is not finite", "finite numbers"),
            (np.abs(u) > p.u_max, "value beyond u_max", f"|u| <= {p.u_max}"),
            (u / p.u_step != np.rint(u / p.u_step), "value off its grid", f"multiples of u_step = {p.u_step}"),
        ):
            if test.any():
                at = tuple(int(x[0]) for x in np.nonzero(test))
                return [
                    f"{where}: {what} (got {u[at]} at (sample, step, unit) {at}; need {need}). Round or scale the values."
                ]
        return []

    def dense_input(self, graph: Graph, name: str) -> NDArray[np.float64]:
        """Return one input as float64 (batch, steps, size): spikes as 0 and 1."""
        if name in self.currents:
            return self.currents[name]
        events = self.spikes.get(name, Events.none())
        return events.to_dense(self.batch, self.steps, graph.population(name).size).astype(np.float64)

    def select(self, start: int, stop: int) -> Stimulus:
        """Return samples start..stop-1 as a stimulus of their own."""
        if not 0 <= start < stop <= self.batch:
            raise DataError(
                f"stimulus: samples out of range (got {start}..{stop}; need within 0..{self.batch}). Choose others."
            )
        return Stimulus(
            batch=stop - start,
            steps=self.steps,
            spikes={name: e.select(start, stop) for name, e in self.spikes.items()},
            currents={name: u[start:stop] for name, u in self.currents.items()},
        )

    def save(self, path: str | Path) -> None:
        """Write the stimulus to an HDF5 file, atomically."""
        with _hdf5.writing(path) as file:
            file.attrs["format"], file.attrs["schema_version"] = FORM, SCHEMA_VERSION
            file.attrs["batch"], file.attrs["steps"] = int(self.batch), int(self.steps)
            spikes, currents = file.create_group("spikes"), file.create_group("currents")
            for name, e in self.spikes.items():
                put_events(spikes, name, e)
            for name, values in self.currents.items():
                _hdf5.put(currents, name, values)

    @classmethod
    def load(cls, path: str | Path) -> Stimulus:
        """Read a stimulus. Raises DataError if the file is missing, damaged or of another kind."""
        path = Path(path)
        with _hdf5.reading(path, form=FORM, version=SCHEMA_VERSION, error=DataError) as file:
            batch, steps = (_hdf5.attribute(file, key, int, path, DataError) for key in ("batch", "steps"))
            spikes, currents = (_hdf5.group(file, key, path, DataError) for key in ("spikes", "currents"))
            return cls(
                batch=batch,
                steps=steps,
                spikes={name: get_events(spikes, name, path) for name in spikes},
                currents={name: _hdf5.array(currents, name, np.float64, path, DataError, ndim=3) for name in currents},
            )


def _unknown(name: str, known: Mapping[str, object]) -> list[str]:
    if name in known:
        return []
    hint = nearest(name, known) or "Use the names of the graph's inputs."
    return [f"stimulus '{name}': no such input (got '{name}'; need one of {', '.join(known) or 'none'}). {hint}"]
