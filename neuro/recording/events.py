"""Hold spikes as events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neuro.errors import DataError


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
    def in_order(cls, sample: NDArray[np.int32], step: NDArray[np.int32], unit: NDArray[np.int32]) -> Events:
        """Return events of columns that are known to be in order, each spike once; nothing is checked, nothing copied.

        For what a kernel wrote: checking tens of millions of spikes would take longer than the run.
        """
        made = object.__new__(cls)
        for f, column in zip(fields(cls), (sample, step, unit), strict=True):
            column.flags.writeable = False
            object.__setattr__(made, f.name, column)
        return made

    @classmethod
    def join(cls, parts: Sequence[Events]) -> Events:
        """Return the events of parts of a run, each in order, and each sample's in order of the parts."""
        if len(parts) == 1:
            return parts[0]
        columns = [np.concatenate([np.zeros(0, np.int32), *(getattr(p, f.name) for p in parts)]) for f in fields(cls)]
        ends = [(p.sample[0], p.sample[-1]) for p in parts if len(p)]
        if any(last > first for (_, last), (first, _) in pairwise(ends)):
            order = np.argsort(columns[0], kind="stable")
            columns = [c[order] for c in columns]
        return cls.in_order(*columns)

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
        sample, step, unit = (x.astype(np.int32) for x in np.nonzero(dense))
        return cls.in_order(sample, step, unit)

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
        low, high = np.searchsorted(self.sample, np.array([start, stop], np.int32))
        return Events.in_order(_plus(self.sample[low:high], -start), self.step[low:high], self.unit[low:high])

    def between(self, first: int, last: int) -> Events:
        """Return the events of steps first..last-1; steps keep their numbers."""
        here = (self.step >= first) & (self.step < last)
        return Events.in_order(self.sample[here], self.step[here], self.unit[here])

    def shifted(self, samples: int, steps: int) -> Events:
        """Return the events as those of later samples and steps."""
        return Events.in_order(_plus(self.sample, samples), _plus(self.step, steps), self.unit)

    def __len__(self) -> int:
        return len(self.sample)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Events):
            return NotImplemented
        return all(np.array_equal(getattr(self, f.name), getattr(other, f.name)) for f in fields(self))

    __hash__ = None  # type: ignore[assignment]


def _plus(column: NDArray[np.int32], n: int) -> NDArray[np.int32]:
    """Return a column, which is read-only, with n added."""
    return column + np.int32(n) if n else column


def _ordered(sample: NDArray[np.int32], step: NDArray[np.int32], unit: NDArray[np.int32]) -> bool:
    """Tell whether events are sorted by (sample, step, unit)."""
    ds, dt, du = np.diff(sample), np.diff(step), np.diff(unit)
    return bool(np.all((ds > 0) | ((ds == 0) & ((dt > 0) | ((dt == 0) & (du >= 0))))))
