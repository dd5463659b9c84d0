"""Fill the learning kernel's C structures: those of neuro/kernels/learn/net.h, field by field."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuro.engine.layout import pointer
from neuro.graph import ALIF, LI, decay
from neuro.learning import trails as ways
from neuro.learning.layout import Group, adapts
from neuro.learning.local import FloatArray
from neuro.learning.net import Net
from neuro.learning.plan import Site
from neuro.learning.rules import STDP, UPDATES, EProp, RewardSTDP
from neuro.learning.trails import Judge, Trail

_RESET_CODE = {"threshold": 0, "adaptive": 1, "zero": 2}
_READOUT_CODE = 3


def _struct(name: str, text: str) -> type[ctypes.Structure]:
    """Return a C structure of fields written as "n: ..." (int64), "u: ..." (uint64), "d: ..." (double), "p: ..." (pointers), in order."""
    kinds = {"n": ctypes.c_int64, "u": ctypes.c_uint64, "d": ctypes.c_double, "p": ctypes.c_void_p}
    fields = [(word, kinds[part[0]]) for part in text.split("; ") for word in part[3:].split()]
    return type(name, (ctypes.Structure,), {"_fields_": fields})


_Population = _struct("_Population", "n: kind first size; p: bias leak v_th rho beta n_ref")
_Link = _struct("_Link", "n: first_source n_sources delay; p: row target place")
_Judge = _struct("_Judge", "n: kind first_target size column; d: scale; n: value delta; d: discount")
_Trail = _struct(
    "_Trail",
    "n: first size group window mode adapts own sums neurons plain lag delay delta at_a at_bar at_f at_v at_sum pending feedback n_back; "
    "d: gamma kappa discount rate_reg rate_decay rate_target; p: row leak rho beta back_row back_error back_delay back_at",
)
_Site = _struct(
    "_Site",
    "n: first size group when at_sum rounding; u: key; d: lr grid rate_reg rate_target; p: start stop low high bias n_changes; "
    "n: follows width; d: keep; "
    "p: pre",
)
_Pairs = _struct(
    "_Pairs",
    "n: first size window factor at_e pending first_link n_links rounding; u: key; "
    "d: lr grid a_plus a_minus decay_minus decay_e w_min w_max mu_plus mu_minus baseline; "
    "p: start stop low high n_changes back_row back_error back_at",
)
_Net = _struct(
    "_Net",
    "n: n_inputs n_neurons n_targets n_columns n_slots history span tile n_windows n_errors n_places n_trail n_pending "
    "n_populations n_links n_judges n_trails n_sites n_pairs; "
    "p: population link judge trail site pairs decay reach dense number w feedback",
)
State = _struct("State", "p: v a z wait input sent n_sent windows psi cut error trails gradient pending")
Signals = _struct(
    "Signals",
    "n: first_sample steps; p: row source; n: n_currents; p: current_source current; n: loss n_outputs; p: target mask given chance choose; "
    "d: right wrong; n: actor n_actions; p: y n_spikes action reward",
)


def _keep(net: Net, array: NDArray[Any]) -> int | None:
    held = np.ascontiguousarray(array)
    net.held.append(held)
    return pointer(held)


def _array(net: Net, kind: Any, items: Sequence[Any]) -> int:
    found = (kind * max(len(items), 1))(*items)
    net.held.append(found)
    return ctypes.addressof(found)


def build(net: Net) -> Any:
    """Return the C structure of a checked network; the arrays that it points to are held by `net`."""
    base, places, found = net.places.engine, net.places, net.trails
    receivers = (*net.plan.graph.neurons, *net.plan.graph.readouts)
    trails, n_trail, n_pending, sums = _trail_structures(net)
    pairs, n_trail, n_pending = _pair_structures(net, n_trail, n_pending)
    net.pairs = (_Pairs * max(len(pairs), 1))(*pairs)
    gradients = [(k, s) for k, g in enumerate(places.groups) for s in g.sites if not isinstance(s.rule, STDP)]
    sites = [_site(net, k, site, sums.get(k, -1)) for k, site in gradients]
    links = [link for c in places.links.values() for link in c]
    return _Net(
        base.n_inputs, base.n_neurons, base.n_targets, places.n_columns, base.n_slots, net.history, net.span, net.tile,
        len(places.decay), found.n_errors, places.n_places, n_trail, n_pending,
        len(receivers), len(links), len(found.judges), len(trails), len(sites), len(pairs),
        _array(net, _Population, [_population(net, p) for p in receivers]),
        _array(net, _Link, [
            _Link(x.first_source, x.n_sources, x.delay, _keep(net, x.row), _keep(net, x.target), _keep(net, x.place))
            for x in links
        ]),
        _array(net, _Judge, [_judge(net, judge, column) for judge, column in found.judges.items()]),
        _array(net, _Trail, trails),
        _array(net, _Site, sites),
        ctypes.addressof(net.pairs),
        _keep(net, places.decay), _keep(net, places.reach), _keep(net, places.dense),
        _keep(net, places.number), pointer(net.w), pointer(net.feedback),
    )  # fmt: skip


def _population(net: Net, p: Any) -> Any:
    nothing = np.zeros(p.size)
    moves, readout = isinstance(p, ALIF), isinstance(p, LI)
    arrays = (
        p.kappa if readout else p.alpha, nothing if readout else p.v_th, p.rho if moves else nothing,
        p.beta if moves else nothing, nothing if readout else p.n_ref.astype(np.float64),
    )  # fmt: skip
    code = _READOUT_CODE if readout else _RESET_CODE[p.reset]
    bias = pointer(net.bias[p.name])
    return _Population(code, net.places.engine.target[p.name], p.size, bias, *(_keep(net, x) for x in arrays))


def _judge(net: Net, judge: Judge, column: int) -> Any:
    target, size = net.places.engine.target, net.plan.graph.population(judge.readout).size
    value, delta = (target[judge.value], column + size) if judge.value else (-1, -1)
    return _Judge(judge.kind, target[judge.readout], size, column, judge.scale, value, delta, judge.discount)


def _trail_structures(net: Net) -> tuple[list[Any], int, int, dict[int, int]]:
    """Return the trails' structures, how many numbers they keep, how many pending records, and where groups keep their sums of e."""
    made, n_trail, n_pending = [], 0, 0
    sums: dict[int, int] = {}
    for trail in net.trails.trails:
        group = net.places.groups[trail.group]
        moves = adapts(net.plan.graph, group)
        at = {}
        kept = (
            ("a", moves),
            ("bar", trail.mode != ways.DIRECT),
            ("f", trail.mode == ways.REWARD),
            ("v", group.own),
            ("sum", trail.sums),
        )
        for name, wanted in kept:
            at[name] = n_trail - group.first_place
            n_trail += group.n_places * wanted
        if trail.sums:
            sums[trail.group] = at["sum"]
        made.append(_trail(net, group, trail, moves, at, n_pending))
        n_pending += net.plan.graph.population(group.target).size * (1 + (trail.feedback == ways.RATE))
    return made, n_trail, n_pending, sums


