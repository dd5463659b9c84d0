"""Read what `neuro compare` wrote of several models: models.json and the files of each model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from neuro import graph as graphs
from neuro import recording as recordings
from neuro.errors import DataError
from neuro.graph import Graph
from neuro.metrics.energy import DYNAMIC, PARTS
from neuro.recording import Recording
from neuro.report.page.fields import Fields, read

FILE = "models.json"
_NETWORK = ("graph.h5", "recording.h5", "sample.h5")
"""What lies beside it of a spiking model."""


@dataclass(frozen=True, kw_only=True)
class Result:
    """How a model ran on one backend. parity: "base", "exact", "equal", "differs", or "" where nothing was compared."""

    status: str
    reason: str = ""
    parity: str = ""
    text: str = ""
    wall_time_s: float | None = None
    versions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Part:
    """One part of an energy, joules an inference; low, value, high are None unless status is "priced"."""

    status: str
    low: float | None = None
    value: float | None = None
    high: float | None = None
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What a model costs on a device, or why there is no figure. joules an inference; edp: joule-seconds."""

    refused: str = ""
    parts: Mapping[str, Part] = field(default_factory=dict)
    dynamic: Part | None = None
    edp: Part | None = None
    step_time_s: float | None = None
    latency_s: float | None = None
    notes: tuple[str, ...] = ()

    def energy(self, name: str) -> float | None:
        """Return the energy of a part, None if it has none."""
        return self.parts[name].value if name in self.parts else None


@dataclass(frozen=True, kw_only=True)
class Answers:
    """Every decision: the class that was right, and the one that was given."""

    n_classes: int
    labels: tuple[int, ...]
    predictions: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Model:
    """One model of a comparison, and what its folder holds.

    Means are per inference; None where the model has no such figure. dynamic_j: dynamic energy of each sample, by device.
    """

    name: str
    kind: str
    semantics: str = ""
    sha256: str = ""
    path: str = ""
    n_right: int = 0
    n_decisions: int = 0
    nmse: float | None = None
    mean_rate_hz: float | None = None
    spikes: float | None = None
    synaptic_events: float | None = None
    operations: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    n_parameters: int | None = None
    parameter_bytes: float | None = None
    n_cores: int = 0
    dynamic_j: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    backends: Mapping[str, Result] = field(default_factory=dict)
    energy: Mapping[str, Estimate] = field(default_factory=dict)
    graph: Graph | None = None
    recording: Recording | None = None
    sample: Recording | None = None
    answers: Answers | None = None

    @property
    def accuracy(self) -> float | None:
        """Return the share of right decisions, None without any."""
        return self.n_right / self.n_decisions if self.n_decisions else None

    def operation(self, name: str) -> float | None:
        """Return operations of one kind, of synapses and neurons together."""
        found = [by_kind[name] for by_kind in self.operations.values() if name in by_kind]
        return sum(found) if found else None


@dataclass(frozen=True, kw_only=True)
class Models:
    """Everything that one call of `neuro compare` wrote."""

    path: Path
    command: str
    versions: Mapping[str, str]
    machine: str
    task: str
    task_params: Mapping[str, object]
    split: str
    n_samples: int
    sample: int | None
    steps: int
    dt_ms: float
    step_time_s: float | None
    devices: tuple[str, ...]
    models: tuple[Model, ...]


def read_models(folder: Path) -> Models:
    """Read a folder that `neuro compare` wrote.

    Raises: DataError if a file is damaged, or a folder of a model does not lie within this one; GraphError for a bad graph.
    """
    given = read(folder / FILE, "neuro-models")
    models = tuple(_model(entry, folder) for entry in given.each("models"))
    if not models:
        raise DataError(f"{folder / FILE}: no model (got none; need one or more). Compare again.")
    task = given.inner("task")
    return Models(
        path=folder,
        command=given.text("command", ""),
        versions=_texts(given.inner("versions")),
        machine=_machine(given),
        task=task.text("name", ""),
        task_params=task.inner("params").value,
        split=given.text("split", ""),
        n_samples=given.whole("n_samples"),
        sample=given.whole("sample") if "sample" in given else None,
        steps=given.whole("steps"),
        dt_ms=given.number("dt_ms"),
        step_time_s=given.maybe("step_time_s"),
        devices=given.texts("devices"),
        models=models,
    )


