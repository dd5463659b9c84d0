"""Turn a workload into joules by a device's table: always in parts, always with a range, never one bare number."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Status = Literal["priced", "included", "not published", "not applicable"]
PARTS = ("synaptic", "neuron", "routing", "learning", "static", "host")
DYNAMIC = ("synaptic", "neuron", "routing", "learning")


@dataclass(frozen=True)
class Range:
    """An energy in joules (or another quantity): the published value, and the least and most that its sources allow."""

    low: float
    value: float
    high: float

    def __add__(self, other: Range) -> Range:
        return Range(self.low + other.low, self.value + other.value, self.high + other.high)

    def __mul__(self, factor: float) -> Range:
        return Range(self.low * factor, self.value * factor, self.high * factor)


@dataclass(frozen=True)
class Part:
    """One part of an energy.

    status: "priced"; "included" in the figure of another part, which `note` names; "not published" for this device; "not
    applicable" (no learning ran, say). energy: joules an inference, None unless priced. note: what it rests on, in one line.
    """

    status: Status
    energy: Range | None = None
    note: str = ""


@dataclass(frozen=True, kw_only=True, eq=False)
class Energy:
    """What one inference costs on a device, as an estimate: counts times published figures.

    parts: by name, all of PARTS. dynamic: their sum over DYNAMIC, joules an inference, mean over samples. dynamic_per_sample: the
    same by sample, joules, float64 (samples,). latency_s: steps times the stated step time. step_time_s: which, 0.0 if the device has no
    steps. edp: dynamic and static energy times latency, joule-seconds; None where static power is not published. notes: what a reader has to know, the
    sources of all figures used included.
    """

    device: str
    parts: dict[str, Part]
    dynamic: Range
    dynamic_per_sample: NDArray[np.float64]
    step_time_s: float
    latency_s: float
    edp: Range | None
    notes: tuple[str, ...] = field(default=())
