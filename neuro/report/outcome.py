"""Hold what a comparison of backends gave: a row a backend, the samples a picture needs, the sample in which two part."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from neuro.backend import Stimulus
from neuro.graph import Graph
from neuro.metrics import Activity, Parity
from neuro.recording import Recording
from neuro.report.answer import Answers
from neuro.report.fit import Fit
from neuro.tasks import Batch

Status = Literal["ok", "unavailable", "failed"]


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A backend to compare: its registered name and the options of its constructor."""

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Row:
    """What one backend gave.

    status: "ok"; "unavailable" (it cannot run here, or not this graph); "failed" (it broke). reason: why, if not ok.
    n_right, n_decisions: of the task. error, spread: sums of squares of a regression, whose ratio is `nmse`. activity: None if not ok. versions: of the simulator and its parts.
    saturations: clips of all samples together, by integer population and state. build_s: compiling the graph, s. wall_time_s: the runs alone, as the backend measured them.
    parity: against the base; None for the base itself, if not ok, or if the base broke.
    """

    backend: str
    options: Mapping[str, Any]
    status: Status
    reason: str = ""
    n_right: int = 0
    n_decisions: int = 0
    error: float = 0.0
    spread: float = 0.0
    activity: Activity | None = None
    saturations: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    build_s: float = 0.0
    wall_time_s: float = 0.0
    parity: Parity | None = None

    @property
    def accuracy(self) -> float:
        """Return the share of right decisions; NaN without any."""
        return self.n_right / self.n_decisions if self.n_decisions else float("nan")

    @property
    def nmse(self) -> float:
        """Return the normalised mean squared error of a regression; NaN of a task with decisions."""
        return self.error / self.spread if self.spread else float("nan")

    @property
    def n_clips(self) -> int:
        """Return how many sums were clipped to the width of their state; 0 in float graphs."""
        return sum(sum(by_state.values()) for by_state in self.saturations.values())


@dataclass(frozen=True, kw_only=True)
class Given:
    """Consecutive samples that run together: the number of the first in its split, and what drives them."""

    first_sample: int
    batch: Batch
    stimulus: Stimulus


@dataclass(frozen=True, kw_only=True)
class Group:
    """Consecutive samples that ran together, and what one backend recorded of them, all states included."""

    given: Given
    recording: Recording


@dataclass(frozen=True, kw_only=True)
class Pair:
    """The sample in which a backend first differs from the base: its number in the split, what drove it, and both recordings."""

    sample: int
    stimulus: Stimulus
    base: Recording
    other: Recording


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """One graph on one task, on several backends.

    base: name of the backend whose recording the others are held to ("" if none could run). rows: in the order asked for.
    sample: the one that a picture shows. groups: by backend, of the base the group that holds this sample, and of each backend
    that differs the group where it first does. pairs: by backend that differs, the sample in which it first does.
    recordings: of the base, all groups of samples with their spikes, without traces; currents: of their stimuli; both () if it broke.
    answers: of the base.
    """

    graph: Graph
    task: str
    split: str
    n_samples: int
    steps: int
    fit: Fit
    base: str
    rows: tuple[Row, ...]
    sample: int = 0
    groups: Mapping[str, Group] = field(default_factory=dict, repr=False)
    pairs: Mapping[str, Pair] = field(default_factory=dict, repr=False)
    recordings: tuple[Recording, ...] = field(default=(), repr=False)
    currents: tuple[Mapping[str, NDArray[np.float64]], ...] = field(default=(), repr=False)
    answers: Answers | None = field(default=None, repr=False)

    @property
    def failed(self) -> bool:
        """Tell whether a backend broke, or differs where both are exact."""
        return bool(self.miscounted) or any(
            r.status == "failed" or (r.parity is not None and r.parity.failed) for r in self.rows
        )

    @property
    def miscounted(self) -> tuple[str, ...]:
        """Return the backends that have to agree with the base, do so in every state, and yet count other clips."""
        base = next((r.saturations for r in self.rows if r.backend == self.base), {})
        return tuple(
            r.backend
            for r in self.rows
            if r.parity is not None and r.parity.asserted and r.parity.exact and r.saturations != base
        )

    @property
    def missing(self) -> tuple[str, ...]:
        """Return the backends that cannot run here, or not this graph."""
        return tuple(r.backend for r in self.rows if r.status == "unavailable")
