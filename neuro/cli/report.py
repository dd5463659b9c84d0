"""`neuro report`: one page of everything that was compared, trained, swept and measured."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from neuro.graph import Graph


def report(
    runs: Annotated[
        list[Path],
        typer.Argument(
            help="Folders that 'neuro compare', 'train', 'learn', 'sweep' or 'measure' wrote, or recordings with their graph beside them.",
            metavar="RUN...",
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The page.")] = Path("report.html"),
) -> None:
    """Write one page that needs nothing else: verdict, rasters, activity, energy, answers, connectivity, tables.

    It opens in any browser without a network. Everything it shows comes from the files given; nothing is run again.
    """
    from neuro import __version__
    from neuro.cli import options
    from neuro.report.page import MOST_BYTES, assemble, check_installed, read_sources, write

    check_installed()
    options.need_page(output)
    page = assemble(read_sources(runs, _networks), f"neuro {__version__}")
    size = write(page, output)
    if size > MOST_BYTES:
        typer.echo(
            f"larger than {MOST_BYTES / 1e6:.0f} MB: give fewer folders for a page that is easier to send", err=True
        )
    typer.echo(f"{output}: {size / 1e6:.1f} MB, {', '.join(title.lower() for _, title in page.sections)}")


def _networks(folder: Path) -> tuple[Graph | None, Graph | None]:
    """Return the network of a run's folder as it started and as it ended; (None, None) for a dense model.

    A run of `neuro learn` keeps both. Of a training run the first one is drawn again from the run's seed, or is the graph that it
    started from; it is None if that was another run.
    """
    from neuro._runs import RUN, read_json
    from neuro.graph import load

    settings = read_json(folder / RUN)
    if "train" not in settings:
        held = (folder / "start.h5", folder / "graph.h5")
        return load(held[0]) if held[0].is_file() else None, load(held[1]) if held[1].is_file() else None
    if settings["model"]["kind"] not in ("lsnn", "lif"):
        return None, None
    from neuro.train import DeepRConfig, ModelConfig, TaskShape, TrainConfig, load_run, prepare, to_graph
    from neuro.train.start import held_start, read_template

    after, start = to_graph(load_run(folder))[0], held_start(folder)
    if start is not None and start.graph is None:
        return None, after  # it began with the weights of another run, which its folder does not hold
    made = prepare(
        ModelConfig(**settings["model"]),
        TrainConfig(**settings["train"]),
        DeepRConfig(**settings["deep_r"]),
        TaskShape(**settings["task"]),
        settings["seed"],
        start,
        read_template(folder),
    )
    return to_graph(made.model)[0], after
