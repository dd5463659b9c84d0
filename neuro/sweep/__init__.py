"""Sweeps: accuracy against energy over connectivity, target rate, the share of adaptive neurons, and bits of a weight."""

from neuro.sweep.config import SEARCHES, Sweep, load
from neuro.sweep.driver import Result, run
from neuro.sweep.pareto import front
from neuro.sweep.space import AXES, Axis

__all__ = ["AXES", "SEARCHES", "Axis", "Result", "Sweep", "front", "load", "run"]
