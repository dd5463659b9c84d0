"""The evidence-accumulation task: cues, spikes, the majority, and fixed sets."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neuro import tasks
from neuro.errors import RecipeError
from neuro.tasks import EvidenceAccumulation, EvidenceAccumulationParameters
from neuro.tasks.evidence_accumulation import LEFT, NOISE, RECALL, RIGHT

SMALL = {
    "n_cues": 3, "interval_ms": 15, "cue_ms": 10, "delay_ms": 20, "decision_ms": 12, "rate_hz": 400.0, "noise_hz": 100.0,
    "group_size": 4, "validation_size": 5, "test_size": 8,
}  # fmt: skip


def small(**changes: object) -> EvidenceAccumulation:
    return EvidenceAccumulation(parameters=EvidenceAccumulationParameters(**{**SMALL, **changes}))  # type: ignore[arg-type]


def test_shapes_and_sizes_are_those_published() -> None:
    task = tasks.make("evidence_accumulation")
    assert (task.n_in, task.n_out, task.steps, task.dt_ms, task.input_kind) == (40, 2, 7 * 150 + 1200, 1.0, "spikes")
    assert task.sizes == {"train": None, "validation": 128, "test": 512}
    batch = task.sample("train", np.random.default_rng(0), 3)
    assert (batch.inputs.shape, batch.inputs.dtype) == ((3, 2250, 40), np.uint8)
    assert (batch.window.dtype, batch.targets.shape) == (np.int16, (3, 1))
    assert (np.flatnonzero(batch.window[0] == 0) == np.arange(2100, 2250)).all()


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n_cues=st.sampled_from([1, 3, 7]))
def test_the_answer_is_the_side_that_fired_more(seed: int, n_cues: int) -> None:
    task = small(n_cues=n_cues, noise_hz=0.0, rate_hz=1000.0)  # a group that is on fires at every step
    batch = task.sample("train", np.random.default_rng(seed), 10)
    cues = task.cues(np.random.default_rng(seed), 10)  # the same cues: they are drawn first
    fired = batch.inputs.reshape(10, task.steps, 4, 4).astype(np.int64)
    for b in range(10):
        on = fired[b, :, :2].sum(axis=(0, 2)) // (4 * 10)
        assert on.sum() == n_cues
        assert on[RIGHT] == (cues[b] == RIGHT).sum()
        assert batch.targets[b, 0] == int(on[RIGHT] > on[LEFT])


def test_groups_fire_when_they_are_on_and_at_their_rate() -> None:
    task = small()
    batch = task.sample("train", np.random.default_rng(1), 400)
    mean = batch.inputs.reshape(400, task.steps, 4, 4).mean(axis=(0, 3))
    cue = np.zeros(task.steps, dtype=bool)
    for k in range(3):
        cue[k * 15 + 5 : k * 15 + 15] = True
    assert (mean[~cue][:, [LEFT, RIGHT]] == 0).all()
    assert (mean[:-12, RECALL] == 0).all()
    # Binomial: 5 standard deviations of each mean; left and right share the cues.
    for found, p, n in (
        (mean[cue][:, [LEFT, RIGHT]].sum(axis=1).mean(), 0.4, 400 * 4 * 30),
        (mean[-12:, RECALL].mean(), 0.4, 400 * 4 * 12),
        (mean[:, NOISE].mean(), 0.1, 400 * 4 * task.steps),
    ):
        assert abs(found - p) < 5 * np.sqrt(p * (1 - p) / n)


def test_cues_come_on_the_minor_side_with_their_probability() -> None:
    task = EvidenceAccumulation()
    right = (task.cues(np.random.default_rng(0), 20000) == RIGHT).sum(axis=1)
    expected = np.zeros(8)
    for k in range(8):  # binomial of either side, each half of the time
        ways = np.prod(np.arange(8 - k, 8)) / np.prod(np.arange(1, k + 1))
        expected[k] = 0.5 * ways * (0.3**k * 0.7 ** (7 - k) + 0.7**k * 0.3 ** (7 - k))
    found = np.bincount(right, minlength=8) / 20000
    assert np.abs(found - expected).max() < 5 * np.sqrt(0.25 / 20000)
    assert 0.48 < (right > 3).mean() < 0.52


def test_fixed_samples_do_not_depend_on_where_a_batch_begins_but_on_the_seed() -> None:
    task, other = small(), EvidenceAccumulation(parameters=small().parameters, seed=1)
    whole = task.fixed("test", 0, 8)
    for start, stop in ((0, 1), (3, 7), (7, 8)):
        part = task.fixed("test", start, stop)
        np.testing.assert_array_equal(part.inputs, whole.inputs[start:stop])
        np.testing.assert_array_equal(part.targets, whole.targets[start:stop])
    for differs in (other.fixed("test", 0, 5), task.fixed("validation", 0, 5)):
        assert not np.array_equal(whole.inputs[:5], differs.inputs)
    drawn = task.sample("validation", np.random.default_rng(0), 5)
    assert sorted(map(bytes, drawn.inputs)) == sorted(map(bytes, task.fixed("validation", 0, 5).inputs))


def test_parameters_that_make_no_sense_together_are_refused() -> None:
    with pytest.raises(RecipeError) as caught:
        tasks.make("evidence_accumulation", n_cues=4, cue_ms=200)
    assert str(caught.value).splitlines() == [
        "task 'evidence_accumulation': cue_ms: longer than its interval (got 200; need at most interval_ms = 150).",
        "task 'evidence_accumulation': n_cues: no majority in an even number (got 4; need an odd number).",
    ]
    with pytest.raises(RecipeError, match=re.escape("p_minor: out of range (got 0.6; need a number, 0..0.5)")):
        tasks.make("evidence_accumulation", p_minor=0.6)
