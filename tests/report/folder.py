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
      neurobench {activation_sparsity, connection_sparsity, footprint_bytes, dense, effective_macs, effective_acs} or null
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
                                latency_s is steps x step_time_s
      measured null             what `neuro measure` gave stands in files of its own
    }]
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from neuro.deploy import quantize
from neuro.graph import Graph
from neuro.report import Candidate, Entry, compare_models, write_models
from neuro.train import DenseModel, ModelConfig, TaskShape, build_model
from tests.report.nets import digits_graph, digits_task

N_SAMPLES, SHOWN = 12, 3
BACKENDS = ("engine", "reference")


def dense_model(kind: str = "lstm") -> DenseModel:
    """Return an untrained LSTM or RNN of 6 units for `digits_task`."""
    config, shape = ModelConfig(kind=kind, n_units=6), TaskShape.of(digits_task())
    return DenseModel(
        name=f"untrained {kind}", config=config, shape=shape, dtype="float32", module=build_model(config, shape, 1)
    )


@cache
def chip_graph() -> Graph:
    """Return `digits_graph` quantised for Loihi 1, which holds it."""
    return quantize(digits_graph(), "loihi1", max_runs=1)[0]


def entries(backends: tuple[str, ...] = BACKENDS) -> list[Entry]:
    """Return a float net, the same in the integers of Loihi 1, and an LSTM, none of them trained."""
    candidates = tuple(Candidate(name=name) for name in backends)
    return [
        Entry(name="float", model=digits_graph(), candidates=candidates, path="float/graph.h5"),
        Entry(name="integer", model=chip_graph(), candidates=candidates, path="integer/graph.h5"),
        Entry(name="lstm", model=dense_model(), path="lstm/model.safetensors"),
    ]


def write_folder(folder: Path, *, one: bool = False, backends: tuple[str, ...] = BACKENDS) -> Path:
    """Write a folder of one tiny float net, or of a float net, the same for Loihi 1 and a dense LSTM; return it."""
    given = entries(backends)[: 1 if one else 3]
    found = compare_models(given, digits_task(), n_samples=N_SAMPLES, sample=SHOWN)
    write_models(found, folder, command="neuro compare float integer lstm -n 12 --sample 3", rasters=False)
    return folder
