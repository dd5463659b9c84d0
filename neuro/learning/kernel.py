"""Own the learning kernel: hold its state, check every size and index, and cross into C++.

The C structures are those of neuro/kernels/learn/net.h; its twin in numpy is `neuro.learning.reference`.
"""

from __future__ import annotations

import ctypes
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from neuro import kernels
from neuro.engine import kernel as engine
from neuro.engine.call import Signals, check_signals
from neuro.engine.layout import Field, check_arrays, check_range, pointer
from neuro.learning import structures
from neuro.learning import trails as ways
from neuro.learning.layout import PAD
from neuro.learning.local import FloatArray
from neuro.learning.net import Net, aligned
from neuro.learning.trails import Trail

_LOSS_CODE = {"none": 0, "softmax": 1, "regression": 2, "reward": 0}
_PENDING = 6


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


def structure(net: Net) -> Any:
    """Return the C structure of a network, checked and made once."""
    if net.c is None:
        check_net(net)
        net.c = structures.build(net)
    return net.c


# -------------------------------------------------------------------------------------------------------------- state


def state_fields(net: Net, batch: int) -> tuple[Field, ...]:
    """Return name, dtype and shape of what passes from one step to the next."""
    c, base = structure(net), net.places.engine
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
    n_threads: int, over_neurons: bool, first_sample: int = 0,
) -> None:  # fmt: skip
    """Advance samples by steps[0]..steps[1]-1 of their sequences: their state, weights and what is found are written in place.

    first_sample: how many the run has learned from before the first of these (`neuro.learning.integer`).

    Raises: MemoryError if the system gives no memory or threads.
    """
    c = structure(net)
    batch, length = told.mask.shape
    check_call(net, state, signals, told, found, steps)
    assert batch == 1 or net.plan.batched, batch
    actor = net.plan.actor
    n_actions = net.plan.graph.population(actor).size if actor else 0
    inputs = structures.Signals(
        first_sample, length, pointer(signals.event_row), pointer(signals.event_source), signals.current.shape[2],
        pointer(signals.current_source), pointer(signals.current), _LOSS_CODE[told.loss], told.target.shape[2],
        pointer(told.target), pointer(told.mask), pointer(told.reward), pointer(told.chance), pointer(told.choose),
        told.right, told.wrong, net.places.engine.target[actor] if actor else -1, n_actions,
        pointer(found.y), pointer(found.n_spikes), pointer(found.action), pointer(found.reward),
    )  # fmt: skip
    cells = structures.State(*(pointer(state[name]) for name, _, _ in state_fields(net, batch)))
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
    arrays["number"] = places.number
    arrays["feedback"] = net.feedback
    n_feedback = sum(b.size for b in net.plan.feedback.values())
    check_arrays(
        arrays,
        (
            ("reach", np.int32, (places.n_places,)), ("pre", np.int32, (places.n_places,)),
            ("w", np.float64, (places.n_weights,)), ("number", np.int32, (places.n_places,)), ("dense", np.uint8, (places.n_places // PAD,)),
            ("feedback", np.float64, (n_feedback,)),
        ),
    )  # fmt: skip
    if len(places.reach):
        farthest = -(base.n_slots - 1) * places.n_columns
        assert farthest <= places.reach.min() and places.reach.max() < places.n_columns, "reach"
    for link in (link for c in places.links.values() for link in c):
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
    check_arrays(
        told._asdict(),
        (
            ("target", np.float64, (*whole, told.target.shape[2])), ("mask", np.float64, whole),
            ("reward", np.float64, whole), ("chance", np.float64, whole), ("choose", np.uint8, whole),
        ),
    )  # fmt: skip
    check_arrays(
        found._asdict(),
        (
            ("y", np.float64, (*whole, base.n_targets - base.n_neurons)), ("reward", np.float64, whole),
            ("n_spikes", np.int64, (batch, base.n_neurons)), ("action", np.int64, whole),
        ),
    )  # fmt: skip
    for judge in net.trails.judges:
        size = net.plan.graph.population(judge.readout).size
        assert judge.kind != ways.TAUGHT or told.target.shape[2] == size or told.loss in ("none", "reward"), judge
    actor = net.plan.actor
    assert actor is None or not told.choose.any() or told.target.shape[2] == net.plan.graph.population(actor).size, (
        "choose"
    )
