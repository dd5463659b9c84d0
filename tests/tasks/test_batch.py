"""Scores of a readout, and the refusal of samples that are not there."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuro.errors import DataError
from neuro.tasks import Batch, decision_logits, score
from neuro.tasks.batch import draw, span, split_size

SIZES: dict[str, int | None] = {"train": None, "test": 10}


def batch(window: list[list[int]], targets: list[list[int]]) -> Batch:
    w = np.array(window, dtype=np.int16)
    return Batch(inputs=np.zeros((*w.shape, 2), dtype=np.uint8), window=w, targets=np.array(targets, dtype=np.int64))


@given(st.integers(1, 4), st.integers(1, 12), st.integers(1, 3), st.integers(1, 4), st.integers(0, 2**32 - 1))
def test_logits_are_the_means_over_their_windows(n: int, steps: int, n_decisions: int, n_out: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    window = rng.integers(-1, n_decisions, size=(n, steps))
    targets = np.where([[k in row for k in range(n_decisions)] for row in window], rng.integers(0, n_out), -1)
    given_batch = batch(window.tolist(), targets.tolist())
    y = rng.integers(-64, 64, size=(n, steps, n_out)) / 8.0  # exact sums in any order
    logits = decision_logits(y, given_batch)
    right = 0
    for b, k in zip(*np.nonzero(targets >= 0), strict=True):
        mean = y[b][window[b] == k].mean(axis=0)
        np.testing.assert_array_equal(logits[b, k], mean)
        right += int(mean.argmax() == targets[b, k])
    assert np.isnan(logits[targets < 0]).all()
    assert score(y, given_batch) == (right, given_batch.n_decisions) == (right, (targets >= 0).sum())


def test_steps_outside_the_windows_do_not_count() -> None:
    asked = batch([[-1, 0, 0, -1, 1]], [[1, 0]])
    y = np.array([[[9.0, 0], [0, 1], [1, 1], [9, 0], [1, 0]]])
    assert score(y, asked) == (2, 2)
    y[0, 1] = (3, 1)
    assert score(y, asked) == (1, 2)
    assert score(y.astype(np.float32), asked) == (1, 2)


def test_a_decision_that_a_sample_does_not_have_is_not_counted() -> None:
    asked = batch([[0, -1], [0, 1]], [[0, -1], [0, 1]])
    y = np.array([[[1.0, 0], [np.nan, np.nan]], [[1, 0], [1, 0]]])
    assert asked.n_decisions == 3
    assert len(asked) == 2
    assert score(y, asked) == (2, 3)


def test_score_refuses_what_it_cannot_count() -> None:
    asked = batch([[0, 0, -1]], [[0]])
    with pytest.raises(DataError, match=re.escape("wrong shape (got (1, 2, 4); need (1, 3, 'n_out'))")):
        score(np.zeros((1, 2, 4)), asked)
    y = np.zeros((1, 3, 2))
    y[0, 1, 1] = np.inf
    with pytest.raises(DataError, match=re.escape("sample 0, decision 0: no finite readout (got [0.0, inf]")):
        score(y, asked)


def test_unknown_and_endless_splits_are_named() -> None:
    with pytest.raises(
        DataError, match=r"task 't': unknown split \(got 'tset'; need one of train, test\)\. Did you mean 'test'"
    ):
        split_size("t", SIZES, "tset")
    with pytest.raises(DataError, match=r"split 'train': no fixed samples .*use sample\(\)"):
        span("t", SIZES, "train", 0, 1)


@pytest.mark.parametrize(("start", "stop"), [(-1, 3), (3, 3), (4, 2), (0, 11)])
def test_samples_that_are_not_there_are_refused(start: int, stop: int) -> None:
    with pytest.raises(DataError, match=f"got {start}..{stop}; need 0 <= start < stop <= 10"):
        span("t", SIZES, "test", start, stop)


@pytest.mark.parametrize("n", [0, 11])
def test_a_batch_larger_than_its_split_is_refused(n: int) -> None:
    with pytest.raises(DataError, match=f"batch size out of range .got {n}; need 1..10"):
        draw("t", SIZES, "test", np.random.default_rng(0), n)


def test_a_batch_holds_no_sample_twice() -> None:
    drawn = draw("t", SIZES, "test", np.random.default_rng(0), 10)
    assert sorted(drawn) == list(range(10)) != drawn.tolist()
