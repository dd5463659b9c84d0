"""`neuro compare`: one graph on several backends, side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from neuro.cli.arguments import BackendOptions, GraphFile, Samples, Split, Target, TaskData, TaskName, TaskOptions


def compare(
    graph: GraphFile,
    backends: Annotated[
        str | None,
        typer.Option(
            "--backends",
            "-b",
            help="Backends, with commas: engine,brian2,lava. [default: all installed that run this kind of graph, but the "
            "slow reference]",
        ),
    ] = None,
    task: TaskName = None,
    data: TaskData = None,
    split: Split = "test",
    samples: Samples = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Folder for tables and rasters. [default: GRAPH-compare beside the graph]"),
    ] = None,
    sample: Annotated[int, typer.Option("--sample", min=0, help="The sample that the raster shows.")] = 0,
    rasters: Annotated[
        bool, typer.Option("--rasters/--no-rasters", help="Draw the rasters (needs matplotlib).")
    ] = True,
    find: Annotated[
        bool, typer.Option("--find", help="Explain the first difference: states, arrivals, and which one is wrong.")
    ] = False,
    allow_missing: Annotated[
        bool, typer.Option("--allow-missing", help="Exit with 0 even if a backend is not available.")
    ] = False,
    task_option: TaskOptions = None,
    backend_option: BackendOptions = None,
    target: Target = None,
) -> None:
    """Compare backends on one graph: accuracy, activity, time, and parity, bit for bit in every spike and state.

    Writes comparison.json, comparison.md and raster plots, and with --find divergence.md and its plot. A backend that cannot run is
    a row that says why. Exit code 1: a backend that has to agree does not, or one broke. 3: one that was asked for is not available.
    """
    from neuro import backend as registry
    from neuro.cli import console, options
    from neuro.graph import load
    from neuro.report import (
        Candidate,
        explain_first,
        explanation_table,
        table,
        write_explanation,
        write_rasters,
        write_tables,
    )
    from neuro.report import compare as compare_backends

    net = load(graph)
    settings = {
        k: options.value(v) for k, v in options.pairs(task_option or (), "--task-option", "steps_per_pixel=1").items()
    }
    job = options.task_of(net, task, settings, data)
    if backends is None:
        names, left_out = _able([name for name in registry.names() if name != "reference"], net.semantics)
        if left_out:
            typer.echo(f"left out, as they do not run graphs of {net.semantics} semantics: {', '.join(left_out)}")
    else:
        names = [name.strip() for name in backends.split(",") if name.strip()]
    if rasters:
        options.need_matplotlib()
    chosen = options.backend_options(options.with_target(backend_option or (), target, names), names)
    candidates = [Candidate(name=name, options=chosen[name]) for name in names]
    with console.progress("compare") as tell:
        found = compare_backends(
            net,
            job,
            candidates,
            split=split,
            n_samples=options.how_many(samples, job, split),
            sample=sample,
            progress=tell,
        )
    console.out().print(table(found))
    folder = output or graph.with_name(f"{graph.stem}-compare")
    paths = write_tables(found, folder)
    if rasters:
        with console.progress("rasters"):
            paths += write_rasters(found, folder)
    explanation = explain_first(found) if find else None
    if explanation is not None:
        console.out().print(explanation_table(explanation))
        paths += write_explanation(explanation, folder, plot=rasters)
    elif find:
        compared = any(row.parity is not None for row in found.rows)
        typer.echo(
            "find: no two backends differ" if compared else "find: nothing to compare, fewer than two backends ran"
        )
    typer.echo(f"written into {folder}: {', '.join(p.name for p in paths)}")
    if found.failed:
        raise typer.Exit(1)
    if found.missing and backends is not None and not allow_missing:
        raise typer.Exit(3)


def _able(names: list[str], semantics: str) -> tuple[list[str], list[str]]:
    """Part backends into those that run graphs of these semantics and those that do not; one that does not import stays: its row
    says why.
    """
    from neuro import backend as registry

    able: list[str] = []
    left_out: list[str] = []
    for name in names:
        try:
            runs = semantics in registry.get(name).capabilities.semantics
        except Exception:  # what a package does when it is imported is its own affair
            runs = True
        (able if runs else left_out).append(name)
    return able, left_out
