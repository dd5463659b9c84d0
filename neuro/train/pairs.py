"""Cut a network's weights into the projections that it is exported as."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from neuro.graph import Population
from neuro.train.lsnn import LSNN


@dataclass(frozen=True)
class Pair:
    """Potential synapses of one projection, int64 arrays of shape (n,).

    entries: positions in the network's weights; pre, post: neurons, counted in their populations; listed: they come from the list
    of a projection, whose zeros are synapses too.
    """

    name: str
    source: str
    target: str
    entries: np.ndarray
    pre: np.ndarray
    post: np.ndarray
    listed: bool


def pairs(model: LSNN) -> list[Pair]:
    """Return the projections of a network: one for each list, and for each matrix one between any two populations it joins."""
    sources, targets = _stretches((*model.inputs, *model.neurons)), _stretches((*model.neurons, *model.readouts))
    found, first = [], 0
    for block in model.blocks:
        pre, post = block.pre.ravel(), block.post.ravel()
        for source, low_pre in sources:
            for target, low_post in targets:
                here = (pre >= low_pre) & (pre < low_pre + source.size)
                here &= (post >= low_post) & (post < low_post + target.size)
                if block.projection is not None:
                    if block.projection[1:] != (source.name, target.name):
                        continue
                    name = block.projection[0]
                elif here.any():
                    name = f"{source.name}->{target.name}"
                else:
                    continue
                entries = np.flatnonzero(here)
                found.append(
                    Pair(
                        name=name,
                        source=source.name,
                        target=target.name,
                        entries=first + entries,
                        pre=pre[entries] - low_pre,
                        post=post[entries] - low_post,
                        listed=block.projection is not None,
                    )
                )
        first += len(pre)
    return found


def delays(model: LSNN) -> np.ndarray:
    """Return the delays of all weights side by side, int32 (n,)."""
    parts = [model.get_buffer(f"delay_{b.name}").numpy().ravel() for b in model.blocks]
    return np.concatenate([np.zeros(0, dtype=np.int32), *parts])


def _stretches(populations: Sequence[Population]) -> list[tuple[Population, int]]:
    """Pair every population with its first row."""
    ends = np.cumsum([p.size for p in populations])
    return [(p, int(end) - p.size) for p, end in zip(populations, ends, strict=True)]
