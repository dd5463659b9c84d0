"""`neuro check`: will this graph run on that chip, and will it still spike?"""

from __future__ import annotations

from typing import Annotated

import typer

from neuro.cli.arguments import GraphFile, TaskData, TaskName, TaskOptions
from neuro.cli.quantize import CalibrationSamples, CalibrationSplit, MaxRuns, MixedSigns, Profile, Seed, calibration


def check(
    graph: GraphFile,
    profile: Profile,
    chips: Annotated[
        int | None, typer.Option("--chips", min=1, help="How many chips there are. [default: as many as it takes]")
    ] = None,
    task: TaskName = None,
    data: TaskData = None,
    split: CalibrationSplit = "validation",
    samples: CalibrationSamples = None,
    task_option: TaskOptions = None,
    runs: MaxRuns = 48,
    mixed_signs: MixedSigns = False,
    limits: Annotated[
        bool, typer.Option("--limits", help="Print the profile's limits and their sources, too.")
    ] = False,
    seed: Seed = 0,
) -> None:
    """Check a graph for a chip: what quantisation changes, where the neurons go, and which of them fall silent.

    A float graph is quantised in memory; an integer one is taken as it is. Exit code 1: a limit of the chip is broken, or a
    population went silent.
    """
    from neuro import deploy
    from neuro.cli import console
    from neuro.graph import load

    net = load(graph)
    chip = deploy.profile(profile)
    if limits:
        typer.echo(f"{chip}\n")
    stimulus, words = calibration(net, task, data, split, samples, task_option)
    silenced: tuple[str, ...] = ()
    with console.progress("check") as tell:
        if net.semantics == "float":
            tell(0, 0, "check: quantising")
            net, note = deploy.quantize(net, chip, stimulus, seed=seed, max_runs=runs, split_signs=not mixed_signs)
            silenced = note.silenced
            typer.echo(f"{note}\n")
        tell(0, 0, "check: placing")
        placed = deploy.placement(net, chip, max_chips=chips)
        typer.echo(f"{placed}\n")
        tell(0, 0, "check: running")
        quiet = deploy.silence(net, stimulus or deploy.poisson(net, seed), words)
    typer.echo(quiet)
    silenced = tuple(dict.fromkeys((*silenced, *quiet.dead)))
    verdict = [f"limits of {chip.name} broken: {len(placed.broken)}"] * bool(placed.broken)
    verdict += [f"silent: {', '.join(silenced)}"] * bool(silenced)
    typer.echo(f"\n{graph}: " + ("; ".join(verdict) if verdict else f"fits {chip.name}, and no population is silent"))
    if verdict:
        raise typer.Exit(1)
