"""Hold what a comparison of models gave: of each its rows by backend, what it did, what it costs on which device."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from neuro.deploy import Placement
from neuro.graph import Graph
from neuro.metrics import Activity, Energy, NeuroBench, Workload
from neuro.report.answer import Answers
from neuro.report.dense import Dense
from neuro.report.model_tables import models_markdown
from neuro.report.outcome import Candidate, Comparison, Row
from neuro.report.prices import Refused


@dataclass(frozen=True, kw_only=True, eq=False)
class Entry:
    """A model to compare, under a name of its own.

    model: a graph, or a dense model (`neuro.train.load_dense`, `dense_of_run`). candidates: the backends of a graph; the first that is a
    base (reference, else engine) gives the figures. path: where it was read, for the record.
    """

    name: str
    model: Graph | Dense
    candidates: Sequence[Candidate] = (Candidate(name="engine"),)
    path: str = ""


@dataclass(frozen=True, kw_only=True, eq=False)
class Model:
    """What one model gave.

    kind: "spiking", or that of a dense model. rows: one a backend; a dense model has one, of what runs it. activity: None for a dense model, or
    where no backend ran. workload, neurobench, answers: None where no backend ran. energy: by device. placements: on the cores of devices that need one.
    comparison: of a graph on its backends.
    """

    name: str
    path: str
    sha256: str
    kind: Literal["spiking", "lstm", "rnn"]
    semantics: str
    rows: tuple[Row, ...]
    base: str
    activity: Activity | None
    workload: Workload | None
    answers: Answers | None
    neurobench: NeuroBench | None = None
    energy: Mapping[str, Energy | Refused] = field(default_factory=dict)
    placements: Mapping[str, Placement] = field(default_factory=dict, repr=False)
    comparison: Comparison | None = field(default=None, repr=False)

    @property
    def result(self) -> Row | None:
        """Return the row of the base, None where no backend ran."""
        return next((r for r in self.rows if r.backend == self.base and r.status == "ok"), None)


@dataclass(frozen=True, kw_only=True, eq=False)
class Models:
    """Several models on the same samples of one task.

    params: of the task, as it was made. step_time_s: stated time of a step on a device, that of the task where none was stated.
    """

    task: str
    params: Mapping[str, Any]
    split: str
    n_samples: int
    sample: int
    steps: int
    dt_ms: float
    step_time_s: float
    devices: tuple[str, ...]
    models: tuple[Model, ...]

    @property
    def failed(self) -> bool:
        """Tell whether a backend broke, or differs where both are exact, for any model."""
        return any(m.comparison is not None and m.comparison.failed for m in self.models)

    @property
    def missing(self) -> tuple[str, ...]:
        """Return the backends that cannot run here, or not one of the graphs."""
        return tuple(dict.fromkeys(b for m in self.models if m.comparison is not None for b in m.comparison.missing))

    def _repr_markdown_(self) -> str:
        """Show the tables in a notebook."""
        return models_markdown(self)
