"""Choose how many samples run side by side."""

from __future__ import annotations

from collections.abc import Mapping

from neuro.backend import Stimulus
from neuro.graph import INPUTS, CurrentInput, Graph

MEMORY = 2**30
"""Bytes that the samples of a group may take, in Lava's processes and in the files that they map."""

_MESSAGES = 4  # that a channel holds: see simulation._CHANNEL_SIZE


def group(graph: Graph, stimulus: Stimulus, states: Mapping[str, tuple[str, ...]], most: int | None) -> int:
    """Return the size of the groups that a batch is run in: as few as the memory allows, and equal.

    Parameters: states, the rows that are written, by population; most, an upper bound or None.
    """
    fitting = most or max(1, MEMORY // bytes_per_sample(graph, stimulus.steps, states))
    n_groups = -(-stimulus.batch // fitting)
    return -(-stimulus.batch // n_groups)


def bytes_per_sample(graph: Graph, steps: int, states: Mapping[str, tuple[str, ...]]) -> int:
    """Return about what a sample takes: signals and rows, rings of sums in flight, states, messages."""
    total = 0
    for p in graph.populations:
        rows = sum(1 if s == "z" else 8 for s in states.get(p.name, ()))
        if isinstance(p, INPUTS):
            rows += 8 if isinstance(p, CurrentInput) else 1
        total += rows * steps * p.size
        listeners = len({c.target for c in graph.projections_from(p.name)})
        total += p.size * (8 * 12 + 8 * _MESSAGES * (1 + listeners))
    for p in graph.receivers:
        longest = max((int(c.delay.max()) for c in graph.projections_to(p.name) if c.size), default=0)
        total += 2 * 8 * p.size * (min(longest, steps) + 1)
    return total
