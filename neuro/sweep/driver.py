"""Run a sweep: ask for trials, have them made, keep what came of each, until none is left or it is interrupted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neuro._runs import interrupts
from neuro.errors import RecipeError
from neuro.sweep.adaptive import Adaptive
from neuro.sweep.config import Sweep
from neuro.sweep.order import held
from neuro.sweep.runners import Here, Runner
from neuro.sweep.search import Random, Search, on_grid
from neuro.sweep.space import FLOAT
from neuro.sweep.state import State

MOST_DEATHS = 3
"""Times that a trial's process may die before the sweep leaves it: one that takes all memory would die for ever."""

Say = Callable[[str], None]


@dataclass(frozen=True)
class Result:
    """How a sweep ended: its trials as in sweep.json, the numbers of the front, and whether it was interrupted."""

    folder: Path
    trials: tuple[Mapping[str, Any], ...]
    pareto: tuple[int, ...]
    interrupted: bool

    @property
    def unfinished(self) -> tuple[int, ...]:
        """Return the trials that a resume would go on with."""
        return tuple(t["number"] for t in self.trials if t["state"] in ("running", "lost"))

    @property
    def failed(self) -> tuple[int, ...]:
        """Return the trials that cannot be made."""
        return tuple(t["number"] for t in self.trials if t["state"] == "failed")


def run(
    sweep: Sweep,
    folder: str | Path,
    *,
    resume: bool = False,
    data: Path | None = None,
    runner: Callable[[Path], Runner] | None = None,
    about: Mapping[str, Any] | None = None,
    say: Say | None = None,
) -> Result:
    """Run a sweep in a folder, and leave sweep.json there, whole after every trial.

    Parameters
    ----------
    sweep : Sweep
        What to do.
    folder : path
        Gets sweep.json, and trials/NUMBER with the training run, the graph that was measured, and trial.json.
    resume : bool
        Go on with the sweep in the folder; there may be none yet. Trials that ended are not made again, others go on from their
        checkpoints, and with a larger sweep.trials there are more.
    data : path, optional
        Folder of the task's data.
    runner : callable, optional
        Makes, from the folder, who makes the trials; default: this process, one after another.
    about : mapping
        Kept at the head of sweep.json (command, versions), JSON values.
    say : callable, optional
        Gets a line when a trial ends.

    Returns
    -------
    Result
        Ctrl-C ends the sweep after the step that every trial is in, with checkpoints; a second one at once.

    Raises
    ------
    DataError
        The folder holds another sweep, or another process works in it; the task's data are missing.
    RecipeError
        The task cannot be swept so.
    WorkerError, UnsupportedError
        As who makes the trials.
    """
    folder = Path(folder)
    check_task(sweep, data)
    folder.mkdir(parents=True, exist_ok=True)
    with held(folder, wait=False):
        state = State.open(sweep, folder, about or {}, resume)
        search = _search(sweep)
        with closing((runner or _here)(folder)) as made, interrupts() as interrupted:
            state.save()
            stopped = _Driver(sweep, state, search, made, data, say or _nothing).go(interrupted)
    return Result(folder, tuple(state.trials), tuple(state.as_json()["pareto"]), stopped)


def check_task(sweep: Sweep, data: Path | None) -> None:
    """Read the task once, so that what is wrong with it is told before anything is trained. Raises: DataError, RecipeError."""
    task = sweep.recipe.make_task(data)
    bits = next((axis.choices for axis in sweep.space if axis.name == "bits"), (FLOAT,))
    if task.input_kind != "spikes" and any(b != FLOAT for b in bits):
        raise RecipeError(
            f"space 'bits': task '{task.name}' sends currents (got input '{task.input_kind}'; need spikes for integers). Choose an encoding "
            f'of spikes in [task], or bits = "{FLOAT}".'
        )
    size = task.sizes["validation"]
    if sweep.samples is not None and size is not None and sweep.samples > size:
        raise RecipeError(
            f"'samples': more than there are (got {sweep.samples}; the validation split has {size}). Ask for fewer."
        )


