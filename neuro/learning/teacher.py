"""Say what a task's batch teaches a graph: which inputs, which outputs are wanted, or which action is rewarded."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neuro.backend import LOSSES, Stimulus, Teacher
from neuro.errors import DataError, RecipeError, nearest
from neuro.graph import Graph, kind
from neuro.tasks import Batch, Task, is_regression

CHOICES = ("last", "first", "each")
"""When an action is drawn in a decision window: at its last step, at its first, or at each of its steps."""
_KIND = {"spikes": "SpikeInput", "current": "CurrentInput"}


@dataclass(frozen=True, kw_only=True)
class Lesson:
    """How the batches of a task are taught to a graph.

    | name | default | meaning |
    | --- | --- | --- |
    | input | | population that the task drives |
    | readout | | readout that answers |
    | n_out | | its size |
    | loss | | "softmax" (decisions), "regression" (a signal), "reward" (actions), "none" (a rule that nobody teaches) |
    | choose | last | "reward": the steps of each decision window at which an action is drawn, one of CHOICES |
    | right, wrong | 1, 0 | "reward": what a right and a wrong action bring |

    Raises: RecipeError for another loss or choice.
    """

    input: str
    readout: str
    n_out: int
    loss: str
    choose: str = "last"
    right: float = 1.0
    wrong: float = 0.0

    def __post_init__(self) -> None:
        for name, known in (("loss", LOSSES), ("choose", CHOICES)):
            value = getattr(self, name)
            if value not in known:
                hint = nearest(str(value), known) or "Choose one."
                raise RecipeError(f"lesson '{name}': unknown (got {value!r}; need one of {', '.join(known)}). {hint}")


def lesson_of(
    graph: Graph, task: Task, loss: str, *, readout: str | None = None, choose: str = "last", right: float = 1.0,
    wrong: float = 0.0,
) -> Lesson:  # fmt: skip
    """Match a task to a graph: which input it drives, which readout answers.

    Parameters: loss, one of LOSSES; readout, the signal population of the graph's rule, None: the only readout of the task's size;
    the others as in `Lesson`.
    Raises: DataError, naming everything that does not fit: number, kind and size of inputs and readouts, the step dt, the loss.
    """
    where = f"task '{task.name}' on graph '{graph.name or graph.sha256[:12]}'"
    wanted = _KIND[task.input_kind]
    found = []
    if [(kind(p), p.size) for p in graph.inputs] != [(wanted, task.n_in)]:
        got = _shown(graph.inputs)
        found.append(f"{where}: inputs do not fit (got {got}; need one {wanted} of size {task.n_in})")
    answering = [p.name for p in graph.readouts if p.size == task.n_out and readout in (None, p.name)]
    if len(answering) != 1:
        got = _shown(graph.readouts)
        named = "" if readout is None else f" called '{readout}'"
        found.append(f"{where}: readouts do not fit (got {got}; need one LI of size {task.n_out}{named})")
    if graph.dt_ms != task.dt_ms:
        found.append(f"{where}: time step differs (got {graph.dt_ms:g} ms; need {task.dt_ms:g} ms)")
    asked = "a signal" if is_regression(task) else "decisions"
    fits = ("regression", "none") if is_regression(task) else ("softmax", "reward", "none")
    if loss not in fits:
        found.append(f"{where}: the task asks for {asked} (got loss '{loss}'; need {' or '.join(fits)})")
    if found:
        raise DataError("\n".join(found) + ".\nChange the task's parameters, the graph or the rule.")
    return Lesson(
        input=graph.inputs[0].name, readout=answering[0], n_out=task.n_out, loss=loss, choose=choose, right=right, wrong=wrong
    )  # fmt: skip


def teacher_of(
    batch: Batch, lesson: Lesson, graph: Graph, chance: NDArray[np.float64] | None = None
) -> tuple[Stimulus, Teacher]:
    """Return what drives a graph and what teaches it, for a batch of a task.

    - "softmax": in the steps of decision k the target is its class, and the mask 1 / (number of these steps): each decision weighs 1,
      whatever the length of its window.
    - "regression": the target is the batch's signal, and the mask 1 at each step that counts: the loss is a sum over time, as in the
      literature.
    - "reward": as "softmax", but the classes only say which action is right; actions are drawn at the steps of `lesson.choose`.
    - "none": nothing.

    Parameters: graph, for the kinds of its inputs; chance, float64 (batch, steps), uniform in 0..1, from which actions are drawn;
    needed by "reward".
    Raises: DataError if currents are off the graph's grid, or "reward" has no chance.
    """
    stimulus = Stimulus.dense({lesson.input: batch.inputs}, graph)
    stimulus.check(graph)
    shape = batch.window.shape
    if lesson.loss == "none":
        return stimulus, Teacher(loss="none", target=np.zeros((*shape, lesson.n_out)), mask=np.zeros(shape))
    if lesson.loss == "regression":
        if batch.signal is None:
            raise DataError(
                "teacher: no signal (got a batch with targets; need one of a regression). Use loss 'softmax'."
            )
        return stimulus, Teacher(loss="regression", target=batch.signal, mask=(batch.window >= 0).astype(np.float64))
    target, mask = _decisions(batch, lesson.n_out)
    if lesson.loss == "softmax":
        return stimulus, Teacher(loss="softmax", target=target, mask=mask)
    if chance is None:
        raise DataError(
            "teacher: no chance to draw actions from (got None; need uniform numbers (batch, steps)). Give a stream's."
        )
    choose = chosen_steps(batch, lesson.choose)
    return stimulus, Teacher(
        loss="reward", target=target, mask=choose.astype(np.float64), choose=choose, chance=chance, right=lesson.right,
        wrong=lesson.wrong,
    )  # fmt: skip


def chosen_steps(batch: Batch, choose: str) -> NDArray[np.bool_]:
    """Return the steps at which an action is drawn, bool (batch, steps): in the window of each decision that is asked for."""
    steps = np.zeros(batch.window.shape, dtype=bool)
    for k in range(batch.targets.shape[1]):
        inside = (batch.window == k) & (batch.targets[:, k] >= 0)[:, None]
        if choose == "each":
            steps |= inside
            continue
        has = np.flatnonzero(inside.any(axis=1))
        part = inside[has]
        at = part.argmax(axis=1) if choose == "first" else part.shape[1] - 1 - part[:, ::-1].argmax(axis=1)
        steps[has, at] = True
    return steps


def _decisions(batch: Batch, n_out: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the wanted probabilities (batch, steps, n_out), and the weight of each step (batch, steps)."""
    shape = batch.window.shape
    target, mask = np.zeros((*shape, n_out)), np.zeros(shape)
    for k in range(batch.targets.shape[1]):
        inside = (batch.window == k) & (batch.targets[:, k] >= 0)[:, None]
        sample, step = np.nonzero(inside)
        target[sample, step, batch.targets[sample, k]] = 1.0
        mask[sample, step] = 1.0 / inside.sum(axis=1)[sample]
    return target, mask


def _shown(populations: tuple[object, ...]) -> str:
    return ", ".join(f"{type(p).__name__} '{p.name}' of size {p.size}" for p in populations) or "none"  # type: ignore[attr-defined]
