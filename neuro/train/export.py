"""Turn a trained LSNN into a spiking graph on its grid, and say how alike the two are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from neuro.errors import UnsupportedError
from neuro.graph import LI, LIF, Graph, GridNote, Population, Projection, to_grid
from neuro.tasks import Batch, score
from neuro.train import checkpoint
from neuro.train.build import TaskShape, build_model
from neuro.train.config import ModelConfig
from neuro.train.lsnn import LSNN, Block


@dataclass(frozen=True)
class ExportReport:
    """What export changed, and what it did to the results.

    grid: largest change of a weight and dropped synapses; n_samples: compared samples, 0 if no batch was given; n_identical: those
    whose spikes are the same, neuron by neuron and step by step, in the trained module and in the graph; accuracy_module,
    accuracy_graph: share of right decisions of both, None without samples.
    """

    grid: GridNote
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
            '= "lsnn" or "lif".'
        )
    bias = {p.name: p.bias for p in (*model.neurons, *model.readouts)}
    for parameter, group in ((model.bias, model.neurons), (model.bias_out, model.readouts)):
        if parameter is not None:
            values = parameter.detach().double().numpy()
            ends = np.cumsum([p.size for p in group])[:-1]
            bias |= {p.name: part for p, part in zip(group, np.split(values, ends), strict=True)}
    by_name: dict[str, Population] = {p.name: p for p in model.inputs}
    receivers: tuple[LIF | LI, ...] = (*model.neurons, *model.readouts)
    by_name |= {p.name: replace(p, bias=bias[p.name], grid=None) for p in receivers}
    projections = [c for b in model.blocks for c in _projections(model, b)]
    exact = Graph(
        populations=tuple(by_name[n] for n in model.order),
        projections=tuple(projections),
        dt_ms=model.dt_ms,
        name=name,
        notes=dict(notes or {}),
    )
    graph, note = to_grid(exact)
    report = ExportReport(grid=note, n_synapses=graph.n_synapses)
    return graph, report if check is None else _compare(model, graph, report, check)


def _projections(model: LSNN, block: Block) -> list[Projection]:
    """Cut a block's weights into projections between populations."""
    weight = model.get_parameter(block.name).detach().double().numpy()
    delay = model.get_buffer(f"delay_{block.name}").numpy()
    sources, targets = _stretches((*model.inputs, *model.neurons)), _stretches((*model.neurons, *model.readouts))
    if block.projection is not None:
        name, source_name, target_name = block.projection
        first_pre, first_post = (
            next(low for p, low in group if p.name == wanted)
            for group, wanted in ((sources, source_name), (targets, target_name))
        )
        pre, post = block.pre - first_pre, block.post - first_post
        return [
            Projection(
                name=name, source=source_name, target=target_name, pre=pre, post=post, weight=weight, delay=delay
            )
        ]
    keep = weight != 0
    pre, post, weight, delay = block.pre[keep], block.post[keep], weight[keep], delay[keep]
    found = []
    for source, low_pre in sources:
        for target, low_post in targets:
            here = (
                (pre >= low_pre) & (pre < low_pre + source.size) & (post >= low_post) & (post < low_post + target.size)
            )
            if here.any():
                found.append(
                    Projection(
                        name=f"{source.name}->{target.name}",
                        source=source.name,
                        target=target.name,
                        pre=pre[here] - low_pre,
                        post=post[here] - low_post,
                        weight=weight[here],
                        delay=delay[here],
                    )
                )
    return found


def _stretches(populations: Sequence[Population]) -> list[tuple[Population, int]]:
    """Pair every population with its first row."""
    ends = np.cumsum([p.size for p in populations])
    return [(p, int(end) - p.size) for p, end in zip(populations, ends, strict=True)]


@torch.no_grad()
def _compare(model: LSNN, graph: Graph, report: ExportReport, batch: Batch) -> ExportReport:
    """Run the module and the graph's exact double on the same samples."""
    trained, exact = model(batch.inputs), LSNN.from_graph(graph)(batch.inputs)
    assert trained.z is not None and exact.z is not None
    same = (trained.z.bool() == exact.z.bool()).all(2).all(1)
    right = [score(output.y.numpy(), batch) for output in (trained, exact)]
    return replace(
        report,
        n_samples=len(batch),
        n_identical=int(same.sum()),
        accuracy_module=right[0][0] / right[0][1],
        accuracy_graph=right[1][0] / right[1][1],
    )


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
    settings = read_run(run_dir)
    _, tensors = checkpoint.load(Path(run_dir))
    model = build_model(
        ModelConfig(**settings["model"]), TaskShape(**settings["task"]), settings["seed"], settings["train"]["dtype"]
    )
    best = weights == "best" and any(name.startswith("best/") for name in tensors)
    prefix = "best/" if best else "model/"
    model.load_state_dict({name[len(prefix) :]: t for name, t in tensors.items() if name.startswith(prefix)})
    if isinstance(model, LSNN):
        model.sparse = settings["deep_r"]["mode"] != "off"
    return model
