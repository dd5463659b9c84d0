"""Read the energy counters of NVIDIA GPUs through NVML."""

from __future__ import annotations

import importlib
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from neuro.errors import UnsupportedError
from neuro.measure.meter import Absent, Ticker

PERIOD_S = 0.02
"""Between two samples of the power of a GPU without a counter: well below the second that NVML averages over on many."""
_COUNTER, _SAMPLES = "energy counter", "power samples"


@dataclass(frozen=True)
class Gpu:
    """One GPU: its domain ("gpu 0 NAME"), its NVML handle, and whether it has a counter or its power is sampled."""

    domain: str
    handle: Any
    has_counter: bool


class Nvml:
    """Count what GPU boards take: their energy counters (Volta and newer), or else the integral of sampled power.

    Counts everything that runs on them, and all GPUs that NVML sees, whatever CUDA_VISIBLE_DEVICES says. Readings are coarse:
    the sensors of an A100 or H100 look at a quarter of the time (Yang et al. 2024, arXiv 2312.02741), and power is a mean over up
    to 1 s, so a window has to be long. No GPU was at hand when this was written: tests have a module in NVML's place.
    """

    name = "nvml"

    def __init__(
        self,
        nvml: Any,
        gpus: tuple[Gpu, ...],
        period_s: float = PERIOD_S,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.gpus = gpus
        self._nvml, self._period_s, self._clock = nvml, period_s, clock

    @property
    def domains(self) -> tuple[str, ...]:
        """Number and name of every GPU."""
        return tuple(gpu.domain for gpu in self.gpus)

    @property
    def covers(self) -> str:
        """Name what is counted, and how."""
        how = ", ".join(f"{gpu.domain} by {_COUNTER if gpu.has_counter else _SAMPLES}" for gpu in self.gpus)
        return f"all that runs on {how} (NVML)"

    def start(self) -> _Window:
        """Begin to count."""
        return _Window(self._nvml, self.gpus, self._period_s, self._clock)

    def close(self) -> None:
        """Give NVML back."""
        self._nvml.nvmlShutdown()


class _Window:
    """Take the difference of counters, and integrate the power of GPUs without one by the trapezoidal rule."""

    def __init__(self, nvml: Any, gpus: tuple[Gpu, ...], period_s: float, clock: Callable[[], float]) -> None:
        self._nvml, self._clock, self._lock = nvml, clock, threading.Lock()
        self._counted = [gpu for gpu in gpus if gpu.has_counter]
        self._sampled = [gpu for gpu in gpus if not gpu.has_counter]
        self._sum_j = {gpu.domain: 0.0 for gpu in self._sampled}
        self._first_mj = {gpu.domain: self._read_mj(gpu) for gpu in self._counted}
        self._at_s, self._power_w = clock(), {gpu.domain: self._read_w(gpu) for gpu in self._sampled}
        self._ticker = Ticker(self._take, period_s) if self._sampled else None

    def _read_mj(self, gpu: Gpu) -> int:
        return int(_ask(self._nvml, gpu, "nvmlDeviceGetTotalEnergyConsumption"))

    def _read_w(self, gpu: Gpu) -> float:
        return _ask(self._nvml, gpu, "nvmlDeviceGetPowerUsage") / 1000

    def _take(self) -> None:
        with self._lock:
            now, power = self._clock(), {gpu.domain: self._read_w(gpu) for gpu in self._sampled}
            for domain, watts in power.items():
                self._sum_j[domain] += (now - self._at_s) * (watts + self._power_w[domain]) / 2
            self._at_s, self._power_w = now, power

    def stop(self) -> Mapping[str, float]:
        """Return joules by domain. Raises UnsupportedError if a counter went back: the driver was loaded anew."""
        if self._ticker is not None:
            self._ticker.stop()
            self._take()
        found = dict(self._sum_j)
        for gpu in self._counted:
            first, last = self._first_mj[gpu.domain], self._read_mj(gpu)
            if last < first:
                raise UnsupportedError(
                    f"{gpu.domain}: energy counter went back (got {last} mJ after {first} mJ; need a rising one). Measure again."
                )
            found[gpu.domain] = (last - first) / 1000
        return found


def _ask(nvml: Any, gpu: Gpu, what: str) -> int:
    try:
        return int(getattr(nvml, what)(gpu.handle))
    except nvml.NVMLError as err:
        raise UnsupportedError(f"{gpu.domain}: {what} failed (got {err}; need a reading). Look at nvidia-smi.") from err


def find_nvml(nvml: Any = None, period_s: float = PERIOD_S) -> tuple[Nvml | None, tuple[Absent, ...]]:
    """Return the meter of this machine's NVIDIA GPUs, None if there is none, and what is absent, with reasons.

    Parameters: nvml, a module with the names of nvidia-ml-py's pynvml; None: that one. period_s, between two samples of power.
    """
    try:
        module = _pynvml() if nvml is None else nvml
    except ImportError as err:
        reason = (
            f"nvidia-ml-py is not installed (got {err}; need pynvml). Install it with: pip install 'neuro[measure]'"
        )
        return None, (Absent("nvml", reason),)
    try:
        module.nvmlInit()
        n = module.nvmlDeviceGetCount()
    except module.NVMLError as err:
        reason = f"NVML does not start (got {err}; need an NVIDIA GPU and its driver). Without one there is no GPU to measure."
        return None, (Absent("nvml", reason),)
    gpus, absent = _gpus(module, n)
    if gpus:
        return Nvml(module, gpus, period_s), absent
    module.nvmlShutdown()
    return None, absent or (Absent("nvml", "no GPU (got a driver that sees none; need one). Look at nvidia-smi."),)


def _pynvml() -> ModuleType:
    return importlib.import_module("pynvml")


def _gpus(nvml: Any, n: int) -> tuple[tuple[Gpu, ...], tuple[Absent, ...]]:
    gpus: list[Gpu] = []
    absent: list[Absent] = []
    for k in range(n):
        where = f"gpu {k}"
        try:
            handle = nvml.nvmlDeviceGetHandleByIndex(k)
            name = nvml.nvmlDeviceGetName(handle)
            where += f" {name.decode() if isinstance(name, bytes) else name}"
            gpus.append(Gpu(where, handle, _has_counter(nvml, handle)))
        except nvml.NVMLError as err:
            reason = f"neither energy nor power can be read (got {err}; need one of them). This GPU is left out."
            absent.append(Absent(f"nvml {where}", reason))
    return tuple(gpus), tuple(absent)


def _has_counter(nvml: Any, handle: Any) -> bool:
    """Tell whether a GPU has an energy counter; raise NVMLError if it has no power sensor either."""
    try:
        nvml.nvmlDeviceGetTotalEnergyConsumption(handle)
    except nvml.NVMLError:
        nvml.nvmlDeviceGetPowerUsage(handle)
        return False
    return True
