"""Hold e-prop in Lava's Processes against the golden model of learning: a small net of LIF and ALIF, recurrent, with delays."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import neuro
from neuro.backend import Stimulus, Teacher
from neuro.errors import DataError, GraphError, UnsupportedError
from neuro.graph import Builder, Graph, reference, save
from neuro.learning import EProp, RewardSTDP, Rule, attach, make_room
from neuro.learning.reference import Learner
from neuro_lava.learning import eprop, program
from tests.learning.sides import Sides, small_net

from .conftest import runner

STEPS, SAMPLES = 60, 3
CLOSE = 1e-12
"""Gradients differ in the order of sums over readout units alone; weights are rounded to a grid of 2**-45 or so."""


def net(reset: str = "threshold", out_delay: tuple[int, int] | int = (1, 3), current: bool = False) -> Graph:
    """Return inputs onto LIF and ALIF neurons, recurrent, and a readout of two kappas; parallel synapses and all delays."""
    rng = np.random.default_rng(4)
    b = Builder(seed=4)
    b.current_input("in", 4, u_max=2.0) if current else b.spike_input("in", 4)
    b.lif("lif", 4, tau_m_ms=rng.uniform(10, 30, 4), v_th=0.6, n_ref=2, reset=reset)
    b.alif("alif", 4, tau_a_ms=rng.uniform(30, 90, 4), v_th=0.6, beta=rng.uniform(0.05, 0.3, 4), n_ref=2, reset=reset)
    b.li("y", 3, tau_out_ms=(8.0, 8.0, 20.0))
    for p in ("lif", "alif"):
        b.connect("in", p, weight=lambda rng, n: rng.normal(0.5, 0.4, n), p=0.8, delay=(0, 3))
        for q in ("lif", "alif"):
            b.connect(p, q, weight=lambda rng, n: rng.normal(0.15, 0.4, n), p=0.6, delay=(1, 4))
        b.connect(p, "y", weight=lambda rng, n: rng.normal(0.0, 0.5, n), p=0.8, delay=out_delay)
    b.connect("in", "lif", weight=[0.2, 0.3], pre=[0, 0], post=[1, 1], delay=[0, 2], name="more")
    return b.build()


def plastic(graph: Graph, **rule: Any) -> Graph:
    return make_room(attach(graph, EProp(**rule), signal="y"))[0]


def stimulus(current: bool = False) -> Stimulus:
    rng = np.random.default_rng(5)
    if current:
        return Stimulus.dense({"in": np.rint(rng.normal(0.3, 0.5, (SAMPLES, STEPS, 4)).clip(-2, 2) * 256) / 256})
    return Stimulus.dense({"in": rng.random((SAMPLES, STEPS, 4)) < 0.2})


def teacher(loss: str) -> Teacher:
    rng = np.random.default_rng(6)
    target = rng.normal(0, 1, (SAMPLES, STEPS, 3))
    if loss == "softmax":
        target = np.eye(3)[rng.integers(0, 3, (SAMPLES, STEPS))]
    return Teacher(loss=loss, target=target, mask=np.tile(np.repeat([0.0, 1.0, 2.0], STEPS // 3), (SAMPLES, 1)))


CASES: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "episode, symmetric": ({}, {"update": "episode", "lr": 1e-4}, "regression"),
    "step, symmetric, rate": ({}, {"update": "step", "rate_reg": 0.5}, "softmax"),
    "step, random, zero": ({"reset": "zero", "out_delay": 2}, {"update": "step", "feedback": "random"}, "regression"),
    "batch, rate, currents": ({"reset": "adaptive", "current": True}, {"rate_reg": 0.5}, "softmax"),
    "episode, unfiltered": ({}, {"update": "episode", "filter": False, "w_max": 2.5}, "softmax"),
}


@pytest.mark.parametrize("case", CASES)
def test_weights_gradients_and_outputs_equal_the_golden_model(case: str, lava_python: Path, tmp_path: Path) -> None:
    shape, rule, loss = CASES[case]
    graph = plastic(net(**shape), **{"lr": 5e-3, **rule})
    told, lesson = stimulus(shape.get("current", False)), teacher(loss)
    save(graph, tmp_path / "graph.h5")
    told.save(tmp_path / "stimulus.h5")
    np.savez(tmp_path / "told.npz", loss=loss, target=lesson.target, mask=lesson.mask)
    done = runner(lava_python, tmp_path, "learn_in_lava.py")("eprop")
    assert done["code"] == 0, done["err"]
    got = np.load(tmp_path / "learned.npz")
    golden = Learner(graph)
    for call in range(2):
        want = golden.learn(told, lesson, trajectory_every=20)
        assert all(n.sum() > 20 for n in want.n_spikes.values())
        same = {"n_spikes": want.n_spikes, "n_updates": want.n_updates}
        close = {"gradient": want.gradient, "y": want.y, "trajectory": want.trajectory}
        close["weight"] = {c.name: c.weight for c in want.graph.projections}
        if rule.get("update", "batch") == "batch":
            assert min(np.abs(g).max() for g in want.gradient.values()) > 1e-3
        else:
            assert min(want.n_updates.values()) > 0
            moved = {
                c.name: np.abs(c.weight - graph.projections[k].weight).max()
                for k, c in enumerate(want.graph.projections)
            }
            assert min(moved.values()) > 1e-4
        for part, values in {**same, **close}.items():
            assert {key.split("/", 2)[2] for key in got.files if key.startswith(f"{call}/{part}/")} == set(values), part
            for name, value in values.items():
                found = got[f"{call}/{part}/{name}"]
                if part in same:
                    assert np.array_equal(found, value), (call, part, name)
                else:
                    np.testing.assert_allclose(found, value, rtol=CLOSE, atol=CLOSE, err_msg=f"{call} {part} {name}")
    after = reference.simulate(golden.graph, {"in": told.dense_input(graph, "in")})
    np.testing.assert_allclose(got["run/y"], after["y"]["y"], rtol=CLOSE, atol=CLOSE)


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({"feedback": "adaptive"}, "projection 'in->lif': feedback 'adaptive' (can: random, symmetric)"),
        ({"learn_bias": True}, "projection 'lif->y': learn_bias (can: weights)"),
        ({"bits": 8}, "projection 'in->lif': weights of 8 bits (can: bits 0)"),
    ],
)
def test_what_the_processes_cannot_hold_is_refused_by_name(rule: dict[str, Any], message: str) -> None:
    with pytest.raises(UnsupportedError, match=re.escape(message)):
        eprop.read(plastic(net(), **rule))


def test_other_rules_and_two_rules_for_one_population_are_refused() -> None:
    graph = plastic(net())
    rewarded: Rule = RewardSTDP()
    with pytest.raises(UnsupportedError, match=r"rule 'reward_stdp' \(replay.learn runs reward_stdp on given spikes\)"):
        eprop.read(attach(graph, rewarded, projections=["in->lif"]))
    with pytest.raises(UnsupportedError, match="another rule than 'in->lif' into 'lif'"):
        eprop.read(attach(graph, EProp(lr=0.5), projections=["more"], signal="y"))
    with pytest.raises(GraphError, match="nothing learns"):
        eprop.read(net())


def test_a_graph_of_integers_is_refused() -> None:
    b = Builder()
    b.spike_input("in", 2)
    b.int_lif("n", 2, d_v=1, v_th=1)
    b.connect("in", "n", weight=1)
    with pytest.raises(UnsupportedError, match="graph: learning with integer semantics"):
        eprop.read(b.build())


def test_errors_must_have_a_way_and_weights_be_within_bounds() -> None:
    with pytest.raises(GraphError, match=r"random feedback from 'y' needs one delay \(got 1..3 steps"):
        eprop.read(plastic(net(), feedback="random"))
    graph = plastic(net(out_delay=1))
    cut = dataclasses.replace(graph, projections=tuple(c for c in graph.projections if c.name != "lif->y"))
    with pytest.raises(GraphError, match="population 'lif': no error reaches it"):
        eprop.read(cut)
    with pytest.raises(GraphError, match=r"population 'lif': weight out of bounds \(got -?\d"):
        eprop.read(attach(graph, EProp(w_max=0.01), signal="y"))


def test_a_teacher_that_does_not_fit_is_refused_with_every_reason() -> None:
    graph = plastic(net())
    lesson = Teacher(loss="none", target=np.zeros((2, STEPS, 5)), mask=np.ones((2, STEPS)))
    with pytest.raises(DataError) as refused:
        program.check(eprop.read(graph), graph, stimulus(), lesson, -1)
    for word in ("batch 2", "got 'none'", "got 5; need 3", "trajectory_every out of range"):
        assert word in str(refused.value)


@pytest.mark.parametrize("update", ["step", "batch"])
def test_neuro_learn_comes_to_the_same_graph_on_lava(update: str) -> None:
    settings: dict[str, Any] = {"iterations": 4, "batch": 2, "validate_every": 2, "validate_samples": 8, "seed": 5}
    graph, rule = small_net(), EProp(lr=0.02, update=update, rate_reg=0.1)
    got, want = (neuro.learn(graph, Sides(), rule, backend, **settings) for backend in ("lava", "reference"))
    for a, b, before in zip(got.graph.projections, want.graph.projections, graph.projections, strict=True):
        assert np.abs(b.weight - before.weight).max() > 1e-4, b.name
        np.testing.assert_allclose(a.weight, b.weight, rtol=CLOSE, atol=CLOSE, err_msg=b.name)
