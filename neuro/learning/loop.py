"""Show samples of a task to a graph whose projections carry a rule, and keep the best graph: resumable at any point."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from neuro._runs import interrupts, write_text
from neuro.errors import GraphError, RecipeError
from neuro.graph import Graph, save
from neuro.learning import programs, state
from neuro.learning.attachment import attach
from neuro.learning.bounds import make_room
from neuro.learning.config import LearnConfig, RewireConfig
from neuro.learning.evaluation import Score
from neuro.learning.note import LearnNote, note_of
from neuro.learning.plan import Plan, prepare
from neuro.learning.rewiring import wiring_of
from neuro.learning.rules import RewardEProp, RewardSTDP, Rule, make, rule_of
from neuro.learning.run import Run, Watch
from neuro.learning.state import Progressed
from neuro.learning.teacher import Lesson, lesson_of
from neuro.tasks import Task, is_regression, parameters

T = TypeVar("T", LearnConfig, RewireConfig)


@dataclass(frozen=True, kw_only=True, eq=False)
class LearnResult:
    """How a learning run ended.

    graph: the best by validation, with its rules and its grid; last: the one after the last iteration. curve: an entry a validation:
    iteration, samples, "train" (means since the validation before), "validation" (a `Score` as a dict), best. note: what changed in
    `graph`, and its text. stopped: "finished", "patience", "accuracy", "nmse" or "interrupted". iterations: done.
    before, best: validation scores of the graph as given and of `graph`.
    """

    graph: Graph
    last: Graph
    curve: list[dict[str, Any]]
    note: LearnNote
    stopped: str
    iterations: int
    before: Score
    best: Score
    best_iteration: int
    run_dir: Path | None = None


def learn(
    graph: Graph,
    task: Task,
    rule: Rule | str | None = None,
    backend: str = "engine",
    *,
    projections: Iterable[str] | None = None,
    signal: str | None = None,
    config: LearnConfig | None = None,
    rewire: RewireConfig | None = None,
    seed: int = 0,
    run_dir: str | Path | None = None,
    resume: bool = False,
    watch: Watch | None = None,
    notes: Mapping[str, Any] | None = None,
    **settings: Any,
) -> LearnResult:
    """Let a graph learn a task by local rules, and return the graph that did best on the validation set.

    An iteration shows one batch. With a rule's update "step" or "episode" the weights change while its samples run one after another; with
    "batch" the optimiser takes a step with the mean of the samples' gradients. Sample i of the run is drawn from the stream "learn/i" of
    the seed and its actions from "chance/i", whatever the batch; so a run that was killed at any point and is resumed ends with
    the same weights, bit for bit, as one that was not.

    Parameters
    ----------
    graph : Graph
        Float; it gets room for its weights to grow (`make_room`), which may make its grid coarser.
    task : Task
        Splits "train" and "validation" are used.
    rule : Rule, str or None
        Attached to `projections` (None: all that it can change) with readout `signal` (None: the only one of the task's size); a name stands for
        the rule with its defaults. None: the rules that the graph carries.
    backend : str
        Who runs it. Scores are of the engine.
    config, settings
        A `LearnConfig`, and single fields of it.
    rewire : RewireConfig or None
        Rewire the graph by DEEP R as it learns (`neuro.learning.rewiring`), iteration i from the stream "rewire/i".
    seed : int
        Of every random stream of the run; random feedback has a seed of its own in the rule.
    run_dir : path or None
        Gets run.json, log.jsonl (a line an iteration and validation), checkpoints, and at the end graph.h5 and note.txt.
    resume : bool
        Continue what the folder holds; it may hold nothing yet. Settings must be those of the run; more iterations are fine.
    watch : callable or None
        Called with every entry of the log.
    notes : mapping
        Kept in run.json, JSON values.

    Returns
    -------
    LearnResult
        Ctrl-C ends the run after the current iteration with a checkpoint, and `stopped` says so; a second one ends it at once.

    Raises
    ------
    RecipeError
        An unknown setting, or one out of range: all at once.
    GraphError, UnsupportedError, DataError
        Graph, rule, task and backend do not fit together, or the folder holds another run.
    """
    chosen = _built(LearnConfig, config or LearnConfig(), settings, "learn")
    graph = prepared(graph, task, rule, projections, signal)
    lesson = lesson_for(graph, task, chosen)
    wiring = None if rewire is None else wiring_of(graph, _built(RewireConfig, rewire, {}, "rewire"), seed)
    begin = programs.starter(backend)
    begin(graph, None, 0).close()  # refuses what it cannot run before anything is written
    folder = None if run_dir is None else Path(run_dir)
    if folder is not None:
        told = {
            "learn": asdict(chosen), "task": _shape(task), "rule": state.rules_of(graph), "seed": seed, "backend": backend,
            "rewire": None if rewire is None else asdict(rewire),
        }  # fmt: skip
        state.found(folder, told, graph, notes or {}, resume)
    held = state.read(folder) if folder is not None and resume else None
    plan, now = prepare(graph), held or Progressed(graph=graph)
    with interrupts() as interrupted, Run(task, lesson, begin, chosen, seed, plan, now, folder, wiring) as run:
        stopped = run.go(interrupted, watch or _nothing)
    result = _result(plan, now, chosen, stopped, folder)
    if folder is not None:
        save(result.graph, folder / "graph.h5")
        write_text(folder / "note.txt", f"{result.note}\n")
    return result


def prepared(
    graph: Graph, task: Task, rule: Rule | str | None, projections: Iterable[str] | None = None, signal: str | None = None
) -> Graph:  # fmt: skip
    """Return the graph with the rule attached, and room for its weights to grow.

    Raises: GraphError if nothing would learn, or rule and graph do not fit.
    """
    if isinstance(rule, str):
        rule = make(rule)
    if rule is not None and not isinstance(rule, Rule):
        raise GraphError(f"learn: no rule (got {rule!r:.60}; need one as EProp(lr=0.01), or its name). Make one.")
    if rule is not None:
        acts = isinstance(rule, RewardSTDP) and rule.factor == "reward"  # its actions are drawn from the readout
        if signal is None and (rule.needs_signal or acts):
            answering = [p.name for p in graph.readouts if p.size == task.n_out and p.name not in rule.readouts(None)]
            signal = answering[0] if len(answering) == 1 else None
        graph = attach(graph, rule, projections, signal)
    roomy, note = make_room(graph)
    if note.dropped:
        raise GraphError(
            f"learn: room for weights to grow leaves no digit for some of them (got {len(note.dropped)} synapses that would round to 0; need 0). "
            "Lower w_max, or the largest of the graph's weights."
        )
    for old, new in zip(graph.projections, roomy.projections, strict=True):
        if new.plasticity is not None and old.weight.any() and not new.weight.any():
            raise GraphError(
                f"learn: projection '{new.name}' is all 0 in the rule's bits (got bits {new.plasticity.parameters['bits']}, scale "
                f"{new.plasticity.parameters['scale']:g}; need some weight above half of it). Take more bits, or less headroom."
            )
    prepare(roomy)
    return roomy


def lesson_for(graph: Graph, task: Task, config: LearnConfig) -> Lesson:
    """Return how a task is taught to a graph: the loss that its rules need, and their signal. Raises DataError if they do not fit."""
    carried = [c.plasticity for c in graph.projections if c.plasticity is not None]
    rules = [rule_of(p) for p in carried]
    if any(isinstance(r, RewardEProp) or getattr(r, "factor", "") == "reward" for r in rules):
        loss = "reward"
    elif any(r.needs_signal for r in rules):
        loss = "regression" if is_regression(task) else "softmax"
    else:
        loss = "none"
    signal = next((p.signal for p in carried if p.signal is not None), None)
    return lesson_of(graph, task, loss, readout=signal, choose=config.choose, right=config.right, wrong=config.wrong)


def _result(plan: Plan, now: Progressed, config: LearnConfig, stopped: str, folder: Path | None) -> LearnResult:
    """Sum a run up."""
    assert now.before is not None and now.best is not None and now.best_graph is not None
    n_samples = now.iteration * config.batch
    note = note_of(
        plan, now.best_graph, now.before, now.best, now.best_iteration, n_samples, now.n_updates, now.n_moved
    )
    return LearnResult(
        graph=now.best_graph, last=now.graph, curve=now.curve, note=note, stopped=stopped, iterations=now.iteration,
        before=now.before, best=now.best, best_iteration=now.best_iteration, run_dir=folder,
    )  # fmt: skip


def _nothing(entry: dict[str, Any]) -> None:
    """Watch nothing."""


def _built(kind: type[T], config: T, settings: Mapping[str, Any], where: str) -> T:
    """Return a config with some fields changed. Raises RecipeError with every field that is wrong."""
    built, problems = parameters.build(kind, {**asdict(config), **settings})
    if built is None:
        raise RecipeError("\n".join(f"{where}: {problem}" for problem in problems))
    return built


def _shape(task: Task) -> dict[str, Any]:
    return {
        "name": task.name, "n_in": task.n_in, "n_out": task.n_out, "steps": task.steps, "dt_ms": task.dt_ms,
        "parameters": asdict(p) if (p := getattr(task, "parameters", None)) is not None else {},
    }  # fmt: skip
