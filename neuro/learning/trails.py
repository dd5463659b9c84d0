"""Say what the synapses of a plan have to remember, and which errors they learn from: the kernel's trails and judges.

A group of synapses keeps one trail for each way (kappa, delay) that its neurons' spikes take to the readouts. Where weights stand still
within a sample, ways of one kappa share a trail: sum over t of err(t + d) ebar(t) takes each its own delay.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from neuro.graph import Graph
from neuro.learning.feedback import Filters, Route
from neuro.learning.layout import Group, Places, adapts
from neuro.learning.local import FloatArray
from neuro.learning.plan import Plan
from neuro.learning.rules import STDP, EProp, RewardEProp

TAUGHT, POLICY, VALUE, ENTROPY = range(4)
"""Kinds of judge (judge.h)."""
FILTERED, DIRECT, REWARD = range(3)
"""Modes of a trail (eligibility.h)."""
OWN_ERROR, SPARSE, DENSE, RATE = range(4)
"""Kinds of feedback (eligibility.h)."""

Int = NDArray[np.int64]
Int32 = NDArray[np.int32]
_NONE, _NONE32 = np.zeros(0, np.int64), np.zeros(0, np.int32)
NONE = (_NONE32, _NONE)


@dataclass(frozen=True)
class Judge:
    """Columns of errors: of which readout, of what kind, times which scale. value, discount: of the TD error beside a policy."""

    kind: int
    readout: str
    scale: float = 1.0
    value: str = ""
    discount: float = 0.0


@dataclass(frozen=True, eq=False)
class Trail:
    """What a group remembers for one way to the readouts; fields as in net.h."""

    group: int
    mode: int
    feedback: int
    lag: int = 0
    delay: int = 0
    delta: int = 0
    kappa: float = 0.0
    discount: float = 0.0
    sums: bool = False
    n_back: int = 0
    back_row: Int = field(default_factory=lambda: _NONE)
    back_error: Int32 = field(default_factory=lambda: _NONE32)
    back_delay: Int32 = field(default_factory=lambda: _NONE32)
    back_at: Int = field(default_factory=lambda: _NONE)


@dataclass(frozen=True, eq=False)
class Trails:
    """All trails; judges by where their columns begin; feedback: where each matrix "P/Y" begins among them all."""

    trails: tuple[Trail, ...]
    judges: dict[Judge, int]
    n_errors: int
    feedback: dict[str, int]

    @property
    def lag(self) -> int:
        """Return the longest lag."""
        return max((t.lag for t in self.trails), default=0)


def find(plan: Plan, places: Places) -> Trails:
    """Return the trails of a plan's groups."""
    judges: dict[Judge, int] = {}
    n_errors = 0
    for group in places.groups:
        for judge in _judges(plan, group):
            if judge not in judges:
                judges[judge] = n_errors
                n_errors += plan.graph.population(judge.readout).size + 2 * bool(judge.value)
    matrices, at = {}, 0
    for key, b in plan.feedback.items():
        matrices[key], at = at, at + b.size
    find = _Finder(plan, places, judges, matrices)
    return Trails(tuple(t for k in range(len(places.groups)) for t in find.trails(k)), judges, n_errors, matrices)


def _judges(plan: Plan, group: Group) -> list[Judge]:
    rule, signal = group.rule, group.signal
    if signal is None or not rule.needs_signal:
        return []
    if not isinstance(rule, RewardEProp):
        return [Judge(TAUGHT, signal)]
    found = [Judge(POLICY, signal, value=rule.value, discount=rule.discount)]
    found.append(Judge(VALUE, rule.value, -rule.value_cost))
    return found + ([Judge(ENTROPY, signal, rule.entropy)] if rule.entropy else [])


