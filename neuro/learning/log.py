"""Collect what a learning run gives back, step by step and sample by sample."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neuro.backend import Learned
from neuro.errors import DataError
from neuro.graph import reference
from neuro.learning import bounds
from neuro.learning.local import FloatArray
from neuro.learning.plan import Plan


@dataclass(kw_only=True, eq=False)
class Log:
    """The arrays of a `Learned`, filled as the run goes on. every: steps between two entries of the trajectory; 0: none."""

    plan: Plan
    every: int
    y: dict[str, FloatArray]
    action: NDArray[np.int64]
    reward: FloatArray
    n_spikes: dict[str, NDArray[np.int64]]
    trajectory: dict[str, FloatArray]
    gradient: dict[str, FloatArray]
    n_updates: dict[str, int]

    @classmethod
    def begin(cls, plan: Plan, batch: int, steps: int, every: int) -> Log:
        """Return an empty log for a batch."""
        if isinstance(every, bool) or not isinstance(every, int) or every < 0:
            raise DataError(
                f"learn: trajectory_every out of range (got {every!r}; need a whole number >= 0; 0: none). Change it."
            )
        graph = plan.graph
        learning = [s for s in plan.sites if s.source is not None]
        return cls(
            plan=plan,
            every=every,
            y={p.name: np.zeros((batch, steps, p.size)) for p in graph.readouts},
            action=np.full((batch, steps), -1, np.int64),
            reward=np.zeros((batch, steps)),
            n_spikes={p.name: np.zeros((batch, p.size), np.int64) for p in graph.neurons},
            trajectory={s.key: np.zeros((batch, steps // every, s.synapses.size)) for s in learning} if every else {},
            gradient={s.key: np.zeros(s.synapses.size) for s in plan.sites},
            n_updates={s.key: 0 for s in learning},
        )

    def keep_step(
        self, rows: slice, t: int, y: Mapping[str, FloatArray], neurons: Mapping[str, reference.State],
        action: NDArray[np.int64], reward: FloatArray, weight: Mapping[str, FloatArray],
    ) -> None:  # fmt: skip
        """Note step t of some samples; weights are those after it."""
        for name, found in y.items():
            self.y[name][rows, t] = found
        for name in self.n_spikes:
            self.n_spikes[name][rows] += neurons[name]["z"].astype(np.int64)
        self.action[rows, t], self.reward[rows, t] = action, reward
        if self.every and (t + 1) % self.every == 0:
            for key, kept in self.trajectory.items():
                kept[rows, (t + 1) // self.every - 1] = weight[key]

    def keep_sample(self, gradient: Mapping[str, FloatArray], n_updates: Mapping[str, int]) -> None:
        """Note what some samples add up to; gradients are (batch, n) and are summed in the order of samples."""
        for site in self.plan.sites:
            for one in gradient[site.key]:
                self.gradient[site.key] += one
        for key in self.n_updates:
            self.n_updates[key] += n_updates[key]

    def learned(self, weight: Mapping[str, FloatArray]) -> Learned:
        """Return the result, with the graph that has the last weights."""
        still = {s.key for s in self.plan.sites if s.rule.update == "batch"}
        moved = [s for s in self.plan.sites if s.key not in still]
        graph = bounds.with_weights(
            self.plan.graph,
            {s.key: weight[s.key] for s in moved if s.source is not None},
            {s.target: weight[s.key] for s in moved if s.source is None},
        )
        return Learned(
            graph=graph,
            gradient={s.key: self.gradient[s.key] for s in self.plan.sites if s.key in still and s.source is not None},
            bias_gradient={
                s.target: self.gradient[s.key] for s in self.plan.sites if s.key in still and s.source is None
            },
            y=self.y,
            action=self.action,
            reward=self.reward,
            n_spikes=self.n_spikes,
            n_updates=self.n_updates,
            trajectory=self.trajectory,
        )
