"""The delayed-match task: cues, spikes, answers and fixed sets."""

from __future__ import annotations

import re

import numpy as np
import pytest

from neuro import tasks
from neuro.errors import RecipeError
from neuro.tasks import DelayedMatch, DelayedMatchParameters
from neuro.tasks.delayed_match import MATCH, NOISE, RESPOND

SMALL = DelayedMatchParameters(
    cue_ms=10, delay_ms=20, response_ms=8, rate_hz=1000.0, noise_hz=100.0, group_size=3, validation_size=4, test_size=6
)


def test_shapes_and_sizes() -> None:
    task = tasks.make("delayed_match")
    assert (task.n_in, task.n_out, task.steps, task.dt_ms, task.input_kind) == (40, 2, 800, 1.0, "spikes")
    assert task.sizes == {"train": None, "validation": 128, "test": 512}
    batch = task.sample("train", np.random.default_rng(0), 3)
    assert (batch.inputs.shape, batch.inputs.dtype, batch.targets.shape) == ((3, 800, 40), np.uint8, (3, 1))
    assert (np.flatnonzero(batch.window[0] == 0) == np.arange(700, 800)).all()


def test_the_answer_is_whether_both_cues_were_the_same() -> None:
    task = DelayedMatch(parameters=SMALL)
    batch = task.sample("train", np.random.default_rng(2), 200)
    fired = batch.inputs.reshape(200, task.steps, 4, 3).any(axis=3)
    first, second = fired[:, :10, :2].all(axis=1), fired[:, 30:40, :2].all(axis=1)
    assert (first.sum(axis=1) == 1).all()
    assert (second.sum(axis=1) == 1).all()
    np.testing.assert_array_equal(batch.targets[:, 0] == MATCH, (first == second).all(axis=1))
    assert not fired[:, 10:30, :3].any()
    assert not fired[:, 40:, :2].any()
    assert fired[:, 40:, RESPOND].all()
    assert not fired[:, :40, RESPOND].any()
    noise = batch.inputs.reshape(200, task.steps, 4, 3)[:, :, NOISE].mean()
    assert abs(noise - 0.1) < 5 * np.sqrt(0.1 * 0.9 / (200 * task.steps * 3))


def test_no_cue_alone_gives_the_answer_away() -> None:
    task = DelayedMatch(parameters=SMALL)
    cues = task.cues(np.random.default_rng(3), 4000)
    match = cues[:, 0] == cues[:, 1]
    for k in (0, 1):
        for cue in (0, 1):
            assert abs(match[cues[:, k] == cue].mean() - 0.5) < 5 * 0.5 / np.sqrt(1900)


def test_fixed_samples_do_not_depend_on_where_a_batch_begins_but_on_the_seed() -> None:
    task, other = DelayedMatch(parameters=SMALL), DelayedMatch(parameters=SMALL, seed=1)
    whole = task.fixed("test", 0, 6)
    assert whole.inputs.any()
    for start, stop in ((0, 1), (2, 5), (5, 6)):
        part = task.fixed("test", start, stop)
        np.testing.assert_array_equal(part.inputs, whole.inputs[start:stop])
        np.testing.assert_array_equal(part.targets, whole.targets[start:stop])
    for differs in (other.fixed("test", 0, 4), task.fixed("validation", 0, 4)):
        assert not np.array_equal(whole.inputs[:4], differs.inputs)


def test_a_value_out_of_range_is_refused() -> None:
    with pytest.raises(RecipeError, match=re.escape("rate_hz: out of range (got 1001; need a number, above 0..1000)")):
        tasks.make("delayed_match", rate_hz=1001)
    with pytest.raises(RecipeError, match=re.escape("unknown key (got 'delay'; need one of cue_ms, delay_ms")):
        tasks.make("delayed_match", delay=3)
