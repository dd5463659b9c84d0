"""Say on what machine something was measured."""

from __future__ import annotations

import os
import platform
from pathlib import Path


def machine(cpuinfo: Path = Path("/proc/cpuinfo")) -> dict[str, str | int]:
    """Return the processor, the number of cores that this process may use, system and Python.

    Parameters: cpuinfo, the kernel's file; without it the processor is what Python knows of it.
    """
    named: dict[str, str] = {}
    if cpuinfo.exists():
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            name, _, value = line.partition(":")
            named.setdefault(name.strip(), value.strip())
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "processor": named.get("model name") or platform.processor() or platform.machine(),
        "cores": cores or 1,
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
    }
