"""Hold a whole spiking graph: populations, projections and the time step, valid from construction on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from neuro.errors import GraphError, nearest
from neuro.graph import rules
from neuro.graph.integer import AHP, DECAY_ONE, SCALE_BITS, IntALIF, IntLI, IntLIF, IntProjection
from neuro.graph.kinds import (
    INTEGER,
    NEURONS,
    READOUTS,
    Neurons,
    Population,
    Readout,
    Receiver,
    kind,
)
from neuro.graph.nodes import ALIF, INPUTS, LI, CurrentInput, Projection, SpikeInput, tau_ms

SCHEMA_VERSION = 1
"""Version of the semantics and of the file; a change of meaning raises it."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Graph:
    """A spiking network, independent of any simulator.

    populations, projections: tuples of nodes; their order is the order of summary and file, and has no other meaning.
    dt_ms: duration of a step. name: for people. notes: text by key, carried along, without influence on the run.
    Raises GraphError with every broken rule (`neuro.graph.rules`).
    """

    populations: tuple[Population, ...]
    projections: tuple[Projection, ...] = ()
    dt_ms: float = 1.0
    name: str = ""
    notes: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "populations", tuple(self.populations))
        object.__setattr__(self, "projections", tuple(self.projections))
        object.__setattr__(self, "notes", dict(self.notes))
        rules.check(self.populations, self.projections, self.dt_ms)
        object.__setattr__(self, "dt_ms", float(self.dt_ms))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Graph):
            return NotImplemented
        mine = (self.populations, self.projections, self.dt_ms, self.name, self.notes)
        return mine == (other.populations, other.projections, other.dt_ms, other.name, other.notes)

    def __hash__(self) -> int:
        return hash(self.sha256)

    def population(self, name: str) -> Population:
        """Return the population of a name. Raises GraphError for an unknown one."""
        for p in self.populations:
            if p.name == name:
                return p
        known = [p.name for p in self.populations]
        raise GraphError(
            f"graph: unknown population (got '{name}'; need one of {', '.join(known)}). {nearest(name, known)}".rstrip()
        )

    def projections_to(self, name: str) -> tuple[Projection, ...]:
        """Return the projections that end in a population, in the graph's order."""
        return tuple(c for c in self.projections if c.target == name)

    def projections_from(self, name: str) -> tuple[Projection, ...]:
        """Return the projections that start at a population, in the graph's order."""
        return tuple(c for c in self.projections if c.source == name)

    def reset_synapses(self, name: str) -> IntProjection | None:
        """Return the projection NAME.reset by which an integer population takes its threshold off its own current, or None.

        `neuro.deploy.keep_soft_reset` makes it; training leaves it as it is.
        """
        for c in self.projections_to(name):
            if c.name == f"{name}.reset" and c.source == name and isinstance(c, IntProjection):
                return c if np.array_equal(c.pre, c.post) and (c.delay == 1).all() else None
        return None

    @property
    def inputs(self) -> tuple[SpikeInput | CurrentInput, ...]:
        """Return the populations that follow the stimulus."""
        return tuple(p for p in self.populations if isinstance(p, INPUTS))

    @property
    def neurons(self) -> tuple[Neurons, ...]:
        """Return the populations that spike."""
        return tuple(p for p in self.populations if isinstance(p, NEURONS))

    @property
    def readouts(self) -> tuple[Readout, ...]:
        """Return the leaky integrators."""
        return tuple(p for p in self.populations if isinstance(p, READOUTS))

    @property
    def receivers(self) -> tuple[Receiver, ...]:
        """Return the populations that projections may end in: neurons and readouts."""
        return tuple(p for p in self.populations if not isinstance(p, INPUTS))

    @property
    def n_synapses(self) -> int:
        """Return the number of stored synapses."""
        return sum(c.size for c in self.projections)

    @property
    def max_delay(self) -> int:
        """Return the longest delay in steps; 0 without synapses."""
        return max((int(c.delay.max()) for c in self.projections if c.size), default=0)

    @property
    def semantics(self) -> str:
        """Return "integer" for a graph that computes as a chip does (DESIGN 2.2), "float" for any other."""
        return "integer" if any(isinstance(p, INTEGER) for p in self.receivers) else "float"

    @property
    def exact(self) -> bool:
        """Tell whether sums do not depend on their order, so that all backends agree bit for bit.

        A float graph is exact if every receiving population is on a grid; an integer graph always is.
        """
        return all(isinstance(p, INTEGER) or p.grid is not None for p in self.receivers)

    @cached_property
    def sha256(self) -> str:
        """Return the hash of what the graph means: schema, dt, nodes and their canonical arrays; not name or notes."""
        digest = hashlib.sha256()
        for key, value in canonical(self):
            digest.update(key.encode() + b"\0")
            digest.update(value)
        return digest.hexdigest()

    def with_notes(self, **notes: str) -> Graph:
        """Return a graph with these notes added; the network and its hash stay the same."""
        return replace(self, notes={**self.notes, **notes})

    def summary(self) -> str:
        """Return a table of the graph for a person: sizes, time constants, connectivity, delays, weights."""
        return _summary(self)

    def __repr__(self) -> str:
        return f"<Graph '{self.name}': {len(self.populations)} populations, {self.n_synapses} synapses, {self.sha256[:12]}>"


