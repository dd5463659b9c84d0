"""`neuro diff`: two recordings, and why they part."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from neuro.graph import Graph
    from neuro.recording import Recording


def diff(
    first: Annotated[Path, typer.Argument(help="Recording.", metavar="A.H5")],
    second: Annotated[Path, typer.Argument(help="Another recording of the same graph and samples.", metavar="B.H5")],
    graph: Annotated[
        Path | None,
        typer.Option("--graph", "-g", help="Their graph. [default: the one beside a recording that it names]"),
    ] = None,
    stimulus: Annotated[
        Path | None,
        typer.Option("--stimulus", help="Their stimulus ('neuro run --save-stimulus'); current inputs need it."),
    ] = None,
    plot: Annotated[
        Path | None, typer.Option("--plot", help="Draw it into this file, .png or .svg (needs matplotlib).")
    ] = None,
    steps: Annotated[int, typer.Option("--steps", min=0, help="How many steps before the difference to show.")] = 10,
) -> None:
    """Say whether two recordings agree bit for bit; if not, where they first part, what arrived there, and which one is wrong.

    Exit code 0: they agree in all that both hold. 1: they do not. 2: they are not of one graph and one stimulus.
    """
    from neuro.backend import Stimulus
    from neuro.cli import console, options
    from neuro.graph import load
    from neuro.metrics import check_one_stimulus, compare_recordings, explain
    from neuro.recording import load as load_recording
    from neuro.report import explanation_table

    if plot is not None:
        options.need_matplotlib()
        from neuro.report.divergence_plot import check_path, save_plot  # matplotlib: only where pictures are wanted

        check_path(plot)
    a, b = load_recording(first), load_recording(second)
    net = load(graph) if graph is not None else _beside(a, (first, second))
    check_one_stimulus(a, b, net)
    parity = compare_recordings(a, b)
    names = (a.backend, b.backend) if a.backend != b.backend else (str(first), str(second))
    typer.echo(f"{first} ({a.backend}) and {second} ({b.backend})")
    if parity.exact:
        typer.echo(str(parity))
        if not parity.n_values:
            typer.echo("states were not compared: at least one recording holds none ('neuro run --traces' keeps them)")
        return
    typer.echo(f"{parity.n_equal_samples} of {parity.n_samples} samples agree")
    currents = None
    if stimulus is not None and net is not None:
        given = Stimulus.load(stimulus)
        given.check(net)
        currents = given.currents
    found = explain(a, b, net, currents=currents, n_before=steps, names=names)
    assert found is not None
    console.out().print(explanation_table(found))
    if plot is not None:
        typer.echo(f"plot: {save_plot(found, plot)}")
    raise typer.Exit(1)


def _beside(recording: Recording, paths: tuple[Path, ...]) -> Graph | None:
    """Return the graph that a recording names from the folders of these files, None if it is not there."""
    from neuro.errors import GraphError
    from neuro.graph import load

    for path in sorted({p for given in paths for p in given.parent.glob("*.h5")}):
        try:
            graph = load(path)
        except GraphError:
            continue  # another kind of file, or a graph that cannot be read: not the one that is looked for
        if graph.sha256 == recording.graph_sha256:
            return graph
    return None
