"""Make a job of a model, a graph or a dense one: the inference of some samples of its task, which can be run again and again."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neuro.errors import DataError, RecipeError

if TYPE_CHECKING:
    from neuro.graph import Graph
    from neuro.tasks import Batch, Task

DENSE = ("lstm", "rnn")
GRAPH, RUN = "graph.h5", "run.json"


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What the command line asks for: samples of a split, `at_once` of them at a time, on a backend or a device."""

    backend: str | None
    options: Sequence[str]
    task: str | None
    task_options: Mapping[str, Any]
    data: Path | None
    split: str
    samples: int | None
    at_once: int | None
    device: str | None


@dataclass(frozen=True, kw_only=True)
class Job:
    """The inference of samples. `run` returns the readout of every part of the samples, float (batch, steps, n_out)."""

    model: Mapping[str, Any]
    task: Task
    parts: Sequence[Batch]
    backend: str
    options: Mapping[str, Any]
    versions: Mapping[str, str]
    unit: float
    run: Callable[[], list[Any]]

    @property
    def n_samples(self) -> int:
        """Count the samples of all parts."""
        return sum(len(part) for part in self.parts)

    def score(self) -> dict[str, Any]:
        """Run once; return right decisions, decisions, accuracy and NMSE, None where the task has no such thing."""
        from neuro import tasks

        answers = self.run()
        if self.parts[0].signal is not None:
            both = [tasks.squares(y / self.unit, part) for y, part in zip(answers, self.parts, strict=True)]
            error, spread = (sum(s) for s in zip(*both, strict=True))
            return {"n_right": None, "n_decisions": None, "accuracy": None, "nmse": error / spread}
        n_right, n = (
            sum(k) for k in zip(*(tasks.score(y, p) for y, p in zip(answers, self.parts, strict=True)), strict=True)
        )
        return {"n_right": n_right, "n_decisions": n, "accuracy": n_right / max(n, 1), "nmse": None}


@contextmanager
def job_of(path: Path, wish: Wish) -> Iterator[Job]:
    """Make the job of a model: a graph file, a folder with graph.h5, or a folder that `neuro train` wrote.

    An LSTM or vanilla RNN is run by torch; a spiking run without graph.h5 is exported for this once.
    Raises: NeuroError, naming what does not fit.
    """
    file = path / GRAPH if (path / GRAPH).is_file() else path
    if file.is_dir():
        if not (file / RUN).is_file():
            raise DataError(
                f"{path}: no model in this folder (got no {GRAPH} and no {RUN}; need one of them). Give a graph file, or a folder "
                "that 'neuro train' wrote."
            )
        from neuro.train import read_run

        kind = read_run(path).get("model", {}).get("kind")
        if kind in DENSE:
            yield _of_dense(path, kind, wish)
            return
    with _of_graph(path, file, wish) as job:
        yield job


@contextmanager
def _of_graph(path: Path, file: Path, wish: Wish) -> Iterator[Job]:
    from neuro import backend as backends
    from neuro.cli import options
    from neuro.report import match

    if wish.device is not None:
        raise RecipeError(f"--device: only for dense models (got '{wish.device}' with a graph; need -b). Leave it out.")
    net, name = _graph(path, file), wish.backend or "engine"
    task = options.task_of(net, wish.task, wish.task_options, wish.data)
    fit = match(net, task)
    parts = _parts(task, wish)
    stimuli = [fit.stimulus(net, part) for part in parts]
    given = options.backend_options(wish.options, [name])[name]
    program = backends.get(name, **given).compile(net)
    record = backends.Record(spikes=False, traces={fit.readout: ("y",)})
    try:
        first = program.run(stimuli[0], record)
        yield Job(
            model={"name": net.name, "kind": "spiking", "semantics": net.semantics, "sha256": net.sha256, "path": str(path)},
            task=task, parts=parts, backend=name, options=given, versions=first.versions, unit=fit.unit,
            run=lambda: [program.run(s, record).traces[fit.readout]["y"] for s in stimuli],
        )  # fmt: skip
    finally:
        program.close()


def _graph(path: Path, file: Path) -> Graph:
    if file.is_file() or not file.is_dir():
        from neuro.graph import load

        return load(file)
    from neuro.train import load_run, read_run, to_graph

    notes = {key: text for key, text in read_run(file).get("notes", {}).items() if isinstance(text, str)}
    return to_graph(load_run(file), None, notes.get("name", path.name), notes)[0]


def _of_dense(path: Path, kind: str, wish: Wish) -> Job:
    from neuro import tasks
    from neuro.train import Inference, load_run, read_run

    if wish.backend not in (None, "torch") or wish.options:
        raise RecipeError(
            f"--backend: a dense model runs in torch (got '{wish.backend or ', '.join(wish.options)}' with kind '{kind}'; need none). "
            "Leave it out; --device says where torch computes."
        )
    settings = read_run(path)
    noted = json.loads(settings.get("notes", {}).get("task", "null"))
    if noted is None or wish.task not in (None, noted["name"]):
        raise DataError(
            f"{path}: a dense model runs on the task that it was trained for (got '{wish.task or 'none'}'; need "
            f"'{settings['task']['name']}'). Name no other."
        )
    task = tasks.make(noted["name"], wish.data, noted["seed"], **{**noted["params"], **wish.task_options})
    parts, infer = _parts(task, wish), Inference(load_run(path), wish.device or "cpu")
    inputs = [part.inputs for part in parts]
    return Job(
        model={"name": settings.get("notes", {}).get("name", path.name), "kind": kind, "semantics": "float", "sha256": "", "path": str(path)},
        task=task, parts=parts, backend="torch", options=infer.options, versions=infer.versions, unit=1.0,
        run=lambda: infer(inputs),
    )  # fmt: skip


def _parts(task: Task, wish: Wish) -> list[Batch]:
    """Return the samples, as many at once as are wished for; all, if nothing is said."""
    from neuro.cli import options

    n = options.how_many(wish.samples, task, wish.split)
    whole, size = task.fixed(wish.split, 0, n), wish.at_once or n
    return [whole.select(k, min(k + size, n)) for k in range(0, n, size)]
