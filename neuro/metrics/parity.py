"""Say whether two recordings of one graph agree bit for bit, and where they first part."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuro.errors import DataError
from neuro.recording import Events, Recording

_CAUSE = ("u", "a", "x", "v", "z", "y")
"""States of one step in the order in which the semantics compute them (DESIGN section 2): each may follow from those before."""


@dataclass(frozen=True, kw_only=True)
class Divergence:
    """The first place where two recordings part.

    step, sample, population, neuron, state: where; state is "z" for spikes, else the name of a trace.
    values: what each recording has there, for z 1.0 (a spike) or 0.0. backends: their names, in the same order.
    """

    step: int
    sample: int
    population: str
    neuron: int
    state: str
    values: tuple[float, float]
    backends: tuple[str, str]

    def __str__(self) -> str:
        left, right = (f"{b} {_digits(self.state, x)}" for b, x in zip(self.backends, self.values, strict=True))
        return (
            f"first difference at step {self.step}, sample {self.sample}, population '{self.population}', "
            f"neuron {self.neuron}, state {self.state}: {left}, {right}"
        )


@dataclass(frozen=True, kw_only=True)
class Parity:
    """How two recordings of one graph compare.

    exact: no difference anywhere. asserted: both backends are exact and the graph is on its grid, so a difference is a fault
    of a backend; otherwise it is only reported. divergence: the first one, None when exact.
    n_samples, n_equal_samples: samples compared, and those without any difference.
    n_spikes, n_values: spikes of the first recording and trace values of each that were compared.
    """

    asserted: bool
    divergence: Divergence | None
    n_samples: int
    n_equal_samples: int
    n_spikes: int
    n_values: int

    @property
    def exact(self) -> bool:
        """Tell whether nothing differs."""
        return self.divergence is None

    @property
    def failed(self) -> bool:
        """Tell whether recordings that have to agree do not."""
        return self.asserted and not self.exact

    def __str__(self) -> str:
        if self.divergence is None:
            text = f"exact ({self.n_spikes} spikes and {self.n_values} values in {self.n_samples} samples)"
        else:
            text = f"{self.divergence} ({self.n_equal_samples} of {self.n_samples} samples agree)"
        return text if self.asserted else f"{text}; reported, not asserted: the graph or a backend is not exact"


def first_difference(a: Recording, b: Recording) -> Divergence | None:
    """Return the first place where two recordings of one graph and stimulus part, or None.

    Compared are the spikes of every population and the traces that both recordings hold, with ``==``: no tolerance. (Two NaNs at
    one place agree.) "First" is the smallest (step, sample, state, population, neuron), where states come in the order in which a
    step computes them, u, a, x, v, z, y. So the answer is the cause and not its effect: a spike that differs because the membrane
    does is reported as the membrane, if both recorded it; and a difference spreads only to later steps of the same sample.
    Populations are in the graph's order.

    Raises: DataError if the recordings are not of one graph and one shape, or have nothing in common.
    """
    return compare_recordings(a, b).divergence


def compare_recordings(a: Recording, b: Recording) -> Parity:
    """Compare two recordings of one graph and stimulus; see `first_difference` for what is compared and in which order.

    Raises: DataError if the recordings are not of one graph and one shape, are empty, or have nothing in common.
    """
    _check(a, b)
    found: list[Divergence] = []
    differing: list[NDArray[np.int64]] = [np.zeros(0, np.int64)]
    n_spikes = n_values = 0
    for name, left, right in _spikes(a, b):
        n_spikes += len(left)
        step, sample, unit, value = _unpaired(left, right)
        differing.append(sample)
        if len(step):
            found.append(_divergence(a, b, name, "z", (step[0], sample[0], unit[0]), (value[0], 1.0 - value[0])))
    for name, state, x, y in _traces(a, b):
        n_values += x.size
        at = _first(x, y)
        if at is not None:
            differing.append(np.flatnonzero(_different(x, y).any(axis=(1, 2))))
            sample_, step_, unit_ = at
            found.append(_divergence(a, b, name, state, (step_, sample_, unit_), (x[at], y[at])))
    order = {name: k for k, name in enumerate(a.sizes)}
    found.sort(key=lambda d: (d.step, d.sample, _rank(d.state), order.get(d.population, len(order)), d.neuron))
    n_different = len(np.unique(np.concatenate(differing)))
    return Parity(
        asserted=a.exact and b.exact,
        divergence=found[0] if found else None,
        n_samples=a.batch,
        n_equal_samples=a.batch - n_different,
        n_spikes=n_spikes,
        n_values=n_values,
    )


def merge(parts: list[Parity], first_samples: list[int]) -> Parity:
    """Join the parities of consecutive groups of samples; first_samples[k] is the number of part k's sample 0 in the whole."""
    assert parts and len(parts) == len(first_samples)
    found = [
        replace(p.divergence, sample=p.divergence.sample + first)
        for p, first in zip(parts, first_samples, strict=True)
        if p.divergence is not None
    ]
    return Parity(
        asserted=all(p.asserted for p in parts),
        divergence=min(found, key=lambda d: (d.step, d.sample)) if found else None,
        n_samples=sum(p.n_samples for p in parts),
        n_equal_samples=sum(p.n_equal_samples for p in parts),
        n_spikes=sum(p.n_spikes for p in parts),
        n_values=sum(p.n_values for p in parts),
    )


