"""`neuro show`: a graph for a person to read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer


def show(
    graph: Annotated[Path, typer.Argument(help="Graph file.", metavar="GRAPH.H5")],
    recipe: Annotated[
        bool, typer.Option("--recipe", help="Print the recipe it was trained with, as TOML, and nothing else.")
    ] = False,
) -> None:
    """Show what a graph holds: populations, projections, delays, weights, and where it comes from."""
    from neuro.errors import DataError
    from neuro.graph import load

    found = load(graph)
    notes = dict(found.notes)
    if recipe:
        if "recipe" not in notes:
            raise DataError(
                f"{graph}: holds no recipe (got notes {sorted(notes)}; need 'recipe'). It was not exported from a run."
            )
        typer.echo(notes["recipe"], nl=False)
        return
    typer.echo(found.summary())
    if notes:
        typer.echo("\nnotes")
    for key in sorted(notes):
        typer.echo(f"  {key}: {_short(key, notes[key])}")


def _short(key: str, text: str) -> str:
    """Put a note on one line; a recipe is long and has an option of its own."""
    if key == "recipe":
        return f"{len(text.splitlines())} lines, 'neuro show --recipe' prints them"
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if key == "task" and isinstance(found, dict) and "name" in found:
        params = ", ".join(f"{k} {v}" for k, v in found.get("params", {}).items())
        return f"{found['name']} ({params})" if params else str(found["name"])
    line = " ".join(text.split())
    return line if len(line) <= 100 else line[:97] + "..."
