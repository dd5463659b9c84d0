"""Make a folder as `neuro compare` writes it, from real runs of tiny nets: what the report is built and tested on.

The contract. One model: everything lies in the folder. Several: models.json and models.md lie in the folder, and each model's other
files in the folder that its entry names. Files of one model:

| file | what |
| --- | --- |
| graph.h5 | the graph (`neuro.graph.load`); a dense model has none |
| recording.h5 | what the base backend gave: spikes of the first samples, at most 64, no traces; a dense model has none |
| sample.h5 | the shown sample alone, with all its traces; a dense model has none |
| answers.json | {"format": "neuro-answers", "schema_version": 1, "n_classes", "labels": [...], "predictions": [...]}: all decisions, in order |
| comparison.json, comparison.md, raster.png, raster.svg | the backends side by side, and the picture; a dense model has none |

A regression's answers.json has no labels and n_classes 0. Where no backend could run a graph, there is graph.h5 alone, and its
numbers in models.json are null. models.json:

    format "neuro-models", schema_version 1
    command, versions {name: text}, machine
    task {name, params}, split, n_samples, sample (the shown one), steps, dt_ms
    step_time_s                 stated time of a step on a device, s; dt where nothing else was stated
    devices [name...]
    models [{
      name, kind "spiking"|"lstm"|"rnn", semantics "float"|"integer", sha256, path (as given), folder (relative, "." for one model)
      n_right, n_decisions, accuracy|null, nmse|null
      mean_rate_hz|null, rate_hz {population: Hz}, spikes_per_inference|null, input_spikes_per_inference|null,
      synaptic_events_per_inference|null          null for a dense model
      n_parameters, parameter_bytes, state_bytes
      operations {synaptic: {mac, ac, mul, nonlinear, read, write}, neuron: {the same}} means an inference, or null; dense_mac|null
      n_cores                   of the placement, 0 without one
      distributions {spikes: [a sample each], synaptic_events: [...], dynamic_j: {device: [...]}}
      backends {name: {status "ok"|"unavailable"|"failed", reason, parity "base"|"exact"|"equal"|"differs"|"unknown"|"none",
                       text (the verdict in words, with the first difference), wall_time_s, versions}}
                                "equal": equal, but not asserted, since a backend or the graph is not exact; "unknown": the base broke;
                                "none": it did not run; a dense model has the one backend "torch"
      energy {device: {refused: text}
              | {parts: {name: {status, low, value, high, note}}, dynamic {low, value, high}, step_time_s, latency_s,
                 edp {low, value, high}|null, notes [text...]}}
                                parts: all of neuro.metrics.energy.PARTS; J an inference, null unless status is "priced"; edp in J s;
                                step_time_s and latency_s 0 for a device without steps
      measured null             what `neuro measure` gave stands in files of its own
    }]
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

import neuro
from neuro.graph import Graph, save
from neuro.metrics import activity, compare_recordings
from neuro.metrics.energy import DYNAMIC, PARTS
from neuro.recording import save as save_recording
from neuro.report import match
from neuro.tasks import Task
from tests.report.nets import digits_graph, digits_task, integer_digits_graph

N_SAMPLES, SHOWN = 12, 3
DEVICES = ("loihi", "digital45")


def write_folder(folder: Path, *, one: bool = False) -> Path:
    """Write a folder of one tiny float net, or of a float net, an integer net and a dense LSTM; return it."""
    task = digits_task()
    graphs = {"float": digits_graph()} if one else {"float": digits_graph(), "integer": integer_digits_graph()}
    models = [_spiking(folder if one else folder / name, name, g, task, one) for name, g in graphs.items()]
    models += [] if one else [_dense(folder / "lstm", task)]
    data = {
        "format": "neuro-models", "schema_version": 1, "command": "neuro compare float integer lstm -n 12", "machine": "x86_64, 2 cores",
        "versions": {"neuro": neuro.__version__, "numpy": np.__version__},
        "task": {"name": task.name, "params": {"steps_per_pixel": 1, "cue_steps": 8, "decision_steps": 4}}, "split": "test",
        "n_samples": N_SAMPLES, "sample": SHOWN, "steps": task.steps, "dt_ms": task.dt_ms, "step_time_s": 0.001, "devices": list(DEVICES),
        "models": models,
    }  # fmt: skip
    (folder / "models.json").write_text(json.dumps(data, indent=2, allow_nan=False))
    return folder


def _spiking(folder: Path, name: str, graph: Graph, task: Task, one: bool) -> dict[str, Any]:
    folder.mkdir(parents=True, exist_ok=True)
    batch, fit = task.fixed("test", 0, N_SAMPLES), match(graph, task)
    stimulus = fit.stimulus(graph, batch)
    base = neuro.run(graph, stimulus, record=neuro.Record(traces="all"))
    other = neuro.run(graph, stimulus, backend="reference", record=neuro.Record(traces="all"))
    save(graph, folder / "graph.h5")
    save_recording(neuro.run(graph, stimulus), folder / "recording.h5")
    save_recording(base.select(SHOWN, SHOWN + 1), folder / "sample.h5")
    predictions = fit.predictions(base, batch)[batch.targets >= 0]
    labels = batch.targets[batch.targets >= 0]
    _answers(folder, labels.tolist(), predictions.tolist())
    a = activity(base)
    events = sum(base.counts.synaptic_events.values())
    return {
        "name": name, "kind": "spiking", "semantics": graph.semantics, "sha256": graph.sha256, "path": f"{name}/graph.h5",
        "folder": "." if one else name, "n_right": int((labels == predictions).sum()), "n_decisions": len(labels),
        "accuracy": float((labels == predictions).mean()), "nmse": None, "mean_rate_hz": a.mean_rate_hz, "rate_hz": dict(a.rate_hz),
        "spikes_per_inference": a.spikes_per_inference, "input_spikes_per_inference": a.input_spikes_per_inference,
        "synaptic_events_per_inference": a.synaptic_events_per_inference, "n_parameters": graph.n_synapses,
        "parameter_bytes": 8 * graph.n_synapses, "state_bytes": 4 * 38,
        "operations": _operations(ac=a.synaptic_events_per_inference), "dense_mac": 1e5, "n_cores": 1 if graph.semantics == "integer" else 0,
        "distributions": {
            "spikes": sum(n for p, n in base.counts.spikes.items() if p != "in").tolist(), "synaptic_events": events.tolist(),
            "dynamic_j": {"loihi": (23.6e-12 * events).tolist(), "digital45": (1e-9 * events).tolist()},
        },
        "backends": {
            "engine": {"status": "ok", "reason": "", "parity": "base", "text": "base", "wall_time_s": base.wall_time_s, "versions": dict(base.versions)},
            "reference": {"status": "ok", "reason": "", "parity": "exact", "text": str(compare_recordings(base, other)),
                          "wall_time_s": other.wall_time_s, "versions": dict(other.versions)},
            "absent": {"status": "unavailable", "reason": "backend 'absent': its simulator is not installed. Install it with: pip install absent",
                       "parity": "none", "text": "", "wall_time_s": 0.0, "versions": {}},
        },
        "energy": {
            "loihi": _energy(a.synaptic_events_per_inference * 23.6e-12, static=True) if graph.semantics == "integer"
            else {"refused": "device 'loihi': needs a placement (got a float graph; need an integer one). Quantize it first."},
            "digital45": _energy(a.synaptic_events_per_inference * 1e-9, static=False),
        },
        "measured": None,
    }  # fmt: skip


def _dense(folder: Path, task: Task) -> dict[str, Any]:
    folder.mkdir(parents=True, exist_ok=True)
    batch = task.fixed("test", 0, N_SAMPLES)
    labels = batch.targets[:, 0]
    predictions = np.where(np.arange(len(labels)) % 3, labels, 0)
    _answers(folder, labels.tolist(), predictions.tolist())
    return {
        "name": "lstm", "kind": "lstm", "semantics": "float", "sha256": "ab" * 32, "path": "lstm/model.safetensors", "folder": "lstm",
        "n_right": int((labels == predictions).sum()), "n_decisions": len(labels), "accuracy": float((labels == predictions).mean()),
        "nmse": None, "mean_rate_hz": None, "rate_hz": {}, "spikes_per_inference": None, "input_spikes_per_inference": None,
        "synaptic_events_per_inference": None, "n_parameters": 2000, "parameter_bytes": 8000, "state_bytes": 128,
        "operations": _operations(mac=120000.0, ac=3000.0), "dense_mac": 140000.0, "n_cores": 0,
        "distributions": {"spikes": [], "synaptic_events": [], "dynamic_j": {"digital45": [1e-6 + 1e-8 * k for k in range(N_SAMPLES)]}},
        "backends": {"torch": {"status": "ok", "reason": "", "parity": "base", "text": "base", "wall_time_s": 0.1, "versions": {"torch": "2"}}},
        "energy": {
            "loihi": {"refused": "device 'loihi': prices spiking models only (got kind 'lstm'; need 'spiking')."},
            "digital45": _energy(1.1e-6, static=False),
        },
        "measured": None,
    }  # fmt: skip


def _answers(folder: Path, labels: list[int], predictions: list[int]) -> None:
    data = {
        "format": "neuro-answers",
        "schema_version": 1,
        "n_classes": 10,
        "labels": labels,
        "predictions": predictions,
    }
    (folder / "answers.json").write_text(json.dumps(data))


def _operations(**given: float) -> dict[str, dict[str, float]]:
    names = ("mac", "ac", "mul", "nonlinear", "read", "write")
    return {part: {n: given.get(n, 10.0) for n in names} for part in ("synaptic", "neuron")}


def _energy(joules: float, *, static: bool) -> dict[str, Any]:
    def ranged(x: float) -> dict[str, float]:
        return {"low": 0.5 * x, "value": x, "high": 2 * x}

    def part(name: str) -> dict[str, Any]:
        none = {"low": None, "value": None, "high": None}
        if name in ("synaptic", "neuron"):
            return {"status": "priced", **ranged(joules / 2), "note": f"{name} operations"}
        if name == "static" and static:
            return {"status": "priced", **ranged(3 * joules), "note": "cores used x time"}
        status = {"routing": "included", "learning": "not applicable"}.get(name, "not published")
        return {"status": status, **none, "note": ""}

    assert {"synaptic", "neuron"} <= set(DYNAMIC)
    latency = 0.072 if static else 0.0
    return {
        "parts": {name: part(name) for name in PARTS}, "dynamic": ranged(joules), "step_time_s": 0.001 if static else 0.0,
        "latency_s": latency, "edp": ranged(4 * joules * latency) if static else None,
        "notes": ["An estimate: counts times published figures."],
    }  # fmt: skip
