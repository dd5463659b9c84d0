"""Run spiking graphs on Intel's Lava (lava-nc 0.10.0), which needs Python 3.10.

This package imports on any Python >= 3.10, without Lava: what it can do and which environment it needs is known anywhere.
`neuro.backend.get("lava")` reaches that environment through a worker; on a Python 3.10 with lava-nc it runs in process.
"""

from neuro_lava.backend import LavaBackend, LavaProgram
from neuro_lava.stock import Plan, plan_stock

__all__ = ["LavaBackend", "LavaProgram", "Plan", "plan_stock"]
