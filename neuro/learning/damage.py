"""Damage a graph as a chip may be damaged: some neurons are dead, all weights are a little off."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuro import seeds
from neuro.errors import RecipeError, UnsupportedError
from neuro.graph import INPUTS, Graph, Projection, to_grid


@dataclass(frozen=True, kw_only=True, eq=False)
class DamageNote:
    """What was damaged.

    killed: the dead neurons of each population, sorted. n_neurons: how many neurons there are. n_lost: synapses that were removed;
    n_perturbed: weights that changed. noise: standard deviation of the factor. largest_change: of any weight.
    """

    killed: Mapping[str, NDArray[np.int64]]
    n_neurons: int
    n_lost: int
    n_perturbed: int
    noise: float
    largest_change: float

    @property
    def n_killed(self) -> int:
        """Return how many neurons are dead."""
        return sum(len(found) for found in self.killed.values())

    def __str__(self) -> str:
        by = ", ".join(f"{len(found)} of '{name}'" for name, found in self.killed.items()) or "none"
        return (
            f"damage: {self.n_killed} of {self.n_neurons} neurons are dead ({by}): {self.n_lost} synapses from and to them were removed and "
            f"their biases set to 0, so they never spike\ndamage: {self.n_perturbed} weights were multiplied by 1 + {self.noise:g} N(0, 1); "
            f"largest change {self.largest_change:.3g}"
        )


def damage(graph: Graph, *, kill: float = 0.2, noise: float = 0.2, seed: int = 0) -> tuple[Graph, DamageNote]:
    """Kill a share of the recurrent neurons and perturb the weights; return the new graph, on a new grid, and a note.

    round(kill * n) of the n spiking neurons, drawn from the stream "damage/kill" over all populations alike, lose every synapse from and to
    them, and their bias. Each weight that is left becomes w (1 + noise N(0, 1)), from "damage/noise/PROJECTION". Population sizes, delays,
    plasticity and notes stay.

    Raises: RecipeError for kill outside 0..1 or noise < 0; UnsupportedError for an integer graph.
    """
    _check(graph, kill, noise)
    dead = _draw_dead(graph, kill, seed)
    parts = [_damaged(c, dead, noise, seed) for c in graph.projections]
    projections, changes = [c for c, _ in parts], np.concatenate([np.zeros(0), *(change for _, change in parts)])
    populations: list[Any] = [_without_bias(p, dead.get(p.name)) for p in graph.populations]
    off_grid = replace(graph, populations=tuple(populations), projections=tuple(projections))
    made, _ = to_grid(off_grid)
    note = DamageNote(
        killed={name: np.flatnonzero(gone) for name, gone in dead.items()}, n_neurons=sum(p.size for p in graph.neurons),
        n_lost=graph.n_synapses - sum(c.size for c in projections), n_perturbed=int(np.count_nonzero(changes)), noise=noise,
        largest_change=float(changes.max(initial=0.0)),
    )  # fmt: skip
    return made, note


def _check(graph: Graph, kill: float, noise: float) -> None:
    if not 0 <= kill <= 1:
        raise RecipeError(f"damage 'kill': out of range (got {kill}; need a share in 0..1). Choose another.")
    if not (noise >= 0 and np.isfinite(noise)):
        raise RecipeError(f"damage 'noise': out of range (got {noise}; need a number >= 0). Choose another.")
    if graph.semantics != "float":
        raise UnsupportedError(
            f"damage: {graph.semantics} graph (got {graph.semantics} semantics; need float). Damage the float graph, and quantize that."
        )


def _draw_dead(graph: Graph, kill: float, seed: int) -> dict[str, NDArray[np.bool_]]:
    """Draw which neurons die, by population, over all populations as one."""
    n = sum(p.size for p in graph.neurons)
    gone = np.zeros(n, dtype=bool)
    gone[seeds.stream(seed, "damage/kill").choice(n, size=round(kill * n), replace=False)] = True
    edges = np.cumsum([p.size for p in graph.neurons])[:-1]
    return {p.name: part for p, part in zip(graph.neurons, np.split(gone, edges), strict=True)}


def _damaged(
    c: Any, dead: Mapping[str, NDArray[np.bool_]], noise: float, seed: int
) -> tuple[Projection, NDArray[np.float64]]:
    """Return a projection without the synapses of dead neurons, its weights perturbed, and how much each of these changed."""
    keep = np.ones(c.size, dtype=bool)
    for name, index in ((c.source, c.pre), (c.target, c.post)):
        if name in dead:
            keep &= ~dead[name][index]
    factor = 1.0 + noise * seeds.stream(seed, f"damage/noise/{c.name}").standard_normal(c.size)
    weight = c.weight * factor
    kept = replace(c, pre=c.pre[keep], post=c.post[keep], weight=weight[keep], delay=c.delay[keep])
    return kept, np.abs(weight - c.weight)[keep]


def _without_bias(p: Any, gone: NDArray[np.bool_] | None) -> Any:
    """Return a population without a grid, the biases of its dead neurons 0; an input as it is."""
    if isinstance(p, INPUTS):
        return p
    return replace(p, grid=None) if gone is None else replace(p, bias=np.where(gone, 0.0, p.bias), grid=None)
