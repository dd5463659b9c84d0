"""The pattern-generation task: the signal, the clock, and one sample for all splits."""

from __future__ import annotations

import re

import numpy as np
import pytest

from neuro import tasks
from neuro.errors import DataError, RecipeError
from neuro.tasks import PatternGeneration, PatternGenerationParameters


def test_shapes_and_sizes() -> None:
    task = tasks.make("pattern_generation", n_signals=3)
    assert (task.n_in, task.n_out, task.steps, task.dt_ms, task.input_kind) == (100, 3, 1000, 1.0, "spikes")
    assert task.sizes == {"train": None, "validation": 1, "test": 1}
    batch = task.sample("train", np.random.default_rng(0), 2)
    assert (batch.inputs.shape, batch.inputs.dtype) == ((2, 1000, 100), np.uint8)
    assert batch.signal is not None
    assert (batch.signal.shape, batch.signal.dtype) == ((2, 1000, 3), np.float64)
    assert (batch.window == 0).all()
    assert (batch.targets.shape, batch.n_decisions) == ((2, 0), 0)


def test_the_signal_has_the_frequencies_that_are_asked_for() -> None:
    for frequencies in ((1.0, 2.0, 3.0, 5.0), (4.0, 7.0)):
        parameters = PatternGenerationParameters(n_signals=2, frequencies_hz=frequencies)
        signal = PatternGeneration(parameters=parameters).fixed("test", 0, 1).signal
        assert signal is not None
        np.testing.assert_array_equal(signal[0, 0], 0.0)
        np.testing.assert_allclose(np.abs(signal[0]).max(axis=0), 1.0, rtol=1e-15)
        strength = np.abs(np.fft.rfft(signal[0], axis=0))[1:]  # 1 Hz apart: whole periods in a second
        present = strength > 1e-9 * strength.max()
        assert [(1.0 + np.flatnonzero(present[:, k])).tolist() for k in (0, 1)] == [list(frequencies)] * 2
        for k in (0, 1):
            kept = strength[present[:, k], k]
            assert 1.0 < kept.max() / kept.min() <= 4.0 * (1 + 1e-9), "amplitudes are drawn in 0.5..2"


def test_every_sample_is_the_same_and_each_pattern_and_seed_is_another() -> None:
    task = PatternGeneration()
    one, again = task.fixed("test", 0, 1), PatternGeneration().sample("train", np.random.default_rng(5), 3)
    assert one.signal is not None
    assert again.signal is not None
    for k in range(3):
        np.testing.assert_array_equal(again.inputs[k], one.inputs[0])
        np.testing.assert_array_equal(again.signal[k], one.signal[0])
    for other in (PatternGeneration(seed=1), PatternGeneration(parameters=PatternGenerationParameters(pattern=1))):
        differs = other.fixed("test", 0, 1)
        assert differs.signal is not None
        assert not np.array_equal(differs.inputs, one.inputs)
        assert not np.array_equal(differs.signal, one.signal)
    with pytest.raises(DataError, match=re.escape("got 0..2; need 0 <= start < stop <= 1")):
        task.sample("validation", np.random.default_rng(0), 2)


def test_the_clocks_fire_as_they_say() -> None:
    poisson = PatternGeneration().fixed("test", 0, 1).inputs
    assert abs(poisson.mean() - 0.05) < 5 * np.sqrt(0.05 * 0.95 / poisson.size)
    parameters = PatternGenerationParameters(clock="ticks", n_clock=20, n_groups=5, duration_ms=100, rate_hz=200.0)
    ticks = PatternGeneration(parameters=parameters).fixed("test", 0, 1).inputs[0]
    expected = np.zeros((100, 20), dtype=np.uint8)
    for step in range(0, 100, 5):
        group = step // 20
        expected[step, 4 * group : 4 * group + 4] = 1
    np.testing.assert_array_equal(ticks, expected)


def test_mistakes_are_refused() -> None:
    with pytest.raises(
        RecipeError, match=re.escape("frequencies_hz: no sinusoid (got an empty list; need at least one")
    ):
        tasks.make("pattern_generation", frequencies_hz=[])
    with pytest.raises(RecipeError, match=re.escape("frequencies_hz: out of range (got [1.0, 0.0]; need a list of a")):
        tasks.make("pattern_generation", frequencies_hz=[1.0, 0.0])
    with pytest.raises(RecipeError, match=r"clock: unknown value .got 'tick'.*Did you mean 'ticks'"):
        tasks.make("pattern_generation", clock="tick")
