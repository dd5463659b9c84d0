"""Own the kernels that count synaptic events; the twins are the functions of `neuro.recording.counts` whose places they take."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuro import kernels
from neuro.graph import Projection
from neuro.recording import Looks

from .layout import check_arrays, check_range, pointer


def sent(row: NDArray[np.int64], unit: NDArray[np.int32], begins: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return how many synapses the events of each sample have, int64 (batch,).

    Parameters: row, int64 (n_sources + 1,), where the synapses of each sender begin; unit, int32 (n_events,), who sent, sample by
    sample; begins, int64 (batch + 1,), where the events of each sample begin, and the end.
    Raises: AssertionError for arrays that do not belong together: a fault of this package.
    """
    total = np.zeros(len(begins) - 1, np.int64)
    unit = np.ascontiguousarray(unit)
    check_arrays({"row": row, "unit": unit, "begins": begins}, (
        ("row", np.int64, row.shape), ("unit", np.int32, unit.shape), ("begins", np.int64, begins.shape),
    ))  # fmt: skip
    check_range("unit", unit.view(np.uint32), len(row) - 1)  # a number below 0 is a large one: one look instead of two
    assert begins[0] >= 0 and begins[-1] <= len(unit) and (np.diff(begins) >= 0).all(), "begins"
    kernels.library().neuro_count_sent(*_at(row, unit, begins), ctypes.c_int64(len(total)), *_at(total))
    return total


def missed(
    c: Projection,
    row: NDArray[np.int64],
    sample: NDArray[np.int32],
    left: NDArray[np.int32],
    unit: NDArray[np.int32],
    batch: int,
) -> NDArray[np.int64]:
    """Return how many synapses events do not reach before the run ends, `left` steps after each was sent: int64 (batch,).

    Parameters: c, whose delays count; row, as for `sent`; sample, left (steps), unit, int32 (n_events,).
    Raises: AssertionError for arrays that do not belong together: a fault of this package.
    """
    total = np.zeros(batch, np.int64)
    events = {"sample": sample, "left": left, "unit": unit}
    events = {name: np.ascontiguousarray(x, np.int32) for name, x in events.items()}
    check_arrays(events, tuple((name, np.int32, unit.shape) for name in events))
    check_arrays({"row": row, "delay": c.delay}, (("row", np.int64, row.shape), ("delay", np.int32, (int(row[-1]),))))
    check_range("unit", events["unit"], len(row) - 1)
    check_range("sample", events["sample"], batch)
    kernels.library().neuro_count_missed(
        *_at(row, c.delay, *events.values()), ctypes.c_int64(len(unit)), *_at(total)
    )  # fmt: skip
    return total


def _at(*arrays: NDArray[Any]) -> list[ctypes.c_void_p]:
    return [ctypes.c_void_p(pointer(x)) for x in arrays]


LOOKS = Looks(sent, missed)
