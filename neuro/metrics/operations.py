"""Count the operations, memory traffic and stored numbers of a spiking graph, by the rules that dense models are counted by too.

Rules, for a deployment that stores what the graph stores:

| part | mac | ac | words read | words written |
| --- | --- | --- | --- | --- |
| a synaptic event | from a current input 1 | else 1 | 3: weight, index of the target, accumulator | 1: accumulator |
| an update, v of LIF or y of LI | 1 | | 1 a state, 1 accumulator | 1 a state, 1 accumulator |
| ALIF, a and A | 2 | | | |
| integer kinds, u | 1 | | | |
| IntALIF, a; AHP, x | 1 | 1: A = v_th + a; v + x | | |
| bias of a population, if any is not 0 | | 1 | | |
| a spike: the reset | | 1 | | |

Delays lie in the word of the index. Every neuron is updated in every step. A parameter that differs between a population's neurons is
read once an update; one that all share stays in a register. Where neurons are refractory a counter is one state more. The auxiliary
compartment of AHP has an accumulator of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import NamedTuple

import numpy as np

from neuro.graph import AHP, CurrentInput, Graph, Receiver, kind, states
from neuro.metrics.workload import Ints, Operations

_UPDATE = {
    "LIF": (1, 0), "ALIF": (3, 0), "LI": (1, 0), "IntLIF": (2, 0), "IntALIF": (3, 1), "AHP": (3, 1), "IntLI": (2, 0),
}  # fmt: skip
"""mac and ac of one neuron's update, by kind."""
_EVENT_READS, _EVENT_WRITES = 3, 1
WORD_BYTES = 4
"""A weight of a float graph, an index with its delay, a parameter of neurons and a state each take one word of 32 bits."""
_INTEGER_WEIGHT_BYTES = 1
"""Mantissas are -256..254 in steps of 2, 0..255 or -255..0, by the projection's sign mode: 8 bits each."""


class Footprint(NamedTuple):
    """What is stored: numbers, the bytes that they take, and the bytes of a sample's state."""

    n_parameters: int
    parameter_bytes: int
    state_bytes: int


def operations(*, n_samples: int, **counts: Ints) -> Operations:
    """Return operations, zeros where none are given."""
    return Operations(**{f.name: counts.get(f.name, np.zeros(n_samples, np.int64)) for f in fields(Operations)})


def synaptic_operations(graph: Graph, events: Mapping[str, Ints], n_samples: int) -> Operations:
    """Count what synaptic events take. Parameters: events, (samples,) by projection, those of own spikes included."""
    current = {c.name for c in graph.projections if isinstance(graph.population(c.source), CurrentInput)}
    zero = np.zeros(n_samples, np.int64)
    mac = sum((n for name, n in events.items() if name in current), zero)
    ac = sum((n for name, n in events.items() if name not in current), zero)
    return operations(
        n_samples=n_samples, mac=mac, ac=ac, read=_EVENT_READS * (mac + ac), write=_EVENT_WRITES * (mac + ac)
    )


def neuron_operations(graph: Graph, spikes: Mapping[str, Ints], n_samples: int, steps: int) -> Operations:
    """Count what updates and resets take. Parameters: spikes, (samples,) by population."""
    mac = ac = read = write = 0
    for p in graph.receivers:
        n, n_words = p.size * steps, len(_states(p)) + _accumulators(p)
        macs, acs = _UPDATE[kind(p)]
        mac += n * macs
        ac += n * (acs + bool(np.any(p.bias)))
        read += n * (n_words + len(_differing(p)))
        write += n * n_words
    resets = sum((spikes[p.name] for p in graph.neurons), np.zeros(n_samples, np.int64))
    every = np.ones(n_samples, np.int64)
    return operations(
        n_samples=n_samples, mac=mac * every, ac=ac * every + resets, read=read * every, write=write * every
    )


def footprint(graph: Graph) -> Footprint:
    """Count what a deployment stores.

    Parameters are the synapses' weights, the parameters of neurons that differ (one each), and those that a population shares (one in
    all; a bias or refractory period of 0 is none). Bytes: 4 a weight of a float graph, as float32, as for dense models; 1 a
    weight of an integer graph; 4 a synapse for index and delay; 4 a parameter of neurons. The state of a sample: 4 a state variable, and 4 an
    accumulator, of which a compartment has one for each step up to its longest delay, and one for the step that goes on.
    """
    state_bytes = 0
    for p in graph.receivers:
        longest = max((int(c.delay.max()) for c in graph.projections_to(p.name) if c.size), default=0)
        own = 2 if isinstance(p, AHP) else 0  # own spikes have a delay of 1
        state_bytes += p.size * WORD_BYTES * (len(_states(p)) + longest + 1 + own)
    n, n_synapses = neuron_parameters(graph), graph.n_synapses
    return Footprint(n + n_synapses, n * WORD_BYTES + n_synapses * (weight_bytes(graph) + WORD_BYTES), state_bytes)


def neuron_parameters(graph: Graph) -> int:
    """Count the parameters of neurons: one a neuron where they differ, else one a population."""
    return sum(p.size if f in _differing(p) else 1 for p in graph.receivers for f in _stored(p))


def weight_bytes(graph: Graph) -> int:
    """Return what a weight takes."""
    return _INTEGER_WEIGHT_BYTES if graph.semantics == "integer" else WORD_BYTES


def own_spikes(p: AHP) -> str:
    """Name the synapses from a population's neurons to their own auxiliary compartments, which the graph stores as w_x."""
    return f"{p.name} (own spikes)"


def _states(p: Receiver) -> tuple[str, ...]:
    """Return the states that an update reads and writes: the spike is sent, not stored, and a refractory period is counted down."""
    counter = ("wait",) if np.any(getattr(p, "n_ref", 0)) else ()
    return (*(s for s in states(p) if s != "z"), *counter)


def _accumulators(p: Receiver) -> int:
    return 2 if isinstance(p, AHP) else 1


def _stored(p: Receiver) -> tuple[str, ...]:
    return tuple(f for f in p.parameters if f not in ("bias", "n_ref") or np.any(getattr(p, f)))


def _differing(p: Receiver) -> tuple[str, ...]:
    """Return the parameters whose value is not the same for all neurons of a population."""
    return tuple(f for f in p.parameters if np.any(getattr(p, f) != getattr(p, f)[:1]))
