"""Choose how many samples run side by side."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from neuro.backend import Stimulus
from neuro.graph import INPUTS, CurrentInput, Graph
from neuro_lava.stock import NOTHING_STOCK, Plan

MEMORY = 2**30
"""Bytes that the samples of a group may take, in Lava's processes and in the files that they map."""

CHANNEL_SIZE = 4
"""Messages that a channel holds. All Processes keep step, so 2 would do; Lava's 64 fill the shared memory."""

_SHARED = Path("/dev/shm")


def group(
    graph: Graph,
    stimulus: Stimulus,
    states: Mapping[str, tuple[str, ...]],
    most: int | None,
    plan: Plan = NOTHING_STOCK,
) -> int:
    """Return the size of the groups that a batch is run in: as few as the memory allows, and equal.

    Parameters: states, the rows that are written, by population; most, an upper bound or None; plan, what is stock.
    """
    fitting = most or max(1, min(_fitting(graph, stimulus.steps, states, plan)))
    n_groups = -(-stimulus.batch // fitting)
    return -(-stimulus.batch // n_groups)


def _fitting(graph: Graph, steps: int, states: Mapping[str, tuple[str, ...]], plan: Plan) -> tuple[int, int]:
    """Return how many samples fit in memory, and in half of the shared memory that is free.

    Shared memory that is full kills the process that writes to it; a container often has 64 MiB.
    """
    free = shutil.disk_usage(_SHARED).free if _SHARED.exists() else MEMORY
    messages = message_bytes_per_sample(graph, plan)
    return MEMORY // (
        bytes_per_sample(graph, steps, states) + stock_bytes_per_sample(graph, plan)
    ), free // 2 // messages


def bytes_per_sample(graph: Graph, steps: int, states: Mapping[str, tuple[str, ...]]) -> int:
    """Return about what a sample takes: signals and rows, states, rings of sums in flight, messages."""
    total = message_bytes_per_sample(graph)
    for p in graph.populations:
        rows = sum(1 if s == "z" else 8 for s in states.get(p.name, ()))
        if isinstance(p, INPUTS):
            rows += 8 if isinstance(p, CurrentInput) else 1
        total += rows * steps * p.size + 8 * 12 * p.size
    for p in graph.receivers:
        longest = max((int(c.delay.max()) for c in graph.projections_to(p.name) if c.size), default=0)
        total += 2 * 8 * p.size * (min(longest, steps) + 1)
    return total


def stock_bytes_per_sample(graph: Graph, plan: Plan) -> int:
    """Return about what the blocks of stock matrices take: weights and delays, each twice while DelaySparse splits them."""
    return sum(4 * (8 + 4) * c.size for c in graph.projections if c.name in plan.projections)


def message_bytes_per_sample(graph: Graph, plan: Plan = NOTHING_STOCK) -> int:
    """Return what the channels take: from each population to the synapses of each that it reaches, and from those on.

    A stock projection is a Process of its own, and a stock population has a probe, which asks for two Vars and receives them.
    """
    links = [graph.population(source).size for source, _ in {(c.source, c.target) for c in graph.projections}]
    links += [p.size for p in graph.receivers]
    links += [graph.population(c.target).size for c in graph.projections if c.name in plan.projections]
    links += [graph.population(c.source).size for c in graph.projections if c.name in plan.projections]
    links += [5 * p.size for p in graph.receivers if p.name in plan.populations]
    return 8 * CHANNEL_SIZE * max(sum(links), 1)