class _Finder:
    """Find the trails of one group after the other."""

    def __init__(self, plan: Plan, places: Places, judges: dict[Judge, int], matrices: dict[str, int]) -> None:
        self._plan, self._places, self._judges, self._matrices = plan, places, judges, matrices

    def trails(self, k: int) -> list[Trail]:
        """Return the trails of group k."""
        group = self._places.groups[k]
        rule = group.rule
        if isinstance(rule, STDP):
            return []
        assert isinstance(rule, EProp)
        # readout -> its column of errors, of what a reward gates and of what none does
        main = {j.readout: self._judges[j] for j in _judges(self._plan, group) if j.kind != ENTROPY}
        bonus = {j.readout: self._judges[j] for j in _judges(self._plan, group) if j.kind == ENTROPY}
        gate = {}
        if isinstance(rule, RewardEProp):
            policy = _judges(self._plan, group)[0]
            delta = self._judges[policy] + self._plan.graph.population(policy.readout).size
            gate = {"mode": REWARD, "delta": delta, "discount": rule.discount}
        if group.sites[0].synapses.readout:
            found = [Trail(k, DIRECT, OWN_ERROR, n_back=main[group.target])] if group.target in main else []
            if gate:
                found = [replace(t, **gate) for t in found]  # type: ignore[arg-type]
            return found + [
                Trail(k, DIRECT, OWN_ERROR, n_back=column) for name, column in bonus.items() if name == group.target
            ]
        found = [replace(t, **gate) if gate else t for t in self._ways(k, group, main)]  # type: ignore[arg-type]
        found += self._ways(k, group, bonus) if bonus else []
        return self._with_rate(k, rule, found)

    def _with_rate(self, k: int, rule: EProp, found: list[Trail]) -> list[Trail]:
        """Let a group keep what the rate's loss needs: the sum of e, or a trail of its own."""
        if rule.rate_reg == 0:
            return found
        if rule.update == "step":
            return [*found, Trail(k, DIRECT, RATE)]
        return [replace(found[0], sums=True), *found[1:]]

    def _ways(self, k: int, group: Group, columns: dict[str, int]) -> list[Trail]:
        """Return a trail for each way, or for each kappa where that is enough."""
        rule, filters = group.rule, group.sites[0].synapses.filters
        assert isinstance(rule, EProp)
        routes = [r for r in group.sites[0].routes if r.readout in columns]
        together = rule.update != "step" and rule.feedback == "symmetric" and not isinstance(rule, RewardEProp)
        keys = sorted({filters[r.filter][0] if together else filters[r.filter] for r in routes})
        found = []
        for key in keys:
            mine = [r for r in routes if (filters[r.filter][0] if together else filters[r.filter]) == key]
            delays = [filters[r.filter][1] for r in mine]
            kappa = filters[mine[0].filter][0]
            trail = Trail(k, FILTERED if kappa else DIRECT, SPARSE, lag=max(delays), delay=max(delays), kappa=kappa)
            if mine[0].matrix:
                found.append(self._dense(trail, mine, columns))
            else:
                size = self._plan.graph.population(group.target).size
                found.append(self._sparse(trail, mine, filters, columns, size))
        return found

    def _dense(self, trail: Trail, routes: list[Route], columns: dict[str, int]) -> Trail:
        error, at = [], []
        for r in routes:
            width = self._plan.feedback[r.matrix].shape[1]
            error += (columns[r.readout] + r.units).tolist()
            at += (self._matrices[r.matrix] + r.units * width).tolist()
        return replace(
            trail, feedback=DENSE, n_back=len(at), back_error=np.array(error, np.int32), back_at=np.array(at, np.int64)
        )

    def _sparse(self, trail: Trail, routes: list[Route], filters: Filters, columns: dict[str, int], size: int) -> Trail:
        pre = np.concatenate([r.pre for r in routes])
        error = np.concatenate([columns[r.readout] + r.post for r in routes])
        delay = np.concatenate([np.full(len(r.pre), filters[r.filter][1]) for r in routes])
        place = np.concatenate([self._places.place[r.projection][r.synapses] for r in routes])
        order = np.argsort(pre, kind="stable")
        return replace(
            trail,
            back_row=np.searchsorted(pre[order], np.arange(size + 1)).astype(np.int64),
            back_error=error[order].astype(np.int32),
            back_delay=delay[order].astype(np.int32),
            back_at=place[order].astype(np.int64),
        )


def straight_back(plan: Plan, places: Places, judges: dict[Judge, int], group: Group) -> tuple[Int, Int32, Int]:
    """Return the ways by which errors of this step come back to the neurons of a group: row, column of errors, place of the weight."""
    size = plan.graph.population(group.target).size
    columns = {j.readout: judges[j] for j in _judges(plan, group)}
    routes = sorted(group.sites[0].routes, key=lambda r: r.filter)
    pre = np.concatenate([r.pre for r in routes])
    order = np.argsort(pre, kind="stable")
    error = np.concatenate([columns[r.readout] + r.post for r in routes])[order]
    place = np.concatenate([places.place[r.projection][r.synapses] for r in routes])[order]
    row = np.searchsorted(pre[order], np.arange(size + 1))
    return row.astype(np.int64), error.astype(np.int32), place.astype(np.int64)


def rate_decay(graph: Graph, rule: EProp) -> float:
    """Return the decay of the running rate in one step."""
    return math.exp(-graph.dt_ms / rule.tau_rate_ms)


def target_rate(graph: Graph, rule: EProp) -> float:
    """Return the wanted rate in spikes a step."""
    return rule.rate_target_hz * graph.dt_ms / 1000


def per_target(graph: Graph, group: Group) -> dict[str, FloatArray]:
    """Return what the targets of a group decay with, each (size,)."""
    p = graph.population(group.target)
    zeros = np.zeros(p.size)
    moves = adapts(graph, group)
    return {
        "leak": np.array(getattr(p, "kappa", None) if group.sites[0].synapses.readout else getattr(p, "alpha", zeros)),
        "rho": np.array(getattr(p, "rho", zeros)) if moves else zeros,
        "beta": np.array(getattr(p, "beta", zeros)) if moves else zeros,
    }
