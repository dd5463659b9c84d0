"""`neuro compare`: one graph on several backends, side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def compare(
    graph: Annotated[Path, typer.Argument(help="Graph file.", metavar="GRAPH.H5")],
    backends: Annotated[
        str | None,
        typer.Option(
            "--backends",
            "-b",
            help="Backends, with commas: engine,brian2,lava. [default: all installed but the slow reference]",
        ),
    ] = None,
    task: Annotated[
        str | None,
        typer.Option("--task", "-t", help="Task that drives the graph. [default: the one it was trained for]"),
    ] = None,
    data: Annotated[Path | None, typer.Option("--data", help="Folder with the task's data files.")] = None,
    split: Annotated[str, typer.Option("--split", help="Which samples: test or validation.")] = "test",
    samples: Annotated[int, typer.Option("--samples", "-n", min=1, help="How many samples, from the first on.")] = 50,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Folder for tables and rasters. [default: GRAPH-compare beside the graph]"),
    ] = None,
    sample: Annotated[int, typer.Option("--sample", min=0, help="The sample that the raster shows.")] = 0,
    rasters: Annotated[
        bool, typer.Option("--rasters/--no-rasters", help="Draw the rasters (needs matplotlib).")
    ] = True,
    allow_missing: Annotated[
        bool, typer.Option("--allow-missing", help="Exit with 0 even if a backend is not available.")
    ] = False,
    task_option: Annotated[
        list[str] | None, typer.Option("--task-option", help="A parameter of the task, KEY=VALUE. Repeatable.")
    ] = None,
    backend_option: Annotated[
        list[str] | None,
        typer.Option("--backend-option", help="An option, BACKEND.KEY=VALUE, as brian2.target=cython. Repeatable."),
    ] = None,
) -> None:
    """Compare backends on one graph: accuracy, activity, time, and parity, bit for bit in every spike and state.

    Writes comparison.json, comparison.md and raster plots. A backend that cannot run is a row that says why.
    Exit code 1: a backend that has to agree does not, or one broke. 3: one that was asked for is not available.
    """
    from neuro import backend as registry
    from neuro.cli import console, options
    from neuro.graph import load
    from neuro.report import Candidate, table, write_rasters, write_tables
    from neuro.report import compare as compare_backends

    net = load(graph)
    settings = {
        k: options.value(v) for k, v in options.pairs(task_option or (), "--task-option", "steps_per_pixel=1").items()
    }
    job = options.task_of(net, task, settings, data)
    if backends is None:
        names = [name for name in registry.names() if name != "reference"]
    else:
        names = [name.strip() for name in backends.split(",") if name.strip()]
    if rasters:
        options.need_matplotlib()
    chosen = options.backend_options(backend_option or (), names)
    candidates = [Candidate(name=name, options=chosen[name]) for name in names]
    with console.progress("compare") as tell:
        found = compare_backends(net, job, candidates, split=split, n_samples=samples, sample=sample, progress=tell)
    console.out().print(table(found))
    folder = output or graph.with_name(f"{graph.stem}-compare")
    paths = write_tables(found, folder)
    if rasters:
        with console.progress("rasters"):
            paths += write_rasters(found, folder)
    typer.echo(f"written into {folder}: {', '.join(p.name for p in paths)}")
    if found.failed:
        raise typer.Exit(1)
    if found.missing and backends is not None and not allow_missing:
        raise typer.Exit(3)
