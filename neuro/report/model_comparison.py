"""Compare models on one task: spiking graphs on their backends, dense baselines beside them, all counted and priced by one set of rules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, is_dataclass
from functools import partial
from typing import Any

from neuro.deploy import Placement
from neuro.errors import DataError
from neuro.graph import Graph
from neuro.metrics import Device, Workload, neurobench, workload
from neuro.report.comparison import Progress, compare
from neuro.report.dense import check_dense, evaluate_dense
from neuro.report.fit import match
from neuro.report.models import Entry, Model, Models
from neuro.report.outcome import Comparison, Row
from neuro.report.prices import DEVICES, find_devices, placed_on, price
from neuro.tasks import Task


def compare_models(
    entries: Sequence[Entry],
    task: Task,
    *,
    devices: Sequence[str] = DEVICES,
    step_time_s: float | None = None,
    split: str = "test",
    n_samples: int = 50,
    sample: int = 0,
    progress: Progress | None = None,
) -> Models:
    """Run every model on the first samples of a task's split; count what each did, and estimate what it costs on devices.

    A graph runs on its backends as `compare` runs it, and its base gives the figures; a dense model runs once. Energies are estimates
    from counts: a device that cannot be asked (a float graph has no placement, say) is `Refused` with the reason.
    Parameters: step_time_s, stated time of a step on a device, None: the task's dt, as in real time; sample, the one that is shown.
    Raises: before anything runs, DataError if there is no model, two have one name, or one does not fit the task; UnsupportedError
    for an unknown device, or one without published figures; and as `compare`.
    """
    _check(entries, task, sample, n_samples)
    priced = find_devices(list(devices), step_time_s)
    found = []
    for k, entry in enumerate(entries):
        tell = None if progress is None else partial(_tell, progress, k, len(entries), entry.name)
        if isinstance(entry.model, Graph):
            comparison = compare(
                entry.model, task, entry.candidates, split=split, n_samples=n_samples, sample=sample, progress=tell
            )
            found.append(spiking_model(entry, comparison, priced, step_time_s))
        else:
            found.append(_dense_model(entry, task, split, n_samples, priced, step_time_s, tell))
    return Models(
        task=task.name, params=task_params(task), split=split, n_samples=n_samples, sample=sample, steps=task.steps, dt_ms=task.dt_ms,
        step_time_s=task.dt_ms / 1000 if step_time_s is None else step_time_s, devices=tuple(priced), models=tuple(found),
    )  # fmt: skip


def spiking_model(
    entry: Entry, comparison: Comparison, devices: Mapping[str, Device], step_time_s: float | None
) -> Model:
    """Count and price what a comparison of backends ran."""
    graph, base = comparison.graph, next((r for r in comparison.rows if r.backend == comparison.base), None)
    count = partial(workload, graph, comparison.recordings, currents=comparison.currents)
    done = count() if comparison.recordings else None
    bench = neurobench(graph, comparison.recordings, currents=comparison.currents) if comparison.recordings else None
    placements: dict[str, Placement] = {}

    def place(device: Device) -> Workload:
        placements[device.name] = placed_on(graph, device)
        return count(placed=placements[device.name], mesh=device.mesh)

    return Model(
        name=entry.name, path=entry.path, sha256=graph.sha256, kind="spiking", semantics=graph.semantics, rows=comparison.rows,
        base=comparison.base, activity=base.activity if base is not None else None, workload=done, answers=comparison.answers, neurobench=bench,
        energy={} if done is None else price(done, devices, step_time_s, place), placements=placements,
        comparison=comparison,
    )  # fmt: skip


def _dense_model(
    entry: Entry,
    task: Task,
    split: str,
    n_samples: int,
    devices: Mapping[str, Device],
    step_time_s: float | None,
    tell: Progress | None,
) -> Model:
    assert not isinstance(entry.model, Graph)
    done = evaluate_dense(entry.model, task, split, n_samples, entry.name, tell)
    versions = dict(entry.model.versions)
    row = Row(
        backend=next(iter(versions), "dense"), options={}, status="ok", n_right=done.n_right, n_decisions=done.n_decisions,
        error=done.error, spread=done.spread, versions=versions, wall_time_s=done.wall_time_s,
    )  # fmt: skip
    return Model(
        name=entry.name, path=entry.path, sha256=entry.model.sha256, kind=entry.model.kind, semantics="float", rows=(row,),
        base=row.backend, activity=None, workload=done.workload, answers=done.answers, neurobench=done.neurobench,
        energy=price(done.workload, devices, step_time_s),
    )  # fmt: skip


def _check(entries: Sequence[Entry], task: Task, sample: int, n_samples: int) -> None:
    """Refuse what can be seen to be wrong before anything runs."""
    names = [e.name for e in entries]
    if not names:
        raise DataError("compare: no model (got none; need one or more). Give a graph, or a dense model.")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(f"compare: two models of one name (got '{twice[0]}' twice; need each name once). Rename one.")
    if not 0 <= sample < n_samples:
        raise DataError(
            f"compare: sample is not among those that run (got {sample}; need 0..{n_samples - 1}). Choose another, or run more."
        )
    failures = []
    for entry in entries:
        try:
            if isinstance(entry.model, Graph):
                match(entry.model, task)
            else:
                check_dense(entry.model, task, entry.name)
        except DataError as err:
            failures.append(str(err))
    if failures:
        raise DataError("\n".join(failures))


def task_params(task: Task) -> dict[str, Any]:
    """Return the parameters that a task was made with, where it tells them."""
    held = getattr(task, "parameters", None)
    return asdict(held) if is_dataclass(held) and not isinstance(held, type) else {}


def _tell(progress: Progress, k: int, n: int, name: str, done: int, total: int, what: str) -> None:
    """Tell how far all models are, in hundredths of each."""
    now = what if n == 1 else f"{name}: {what}"
    progress(100 * k + min(100 * done // max(total, 1), 100), 100 * n, now)
