"""`neuro run`: one graph, one task, one backend, one recording."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def run(
    graph: Annotated[Path, typer.Argument(help="Graph file.", metavar="GRAPH.H5")],
    backend: Annotated[str, typer.Option("--backend", "-b", help="Backend: see 'neuro backends'.")] = "engine",
    task: Annotated[
        str | None,
        typer.Option("--task", "-t", help="Task that drives the graph. [default: the one it was trained for]"),
    ] = None,
    data: Annotated[Path | None, typer.Option("--data", help="Folder with the task's data files.")] = None,
    split: Annotated[str, typer.Option("--split", help="Which samples: test or validation.")] = "test",
    samples: Annotated[int, typer.Option("--samples", "-n", min=1, help="How many samples, from the first on.")] = 50,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write the recording to this HDF5 file.")
    ] = None,
    traces: Annotated[bool, typer.Option("--traces", help="Record all states (v, a, y), too. Large.")] = False,
    task_option: Annotated[
        list[str] | None, typer.Option("--task-option", help="A parameter of the task, KEY=VALUE. Repeatable.")
    ] = None,
    backend_option: Annotated[
        list[str] | None, typer.Option("--backend-option", help="An option of the backend, KEY=VALUE. Repeatable.")
    ] = None,
) -> None:
    """Run a graph on one backend: accuracy, activity, and a recording with every spike."""
    from neuro import backend as backends
    from neuro.cli import console, options
    from neuro.graph import load
    from neuro.metrics import activity
    from neuro.recording import save
    from neuro.report import match

    net = load(graph)
    settings = {
        k: options.value(v) for k, v in options.pairs(task_option or (), "--task-option", "steps_per_pixel=1").items()
    }
    job = options.task_of(net, task, settings, data)
    fit = match(net, job)
    given = options.backend_options(backend_option or (), [backend])[backend]
    batch = job.fixed(split, 0, samples)
    record = backends.Record(traces="all" if traces else {fit.readout: ("y",)})
    with console.progress(f"{backend}: {samples} samples") as tell:
        tell(0, 0, f"{backend}: building")
        chosen = backends.get(backend, progress=tell, **given)
        program = chosen.compile(net)
        try:
            tell(0, 0, f"{backend}: running {samples} samples")
            recording = program.run(fit.stimulus(net, batch), record)
        finally:
            program.close()
    n_right, n_decisions = fit.score(recording, batch)
    a = activity(recording)
    typer.echo(f"{job.name}, {samples} {split} samples of {job.steps} steps of {job.dt_ms:g} ms, on {backend}")
    rows = [
        ("accuracy", f"{100 * n_right / max(n_decisions, 1):.1f} % ({n_right} of {n_decisions} decisions)"),
        ("mean rate", f"{a.mean_rate_hz:.2f} Hz"),
        *((f"  {p}", f"{r:.2f} Hz, {100 * a.silent_fraction[p]:.0f} % silent") for p, r in a.rate_hz.items()),
        ("spikes", f"{a.spikes_per_inference:.1f} an inference (and {a.input_spikes_per_inference:.1f} of inputs)"),
        ("synaptic events", f"{a.synaptic_events_per_inference:.0f} an inference"),
        ("wall time", f"{recording.wall_time_s:.3f} s"),
        ("versions", ", ".join(f"{k} {v}" for k, v in recording.versions.items())),
    ]
    for name, text in rows:
        typer.echo(f"  {name:<16}{text}")
    if output is not None:
        save(recording, output)
        typer.echo(f"recording: {output}")
