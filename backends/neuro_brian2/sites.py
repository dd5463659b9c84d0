"""Read a graph's plasticity for Brian2: which projections need synapses of their own, and how they learn. Numpy only.

The equations and the order of operations are those of the learning rules' reference; what Brian2 cannot hold is refused by name.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuro.errors import GraphError, UnsupportedError
from neuro.graph import LI, CurrentInput, Graph, Plasticity, Projection

from .bounds import biased, limits
from .plastic import Block, Filters, block

FloatArray = NDArray[np.float64]
RULES = frozenset({"stdp", "reward_stdp", "eprop"})
"""Learning rules that Brian2 runs here."""


@dataclass(frozen=True, eq=False)
class Site:
    """A projection with synapses of its own: it learns, or carries errors back, or both.

    block: how it learns, or None. low, high: bounds of each weight. signal: the readout whose error teaches. ways: number of the filter by
    which each synapse's readout sends its error back to its sender, or None. n_ways: how many filters there are. bias: what learns is the biases
    of the target: `projection` then joins each neuron to itself, with its bias as weight.
    """

    projection: Projection
    block: Block | None
    low: FloatArray
    high: FloatArray
    signal: str | None
    ways: NDArray[np.int32] | None
    n_ways: int = 0
    bias: bool = False

    @property
    def key(self) -> str:
        """Return the projection's name, or "bias/" and the population's."""
        return f"bias/{self.projection.target}" if self.bias else self.projection.name


@dataclass(frozen=True, eq=False)
class Feedback:
    """Feedback from a readout to a population by a matrix, drawn at random.

    weight: B, (n_readout, n_population). ways: filter of each readout unit. follows: the projections whose changes adaptive feedback takes over.
    decay: by which it shrinks at each of their updates.
    """

    readout: str
    target: str
    weight: FloatArray
    ways: NDArray[np.int32]
    n_ways: int
    follows: tuple[str, ...] = ()
    decay: float = 0.0

    @property
    def key(self) -> str:
        """Return the name of the matrix."""
        return f"{self.target}/{self.readout}"


@dataclass(frozen=True, eq=False)
class Sites:
    """All that learns in a graph, and how errors reach it. n_signals: learning signals a cell has."""

    sites: tuple[Site, ...]
    feedback: tuple[Feedback, ...]
    n_signals: int

    @property
    def signals(self) -> tuple[str, ...]:
        """Return the readouts whose errors are needed."""
        taught = [s for s in self.sites if s.block is not None and s.block.taught]
        return tuple(dict.fromkeys(s.signal for s in taught if s.signal is not None))

    @property
    def actor(self) -> str | None:
        """Return the readout that actions are drawn from, or None."""
        plastic = [s for s in self.sites if s.block is not None and s.projection.plasticity is not None]
        found = [s.signal for s in plastic if s.projection.plasticity.rule in ("stdp", "reward_stdp")]  # type: ignore[union-attr]
        return next((name for name in found if name is not None), None)


def read(graph: Graph) -> Sites:
    """Return what learns in a graph. Raises UnsupportedError for what Brian2 cannot hold, GraphError for what no backend can."""
    _refuse(graph)
    plastic = [c for c in graph.projections if c.plasticity is not None and isinstance(c, Projection)]
    if not plastic:
        raise GraphError(
            "learn: nothing learns (got no projection with plasticity; need at least one). Call neuro.learning.attach."
        )
    filters: dict[str, Filters] = {}
    ways: dict[str, tuple[NDArray[np.int32], int]] = {}
    feedback: list[Feedback] = []
    for name, c in _taught(graph, plastic).items():
        filters[name] = _route(graph, name, c, ways, feedback)
    sites = [
        _site(graph, c, filters.get(c.target, ()), ways.get(c.name))
        for c in graph.projections
        if isinstance(c, Projection) and c.size and (c.plasticity is not None or c.name in ways)
    ]
    sites += [_bias(graph, c, filters.get(c.target, ())) for c in biased(graph).values()]
    return Sites(tuple(sites), tuple(feedback), max((len(f) for f in filters.values()), default=0))


def _refuse(graph: Graph) -> None:
    found = []
    if graph.semantics != "float":
        found.append(f"graph: learning with {graph.semantics} semantics (can: float)")
    for c in graph.projections:
        if c.plasticity is None:
            continue
        where, rule, p = f"projection '{c.name}'", c.plasticity.rule, c.plasticity.parameters
        if rule not in RULES:
            found.append(f"{where}: rule '{rule}' (can: {', '.join(sorted(RULES))})")
        elif p.get("bits", 0):
            found.append(f"{where}: weights of {p['bits']} bits (can: bits 0)")
        elif rule == "eprop" and p["feedback"] == "adaptive" and p["update"] == "batch":
            found.append(f"{where}: feedback 'adaptive' with update 'batch' (can: episode, step)")
        elif rule != "eprop" and (isinstance(graph.population(c.source), CurrentInput) or _is_readout(graph, c.target)):
            found.append(f"{where}: STDP without spikes at both ends (can: from spike inputs and neurons into neurons)")
        elif getattr(graph.population(c.target), "grid", None) is None:
            found.append(f"{where}: target '{c.target}' without a grid (can: graphs from to_grid)")
    if found:
        raise UnsupportedError(
            f"backend 'brian2': cannot learn this graph (got {'; '.join(found)}). The engine runs every rule: use backend='engine'."
        )


def _is_readout(graph: Graph, name: str) -> bool:
    return isinstance(graph.population(name), LI)


# ------------------------------------------------------------------------------------------------------- ways of errors


def _taught(graph: Graph, plastic: list[Projection]) -> dict[str, Projection]:
    """Return the neuron populations that errors reach, each with one of its projections; all must be taught alike."""
    found: dict[str, Projection] = {}
    for c in plastic:
        if c.plasticity is None or not _needs_errors(c.plasticity) or _is_readout(graph, c.target):
            continue
        first = found.setdefault(c.target, c)
        if _teaching(first) != _teaching(c):
            raise UnsupportedError(
                f"backend 'brian2': population '{c.target}' is taught in two ways (got {_teaching(first)} by '{first.name}' and "
                f"{_teaching(c)} by '{c.name}'; need one signal and feedback). Give its projections one rule, or use the engine."
            )
    return found


def _needs_errors(plasticity: Plasticity) -> bool:
    return plasticity.rule == "eprop" or plasticity.parameters.get("factor") == "supervised"


def _teaching(c: Projection) -> tuple[Any, ...]:
    """Return the signal, the kind of feedback, whether traces are filtered, and of a matrix its seed, scale and decay."""
    assert c.plasticity is not None
    p = c.plasticity.parameters
    kind = p.get("feedback", "symmetric")
    drawn = () if kind == "symmetric" else (p["feedback_seed"], p["feedback_scale"], p["feedback_decay"])
    return (c.plasticity.signal, kind, p.get("filter", True), *drawn)


def _route(
    graph: Graph, name: str, c: Projection, ways: dict[str, tuple[NDArray[np.int32], int]], feedback: list[Feedback]
) -> Filters:
    """Return the filters of a population, in rising order; note the ways by which errors reach it."""
    signal, kind, filtered, *drawn = _teaching(c)
    readout = graph.population(signal)
    assert isinstance(readout, LI)
    kappa = readout.kappa if filtered else np.zeros(readout.size)
    joined = [r for r in graph.projections_to(signal) if r.source == name and r.size and isinstance(r, Projection)]
    if kind == "symmetric":
        if not joined:
            raise GraphError(
                f"population '{name}': no error reaches it (got no synapse from it to {signal}; need one for symmetric feedback). "
                "Connect it, or use feedback='random'."
            )
        keys = {r.name: list(zip(kappa[r.post].tolist(), r.delay.tolist(), strict=True)) for r in joined}
        filters = tuple(sorted({key for each in keys.values() for key in each}))
        for r in joined:
            ways[r.name] = np.array([filters.index(key) for key in keys[r.name]], np.int32), len(filters)
        return filters
    delays = sorted({int(d) for r in joined for d in r.delay})
    if len(delays) > 1:
        raise GraphError(
            f"population '{name}': {kind} feedback from '{signal}' needs one delay (got {delays[0]}..{delays[-1]} steps; need one for "
            "all synapses to the readout). Use symmetric feedback, or connect with one delay."
        )
    filters = tuple((k, delays[0] if delays else 1) for k in sorted(set(kappa.tolist())))
    numbers = np.array([[k for k, _ in filters].index(each) for each in kappa.tolist()], np.int32)
    follows = tuple(r.name for r in joined if r.plasticity is not None) if kind == "adaptive" else ()
    if kind == "adaptive" and not follows:
        raise GraphError(
            f"population '{name}': adaptive feedback from '{signal}' has nothing to follow (got no plastic synapse from '{name}' to "
            f"'{signal}'; need one). Let the readout learn, or use feedback='random'."
        )
    (seed, scale, decay), size = drawn, graph.population(name).size
    weight = _stream(seed, f"feedback/{name}/{signal}").standard_normal((readout.size, size)) * (
        scale / math.sqrt(size)
    )
    feedback.append(Feedback(signal, name, weight, numbers, len(filters), follows, decay if follows else 0.0))
    return filters


def _stream(seed: int, name: str) -> np.random.Generator:
    """Return the project's random stream of a seed and a name: PCG64 from sha256("<seed>:<name>"), little-endian."""
    return np.random.Generator(
        np.random.PCG64(int.from_bytes(hashlib.sha256(f"{seed}:{name}".encode()).digest(), "little"))
    )


def _site(graph: Graph, c: Projection, filters: Filters, ways: tuple[NDArray[np.int32], int] | None) -> Site:
    number, n_ways = ways or (None, 0)
    if c.plasticity is None:
        return Site(c, None, c.weight, c.weight, None, number, n_ways)
    p = c.plasticity.parameters
    made = block(c.plasticity.rule, p, graph.dt_ms, _is_readout(graph, c.target), filters)
    low, high = limits(graph, c)
    return Site(c, made, low, high, c.plasticity.signal, number, n_ways)


def _bias(graph: Graph, c: Projection, filters: Filters) -> Site:
    """Return the site of the biases that a projection's rule lets learn."""
    p: Any = graph.population(c.target)
    assert c.plasticity is not None
    every = np.arange(p.size, dtype=np.int32)
    own = Projection(
        name=f"bias/{p.name}",
        source=p.name,
        target=p.name,
        pre=every,
        post=every,
        weight=p.bias,
        plasticity=c.plasticity,
    )
    made = block("eprop", c.plasticity.parameters, graph.dt_ms, _is_readout(graph, p.name), filters, bias=True)
    low, high = limits(graph, own)
    return Site(own, made, low, high, c.plasticity.signal, None, bias=True)
