"""Measures on recordings: where two backends part, and how active a network was."""

from neuro.metrics.blame import Departure, Suspect
from neuro.metrics.divergence import Delivery, Explanation, Side, check_one_stimulus, explain
from neuro.metrics.parity import Divergence, Parity, compare_recordings, first_difference, merge
from neuro.metrics.replay import Synapse
from neuro.metrics.spikes import Activity, activity, cv, intervals_ms, neuron_populations

__all__ = [
    "Activity",
    "Delivery",
    "Departure",
    "Divergence",
    "Explanation",
    "Parity",
    "Side",
    "Suspect",
    "Synapse",
    "activity",
    "check_one_stimulus",
    "compare_recordings",
    "cv",
    "explain",
    "first_difference",
    "intervals_ms",
    "merge",
    "neuron_populations",
]
