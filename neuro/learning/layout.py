"""Lay a plan of learning out for the engine's kernel: synapses sorted by the neuron that they learn for, one array of weights.

What the arrays mean is in neuro/kernels/learn/net.h. Everything here is found once for a structure: weights are written into `w` anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuro.engine import kernel as engine
from neuro.engine.layout import Layout
from neuro.errors import UnsupportedError
from neuro.graph import ALIF, LI, CurrentInput, Graph, decay
from neuro.learning.local import FloatArray
from neuro.learning.plan import Plan, Site
from neuro.learning.rules import STDP, Rule

PAD = 8
"""Places of one target are padded to a multiple of it (kPad)."""
_MOST_WINDOWS = 8
"""Most decays for which every sender's filtered signal is kept; each costs one number a sender and step."""
_LEAST_DECAY = 1e-6
"""A filtered signal of a decay from here on does not vanish within a tile: where it is 0, nothing has come."""

Int = NDArray[np.int64]
Int32 = NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class Group:
    """Synapses into one population that learn by one rule from one signal, biases among them.

    row, (size + 1,): places of each target, padded. window, own: which filtered signal they read; 1: they keep their own eps_v.
    plain: 1: what they read is 0 only if nothing has come.
    """

    target: str
    rule: Rule
    signal: str | None
    sites: tuple[Site, ...]
    row: Int
    window: int
    own: bool
    plain: bool

    @property
    def first_place(self) -> int:
        """Return the first of its places."""
        return int(self.row[0])

    @property
    def n_places(self) -> int:
        """Return the number of its places, padding included."""
        return int(self.row[-1] - self.row[0])


@dataclass(frozen=True, eq=False)
class Link:
    """The synapses of one projection with one delay, sorted by (pre, post): where each sender's begin, targets, places."""

    first_source: int
    n_sources: int
    delay: int
    row: Int
    target: Int32
    place: Int32


@dataclass(frozen=True, eq=False)
class Places:
    """Where every weight lies.

    place: by projection and by "bias/P", the place of each synapse. n_places: that learn. reach, dense, number, pre: see net.h. start, stop:
    by site, the places of each target. links: by projection.
    """

    engine: Layout
    n_columns: int
    groups: tuple[Group, ...]
    place: Mapping[str, Int]
    n_places: int
    n_weights: int
    decay: FloatArray
    reach: Int32
    dense: NDArray[np.uint8]
    number: Int32
    pre: Int32
    start: Mapping[str, Int]
    stop: Mapping[str, Int]
    links: Mapping[str, tuple[Link, ...]]


@dataclass(eq=False)
class _Draft:
    """Places as they are found."""

    place: dict[str, Int] = field(default_factory=dict)
    reach: list[Int] = field(default_factory=list)
    number: list[Int] = field(default_factory=list)
    pre: list[Int] = field(default_factory=list)
    start: dict[str, Int] = field(default_factory=dict)
    stop: dict[str, Int] = field(default_factory=dict)
    decays: list[float] = field(default_factory=lambda: [0.0])
    n: int = 0


def lay_out(plan: Plan) -> Places:
    """Give every synapse of a plan its place. Raises UnsupportedError if there are too many."""
    graph = plan.graph
    base = engine.lay_out(graph, 1)
    n_columns = base.n_sources + 2 + -(base.n_sources + 2) % PAD
    if max((graph.max_delay + 1) * n_columns, graph.n_synapses + PAD * base.n_targets) >= 2**31:
        raise UnsupportedError(
            f"learn: graph too large (got {graph.n_synapses} synapses, longest delay {graph.max_delay}; need synapses, and senders "
            "times delays, < 2**31). Split the graph."
        )
    draft = _Draft()
    groups = tuple(_group(draft, graph, base, n_columns, sites) for sites in _sites_by_group(plan).values())
    n_places, n = draft.n, draft.n
    links: dict[str, tuple[Link, ...]] = {}
    for c in graph.projections:
        if c.name not in draft.place:
            draft.place[c.name] = np.arange(n, n + c.size)
            n += c.size
        links[c.name] = tuple(_links(c, graph, base, draft.place[c.name]))
    reach = np.concatenate([np.zeros(0, np.int64), *draft.reach])
    return Places(
        engine=base,
        n_columns=n_columns,
        groups=groups,
        place=draft.place,
        n_places=n_places,
        n_weights=n,
        decay=np.array(draft.decays),
        reach=reach.astype(np.int32),
        dense=(np.diff(reach.reshape(-1, PAD), axis=1) == 1).all(axis=1).astype(np.uint8),
        number=np.concatenate([np.zeros(0, np.int64), *draft.number]).astype(np.int32),
        pre=np.concatenate([np.zeros(0, np.int64), *draft.pre]).astype(np.int32),
        start=draft.start,
        stop=draft.stop,
        links=links,
    )


