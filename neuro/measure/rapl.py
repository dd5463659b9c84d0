"""Read the energy counters of the processor: RAPL, through the kernel's powercap files."""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from neuro.errors import UnsupportedError
from neuro.measure.meter import Absent, Ticker

POWERCAP = Path("/sys/class/powercap")
WATCH_S = 10.0
"""Counters are read at least this often. The shortest go round after 65 kJ (2**32 units of 15.3 uJ): once in 10 s at 6.5 kW."""
_ZONE = re.compile(r"intel-rapl:(\d+)(?::\d+)?")


@dataclass(frozen=True)
class Zone:
    """One counter: energy_uj goes from 0 to range_uj and starts again.

    domain: "package-0", "package-0/dram". The kernel gives the counter's largest value as its range, so that a step over the end is
    short by one unit of the counter, at most 61 uJ.
    """

    domain: str
    file: Path
    range_uj: int

    def read(self) -> int:
        """Return the counter in uJ. Raises UnsupportedError if it cannot be read."""
        return _number(self.file)


class Rapl:
    """Count what the processor packages and, where it has a counter, their memory take.

    A package includes its cores, caches and graphics, so their own counters are not added; nor is "psys", which includes the
    packages, nor the zones intel-rapl-mmio, which are the same packages by another way. Counts everything that runs on the machine.
    Source: Linux, Documentation/power/powercap/powercap.rst.
    """

    name = "rapl"

    def __init__(self, zones: tuple[Zone, ...], watch_s: float = WATCH_S) -> None:
        self.zones, self._watch_s = zones, watch_s

    @property
    def domains(self) -> tuple[str, ...]:
        """Names of the packages and their memories."""
        return tuple(z.domain for z in self.zones)

    @property
    def covers(self) -> str:
        """Name what is counted."""
        return f"all that runs on {', '.join(self.domains)} (RAPL through powercap)"

    def start(self) -> _Window:
        """Begin to count."""
        return _Window(self.zones, self._watch_s)

    def close(self) -> None:
        """Do nothing: there is nothing to give back."""


class _Window:
    """Sum the steps of counters, those over the end of their range too."""

    def __init__(self, zones: tuple[Zone, ...], watch_s: float) -> None:
        self._zones, self._lock = zones, threading.Lock()
        self._sum_uj = dict.fromkeys(zones, 0)
        self._last = {zone: zone.read() for zone in zones}
        self._ticker = Ticker(self._take, watch_s)

    def _take(self) -> None:
        with self._lock:
            for zone in self._zones:
                now = zone.read()
                step = now - self._last[zone]
                self._sum_uj[zone] += step if step >= 0 else step + zone.range_uj
                self._last[zone] = now

    def stop(self) -> Mapping[str, float]:
        """Return joules by domain."""
        self._ticker.stop()
        self._take()
        return {zone.domain: n * 1e-6 for zone, n in self._sum_uj.items()}


def find_rapl(root: Path = POWERCAP, watch_s: float = WATCH_S) -> tuple[Rapl | None, tuple[Absent, ...]]:
    """Return the meter of this machine's packages, None if there is none, and what is absent, with reasons.

    Parameters: root, the folder of powercap; watch_s, how often counters are read at least.
    """
    zones: list[Zone] = []
    absent: list[Absent] = []
    try:
        counters = _counters(root)
    except (OSError, UnsupportedError) as err:
        return None, (Absent("rapl", str(err)),)
    for domain, folder in counters:
        try:
            zone = Zone(domain, folder / "energy_uj", _number(folder / "max_energy_range_uj"))
            zone.read()
            zones.append(zone)
        except UnsupportedError as err:
            absent.append(Absent(f"rapl {domain}", str(err)))
    if not zones and not absent:
        reason = (
            f"no RAPL counters (got no package in {root}; need the kernel's intel_rapl driver on an Intel or AMD processor). "
            "Containers and virtual machines mostly hide them: measure on the host."
        )
        absent.append(Absent("rapl", reason))
    return (Rapl(tuple(zones), watch_s) if zones else None), tuple(absent)


def _counters(root: Path) -> list[tuple[str, Path]]:
    """Return name and folder of the counters that add up to the whole: packages and their memories."""
    found = []
    folders = sorted(root.iterdir()) if root.is_dir() else []
    named = {folder.name: _text(folder / "name") for folder in folders if _ZONE.fullmatch(folder.name)}
    for zone, name in named.items():
        package = named.get(zone.rpartition(":")[0])
        if package is None and name.startswith("package"):
            found.append((name, root / zone))
        elif package is not None and package.startswith("package") and name == "dram":
            found.append((f"{package}/dram", root / zone))
    return found


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="ascii").strip()
    except PermissionError as err:
        raise UnsupportedError(
            f"{file}: not to be read (got permission denied; need the right to read). Since Linux 5.10 root alone may, as power tells of "
            f"what is computed (CVE-2020-8694). As root, until the next start: chmod a+r {file.parent.parent}/intel-rapl:*/energy_uj"
        ) from err
    except (OSError, UnicodeDecodeError) as err:
        raise UnsupportedError(f"{file}: not to be read (got {err}; need a number). Look at the driver.") from err


def _number(file: Path) -> int:
    text = _text(file)
    if not text.isdigit():
        raise UnsupportedError(f"{file}: no counter (got '{text[:40]}'; need a whole number). Look at the driver.")
    return int(text)
