"""A learning rule on a projection: held, saved, hashed and checked as data."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import neuro
from neuro.errors import GraphError
from neuro.graph import Graph, Plasticity, load, reference, save, to_grid

RULE = Plasticity(rule="eprop", signal="y", parameters={"lr": 0.1, "n": 3, "filter": True, "feedback": "random"})


def net(plasticity: Plasticity | None = None) -> Graph:
    b = neuro.Builder(seed=1)
    b.spike_input("in", 4)
    b.lif("z", 3, tau_m_ms=20.0)
    b.li("y", 2, tau_out_ms=20.0)
    b.connect("in", "z", weight=lambda rng, n: rng.normal(0.5, 0.5, n))
    b.connect("z", "y", weight=lambda rng, n: rng.normal(0, 1, n))
    g = b.build()
    return replace(g, projections=tuple(replace(c, plasticity=plasticity) for c in g.projections))


def test_a_file_gives_back_the_rule(tmp_path: Path) -> None:
    save(net(RULE), tmp_path / "g.h5")
    found = load(tmp_path / "g.h5")
    assert found == net(RULE)
    assert found.projections[0].plasticity == RULE
    assert found.projections[0].plasticity.parameters["lr"] == 0.1
    save(net(), tmp_path / "plain.h5")
    assert load(tmp_path / "plain.h5").projections[0].plasticity is None


def test_the_hash_tells_rules_apart_and_a_run_does_not() -> None:
    other = replace(RULE, parameters={**RULE.parameters, "lr": 0.2})
    assert len({net().sha256, net(RULE).sha256, net(other).sha256}) == 3
    s = (np.random.default_rng(0).random((2, 50, 4)) < 0.3).astype(float)
    plain, plastic = (reference.simulate(g, {"in": s}) for g in (net(), net(RULE)))
    assert plain["z"]["z"].sum() > 0
    assert np.array_equal(plain["z"]["v"], plastic["z"]["v"])


def test_the_summary_names_the_rule() -> None:
    assert "'in->z' learns by eprop" in net(RULE).summary()
    assert "learns by" not in net().summary()


def test_a_signal_has_to_exist() -> None:
    with pytest.raises(
        GraphError, match=r"projection 'in->z': unknown learning signal \(got 'out'; need one of z, y\)"
    ):
        net(replace(RULE, signal="out"))
    with pytest.raises(GraphError, match=r"learning rule without a name \(got ''"):
        net(replace(RULE, rule=""))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), None, [1.0], np.zeros(2)])
def test_what_a_file_cannot_hold_is_refused(value: object) -> None:
    with pytest.raises(GraphError, match=r"plasticity 'eprop': parameter 'lr' cannot be stored"):
        Plasticity(rule="eprop", parameters={"lr": value})  # type: ignore[dict-item]


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"rule": "a", "signal": null, "parameters": 3}'])
def test_a_damaged_text_is_refused(text: str) -> None:
    with pytest.raises(GraphError, match="plasticity: text not understood"):
        Plasticity.from_json(text)


def test_room_makes_a_coarser_grid_that_larger_weights_fit_on() -> None:
    g = net()
    wide, _ = to_grid(g, {"z": 1000.0})
    old, new = (next(p for p in x.receivers if p.name == "z").grid for x in (g, wide))
    assert old is not None and new is not None and new > old
    assert new * 2.0**53 >= 1000.0 > old * 2.0**53
    assert next(p for p in wide.receivers if p.name == "y").grid == next(p for p in g.receivers if p.name == "y").grid
    with pytest.raises(GraphError, match=r"to_grid: no grid to make room on \(got 'in'"):
        to_grid(g, {"in": 1.0})
