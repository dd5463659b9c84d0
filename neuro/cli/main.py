"""Put the commands together; turn errors into one message and an exit code."""

from __future__ import annotations

import traceback
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from neuro import __version__
from neuro.cli import (
    backends,
    check,
    compare,
    devices,
    diff,
    export,
    learn,
    measure,
    quantize,
    report,
    run,
    show,
    sweep,
    train,
)
from neuro.errors import NeuroError

EXIT_PROBLEM, EXIT_MISSING = 2, 3
_EPILOG = (
    "Exit codes: 0 done; 1 backends that have to agree do not, or one broke, or two recordings differ, or a chip cannot hold a "
    "graph, or a trial of a sweep failed; 2 a mistake in what was given, told on stderr; 3 a backend that was asked for is not available; 130 interrupted."
)


class _Group(TyperGroup):
    """A group that tells a NeuroError as its message alone, and takes --debug at any place."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if "--debug" in args:
            args = ["--debug", *(a for a in args if a != "--debug")]
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except NeuroError as err:
            _tell(str(err), debug=bool(ctx.params.get("debug")))
            raise typer.Exit(EXIT_PROBLEM) from err
        except OSError as err:
            if isinstance(err, BrokenPipeError) or err.filename is None:
                raise  # a closed pipe is the shell's business; without a file it is a fault of this program
            _tell(
                f"{err.filename}: {err.strerror}. Check the path and its rights.", debug=bool(ctx.params.get("debug"))
            )
            raise typer.Exit(EXIT_PROBLEM) from err
        except KeyboardInterrupt as err:
            typer.echo("interrupted", err=True)
            raise typer.Exit(run.EXIT_INTERRUPTED) from err


def _tell(message: str, debug: bool) -> None:
    if debug:
        typer.echo(traceback.format_exc(), err=True)
    typer.echo(message, err=True)


app = typer.Typer(
    cls=_Group,
    name="neuro",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=_EPILOG,
    help="Train spiking networks, export one graph, run it bit for bit the same on any backend.",
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"neuro {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error, too.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Hold the options that stand before any command."""


app.command("train")(train.train)
app.command("learn")(learn.learn)
app.command("sweep")(sweep.sweep)
app.command("export")(export.export)
app.command("show")(show.show)
app.command("run")(run.run)
app.command("compare")(compare.compare)
app.command("diff")(diff.diff)
app.command("measure")(measure.measure)
app.command("report")(report.report)
app.command("quantize")(quantize.quantize)
app.command("check")(check.check)
app.command("devices")(devices.devices)
app.add_typer(backends.app, name="backends")
