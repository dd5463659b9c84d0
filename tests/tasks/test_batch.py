"""Scores of a readout, and the refusal of samples that are not there."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuro.errors import DataError
from neuro.tasks import Batch, decision_logits, nmse, score, squares
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


def wanted(signal: list[list[float]], window: list[list[int]]) -> Batch:
    y = np.array(signal)[:, :, None]
    w = np.array(window, dtype=np.int16)
    return Batch(np.zeros((*w.shape, 1), np.uint8), w, np.zeros((len(w), 0), np.int64), y)


def test_nmse_is_zero_for_the_signal_and_one_for_its_mean() -> None:
    asked = wanted([[1.0, 3.0, 9.0], [2.0, 4.0, 6.0]], [[0, 0, -1], [0, 0, 0]])
    assert asked.signal is not None
    assert nmse(asked.signal, asked) == 0.0
    y = asked.signal.copy()
    y[0, 2] = np.nan  # a step that does not count
    assert nmse(y, asked) == 0.0
    y[0], y[1] = 2.0, 4.0  # the mean of each signal over the steps that count
    assert abs(nmse(y, asked) - 1.0) < 1e-15
    assert squares(asked.signal + 1.0, asked) == (5.0, 10.0)
    parts = [squares(asked.signal[k : k + 1] + 1.0, asked.select(k, k + 1)) for k in (0, 1)]
    assert tuple(sum(part) for part in zip(*parts, strict=True)) == (5.0, 10.0)


def test_a_regression_and_decisions_are_not_mixed_up() -> None:
    asked = wanted([[1.0, 3.0]], [[0, 0]])
    with pytest.raises(DataError, match=re.escape("a regression has no right decisions")):
        score(np.zeros((1, 2, 1)), asked)
    with pytest.raises(DataError, match=re.escape("nmse: no signal to compare with")):
        nmse(np.zeros((1, 2, 1)), batch([[0, 0]], [[0]]))
    with pytest.raises(DataError, match=re.escape("wrong shape (got (1, 2, 2); need (1, 2, 1))")):
        nmse(np.zeros((1, 2, 2)), asked)
    with pytest.raises(DataError, match=re.escape("sample 0, step 1: no finite readout (got [inf]")):
        nmse(np.array([[[0.0], [np.inf]]]), asked)
    with pytest.raises(DataError, match="the signal is constant"):
        nmse(np.zeros((1, 2, 1)), wanted([[2.0, 2.0]], [[0, 0]]))