def _here(folder: Path) -> Runner:
    return Here()


def _search(sweep: Sweep) -> Search:
    if sweep.search == "grid":
        return on_grid(sweep.space)
    if sweep.search == "random":
        return Random(sweep.space, sweep.seed)
    return Adaptive(sweep.space, sweep.search, sweep.seed, sweep.population)


def _nothing(line: str) -> None:
    """Take a line that nobody reads."""


class _Driver:
    """Hold a sweep while it runs."""

    def __init__(self, sweep: Sweep, state: State, search: Search, made: Runner, data: Path | None, say: Say) -> None:
        self.sweep, self.state, self.search, self.made, self.data, self.say = sweep, state, search, made, data, say
        self.waiting = [trial for trial in state.trials if trial["state"] == "running"]
        self.running: dict[int, dict[str, Any]] = {}
        self.deaths: dict[int, int] = {}

    def go(self, interrupted: Callable[[], bool]) -> bool:
        """Make every trial; return whether it was interrupted."""
        stopping = False
        while True:
            if interrupted() and not stopping:
                stopping = True
                self.made.interrupt()
            while not stopping and not interrupted() and self.made.room() > 0 and self._begin():
                pass
            if not self.running:
                return stopping or interrupted()
            for number, outcome in self.made.wait():
                stopping |= self._end(self.running.pop(number), outcome, stopping)

    def _begin(self) -> bool:
        """Begin one trial: one that was left, or a new one. Return whether there was any."""
        trial = self.waiting.pop(0) if self.waiting else self._next()
        if trial is None:
            return False
        folder = self.state.folder_of(trial)
        self.state.order_of(trial, self.data).write(folder)
        self.state.save()
        self.running[trial["number"]] = trial
        self.made.begin(trial["number"], folder)
        return True

    def _next(self) -> dict[str, Any] | None:
        """Return a new trial; what a search proposes a second time has its outcome from the first."""
        while len(self.state.trials) < self.sweep.trials:
            asked = self.search.ask(self.state.trials)
            if asked is None:
                return None
            twin = self.state.twin(asked[0])
            trial = self.state.add(*asked)
            if twin is None:
                return trial
            own = ("number", "params", "folder", "search", "seconds")
            copied = {key: value for key, value in twin.items() if key not in own}
            self._end(trial, {**copied, "same_as": twin.get("same_as", twin["number"]), "seconds": 0.0}, False)
        return None

    def _end(self, trial: dict[str, Any], outcome: Mapping[str, Any], stopping: bool) -> bool:
        """Note what came of a trial; return whether it was interrupted."""
        number = trial["number"]
        if outcome["state"] == "interrupted":
            return True
        if outcome.get("died") and not stopping:
            self.deaths[number] = self.deaths.get(number, 0) + 1
            if self.deaths[number] < MOST_DEATHS:
                self.say(f"trial {number}: {outcome['reason']}; it goes on from its last checkpoint")
                self.waiting.append(trial)
                return False
            outcome = {**outcome, "reason": f"{outcome['reason']}, {MOST_DEATHS} times"}
        self.state.end(trial, outcome)
        self.state.save()
        self.say(f"trial {number}: not finished: {trial['reason']}" if trial["state"] == "lost" else line(trial))
        return False


def line(trial: Mapping[str, Any]) -> str:
    """Return a trial that ended in a line."""
    params = ", ".join(f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in trial["params"].items())
    head = f"trial {trial['number']} ({params})"
    if trial["state"] == "failed":
        return f"{head}: failed: {trial['reason']}"
    same = f"; as trial {trial['same_as']}" if "same_as" in trial else f"; {trial['seconds']:.0f} s"
    return (
        f"{head}: {100 * trial['accuracy']:.1f} % of {trial['n_decisions']} decisions, {trial['mean_rate_hz']:.1f} Hz, "
        f"{1e6 * trial['energy']['value']:.3g} uJ{same}"
    )
