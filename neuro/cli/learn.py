"""`neuro learn`: a graph learns a task by local rules, as a recipe says."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from neuro.cli.arguments import RecipeFile, Resume, RunFolder, RunSeed, TaskData

if TYPE_CHECKING:
    from neuro.cli.console import Tell
    from neuro.graph import Graph
    from neuro.learning import LearnResult, Lesson, Score
    from neuro.learning.recipe import LearnRecipe
    from neuro.tasks import Task

_TEST_SAMPLES = 2000
"""Most samples of a test set that are scored; the line says how many of how many."""
EXIT_INTERRUPTED = 130


def learn(
    recipe: RecipeFile,
    out: RunFolder = None,
    data: TaskData = None,
    resume: Resume = False,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="Change a key of the recipe: rule.lr=0.01. Repeatable.")
    ] = None,
    seed: RunSeed = None,
) -> None:
    """Let a graph learn by local rules (e-prop, reward, STDP), without backprop, as a recipe describes.

    Ctrl-C ends it with a checkpoint that --resume goes on from.
    """
    from neuro import __version__, learning
    from neuro.cli import console, options
    from neuro.cli.overrides import override
    from neuro.learning import recipe as recipes

    chosen = override(recipe, settings or (), seed, recipes, "rule.lr=0.01")
    task = chosen.make_task(data)
    folder = out or Path("runs") / chosen.name
    whole = _graph(chosen, task)
    graph, hurt = whole, None
    if chosen.damage is not None:
        graph, hurt = learning.damage(whole, kill=chosen.damage.kill, noise=chosen.damage.noise, seed=chosen.seed)
    graph = graph.with_notes(task=options.task_note(chosen.task.name, chosen.task.params), recipe=chosen.to_toml())
    rule = chosen.make_rule()
    lesson = learning.lesson_for(
        learning.prepared(graph, task, rule, chosen.projections, chosen.signal), task, chosen.learn
    )
    typer.echo(f"{chosen.name}: {_plan(chosen, graph)}, into {folder}")
    if hurt is not None:
        typer.echo(hurt)
        _say_test("before damage", whole, task, lesson)
        _say_test("after damage", graph, task, lesson)
    with console.progress("learning") as tell:
        result = learning.learn(
            graph, task, rule, chosen.backend, projections=chosen.projections, signal=chosen.signal, config=chosen.learn,
            rewire=chosen.rewire, seed=chosen.seed, run_dir=folder, resume=resume, watch=_Watch(tell, chosen.learn.iterations),
            notes={"neuro": __version__, "name": chosen.name, "recipe": chosen.to_toml()},
        )  # fmt: skip
    if result.stopped == "interrupted":
        typer.echo(f"interrupted after iteration {result.iterations}; nothing is lost. Go on with: --resume", err=True)
        raise typer.Exit(EXIT_INTERRUPTED)
    _sum_up(result, folder)
    _say_test("after recovery" if hurt is not None else "", result.graph, task, lesson)
    typer.echo(f"graph: {folder / 'graph.h5'}, what changed: {folder / 'note.txt'}")


def _graph(recipe: LearnRecipe, task: Task) -> Graph:
    """Draw or load the graph; the run of `neuro train`, which has none, is exported on the way."""
    from neuro._runs import RUN, read_json

    path = recipe.graph_path
    bare = path is not None and (path / RUN).is_file() and not (path / "graph.h5").is_file()
    if path is not None and bare and "model" in read_json(path / RUN):
        from neuro.train import load_run, to_graph  # torch: only for such a run

        return to_graph(load_run(path))[0]
    return recipe.make_graph(task)


def _plan(recipe: LearnRecipe, graph: Graph) -> str:
    net = " + ".join(f"{p.size} {type(p).__name__}" for p in graph.neurons)
    by = recipe.rule or "the graph's own rules"
    config, rewire = recipe.learn, recipe.rewire
    rewired = (
        ""
        if rewire is None
        else f" rewired every {'iteration' if rewire.every == 1 else f'{rewire.every} iterations'},"
    )
    return (
        f"{net}, {graph.n_synapses} synapses,{rewired} on {recipe.task.name} by {by} on {recipe.backend}, up to {config.iterations} iterations of "
        f"{config.batch} samples, seed {recipe.seed}"
    )


class _Watch:
    """Move a bar, and print a sentence for every validation."""

    def __init__(self, tell: Tell, total: int) -> None:
        self._tell, self._total = tell, total

    def __call__(self, entry: dict[str, Any]) -> None:
        from neuro.learning import Score

        at = entry["iteration"]
        if "validation" not in entry:
            self._tell(at, self._total, f"learning: {_words(entry)}")
            return
        text = f"iteration {at}/{self._total}: validation {Score.from_dict(entry['validation'])}"
        if "train" in entry:
            text += f"; training {_words(entry['train'])}"
        typer.echo(text + (", best so far" if entry["best"] else ""))


def _words(means: dict[str, Any]) -> str:
    """Say the means of an entry."""
    parts = [f"loss {means['loss']:.3f}"]
    if "accuracy" in means:
        parts.append(f"{100 * means['accuracy']:.0f} %")
    if "nmse" in means:
        parts.append(f"NMSE {means['nmse']:.3f}")
    if "reward" in means:
        parts.append(f"reward {means['reward']:.3f}")
    return ", ".join([*parts, *([f"{means['rate_hz']:.1f} Hz"] if "rate_hz" in means else [])])


def _sum_up(result: LearnResult, folder: Path) -> None:
    why = {
        "finished": "all iterations done", "patience": "no better for long", "accuracy": "good enough", "nmse": "good enough",
    }[result.stopped]  # fmt: skip
    typer.echo(
        f"ended after iteration {result.iterations}: {why}; {_minutes(folder):.1f} minutes of learning\n"
        f"best validation {result.best} at iteration {result.best_iteration}; its weights are kept"
    )


def _say_test(when: str, graph: Graph, task: Task, lesson: Lesson) -> None:
    from neuro.learning import evaluate

    size = task.sizes["test"] or _TEST_SAMPLES
    found: Score = evaluate(graph, task, lesson, "test", min(size, _TEST_SAMPLES))
    done = f"NMSE {found.nmse:.4f}" if found.nmse is not None else f"{100 * (found.accuracy or 0.0):.1f} %"
    typer.echo(
        f"test {when}{': ' if when else ''}{done} in {found.n_samples} of {size} samples, mean rate {found.rate_hz:.1f} Hz"
    )


def _minutes(folder: Path) -> float:
    """Return how long all iterations of a run took, validations not counted, those before a resume counted."""
    from neuro._runs import read_log

    entries = (json.loads(line) for line in read_log(folder, sys.maxsize))
    return sum(float(entry.get("time_s", 0.0)) for entry in entries) / 60