def _model(entry: Fields, folder: Path) -> Model:
    inside, sha256, kind = _inside(entry, folder), entry.text("sha256", ""), entry.text("kind")
    held = {name: inside / name for name in _NETWORK if kind == "spiking" and (inside / name).is_file()}
    n_right, n_decisions = (entry.whole(key) if key in entry else 0 for key in ("n_right", "n_decisions"))
    if n_right > n_decisions:
        raise DataError(
            f"{entry.where}: wrong 'n_right' (got {n_right} of {n_decisions} decisions; need no more than there are). Compare again."
        )
    return Model(
        name=entry.text("name"),
        kind=kind,
        semantics=entry.text("semantics", ""),
        sha256=sha256,
        path=entry.text("path", ""),
        n_right=n_right,
        n_decisions=n_decisions,
        nmse=entry.maybe("nmse"),
        mean_rate_hz=entry.maybe("mean_rate_hz"),
        spikes=entry.maybe("spikes_per_inference"),
        synaptic_events=entry.maybe("synaptic_events_per_inference"),
        operations={name: entry.inner("operations").numbers(name) for name in entry.inner("operations").value},
        n_parameters=entry.whole("n_parameters") if "n_parameters" in entry else None,
        parameter_bytes=entry.maybe("parameter_bytes"),
        n_cores=entry.whole("n_cores") if "n_cores" in entry else 0,
        dynamic_j={
            name: _series(joules, name)
            for joules in [entry.inner("distributions").inner("dynamic_j")]
            for name in joules.value
        },
        backends={name: _result(x) for name, x in entry.by_name("backends").items()},
        energy={name: _estimate(x) for name, x in entry.by_name("energy").items()},
        graph=_graph(held["graph.h5"], sha256) if "graph.h5" in held else None,
        recording=_recording(held["recording.h5"], sha256) if "recording.h5" in held else None,
        sample=_recording(held["sample.h5"], sha256) if "sample.h5" in held else None,
        answers=read_answers(inside / "answers.json") if (inside / "answers.json").is_file() else None,
    )


def _graph(path: Path, sha256: str) -> Graph:
    found = graphs.load(path)
    _check_same(path, found.sha256, sha256)
    return found


def _recording(path: Path, sha256: str) -> Recording:
    found = recordings.load(path)
    _check_same(path, found.graph_sha256, sha256)
    return found


def _check_same(path: Path, found: str, wanted: str) -> None:
    """Refuse the file of another network: the page would show it under this model's name."""
    if found != wanted:
        raise DataError(
            f"{path}: of another graph than was compared (got {found[:12]}; need {wanted[:12] or 'one that models.json names'}). Compare again."
        )


def _inside(entry: Fields, folder: Path) -> Path:
    """Return the folder of a model; one outside the comparison's is refused: the page would hold files that nobody gave."""
    inside = (folder / entry.text("folder", ".")).resolve()
    if not inside.is_relative_to(folder.resolve()):
        raise DataError(
            f"{entry.where}: folder outside the comparison's (got {inside}; need one within {folder}). Compare again."
        )
    return inside


def read_answers(path: Path) -> Answers:
    """Read answers.json. Raises DataError if it is damaged, or a class is out of range."""
    given = read(path, "neuro-answers")
    n, labels, predictions = given.whole("n_classes"), given.wholes("labels"), given.wholes("predictions")
    out = [x for x in (*labels, *predictions) if not 0 <= x < n]
    if len(labels) != len(predictions) or out:
        got = f"class {out[0]}" if out else f"{len(labels)} labels and {len(predictions)} predictions"
        raise DataError(
            f"{path}: answers do not fit (got {got}; need one of each a decision, 0..{n - 1}). Compare again."
        )
    return Answers(n_classes=n, labels=labels, predictions=predictions)


def _result(entry: Fields) -> Result:
    return Result(
        status=entry.text("status"),
        reason=entry.text("reason", ""),
        parity=entry.text("parity", ""),
        text=entry.text("text", ""),
        wall_time_s=entry.maybe("wall_time_s"),
        versions=_texts(entry.inner("versions")),
    )


def _estimate(entry: Fields) -> Estimate:
    if "refused" in entry:
        return Estimate(refused=entry.text("refused"))
    parts = entry.by_name("parts")
    order = [name for name in PARTS if name in parts] + [name for name in parts if name not in PARTS]
    return Estimate(
        parts={name: _part(parts[name], parts[name].text("status")) for name in order},
        dynamic=_part(entry.inner("dynamic"), "priced"),
        edp=_part(entry.inner("edp"), "priced") if "edp" in entry else None,
        step_time_s=entry.maybe("step_time_s"),
        latency_s=entry.maybe("latency_s"),
        notes=entry.texts("notes"),
    )


def _part(entry: Fields, status: str) -> Part:
    if status != "priced":
        return Part(status=status, note=entry.text("note", ""))
    low, value, high = (entry.number(key) for key in ("low", "value", "high"))
    return Part(status=status, low=low, value=value, high=high, note=entry.text("note", ""))


def _series(entry: Fields, key: str) -> tuple[float, ...]:
    inner = Fields(f"{entry.where}, {key}", dict(enumerate(entry.entries(key))))
    return tuple(inner.number(k) for k in inner.value)


def _texts(entry: Fields) -> dict[str, str]:
    return {name: entry.text(name) for name in entry.value if isinstance(entry.value[name], str)}


def _machine(given: Fields) -> str:
    """Return the machine as one line, whether it is a text or an object."""
    found = given.value.get("machine")
    if isinstance(found, dict):
        return ", ".join(f"{key} {value}" for key, value in found.items())
    return found if isinstance(found, str) else ""


DYNAMIC_PARTS, STANDING_PARTS = DYNAMIC, tuple(name for name in PARTS if name not in DYNAMIC)
"""Parts that follow what a network does, and those that are drawn whether it does anything or not."""
