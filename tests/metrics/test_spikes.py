"""Rates, counts, silence and intervals, on spikes that can be counted by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from neuro.backend import Record, Stimulus, run
from neuro.errors import DataError
from neuro.graph import Builder
from neuro.metrics import activity, cv, intervals_ms, neuron_populations
from neuro.recording import Events, Recording

STEPS = 20


def counted() -> Recording:
    """Return 2 samples of 20 steps of 0.5 ms: the input spikes 4 times in sample 0 and once in sample 1, one neuron relays it."""
    b = Builder(dt_ms=0.5)
    b.spike_input("in", 2)
    b.lif("relay", 4, tau_m_ms=0.0, v_th=0.5, reset="zero")
    b.alif("still", 1, beta=0.1, v_th=10.0)
    b.li("out", 1)
    b.connect("in", "relay", weight=[1.0], pre=[0], post=[2])
    b.connect("relay", "still", weight=0.001, pre=[2], post=[0])
    b.connect("relay", "out", weight=0.5)
    spikes = np.zeros((2, STEPS, 2), bool)
    spikes[0, [0, 3, 4, 10], 0] = True
    spikes[1, 7, 0] = True
    spikes[1, 8, 1] = True
    return run(b.build(), Stimulus.dense({"in": spikes}), "engine", Record())


def test_activity_counts_neurons_and_not_inputs() -> None:
    found = activity(counted())
    seconds = 2 * STEPS * 0.5e-3
    assert found.n_samples == 2
    assert found.rate_hz == {"relay": 5 / (4 * seconds), "still": 0.0}
    assert found.mean_rate_hz == 5 / (5 * seconds)
    assert found.spikes_per_inference == 2.5
    assert found.input_spikes_per_inference == 3.0
    assert found.synaptic_events_per_inference == (5 + 5 + 5) / 2
    assert found.silent_fraction == {"relay": 0.75, "still": 1.0}
    assert neuron_populations(counted()) == ("relay", "still")


def test_groups_of_samples_are_measured_together() -> None:
    recording = counted()
    one, two = activity(recording), activity([recording, recording])
    assert replace(two, n_samples=2) == one
    assert two.n_samples == 4


def test_spikes_that_were_not_kept_give_no_silent_fraction() -> None:
    assert activity(replace(counted(), spikes={})).silent_fraction == {}


def test_recordings_of_different_length_are_refused() -> None:
    with pytest.raises(DataError, match="do not belong together"):
        activity([counted(), replace(counted(), steps=3)])
    with pytest.raises(DataError, match="got 0"):
        activity([])


@pytest.mark.parametrize("empty", [{"batch": 0}, {"steps": 0}])
def test_empty_recordings_have_no_activity(empty: dict[str, int]) -> None:
    with pytest.raises(
        DataError, match=r"activity: nothing was recorded \(got samples and steps \[.*; need at least one of each\)"
    ):
        activity(replace(counted(), **empty))  # type: ignore[arg-type]


def test_intervals_stay_within_a_neuron_and_a_sample() -> None:
    assert intervals_ms(counted(), "relay").tolist() == [1.5, 0.5, 3.0]
    assert intervals_ms(counted(), "still").tolist() == []
    with pytest.raises(DataError, match="Did you mean 'relay'"):
        intervals_ms(counted(), "relais")


def test_cv_is_of_all_intervals_of_a_neuron_and_nan_where_there_are_not_two() -> None:
    found = cv(counted(), "relay")
    intervals = np.array([1.5, 0.5, 3.0])
    assert found[2] == pytest.approx(intervals.std() / intervals.mean(), rel=1e-15)
    assert np.isnan(found[[0, 1, 3]]).all()
    assert np.isnan(cv(counted(), "still")).all()
    with pytest.raises(DataError, match="intervals: no spikes of 'relais'"):
        cv(counted(), "relais")


def test_a_clock_has_cv_0_and_a_poisson_process_1() -> None:
    steps = 100_000
    rng = np.random.default_rng(0)
    spikes = np.stack([np.arange(steps) % 100 == 0, rng.random(steps) < 0.01], axis=1)[None]
    e = Events.from_dense(spikes)
    recording = replace(counted(), batch=1, steps=steps, spikes={"relay": e}, sizes={"relay": 2})
    found = cv(recording, "relay")
    assert found[0] == 0.0
    assert found[1] == pytest.approx(1.0, abs=0.1)  # some 1000 intervals: a standard error of about 0.03
    shuffled = replace(recording, spikes={"relay": Events(e.sample, e.step, 1 - e.unit)})
    assert cv(shuffled, "relay").tolist() == found[::-1].tolist()
