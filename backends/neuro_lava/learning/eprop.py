"""Read a graph's e-prop for Lava: which synapses learn, from which errors, by which ways; what Lava refuses. Numpy only."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuro.errors import GraphError, UnsupportedError
from neuro.graph import ALIF, LI, CurrentInput, Graph, Projection
from neuro_lava.learning.eligibility import Constants, Filters

FloatArray = NDArray[np.float64]
Index = NDArray[np.int64]
RULES = frozenset({"eprop"})


@dataclass(frozen=True, kw_only=True, eq=False)
class Feedback:
    """How errors of a readout reach a population: the learning signal of way f at neuron j is the sum over k of B_jk err_k.

    Symmetric: way, neuron, unit and synapse, (m,): B is made of the weights, as they are, of these synapses of all that end in the readout.
    Random: matrix, (ways, K, size); the others are empty.
    """

    size: int
    n_ways: int
    way: Index
    neuron: Index
    unit: Index
    synapse: Index
    matrix: FloatArray

    def signal(self, error: FloatArray, weight: FloatArray) -> FloatArray:
        """Return the learning signals, (ways, size), from the errors (K,) and the weights into the readout."""
        if self.matrix.size:
            return np.asarray(np.einsum("fkj,k->fj", self.matrix, error))
        found = np.zeros((self.n_ways, self.size))
        np.add.at(found, (self.way, self.neuron), weight[self.synapse] * error[self.unit])
        return found


@dataclass(frozen=True, kw_only=True, eq=False)
class Site:
    """The synapses into one population, of which some learn; in the order of the graph's projections to it.

    target, signal: the population; the readout whose errors teach it, "" if nothing here learns. parts: each projection's first synapse
    and the one after its last. post, learns: (n,), of all. lr, low, high, grid, update, gamma: of the rule. constants: of those that
    learn. feedback: None into a readout.
    """

    target: str
    signal: str
    parts: dict[str, tuple[int, int]]
    post: Index
    learns: NDArray[np.bool_]
    lr: float
    low: FloatArray
    high: FloatArray
    grid: float
    update: str
    gamma: float
    constants: Constants
    feedback: Feedback | None

    def settled(self, weight: FloatArray) -> FloatArray:
        """Return weights clipped to their bounds and rounded, half to even, to multiples of the grid."""
        return np.asarray(np.rint(np.clip(weight, self.low, self.high) / self.grid) * self.grid + 0.0)


def read(graph: Graph) -> dict[str, Site]:
    """Return the sites of a graph by population: those that learn, and the readouts that teach.

    Raises: UnsupportedError, with every reason, for what these Processes cannot hold; GraphError if nothing learns or no error can reach
    a population.
    """
    found = list(_refused(graph))
    if found:
        raise UnsupportedError(
            f"backend 'lava': cannot learn this graph (got {'; '.join(found)}). The engine runs every rule: use backend='engine'."
        )
    plastic = [c for c in graph.projections if c.plasticity is not None]
    if not plastic:
        raise GraphError(
            "learn: nothing learns (got no projection with plasticity; need at least one). Call neuro.learning.attach."
        )
    names = dict.fromkeys([c.target for c in plastic] + [str(c.plasticity.signal) for c in plastic if c.plasticity])
    return {name: _site(graph, name) for name in names}


def _refused(graph: Graph) -> Iterator[str]:
    if graph.semantics != "float":
        yield f"graph: learning with {graph.semantics} semantics (can: float)"
    first: dict[str, Projection] = {}
    for c in graph.projections:
        if c.plasticity is None:
            continue
        where, p = f"projection '{c.name}'", c.plasticity.parameters
        if c.plasticity.rule not in RULES:
            able = (
                "replay.learn runs reward_stdp on given spikes" if c.plasticity.rule == "reward_stdp" else "can: eprop"
            )
            yield f"{where}: rule '{c.plasticity.rule}' ({able})"
            continue
        if p["feedback"] == "adaptive":
            yield f"{where}: feedback 'adaptive' (can: random, symmetric)"
        if p.get("bits", 0):
            yield f"{where}: weights of {p['bits']} bits (can: bits 0)"
        if p["learn_bias"]:
            yield f"{where}: learn_bias (can: weights)"
        if getattr(graph.population(c.target), "grid", None) is None:
            yield f"{where}: target '{c.target}' without a grid (can: graphs from to_grid)"
        if not isinstance(graph.population(c.plasticity.signal or ""), LI):
            yield f"{where}: signal '{c.plasticity.signal}' (can: a readout)"
        other = first.setdefault(c.target, c)
        if other.plasticity != c.plasticity:
            yield f"{where}: another rule than '{other.name}' into '{c.target}' (can: one for a population)"


def _site(graph: Graph, target: str) -> Site:
    p: Any = graph.population(target)
    projections = [c for c in graph.projections_to(target) if c.size]
    ends = np.cumsum([0, *(c.size for c in projections)]).tolist()
    post = np.concatenate([np.zeros(0, np.int64), *(c.post.astype(np.int64) for c in projections)])
    learns = np.concatenate([np.zeros(0, bool), *(np.full(c.size, c.plasticity is not None) for c in projections)])
    rule = next((c.plasticity for c in projections if c.plasticity is not None), None)
    q: Any = (
        dict(rule.parameters) if rule else {"lr": 0.0, "update": "batch", "gamma": 0.0, "w_max": 0.0, "rate_reg": 0.0}
    )
    signal = str(rule.signal) if rule else ""
    filters: Filters = ((0.0, 1),)
    feedback = None
    if rule and not isinstance(p, LI):
        filters, feedback = _feedback(graph, target, signal, q)
    low, high = _limits(graph, p, q["w_max"], projections, post[learns], learns)
    return Site(
        target=target, signal=signal, parts={c.name: (a, b) for c, a, b in zip(projections, ends, ends[1:], strict=False)},
        post=post, learns=learns, lr=q["lr"], low=low, high=high, grid=p.grid, update=q["update"], gamma=q["gamma"],
        constants=_constants(graph, p, post[learns], filters, q), feedback=feedback,
    )  # fmt: skip


def _constants(graph: Graph, p: Any, post: Index, filters: Filters, q: Any) -> Constants:
    zeros = np.zeros(len(post))
    adapts = isinstance(p, ALIF)
    return Constants(
        readout=isinstance(p, LI), alpha=zeros if isinstance(p, LI) else p.alpha[post], rho=p.rho[post] if adapts else zeros,
        beta=p.beta[post] if adapts else zeros, kappa=p.kappa[post] if isinstance(p, LI) else zeros, filters=filters,
        rate_reg=q["rate_reg"], target_rate=q.get("rate_target_hz", 0.0) * graph.dt_ms / 1000,
        keep_rate=math.exp(-graph.dt_ms / q.get("tau_rate_ms", 1000.0)), online=q["update"] == "step",
    )  # fmt: skip


def _feedback(graph: Graph, target: str, signal: str, q: Any) -> tuple[Filters, Feedback]:
    """Return the ways from a population to a readout, in rising order, and how errors come back by them."""
    readout: Any = graph.population(signal)
    kappa = readout.kappa if q["filter"] else np.zeros(readout.size)
    size = graph.population(target).size
    joined, first = [], 0
    for c in graph.projections_to(signal):
        if c.source == target and c.size:
            joined.append((c, first))
        first += c.size
    none = np.zeros(0, np.int64)
    if q["feedback"] == "random":
        delays = sorted({int(d) for c, _ in joined for d in c.delay})
        if len(delays) > 1:
            raise GraphError(
                f"population '{target}': random feedback from '{signal}' needs one delay (got {delays[0]}..{delays[-1]} steps; need one for "
                "all synapses to the readout). Use symmetric feedback, or connect with one delay."
            )
        filters = tuple((k, delays[0] if delays else 1) for k in sorted(set(kappa.tolist())))
        drawn = _stream(q["feedback_seed"], f"feedback/{target}/{signal}").standard_normal((readout.size, size))
        b = drawn * (q["feedback_scale"] / math.sqrt(size))
        matrix = np.stack([b * (kappa == k)[:, None] for k, _ in filters])
        return filters, Feedback(
            size=size, n_ways=len(filters), way=none, neuron=none, unit=none, synapse=none, matrix=matrix
        )
    if not joined:
        raise GraphError(
            f"population '{target}': no error reaches it (got no synapse from it to {signal}; need one for symmetric feedback). Connect "
            "it, or use feedback='random'."
        )
    unit = np.concatenate([c.post for c, _ in joined]).astype(np.int64)
    keys = list(zip(kappa[unit].tolist(), np.concatenate([c.delay for c, _ in joined]).tolist(), strict=True))
    filters = tuple(sorted(set(keys)))
    return filters, Feedback(
        size=size, n_ways=len(filters), way=np.array([filters.index(key) for key in keys]), unit=unit,
        neuron=np.concatenate([c.pre for c, _ in joined]).astype(np.int64),
        synapse=np.concatenate([np.arange(c.size) + at for c, at in joined]), matrix=np.zeros((0, 0, 0)),
    )  # fmt: skip


def _stream(seed: int, name: str) -> np.random.Generator:
    """Return the project's random stream of a seed and a name: PCG64 from sha256("<seed>:<name>"), little-endian."""
    return np.random.Generator(
        np.random.PCG64(int.from_bytes(hashlib.sha256(f"{seed}:{name}".encode()).digest(), "little"))
    )