def _digits(state: str, value: float) -> str:
    """Write a double with all its digits, and a whole number, as spikes and integer states are, without a point."""
    whole = state == "z" or (abs(value) < 2**53 and value == int(value))
    return str(int(value)) if whole else repr(float(value))


def _rank(state: str) -> tuple[int, str]:
    return (_CAUSE.index(state) if state in _CAUSE else len(_CAUSE), state)


def _check(a: Recording, b: Recording) -> None:
    where = f"parity of '{a.backend}' and '{b.backend}'"
    found = [
        f"{where}: {what} differs (got {x} and {y}; need one). Compare recordings of one graph and one stimulus."
        for what, x, y in (
            ("graph", a.graph_sha256[:12], b.graph_sha256[:12]),
            ("batch", a.batch, b.batch),
            ("number of steps", a.steps, b.steps),
        )
        if x != y
    ]
    if not found and not (a.batch and a.steps):
        found = [
            f"{where}: nothing was recorded (got {a.batch} samples of {a.steps} steps; need at least one of each). Record a run that went on."
        ]
    if not found and not (set(a.spikes) & set(b.spikes)) and not any(_traces(a, b)):
        found = [
            f"{where}: nothing in common (got spikes of {sorted(a.spikes)} and {sorted(b.spikes)}; need at least one population "
            "or state in both). Record the same things."
        ]
    if found:
        raise DataError("\n".join(found))


def _spikes(a: Recording, b: Recording) -> Iterator[tuple[str, Events, Events]]:
    for name, events in a.spikes.items():
        if name in b.spikes:
            yield name, events, b.spikes[name]


def _traces(a: Recording, b: Recording) -> Iterator[tuple[str, str, NDArray[np.float64], NDArray[np.float64]]]:
    for name, states in a.traces.items():
        for state, values in states.items():
            if state in b.traces.get(name, {}):
                yield name, state, values, b.traces[name][state]


def _unpaired(a: Events, b: Events) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[np.float64]]:
    """Return step, sample, unit of the spikes that only one of two has, by (step, sample, unit), and 1.0 where `a` has it."""
    step, sample, unit = (np.concatenate([getattr(e, k) for e in (a, b)]) for k in ("step", "sample", "unit"))
    of_a = np.repeat([1.0, 0.0], [len(a), len(b)])
    order = np.lexsort((unit, sample, step))
    step, sample, unit, of_a = step[order], sample[order], unit[order], of_a[order]
    twin = (np.diff(step) == 0) & (np.diff(sample) == 0) & (np.diff(unit) == 0)  # neither has a spike twice
    alone = ~(np.append(twin, False) | np.append(False, twin))[: len(step)]
    return step[alone], sample[alone].astype(np.int64), unit[alone], of_a[alone]


def _different(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.bool_]:
    return (x != y) & ~(np.isnan(x) & np.isnan(y))


def _first(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[int, int, int] | None:
    """Return (sample, step, unit) of the first difference by (step, sample, unit), or None."""
    if x.shape != y.shape:
        raise DataError(f"parity: traces differ in shape (got {x.shape} and {y.shape}; need one). A backend's fault.")
    if np.array_equal(x, y):
        return None
    where = np.argwhere(_different(x, y).transpose(1, 0, 2))
    if not len(where):
        return None
    step, sample, unit = where[0].tolist()
    return sample, step, unit


def _divergence(
    a: Recording, b: Recording, name: str, state: str, at: tuple[Any, Any, Any], values: tuple[Any, Any]
) -> Divergence:
    step, sample, unit = (int(k) for k in at)
    return Divergence(
        step=step,
        sample=sample,
        population=name,
        neuron=unit,
        state=state,
        values=(float(values[0]), float(values[1])),
        backends=(a.backend, b.backend),
    )
