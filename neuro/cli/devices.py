"""`neuro devices`: which devices an energy can be estimated for, and every figure with its source."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from neuro.metrics import Device, Figure


def devices(
    name: Annotated[
        str | None, typer.Argument(help="Device: every figure of it. [default: list them]", metavar="[NAME]")
    ] = None,
) -> None:
    """List the devices of the energy table, or show every figure of one: value, range, conditions, source, how sure."""
    from neuro import metrics

    if name is not None:
        _show(metrics.device(name))
        return
    from rich.table import Table

    from neuro.cli import console

    grid = Table(header_style="bold")
    for column in ("device", "chip", "node", "prices", "a synaptic event", "static power", "not published"):
        grid.add_column(column, no_wrap=column == "device")
    for device in metrics.devices().values():
        grid.add_row(*_row(device))
    console.out().print(grid)
    for chip, reason in metrics.refused().items():
        typer.echo(f"{chip}: refused: {reason}.")
    typer.echo("next: neuro devices loihi")


def _row(device: Device) -> tuple[str, ...]:
    event = device.price.get("synaptic", {}).get("event")
    static = device.price.get("static", {})
    missing = [part for part, (status, _) in device.without.items() if status == "not published"]
    return (
        device.name,
        device.title,
        device.node,
        "spiking and dense models" if device.prices == "any" else "spiking models",
        "by operations" if event is None else _value(event),
        ", ".join(f"{_value(f)} a {what}" for what, f in static.items()) or "-",
        ", ".join(missing) or "-",
    )


def _value(figure: Figure) -> str:
    span = "" if figure.low == figure.high else f" ({figure.low:g} to {figure.high:g})"
    return f"{figure.value:g}{span} {figure.unit}".removesuffix(" count")


def _show(device: Device) -> None:
    typer.echo(f"{device.name}: {device.title}, {device.node}, {device.operating_point}")
    figures = device.figures()
    numbers: dict[str, int] = {}
    for source in (source for figure in figures.values() for source in figure.sources):
        numbers.setdefault(source, len(numbers) + 1)
    width = max(map(len, figures))
    for place, figure in figures.items():
        where = ", ".join(
            x for x in (figure.node, figure.operating_point) if x not in (device.node, device.operating_point)
        )
        cited = f"[{', '.join(str(numbers[source]) for source in figure.sources)}]"
        how = ", ".join(x for x in (figure.sure, figure.basis, where) if x)
        typer.echo(f"  {place:<{width}}  {_value(figure):<24} {how} {cited}")
        if figure.note:
            typer.echo(f"  {'':<{width}}  {figure.note}")
    for part, (status, note) in device.without.items():
        typer.echo(f"  {part:<{width}}  {status}: {note}")
    for part in device.by_operations:
        typer.echo(f"  {part:<{width}}  by operations and memory traffic")
    for note in device.notes:
        typer.echo(f"note: {note}")
    for source, number in numbers.items():
        typer.echo(f"[{number}] {source}")
