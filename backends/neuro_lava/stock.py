"""Say which parts of an integer graph Lava's stock Processes compute exactly, and why the others are not among them.

Read from the models of lava-nc 0.10.0 (`lava.proc.lif`, `lava.proc.sparse`, tag "bit_accurate_loihi"), and tested against them:
stock LIF wraps u where the graph clips it, has one decay and one threshold a Process, no refractory period, and a bias of 13 bits
times 2**0..7; stock Sparse and DelaySparse floor each sum if the exponent is negative, and take one synapse a pair.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuro.graph import DECAY_ONE, INTEGER, MAX_STATE, SCALE_BITS, STATE_BITS, Graph, IntLIF, IntProjection

_MANTISSA, _BIAS_EXPONENTS = 2**12, range(8)


@dataclass(frozen=True)
class Plan:
    """Name what runs on stock Processes: populations on LIF, projections on Sparse or DelaySparse. The rest is our own.

    why_not: of each population and of each projection that is not stock, the reasons. hardware: all neurons run on a board,
    and readouts with what leads to them on the host.
    """

    populations: frozenset[str] = frozenset()
    projections: frozenset[str] = frozenset()
    why_not: tuple[Mapping[str, tuple[str, ...]], Mapping[str, tuple[str, ...]]] = ({}, {})
    hardware: bool = False

    def __bool__(self) -> bool:
        return bool(self.populations or self.projections)

    def __str__(self) -> str:
        return f"populations {_listed(self.populations)}; projections {_listed(self.projections)}"

    @property
    def reasons(self) -> list[str]:
        """Return every reason."""
        return [text for each in self.why_not for found in each.values() for text in found]

    def off_board(self, graph: Graph) -> list[str]:
        """Return why a graph cannot run on a board: the reasons about neurons and what leads to them."""
        neurons = {p.name for p in graph.neurons}
        led = {c.name for c in graph.projections if c.target in neurons}
        populations, projections = self.why_not
        found = [text for name in populations if name in neurons for text in populations[name]]
        return found + [text for name in projections if name in led for text in projections[name]]


NOTHING_STOCK = Plan()


def plan_stock(graph: Graph, *, hardware: bool = False) -> Plan:
    """Choose stock Processes wherever they are equal to the golden model, in every state, for every stimulus.

    Parameters: hardware, whether it is for a board: reasons then are also given for what cannot be counted there.
    """
    populations = {p.name: tuple(_of_population(graph, p, hardware)) for p in graph.receivers}
    projections = {c.name: tuple(_of_projection(c)) for c in graph.projections if c.size}
    on_host = {c.name for c in graph.projections if hardware and populations[c.target]}
    return Plan(
        populations=frozenset(name for name, found in populations.items() if not found),
        projections=frozenset(name for name, found in projections.items() if not found and name not in on_host),
        why_not=(populations, projections),
        hardware=hardware,
    )


def _of_population(graph: Graph, p: Any, hardware: bool) -> Iterator[str]:
    where = f"population '{p.name}'"
    if type(p) is not IntLIF:
        able = "stock LIF: IntLIF" if isinstance(p, INTEGER) else "stock LIF: IntLIF; neuro.quantize makes integers"
        yield f"{where}: kind {type(p).__name__} ({able})"
        return
    if p.reset != "zero":
        yield f"{where}: reset '{p.reset}' (stock LIF: 'zero')"
    if p.n_ref.any():
        yield f"{where}: n_ref {int(p.n_ref.max())} (stock LIF: 0)"
    if p.state_bits != STATE_BITS:
        yield f"{where}: state_bits {p.state_bits} (stock LIF: {STATE_BITS})"
    for field in ("d_u", "d_v", "v_th"):
        n = len(np.unique(getattr(p, field)))
        if n > 1:
            yield f"{where}: {field} with {n} values (stock LIF: one a population)"
    for c in _into(graph, p.name):
        if c.size and c.exponent < 0:
            yield f"{where}: projection '{c.name}' has exponent {c.exponent} (stock LIF: 0..7, its input has no finer unit)"
    yield from _of_bias(where, p)
    low, high = bounds_of_u(graph, p)
    worst = int(max(low.max(), high.max()))
    if worst > MAX_STATE:
        yield f"{where}: |u| can reach {worst} (stock LIF: up to {MAX_STATE}, it wraps beyond)"
    elif hardware and not _v_is_bounded(p, low, high):
        yield f"{where}: v can clip, and a board does not count clips (on a board: v within {MAX_STATE})"


def _of_bias(where: str, p: IntLIF) -> Iterator[str]:
    for j, bias in enumerate(p.bias.tolist()):
        if bias_parts(bias) is None:
            yield f"{where}: bias {bias} of neuron {j} (stock LIF: 13 bits times 2**0..7)"
            break
    start = start_of_v(p.bias, p.d_v)
    if np.abs(start).max() > MAX_STATE:
        j = int(np.abs(start).argmax())
        yield (
            f"{where}: bias {int(p.bias[j])} of neuron {j} with d_v {int(p.d_v[j])} (stock LIF integrates it once before step "
            "0, and no start of v makes up for that)"
        )


def _of_projection(c: Any) -> Iterator[str]:
    where = f"projection '{c.name}'"
    if not isinstance(c, IntProjection):
        yield f"{where}: kind {type(c).__name__} (stock Sparse: IntProjection)"
        return
    if c.exponent < 0:
        yield f"{where}: exponent {c.exponent} (stock Sparse: 0..7)"
    pairs = c.pre.astype(np.int64) * (int(c.post.max()) + 1) + c.post
    n = c.size - len(np.unique(pairs))
    if n:
        yield f"{where}: several synapses a pair, {n} too many (stock Sparse: one)"


def bias_parts(bias: int) -> tuple[int, int] | None:
    """Return mantissa and exponent of a bias, mantissa * 2**exponent, with the least exponent; None if it has none."""
    for exponent in _BIAS_EXPONENTS:
        if bias % 2**exponent == 0 and -_MANTISSA <= bias >> exponent < _MANTISSA:
            return bias >> exponent, exponent
    return None


def start_of_v(bias: NDArray[np.int64], d_v: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return what v has to be before the lead-in step, in which stock LIF adds its bias to it, to be 0 after it.

    decay(v, d_v) takes every whole number on its way to 0, so there always is one: the least whose decay is the bias.
    """
    kept = DECAY_ONE - d_v
    start: NDArray[np.int64] = -np.sign(bias) * -(-np.abs(bias) * DECAY_ONE // kept)
    return start


def bounds_of_u(graph: Graph, p: IntLIF) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return how far u can go below and above 0 for any spikes, (size,) each: the geometric sum of all that can arrive."""
    low, high = np.zeros(p.size, np.int64), np.zeros(p.size, np.int64)
    for c in _into(graph, p.name):
        np.add.at(low, c.post, np.maximum(-c.activation, 0))
        np.add.at(high, c.post, np.maximum(c.activation, 0))
    return low * DECAY_ONE // (p.d_u + 1), high * DECAY_ONE // (p.d_u + 1)


def _v_is_bounded(p: IntLIF, low: NDArray[np.int64], high: NDArray[np.int64]) -> bool:
    """Tell whether no sum of v is ever clipped: it starts at most at the threshold, and falls at most as far as it leaks."""
    top = ((p.v_th << SCALE_BITS) * (DECAY_ONE - p.d_v) >> 12) + high + np.maximum(p.bias, 0)
    fall = low + np.maximum(-p.bias, 0)
    bottom = fall * DECAY_ONE // np.maximum(p.d_v, 1)
    return bool(((top <= MAX_STATE) & (bottom <= MAX_STATE) & ((p.d_v > 0) | (fall == 0))).all())


def _into(graph: Graph, target: str) -> list[IntProjection]:
    return [c for c in graph.projections_to(target) if isinstance(c, IntProjection)]


def _listed(names: frozenset[str]) -> str:
    return ", ".join(sorted(names)) or "none"