def _trail(net: Net, group: Group, t: Trail, moves: bool, at: dict[str, int], pending: int) -> Any:
    graph, rule = net.plan.graph, group.rule
    assert isinstance(rule, EProp)
    own = ways.per_target(graph, group)
    return _Trail(
        net.places.engine.target[group.target], graph.population(group.target).size, t.group, group.window, t.mode,
        moves, group.own, t.sums, not group.sites[0].synapses.readout, group.plain, t.lag, t.delay, t.delta,
        at["a"], at["bar"], at["f"], at["v"], at["sum"], pending, t.feedback, t.n_back,
        rule.gamma, t.kappa, t.discount, rule.rate_reg, ways.rate_decay(graph, rule), ways.target_rate(graph, rule),
        _keep(net, group.row), _keep(net, own["leak"]), _keep(net, own["rho"]), _keep(net, own["beta"]),
        _keep(net, t.back_row), _keep(net, t.back_error), _keep(net, t.back_delay), _keep(net, t.back_at),
    )  # fmt: skip


def _site(net: Net, group: int, site: Site, at_sum: int) -> Any:
    graph, places, rule = net.plan.graph, net.places, site.rule
    assert isinstance(rule, EProp)
    size = graph.population(site.target).size
    low, high = _bounds(size, site)
    key = f"{site.source}/{site.target}"
    follows = net.trails.feedback[key] if key in net.plan.adaptive else -1
    width = net.plan.feedback[key].shape[1] if follows >= 0 else 0
    last = [s.key for s in net.plan.sites if f"{s.source}/{s.target}" == key and s.rule.update == rule.update][-1]
    fades = follows >= 0 and last == site.key
    bias = pointer(net.bias[site.target]) if site.source is None else None
    return _Site(
        places.engine.target[site.target], size, group, UPDATES.index(rule.update), at_sum,
        *_rounding(site), rule.lr, site.grid or 0.0, rule.rate_reg, ways.target_rate(graph, rule),
        _keep(net, places.start[site.key]), _keep(net, places.stop[site.key]), _keep(net, low), _keep(net, high),
        bias, pointer(net.n_changes[site.key]), follows, width, 1 - net.plan.adaptive[key] if fades else 1.0,
        _keep(net, places.pre),
    )  # fmt: skip


