"""Own the learning kernel: hold its arrays, check every size and index, and cross into C++.

The C structures are those of neuro/kernels/learn/net.h; its twin in numpy is `neuro.learning.reference`.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from neuro import kernels
from neuro.engine import kernel as engine
from neuro.engine.call import Signals, check_signals
from neuro.engine.layout import Field, check_arrays, check_range, pointer, structure
from neuro.graph import ALIF, LI
from neuro.learning import trails as ways
from neuro.learning.layout import PAD, Group, Places, adapts
from neuro.learning.local import FloatArray
from neuro.learning.plan import Plan, Site
from neuro.learning.rules import UPDATES, EProp, RewardEProp
from neuro.learning.trails import Judge, Trail, Trails

_RESET_CODE = {"threshold": 0, "adaptive": 1, "zero": 2}
_READOUT_CODE = 3
_LOSS_CODE = {"none": 0, "softmax": 1, "regression": 2, "reward": 0}
_PENDING = 6
_TILE = 32
_LEAST_TILE_BYTES = 2**18
"""A tile of the filtered signals of all senders takes about so much at most: a fraction of the second cache."""

_Population = structure(
    "_Population",
    ("numbers", ("kind", "first", "size")),
    ("pointers", ("bias", "leak", "v_th", "rho", "beta", "n_ref")),
)
_Link = structure(
    "_Link", ("numbers", ("first_source", "n_sources", "delay")), ("pointers", ("row", "target", "place"))
)


def _struct(name: str, text: str) -> type[ctypes.Structure]:
    """Return a C structure of fields written as "n: ..." (int64), "d: ..." (double), "p: ..." (pointers), in order."""
    kinds = {"n": ctypes.c_int64, "d": ctypes.c_double, "p": ctypes.c_void_p}
    fields = [(word, kinds[part[0]]) for part in text.split("; ") for word in part[3:].split()]
    return type(name, (ctypes.Structure,), {"_fields_": fields})


_Judge = _struct("_Judge", "n: kind first_target size column; d: scale; n: value delta; d: discount")
_Trail = _struct(
    "_Trail",
    "n: first size window mode adapts own sums neurons plain lag delay delta at_a at_bar at_f at_v at_sum pending feedback n_back; "
    "d: gamma kappa discount rate_reg rate_decay rate_target; p: row leak rho beta back_row back_error back_delay back_at",
)
_Site = _struct(
    "_Site",
    "n: first size when at_sum; d: lr grid rate_reg rate_target; p: start stop low high bias n_changes; n: follows width; d: keep; "
    "p: pre",
)
_Net = _struct(
    "_Net",
    "n: n_inputs n_neurons n_targets n_columns n_slots history span tile n_windows n_errors n_places n_trail n_pending "
    "n_populations n_links n_judges n_trails n_sites; "
    "p: population link judge trail site decay reach dense w feedback",
)
_State = _struct("_State", "p: v a z wait input sent n_sent windows psi cut error trails gradient pending")
_Signals = _struct(
    "_Signals",
    "n: steps; p: row source; n: n_currents; p: current_source current; n: loss n_outputs; p: target mask given chance choose; "
    "d: right wrong; n: actor n_actions; p: y n_spikes action reward",
)


class Told(NamedTuple):
    """What the teacher tells about some samples: loss, and arrays as in `neuro.backend.Teacher`; choose as uint8."""

    loss: str
    target: FloatArray
    mask: FloatArray
    reward: FloatArray
    chance: FloatArray
    choose: NDArray[np.uint8]
    right: float
    wrong: float


class Found(NamedTuple):
    """What a run writes: y (batch, steps, readout units), n_spikes (batch, neurons), action and reward (batch, steps)."""

    y: FloatArray
    n_spikes: NDArray[np.int64]
    action: NDArray[np.int64]
    reward: FloatArray


@dataclass(eq=False)
class Net:
    """A laid-out network: what it learns, where everything lies, and the arrays that learning changes.

    w, (n_weights,): every weight, by `places.place`; padding is 0. feedback: random and adaptive matrices, one after the other. bias: by
    population, what its neurons read. n_changes: by site and target, changes of weights so far.
    """

    plan: Plan
    places: Places
    trails: Trails
    w: FloatArray
    feedback: FloatArray
    bias: dict[str, FloatArray]
    n_changes: dict[str, NDArray[np.int64]]
    _held: list[Any] = field(default_factory=list)
    _c: Any = None

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
        return next((n for n in (32, 16) if n * row <= _LEAST_TILE_BYTES), 8)

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


# --------------------------------------------------------------------------------------------------------- structures


def structures(net: Net) -> Any:
    """Return the C structure of a network, made once; the arrays that it points to are held by `net`."""
    if net._c is None:
        check_net(net)
        net._c = _net(net)
    return net._c


def _keep(net: Net, array: NDArray[Any]) -> int | None:
    held = np.ascontiguousarray(array)
    net._held.append(held)
    return pointer(held)


def _array(net: Net, kind: Any, items: Sequence[Any]) -> int:
    found = (kind * max(len(items), 1))(*items)
    net._held.append(found)
    return ctypes.addressof(found)


def _net(net: Net) -> Any:
    base, places, found = net.places.engine, net.places, net.trails
    receivers = (*net.plan.graph.neurons, *net.plan.graph.readouts)
    trails, n_trail, n_pending, sums = _trail_structures(net)
    sites = [
        _site(net, k, group, site, sums.get(k, -1)) for k, group in enumerate(places.groups) for site in group.sites
    ]
    return _Net(
        base.n_inputs, base.n_neurons, base.n_targets, places.n_columns, base.n_slots, net.history, net.span, net.tile,
        len(places.decay), found.n_errors, places.n_places, n_trail, n_pending,
        len(receivers), len(places.links), len(found.judges), len(trails), len(sites),
        _array(net, _Population, [_population(net, p) for p in receivers]),
        _array(net, _Link, [
            _Link(x.first_source, x.n_sources, x.delay, _keep(net, x.row), _keep(net, x.target), _keep(net, x.place))
            for x in places.links
        ]),
        _array(net, _Judge, [_judge(net, judge, column) for judge, column in found.judges.items()]),
        _array(net, _Trail, trails),
        _array(net, _Site, sites),
        _keep(net, places.decay), _keep(net, places.reach), _keep(net, places.dense), pointer(net.w), pointer(net.feedback),
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
        net.places.engine.target[group.target], graph.population(group.target).size, group.window, t.mode,
        moves, group.own, t.sums, not group.sites[0].synapses.readout, group.plain, t.lag, t.delay, t.delta,
        at["a"], at["bar"], at["f"], at["v"], at["sum"], pending, t.feedback, t.n_back,
        rule.gamma, t.kappa, t.discount, rule.rate_reg, ways.rate_decay(graph, rule), ways.target_rate(graph, rule),
        _keep(net, group.row), _keep(net, own["leak"]), _keep(net, own["rho"]), _keep(net, own["beta"]),
        _keep(net, t.back_row), _keep(net, t.back_error), _keep(net, t.back_delay), _keep(net, t.back_at),
    )  # fmt: skip


def _site(net: Net, k: int, group: Group, site: Site, at_sum: int) -> Any:
    graph, places, rule = net.plan.graph, net.places, site.rule
    assert isinstance(rule, EProp)
    size = graph.population(site.target).size
    low, high = np.zeros(size), np.zeros(size)
    low[site.post], high[site.post] = site.low, site.high  # all synapses of a target have the same
    key = f"{site.source}/{site.target}"
    follows = net.trails.feedback[key] if key in net.plan.adaptive else -1
    width = net.plan.feedback[key].shape[1] if follows >= 0 else 0
    last = [s.key for s in net.plan.sites if f"{s.source}/{s.target}" == key and s.rule.update == rule.update][-1]
    fades = follows >= 0 and last == site.key
    bias = pointer(net.bias[site.target]) if site.source is None else None
    return _Site(
        places.engine.target[site.target], size, UPDATES.index(rule.update), at_sum,
        rule.lr, site.grid or 0.0, rule.rate_reg, ways.target_rate(graph, rule),
        _keep(net, places.start[site.key]), _keep(net, places.stop[site.key]), _keep(net, low), _keep(net, high),
        bias, pointer(net.n_changes[site.key]), follows, width, 1 - net.plan.adaptive[key] if fades else 1.0,
        _keep(net, places.pre),
    )  # fmt: skip


# -------------------------------------------------------------------------------------------------------------- state


def state_fields(net: Net, batch: int) -> tuple[Field, ...]:
    """Return name, dtype and shape of what passes from one step to the next."""
    c, base = structures(net), net.places.engine
    rows = net.history + net.span
    return (
        *((name, np.float64, (batch, base.n_targets)) for name in ("v", "a", "z", "wait", "input")),
        ("sent", np.int32, (batch, base.n_slots, base.n_sources)),
        ("n_sent", np.int64, (batch, base.n_slots)),
        ("windows", np.float64, (batch, c.n_windows, rows, c.n_columns)),
        ("psi", np.float64, (batch, rows, base.n_neurons)),
        ("cut", np.uint8, (batch, rows, base.n_neurons)),
        ("error", np.float64, (batch, rows, c.n_errors)),
        ("trails", np.float64, (batch, c.n_trail)),
        ("gradient", np.float64, (batch, c.n_places)),
        ("pending", np.float64, (batch, c.n_pending, _PENDING)),
    )


def new_state(net: Net, batch: int) -> dict[str, NDArray[Any]]:
    """Return room for the state of some samples; the kernel clears it before step 0."""
    fields = state_fields(net, batch)
    return {name: aligned(*shape) if kind is np.float64 else np.zeros(shape, kind) for name, kind, shape in fields}


def n_bytes(net: Net) -> int:
    """Return how much memory the state of one sample takes."""
    return sum(int(np.prod(shape)) * np.dtype(kind).itemsize for _, kind, shape in state_fields(net, 1))


# --------------------------------------------------------------------------------------------------------------- call


def advance(
    net: Net, state: dict[str, NDArray[Any]], signals: Signals, told: Told, found: Found, steps: tuple[int, int],
    n_threads: int, over_neurons: bool,
) -> None:  # fmt: skip
    """Advance samples by steps[0]..steps[1]-1 of their sequences: their state, weights and what is found are written in place.

    Raises: MemoryError if the system gives no memory or threads.
    """
    c = structures(net)
    batch, length = told.mask.shape
    check_call(net, state, signals, told, found, steps)
    assert batch == 1 or net.plan.batched, batch
    actor = net.plan.actor
    n_actions = net.plan.graph.population(actor).size if actor else 0
    inputs = _Signals(
        length, pointer(signals.event_row), pointer(signals.event_source), signals.current.shape[2],
        pointer(signals.current_source), pointer(signals.current), _LOSS_CODE[told.loss], told.target.shape[2],
        pointer(told.target), pointer(told.mask), pointer(told.reward), pointer(told.chance), pointer(told.choose),
        told.right, told.wrong, net.places.engine.target[actor] if actor else -1, n_actions,
        pointer(found.y), pointer(found.n_spikes), pointer(found.action), pointer(found.reward),
    )  # fmt: skip
    cells = _State(*(pointer(state[name]) for name, _, _ in state_fields(net, batch)))
    numbers = (batch, *steps, net.online, n_threads, over_neurons, engine.instructions())
    failed = kernels.library().neuro_learn(
        ctypes.byref(c), ctypes.byref(cells), ctypes.byref(inputs), *(ctypes.c_int64(int(n)) for n in numbers)
    )
    if failed:
        raise MemoryError("learn: the system gave no memory or no threads for a run")


# ------------------------------------------------------------------------- checks: a failure is a fault of this package


def check_net(net: Net) -> None:
    """Refuse a network that would let the kernel read or write beyond an array."""
    places, base, found = net.places, net.places.engine, net.trails
    assert places.n_places % PAD == 0 and places.n_columns >= base.n_sources + 2, "places"
    arrays: dict[str, Any] = {"reach": places.reach, "pre": places.pre, "w": net.w, "dense": places.dense}
    arrays["feedback"] = net.feedback
    n_feedback = sum(b.size for b in net.plan.feedback.values())
    check_arrays(
        arrays,
        (
            ("reach", np.int32, (places.n_places,)), ("pre", np.int32, (places.n_places,)),
            ("w", np.float64, (places.n_weights,)), ("dense", np.uint8, (places.n_places // PAD,)),
            ("feedback", np.float64, (n_feedback,)),
        ),
    )  # fmt: skip
    if len(places.reach):
        farthest = -(base.n_slots - 1) * places.n_columns
        assert farthest <= places.reach.min() and places.reach.max() < places.n_columns, "reach"
    for link in places.links:
        n = len(link.target)
        assert link.row.shape == (link.n_sources + 1,) and (np.diff(link.row) >= 0).all(), "link"
        assert link.row[0] == 0 and link.row[-1] == n == len(link.place) and 0 <= link.delay < base.n_slots, "link"
        assert 0 <= link.first_source <= base.n_sources - link.n_sources, "link"
        check_range("target", link.target, base.n_targets)
        check_range("place", link.place, places.n_weights)
    for trail in found.trails:
        _check_trail(net, trail)


def _check_trail(net: Net, t: Trail) -> None:
    group = net.places.groups[t.group]
    size = net.plan.graph.population(group.target).size
    assert group.row.shape == (size + 1,) and (np.diff(group.row) >= 0).all() and (group.row % PAD == 0).all(), "row"
    assert group.row[0] >= 0 and group.row[-1] <= net.places.n_places and 0 <= group.window < len(net.places.decay), (
        "row"
    )
    assert 0 <= t.delay <= t.lag <= net.trails.lag and 0 <= t.delta <= net.trails.n_errors, "lag"
    check_range("back_error", t.back_error, net.trails.n_errors)
    if t.feedback == ways.SPARSE:
        assert t.back_row.shape == (size + 1,) and t.back_row[0] == 0 and t.back_row[-1] == len(t.back_at), "back_row"
        assert len(t.back_error) == len(t.back_delay) == len(t.back_at), "back"
        check_range("back_delay", t.back_delay, t.lag + 1)
        check_range("back_at", t.back_at, net.places.n_weights)
    elif t.feedback == ways.DENSE:
        assert len(t.back_error) == t.n_back == len(t.back_at), "back"
        check_range("back_at", t.back_at + size, net.feedback.size + 1)
    elif t.feedback == ways.OWN_ERROR:
        assert 0 <= t.n_back <= net.trails.n_errors - size, "own error"


def check_call(
    net: Net, state: dict[str, NDArray[Any]], signals: Signals, told: Told, found: Found, steps: tuple[int, int]
) -> None:
    """Refuse arrays that do not fit a network and one another."""
    base = net.places.engine
    batch, length = told.mask.shape
    assert 0 <= steps[0] < steps[1] <= length, steps
    check_arrays(state, state_fields(net, batch))
    assert signals.current.shape[:2] == (batch, length), signals.current.shape
    check_signals(base, signals)
    whole = (batch, length)
    arrays: dict[str, Any] = {**told._asdict(), **found._asdict()}
    check_arrays(
        arrays,
        (
            ("target", np.float64, (*whole, told.target.shape[2])),
            ("mask", np.float64, whole), ("reward", np.float64, whole), ("chance", np.float64, whole),
            ("choose", np.uint8, whole), ("y", np.float64, (*whole, base.n_targets - base.n_neurons)),
            ("n_spikes", np.int64, (batch, base.n_neurons)), ("action", np.int64, whole),
        ),
    )  # fmt: skip
    for judge in net.trails.judges:
        size = net.plan.graph.population(judge.readout).size
        assert judge.kind != ways.TAUGHT or told.target.shape[2] == size or told.loss in ("none", "reward"), judge
    assert not told.choose.any() or isinstance(net.plan.sites[0].rule, RewardEProp) or net.plan.actor, "choose"