def _sites_by_group(plan: Plan) -> dict[Any, list[Site]]:
    found: dict[Any, list[Site]] = {}
    for site in plan.sites:
        rule = replace(site.rule, scale=0.0)  # each projection has its own, which matters to nothing but rounding
        found.setdefault((site.target, rule, site.signal), []).append(site)
    return found


def _group(draft: _Draft, graph: Graph, base: Layout, n_columns: int, sites: list[Site]) -> Group:
    """Give the synapses of a group their places: by target, then site, delay, sender."""
    size = graph.population(sites[0].target).size
    pre = np.concatenate([s.pre.astype(np.int64) for s in sites])
    post = np.concatenate([s.post.astype(np.int64) for s in sites])
    delay = np.concatenate([s.delay.astype(np.int64) for s in sites])
    number = np.repeat(np.arange(len(sites)), [len(s.post) for s in sites])
    firsts = [base.n_sources if s.source is None else base.source[s.source] for s in sites]
    column = np.where(np.array([s.source is None for s in sites])[number], 0, pre) + np.array(firsts)[number]
    order = np.lexsort((pre, delay, number, post))
    count = np.bincount(post, minlength=size)
    row = draft.n + np.concatenate([[0], np.cumsum(-(-count // PAD) * PAD)])
    rank = np.arange(len(post)) - np.repeat(np.cumsum(count) - count, count)
    place = np.empty(len(post), np.int64)
    place[order] = row[post[order]] + rank
    reach = np.full(row[-1] - draft.n, base.n_sources + 1)
    reach[place - draft.n] = column - delay * n_columns
    senders = np.zeros(row[-1] - draft.n, np.int64)
    senders[place - draft.n] = pre
    within = np.zeros(row[-1] - draft.n, np.int64)
    within[place - draft.n] = np.concatenate([np.arange(len(s.post)) for s in sites])
    start = row[:-1].copy()
    for k, site in enumerate(sites):
        draft.place[site.key] = place[number == k]
        draft.start[site.key] = start
        start = start + np.bincount(site.post, minlength=size)
        draft.stop[site.key] = start
    draft.reach.append(reach)
    draft.number.append(within)
    draft.pre.append(senders)
    draft.n = int(row[-1])
    window, own, plain = _window(draft, graph, sites)
    return Group(sites[0].target, sites[0].rule, sites[0].signal, tuple(sites), row, window, own, plain)


def _window(draft: _Draft, graph: Graph, sites: list[Site]) -> tuple[int, bool, bool]:
    """Choose what a group's synapses read: the senders' signals filtered with the one decay of all targets, or as they are."""
    p: Any = graph.population(sites[0].target)
    rule = sites[0].rule
    if isinstance(rule, STDP):  # the trace of arrivals
        return _window_of(draft, float(decay(rule.tau_plus_ms, graph.dt_ms))), False, False
    leak = p.kappa if isinstance(p, LI) else p.alpha
    one = float(leak[0])
    if (leak != one).any() or (not isinstance(p, LI) and p.reset == "zero"):
        return 0, True, False
    if one not in draft.decays and len(draft.decays) >= _MOST_WINDOWS:
        return 0, True, False
    spikes = all(s.source is not None and not isinstance(graph.population(s.source), CurrentInput) for s in sites)
    return _window_of(draft, one), False, spikes and one >= _LEAST_DECAY


def _window_of(draft: _Draft, decay: float) -> int:
    if decay not in draft.decays:
        draft.decays.append(decay)
    return draft.decays.index(decay)


def _links(c: Any, graph: Graph, base: Layout, place: Int) -> list[Link]:
    n_sources = graph.population(c.source).size
    found = []
    for delay in np.unique(c.delay).tolist():
        mine = np.flatnonzero(c.delay == delay) if c.delay.min() != c.delay.max() else slice(None)
        row = np.searchsorted(c.pre[mine], np.arange(n_sources + 1, dtype=np.int32)).astype(np.int64)
        target = (c.post[mine] + np.int32(base.target[c.target])).astype(np.int32)
        found.append(Link(base.source[c.source], n_sources, delay, row, target, place[mine].astype(np.int32)))
    return found


def adapts(graph: Graph, group: Group) -> bool:
    """Tell whether the threshold of a group's targets moves."""
    p = graph.population(group.target)
    return isinstance(p, ALIF) and bool((p.beta != 0).any())