def _rounding(site: Site) -> tuple[int, int]:
    """Return how a site's numbers are rounded (Rounding in neuro/kernels/learn/rounding.h), and the key of its random numbers."""
    return (2, site.rounding) if site.rounding is not None else (int(site.grid is not None), 0)


def _bounds(size: int, site: Site) -> tuple[FloatArray, FloatArray]:
    """Return the bounds of each target's weights: all synapses of a target have the same."""
    low, high = np.zeros(size), np.zeros(size)
    low[site.post], high[site.post] = site.low, site.high
    return low, high


def _pair_structures(net: Net, n_trail: int, n_pending: int) -> tuple[list[Any], int, int]:
    """Return the structures of the sites that learn by STDP, and how many numbers and pending records are kept with theirs."""
    made = []
    for group in net.places.groups:
        for site in group.sites if isinstance(group.rule, STDP) else ():
            made.append(_pairs(net, group, site, n_trail - group.first_place, n_pending))
            n_trail += group.n_places
            n_pending += net.plan.graph.population(group.target).size
    return made, n_trail, n_pending


def take_baselines(net: Net) -> None:
    """Let the kernel have the baselines of the rules of `net.plan`, which change from sample to sample."""
    rules = {site.key: site.rule for site in net.plan.sites}
    keys = [site.key for group in net.places.groups for site in group.sites if isinstance(group.rule, STDP)]
    for k, key in enumerate(keys):
        net.pairs[k].baseline = getattr(rules[key], "baseline", 0.0)


def _pairs(net: Net, group: Group, site: Site, at_e: int, pending: int) -> Any:
    graph, places, rule = net.plan.graph, net.places, site.rule
    assert isinstance(rule, STDP)
    size = graph.population(site.target).size
    low, high = _bounds(size, site)
    names = list(places.links)
    first_link = sum(len(places.links[name]) for name in names[: names.index(site.key)])
    rewarded = isinstance(rule, RewardSTDP)
    factor = 0 if not rewarded else 2 if rule.needs_signal else 1
    mu_plus, mu_minus = (1.0, 1.0) if rule.bounds == "soft" else (rule.mu_plus, rule.mu_minus)
    back = (
        ways.straight_back(net.plan, places, net.trails.judges, group)
        if factor == 2
        else (np.zeros(size + 1, np.int64), *ways.NONE)
    )
    return _Pairs(
        places.engine.target[site.target], size, group.window, factor, at_e, pending, first_link, len(places.links[site.key]),
        *_rounding(site), rule.lr, site.grid or 0.0, rule.a_plus, rule.a_minus, float(decay(rule.tau_minus_ms, graph.dt_ms)),
        float(decay(rule.tau_e_ms, graph.dt_ms)) if isinstance(rule, RewardSTDP) else 0.0,
        rule.w_min, rule.w_max, mu_plus, mu_minus, rule.baseline if isinstance(rule, RewardSTDP) else 0.0,
        _keep(net, places.start[site.key]), _keep(net, places.stop[site.key]), _keep(net, low), _keep(net, high),
        pointer(net.n_changes[site.key]), *(_keep(net, x) for x in back),
    )  # fmt: skip