def canonical(graph: Graph) -> Iterator[tuple[str, bytes | memoryview]]:
    """Yield what the hash covers, as (key, little-endian bytes) in order of name; nothing is copied that need not be."""
    yield "schema", json.dumps([SCHEMA_VERSION, float(graph.dt_ms).hex()]).encode()
    for p in sorted(graph.populations, key=lambda p: p.name):
        yield f"population/{p.name}", json.dumps(attributes(p), sort_keys=True).encode()
        for key in p.parameters:
            yield f"population/{p.name}/{key}", _little_endian(getattr(p, key))
    for c in sorted(graph.projections, key=lambda c: c.name):
        yield f"projection/{c.name}", json.dumps(attributes(c), sort_keys=True).encode()
        for key in c.arrays:
            yield f"projection/{c.name}/{key}", _little_endian(getattr(c, key))


def attributes(node: Population | Projection) -> dict[str, Any]:
    """Return a node's fields that are not arrays, floats in hexadecimal so that no digit is lost."""
    out: dict[str, Any] = {"kind": type(node).__name__, "size": node.size}
    for key in ("source", "target", "reset", "sign_mode", "exponent", "state_bits"):
        if hasattr(node, key):
            out[key] = getattr(node, key)
    for key in ("u_max", "u_step", "grid"):
        value = getattr(node, key, None)
        if value is not None:
            out[key] = float(value).hex()
    plasticity = getattr(node, "plasticity", None)
    if plasticity is not None:
        out["plasticity"] = plasticity.to_json()
    return out


def _little_endian(array: np.ndarray) -> memoryview:
    return np.ascontiguousarray(array.astype(array.dtype.newbyteorder("<"), copy=False)).view(np.uint8).data


def _span(values: Any, form: str = "{:.4g}") -> str:
    """Format an array by its range, or its one value."""
    if not np.size(values):
        return "-"
    low, high = form.format(np.min(values)), form.format(np.max(values))
    return low if low == high else f"{low}..{high}"


def _table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    return ["  " + "  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows]


def _describe(p: Population, dt_ms: float) -> str:
    if isinstance(p, CurrentInput):
        return f"|u| <= {p.u_max:g} in steps of {p.u_step:g}"
    if isinstance(p, SpikeInput):
        return "spikes from the stimulus"
    bias = f", bias {_span(p.bias)}" if np.any(p.bias) else ""
    if isinstance(p, INTEGER):
        return _describe_integer(p, dt_ms) + bias
    if isinstance(p, LI):
        return f"tau_out {_span(tau_ms(p.kappa, dt_ms))} ms{bias}"
    text = f"tau_m {_span(tau_ms(p.alpha, dt_ms))} ms, v_th {_span(p.v_th)}, n_ref {_span(p.n_ref)}, reset {p.reset}"
    if isinstance(p, ALIF):
        text += f", tau_a {_span(tau_ms(p.rho, dt_ms))} ms, beta {_span(p.beta)}"
    return text + bias


def _describe_integer(p: IntLIF | IntALIF | AHP | IntLI, dt_ms: float) -> str:
    def tau(d: Any) -> str:
        return f"{_span(tau_ms((DECAY_ONE - d) / DECAY_ONE, dt_ms))} ms"

    synaptic = f", tau_u {tau(p.d_u + 1)}" if np.any(p.d_u + 1 < DECAY_ONE) else ""
    width = f", {p.state_bits}-bit states"
    if isinstance(p, IntLI):
        return f"tau_out {tau(p.d_y)}{synaptic}{width}"
    text = f"tau_m {tau(p.d_v)}, v_th {_span(p.v_th, '{:d}')} * 2**6, n_ref {_span(p.n_ref)}"
    text += ", reset zero" if isinstance(p, AHP) else f", reset {p.reset}"
    if isinstance(p, IntALIF):
        text += f", tau_a {tau(p.d_a)}, bump {_span(p.bump, '{:d}')}"
    if isinstance(p, AHP):
        text += f", tau_x {tau(p.d_x)}, w_x {_span(p.w_x, '{:d}')}"
    return text + synaptic + width


def _summary(graph: Graph) -> str:
    sizes = {p.name: p.size for p in graph.populations}
    total = sum(p.size for p in graph.neurons)
    title = f"Graph '{graph.name}'" if graph.name else "Graph"
    lines = [
        f"{title}: {total} neurons, {graph.n_synapses} synapses, dt {graph.dt_ms:g} ms, sha256 {graph.sha256[:12]}"
    ]
    rows = [("population", "kind", "size", "parameters")]
    rows += [(p.name, kind(p), str(p.size), _describe(p, graph.dt_ms)) for p in graph.populations]
    lines += ["", *_table(rows)]
    if graph.projections:
        links = [("projection", "from -> to", "synapses", "density", "delay", "weight", "mean |weight|")]
        for c in graph.projections:
            density = c.size / (sizes[c.source] * sizes[c.target])
            mean = f"{np.abs(c.weight).mean():.4g}" if c.size else "-"
            scale = f" * 2**{SCALE_BITS + c.exponent}" if isinstance(c, IntProjection) else ""
            links.append(
                (c.name, f"{c.source} -> {c.target}", str(c.size), f"{100 * density:.1f} %", _span(c.delay, "{:d}"),
                 _span(c.weight, "{:.3g}") + scale, mean)
            )  # fmt: skip
        lines += ["", *_table(links)]
        lines += [f"  '{c.name}' learns by {c.plasticity.rule}" for c in graph.projections if c.plasticity]
    off = [p.name for p in graph.receivers if not isinstance(p, INTEGER) and p.grid is None]
    state = (
        "exact: every backend gives the same bits" if not off else f"not exact: no grid in {', '.join(off)} (to_grid)"
    )
    if graph.semantics == "integer":
        state += "; integer semantics"
    return "\n".join([*lines, "", state])
