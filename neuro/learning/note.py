"""Say in words what learning changed in a graph."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from neuro.graph import Graph, Projection
from neuro.learning.evaluation import Score
from neuro.learning.local import FloatArray
from neuro.learning.plan import Plan, Site, prepare


@dataclass(frozen=True, kw_only=True)
class SiteNote:
    """What learning changed in one place: the synapses of a projection, or the biases of a population ("bias/NAME").

    n: numbers that learn. n_changed: those that are different now. n_at_bound: those that lie on a bound now. n_updates: changes on the
    way, each counted (None: not told). mean_change, largest_change: of |new - old|. largest_use: largest |w| / bound, 0 where unbounded.
    n_moved: synapses that were not there before, which the figures above leave out but for those at a bound; n_moves: how often one was
    rewired on the way (None: rewiring was off).
    """

    key: str
    rule: str
    update: str
    n: int
    n_changed: int
    n_at_bound: int
    n_updates: int | None
    mean_change: float
    largest_change: float
    largest_use: float
    n_moved: int = 0
    n_moves: int | None = None

    def __str__(self) -> str:
        what = "biases" if self.key.startswith("bias/") else "synapses"
        text = (
            f"'{self.key}' by {self.rule} ({self.update}): {self.n_changed} of {self.n} {what} changed, mean |change| "
            f"{self.mean_change:.3g}, largest {self.largest_change:.3g}; {self.n_at_bound} lie on their bound"
        )
        if self.largest_use:
            text += f" (the largest uses {100 * self.largest_use:.0f} % of it)"
        text += f"; {self.n_updates} changes in all" if self.n_updates is not None else ""
        if self.n_moves is None:
            return text
        return f"{text}; rewired: {self.n_moved} of {self.n} synapses moved, by {self.n_moves} moves in all"


@dataclass(frozen=True, kw_only=True)
class LearnNote:
    """What a learning run changed.

    before, after: scores on the validation set, of the graph as given and of the one returned, with rates. iteration: of the latter.
    n_samples: that the run has seen. sites: place by place.
    """

    before: Score
    after: Score
    iteration: int
    n_samples: int
    sites: tuple[SiteNote, ...]
    unchanged: tuple[str, ...] = ()

    def __str__(self) -> str:
        lines = [
            f"before: validation {self.before}",
            f"after {self.iteration} iterations: validation {self.after} ({self.n_samples} samples seen in all)",
            f"rates: {self._rates()}",
            *(str(site) for site in self.sites),
        ]
        if self.unchanged:
            lines.append("without a rule, as they were: " + ", ".join(f"'{name}'" for name in self.unchanged))
        return "\n".join(lines)

    def _rates(self) -> str:
        pairs = (
            f"'{name}' {was:.1f} -> {self.after.rates_hz[name]:.1f} Hz" for name, was in self.before.rates_hz.items()
        )
        return ", ".join(pairs) or "no neurons"


def note_of(
    plan: Plan, graph: Graph, before: Score, after: Score, iteration: int, n_samples: int, n_updates: Mapping[str, int],
    n_moves: Mapping[str, int] | None = None,
) -> LearnNote:  # fmt: skip
    """Compare a graph that has learned with the one that the plan was made of.

    Parameters: n_updates, by site, and n_moves, by projection that is rewired, of the whole run (not only up to the iteration that is kept).
    """
    learning, moves = {site.key for site in plan.sites}, n_moves or {}
    sites = prepare(graph).sites if moves else plan.sites  # bounds are those of the new structure
    return LearnNote(
        before=before, after=after, iteration=iteration, n_samples=n_samples,
        sites=tuple(
            _site_note(plan, old, new, graph, n_updates.get(new.key), moves.get(new.key))
            for old, new in zip(plan.sites, sites, strict=True)
        ),
        unchanged=tuple(c.name for c in graph.projections if c.name not in learning),
    )  # fmt: skip


def numbers(graph: Graph, site: Site) -> FloatArray:
    """Return what a site changes, as it is in a graph: weights or biases."""
    if site.source is None:
        bias: FloatArray = graph.population(site.target).bias  # type: ignore[union-attr]
        return bias
    return next(c.weight for c in graph.projections if c.name == site.key and isinstance(c, Projection))


def _site_note(
    plan: Plan, before: Site, site: Site, graph: Graph, n_updates: int | None, n_moves: int | None
) -> SiteNote:
    old, new = plan.weight[site.key], numbers(graph, site)
    bound = np.maximum(np.abs(site.low), np.abs(site.high))
    used = np.abs(new[np.isfinite(bound) & (bound > 0)]) / bound[np.isfinite(bound) & (bound > 0)]
    was, now = _same_synapses(before, site) if n_moves is not None else (slice(None), slice(None))
    change = np.abs(new[now] - old[was])
    return SiteNote(
        key=site.key, rule=site.rule.name, update=site.rule.update, n=len(new), n_changed=int(np.count_nonzero(change)),
        n_at_bound=int(((new <= site.low) | (new >= site.high)).sum()), n_updates=n_updates,
        mean_change=float(change.mean()) if change.size else 0.0, largest_change=float(change.max(initial=0.0)),
        largest_use=float(used.max(initial=0.0)), n_moved=len(new) - len(change), n_moves=n_moves,
    )  # fmt: skip


def _same_synapses(before: Site, after: Site) -> tuple[Any, Any]:
    """Return where the synapses are, before and after, that join the same pair with the same delay: no pair has two."""
    ids = [np.stack([s.pre, s.post, s.delay]).astype(np.int64) for s in (before, after)]
    span = np.concatenate(ids, axis=1).max(axis=1, initial=0) + 1
    old, new = ((i[0] * span[1] + i[1]) * span[2] + i[2] for i in ids)
    _, was, now = np.intersect1d(old, new, assume_unique=True, return_indices=True)
    return was, now
