"""Measure a graph on the validation split: what it answers, how active it is, and what that costs on a device."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from neuro.backend import Record, Stimulus
from neuro.deploy import Placement
from neuro.engine import EngineBackend
from neuro.graph import Graph
from neuro.metrics import Energy, activity, device, estimate, workload
from neuro.recording import Recording
from neuro.tasks import Task, score

SPLIT = "validation"
"""Never "test": what is chosen by the sweep is judged on samples that chose nothing."""
GROUP = 64
"""Samples at once: with their readouts and spikes they fit in memory."""
ENDLESS_SAMPLES = 256
"""Of a task whose validation samples have no end, where no number is asked for."""


class Ran(NamedTuple):
    """What a graph did: groups of samples, what currents drove each, right decisions, and decisions asked for."""

    recordings: list[Recording]
    currents: list[Mapping[str, Any]]
    right: int
    asked: int


def record(graph: Graph, task: Task, samples: int | None, seed: int, n_threads: int | None) -> Ran:
    """Run a graph on the first samples of the split."""
    from neuro.train.evaluation import batches

    size = task.sizes[SPLIT]
    limit = samples if samples is not None else (ENDLESS_SAMPLES if size is None else None)
    (readout,) = (p for p in graph.readouts if p.size == task.n_out)
    program = EngineBackend(n_threads=n_threads).compile(graph)
    recordings, currents, right, asked = [], [], 0, 0
    for batch in batches(task, SPLIT, limit, GROUP, seed):
        stimulus = Stimulus.dense({graph.inputs[0].name: batch.inputs}, graph)
        found = program.run(stimulus, Record(traces={readout.name: ("y",)}))
        here = score(found.traces[readout.name]["y"], batch)
        right, asked = right + here[0], asked + here[1]
        recordings.append(found)
        currents.append(stimulus.currents)
    return Ran(recordings, currents, right, asked)


def measure(
    graph: Graph,
    task: Task,
    *,
    samples: int | None,
    seed: int,
    device_name: str,
    step_time_s: float | None,
    placed: Placement | None = None,
    n_threads: int | None = None,
) -> dict[str, Any]:
    """Return accuracy, activity and energy of a graph, JSON values.

    placed: where the neurons are, for a device that counts cores. Raises: UnsupportedError, DataError as `workload` and `estimate`.
    """
    ran, chip = record(graph, task, samples, seed, n_threads), device(device_name)
    currents = ran.currents if any(ran.currents) else None
    load = workload(graph, ran.recordings, currents=currents, placed=placed, mesh=None if placed is None else chip.mesh)
    active = activity(ran.recordings)
    return {
        "accuracy": ran.right / max(ran.asked, 1),
        "n_right": ran.right,
        "n_decisions": ran.asked,
        "n_samples": active.n_samples,
        "mean_rate_hz": active.mean_rate_hz,
        "rate_hz": dict(active.rate_hz),
        "spikes": active.spikes_per_inference,
        "synaptic_events": float(sum(n.mean() for n in load.synaptic_events.values())),
        "n_synapses": graph.n_synapses,
        "n_cores": load.n_cores,
        "parameter_bytes": load.parameter_bytes,
        **energy_json(estimate(load, chip, step_time_s=step_time_s)),
    }


def energy_json(energy: Energy) -> Mapping[str, Any]:
    """Return an energy as JSON: the dynamic part with its range, and every part by itself."""

    def numbers(found: Any) -> dict[str, float] | None:
        return None if found is None else {"low": found.low, "value": found.value, "high": found.high}

    return {
        "energy": numbers(energy.dynamic),
        "parts": {
            name: {"status": part.status, **(numbers(part.energy) or {}), "note": part.note}
            for name, part in energy.parts.items()
        },
        "step_time_s": energy.step_time_s,
        "latency_s": energy.latency_s,
        "edp": numbers(energy.edp),
    }
