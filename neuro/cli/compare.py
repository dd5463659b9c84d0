"""`neuro compare`: models on one task, each on several backends, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from neuro.cli.arguments import BackendOptions, Samples, Split, Target, TaskData, TaskName, TaskOptions

if TYPE_CHECKING:
    from neuro.cli.models import Found
    from neuro.report import Entry, Models


def compare(
    context: typer.Context,
    models: Annotated[
        list[Path],
        typer.Argument(
            help="Models of one task: graph files, dense models (.safetensors), folders of the zoo or of runs.",
            metavar="MODEL...",
        ),
    ],
    backends: Annotated[
        str | None,
        typer.Option(
            "--backends",
            "-b",
            help="Backends, with commas: engine,brian2,lava. [default: of one graph all installed that run its kind, but the "
            "slow reference; of several models the engine]",
        ),
    ] = None,
    task: TaskName = None,
    data: TaskData = None,
    split: Split = "test",
    samples: Samples = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="Folder for tables and rasters. [default: MODEL-compare beside the one model, else compare]",
        ),
    ] = None,
    devices: Annotated[
        str,
        typer.Option(
            "--devices", help="Devices to estimate energy for, with commas ('neuro devices' lists them); all, or none."
        ),
    ] = "loihi,digital45",
    step_time_us: Annotated[
        float | None,
        typer.Option(
            "--step-time-us",
            help="Time that a device takes for a step, in microseconds. [default: real time, the task's step]",
        ),
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
    """Compare models and backends: accuracy, activity, operations, parity bit for bit, and energy by device as estimates with ranges.

    Writes models.json and models.md; of each graph comparison.json, comparison.md, raster plots and recordings, and with --find
    divergence.md and its plot. Several models have a folder each. A backend that cannot run is a row that says why. Exit code 1:
    a backend that has to agree does not, or one broke. 3: one that was asked for is not available.
    """
    from neuro.cli import console, options
    from neuro.cli.models import find_models, one_task
    from neuro.report import check_place, compare_models, models_table, table, write_models

    found = find_models(models)
    settings = {
        k: options.value(v) for k, v in options.pairs(task_option or (), "--task-option", "steps_per_pixel=1").items()
    }
    job = one_task(found, task, settings, data, split, samples)
    names = None if backends is None else [name.strip() for name in backends.split(",") if name.strip()]
    folder = output or _default_folder(models)
    options.need_folder(folder)
    check_place(folder, [f.name for f in found])
    if rasters:
        options.need_matplotlib()
    entries = _entries(found, names, backend_option or (), target)
    with console.progress("compare") as tell:
        compared = compare_models(
            entries,
            job,
            devices=_devices(devices),
            step_time_s=None if step_time_us is None else step_time_us / 1e6,
            split=split,
            n_samples=options.how_many(samples, job, split),
            sample=sample,
            progress=tell,
        )
    for model in compared.models:
        if model.comparison is not None and (len(found) == 1 or len(model.rows) > 1):
            console.out().print(table(model.comparison))
    console.out().print(models_table(compared))
    with console.progress("rasters" if rasters else "writing"):
        paths = write_models(compared, folder, command=options.command_line(context), rasters=rasters)
    if find:
        paths += _explain(compared, folder, rasters)
    typer.echo(f"written into {folder}: {_written(paths, folder)}")
    if compared.failed:
        raise typer.Exit(1)
    if compared.missing and backends is not None and not allow_missing:
        raise typer.Exit(3)


def _entries(
    found: Sequence[Found], names: list[str] | None, backend_option: Sequence[str], target: str | None
) -> list[Entry]:
    """Give each graph its backends: those that were asked for, or those of the default."""
    from neuro.cli import options
    from neuro.graph import Graph
    from neuro.report import Candidate, Entry

    graphs = [f.model for f in found if isinstance(f.model, Graph)]
    if names is None:
        names = ["engine"] if len(found) > 1 else _default_backends(graphs[0].semantics) if graphs else []
    chosen = options.backend_options(options.with_target(backend_option, target, names), names)
    candidates = tuple(Candidate(name=name, options=chosen[name]) for name in names)
    return [Entry(name=f.name, model=f.model, candidates=candidates, path=str(f.path)) for f in found]


def _default_backends(semantics: str) -> list[str]:
    from neuro import backend as registry

    names, left_out = _able([name for name in registry.names() if name != "reference"], semantics)
    if left_out:
        typer.echo(f"left out, as they do not run graphs of {semantics} semantics: {', '.join(left_out)}")
    return names


def _devices(text: str) -> list[str]:
    """Return the devices that a text names."""
    from neuro.metrics import devices

    if text.strip() in ("all", "none"):
        return list(devices()) if text.strip() == "all" else []
    return [name.strip() for name in text.split(",") if name.strip()]


def _default_folder(paths: Sequence[Path]) -> Path:
    if len(paths) > 1:
        return Path("compare")
    path = paths[0].resolve() if paths[0].is_dir() else paths[0]
    return path.with_name(f"{path.name if path.is_dir() else path.stem}-compare")


def _explain(compared: Models, folder: Path, plot: bool) -> list[Path]:
    """Explain the first difference of each graph's backends; return what was written."""
    from neuro.cli import console
    from neuro.report import explain_first, explanation_table, folder_names, write_explanation

    paths: list[Path] = []
    places = folder_names(compared)
    if all(model.comparison is None for model in compared.models):
        typer.echo("find: nothing to explain, a dense model runs on torch alone")
    for model in compared.models:
        if model.comparison is None:
            continue
        explanation = explain_first(model.comparison)
        if explanation is not None:
            console.out().print(explanation_table(explanation))
            paths += write_explanation(explanation, folder / places[model.name], plot=plot)
            continue
        any_parity = any(row.parity is not None for row in model.comparison.rows)
        told = "no two backends differ" if any_parity else "nothing to compare, fewer than two backends ran"
        typer.echo(f"find: {told}" if len(compared.models) == 1 else f"find: {model.name}: {told}")
    return paths


def _written(paths: Sequence[Path], folder: Path) -> str:
    """Name what lies in the folder itself, then the folders of models."""
    inside = [p.relative_to(folder) for p in paths]
    files = [p.name for p in inside if len(p.parts) == 1]
    folders = dict.fromkeys(p.parts[0] for p in inside if len(p.parts) > 1)
    return ", ".join(files) + (f"; a folder each: {', '.join(folders)}" if folders else "")


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
