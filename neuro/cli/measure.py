"""`neuro measure`: what the inference of a model takes on this machine, in seconds and joules."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from neuro.cli.arguments import BackendOptions, Samples, Split, TaskData, TaskName, TaskOptions

if TYPE_CHECKING:
    from neuro.cli.inference import Job
    from neuro.measure import Drawn, Measured, Spread, Subject

_FILE = "measured.json"


def measure(
    context: typer.Context,
    model: Annotated[
        Path,
        typer.Argument(
            help="A graph file, a dense model (.safetensors), a folder of the zoo or of a run.",
            metavar="MODEL",
        ),
    ],
    backend: Annotated[
        str | None,
        typer.Option(
            "--backend", "-b", help="Backend: see 'neuro backends'. [default: engine; torch for a dense model]"
        ),
    ] = None,
    task: TaskName = None,
    data: TaskData = None,
    split: Split = "test",
    samples: Samples = None,
    batch: Annotated[int | None, typer.Option("--batch", min=1, help="Samples at once. [default: all]")] = None,
    repeats: Annotated[int, typer.Option("--repeats", "-r", min=2, help="Repetitions.")] = 10,
    warmup: Annotated[int, typer.Option("--warmup", min=1, help="Calls before, which are not counted.")] = 2,
    idle: Annotated[
        float, typer.Option("--idle", help="Seconds over which idle power is measured, before and again after.")
    ] = 5.0,
    seconds: Annotated[
        float, typer.Option("--seconds", min=0, help="A repetition repeats the samples for at least so long.")
    ] = 1.0,
    device: Annotated[
        str | None, typer.Option("--device", help="Where torch runs a dense model: cpu or cuda. [default: cpu]")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help=f"File to write. [default: {_FILE} beside the model]")
    ] = None,
    task_option: TaskOptions = None,
    backend_option: BackendOptions = None,
) -> None:
    """Measure the inference of a model on this machine: time, and energy where the machine can measure itself.

    Energy is read from RAPL (Intel and AMD processors) and NVML (NVIDIA GPUs), with idle power subtracted. Without a meter, time
    alone is told, and why. A meter counts all that runs on the machine: let nothing else run.
    """
    from neuro import __version__
    from neuro._runs import write_text
    from neuro.cli import options
    from neuro.cli.inference import Wish, job_of
    from neuro.measure import Subject, as_json, machine, meters
    from neuro.measure import measure as repeat
    from neuro.report import task_params

    settings = {
        k: options.value(v) for k, v in options.pairs(task_option or (), "--task-option", "steps_per_pixel=1").items()
    }
    path = output or (model if model.is_dir() else model.parent) / _FILE
    options.need_file(path)
    wish = Wish(
        backend=backend, options=backend_option or (), task=task, task_options=settings, data=data, split=split, samples=samples,
        at_once=batch, device=device,
    )  # fmt: skip
    with meters() as found, job_of(model, wish) as job:
        right = job.score()
        measured = repeat(
            job.run, meters=found.meters, absent=found.absent, repeats=repeats, warmup=warmup, idle_s=idle, least_s=seconds,
            progress=_tell,
        )  # fmt: skip
    subject = Subject(
        model=job.name, about=job.about, score=right, backend=job.backend, options=job.options, task={"name": job.task.name, "params": task_params(job.task)}, split=split,
        n_samples=job.n_samples, batch=len(job.parts[0]), steps=job.task.steps, dt_ms=job.task.dt_ms,
        command=options.command_line(context), versions={"neuro": __version__, **job.versions}, machine=machine(),
    )  # fmt: skip
    typer.echo(_title(subject))
    for name, text in _rows(job, right, measured):
        typer.echo(f"  {name:<14}{text}")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, as_json(subject, measured))
    typer.echo(f"measured: {path}")


def _title(s: Subject) -> str:
    n_cores = s.machine["cores"]
    return (
        f"{s.task['name']}, {s.n_samples} {s.split} samples of {s.steps} steps of {s.dt_ms:g} ms, {s.batch} at once, on {s.backend}: "
        f"{s.machine['processor']}, {n_cores} core{'' if n_cores == 1 else 's'}"
    )


def _tell(done: int, total: int, what: str) -> None:
    """Say what goes on, a few lines in all: a bar that moves would be measured, too."""
    if done == 0 or what == "idle":
        typer.echo(f"measure: {what}", err=True)


def _rows(job: Job, right: dict[str, Any], found: Measured) -> list[tuple[str, str]]:
    """Return what is printed: a name and a text a line."""
    from neuro.measure import Spread

    n, seconds = job.n_samples, Spread.of(found.seconds)
    score = (
        ("accuracy", f"{100 * right['accuracy']:.1f} % ({right['n_right']} of {right['n_decisions']} decisions)")
        if right["nmse"] is None
        else ("NMSE", f"{right['nmse']:.4f}")
    )
    return [
        score,
        ("repetitions", f"{found.repeats} of {found.n_calls} calls, after {found.warmup} to warm up"),
        ("time", f"{_spread(seconds / n, 's')} an inference; {_si(seconds.median, 's')} a call"),
        *((f"energy, {name}", _energy(drawn, seconds.median, n)) for name, drawn in found.drawn.items()),
        *(("not measured", f"{a.meter}: {a.reason}") for a in found.absent),
        *(("left out", text) for text in found.left_out),
    ]


def _energy(drawn: Drawn, seconds: float, n: int) -> str:
    from neuro.measure import Spread

    net, gross = Spread.of(drawn.total_net_j) / n, Spread.of(drawn.total_gross_j) / n
    idle, drift = sum(drawn.idle_w.values()), sum(drawn.drift_w.values())
    told = "" if drawn.resolved(seconds) else "; not told apart from idle"
    return (
        f"{_spread(net, 'J')} an inference above idle{told}; {_spread(gross, 'J')} with it; idle {_si(idle, 'W')}, "
        f"drifted by {_si(drift, 'W')}; {drawn.covers}"
    )


def _spread(s: Spread, unit: str) -> str:
    return f"{_si(s.median, unit)} ({_si(s.low, unit)} to {_si(s.high, unit)})"


def _si(value: float, unit: str) -> str:
    """Write a number of three digits with a prefix of its unit."""
    for factor, prefix in ((1, ""), (1e-3, "m"), (1e-6, "u")):
        if abs(value) >= factor:
            return f"{value / factor:.3g} {prefix}{unit}"
    return f"{value / 1e-9:.3g} n{unit}"
