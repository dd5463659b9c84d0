"""Say what machine a benchmark ran on."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

INSTRUCTION_SETS = ("avx2", "fma", "avx512f", "avx512bw", "neon", "asimd", "sve")


def use_cores(n: int) -> None:
    """Keep this process, and those it starts, to n of the cores it may use: JAX takes a thread for each core it finds."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:n])


def describe() -> dict[str, Any]:
    """Return CPU model, cores this process may use, their vector instruction sets, and the Python and system versions."""
    info: dict[str, str] = {}
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            name, _, value = line.partition(":")
            info.setdefault(name.strip(), value.strip())
    flags = info.get("flags", info.get("Features", "")).split()
    return {
        "cpu": info.get("model name", platform.processor() or platform.machine()),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "flags": [f for f in INSTRUCTION_SETS if f in flags],
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
    }


def one_line(machine: dict[str, Any]) -> str:
    """Return a description in one line."""
    return f"{machine['cpu']}, {machine['cores']} cores ({', '.join(machine['flags'])}), Python {machine['python']}"
