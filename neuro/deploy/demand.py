"""Count what each neuron asks of the core that it is placed on: compartments, input axons, synaptic memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuro.deploy.profiles import Profile
from neuro.graph import AHP, INPUTS, Graph, IntProjection, Projection, kind

FULL_BITS = 8
"""Bits of a full mantissa as it is stored: 0..255 with the sign in the list's mode, or 7 and a sign."""
DELAY_BITS = 6
HEADER_BITS, BLOCK_SYNAPSES, MEMORY_UNIT_BITS = 10, 64, 64

Ints = NDArray[np.int64]


def synapse_bits(n: Ints, bits: Ints) -> Ints:
    """Return the memory of the synapse lists of input axons, in bits: an estimate.

    A list is stored in blocks of at most 64 synapses; a block takes n * (weight + delay + index bits) + 10 bits, rounded up to 64.
    Source: nengo-loihi 1.1, block.py, `SynapseConfig.bits_per_axon`, for Loihi 1; no model of Loihi 2 is published, the same is used.
    Parameters: n, synapses in each list; bits, of one synapse of each list.
    """
    whole, rest = np.divmod(n, BLOCK_SYNAPSES)
    full = -(-(BLOCK_SYNAPSES * bits + HEADER_BITS) // MEMORY_UNIT_BITS) * MEMORY_UNIT_BITS
    part = -(-(rest * bits + HEADER_BITS) // MEMORY_UNIT_BITS) * MEMORY_UNIT_BITS
    return np.asarray(whole * full + np.where(rest > 0, part, 0))


@dataclass(frozen=True, kw_only=True, eq=False)
class Demand:
    """What the neurons and readouts of a graph ask for; neurons are numbered through, population after population.

    sizes, first: size and first number of each receiving population. compartments: of each neuron. fan_in: (projection, source
    neuron) pairs that each listens to. An input axon is such a pair: axon_source, its source neuron's number, -1 for an input from
    outside; axon_projection, the number of its projection; bits, of one of its synapses. pointer, axon, synapses: the axons of neuron j, and the synapses of
    each, are axon[pointer[j] : pointer[j + 1]] and the same part of synapses.
    """

    sizes: Mapping[str, int]
    first: Mapping[str, int]
    compartments: Ints
    fan_in: Ints
    projections: tuple[str, ...]
    axon_source: Ints
    axon_projection: Ints
    bits: Ints
    pointer: Ints
    axon: Ints
    synapses: Ints

    @property
    def n_neurons(self) -> int:
        """Return the number of neurons and readouts."""
        return len(self.compartments)

    @property
    def n_axons(self) -> int:
        """Return the number of (projection, source neuron) pairs."""
        return len(self.bits)

    def incoming(self, start: int, stop: int) -> tuple[Ints, Ints]:
        """Return the axons that reach any of neurons start..stop-1, and how many synapses each has on them together."""
        part = slice(self.pointer[start], self.pointer[stop])
        reached, at = np.unique(self.axon[part], return_inverse=True)
        total = np.bincount(at, weights=self.synapses[part], minlength=len(reached))  # exact: far below 2**53
        return reached, total.astype(np.int64)

    def count(self, name: str, start: int, stop: int) -> int:
        """Count how many of neurons start..stop-1 belong to a population."""
        first = self.first[name]
        return max(0, min(stop, first + self.sizes[name]) - max(start, first))

    def shares(self, name: str, neuron: int) -> str:
        """Say how a neuron's fan-in is shared among projections."""
        axon, _ = self.incoming(self.first[name] + neuron, self.first[name] + neuron + 1)
        per = np.bincount(self.axon_projection[axon], minlength=len(self.projections))
        return ", ".join(f"{per[k]} by '{self.projections[k]}'" for k in np.argsort(-per, kind="stable") if per[k])


def demand(graph: Graph, profile: Profile) -> Demand:
    """Count what an integer graph asks for. An AHP neuron sends its own spike to its auxiliary compartment: one more axon and synapse."""
    sizes = {p.name: p.size for p in graph.receivers}
    first = dict(zip(sizes, np.cumsum([0, *sizes.values()]).tolist(), strict=False))
    index_bits = max(1, int(np.ceil(np.log2(profile.n_core_compartments))))
    projections = _with_own_spikes(graph)
    sent = [graph.population(c.source) for c in projections]
    starts = np.cumsum([0, *(p.size for p in sent)])
    n_axons, n_neurons = int(starts[-1]), sum(sizes.values())
    posts = [first[c.target] + c.post.astype(np.int64) for c in projections]
    axons = [starts[k] + c.pre.astype(np.int64) for k, c in enumerate(projections)]
    outside = [isinstance(p, INPUTS) for p in sent]
    bits = [
        _weight_bits(c, profile) + index_bits + DELAY_BITS * _delayed(c, o)
        for c, o in zip(projections, outside, strict=True)
    ]
    pair, count = np.unique(_joined(posts) * max(n_axons, 1) + _joined(axons), return_counts=True)
    post, axon = np.divmod(pair, max(n_axons, 1))
    per_neuron = np.bincount(post, minlength=n_neurons)
    return Demand(
        sizes=sizes,
        first=first,
        compartments=_joined([np.full(p.size, profile.compartments.get(kind(p), 1)) for p in graph.receivers]),
        fan_in=per_neuron.astype(np.int64),
        projections=tuple(c.name for c in projections),
        axon_source=_joined(
            [
                np.full(p.size, -1) if o else first[p.name] + np.arange(p.size)
                for p, o in zip(sent, outside, strict=True)
            ]
        ),
        axon_projection=_joined([np.full(p.size, k) for k, p in enumerate(sent)]),
        bits=_joined([np.full(p.size, b) for p, b in zip(sent, bits, strict=True)]),
        pointer=np.concatenate([[0], np.cumsum(per_neuron)]).astype(np.int64),
        axon=axon,
        synapses=count.astype(np.int64),
    )


def _with_own_spikes(graph: Graph) -> tuple[Projection, ...]:
    own = []
    for p in graph.receivers:
        if isinstance(p, AHP):
            every = np.arange(p.size)
            own.append(
                Projection(
                    name=f"{p.name} (own spikes)", source=p.name, target=p.name, pre=every, post=every, weight=1.0
                )
            )
    return (*graph.projections, *own)


def _weight_bits(c: Projection, profile: Profile) -> int:
    """Return the bits of a stored mantissa: fewer where the profile has narrow weights and these are such."""
    fewer = FULL_BITS + 1 - profile.weight_bits
    return FULL_BITS - fewer if isinstance(c, IntProjection) and not (c.weight % (1 << fewer)).any() else FULL_BITS


def _delayed(c: Projection, from_input: bool) -> bool:
    """Tell whether synapses store a delay: not where every one has the shortest, 0 from inputs and 1 from neurons."""
    return bool(c.size) and int(c.delay.max()) > (0 if from_input else 1)


def _joined(parts: Sequence[NDArray[Any]]) -> Ints:
    return np.concatenate([np.zeros(0, np.int64), *parts]).astype(np.int64)
