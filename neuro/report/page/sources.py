"""Find out what each path given to `neuro report` is, and read it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from neuro import graph as graphs
from neuro import recording as recordings
from neuro._runs import RUN
from neuro.errors import DataError, GraphError
from neuro.graph import Graph
from neuro.metrics import activity, check_one_stimulus, compare_recordings
from neuro.recording import Recording
from neuro.report.page import measured, models, sweep
from neuro.report.page.measured import Measured, read_measured
from neuro.report.page.models import Model, Models, Result, read_models
from neuro.report.page.sweep import Sweep, read_sweep
from neuro.report.page.training import Training, read_training

Networks = Callable[[Path], tuple[Graph | None, Graph | None]]
"""Give the network of a run's folder as it started and as it ended; None where there is none (a dense model, say)."""


@dataclass(frozen=True, kw_only=True)
class Sources:
    """Everything that was given, read. comparison: all of one task and the same samples, as one."""

    comparison: Models | None
    recorded: tuple[Model, ...]
    trainings: tuple[Training, ...]
    sweeps: tuple[Sweep, ...]
    measured: tuple[Measured, ...]

    @property
    def models(self) -> tuple[Model, ...]:
        """Return all models: those compared, then those of recordings."""
        return (*(self.comparison.models if self.comparison else ()), *self.recorded)


def read_sources(paths: Sequence[Path], networks: Networks) -> Sources:
    """Read folders of `neuro compare`, training runs, sweeps and measurements, and recordings with their graphs beside them.

    Raises: DataError for a path that is none of these, a damaged file, comparisons of different tasks or samples, recordings of one
    graph and different stimuli.
    """
    comparisons, trainings, sweeps, measurements = [], [], [], []
    held: list[tuple[Path, Recording]] = []
    for path, name in zip(paths, _names(paths), strict=True):
        if path.is_file():
            if path.suffix == ".json":
                measurements.append(read_measured(path))
            else:
                held.append((path, _recording(path)))
            continue
        found = {file for file in (models.FILE, sweep.FILE, RUN, measured.FILE) if (path / file).is_file()}
        if not found:
            raise _unknown(path)
        if models.FILE in found:
            comparisons.append(read_models(path))
        if sweep.FILE in found:
            sweeps.append(read_sweep(path, name))
        if measured.FILE in found:
            measurements.append(read_measured(path / measured.FILE))
        if RUN in found:
            trainings.append(read_training(path, name, *networks(path)))
    return Sources(
        comparison=_joined(comparisons),
        recorded=_recorded(held),
        trainings=tuple(trainings),
        sweeps=tuple(sweeps),
        measured=tuple(measurements),
    )


def _unknown(path: Path) -> DataError:
    if not path.exists():
        return DataError(f"{path}: not found (got no such path; need a folder or a recording). Check the path.")
    old = " It was written by an older 'neuro compare': compare again." if (path / "comparison.json").is_file() else ""
    return DataError(
        f"{path}: nothing to report (got a folder without models.json, run.json, sweep.json and measured.json; need one of these). "
        f"Give a folder that 'neuro compare', 'neuro train', 'neuro learn', 'neuro sweep' or 'neuro measure' wrote, or a recording.{old}"
    )


def _names(paths: Sequence[Path]) -> list[str]:
    """Return a short name for each path: the last part, with as many before it as make it the only one."""
    parts = [p.resolve().with_suffix("" if p.is_file() else p.suffix).parts for p in paths]
    for n in range(1, 1 + max((len(p) for p in parts), default=0)):
        names = ["/".join(p[-n:]) for p in parts]
        if len(set(names)) == len(names):
            return names
    raise DataError(f"report: a path is given twice (got {', '.join(map(str, paths))}; need each once). Leave one out.")


def _recording(path: Path) -> Recording:
    try:
        return recordings.load(path)
    except DataError as err:
        try:
            graph = graphs.load(path)
        except GraphError:
            raise err from None
        raise DataError(
            f"{path}: a graph, which has done nothing yet (got graph {graph.sha256[:12]}; need a recording or a folder). Run it first: neuro "
            f"compare {path}"
        ) from err


def _joined(found: list[Models]) -> Models | None:
    """Return several comparisons as one. Raises DataError if they are not of one task and the same samples, naming what differs."""
    if not found:
        return None
    first = found[0]
    for other in found[1:]:
        for what in ("task", "task_params", "split", "n_samples", "steps", "dt_ms"):
            a, b = getattr(first, what), getattr(other, what)
            if a != b:
                raise DataError(
                    f"report: comparisons do not stand on the same footing (got {what.replace('_', ' ')} {a!r} in {first.path} and {b!r} in "
                    f"{other.path}; need one). Make a report of each, or compare their models in one call."
                )
    names = _names([m.path for m in found])
    models_ = tuple(
        replace(m, name=m.name if len(found) == 1 else f"{name}/{m.name}")
        for c, name in zip(found, names, strict=True)
        for m in c.models
    )
    devices = tuple(dict.fromkeys(d for c in found for d in c.devices))
    command = "\n".join(c.command for c in found)
    return replace(first, models=models_, devices=devices, command=command)


def _recorded(held: list[tuple[Path, Recording]]) -> tuple[Model, ...]:
    """Return recordings as models: those of one graph are one model on several backends, held to the first."""
    by_graph: dict[str, list[tuple[Path, Recording]]] = {}
    for path, r in held:
        by_graph.setdefault(r.graph_sha256, []).append((path, r))
    return tuple(_one(found) for found in by_graph.values())


def _one(found: list[tuple[Path, Recording]]) -> Model:
    path, base = found[0]
    graph = _graph_beside(base, path)
    results: dict[str, Result] = {}
    for p, r in found:
        name = r.backend if r.backend not in results else f"{r.backend} ({p.name})"
        parity, text = "base", ""
        if r is not base:
            check_one_stimulus(base, r, graph)
            held = compare_recordings(base, r)
            parity, text = "differs" if not held.exact else "exact" if held.asserted else "equal", str(held)
        results[name] = Result(status="ok", parity=parity, text=text, wall_time_s=r.wall_time_s, versions=r.versions)
    a = activity(base)
    return Model(
        name=(graph.name if graph is not None else "") or path.stem,
        kind="spiking",
        semantics=graph.semantics if graph is not None else "",
        sha256=base.graph_sha256,
        path=str(path),
        mean_rate_hz=a.mean_rate_hz,
        spikes=a.spikes_per_inference,
        synaptic_events=a.synaptic_events_per_inference,
        n_parameters=graph.n_synapses if graph is not None else None,
        backends=results,
        graph=graph,
        recording=base,
        sample=base,
    )


def _graph_beside(recording: Recording, path: Path) -> Graph | None:
    """Return the graph that a recording names from its folder, None if it is not there."""
    for file in sorted(path.parent.glob("*.h5")):
        try:
            graph = graphs.load(file)
        except GraphError:
            continue  # another kind of file: not the one that is looked for
        if graph.sha256 == recording.graph_sha256:
            return graph
    return None
