"""Check the golden model against solutions worked out by hand and against its own reductions."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neuro.backend import Capabilities
from neuro.backend.conformance import Limits, draw_stimulus, graphs
from neuro.errors import DataError
from neuro.graph import ALIF, LIF, Builder, Graph, Projection, decay, reference


def single(reset: str = "threshold", *, weight: float = 1.0, n_ref: int = 0, kind: str = "lif", **more: Any) -> Graph:
    b = Builder(dt_ms=more.pop("dt_ms", 1.0))
    b.spike_input("in", 1)
    if kind == "lif":
        b.lif("n", 1, n_ref=n_ref, reset=reset, **more)
    else:
        b.alif("n", 1, n_ref=n_ref, reset=reset, **more)
    b.connect("in", "n", weight=weight)
    return b.build()


def run(graph: Graph, times: list[int], steps: int) -> dict[str, np.ndarray]:
    spikes = np.zeros((1, steps, 1))
    spikes[0, times] = 1
    return {k: v[0, :, 0] for k, v in reference.simulate(graph, {"in": spikes})["n"].items()}


@pytest.mark.parametrize("dt_ms", [0.1, 0.5, 1.0, 2.0])
def test_membrane_decays_exponentially(dt_ms: float) -> None:
    trace = run(single(weight=0.5, tau_m_ms=20.0, dt_ms=dt_ms), [3], 40)
    t = np.arange(40) - 3
    expected = np.where(t >= 0, 0.5 * np.exp(-t * dt_ms / 20.0), 0.0)
    assert trace["v"] == pytest.approx(expected, rel=1e-13) and trace["z"].sum() == 0


def test_spike_needs_more_than_the_threshold() -> None:
    assert run(single(weight=1.0, v_th=1.0), [2], 5)["z"].sum() == 0
    assert run(single(weight=1.0 + 2.0**-51, v_th=1.0), [2], 5)["z"].tolist() == [0, 0, 1, 0, 0]


def test_subtractive_reset_keeps_the_rest_and_v_is_recorded_before_it() -> None:
    trace = run(single(weight=1.75, tau_m_ms=1 / np.log(2), v_th=1.0), [0], 3)
    assert trace["v"] == pytest.approx([1.75, 1.75 / 2 - 1.0, (1.75 / 2 - 1.0) / 2]) and trace["z"].tolist() == [
        1,
        0,
        0,
    ]


def test_reset_to_zero_is_recorded_after_and_discards_input_while_refractory() -> None:
    trace = run(single("zero", weight=3.0, tau_m_ms=20.0, n_ref=2), [0, 1, 2, 3, 4], 6)
    assert trace["z"].tolist() == [1, 0, 0, 1, 0, 0] and trace["v"].tolist() == [0] * 6


def test_membrane_integrates_while_refractory_with_subtractive_reset() -> None:
    trace = run(single(weight=2.0, tau_m_ms=np.inf, n_ref=2), [0, 1], 5)
    assert trace["v"].tolist() == [2.0, 3.0, 3.0, 3.0, 2.0] and trace["z"].tolist() == [1, 0, 0, 1, 0]


@pytest.mark.parametrize("n_ref", [0, 1, 5])
@pytest.mark.parametrize("reset", ["threshold", "adaptive", "zero"])
def test_refractory_period_separates_spikes(reset: str, n_ref: int) -> None:
    spikes = np.flatnonzero(
        run(single(reset, weight=50.0, n_ref=n_ref, kind="alif", beta=0.01), list(range(40)), 40)["z"]
    )
    assert set(np.diff(spikes).tolist()) == {n_ref + 1}


def test_adaptation_follows_the_spike_of_the_step_before() -> None:
    trace = run(single(weight=1.5, kind="alif", tau_a_ms=10.0, beta=2.0), [1], 5)
    rho = float(decay(10.0, 1.0))
    assert trace["z"].tolist() == [0, 1, 0, 0, 0]
    assert trace["a"] == pytest.approx([0, 0, 1, rho, rho**2])


def test_adaptive_reset_subtracts_the_threshold_of_its_own_step() -> None:
    graph = single("adaptive", weight=5.0, kind="alif", tau_m_ms=np.inf, tau_a_ms=np.inf, beta=1.0)
    trace = run(graph, [0, 1], 4)
    # A = 1, 2, 3, 3; v = 5, 5 + 5 - 1, 9 - 2, 7 - 3
    assert trace["v"].tolist() == [5.0, 9.0, 7.0, 4.0] and trace["a"].tolist() == [0.0, 1.0, 2.0, 3.0]


@settings(max_examples=30, deadline=None)
@given(graphs(Limits(neurons=16), Capabilities()), st.integers(0, 2**32 - 1))
def test_alif_without_beta_is_lif(graph: Graph, seed: int) -> None:
    lame = [replace(p, beta=np.zeros(p.size)) if isinstance(p, ALIF) else p for p in graph.populations]
    lif = [_as_lif(p) if isinstance(p, ALIF) else p for p in graph.populations]
    stimulus = draw_stimulus(graph, 1, 40, seed)
    inputs = {p.name: stimulus.dense_input(graph, p.name) for p in graph.inputs}
    one = reference.simulate(replace(graph, populations=tuple(lame)), inputs)
    two = reference.simulate(replace(graph, populations=tuple(lif)), inputs)
    for p in graph.neurons:
        assert np.array_equal(one[p.name]["z"], two[p.name]["z"]) and np.array_equal(one[p.name]["v"], two[p.name]["v"])


def _as_lif(p: ALIF) -> LIF:
    fields = ("name", "size", "alpha", "v_th", "bias", "n_ref", "reset", "grid")
    return LIF(**{f: getattr(p, f) for f in fields})


@settings(max_examples=30, deadline=None)
@given(graphs(Limits(neurons=16), Capabilities()), st.integers(0, 2**32 - 1))
def test_renumbering_neurons_renumbers_the_output(graph: Graph, seed: int) -> None:
    rng = np.random.default_rng(seed)
    orders = {p.name: rng.permutation(p.size) for p in graph.receivers}
    places = {name: np.argsort(order) for name, order in orders.items()}
    populations = [
        replace(p, **{f: getattr(p, f)[orders[p.name]] for f in p.parameters}) if p.name in orders else p
        for p in graph.populations
    ]
    projections = [_renumber(c, places) for c in graph.projections]
    other = replace(graph, populations=tuple(populations), projections=tuple(projections))
    stimulus = draw_stimulus(graph, 2, 40, seed)
    inputs = {p.name: stimulus.dense_input(graph, p.name) for p in graph.inputs}
    one, two = reference.simulate(graph, inputs), reference.simulate(other, inputs)
    for name, order in orders.items():
        for state, values in one[name].items():
            assert np.array_equal(values[:, :, order], two[name][state]), (name, state)


def _renumber(c: Projection, places: dict[str, np.ndarray]) -> Projection:
    pre = places[c.source][c.pre] if c.source in places else c.pre
    return replace(c, pre=pre, post=places[c.target][c.post])


@settings(max_examples=30, deadline=None)
@given(graphs(Limits(neurons=16), Capabilities()))
def test_silence_in_gives_silence_out(graph: Graph) -> None:
    still = replace(
        graph, populations=tuple(replace(p, bias=0 * p.bias) if p in graph.receivers else p for p in graph.populations)
    )
    result = reference.simulate(still, {p.name: np.zeros((1, 30, p.size)) for p in graph.inputs})
    assert all(not values.any() for p in still.receivers for values in result[p.name].values())


def test_graph_without_inputs_runs_on_its_bias() -> None:
    b = Builder()
    b.lif("n", 1, bias=0.2, tau_m_ms=np.inf)
    result = reference.simulate(b.build(), {}, shape=(2, 12))
    assert result["n"]["z"].sum(axis=1).ravel().tolist() == [2, 2]


def test_missing_or_misshapen_input_is_named() -> None:
    with pytest.raises(DataError, match="input 'in': no signal"):
        reference.simulate(single(), {"inn": np.zeros((1, 5, 1))})
    with pytest.raises(DataError, match=r"input 'in': wrong shape \(got \(1, 5, 3\)"):
        reference.simulate(single(), {"in": np.zeros((1, 5, 3))})


def test_golden_model_is_short_enough_to_read_in_one_sitting() -> None:
    assert len(Path(reference.__file__).read_text(encoding="utf-8").splitlines()) <= 180
