"""Workloads written by hand, with counts small enough to price on paper."""

from __future__ import annotations

from dataclasses import fields

import numpy as np

from neuro.metrics.workload import Ints, Operations, Routing, Updates, Workload


def ints(*values: int) -> Ints:
    """Return counts by sample."""
    return np.array(values, dtype=np.int64)


def operations(n_samples: int = 2, **counts: Ints) -> Operations:
    """Return operations, zero where none are given."""
    return Operations(**{f.name: counts.get(f.name, np.zeros(n_samples, np.int64)) for f in fields(Operations)})


def routing(n_samples: int = 2, **counts: Ints) -> Routing:
    """Return messages, zero where none are given."""
    return Routing(**{f.name: counts.get(f.name, np.zeros(n_samples, np.int64)) for f in fields(Routing)})


def spiking(**changes: object) -> Workload:
    """Return 2 samples of 100 steps of 1 ms of 10 inputs, 5 neurons and 2 readouts on 3 cores of 1 chip."""
    made: dict[str, object] = {
        "kind": "spiking",
        "semantics": "integer",
        "n_samples": 2,
        "steps": 100,
        "dt_ms": 1.0,
        "spikes": {"in": ints(20, 40), "lif": ints(4, 8)},
        "synaptic_events": {"in>lif": ints(100, 200), "lif>out": ints(10, 20)},
        "updates": {"lif": Updates(active=ints(60, 90), idle=ints(440, 410)), "out": Updates(active=ints(8, 16), idle=ints(192, 184))},
        "routing": routing(within_core=ints(4, 8), within_tile=ints(2, 4), between_tiles=ints(1, 3), hops_ew=ints(1, 2),
                           hops_ns=ints(2, 5)),
        "n_cores": 3,
        "n_chips": 1,
        "synaptic": operations(ac=ints(110, 220), read=ints(330, 660), write=ints(110, 220)),
        "neuron": operations(mac=ints(700, 700), ac=ints(4, 8), read=ints(1400, 1400), write=ints(1400, 1400)),
        "dense_mac": ints(6000, 6000),
        "n_parameters": 70,
        "parameter_bytes": 350,
        "state_bytes": 48,
    }  # fmt: skip
    return Workload(**{**made, **changes})  # type: ignore[arg-type]


def dense(**changes: object) -> Workload:
    """Return 2 samples of 10 steps of an LSTM."""
    made: dict[str, object] = {
        "kind": "lstm",
        "semantics": "float",
        "n_samples": 2,
        "steps": 10,
        "dt_ms": 2.0,
        "synaptic": operations(mac=ints(1000, 2000), ac=ints(50, 50), read=ints(1100, 2100), write=ints(400, 400)),
        "neuron": operations(mac=ints(40, 40), mul=ints(40, 40), nonlinear=ints(200, 200), read=ints(80, 80),
                             write=ints(40, 40)),
        "dense_mac": ints(5000, 5000),
        "n_parameters": 1000,
        "parameter_bytes": 4000,
        "state_bytes": 80,
    }  # fmt: skip
    return Workload(**{**made, **changes})  # type: ignore[arg-type]
