"""Measures on recordings: where two backends part, and how active a network was."""

from neuro.metrics.parity import Divergence, Parity, compare_recordings, first_difference, merge
from neuro.metrics.spikes import Activity, activity, intervals_ms, neuron_populations

__all__ = [
    "Activity",
    "Divergence",
    "Parity",
    "activity",
    "compare_recordings",
    "first_difference",
    "intervals_ms",
    "merge",
    "neuron_populations",
]
