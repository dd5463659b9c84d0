"""Measures on recordings: where two backends part, how active a network was, and what it did, counted for energy estimates."""

from neuro.metrics.blame import Departure, Suspect
from neuro.metrics.counting import workload
from neuro.metrics.distribution import Distribution, distribution
from neuro.metrics.divergence import Delivery, Explanation, Side, check_one_stimulus, explain
from neuro.metrics.parity import Divergence, Parity, compare_recordings, first_difference, merge
from neuro.metrics.replay import Synapse
from neuro.metrics.routing import Mesh, Placed
from neuro.metrics.spikes import Activity, activity, intervals_ms, neuron_populations
from neuro.metrics.workload import Operations, Routing, Updates, Workload

__all__ = [
    "Activity",
    "Delivery",
    "Departure",
    "Distribution",
    "Divergence",
    "Explanation",
    "Mesh",
    "Operations",
    "Parity",
    "Placed",
    "Routing",
    "Side",
    "Suspect",
    "Synapse",
    "Updates",
    "Workload",
    "activity",
    "check_one_stimulus",
    "compare_recordings",
    "distribution",
    "explain",
    "first_difference",
    "intervals_ms",
    "merge",
    "neuron_populations",
    "workload",
]
