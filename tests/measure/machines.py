"""Stand-ins for machines that can measure themselves: a folder as powercap has it, a module as NVML, a meter that knows its answer.

No such hardware is at hand where these tests run, so that the boundary is where they begin: files, and the names of pynvml.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

# name, range in uJ; as a server with two packages shows them, and what must not be added to them
ZONES = {
    "intel-rapl:0": ("package-0", 1_000_000),
    "intel-rapl:0:0": ("core", 1_000_000),
    "intel-rapl:0:1": ("dram", 500_000),
    "intel-rapl:1": ("package-1", 1_000_000),
    "intel-rapl:1:0": ("dram", 500_000),
    "intel-rapl:2": ("psys", 1_000_000),
    "intel-rapl-mmio:0": ("package-0", 1_000_000),
}
COUNTED = ("package-0", "package-0/dram", "package-1", "package-1/dram")


class Powercap:
    """A folder of counters that can be set and moved on."""

    def __init__(self, root: Path, zones: Mapping[str, tuple[str, int]] | None = None) -> None:
        self.root, self.zones = root, dict(ZONES if zones is None else zones)
        for zone, (name, top) in self.zones.items():
            (root / zone).mkdir(parents=True)
            (root / zone / "name").write_text(f"{name}\n")
            (root / zone / "max_energy_range_uj").write_text(f"{top}\n")
            self.set(zone, 0)
        (root / "intel-rapl").mkdir(exist_ok=True)  # the control type, which has no counter
        (root / "intel-rapl" / "enabled").write_text("1\n")

    def set(self, zone: str, microjoules: int) -> None:
        """Write a counter, as a whole: a reader sees the old number or the new one."""
        part = self.root / zone / "part"
        part.write_text(f"{microjoules}\n")
        part.replace(self.root / zone / "energy_uj")

    def get(self, zone: str) -> int:
        return int((self.root / zone / "energy_uj").read_text())

    def add(self, zone: str, microjoules: int) -> None:
        """Move a counter on, round its end as the hardware does."""
        self.set(zone, (self.get(zone) + microjoules) % self.zones[zone][1])


class NVMLError(Exception):
    """What pynvml raises."""


@dataclass
class FakeGpu:
    """A GPU: energy in mJ, power in mW; None: not supported."""

    name: str | bytes = "H0"
    energy_mj: int | None = 0
    power_mw: int | None = 50_000


@dataclass
class FakeNvml:
    """A module with pynvml's names; a handle is the GPU itself."""

    gpus: list[FakeGpu] = field(default_factory=list)
    starts: bool = True
    running: int = 0
    NVMLError: type[Exception] = NVMLError

    def nvmlInit(self) -> None:
        if not self.starts:
            raise NVMLError("Driver Not Loaded")
        self.running += 1

    def nvmlShutdown(self) -> None:
        self.running -= 1

    def nvmlDeviceGetCount(self) -> int:
        return len(self.gpus)

    def nvmlDeviceGetHandleByIndex(self, k: int) -> FakeGpu:
        return self.gpus[k]

    def nvmlDeviceGetName(self, gpu: FakeGpu) -> str | bytes:
        return gpu.name

    def nvmlDeviceGetTotalEnergyConsumption(self, gpu: FakeGpu) -> int:
        return self._value(gpu.energy_mj)

    def nvmlDeviceGetPowerUsage(self, gpu: FakeGpu) -> int:
        return self._value(gpu.power_mw)

    @staticmethod
    def _value(value: int | None) -> int:
        if value is None:
            raise NVMLError("Not Supported")
        return value


@dataclass
class World:
    """A clock that only a job, a pause or a reading moves on, and the power that a meter sees meanwhile."""

    now: float = 0.0
    joules: float = 0.0
    idle_w: float = 10.0

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.joules += self.idle_w * seconds

    def job(self, seconds: float, joules: float) -> Callable[[], None]:
        """Return a job that takes so long, and so much more than the idle machine."""

        def run() -> None:
            self.sleep(seconds)
            self.joules += joules

        return run


@dataclass
class Counter:
    """A meter of a World, of two domains that share its joules 3 to 1; it fails at its reading number `fails`, if that is given."""

    world: World
    name: str = "counter"
    covers: str = "all of this world"
    fails: int | None = None
    n_read: int = 0
    closed: bool = False
    domains: tuple[str, ...] = ("a", "b")

    def read(self) -> float:
        from neuro.errors import UnsupportedError

        self.n_read += 1
        if self.n_read == self.fails:
            raise UnsupportedError("counter: gone (got nothing; need a number). Look.")
        return self.world.joules

    def start(self) -> Any:
        return _Window(self, self.read())

    def close(self) -> None:
        self.closed = True


@dataclass
class _Window:
    meter: Counter
    first: float

    def stop(self) -> dict[str, float]:
        joules = self.meter.read() - self.first
        return {"a": 0.75 * joules, "b": 0.25 * joules}
