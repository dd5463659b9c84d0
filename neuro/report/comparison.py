"""Run one graph on several backends and say what each gave, and whether they agree."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuro import backend as backends
from neuro.backend import Backend, Program, Record
from neuro.errors import DataError, NeuroError, UnsupportedError
from neuro.graph import Graph, states
from neuro.metrics import Parity, activity, compare_recordings, merge
from neuro.recording import Recording
from neuro.report.answer import Answers
from neuro.report.fit import Fit, match
from neuro.report.outcome import Candidate, Comparison, Given, Group, Pair, Row, Status
from neuro.tasks import Task

Progress = Callable[[int, int, str], None]
"""Called with (done, total, what is done now)."""

_GROUP_BYTES = 2**28
"""Most memory for the states that two recordings of one group of samples hold."""
_BASES = ("reference", "engine")


def compare(
    graph: Graph,
    task: Task,
    candidates: Sequence[Candidate],
    *,
    split: str = "test",
    n_samples: int = 50,
    sample: int = 0,
    progress: Progress | None = None,
) -> Comparison:
    """Run the first samples of a task's split on every backend; compare all spikes and states with the base's.

    The base is "reference" if it is asked for, else "engine", which is put in front if it is not; if that one cannot run, the
    first that can. A backend that is not available, cannot run the graph or breaks is a row that says why, and stops no other.
    Samples run in groups that bound the memory of their states; each backend compiles the graph once.

    Raises: DataError if the task does not fit the graph or has fewer samples; UnsupportedError for an unknown backend or option:
    mistakes of the caller, found before anything runs.
    """
    fit = match(graph, task)
    groups = _groups(graph, task, split, n_samples)
    if not 0 <= sample < n_samples:
        raise DataError(
            f"compare: sample is not among those that run (got {sample}; need 0..{n_samples - 1}). Choose another, or run more."
        )
    wanted = _with_base(candidates)
    meter = _Meter(progress, len(wanted) * (1 + len(groups)))
    tracks = [_Track(c, sample, meter) for c in wanted]
    with ExitStack() as stack:
        for track in tracks:
            meter.begin(f"{track.name}: building")
            track.open(graph, stack)
        base = _base(tracks)
        order = sorted(tracks, key=lambda track: track is not base)
        for first, stop in groups:
            batch = task.fixed(split, first, stop)
            given = Given(first_sample=first, batch=batch, stimulus=fit.stimulus(graph, batch))
            for track in order:
                meter.begin(f"{track.name}: samples {first} to {stop - 1}")
                track.run(given, fit, base)
        meter.begin("done")
    return Comparison(
        graph=graph, task=task.name, split=split, n_samples=n_samples, steps=task.steps, fit=fit,
        base=base.name if base else "", rows=tuple(track.row() for track in tracks), sample=sample,
        groups={track.name: track.kept for track in tracks if track.kept is not None},
        pairs={track.name: track.pair for track in tracks if track.pair is not None},
        **(base.all() if base is not None and base.runs else {}),
    )  # fmt: skip


class _Meter:
    """Tell how far a comparison is, in hundredths of its parts; what a backend reports moves it within a part."""

    def __init__(self, progress: Progress | None, n_parts: int) -> None:
        self._progress, self._n_parts = progress, n_parts
        self._part, self._what = -1, ""

    def begin(self, what: str) -> None:
        """Begin the next part."""
        self._part, self._what = self._part + 1, what
        self.within(0, 1, "")

    def within(self, done: int, total: int, what: str) -> None:
        """Move within the part; `what` a backend calls it is left out, as the part has a name."""
        if self._progress is not None:
            part = min(100 * done // max(total, 1), 100)
            self._progress(100 * self._part + part, 100 * self._n_parts, self._what)


class _Track:
    """What one backend has done so far."""

    def __init__(self, candidate: Candidate, sample: int, meter: _Meter) -> None:
        self.name, self._sample = candidate.name, sample
        self.kept: Group | None = None
        self.pair: Pair | None = None
        self.last: Recording | None = None
        self._row = Row(backend=candidate.name, options=dict(candidate.options), status="ok")
        self._program: Program | None = None
        self._recordings: list[Recording] = []
        self._parities: list[tuple[int, Parity]] = []
        self._currents: list[Mapping[str, NDArray[np.float64]]] = []
        self._answers: list[tuple[NDArray[np.int64], NDArray[np.int64]]] = []
        self._n_classes = 0
        self._backend = self._find(candidate, meter)

    def _find(self, candidate: Candidate, meter: _Meter) -> Backend | None:
        """Return the backend, or None if its package does not import. Raises UnsupportedError for a mistake in the call."""
        try:
            return backends.get(candidate.name, progress=meter.within, **candidate.options)
        except UnsupportedError as err:
            if not isinstance(err.__cause__, ImportError):
                raise
            self._stop("unavailable", err)
        except Exception as err:  # what a package does when it is imported is its own affair
            self._stop("unavailable", err)
        return None

    @property
    def runs(self) -> bool:
        """Tell whether a program is there and nothing broke so far."""
        return self._program is not None and self._row.status == "ok"

    def open(self, graph: Graph, stack: ExitStack) -> None:
        """Try the backend and compile the graph; the stack closes the program."""
        if self._backend is None:
            return
        stack.callback(getattr(self._backend, "close", _nothing))  # an isolated backend holds a worker
        available = self._backend.is_available()
        if not available:
            self._stop("unavailable", available.reason)
            return
        start = time.perf_counter()
        try:
            self._program = self._backend.compile(graph)
        except UnsupportedError as err:
            self._stop("unavailable", err)
        except Exception as err:  # a simulator may raise anything; the other backends still have their turn
            self._stop("failed", err)
        else:
            stack.callback(self._program.close)
        self._row = replace(self._row, build_s=time.perf_counter() - start)

    def run(self, given: Given, fit: Fit, base: _Track | None) -> None:
        """Run a group of samples, score it, and compare it with what the base just gave for it."""
        if not self.runs:
            return
        assert self._program is not None
        try:
            recording = self._program.run(given.stimulus, Record(traces="all"))
            n_right, n_decisions = fit.score(recording, given.batch)
            error, spread = fit.squares(recording, given.batch)
        except Exception as err:  # as above
            self._stop("failed", err)
            return
        self.last = recording
        self._recordings.append(replace(recording, traces={}))
        self._row = replace(
            self._row, n_right=self._row.n_right + n_right, n_decisions=self._row.n_decisions + n_decisions,
            error=self._row.error + error, spread=self._row.spread + spread,
        )  # fmt: skip
        group = Group(given=given, recording=recording)
        if base is self:
            self._keep(given, fit, recording)
            held = range(given.first_sample, given.first_sample + len(given.batch))
            self.kept = group if self._sample in held else self.kept
        elif base is not None and base.runs:
            assert base.last is not None
            self._hold(group, base.last, compare_recordings(base.last, recording))

    def _keep(self, given: Given, fit: Fit, recording: Recording) -> None:
        """Remember of a group what is asked of the base alone: its answers, and the currents that drove it."""
        self._currents.append(given.stimulus.currents)
        self._answers.append((given.batch.targets, fit.predictions(recording, given.batch)))
        regression = given.batch.signal is not None
        self._n_classes = 0 if regression else recording.sizes[fit.readout]

    def all(self) -> dict[str, Any]:
        """Return what a comparison holds of its base."""
        return {
            "recordings": tuple(self._recordings),
            "currents": tuple(self._currents),
            "answers": Answers.of(self._n_classes, self._answers),
        }

    def _hold(self, group: Group, base: Recording, parity: Parity) -> None:
        """Remember a parity; keep the group, and the sample that parts, if no earlier group parts at an earlier step."""
        earlier = [p.divergence.step for _, p in self._parities if p.divergence]
        if parity.divergence and all(parity.divergence.step < step for step in earlier):
            self.kept = group
            k = parity.divergence.sample
            self.pair = Pair(
                sample=group.given.first_sample + k,
                stimulus=group.given.stimulus.select(k, k + 1),
                base=base.select(k, k + 1),
                other=group.recording.select(k, k + 1),
            )
        self._parities.append((group.given.first_sample, parity))

    def _stop(self, status: Status, why: Exception | str) -> None:
        plain = isinstance(why, (str, NeuroError))
        self._row = replace(self._row, status=status, reason=str(why) if plain else f"{type(why).__name__}: {why}")

    def row(self) -> Row:
        """Return what the table shows."""
        if self._row.status != "ok" or not self._recordings:
            return self._row
        firsts, parities = [f for f, _ in self._parities], [p for _, p in self._parities]
        return replace(
            self._row,
            activity=activity(self._recordings),
            saturations=_saturations(self._recordings),
            versions=self._recordings[0].versions,
            wall_time_s=sum(r.wall_time_s for r in self._recordings),
            parity=merge(parities, firsts) if len(parities) == len(self._recordings) else None,
        )


def _saturations(recordings: Sequence[Recording]) -> dict[str, dict[str, int]]:
    """Add up the clips of groups of samples."""
    counted = [r.counts.saturations for r in recordings]
    return {p: {s: sum(int(c[p][s].sum()) for c in counted) for s in by} for p, by in counted[0].items()}


def _nothing() -> None:
    """Close what needs no closing."""


def _with_base(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Return the candidates, each name once, with a base in front."""
    found: dict[str, Candidate] = {}
    for c in candidates:
        if c.name in found:
            raise UnsupportedError(
                f"compare: backend given twice (got '{c.name}' twice; need each name once). Compare its options in two runs."
            )
        found[c.name] = c
    return list(found.values()) if set(_BASES) & set(found) else [Candidate(name="engine"), *found.values()]


def _base(tracks: Sequence[_Track]) -> _Track | None:
    able = {track.name: track for track in tracks if track.runs}
    return next((able[name] for name in (*_BASES, *able) if name in able), None)


def _groups(graph: Graph, task: Task, split: str, n_samples: int) -> list[tuple[int, int]]:
    """Cut samples 0..n_samples-1 into groups (first, stop) whose states fit in _GROUP_BYTES, twice."""
    size = task.sizes.get(split, n_samples)  # the task itself refuses an unknown split
    if n_samples < 1 or (size is not None and n_samples > size):
        raise DataError(
            f"task '{task.name}', split '{split}': number of samples out of range (got {n_samples}; need 1..{size}). "
            "Ask for fewer."
        )
    a_sample = 2 * 8 * task.steps * sum(p.size * sum(s != "z" for s in states(p)) for p in graph.receivers)
    length = min(n_samples, max(1, _GROUP_BYTES // a_sample))
    firsts = list(range(0, n_samples, length))
    task.fixed(split, firsts[-1], n_samples)
    return list(zip(firsts, [*firsts[1:], n_samples], strict=True))
