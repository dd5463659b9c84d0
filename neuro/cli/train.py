"""`neuro train`: a recipe becomes a run."""

from __future__ import annotations

import json
import os
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from neuro.cli.arguments import RecipeFile, Resume, RunFolder, RunSeed, TaskData

if TYPE_CHECKING:
    from neuro.recipe import Recipe
    from neuro.tasks import Task
    from neuro.train import FitResult, Group, Score

_TEST_SAMPLES = 2000
"""Most samples of a test set that are scored after training unless more are asked for; the line says how many of how many."""


def train(
    recipe: RecipeFile,
    out: RunFolder = None,
    data: TaskData = None,
    resume: Resume = False,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="Change a key of the recipe: train.lr=0.01. Repeatable.")
    ] = None,
    seed: RunSeed = None,
    test_samples: Annotated[
        int, typer.Option("--test-samples", min=1, help="Most samples of the test set to score at the end.")
    ] = _TEST_SAMPLES,
) -> None:
    """Train what a recipe describes; Ctrl-C ends it with a checkpoint that --resume goes on from.

    In several processes, each with its share of every batch: torchrun --nproc-per-node 2 --no-python neuro train RECIPE.
    """
    from neuro import __version__
    from neuro import recipe as recipes
    from neuro.cli import options
    from neuro.cli.overrides import override

    chosen = override(recipe, settings or (), seed, recipes)
    task = chosen.make_task(data)
    folder = out or Path("runs") / chosen.name
    notes = {
        "neuro": __version__,
        "name": chosen.name,
        "recipe": chosen.to_toml(),
        "task": options.task_note(chosen.task.name, chosen.task.params),
    }
    # Threads of OpenMP that wait inside torch would spin on the cores that the training kernels need (docs/training.md). Read
    # when torch is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from neuro.cli.origin import origin
    from neuro.train import fit, joined  # torch: after all that can be wrong in the recipe and the data

    with joined() as group:
        say = typer.echo if group.chief else _say_nothing
        start, template, quantized = group.together("start of the run", lambda: origin(chosen, task, folder, resume))
        together = f", by {group.size} processes" if group.size > 1 else ""
        say(f"{chosen.name}: {_plan(chosen)}, into {folder}{together}")
        if quantized:
            say(quantized)
        result = fit(
            task, folder, model=chosen.model, train=chosen.train, deep_r=chosen.deep_r, seed=chosen.seed, resume=resume,
            echo=say, notes=notes, start=start, template=template, group=group,
        )  # fmt: skip
        if result.stopped == "interrupted":
            say(f"interrupted after step {result.iterations}; nothing is lost. Go on with: --resume", err=True)
            raise typer.Exit(130)
        test, limit = _test(chosen, task, result, group, test_samples)
    if group.chief:
        _sum_up(chosen, task, result, folder, test, limit)


def _say_nothing(message: str, err: bool = False) -> None:
    """Take a line that rank 0 prints."""


def _plan(recipe: Recipe) -> str:
    m, t = recipe.model, recipe.train
    net = f"{m.n_lif} LIF + {m.n_alif} ALIF" if m.kind in ("lsnn", "lif") else f"{m.kind} of {m.n_units}"
    if recipe.start is not None:
        net = f"{recipe.start}" if recipe.start.endswith(".h5") else f"{net} from {recipe.start}"
    if recipe.quantize is not None:
        net += f" for {recipe.quantize}"
    return f"{net} on {recipe.task.name}, up to {t.iterations} steps of {t.batch} samples, seed {recipe.seed}"


def _test(recipe: Recipe, task: Task, result: FitResult, group: Group, most: int) -> tuple[Score, int]:
    """Score a model on the test set, or the start of a large one; return the score and how many samples it is of."""
    from neuro.cli import console
    from neuro.train import evaluate

    limit = min(task.sizes["test"] or most, most)
    batch = max(recipe.train.batch, 256)
    with console.progress("test") if group.chief else nullcontext() as tell:
        if tell is not None:
            tell(0, 0, f"scoring {limit} test samples")
        score = evaluate(result.model, task, "test", limit=limit, batch=batch, seed=recipe.seed, group=group)
    return score, limit


def _sum_up(recipe: Recipe, task: Task, result: FitResult, folder: Path, test: Score, limit: int) -> None:
    why = {"finished": "all steps done", "patience": "no better for long", "accuracy": "good enough"}[result.stopped]
    typer.echo(f"ended after step {result.iterations}: {why}; {_minutes(folder):.1f} minutes of training steps")
    if result.best is not None:
        typer.echo(
            f"best validation {100 * result.best.accuracy:.1f} % at step {result.best_iteration}; its weights are kept"
        )
    rate = "" if test.rate_hz is None else f", mean rate {test.rate_hz:.1f} Hz"
    size = task.sizes["test"] or limit
    typer.echo(f"test {100 * test.accuracy:.1f} % of {test.n_decisions} decisions in {limit} of {size} samples{rate}")
    name = "graph.h5" if recipe.model.kind in ("lsnn", "lif") else "model.safetensors"
    typer.echo(f"next: neuro export {folder} -o {folder / name}")


def _minutes(folder: Path) -> float:
    """Return how long all steps of a run took, validations not counted, those before a resume counted."""
    from neuro.train import checkpoint

    entries = (json.loads(line) for line in checkpoint.read_log(folder, sys.maxsize))
    return sum(float(entry.get("time_s", 0.0)) for entry in entries) / 60
