"""Find the models that a command line names: graphs, dense models, and folders of the zoo or of runs that hold them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from neuro.cli import options
from neuro.errors import DataError
from neuro.graph import Graph, load
from neuro.tasks import Batch, Task

if TYPE_CHECKING:
    from neuro.train import DenseModel

_TOGETHER = 64
"""Samples that are compared at a time."""
GRAPH, DENSE, RUN = "graph.h5", "model.safetensors", "run.json"


@dataclass(frozen=True, kw_only=True)
class Found:
    """A model that was found: what it is called, where it was read, and what its notes say of its task."""

    name: str
    path: Path
    model: Graph | DenseModel
    notes: Mapping[str, str]


def find_models(paths: Sequence[Path]) -> list[Found]:
    """Read the models that paths name, each under a name of its own.

    A path is the file of a graph; the file of a dense model (.safetensors, from `neuro export`); or a folder that holds graph.h5,
    model.safetensors or a training run, looked for in this order. A run that spikes is exported on the way.
    Raises: DataError if there is nothing of this kind, or it is damaged.
    """
    found: list[Found] = []
    for path in paths:
        name, model, notes = _read(path)
        taken = {f.name for f in found}
        names = (name if k == 1 else f"{name}-{k}" for k in range(1, len(paths) + 1))
        found.append(Found(name=next(n for n in names if n not in taken), path=path, model=model, notes=notes))
    return found


def _read(path: Path) -> tuple[str, Graph | DenseModel, Mapping[str, str]]:
    if path.is_dir():
        folder = path.resolve().name
        for name in (GRAPH, DENSE):
            if (path / name).is_file():
                return folder, *_of_file(path / name)
        if (path / RUN).is_file():
            return folder, *_of_run(path)
        raise DataError(
            f"{path}: holds no model (got a folder without {GRAPH}, {DENSE} or {RUN}; need one of them). Train one: neuro train RECIPE --out "
            f"{path}"
        )
    own = path.stem if path.name not in (GRAPH, DENSE) else path.resolve().parent.name
    return own, *_of_file(path)


def _of_file(path: Path) -> tuple[Graph | DenseModel, Mapping[str, str]]:
    if path.suffix == ".safetensors":
        from neuro.train import load_dense  # torch: only where a dense model is asked for

        dense = load_dense(path)
        return dense, dense.notes
    graph = load(path)
    return graph, graph.notes


def _of_run(path: Path) -> tuple[Graph | DenseModel, Mapping[str, str]]:
    """Take the dense model of a run, or the graph that `neuro export` would make of it."""
    from neuro.train import dense_of_run, load_run, read_run, to_graph  # torch: only where a run is asked for

    settings = read_run(path)
    if settings["model"]["kind"] not in ("lsnn", "lif"):
        dense = dense_of_run(path)
        return dense, dense.notes
    notes = {key: text for key, text in settings.get("notes", {}).items() if isinstance(text, str)}
    graph, _ = to_graph(load_run(path), None, notes.get("name", path.resolve().name), notes)
    return graph, graph.notes


def one_task(
    found: Sequence[Found],
    name: str | None,
    settings: Mapping[str, Any],
    data_dir: Path | None,
    split: str = "test",
    samples: int | None = None,
) -> Task:
    """Build the task that all models were trained for, or the one that is named for all of them.

    Parameters that change the training samples alone (noise, shifts) may differ: what has to be equal are the samples that are run.
    Parameters: split, samples, which those are, as given on the command line.
    Raises: DataError if models were trained for different tasks, naming which, or none says which; as `options.task_of`.
    """
    made: dict[str, tuple[Found, Task]] = {}
    for f in found if name is None else found[:1]:
        where = f"graph '{f.model.name or f.name}'" if isinstance(f.model, Graph) else f"model '{f.name}'"
        noted = options.noted(f.notes, where)
        key = json.dumps(noted, sort_keys=True) if noted else ""
        if key not in made:
            made[key] = (f, options.noted_task(f.notes, where, name, settings, data_dir))
    (first, task), *others = made.values()
    for other, its in others:
        if not _same_samples(task, its, split, options.how_many(samples, task, split)):
            raise DataError(
                f"compare: models of different tasks (got '{first.name}': {_shown(first)}; '{other.name}': {_shown(other)}; need the same {split} "
                "samples for all). Compare those that belong together, or name one task for all: --task, --task-option."
            )
    return task


def _same_samples(a: Task, b: Task, split: str, n: int) -> bool:
    """Tell whether two tasks ask the same of a model in their first n samples of a split."""
    if (a.name, a.n_in, a.n_out, a.dt_ms, a.steps) != (b.name, b.n_in, b.n_out, b.dt_ms, b.steps):
        return False
    if a.sizes.get(split) != b.sizes.get(split):
        return False
    for first in range(0, n, _TOGETHER):
        left, right = (task.fixed(split, first, min(first + _TOGETHER, n)) for task in (a, b))
        for field in fields(Batch):
            x, y = getattr(left, field.name), getattr(right, field.name)
            if (x is None) != (y is None) or (x is not None and not np.array_equal(x, y)):
                return False
    return True


def _shown(found: Found) -> str:
    """Return what a model's notes say of its task, as a message shows it."""
    noted = options.noted(found.notes, f"model '{found.name}'")
    params = ", ".join(f"{key}={json.dumps(value)}" for key, value in sorted(noted["params"].items()))
    return f"{noted['name']} with {params or 'defaults'}"
