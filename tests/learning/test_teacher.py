"""What a batch teaches: targets, masks and the steps of actions; and which graph a task fits."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from neuro import tasks
from neuro.errors import DataError, RecipeError
from neuro.learning import (
    STDP,
    EProp,
    LearnConfig,
    Lesson,
    NetworkConfig,
    RewardEProp,
    RewardSTDP,
    attach,
    draw_network,
    lesson_for,
    lesson_of,
    teacher_of,
)
from neuro.learning.teacher import chosen_steps
from neuro.tasks import Batch
from tests.learning.sides import Sides, small_net

LESSON = Lesson(input="in", readout="out", n_out=2, loss="softmax")


def batch(window: list[list[int]], targets: list[list[int]]) -> Batch:
    w = np.array(window, dtype=np.int16)
    inputs = np.zeros((*w.shape, 6), dtype=np.uint8)
    inputs[:, 1, 4] = 1
    return Batch(inputs, w, np.array(targets, dtype=np.int64))


TWO = batch([[-1, 0, 0, -1, 1, 1, 1, 1], [0, 0, 0, 0, -1, 1, -1, -1]], [[1, 0], [0, -1]])


def test_each_decision_weighs_one_whatever_its_length() -> None:
    stimulus, teacher = teacher_of(TWO, LESSON, small_net())
    assert (stimulus.batch, stimulus.steps, len(stimulus.spikes["in"])) == (2, 8, 2)
    assert teacher.loss == "softmax"
    np.testing.assert_array_equal(teacher.mask, [[0, 0.5, 0.5, 0, 0.25, 0.25, 0.25, 0.25], [0.25] * 4 + [0] * 4])
    np.testing.assert_array_equal(teacher.target[0, :, 1], [0, 1, 1, 0, 0, 0, 0, 0])
    np.testing.assert_array_equal(teacher.target[0, :, 0], [0, 0, 0, 0, 1, 1, 1, 1])
    np.testing.assert_array_equal(teacher.target[1].sum(axis=1), [1, 1, 1, 1, 0, 0, 0, 0])
    assert not teacher.choose.any()


@pytest.mark.parametrize(
    ("choose", "first", "second"), [("last", [2, 7], [3]), ("first", [1, 4], [0]), ("each", [1, 2, 4, 5, 6, 7], [0, 1, 2, 3])]
)  # fmt: skip
def test_actions_are_drawn_where_they_should(choose: str, first: list[int], second: list[int]) -> None:
    assert [np.flatnonzero(row).tolist() for row in chosen_steps(TWO, choose)] == [first, second]
    chance = np.random.default_rng(0).random((2, 8))
    lesson = replace(LESSON, loss="reward", choose=choose, right=2.0, wrong=-1.0)
    _, teacher = teacher_of(TWO, lesson, small_net(), chance)
    np.testing.assert_array_equal(teacher.chance, chance)
    assert (teacher.loss, teacher.right, teacher.wrong) == ("reward", 2.0, -1.0)
    assert (teacher.target[teacher.choose].sum(axis=1) == 1).all()
    with pytest.raises(DataError, match=re.escape("teacher: no chance to draw actions from (got None")):
        teacher_of(TWO, lesson, small_net())


def test_a_regression_teaches_its_signal() -> None:
    task = tasks.make("pattern_generation", duration_ms=20, n_clock=6)
    graph = draw_network(NetworkConfig(n_lif=3, n_alif=0), task)
    lesson = lesson_for(attach(graph, EProp()), task, LearnConfig())
    assert lesson.loss == "regression"
    given = task.fixed("test", 0, 1)
    _, teacher = teacher_of(given, lesson, graph)
    assert given.signal is not None
    np.testing.assert_array_equal(teacher.target, given.signal)
    assert (teacher.mask == 1).all()
    with pytest.raises(DataError, match="teacher: no signal"):
        teacher_of(TWO, lesson, graph)


def test_the_loss_is_that_of_the_rule() -> None:
    graph = small_net(value=True)
    for rule, loss in (
        (EProp(), "softmax"),
        (RewardEProp(value="value"), "reward"),
        (STDP(), "none"),
        (RewardSTDP(), "reward"),
        (RewardSTDP(factor="supervised"), "softmax"),
    ):
        lesson = lesson_for(attach(graph, rule, signal="out"), Sides(), LearnConfig(choose="each"))
        assert (lesson.loss, lesson.readout, lesson.choose) == (loss, "out", "each")
    _, teacher = teacher_of(TWO, replace(LESSON, loss="none"), graph)
    assert not teacher.mask.any()


def test_what_does_not_fit_is_told_at_once() -> None:
    graph = replace(small_net(), name="net")
    task = tasks.make("pattern_generation", n_clock=5, n_signals=3)
    with pytest.raises(DataError) as caught:
        lesson_of(graph, task, "softmax")
    assert [line.split(" (got")[0] for line in str(caught.value).splitlines()[:3]] == [
        "task 'pattern_generation' on graph 'net': inputs do not fit",
        "task 'pattern_generation' on graph 'net': readouts do not fit",
        "task 'pattern_generation' on graph 'net': the task asks for a signal",
    ]
    with pytest.raises(DataError, match=re.escape("need one LI of size 2 called 'outt')")):
        lesson_of(graph, Sides(), "softmax", readout="outt")
    with pytest.raises(RecipeError, match=r"lesson 'choose': unknown .got 'lastt'.*Did you mean 'last'"):
        lesson_of(graph, Sides(), "softmax", choose="lastt")
