"""Say what a model did in each sample, in one form for spiking and dense models: what every energy estimate stands on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Operations:
    """Arithmetic and memory traffic that a part of a model takes, per sample: int64, (samples,).

    | field | meaning |
    | --- | --- |
    | mac | multiplications whose product is added to a sum |
    | ac | additions alone: what a spike of 1 makes of a multiply-accumulate |
    | mul | multiplications alone |
    | nonlinear | sigmoid, tanh, exp: counted, and priced by no device table |
    | read, write | 32-bit words from and to memory |

    One set of rules for all models, after NeuroBench (Yik et al. 2025): what has a zero activation or a zero weight is left out, and
    an activation of 1 that arrives at a synapse is an addition.
    """

    mac: Ints
    ac: Ints
    mul: Ints
    nonlinear: Ints
    read: Ints
    write: Ints


@dataclass(frozen=True, kw_only=True, eq=False)
class Updates:
    """Updates of a population's compartments, per sample: int64, (samples,); active + idle = compartments x steps.

    active: updates in steps in which a synaptic event arrived at the compartment or it spiked; idle: all others. An AHP neuron has two
    compartments; the auxiliary one does not spike, and an event of it is its neuron's own spike of the step before.
    """

    active: Ints
    idle: Ints


@dataclass(frozen=True, kw_only=True, eq=False)
class Routing:
    """Where spikes go on a mesh of cores, per sample: int64, (samples,). One message a spike and core that it reaches.

    | field | meaning |
    | --- | --- |
    | within_core | messages to the sender's own core |
    | within_tile | messages to another core of the sender's tile |
    | between_tiles | messages to cores of other tiles of the chip |
    | hops_ew, hops_ns | tiles passed by messages between tiles, east-west and north-south, first along a row and then along a column |
    | between_chips | messages that leave the chip |
    | from_outside | messages of inputs |

    Inputs are no neurons of the chip: their messages come from outside and take no hop.
    """

    within_core: Ints
    within_tile: Ints
    between_tiles: Ints
    hops_ew: Ints
    hops_ns: Ints
    between_chips: Ints
    from_outside: Ints


@dataclass(frozen=True, kw_only=True, eq=False)
class Workload:
    """What one model did in each sample of a batch.

    | field | meaning |
    | --- | --- |
    | kind | "spiking", or the kind of a dense model: "lstm", "rnn" |
    | semantics | "float" or "integer" |
    | n_samples, steps, dt_ms | of the batch |
    | spikes | by population, inputs included: (samples,) |
    | spikes_by_unit | by population: (samples, size); empty where spikes were not kept |
    | synaptic_events | by projection, and of AHP populations "NAME (own spikes)": (samples,) |
    | updates | by population of neurons and readouts |
    | routing | None without a placement |
    | n_cores, n_chips | of the placement, 0 without |
    | learning_updates | changes of a synapse's weight, by projection: (samples,) |
    | synaptic, neuron | operations of synapses (of a dense model: of its matrices) and of neurons (of its cells) |
    | dense_mac | multiply-accumulates if every weight met every activation: (samples,) |
    | n_parameters, parameter_bytes, state_bytes | stored numbers, what they take, and what the state of a sample takes |
    """

    kind: Literal["spiking", "lstm", "rnn"]
    semantics: Literal["float", "integer"]
    n_samples: int
    steps: int
    dt_ms: float
    spikes: Mapping[str, Ints] = field(default_factory=dict)
    spikes_by_unit: Mapping[str, Ints] = field(default_factory=dict)
    synaptic_events: Mapping[str, Ints] = field(default_factory=dict)
    updates: Mapping[str, Updates] = field(default_factory=dict)
    routing: Routing | None = None
    n_cores: int = 0
    n_chips: int = 0
    learning_updates: Mapping[str, Ints] = field(default_factory=dict)
    synaptic: Operations
    neuron: Operations
    dense_mac: Ints
    n_parameters: int
    parameter_bytes: int
    state_bytes: int
