"""`neuro backends`: list, check and install what runs graphs."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from neuro.backend import Availability, Backend, Capabilities

app = typer.Typer(help="List the backends, check that they run, install what they need.")


@app.callback(invoke_without_command=True)
def listing(ctx: typer.Context) -> None:
    """List the backends: whether each runs here, its version, what it can run."""
    if ctx.invoked_subcommand is not None:
        return
    from rich.table import Table
    from rich.text import Text

    from neuro import backend as registry
    from neuro.cli import console

    grid = Table(header_style="bold")
    for name in ("backend", "state", "version", "runs"):
        grid.add_column(name, no_wrap=name == "backend")
    notes = []
    names = registry.names()
    with console.progress("backends") as tell:
        for k, name in enumerate(names):
            tell(k, len(names), f"trying {name}")
            backend, state = _try(name)
            grid.add_row(
                name,
                Text("ready", style="green") if state.ok else Text("not available", style="yellow"),
                state.version or "-",
                _abilities(backend.capabilities) if backend is not None else "-",
            )
            if not state.ok:
                notes.append(f"{name}: {state.reason}")
    console.out().print(grid)
    for note in notes:
        typer.echo(note)


@app.command()
def check(
    name: Annotated[str | None, typer.Argument(help="Backend. [default: all of them]", metavar="[NAME]")] = None,
) -> None:
    """Run a minimal real job on a backend and compare it with the golden model. Exit code 3 if one is not available."""
    from neuro import backend as registry
    from neuro.cli import console

    failed = False
    if name is not None:
        registry.get(name)  # an unknown name is the caller's mistake and is told as one
    for each in registry.names() if name is None else [name]:
        with console.progress(f"{each}: trying") as tell:
            tell(0, 0, f"{each}: trying")
            start = time.perf_counter()
            _, state = _try(each)
            seconds = time.perf_counter() - start
        if state.ok:
            typer.echo(f"{each}: ready ({state.version}; the probe took {seconds:.1f} s)")
        else:
            failed = True
            typer.echo(f"{each}: not available. {state.reason}")
    if failed:
        raise typer.Exit(3)


@app.command()
def install(name: Annotated[str, typer.Argument(help="Backend: lava, say.", metavar="NAME")]) -> None:
    """Make the environment that a backend needs, for one that cannot live in this interpreter. Safe to repeat."""
    from neuro import backend as registry

    registry.install(name, report=typer.echo)


def _try(name: str) -> tuple[Backend | None, Availability]:
    """Return a backend and whether it runs here; a package that does not import is not available."""
    from neuro import backend as registry
    from neuro.errors import NeuroError

    try:
        backend = registry.get(name)
    except NeuroError as err:
        return None, registry.Availability(False, str(err))
    except Exception as err:  # what a package does when it is imported is its own affair
        return None, registry.Availability(False, f"{type(err).__name__}: {err}")
    try:
        return backend, backend.is_available()
    finally:
        close = getattr(backend, "close", None)  # an isolated one holds a worker
        if close is not None:
            close()


def _abilities(can: Capabilities) -> str:
    """Say in a few words what a backend can run: all kinds and resets of the float semantics, or which."""
    full = type(can)()
    kinds = "all kinds" if can.populations >= full.populations else ", ".join(sorted(can.populations))
    resets = "all resets" if can.resets >= full.resets else "resets " + (", ".join(sorted(can.resets)) or "none")
    exact = "exact" if can.exact else "not exact"
    return f"{' and '.join(sorted(can.semantics))} semantics, {exact}; {kinds}; {resets}; delays up to {can.max_delay} steps"
