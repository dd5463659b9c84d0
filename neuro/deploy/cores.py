"""Place a graph's compartments onto cores, and cores onto chips, greedily; name every limit that is broken."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from neuro.deploy.demand import Demand, demand, synapse_bits
from neuro.deploy.limits import Broken, broken_values
from neuro.deploy.profiles import Profile
from neuro.deploy.profiles import profile as profile_of
from neuro.errors import QuantizationError
from neuro.graph import Graph

_SHOWN = 12
"""Cores that the table of a placement lists."""


@dataclass(frozen=True, kw_only=True)
class Core:
    """What one core holds.

    neurons: by population. compartments; synaptic_bits: by the model of `synapse_bits`; axons_in: (projection, source neuron) pairs
    that reach the core; axons_out: (neuron, projection, core) triples that leave it. max_fan_in: of its neurons. n_synapses.
    """

    chip: int
    neurons: Mapping[str, int]
    compartments: int
    n_synapses: int
    synaptic_bits: int
    axons_in: int
    axons_out: int
    max_fan_in: int


@dataclass(frozen=True, kw_only=True)
class Placement:
    """Which core each neuron is on, what each core holds, and which limits are broken.

    core_of: number of the core of each neuron, int64 (size,), by population. cores: in order. broken: every limit that is broken.
    """

    profile: Profile
    cores: tuple[Core, ...]
    core_of: Mapping[str, NDArray[np.int64]]
    broken: tuple[Broken, ...]

    @property
    def n_chips(self) -> int:
        """Return the number of chips."""
        return 1 + max((c.chip for c in self.cores), default=0)

    @property
    def n_cores(self) -> int:
        """Return the number of cores that hold neurons."""
        return len(self.cores)

    @property
    def chip_of(self) -> NDArray[np.int64]:
        """Return the chip of each core, int64 (n_cores,)."""
        return np.array([c.chip for c in self.cores], dtype=np.int64)

    def __str__(self) -> str:
        return "\n".join([*self._head(), "", *self._table(), "", *self._limits()])

    def _head(self) -> list[str]:
        p, cores = self.profile, self.cores
        n_compartments, n_synapses = sum(c.compartments for c in cores), sum(c.n_synapses for c in cores)
        lines = [
            f"placement on {p.name}: {_plural(len(cores), 'core')} on {_plural(self.n_chips, 'chip')} (a chip has "
            f"{p.n_chip_cores}); {n_compartments} compartments, {n_synapses} synapses"
        ]
        memory, kind = _memory(p)
        for what, field, limit in (
            ("compartments", "compartments", p.n_core_compartments),
            (f"synaptic memory in bits (an estimate; {kind})", "synaptic_bits", memory),
            ("input axons", "axons_in", p.n_axons_in),
            ("output axons", "axons_out", p.n_axons_out),
            ("fan-in of a neuron", "max_fan_in", p.max_fan_in),
        ):
            most = max((getattr(c, field) for c in cores), default=0)
            of = f"of {limit} ({100 * most / limit:.1f} %)" if limit else "(limit not published: not checked)"
            lines.append(f"  fullest core, {what}: {most} {of}")
        return lines

    def _table(self) -> list[str]:
        rows: list[tuple[str, ...]] = [("core", "chip", "compartments", "synapses", "memory", "in", "out", "neurons")]
        for k, c in enumerate(self.cores[:_SHOWN]):
            held = ", ".join(f"{name} {n}" for name, n in c.neurons.items())
            numbers = (k, c.chip, c.compartments, c.n_synapses, c.synaptic_bits, c.axons_in, c.axons_out)
            rows.append((*map(str, numbers), held))
        widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
        lines = ["  " + "  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows]
        return lines + [f"  ... and {len(self.cores) - _SHOWN} more"] * (len(self.cores) > _SHOWN)

    def _limits(self) -> list[str]:
        if not self.broken:
            return ["no limit broken"]
        return [f"{_plural(len(self.broken), 'limit')} broken", *(f"  {b}" for b in self.broken)]


def placement(graph: Graph, profile: str | Profile, *, max_chips: int | None = None) -> Placement:
    """Place an integer graph on a profile's cores.

    Neurons are taken in order, population by population, each with all its compartments, into the current core until a limit would
    be broken, and then into the next. Output axons depend on where the targets are: where a core has too many, all is placed
    again with half as many compartments a core. Inputs come from outside and take no core.
    Parameters: max_chips, how many chips there are, None for as many as it takes.
    Raises: UnsupportedError for an unknown profile; QuantizationError for a float graph.
    """
    target = profile_of(profile)
    if graph.semantics != "integer":
        raise QuantizationError(
            "placement: float graph given to an integer-only target (got float semantics; need integer). Quantize it first: "
            f"neuro.quantize(graph, '{target.name}')."
        )
    needs = demand(graph, target)
    cap = target.n_core_compartments
    while True:
        core_of = _place(needs, target, cap)
        cores = _fill(needs, target, core_of)
        over = target.n_axons_out is not None and any(c.axons_out > target.n_axons_out for c in cores)
        if not over or cap == 1:
            break
        cap //= 2
    broken = (*broken_values(graph, target), *_broken_cores(needs, target, cores, core_of, max_chips))
    by_population = {name: core_of[needs.first[name] : needs.first[name] + n] for name, n in needs.sizes.items()}
    return Placement(profile=target, cores=cores, core_of=by_population, broken=broken)


def _place(needs: Demand, target: Profile, cap: int) -> NDArray[np.int64]:
    """Return the core of each neuron: the current one while it fits, else the next.

    What a core holds only grows with each neuron, so the end of a core is searched for by halving.
    """
    core_of = np.zeros(needs.n_neurons, dtype=np.int64)
    taken = np.concatenate([[0], np.cumsum(needs.compartments)])
    core = start = 0
    while start < needs.n_neurons:
        most = int(np.searchsorted(taken, taken[start] + cap, side="right")) - 1
        stop = start + 1  # a neuron that no core can hold is alone on one
        if most > stop and _fits(needs, target, start, most):
            stop = most
        while most - stop > 1:
            middle = (stop + most) // 2
            stop, most = (middle, most) if _fits(needs, target, start, middle) else (stop, middle)
        core_of[start:stop] = core
        core, start = core + 1, stop
    return core_of


def _fits(needs: Demand, target: Profile, start: int, stop: int) -> bool:
    """Tell whether one core has the input axons and the synaptic memory of neurons start..stop-1."""
    axon, count = needs.incoming(start, stop)
    memory = _memory(target)[0]
    return (target.n_axons_in is None or len(axon) <= target.n_axons_in) and (
        memory is None or int(synapse_bits(count, needs.bits[axon]).sum()) <= memory
    )


def _fill(needs: Demand, target: Profile, core_of: NDArray[np.int64]) -> tuple[Core, ...]:
    """Count what each core holds, from the placement alone."""
    ends = [0, *(np.flatnonzero(np.diff(core_of)) + 1).tolist(), len(core_of)]  # neurons are placed in order
    spans = [span for span in pairwise(ends) if span[1] > span[0]]
    reached = [needs.incoming(*span) for span in spans]
    out = np.zeros(len(spans), dtype=np.int64)
    for axon, _ in reached:
        sources = needs.axon_source[axon]
        out += np.bincount(core_of[sources[sources >= 0]], minlength=len(spans))
    return tuple(
        Core(
            chip=k // target.n_chip_cores,
            neurons={name: n for name in needs.sizes if (n := needs.count(name, *span))},
            compartments=int(needs.compartments[slice(*span)].sum()),
            n_synapses=int(count.sum()),
            synaptic_bits=int(synapse_bits(count, needs.bits[axon]).sum()),
            axons_in=len(axon),
            axons_out=int(out[k]),
            max_fan_in=int(needs.fan_in[slice(*span)].max(initial=0)),
        )
        for k, (span, (axon, count)) in enumerate(zip(spans, reached, strict=True))
    )


def _memory(p: Profile) -> tuple[int | None, str]:
    """Return the memory that synapses are held against, and what it is."""
    if p.synaptic_memory_bits is not None:
        return p.synaptic_memory_bits, "synapses alone"
    return p.core_memory_bits, "of the core's whole memory, which also holds neurons: a bound from above"


def _broken_cores(
    needs: Demand,
    target: Profile,
    cores: tuple[Core, ...],
    core_of: NDArray[np.int64],
    max_chips: int | None,
) -> tuple[Broken, ...]:
    found = []
    limit = target.max_fan_in
    for name, size in needs.sizes.items():
        fan_in = needs.fan_in[needs.first[name] : needs.first[name] + size]
        if limit is not None and size and fan_in.max() > limit:
            j = int(fan_in.argmax())
            found.append(
                Broken(
                    where=f"population '{name}', neuron {j}",
                    what=f"fan-in too large ({int((fan_in > limit).sum())} such neurons; from {needs.shares(name, j)})",
                    value=int(fan_in[j]),
                    limit=limit,
                    do="Prune its inputs (DEEP R with a smaller connectivity), or spread them over relay neurons",
                )
            )
    memory, kind = _memory(target)
    for k, c in enumerate(cores):
        for what, value, most, do in (
            ("compartments", c.compartments, target.n_core_compartments, "Use fewer compartments a neuron"),
            (f"bits of synaptic memory ({kind})", c.synaptic_bits, memory, "Prune synapses of these neurons"),
            ("input axons", c.axons_in, target.n_axons_in, "Prune inputs of these neurons, or join projections"),
            ("output axons", c.axons_out, target.n_axons_out, "Let its neurons reach fewer cores: prune their targets"),
        ):
            if most is not None and value > most:
                held = ", ".join(f"{n} of '{name}'" for name, n in c.neurons.items())
                found.append(
                    Broken(where=f"core {k} ({held})", what=f"too many {what}", value=value, limit=most, do=do)
                )
    return (*found, *_broken_chips(target, cores, max_chips))


def _broken_chips(target: Profile, cores: tuple[Core, ...], max_chips: int | None) -> list[Broken]:
    found = []
    n_chips = 1 + max((c.chip for c in cores), default=0)
    if max_chips is not None and n_chips > max_chips:
        found.append(
            Broken(
                where="graph",
                what=f"too many cores for {_plural(max_chips, 'chip')}",
                value=len(cores),
                limit=max_chips * target.n_chip_cores,
                do="Use fewer neurons or synapses, or more chips",
            )
        )
    for chip in range(n_chips if target.max_chip_synapses is not None else 0):
        total = sum(c.n_synapses for c in cores if c.chip == chip)
        if target.max_chip_synapses is not None and total > target.max_chip_synapses:
            found.append(
                Broken(
                    where=f"chip {chip}",
                    what="too many synapses",
                    value=total,
                    limit=target.max_chip_synapses,
                    do="Prune synapses",
                )
            )
    return found


def _plural(n: int, what: str) -> str:
    return f"{n} {what}" if n == 1 else f"{n} {what}s"
