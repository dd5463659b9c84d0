"""Rates, intervals and their variation as Elephant computes them from a Neo file of a recording: the same numbers as ours."""

from __future__ import annotations

from typing import Any

import elephant.statistics
import neo
import numpy as np
import pytest
import quantities as pq

from neuro.backend import Stimulus, run
from neuro.graph import Builder
from neuro.metrics import activity, cv, intervals_ms
from neuro.recording import Recording

# Elephant 1.2 passes quantities an argument that its version 0.16 no longer looks at.
pytestmark = pytest.mark.filterwarnings("ignore:The 'copy' argument in Quantity is deprecated")

STEPS, DT_MS, BATCH = 400, 0.5, 3
ROUNDING = 1e-12
"""Relative: Elephant takes a rate and an interval from times in ms as doubles, and a step from none."""


@pytest.fixture(scope="module")
def recording() -> Recording:
    """Return 3 samples of 200 ms of a net with LIF and ALIF neurons, of which one never spikes and one spikes once a sample."""
    b = Builder(dt_ms=DT_MS)
    b.spike_input("in", 20)
    b.lif("lif", 15, tau_m_ms=20.0, v_th=1.0)
    b.alif(
        "alif",
        6,
        tau_m_ms=20.0,
        v_th=[0.5, 0.5, 0.5, 0.5, 100.0, 0.02],
        tau_a_ms=1e5,
        beta=[0.2, 0.2, 0.2, 0.2, 0.0, 1e3],
    )
    rng = np.random.default_rng(1)
    b.connect(
        "in",
        "lif",
        weight=rng.uniform(0.0, 0.4, 300),
        pre=np.repeat(np.arange(20), 15),
        post=np.tile(np.arange(15), 20),
    )
    b.connect(
        "in", "alif", weight=rng.uniform(0.1, 0.4, 120), pre=np.repeat(np.arange(20), 6), post=np.tile(np.arange(6), 20)
    )
    spikes = rng.random((BATCH, STEPS, 20)) < 0.03
    return run(b.build(), Stimulus.dense({"in": spikes}), "engine")


@pytest.fixture(scope="module")
def trains(recording: Recording, tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[int, str, int], Any]:
    """Return the spike trains as they come back from a file that Neo wrote, by sample, population and neuron."""
    path = tmp_path_factory.mktemp("neo") / "recording.mat"
    neo.NeoMatlabIO(str(path)).write(recording.to_neo())
    block = neo.NeoMatlabIO(str(path)).read_block()
    return {
        (k, str(t.annotations["population"]), int(t.annotations["neuron"])): t
        for k, segment in enumerate(block.segments)
        for t in segment.spiketrains
    }


def test_every_spike_comes_back_from_the_file(recording: Recording, trains: dict[Any, Any]) -> None:
    assert len(trains) == BATCH * (20 + 15 + 6)
    for (sample, name, neuron), train in trains.items():
        e = recording.spikes[name].select(sample, sample + 1)
        assert train.rescale("ms").magnitude.tolist() == (e.step[e.unit == neuron] * DT_MS).tolist()
        assert train.t_stop.rescale("ms").item() == STEPS * DT_MS
    assert {name: sum(len(t) for (_, p, _), t in trains.items() if p == name) for name in ("in", "lif", "alif")} == {
        name: len(recording.spikes[name]) for name in ("in", "lif", "alif")
    }
    assert len(recording.spikes["lif"]) > 100


@pytest.mark.parametrize("name", ["lif", "alif"])
def test_elephant_rates_are_ours(recording: Recording, trains: dict[Any, Any], name: str) -> None:
    rates = [
        elephant.statistics.mean_firing_rate(t).rescale(pq.Hz).item() for (_, p, _), t in trains.items() if p == name
    ]
    assert np.mean(rates) > 1.0
    assert recording.rate_hz(name) == pytest.approx(np.mean(rates), rel=ROUNDING)
    assert activity(recording).rate_hz[name] == pytest.approx(np.mean(rates), rel=ROUNDING)


@pytest.mark.parametrize("name", ["in", "lif", "alif"])
def test_elephant_intervals_are_ours(recording: Recording, trains: dict[Any, Any], name: str) -> None:
    theirs = [
        elephant.statistics.isi(trains[k, name, j]).rescale("ms").magnitude
        for k in range(BATCH)
        for j in range(recording.sizes[name])
        if len(trains[k, name, j]) > 1
    ]
    ours = intervals_ms(recording, name)
    assert len(ours) > 20
    assert np.concatenate(theirs) == pytest.approx(ours, rel=ROUNDING)


@pytest.mark.parametrize("name", ["in", "lif", "alif"])
def test_elephant_cv_is_ours_where_there_are_two_intervals(
    recording: Recording, trains: dict[Any, Any], name: str
) -> None:
    ours = cv(recording, name)
    for j in range(recording.sizes[name]):
        parts = [trains[k, name, j] for k in range(BATCH)]
        isi = np.concatenate([elephant.statistics.isi(t).magnitude for t in parts if len(t) > 1] or [np.zeros(0)])
        if len(isi) < 2:
            assert np.isnan(ours[j])
        else:
            assert ours[j] == pytest.approx(elephant.statistics.cv(isi), rel=ROUNDING)
            assert ours[j] > 0.0
    silent = 2 if name == "alif" else 0  # one neuron has no spike, one has a single one in each sample
    assert np.isnan(ours).sum() >= silent
    assert np.isfinite(ours).sum() >= len(ours) // 2
