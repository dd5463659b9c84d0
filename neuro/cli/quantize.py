"""`neuro quantize`: from a float graph to the integer graph of a chip."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from neuro.cli.arguments import GraphFile, TaskData, TaskName, TaskOptions

if TYPE_CHECKING:
    from neuro.backend import Stimulus
    from neuro.graph import Graph

Profile = Annotated[str, typer.Option("--profile", "-p", help="What the chip holds: loihi1 or loihi2.")]
CalibrationSplit = Annotated[str, typer.Option("--split", help="Samples that drive the graph: validation or test.")]
CalibrationSamples = Annotated[
    int | None,
    typer.Option("--samples", "-n", min=1, help="How many, from the first on. [default: 50, or all if fewer]"),
]
MaxRuns = Annotated[int, typer.Option("--runs", min=1, help="Most runs of the search for scales; 1: no search.")]
MixedSigns = Annotated[
    bool, typer.Option("--mixed-signs", help="One projection for both signs: fewer axons, 7 bits a weight for 8.")
]
Seed = Annotated[int, typer.Option("--seed", help="Seed of the random stimulus, where there is no task.")]


def quantize(
    graph: GraphFile,
    profile: Profile,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Graph file to write. [default: GRAPH-PROFILE.h5 beside the graph]"),
    ] = None,
    task: TaskName = None,
    data: TaskData = None,
    split: CalibrationSplit = "validation",
    samples: CalibrationSamples = None,
    task_option: TaskOptions = None,
    runs: MaxRuns = 48,
    mixed_signs: MixedSigns = False,
    seed: Seed = 0,
) -> None:
    """Quantise a float graph for a chip: scales and exponents by a search on the task's samples, and a note of all that changed.

    A graph whose notes name no task is driven by random spikes, unless --task names one.
    """
    from neuro import deploy
    from neuro.cli import console
    from neuro.errors import DataError
    from neuro.graph import load, save

    net = load(graph)
    chip = deploy.profile(profile)
    path = output or graph.with_name(f"{graph.stem}-{chip.name}.h5")
    if path.resolve() == graph.resolve():
        raise DataError(f"--output: is the float graph itself (got {path}; need another file). Name one.")
    stimulus, _ = calibration(net, task, data, split, samples, task_option)
    with console.progress("quantize") as tell:
        tell(0, 0, "quantize: searching for scales")
        made, note = deploy.quantize(net, chip, stimulus, seed=seed, max_runs=runs, split_signs=not mixed_signs)
    save(made, path)
    typer.echo(note)
    typer.echo(f"graph: {path} (sha256 {made.sha256[:12]})")
    typer.echo(f"next: neuro check {path} --profile {chip.name}; neuro run {path}")


def calibration(
    net: Graph, task: str | None, data: Path | None, split: str, samples: int | None, task_option: list[str] | None
) -> tuple[Stimulus | None, str]:
    """Return the task's first samples as a stimulus, and what it is in words; None where the graph names no task and none is named."""
    from neuro.cli import options
    from neuro.report import match

    if task is None and "task" not in net.notes:
        return None, "random spikes, since the graph names no task"
    texts = options.pairs(task_option or (), "--task-option", "steps_per_pixel=1")
    job = options.task_of(net, task, {k: options.value(v) for k, v in texts.items()}, data)
    batch = job.fixed(split, 0, options.how_many(samples, job, split))
    return match(net, job).stimulus(net, batch), f"the first {split} samples of task '{job.name}'"
