"""Price what a model did on devices; where a device cannot be asked, say why."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from neuro.deploy import Placement, placement
from neuro.errors import DataError, NeuroError
from neuro.graph import Graph
from neuro.metrics import Device, Energy, Workload, check_step_time, device, estimate

DEVICES = ("loihi", "digital45")
"""Devices that a comparison prices unless it is told others: a neuromorphic chip, and digital logic with its memory traffic."""
PROFILE_OF = {"loihi": "loihi1"}
"""The profile of `neuro.deploy` that holds a device's limits, and places a graph on its cores."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Refused:
    """Why a device gives no energy for a model."""

    reason: str


def find_devices(names: Sequence[str], step_time_s: float | None) -> dict[str, Device]:
    """Look devices up by name, each once.

    Raises: UnsupportedError for one that is unknown or has no published figures; DataError for one given twice, or a step time
    out of range.
    """
    if step_time_s is not None:
        check_step_time(step_time_s)
    twice = sorted({n for n in names if list(names).count(n) > 1})
    if twice:
        raise DataError(f"devices: given twice (got {', '.join(twice)}; need each name once). Leave one out.")
    return {name: device(name) for name in names}


def price(
    work: Workload,
    devices: Mapping[str, Device],
    step_time_s: float | None,
    place: Callable[[Device], Workload] | None = None,
) -> dict[str, Energy | Refused]:
    """Estimate what an inference costs on each device.

    Parameters: step_time_s, stated time of a step, None: real time; place, gives the workload with the routing of a graph that is
    placed on a device's cores, or raises NeuroError.
    """
    found: dict[str, Energy | Refused] = {}
    for name, chosen in devices.items():
        try:
            counted = place(chosen) if place is not None and chosen.needs_placement else work
            found[name] = estimate(counted, chosen, step_time_s=step_time_s)
        except NeuroError as err:
            found[name] = Refused(reason=str(err))
    return found


def placed_on(graph: Graph, chosen: Device) -> Placement:
    """Place a graph on a device's cores. Raises DataError if there is no profile of its chip, the graph is float, or a limit is broken."""
    where = f"device '{chosen.name}'"
    profile = PROFILE_OF.get(chosen.name)
    if profile is None:
        raise DataError(
            f"{where}: needs a placement, and no profile holds this chip's limits (got none; need one of {', '.join(PROFILE_OF)}). Place the "
            "graph yourself and use neuro.metrics.estimate."
        )
    if graph.semantics != "integer":
        raise DataError(
            f"{where}: needs a placement on the chip's cores, and holds integers (got a float graph; need an integer one). Quantize it: neuro "
            f"quantize GRAPH --profile {profile}"
        )
    found = placement(graph, profile)
    if found.broken:
        raise DataError(
            f"{where}: cannot hold this graph (got broken limits of {profile}: {len(found.broken)}; need none, 'neuro check GRAPH --profile "
            f"{profile}' lists them). Quantize the float graph for it: neuro quantize GRAPH --profile {profile}"
        )
    return found
