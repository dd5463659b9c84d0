"""Run a graph on Nengo's simulator: a batch in parts, each with a network of its samples side by side."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from neuro.backend import Progress, Record, Stimulus
from neuro.graph import Graph
from neuro.recording import Events

from . import session

if TYPE_CHECKING:
    from .network import GraphNetwork

Report = Callable[[int], None]

_BYTES_A_SYNAPSE, _BYTES_A_NEURON = 30, 300
"""Memory for one sample: of 0.5 million synapses 25 bytes each were measured, of 20,000 neurons 290."""
_REPORT_S = 0.5


@dataclass(frozen=True)
class Output:
    """What a simulation recorded: events by population, traces (batch, steps, size) by population and state; its time."""

    spikes: dict[str, Events]
    traces: dict[str, dict[str, NDArray[np.float64]]] = field(default_factory=dict)
    seconds: float = 0.0


def simulate(graph: Graph, stimulus: Stimulus, record: Record, memory_bytes: int, progress: Progress | None) -> Output:
    """Simulate a batch from zero state, in parts that need about `memory_bytes`, and join what they recorded."""
    steps, size = stimulus.steps, samples_at_once(graph, stimulus.steps, record, memory_bytes)
    parts = [(first, min(first + size, stimulus.batch)) for first in range(0, stimulus.batch, size)]
    start = time.perf_counter()
    found = []
    for k, (first, last) in enumerate(parts):
        report = _after(progress, k * steps, len(parts) * steps)
        found.append(_run(graph, stimulus.select(first, last), record, report))
    return Output(
        spikes={p.name: _joined([one.spikes[p.name] for one in found], parts) for p in graph.neurons},
        traces={
            name: {s: np.concatenate([one.traces[name][s] for one in found]) for s in wanted}
            for name, wanted in record.trace_names(graph).items()
        },
        seconds=time.perf_counter() - start,
    )


def samples_at_once(graph: Graph, steps: int, record: Record, limit: int) -> int:
    """Return how many samples fit into a simulation of `limit` bytes, at least 1."""
    sizes = {p.name: p.size for p in graph.populations}
    recorded = sum(sizes[p.name] for p in graph.neurons)
    recorded += sum(sizes[name] * len(wanted) for name, wanted in record.trace_names(graph).items())
    held = sum(  # in rings, which Nengo keeps twice: as they are, and as they start
        sizes[p.name] * max((int(c.delay.max()) for c in graph.projections_from(p.name) if c.size), default=0)
        for p in (*graph.inputs, *graph.neurons)
    )
    a_sample = _BYTES_A_SYNAPSE * graph.n_synapses + _BYTES_A_NEURON * sum(sizes.values()) + 16 * held
    a_sample += 24 * steps * recorded  # as Nengo keeps them, as one array, and by sample
    widest = max(graph.n_synapses, *sizes.values())
    return max(1, min(limit // a_sample, (2**31 - 1) // widest))  # scipy's index of synapses is int32


def _run(graph: Graph, stimulus: Stimulus, record: Record, report: Report | None) -> Output:
    """Build a network for the samples of a stimulus, and run it once."""
    from nengo import Simulator
    from nengo.builder import Model
    from nengo.builder.network import seed_network

    from .network import GraphNetwork

    with session.building():
        network = GraphNetwork(graph, record=record, copies=stimulus.batch, seed=0, add_to_container=False)
        network.drive(stimulus)
        model = Model(dt=network.dt)  # a model of our own has no cache of decoders on disk
        # As Nengo's builder would do, but not with numbers from the user's global generator.
        model.toplevel = network
        seed_network(network, model.seeds, model.seeded, base_rng=np.random.RandomState(0))
        simulator = Simulator(network, model=model, seed=0, progress_bar=False, optimize=False)
    with simulator:
        _advance(simulator, stimulus.steps, report)
        return _read(network, simulator, stimulus.batch)


def _advance(simulator: Any, steps: int, report: Report | None) -> None:
    told = time.perf_counter()
    for done in range(1, steps + 1):
        simulator.step()
        if report is not None and (done == steps or time.perf_counter() - told >= _REPORT_S):
            told = time.perf_counter()
            report(done)


def _read(network: GraphNetwork, simulator: Any, batch: int) -> Output:
    """Return what the probes hold, (steps, batch * size) each, by sample."""
    spikes: dict[str, Events] = {}
    traces: dict[str, dict[str, NDArray[np.float64]]] = {}
    for name, probes in network.states.items():
        for state, each in probes.items():
            rows = simulator.data[each]
            values = rows.reshape(len(rows), batch, -1).transpose(1, 0, 2)
            if state == "z":
                spikes[name] = Events.from_dense(values)
            else:
                traces.setdefault(name, {})[state] = np.ascontiguousarray(values)
            del simulator.model.params[each][:]
    return Output(spikes, traces)


def _joined(parts: list[Events], samples: list[tuple[int, int]]) -> Events:
    """Return the events of all parts, each with the number of its first sample added."""
    return Events(
        np.concatenate([e.sample + np.int32(first) for e, (first, _) in zip(parts, samples, strict=True)]),
        np.concatenate([e.step for e in parts]),
        np.concatenate([e.unit for e in parts]),
    )


def _after(progress: Progress | None, before: int, total: int) -> Report | None:
    """Return what a part calls with its steps done, when `before` steps were done before it."""
    if progress is None:
        return None
    return lambda done: progress(before + done, total, "nengo")
