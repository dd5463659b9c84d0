"""Measures on recordings: where two backends part, how active a network was, what it did, and what that costs on a device."""

from neuro.metrics.blame import Departure, Suspect
from neuro.metrics.counting import workload
from neuro.metrics.dense import dense_workload, join_dense
from neuro.metrics.devices import Device, Figure, device, devices, refused
from neuro.metrics.distribution import Distribution, distribution
from neuro.metrics.divergence import Delivery, Explanation, Side, check_one_stimulus, explain
from neuro.metrics.energy import PARTS, Energy, Part, Range
from neuro.metrics.estimate import MOST_STEP_S, check_step_time, estimate
from neuro.metrics.neurobench import NeuroBench, neurobench, neurobench_dense
from neuro.metrics.parity import Divergence, Parity, compare_recordings, first_difference, merge
from neuro.metrics.replay import Synapse
from neuro.metrics.routing import Mesh, Placed
from neuro.metrics.spikes import Activity, activity, cv, intervals_ms, neuron_populations
from neuro.metrics.workload import Operations, Routing, Updates, Workload

__all__ = [
    "MOST_STEP_S",
    "PARTS",
    "Activity",
    "Delivery",
    "Departure",
    "Device",
    "Distribution",
    "Divergence",
    "Energy",
    "Explanation",
    "Figure",
    "Mesh",
    "NeuroBench",
    "Operations",
    "Parity",
    "Part",
    "Placed",
    "Range",
    "Routing",
    "Side",
    "Suspect",
    "Synapse",
    "Updates",
    "Workload",
    "activity",
    "check_one_stimulus",
    "check_step_time",
    "compare_recordings",
    "cv",
    "dense_workload",
    "device",
    "devices",
    "distribution",
    "estimate",
    "explain",
    "first_difference",
    "intervals_ms",
    "join_dense",
    "merge",
    "neurobench",
    "neurobench_dense",
    "neuron_populations",
    "refused",
    "workload",
]
