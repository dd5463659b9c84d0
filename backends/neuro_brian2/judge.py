"""Judge the output of a network on Brian2 as a teacher says: errors, the action drawn, the reward. One sample, one step.

What each means is stated by `neuro.backend.Teacher`; the order of the operations is that of the learning rules' reference.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from neuro.backend import Stimulus, Teacher
from neuro.errors import DataError
from neuro.graph import Graph

from .sites import Sites

FloatArray = NDArray[np.float64]


def softmax(y: FloatArray) -> FloatArray:
    """Return exp(y_k) / sum_l exp(y_l) over the last axis of (1, K)."""
    grown = np.exp(y - y.max(axis=-1, keepdims=True))
    return np.asarray(grown / grown.sum(axis=-1, keepdims=True))


def error(teacher: Teacher, y: FloatArray, sample: int, t: int) -> FloatArray:
    """Return d loss / d y, (1, K): zero for a loss that is no error's."""
    if teacher.loss not in ("softmax", "regression"):
        return np.zeros_like(y)
    found = softmax(y) if teacher.loss == "softmax" else y
    return (found - teacher.target[sample : sample + 1, t]) * teacher.mask[sample, t]


def act(teacher: Teacher, y: FloatArray, sample: int, t: int) -> int:
    """Return the action, the first k with pi_0 + ... + pi_k > chance, or -1 where none is drawn."""
    if not teacher.choose[sample, t]:
        return -1
    reached = np.cumsum(softmax(y), axis=-1)[0] > teacher.chance[sample, t]
    return int(reached.argmax()) if reached.any() else y.shape[1] - 1


def reward(teacher: Teacher, action: int, sample: int, t: int) -> float:
    """Return the reward of a step: the teacher's own, plus right or wrong where an action was drawn."""
    told, target = float(teacher.reward[sample, t]), teacher.target[sample, t]
    if action < 0 or not target.size:
        return told
    return told + (teacher.right if target[action] == target.max() else teacher.wrong)


def check(graph: Graph, sites: Sites, stimulus: Stimulus, teacher: Teacher, trajectory_every: int) -> None:
    """Raise DataError, naming every fault, unless a teacher fits the stimulus and what learns."""
    found = []
    if (teacher.batch, teacher.steps) != (stimulus.batch, stimulus.steps):
        found.append(
            f"teacher: shape does not fit the stimulus (got batch {teacher.batch}, steps {teacher.steps}; need {stimulus.batch}, "
            f"{stimulus.steps}). Reshape it."
        )
    if sites.signals and teacher.loss not in ("softmax", "regression"):
        found.append(
            f"teacher: no error for '{sites.signals[0]}' (got loss '{teacher.loss}'; need softmax or regression). Change it."
        )
    chosen = [sites.actor] if sites.actor is not None and teacher.choose.any() else []
    for name in dict.fromkeys([*sites.signals, *chosen]):
        size = graph.population(name).size
        if teacher.target.shape[2] != size:
            found.append(
                f"teacher 'target': wrong number of outputs (got {teacher.target.shape[2]}; need {size}, the size of '{name}'). Reshape it."
            )
    if isinstance(trajectory_every, bool) or not isinstance(trajectory_every, int) or trajectory_every < 0:
        found.append(
            f"learn: trajectory_every out of range (got {trajectory_every!r}; need a whole number >= 0). Give one."
        )
    if found:
        raise DataError("\n  ".join(found))
