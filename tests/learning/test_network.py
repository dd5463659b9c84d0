"""Networks that are drawn: sizes, densities, scales, delays, and what is refused."""

from __future__ import annotations

import re

import numpy as np
import pytest

import neuro
from neuro import tasks
from neuro.graph import ALIF, LIF, decay
from neuro.learning import NetworkConfig, draw_network
from neuro.tasks import parameters

TASK = tasks.make("evidence_accumulation")


def test_a_network_has_what_its_config_says() -> None:
    config = NetworkConfig(
        n_lif=60, n_alif=40, connectivity=0.3, out_connectivity=0.5, tau_m_ms=(10.0, 30.0), tau_a_ms=2000.0, beta=0.02, v_th=0.6,
        n_ref=5, delay_min=2, delay_max=4, in_delay_max=3, out_delay=2, reset="adaptive", gain_in=2.0, gain_rec=0.5, value=True,
    )  # fmt: skip
    graph = draw_network(config, TASK, seed=4, name="net")
    assert graph.exact
    assert {p.name: p.size for p in graph.populations} == {"in": 40, "lif": 60, "alif": 40, "out": 2, "value": 1}
    lif, alif = graph.population("lif"), graph.population("alif")
    assert isinstance(lif, LIF)
    assert isinstance(alif, ALIF)
    np.testing.assert_array_equal(lif.alpha, decay(np.linspace(10.0, 30.0, 60), 1.0))
    assert set(alif.rho) == {float(decay(2000.0, 1.0))}
    assert (set(alif.beta), set(alif.v_th), set(lif.n_ref), lif.reset) == ({0.02}, {0.6}, {5}, "adaptive")
    by = {c.name: c for c in graph.projections}
    for name, low, high in (("in->lif", 0, 3), ("lif->alif", 2, 4), ("lif->out", 2, 2), ("alif->value", 2, 2)):
        assert (by[name].delay.min(), by[name].delay.max()) == (low, high)
    for name, n, share in (("in->lif", 2400, 0.3), ("lif->lif", 3540, 0.3), ("lif->out", 120, 0.5)):
        assert abs(by[name].size - share * n) < 5 * np.sqrt(n * share * (1 - share))
    assert not (by["lif->lif"].pre == by["lif->lif"].post).any()
    for name, scale in (("in->lif", 2.0 * 0.6 / np.sqrt(0.3 * 40)), ("lif->lif", 0.5 * 0.6 / np.sqrt(0.3 * 100))):
        weight = by[name].weight
        assert abs(weight.std() / scale - 1) < 5 / np.sqrt(2 * weight.size)


def test_the_seed_draws_it() -> None:
    one, again, other = (draw_network(NetworkConfig(), TASK, seed) for seed in (0, 0, 1))
    assert one == again
    assert one.sha256 != other.sha256


def test_a_task_of_currents_gets_a_current_input() -> None:
    class Currents:
        input_kind, n_in, n_out, dt_ms, u_max, u_step = "current", 3, 2, 1.0, 2.0, 0.25

    graph = draw_network(NetworkConfig(n_lif=2, n_alif=0), Currents())  # type: ignore[arg-type]
    (source,) = graph.inputs
    assert isinstance(source, neuro.CurrentInput)
    assert (source.u_max, source.u_step) == (2.0, 0.25)
    assert [p.name for p in graph.neurons] == ["lif"]


def test_fields_that_make_no_sense_together_are_refused() -> None:
    _, problems = parameters.build(
        NetworkConfig, {"n_lif": 0, "n_alif": 0, "delay_min": 3, "tau_m_ms": [20, 10], "in_delay_min": 2}
    )
    assert [str(p) for p in problems] == [
        "n_lif: no neurons (got n_lif 0, n_alif 0; need at least one).",
        "delay_max: below delay_min (got 1; need >= 3).",
        "in_delay_max: below in_delay_min (got 0; need >= 2).",
        "tau_m_ms: no range (got [20.0, 10.0]; need a number or [low, high]).",
    ]
    _, problems = parameters.build(NetworkConfig, {"reset": "zeros", "connectivity": 0})
    assert re.search("reset: unknown value .*Did you mean 'zero'", str(problems[0]))
    with pytest.raises(TypeError):
        NetworkConfig(20)  # type: ignore[misc]