def _limits(graph: Graph, p: Any, w_max: float, projections: list[Any], post: Index, learns: NDArray[np.bool_]) -> tuple[
    FloatArray, FloatArray
]:  # fmt: skip
    """Return the bounds of each weight that learns: the rule's, within an equal part of what its neuron's sum has room for."""
    fixed, shares, step = np.abs(p.bias), np.zeros(p.size), 1.0
    for c in projections:
        source = graph.population(c.source)
        scale = source.u_max if isinstance(source, CurrentInput) else 1.0
        step = min(step, source.u_step) if isinstance(source, CurrentInput) else step
        np.add.at(shares if c.plasticity else fixed, c.post, scale if c.plasticity else np.abs(c.weight) * scale)
    if not learns.any():
        return np.zeros(0), np.zeros(0)
    room = np.maximum(2.0**53 * p.grid * step - fixed, 0.0)
    shares = np.where(shares > 0, shares, 1.0)  # of a neuron without plastic synapses nobody asks
    most = np.floor(room / shares / p.grid) * p.grid
    most = np.where(most * shares > room, most - p.grid, most)[post]
    high = np.floor((np.minimum(most, w_max) if w_max else most) / p.grid) * p.grid
    weight = np.concatenate([c.weight for c in projections])[learns]
    bad = np.flatnonzero(np.abs(weight) > high)
    if bad.size:
        k = int(bad[0])
        raise GraphError(
            f"population '{p.name}': weight out of bounds (got {weight[k]}, {bad.size} in all; need {-high[k]}..{high[k]}). Make room for "
            "learning on the grid, or change w_max."
        )
    return -high, high
