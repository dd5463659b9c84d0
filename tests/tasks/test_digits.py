"""The digits task: split, code, cue and windows."""

from __future__ import annotations

import hashlib
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neuro import tasks
from neuro.errors import DataError
from neuro.tasks.digits import Digits, even_order


@pytest.fixture(scope="module")
def digits() -> Digits:
    task = tasks.make("digits")
    assert isinstance(task, Digits)
    return task


def test_shapes_and_sizes(digits: Digits) -> None:
    assert digits.sizes == {"train": 1197, "validation": 240, "test": 360}
    assert (digits.n_in, digits.n_out, digits.steps, digits.dt_ms, digits.input_kind) == (17, 10, 150, 1.0, "spikes")
    batch = digits.sample("train", np.random.default_rng(0), 8)
    assert (batch.inputs.shape, batch.inputs.dtype) == ((8, 150, 17), np.uint8)
    assert (batch.window.shape, batch.window.dtype) == ((8, 150), np.int16)
    assert (batch.targets.shape, batch.targets.dtype) == ((8, 1), np.int64)


def test_splits_are_disjoint_real_and_hold_every_class_evenly(digits: Digits) -> None:
    from sklearn.datasets import load_digits

    real = load_digits()
    assert sorted(map(bytes, digits.images)) == sorted(map(bytes, real.data.astype(np.uint8)))
    for split, size in digits.sizes.items():
        assert size is not None
        counts = np.bincount(digits.fixed(split, 0, size).targets[:, 0], minlength=10)
        assert counts.min() >= 0.9 * size / 10
        assert counts.max() <= 1.1 * size / 10
    labels = np.concatenate([digits.fixed(s, 0, n or 0).targets[:, 0] for s, n in digits.sizes.items()])
    np.testing.assert_array_equal(np.bincount(labels), np.bincount(real.target))


def test_split_is_the_same_in_every_run_and_for_every_seed(digits: Digits) -> None:
    other = tasks.make("digits", seed=7)
    np.testing.assert_array_equal(other.fixed("test", 0, 360).inputs, digits.fixed("test", 0, 360).inputs)
    # Figures on this test set are comparable only while its images stay these: a change is a new task.
    digest = hashlib.sha256(digits.images[:360].tobytes() + digits.labels[:360].astype("<i8").tobytes()).hexdigest()
    assert digest[:16] == "3b3864ba98d7e002"


def test_fixed_samples_do_not_depend_on_where_a_batch_begins(digits: Digits) -> None:
    whole = digits.fixed("validation", 0, 240)
    part = digits.fixed("validation", 100, 103)
    np.testing.assert_array_equal(part.inputs, whole.inputs[100:103])
    np.testing.assert_array_equal(part.targets, whole.targets[100:103])


def test_samples_come_from_their_split_and_the_generator_alone(digits: Digits) -> None:
    first = digits.sample("test", np.random.default_rng(3), 360)
    again = digits.sample("test", np.random.default_rng(3), 360)
    np.testing.assert_array_equal(first.inputs, again.inputs)
    fixed = digits.fixed("test", 0, 360)
    assert not np.array_equal(first.targets, fixed.targets)
    assert sorted(map(bytes, first.inputs)) == sorted(map(bytes, fixed.inputs))


@pytest.mark.parametrize("steps_per_pixel", [1, 3])
@pytest.mark.parametrize("levels", [1, 4, 16])
def test_image_can_be_read_back_from_its_spikes(levels: int, steps_per_pixel: int) -> None:
    task = tasks.make("digits", levels=levels, steps_per_pixel=steps_per_pixel, cue_steps=5, decision_steps=2)
    assert isinstance(task, Digits)
    assert (task.n_in, task.steps) == (2 * levels + 1, 64 * steps_per_pixel + 5)
    spikes = task.fixed("test", 0, 40).inputs.astype(int)
    pixels = spikes[:, : 64 * steps_per_pixel].reshape(40, 64, steps_per_pixel, task.n_in)
    assert not pixels[:, :, 1:].any()
    change = pixels[:, :, 0, 0:-1:2].sum(axis=2) - pixels[:, :, 0, 1:-1:2].sum(axis=2)
    np.testing.assert_array_equal(change.cumsum(axis=1), task.images[:40].astype(int) * levels // 16)


def test_cue_fires_after_the_pixels_and_the_answer_is_read_at_its_end(digits: Digits) -> None:
    batch = digits.fixed("test", 0, 3)
    cue = np.zeros(150)
    cue[128:] = 1
    np.testing.assert_array_equal(batch.inputs[:, :, -1], np.tile(cue, (3, 1)))
    assert not batch.inputs[:, 128:, :-1].any()
    assert (batch.window[:, :138] == -1).all()
    assert (batch.window[:, 138:] == 0).all()


def test_spikes_tell_the_classes_apart_only_by_their_times(digits: Digits) -> None:
    """Nearest class mean: the code by step carries the digit, its spike counts alone hardly do."""
    train, test = digits.fixed("train", 0, 1197), digits.fixed("test", 0, 360)

    def right(a: np.ndarray, b: np.ndarray) -> float:
        means = np.stack([a[train.targets[:, 0] == c].mean(axis=0) for c in range(10)])
        return float((((b[:, None] - means) ** 2).sum(axis=2).argmin(axis=1) == test.targets[:, 0]).mean())

    crossings = [b.inputs[:, :128, :-1].astype(float) for b in (train, test)]
    levels = [(c[:, :, 0::2] - c[:, :, 1::2]).sum(axis=2).cumsum(axis=1) for c in crossings]
    assert right(*levels) > 0.8
    assert right(*(c.sum(axis=1) for c in crossings)) < 0.5


def test_missing_scikit_learn_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    from neuro.tasks import digits as module

    module._load.cache_clear()
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(DataError, match=r"task 'digits': its images come with scikit-learn .*pip install scikit-learn"):
        tasks.make("digits")


@settings(max_examples=30)
@given(st.lists(st.integers(0, 4), min_size=1, max_size=200), st.integers(0, 2**32 - 1))
def test_even_order_spreads_every_class_over_every_prefix(labels: list[int], seed: int) -> None:
    y = np.array(labels)
    order = even_order(y, np.random.default_rng(seed))
    assert sorted(order) == list(range(len(y)))
    for c in np.unique(y):
        seen = (y[order] == c).cumsum()
        expected = np.arange(1, len(y) + 1) * (y == c).mean()
        assert np.abs(seen - expected).max() <= len(np.unique(y))
