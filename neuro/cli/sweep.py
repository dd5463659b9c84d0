"""`neuro sweep`: accuracy against energy over a recipe's parameters."""

from __future__ import annotations

import os
import shlex
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from neuro.cli.arguments import TaskData

_LEFT_OUT = ("front", "synapses", "static (uJ)")
"""Columns of sweep.md for which a terminal has no room."""

if TYPE_CHECKING:
    from neuro.sweep import Result, Sweep


def sweep(
    file: Annotated[
        Path, typer.Argument(help="Sweep file: TOML, or a folder with a sweep.toml.", metavar="SWEEP.TOML")
    ],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder of the sweep. [default: runs/NAME of the sweep]")
    ] = None,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Go on with the sweep in the folder: what ended is not made again."),
    ] = False,
    workers: Annotated[
        int | None, typer.Option("--workers", "-w", min=1, help="Trials at once, each in a process. [default: 1]")
    ] = None,
    scheduler: Annotated[
        str | None,
        typer.Option("--scheduler", help="Make trials on the workers of a Dask scheduler: tcp://HOST:8786."),
    ] = None,
    trials: Annotated[int | None, typer.Option("--trials", min=1, help="How many, in place of the file's.")] = None,
    data: TaskData = None,
) -> None:
    """Train a recipe over and over with other parameters, and show what accuracy costs: a table and a Pareto plot.

    Writes sweep.json, sweep.md and pareto.svg, and a folder for each trial. Ctrl-C ends it with checkpoints that --resume goes on from. Exit
    code 1: a trial failed or was not finished.
    """
    from neuro.cli import options

    options.need_matplotlib()
    from neuro import sweep as sweeps

    chosen = sweeps.load(file, trials)
    folder = out or Path("runs") / chosen.name
    # Threads of OpenMP that wait inside torch would spin on the cores that the training kernels need (docs/training.md).
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    names = ", ".join(axis.name for axis in chosen.space)
    typer.echo(
        f"{chosen.name}: up to {chosen.trials} trials by {chosen.search} over {names}, energy on {chosen.device}, into {folder}"
    )
    found = _run(chosen, folder, resume, workers, scheduler, data)
    _show(found)
    if found.interrupted:
        typer.echo("interrupted; nothing is lost. Go on with: --resume", err=True)
        raise typer.Exit(130)
    if found.failed or found.unfinished:
        typer.echo(_left(found), err=True)
        raise typer.Exit(1)


def _run(
    chosen: Sweep, folder: Path, resume: bool, workers: int | None, scheduler: str | None, data: Path | None
) -> Result:
    from neuro import __version__
    from neuro import sweep as sweeps
    from neuro.sweep.runners import Here, Processes, Runner

    def runner(where: Path) -> Runner:
        if scheduler is not None:
            from neuro.sweep.cluster import Cluster

            return Cluster(scheduler, where, workers)
        return Here() if workers in (None, 1) else Processes(workers or 1)

    about: dict[str, Any] = {
        "command": shlex.join(["neuro", *sys.argv[1:]]),
        "versions": {"neuro": __version__, "python": sys.version.split()[0], **_installed("torch", "numpy", "optuna")},
    }
    return sweeps.run(chosen, folder, resume=resume, data=data, runner=runner, about=about, say=typer.echo)


def _installed(*names: str) -> dict[str, str]:
    """Return the versions of packages that are there."""
    from importlib.metadata import PackageNotFoundError, version

    found = {}
    for name in names:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def _show(found: Result) -> None:
    """Print the front, and write what people read."""
    from rich.table import Table

    from neuro._runs import write_text
    from neuro.cli import console
    from neuro.sweep import state
    from neuro.sweep.plot import pareto, save
    from neuro.sweep.table import header, markdown, rows, title

    held = state.read(found.folder / state.FILE)
    write_text(found.folder / "sweep.md", markdown(held))
    save(pareto(held), found.folder / "pareto.svg")
    grid = Table(title=f"{title(held)}. The front:", title_justify="left", title_style="bold", header_style="bold")
    names = header(held)
    shown = [k for k, name in enumerate(names) if name not in _LEFT_OUT]
    for k in shown:
        grid.add_column(names[k], justify="right", min_width=max(map(len, names[k].split())))
    for cells in rows(held, found.pareto):
        grid.add_row(*(cells[k] for k in shown))
    console.out().print(grid)
    typer.echo(f"written into {found.folder}: {state.FILE}, sweep.md, pareto.svg")


def _left(found: Result) -> str:
    """Say which trials did not end well."""
    parts = [f"failed: {', '.join(map(str, found.failed))}"] if found.failed else []
    parts += [f"not finished, go on with --resume: {', '.join(map(str, found.unfinished))}"] if found.unfinished else []
    return f"{found.folder}: trials {'; '.join(parts)}. sweep.md tells why."
