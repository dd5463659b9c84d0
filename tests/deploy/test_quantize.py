"""Quantisation keeps a network's behaviour, says what it changed, and refuses what a chip cannot hold."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import neuro
from neuro.backend import Stimulus
from neuro.deploy import observe, quantize

ROOT = Path(__file__).resolve().parents[2]


def _net(reset: str = "threshold", n_ref: int = 3) -> neuro.Graph:
    """Return a small recurrent net that spikes at some tens of Hz on random input."""
    b = neuro.Builder(seed=3, name="small")
    b.spike_input("in", 20)
    b.lif("lif", 24, tau_m_ms=20.0, n_ref=n_ref, reset=reset)
    b.alif("alif", 16, tau_m_ms=20.0, tau_a_ms=300.0, beta=0.1, n_ref=n_ref, reset=reset)
    b.li("out", 3, tau_out_ms=20.0)
    for source in ("in", "lif", "alif"):
        for target in ("lif", "alif"):
            mean = 0.12 if source == "in" else 0.0
            b.connect(source, target, weight=lambda rng, n, m=mean: rng.normal(m, 0.15, n), p=0.4, delay=(1, 8))
    b.connect("lif", "out", weight=lambda rng, n: rng.normal(0.0, 0.2, n))
    b.connect("alif", "out", weight=lambda rng, n: rng.normal(0.0, 0.2, n))
    return b.build()


def _stimulus(batch: int = 6, steps: int = 150, size: int = 20, rate: float = 0.06) -> Stimulus:
    rng = np.random.default_rng(1)
    return Stimulus.dense({"in": (rng.random((batch, steps, size)) < rate).astype(np.uint8)})


def test_a_small_net_behaves_nearly_as_before() -> None:
    graph, stimulus = _net(), _stimulus()
    integer, note = quantize(graph, "loihi2", stimulus, max_runs=12)
    before, after = observe(graph, stimulus), observe(integer, stimulus)
    assert integer.semantics == "integer"
    for name in ("lif", "alif"):
        assert before.counts[name].sum() > 300  # not vacuous
        # rounding moves single spikes: 2 % of the number of spikes is ten times what was seen
        assert abs(int(after.counts[name].sum()) - int(before.counts[name].sum())) < 0.02 * before.counts[name].sum()
    y, y_int = before.readouts["out"], after.readouts["out"] / note.scales["out"]
    assert np.corrcoef(y.ravel(), y_int.ravel())[0, 1] > 0.98
    assert not note.problems
    assert set(note.scales) == {"lif", "alif", "out"}


def test_the_zoo_quantises_for_both_profiles() -> None:
    graph = neuro.load(ROOT / "models" / "digits" / "graph.h5")
    for profile, kinds in (("loihi1", {"IntLIF", "AHP", "IntLI"}), ("loihi2", {"IntLIF", "IntALIF", "IntLI"})):
        integer, note = quantize(graph, profile, max_runs=1)
        assert {type(p).__name__ for p in integer.receivers} == kinds
        assert note.n_runs == 1
        assert "Poisson at 50 Hz" in note.calibration
        assert integer.notes["profile"] == profile
        assert integer.notes["task"] == graph.notes["task"]
