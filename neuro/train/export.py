"""Turn a trained LSNN into a spiking graph on its grid, and say how alike the two are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from neuro.backend import Record, Stimulus
from neuro.engine import EngineBackend
from neuro.errors import UnsupportedError
from neuro.graph import LI, LIF, Graph, GridNote, Population, Projection, to_grid
from neuro.tasks import Batch, score
from neuro.train import checkpoint
from neuro.train.build import TaskShape
from neuro.train.config import ModelConfig
from neuro.train.export_integer import Rounding, integer_graph
from neuro.train.lsnn import LSNN, Output
from neuro.train.pairs import delays, pairs
from neuro.train.quantized import QuantizedLSNN
from neuro.train.start import best_weights, held_start, read_template, skeleton


@dataclass(frozen=True)
class ExportReport:
    """What export changed, and what it did to the results.

    grid: largest change of a weight and dropped synapses; n_samples: compared samples, 0 if no batch was given; n_identical: those
    whose spikes are the same, neuron by neuron and step by step, in the trained module and in the graph (of an integer graph the
    readouts too); accuracy_module,
    accuracy_graph: share of right decisions of both, None without samples.
    """

    grid: GridNote | Rounding
    n_synapses: int
    n_samples: int = 0
    n_identical: int = 0
    accuracy_module: float | None = None
    accuracy_graph: float | None = None

    @property
    def largest_change(self) -> float:
        """Return the largest change of a weight or bias."""
        return self.grid.largest_change

    @property
    def identical_rasters(self) -> float | None:
        """Return the share of samples with identical spikes, None without samples."""
        return self.n_identical / self.n_samples if self.n_samples else None

    def __str__(self) -> str:
        lines = [f"export: {self.n_synapses} synapses", str(self.grid)]
        if self.accuracy_module is not None and self.accuracy_graph is not None:
            lines.append(
                f"rasters: {self.n_identical} of {self.n_samples} samples identical in the trained module and the graph; accuracy "
                f"{100 * self.accuracy_module:.2f} % and {100 * self.accuracy_graph:.2f} %"
            )
        return "\n".join(lines)


def to_graph(
    model: nn.Module, check: Batch | None = None, name: str = "", notes: Mapping[str, str] | None = None
) -> tuple[Graph, ExportReport]:
    """Export an LSNN as a graph on its grid, with one projection for each pair of connected populations.

    Zero weights of matrices (dormant connections) are left out.

    Parameters: check, samples on which the module as it is trained (float32, say) is compared with the graph; name, notes, of the
    graph.
    Returns: the graph, and what changed.
    Raises: UnsupportedError if the model is not an LSNN.
    """
    if not isinstance(model, LSNN):
        raise UnsupportedError(
            f"export: no spiking network (got {type(model).__name__}; need LSNN). Dense baselines have no spiking graph; train with kind "
            '= "lsnn" or "lif", or keep their weights alone: neuro export RUN -o model.safetensors'
        )
    if isinstance(model, QuantizedLSNN):
        integer, rounding = integer_graph(model, name, dict(notes or {}))
        found = ExportReport(grid=rounding, n_synapses=integer.n_synapses)
        return integer, found if check is None else _compare(model, integer, found, check)
    bias = {p.name: p.bias for p in (*model.neurons, *model.readouts)}
    for parameter, group in ((model.bias, model.neurons), (model.bias_out, model.readouts)):
        if parameter is not None:
            values = parameter.detach().double().numpy()
            ends = np.cumsum([p.size for p in group])[:-1]
            bias |= {p.name: part for p, part in zip(group, np.split(values, ends), strict=True)}
    by_name: dict[str, Population] = {p.name: p for p in model.inputs}
    receivers: tuple[LIF | LI, ...] = (*model.neurons, *model.readouts)
    by_name |= {p.name: replace(p, bias=bias[p.name], grid=None) for p in receivers}
    exact = Graph(
        populations=tuple(by_name[n] for n in model.order),
        projections=tuple(_projections(model)),
        dt_ms=model.dt_ms,
        name=name,
        notes=dict(notes or {}),
    )
    graph, note = to_grid(exact)
    report = ExportReport(grid=note, n_synapses=graph.n_synapses)
    return graph, report if check is None else _compare(model, graph, report, check)


def _projections(model: LSNN) -> list[Projection]:
    """Return the projections with their trained weights; zeros of matrices (dormant connections) are left out."""
    weight, delay = model.weights().detach().double().numpy(), delays(model)
    found = []
    for pair in pairs(model):
        keep = slice(None) if pair.listed else weight[pair.entries] != 0
        at = pair.entries[keep]
        if pair.listed or at.size:
            found.append(
                Projection(
                    name=pair.name,
                    source=pair.source,
                    target=pair.target,
                    pre=pair.pre[keep],
                    post=pair.post[keep],
                    weight=weight[at],
                    delay=delay[at],
                )
            )
    return found


@torch.no_grad()
def _compare(model: LSNN, graph: Graph, report: ExportReport, batch: Batch) -> ExportReport:
    """Run the module and the graph's exact double, or the integer graph on the engine, on the same samples."""
    trained = model(batch.inputs)
    exact = _run_integer(graph, batch) if isinstance(model, QuantizedLSNN) else LSNN.from_graph(graph)(batch.inputs)
    assert exact.z is not None
    assert trained.z is not None
    same = (trained.z.bool() == exact.z.bool()).all(2).all(1)
    if isinstance(model, QuantizedLSNN):
        same &= (trained.y == exact.y).all(2).all(1)
    right = [score(output.y.numpy(), batch) for output in (trained, exact)]
    return replace(
        report,
        n_samples=len(batch),
        n_identical=int(same.sum()),
        accuracy_module=right[0][0] / right[0][1],
        accuracy_graph=right[1][0] / right[1][1],
    )


def _run_integer(graph: Graph, batch: Batch) -> Output:
    """Run an integer graph on the engine."""
    stimulus = Stimulus.dense({graph.inputs[0].name: batch.inputs}, graph)
    found = EngineBackend().compile(graph).run(stimulus, Record(traces={p.name: ("y",) for p in graph.readouts}))
    z = [found.spikes[p.name].to_dense(stimulus.batch, stimulus.steps, p.size) for p in graph.neurons]
    y = [found.traces[p.name]["y"] for p in graph.readouts]
    return Output(torch.from_numpy(np.concatenate(y, axis=2)), torch.from_numpy(np.concatenate(z, axis=2)))


def read_run(run_dir: str | Path) -> dict[str, Any]:
    """Return what a run was made from: "model", "train", "deep_r", "task" (its shape), "seed", "notes".

    Raises: DataError if the folder holds no run.
    """
    return checkpoint.read_json(Path(run_dir) / checkpoint.RUN)


def load_run(run_dir: str | Path, weights: str = "best") -> nn.Module:
    """Return the model of a training run.

    Parameters: weights, "best" (of all validations; the last ones if there was none) or "last".
    Raises: DataError if the folder holds no run or no checkpoint, or it is damaged.
    """
    settings, folder = read_run(run_dir), Path(run_dir)
    _, tensors = checkpoint.load(folder)
    model = skeleton(
        ModelConfig(**settings["model"]),
        TaskShape(**settings["task"]),
        settings["seed"],
        settings["train"]["dtype"],
        held_start(folder),
        read_template(folder),
    )
    model.load_state_dict(best_weights(tensors, best=weights == "best"))
    if isinstance(model, LSNN):
        model.sparse = model.sparse or settings["deep_r"]["mode"] != "off"
    return model
