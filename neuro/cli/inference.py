"""Make a job of a model, a graph or a dense one: the inference of some samples of its task, which can be run again and again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neuro.errors import RecipeError

if TYPE_CHECKING:
    from neuro.cli.models import Found
    from neuro.tasks import Batch, Task
    from neuro.train import DenseModel


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

    name: str
    about: Mapping[str, str]
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
    """Make the job of a model, which a path names as in `find_models`: a graph on a backend, a dense model in torch.

    Raises: NeuroError, naming what does not fit.
    """
    from neuro.cli.models import find_models, one_task
    from neuro.graph import Graph

    found = find_models([path])[0]
    task = one_task([found], wish.task, wish.task_options, wish.data)
    if isinstance(found.model, Graph):
        with _of_graph(found, task, wish) as job:
            yield job
    else:
        yield _of_dense(found, found.model, task, wish)


@contextmanager
def _of_graph(found: Found, task: Task, wish: Wish) -> Iterator[Job]:
    from neuro import backend as backends
    from neuro.cli import options
    from neuro.report import match

    if wish.device is not None:
        raise RecipeError(f"--device: only for dense models (got '{wish.device}' with a graph; need -b). Leave it out.")
    net: Any = found.model
    name, fit, parts = wish.backend or "engine", match(net, task), _parts(task, wish)
    stimuli = [fit.stimulus(net, part) for part in parts]
    given = options.backend_options(wish.options, [name])[name]
    program = backends.get(name, **given).compile(net)
    record = backends.Record(spikes=False, traces={fit.readout: ("y",)})
    try:
        first = program.run(stimuli[0], record)
        yield Job(
            name=found.name, about=_about(found, "spiking", net.semantics), task=task, parts=parts, backend=name, options=given,
            versions=first.versions, unit=fit.unit,
            run=lambda: [program.run(s, record).traces[fit.readout]["y"] for s in stimuli],
        )  # fmt: skip
    finally:
        program.close()


def _of_dense(found: Found, model: DenseModel, task: Task, wish: Wish) -> Job:
    from neuro.report.dense import check_dense
    from neuro.train import Inference

    if wish.backend not in (None, "torch") or wish.options:
        raise RecipeError(
            f"--backend: a dense model runs in torch (got '{wish.backend or ', '.join(wish.options)}' with kind '{model.kind}'; need "
            "none). Leave it out; --device says where torch computes."
        )
    check_dense(model, task, found.name)
    about = _about(found, model.kind, "float")  # before the weights may move to a GPU
    parts, infer = _parts(task, wish), Inference(model.module, wish.device or "cpu")
    inputs = [part.inputs for part in parts]
    return Job(
        name=found.name, about=about, task=task, parts=parts, backend="torch", options=infer.options, versions=infer.versions, unit=1.0,
        run=lambda: infer(inputs),
    )  # fmt: skip


def _about(found: Found, kind: str, semantics: str) -> dict[str, str]:
    return {"kind": kind, "semantics": semantics, "sha256": found.model.sha256, "path": str(found.path)}


def _parts(task: Task, wish: Wish) -> list[Batch]:
    """Return the samples, as many at once as are wished for; all, if nothing is said."""
    from neuro.cli import options

    n = options.how_many(wish.samples, task, wish.split)
    whole, size = task.fixed(wish.split, 0, n), wish.at_once or n
    return [whole.select(k, min(k + size, n)) for k in range(0, n, size)]
