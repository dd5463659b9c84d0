"""Hold a network that learns on the engine: where everything lies, and the arrays that learning changes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuro.learning import trails as ways
from neuro.learning.layout import Places
from neuro.learning.local import FloatArray
from neuro.learning.plan import Plan
from neuro.learning.trails import Trails

_TILE = 32
"""Most steps that the network is ahead of the eligibility (kMostTile)."""
_TILE_BYTES = 2**18
"""A tile of the filtered signals of all senders takes about so much at most: a fraction of the second cache."""


@dataclass(eq=False)
class Net:
    """A laid-out network: what it learns, where everything lies, and the arrays that learning changes.

    w, (n_weights,): every weight, by `places.place`; padding is 0. feedback: random and adaptive matrices, one after the other. bias: by
    population, what its neurons read. n_changes: by site and target, changes of weights so far. c: the
    kernel's structure of it, once made (`neuro.learning.structures`), with pairs, its part of STDP, and held, what it points to.
    """

    plan: Plan
    places: Places
    trails: Trails
    w: FloatArray
    feedback: FloatArray
    bias: dict[str, FloatArray]
    n_changes: dict[str, NDArray[np.int64]]
    held: list[Any] = field(default_factory=list)
    c: Any = None
    pairs: Any = None

    @property
    def online(self) -> bool:
        """Tell whether weights change at every step."""
        return any(site.rule.update == "step" for site in self.plan.sites)

    @property
    def history(self) -> int:
        """Return how many steps back anything is read."""
        return self.places.engine.n_slots + self.trails.lag + 1

    @property
    def tile(self) -> int:
        """Return how many steps the network is ahead of the eligibility."""
        if self.online:
            return 1
        row = 8 * self.places.n_columns
        return next((n for n in (_TILE, 16) if n * row <= _TILE_BYTES), 8)

    @property
    def span(self) -> int:
        """Return how many steps a window goes on before its past is moved."""
        return -(-max(self.history, _TILE) // _TILE) * _TILE


def make(plan: Plan, places: Places) -> Net:
    """Return the network of a plan, with its weights and feedback."""
    w = aligned(places.n_weights)
    for key, place in places.place.items():
        w[place] = plan.weight[key]
    matrices = [plan.feedback[key].ravel() for key in plan.feedback]
    return Net(
        plan=plan,
        places=places,
        trails=ways.find(plan, places),
        w=w,
        feedback=np.concatenate([np.zeros(0), *matrices]),
        bias={p.name: np.array(p.bias) for p in plan.graph.receivers},
        n_changes={s.key: np.zeros(plan.graph.population(s.target).size, np.int64) for s in plan.sites},
    )


def aligned(*shape: int) -> Any:
    """Return zeros, float64, on a boundary of a cache line."""
    n = int(np.prod(shape, dtype=np.int64))
    room = np.zeros(n + 8)
    first = -(room.ctypes.data // 8) % 8
    return room[first : first + n].reshape(shape)
