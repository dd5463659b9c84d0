"""Decide what a run starts from: fresh weights, those of another run, or a float graph; for a float net, or for a chip."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from neuro import graph as graphs
from neuro.errors import DataError, RecipeError
from neuro.graph import CurrentInput, Graph
from neuro.train import checkpoint
from neuro.train.build import DTYPES, TaskShape, build_deep_r, build_model, build_optimizer
from neuro.train.config import DeepRConfig, ModelConfig, TrainConfig
from neuro.train.deep_r import DeepR
from neuro.train.lsnn import LSNN
from neuro.train.quantized import QuantizedLSNN, Template

START, TEMPLATE = "start.h5", "template.h5"
_SAME = ("mode", "connectivity", "dale")


@dataclass(frozen=True)
class Start:
    """Where a run takes its first weights from.

    path: as the recipe names it; graph: a float graph, whose populations and connections the network has; run: the folder of a
    training run, whose best weights it takes; sparse: its zero weights stay zero.
    """

    path: str
    graph: Graph | None = None
    run: Path | None = None
    sparse: bool = False


@dataclass(frozen=True)
class Prepared:
    """A model that is ready for its first step, with its optimiser and DEEP R."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    deep_r: DeepR | None


def read_start(path: str | Path, name: str | None = None) -> Start:
    """Read what a recipe's `start` names: a folder of `neuro train`, or the file of a float graph.

    Parameters: name, what messages and the run call it; None: the path.
    Raises: RecipeError if there is neither; DataError if it is damaged.
    """
    path, called = Path(path), name or str(path)
    if (path / checkpoint.RUN).is_file():
        settings = checkpoint.read_json(path / checkpoint.RUN)
        held = path / START
        sparse = settings["deep_r"]["mode"] != "off" or settings.get("start", {}).get("sparse", False)
        return Start(called, graphs.load(held) if held.exists() else None, path, sparse)
    if path.is_file():
        graph = graphs.load(path)
        if graph.semantics != "float":
            raise RecipeError(
                f"start '{called}': {graph.semantics} graph (got {graph.semantics} semantics; need float). Start from the float graph, or "
                "from the run that this one was exported from."
            )
        return Start(called, graph)
    raise RecipeError(
        f"start '{called}': nothing to start from (got '{path}'; need a folder that 'neuro train' wrote, or the file of a float graph). "
        "Paths are relative to the recipe."
    )


def held_start(folder: Path) -> Start | None:
    """Return what the run in a folder started from, without weights: a checkpoint follows."""
    held = checkpoint.read_json(folder / checkpoint.RUN).get("start", {})
    if not held:
        return None
    return Start(held["path"], graphs.load(folder / START) if (folder / START).exists() else None, None, held["sparse"])


def save_origin(folder: Path, start: Start | None, template: Template | None) -> None:
    """Keep in a run's folder what `skeleton` needs besides run.json."""
    if start is not None and start.graph is not None:
        graphs.save(start.graph, folder / START)
    if template is not None:
        graphs.save(template.graph, folder / TEMPLATE)


def origin_settings(start: Start | None, template: Template | None) -> dict[str, Any]:
    """Return what run.json holds of the origin, {} where there is none."""
    return {
        "start": {} if start is None else {"path": start.path, "sparse": start.sparse},
        "quantize": {} if template is None else {"profile": template.profile, "scales": dict(template.scales)},
    }


def read_template(folder: Path) -> Template | None:
    """Return the template of a run for a chip, None for a float run, or one that holds nothing yet."""
    if not (folder / TEMPLATE).exists():
        return None
    held = checkpoint.read_json(folder / checkpoint.RUN).get("quantize", {})
    return Template(held["profile"], graphs.load(folder / TEMPLATE), held["scales"]) if held else None


def skeleton(
    config: ModelConfig, shape: TaskShape, seed: int, dtype: str, start: Start | None, template: Template | None
) -> nn.Module:
    """Build a run's model, without the weights of the run that it starts from.

    With the graph of a start the network is the graph's, and of `config` the dampening alone is used.
    Raises: RecipeError if the graph does not fit the task, QuantizationError if the model does not fit the template.
    """
    if start is None or start.graph is None:
        model = build_model(config, shape, seed, dtype)
    else:
        _fits(start, config, shape)
        model = LSNN.from_graph(start.graph, DTYPES[dtype], config.dampening)
    if start is not None and isinstance(model, LSNN):
        model.sparse = start.sparse
    if template is None:
        return model
    if not isinstance(model, LSNN):
        raise RecipeError(
            f"quantize: no spiking network (got kind '{config.kind}'; need lsnn or lif). A chip holds spiking neurons."
        )
    return QuantizedLSNN.of(model, template)


