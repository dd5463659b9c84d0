"""`neuro run`: one graph, one task, one backend, one recording."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from neuro.cli.arguments import BackendOptions, GraphFile, Samples, Split, Target, TaskData, TaskName, TaskOptions

if TYPE_CHECKING:
    from neuro.metrics import Activity
    from neuro.recording import Recording
    from neuro.report import Fit
    from neuro.tasks import Batch

EXIT_INTERRUPTED = 130
_NO_SCORE = "none: no sample came to its end"


def run(
    graph: GraphFile,
    backend: Annotated[str, typer.Option("--backend", "-b", help="Backend: see 'neuro backends'.")] = "engine",
    task: TaskName = None,
    data: TaskData = None,
    split: Split = "test",
    samples: Samples = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write the recording to this HDF5 file.")
    ] = None,
    traces: Annotated[bool, typer.Option("--traces", help="Record all states (v, a, y, u, x), too. Large.")] = False,
    save_stimulus: Annotated[
        Path | None, typer.Option("--save-stimulus", help="Write what drove the graph to this HDF5 file.")
    ] = None,
    task_option: TaskOptions = None,
    backend_option: BackendOptions = None,
    target: Target = None,
) -> None:
    """Run a graph on one backend: accuracy, activity, and a recording with every spike.

    Ctrl-C ends a run on the engine early: what was recorded is told, and written where -o says.
    """
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
    given = options.backend_options(options.with_target(backend_option or (), target, [backend]), [backend])[backend]
    samples = options.how_many(samples, job, split)
    batch = job.fixed(split, 0, samples)
    stimulus = fit.stimulus(net, batch)
    if save_stimulus is not None:
        stimulus.save(save_stimulus)
    record = backends.Record(traces="all" if traces else {fit.readout: ("y",)})
    with console.progress(f"{backend}: {samples} samples") as tell:
        tell(0, 0, f"{backend}: building")
        chosen = backends.get(backend, progress=tell, **given)
        program = chosen.compile(net)
        try:
            tell(0, 0, f"{backend}: running {samples} samples")
            recording = program.run(stimulus, record)
        except backends.RunInterrupted as stop:
            recording = stop.recording
        finally:
            program.close()
    kind = ", integer semantics" if net.semantics == "integer" else ""
    n, steps = recording.batch, recording.steps
    typer.echo(f"{job.name}, {n} {split} samples of {steps} steps of {job.dt_ms:g} ms, on {backend}{kind}")
    score = _score(fit, recording, batch.select(0, n)) if steps == job.steps else ("accuracy", _NO_SCORE)
    for name, text in _rows(recording, activity(recording), score):
        typer.echo(f"  {name:<16}{text}")
    if output is not None:
        save(recording, output)
        typer.echo(f"recording: {output}")
    if recording.interrupted:
        typer.echo(
            f"interrupted: {n} of {samples} samples, {steps} of {job.steps} steps of each, were run"
            + (" and are in the recording" if output is not None else ""),
            err=True,
        )
        raise typer.Exit(EXIT_INTERRUPTED)


def _score(fit: Fit, recording: Recording, batch: Batch) -> tuple[str, str]:
    """Return the line that says how well the task was done: right decisions, or the error of a regression."""
    if batch.signal is not None:
        error, spread = fit.squares(recording, batch)
        return "NMSE", f"{error / spread:.4f} (sum of squares of the error / of the signal's deviation from its mean)"
    n_right, n_decisions = fit.score(recording, batch)
    return "accuracy", f"{100 * n_right / max(n_decisions, 1):.1f} % ({n_right} of {n_decisions} decisions)"


def _rows(recording: Recording, a: Activity, score: tuple[str, str]) -> list[tuple[str, str]]:
    """Return what is printed of a run: a name and a text a line."""
    rows = [
        score,
        ("mean rate", f"{a.mean_rate_hz:.2f} Hz"),
        *((f"  {p}", f"{r:.2f} Hz, {100 * a.silent_fraction[p]:.0f} % silent") for p, r in a.rate_hz.items()),
        ("spikes", f"{a.spikes_per_inference:.1f} an inference (and {a.input_spikes_per_inference:.1f} of inputs)"),
        ("synaptic events", f"{a.synaptic_events_per_inference:.0f} an inference"),
    ]
    if recording.counts.saturations:
        rows.append(("clips", _clips(recording)))
    return [
        *rows,
        ("wall time", f"{recording.wall_time_s:.3f} s"),
        ("versions", ", ".join(f"{k} {v}" for k, v in recording.versions.items())),
    ]


def _clips(recording: Recording) -> str:
    """Say how many sums were clipped to the width of their state, and which."""
    found = {f"{p} {s}": int(n.sum()) for p, by in recording.counts.saturations.items() for s, n in by.items()}
    where = ", ".join(f"{name} {n}" for name, n in found.items() if n)
    return f"{sum(found.values())} sums in all samples" + (f" ({where})" if where else "")
