"""Declare the options that several commands share, once. Imports nothing that is slow."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

GraphFile = Annotated[Path, typer.Argument(help="Graph file.", metavar="GRAPH.H5")]
TaskName = Annotated[
    str | None, typer.Option("--task", "-t", help="Task that drives the graph. [default: the one it was trained for]")
]
TaskData = Annotated[Path | None, typer.Option("--data", help="Folder with the task's data files.")]
RecipeFile = Annotated[
    Path, typer.Argument(help="Recipe: a TOML file, or a folder with a recipe.toml.", metavar="RECIPE")
]
RunFolder = Annotated[
    Path | None, typer.Option("--out", "-o", help="Folder of the run. [default: runs/NAME of the recipe]")
]
Resume = Annotated[
    bool, typer.Option("--resume", help="Go on with the run in the folder, bit for bit as if it had not stopped.")
]
RunSeed = Annotated[int | None, typer.Option("--seed", min=0, help="Seed of the run, in place of the recipe's.")]
TaskOptions = Annotated[
    list[str] | None, typer.Option("--task-option", help="A parameter of the task, KEY=VALUE. Repeatable.")
]
Split = Annotated[str, typer.Option("--split", help="Which samples: test or validation.")]
Samples = Annotated[
    int | None,
    typer.Option("--samples", "-n", min=1, help="How many samples, from the first on. [default: 50, or all if fewer]"),
]
BackendOptions = Annotated[
    list[str] | None,
    typer.Option(
        "--backend-option",
        help="An option of a backend, BACKEND.KEY=VALUE, as brian2.target=cython; KEY=VALUE where there is one. Repeatable.",
    ),
]
Target = Annotated[
    str | None, typer.Option("--target", help="Where backend lava runs: simulation, or hardware (a Loihi board).")
]
