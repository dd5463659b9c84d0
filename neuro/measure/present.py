"""Find the meters of this machine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from neuro.measure.meter import Absent, Meter
from neuro.measure.nvml import find_nvml
from neuro.measure.rapl import POWERCAP, find_rapl


@dataclass(frozen=True)
class Found:
    """The meters that can be read, and those that cannot, with reasons. As a context it closes the meters."""

    meters: tuple[Meter, ...]
    absent: tuple[Absent, ...]

    def __enter__(self) -> Found:
        return self

    def __exit__(self, kind: type[BaseException] | None, err: BaseException | None, tb: TracebackType | None) -> None:
        for meter in self.meters:
            meter.close()


def meters(root: Path = POWERCAP, nvml: Any = None) -> Found:
    """Return the meters of this machine: RAPL and NVML.

    Parameters: root, the folder of powercap; nvml, a module in place of pynvml.
    """
    rapl, no_rapl = find_rapl(root)
    gpus, no_gpus = find_nvml(nvml)
    return Found(tuple(m for m in (rapl, gpus) if m is not None), (*no_rapl, *no_gpus))