def prepare(
    model: ModelConfig,
    train: TrainConfig,
    deep_r: DeepRConfig,
    shape: TaskShape,
    seed: int,
    start: Start | None = None,
    template: Template | None = None,
) -> Prepared:
    """Build what a run trains, as it is before the first step.

    With the run of a start, the network has its best weights, and DEEP R goes on with its connections and signs.
    Raises: as `skeleton`, and RecipeError if weights or DEEP R do not fit those of the start.
    """
    if start is not None and start.graph is not None and deep_r.mode != "off":
        raise RecipeError(
            f"deep_r 'mode': connections are those of the graph (got '{deep_r.mode}' with start '{start.path}'; need 'off'). Set mode = "
            '"off", or start from the folder of the training run.'
        )
    built = skeleton(model, shape, seed, train.dtype, start, template)
    optimizer = build_optimizer(train, built)
    rewiring = build_deep_r(deep_r, built, optimizer, seed)
    if start is not None and start.run is not None:
        tensors = checkpoint.load(start.run)[1]
        _load(built, start, tensors)
        if rewiring is not None:
            _same_deep_r(start, deep_r)
            rewiring.adopt({k[7:]: v for k, v in tensors.items() if k.startswith("deep_r/")})
    return Prepared(built, optimizer, rewiring)


def best_weights(tensors: dict[str, Tensor], best: bool = True) -> dict[str, Tensor]:
    """Return the weights of a checkpoint: those of the best validation, or the last ones if there was none or `best` is False."""
    prefix = "best/" if best and any(name.startswith("best/") for name in tensors) else "model/"
    return {name[len(prefix) :]: t for name, t in tensors.items() if name.startswith(prefix)}


def _load(model: nn.Module, start: Start, tensors: dict[str, Tensor]) -> None:
    held, wanted = best_weights(tensors), model.state_dict()
    failures = [
        f"start '{start.path}': parameter '{name}' does not fit (got {_shape(held.get(name))}; need {_shape(wanted.get(name))}). "
        "Give the recipe the start's [model] and [task]."
        for name in sorted({*held, *wanted})
        if _shape(held.get(name)) != _shape(wanted.get(name))
    ]
    if failures:
        raise RecipeError("\n".join(failures))
    model.load_state_dict(held)


def _shape(tensor: Tensor | None) -> tuple[int, ...] | None:
    return None if tensor is None else tuple(tensor.shape)


def _same_deep_r(start: Start, config: DeepRConfig) -> None:
    """Refuse to go on rewiring by other rules."""
    assert start.run is not None
    held = checkpoint.read_json(start.run / checkpoint.RUN)["deep_r"]
    failures = [
        f"deep_r '{name}': differs from the start's (got {getattr(config, name)!r}; the run in '{start.path}' has {held[name]!r}). Use the "
        'same, or mode = "off", which keeps its connections.'
        for name in _SAME
        if getattr(config, name) != held[name]
    ]
    if failures:
        raise RecipeError("\n".join(failures))


def _fits(start: Start, config: ModelConfig, shape: TaskShape) -> None:
    """Refuse a graph whose inputs or readouts are not the task's."""
    assert start.graph is not None
    if config.kind not in ("lsnn", "lif"):
        raise RecipeError(
            f"start '{start.path}': no spiking network wanted (got kind '{config.kind}' with a graph to start from; need lsnn or lif). Set kind."
        )
    inputs, readouts = start.graph.inputs, start.graph.readouts
    sizes = (sum(p.size for p in inputs), sum(p.size for p in readouts))
    kinds = {"current" if isinstance(p, CurrentInput) else "spikes" for p in inputs}
    if sizes != (shape.n_in, shape.n_out) or len(inputs) != 1 or kinds != {shape.input_kind}:
        raise RecipeError(
            f"start '{start.path}': graph of another task (got {len(inputs)} inputs of {sizes[0]} {' and '.join(sorted(kinds))}, {sizes[1]} "
            f"readouts; need one input of {shape.n_in} {shape.input_kind}, {shape.n_out} readouts for {shape.name}). Start from a "
            "graph of this task."
        )


def check_same(folder: Path, held: dict[str, Any], start: str | None, profile: str | None) -> None:
    """Refuse to resume a run with another start or profile. Raises DataError."""
    for key, name, got, has in (
        ("start", "path", start, held.get("start", {}).get("path")),
        ("quantize", "profile", profile, held.get("quantize", {}).get("profile")),
    ):
        if got != has:
            raise DataError(
                f"run '{folder}': {key} '{name}' differs (got {got!r}; the run has {has!r}). Resume with the same recipe, or choose "
                "another folder."
            )
