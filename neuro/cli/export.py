"""`neuro export`: a trained run becomes a graph."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer


def export(
    run: Annotated[Path, typer.Argument(help="Folder that 'neuro train' wrote.", metavar="RUN")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="File to write: a graph, or of an lstm or rnn a .safetensors file.")
    ],
    data: Annotated[Path | None, typer.Option("--data", help="Folder with the task's data files.")] = None,
    check: Annotated[
        int, typer.Option("--check", min=0, help="Compare module and graph on this many test samples; 0: do not.")
    ] = 64,
    last: Annotated[
        bool, typer.Option("--last", help="Take the last weights, not those of the best validation.")
    ] = False,
) -> None:
    """Export a trained net to a graph on its grid, and say what changed: weights, spikes, accuracy.

    An lstm or rnn has no graph: it becomes one file of its weights, which 'neuro compare' takes beside graphs.
    """
    if output.suffix == ".safetensors":
        _export_dense(run, output, last)
        return
    from neuro import graph as graphs
    from neuro.cli import console
    from neuro.errors import DataError
    from neuro.tasks import make
    from neuro.train import load_run, read_run, to_graph

    settings = read_run(run)
    notes = {key: text for key, text in settings.get("notes", {}).items() if isinstance(text, str)}
    batch = None
    if check:
        if "task" not in notes:
            raise DataError(
                f"{run}: does not say which task it was trained for (got notes {sorted(notes)}; need 'task'). Export with --check 0."
            )
        task: dict[str, Any] = json.loads(notes["task"])
        job = make(task["name"], data, task["seed"], **task["params"])
        size = job.sizes["test"]
        batch = job.fixed("test", 0, check if size is None else min(check, size))
    with console.progress("export") as tell:
        tell(0, 0, "export: reading the run")
        model = load_run(run, "last" if last else "best")
        tell(0, 0, "export: comparing module and graph" if check else "export: placing weights on the grid")
        graph, report = to_graph(model, batch, notes.get("name", run.name), {**notes, "run": _origin(settings)})
    graphs.save(graph, output)
    typer.echo(report)
    typer.echo(f"graph: {output} (sha256 {graph.sha256[:12]})")
    typer.echo(f"next: neuro show {output}; neuro compare {output}")


def _export_dense(run: Path, output: Path, last: bool) -> None:
    from neuro.train import dense_of_run, save_dense

    model = dense_of_run(run, "last" if last else "best")
    save_dense(model, output)
    n_weights = sum(w.size for w in model.weights.values())
    typer.echo(
        f"dense model: {output} ({model.kind} of {model.config.n_units}, {n_weights:,} parameters, sha256 {model.sha256[:12]})"
    )
    typer.echo(f"next: neuro compare {output} GRAPH.H5")


def _origin(settings: dict[str, Any]) -> str:
    """Say in a line how the run was made."""
    return f"seed {settings['seed']}, trained in {settings['train']['dtype']}, DEEP R {settings['deep_r']['mode']}"
