"""The golden model of learning: when weights change, by how much, and what stays the same."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest

import neuro
from neuro.backend import Stimulus, Teacher
from neuro.errors import DataError
from neuro.graph import Graph
from neuro.graph import reference as network
from neuro.learning import EProp, Learner, attach, make_room, prepare, reference, sgd, with_weights
from neuro.learning.reference import learn
from tests.learning.nets import STEPS, net, plastic, stimulus, teacher

UPDATES = ("batch", "episode", "step")


def weights(graph: Graph) -> dict[str, np.ndarray]:
    return {c.name: c.weight for c in graph.projections} | {f"bias/{p.name}": p.bias for p in graph.receivers}


def same(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> bool:
    return a.keys() == b.keys() and all(np.array_equal(a[k], b[k]) for k in a)


@pytest.mark.parametrize("update", UPDATES)
@pytest.mark.parametrize("grid", [True, False])
def test_a_zero_learning_signal_changes_nothing(update: str, grid: bool) -> None:
    rule = EProp(update=update, lr=10.0, learn_bias=True)
    graph = plastic(net(grid=grid), rule) if grid else attach(net(grid=False), rule)
    told = teacher("softmax")
    found = learn(graph, stimulus(graph), replace(told, mask=np.zeros_like(told.mask)))
    assert found.n_spikes["alif"].sum() > 20
    assert found.graph.sha256 == graph.sha256
    assert sum(found.n_updates.values()) == 0
    assert all((g == 0).all() for g in (*found.gradient.values(), *found.bias_gradient.values()))
    if update != "batch":
        assert learn(graph, stimulus(graph), told).graph.sha256 != graph.sha256


@pytest.mark.parametrize("feedback", ["symmetric", "random"])
def test_a_batch_is_the_sum_of_its_samples(feedback: str) -> None:
    graph = plastic(net(1, delays=False), feedback=feedback, rate_reg=3.0, learn_bias=True)
    u, told = stimulus(graph, batch=3), teacher("regression", batch=3)
    whole = learn(graph, u, told)
    assert whole.graph.sha256 == graph.sha256
    parts = [learn(graph, u.select(k, k + 1), _sample(told, k)) for k in range(3)]
    for name, g in whole.gradient.items():
        total = parts[0].gradient[name] + parts[1].gradient[name] + parts[2].gradient[name]
        # a product of matrices may sum in another order for another batch
        assert np.array_equal(g, total) if feedback == "symmetric" else np.allclose(g, total, rtol=1e-12)
    assert sum(np.abs(g).max() > 1e-3 for g in whole.gradient.values()) >= 8
    assert np.array_equal(whole.y["y"], np.concatenate([p.y["y"] for p in parts]))


def _sample(told: Teacher, k: int) -> Teacher:
    names = ("target", "mask", "reward", "choose", "chance")
    return replace(told, **{n: getattr(told, n)[k : k + 1] for n in names})


def test_the_network_without_updates_is_the_golden_model() -> None:
    graph = plastic(net(2))
    u = stimulus(graph)
    found = learn(graph, u, teacher("softmax"))
    golden = network.simulate(graph, {"in": u.dense_input(graph, "in")})
    assert np.array_equal(found.y["y"], golden["y"]["y"])
    for name in ("lif", "alif"):
        assert np.array_equal(found.n_spikes[name], golden[name]["z"].sum(1))


def test_an_episode_is_a_step_down_its_batch_gradient() -> None:
    rule = EProp(lr=1e-4, rate_reg=2.0, learn_bias=True)
    batch = plastic(net(3), rule)
    episode = plastic(net(3), replace(rule, update="episode"))
    u, told = stimulus(batch), teacher("softmax")
    by_hand = batch
    for k in range(2):
        found = learn(by_hand, u.select(k, k + 1), _sample(told, k))
        change = sgd({**found.gradient, **{f"bias/{p}": g for p, g in found.bias_gradient.items()}}, rule.lr)
        plan = prepare(by_hand)
        new = {
            s.key: np.clip(np.rint((plan.weight[s.key] + change[s.key]) / s.grid) * s.grid, s.low, s.high)
            for s in plan.sites
        }
        by_hand = with_weights(
            by_hand,
            {k: w for k, w in new.items() if "/" not in k},
            {k.split("/")[1]: w for k, w in new.items() if "/" in k},
        )
    expected = weights(by_hand)
    assert same(weights(learn(episode, u, told).graph), expected)
    assert not same(expected, weights(batch))


@pytest.mark.parametrize("update", UPDATES)
def test_two_halves_are_the_whole(update: str) -> None:
    graph = plastic(net(4), EProp(update=update, lr=1e-4, rate_reg=1.0, learn_bias=True))
    u, told = stimulus(graph, batch=1), teacher("regression", batch=1)
    plan = prepare(graph)
    dense = u.dense_input(graph, "in")

    def run(now: reference.Moment, first: int, last: int) -> reference.Moment:
        for t in range(first, last):
            now = reference.step(plan, now, {"in": dense[:, t]}, told)
        return now

    start = reference.start(plan, 1, plan.weight, plan.feedback)
    whole = reference.finish(plan, run(start, 0, STEPS))
    kept = run(start, 0, STEPS // 2)
    stored = copy.deepcopy(kept)
    run(kept, STEPS // 2, STEPS)  # what is kept is not changed by going on from it
    halves = reference.finish(plan, run(stored, STEPS // 2, STEPS))
    assert same(whole.weight, halves.weight) and same(whole.gradient, halves.gradient)
    assert same(
        whole.weight,
        weights(learn(graph, u, told).graph) | {k: w for k, w in whole.weight.items() if update == "batch"},
    )
    assert same(whole.weight, plan.weight) == (update == "batch")


def test_two_calls_are_one_call() -> None:
    graph = plastic(net(5, delays=False), EProp(update="step", lr=1e-4, feedback="adaptive", feedback_decay=1e-3))
    u, told = stimulus(graph), teacher("softmax")
    program = Learner(graph)
    program.learn(u.select(0, 1), _sample(told, 0))
    program = Learner(program.graph, program.feedback)
    program.learn(u.select(1, 2), _sample(told, 1))
    once = Learner(graph)
    found = once.learn(u, told)
    assert program.graph.sha256 == found.graph.sha256 == once.graph.sha256 != graph.sha256
    assert same(program.feedback, once.feedback)
    assert not same(program.feedback, prepare(graph).feedback)
    with pytest.raises(DataError, match=r"learn: feedback does not fit the graph \(got \{'lif/y': \(4, 3\)\}; need"):
        Learner(graph, {"lif/y": np.zeros((4, 3))})


def _line(delay: int, update: str) -> Graph:
    b = neuro.Builder()
    b.spike_input("in", 1)
    b.li("y", 1, tau_out_ms=5.0)
    b.connect("in", "y", weight=0.5, delay=delay)
    return make_room(attach(b.build(), EProp(update=update, lr=0.1)), w_max=4.0)[0]


@pytest.mark.parametrize("delay", [0, 3])
def test_online_learning_of_one_synapse_by_hand(delay: int) -> None:
    """The delta rule: a spike in flight is weighed at its arrival, with the weight as it is then."""
    graph = _line(delay, "step")
    rng = np.random.default_rng(0)
    s, target = (rng.random(30) < 0.4).astype(float), rng.normal(0, 1, 30)
    told = Teacher(loss="regression", target=target.reshape(1, 30, 1), mask=np.ones((1, 30)))
    found = learn(graph, Stimulus.dense({"in": s.reshape(1, 30, 1).astype(np.uint8)}), told, trajectory_every=1)
    y = graph.population("y")
    kappa, grid, w, v, trace, path = y.kappa[0], y.grid, 0.5, 0.0, 0.0, []
    for t in range(30):
        x = s[t - delay] if t >= delay else 0.0
        v = kappa * v + w * x
        trace = kappa * trace + x
        w = round((w - 0.1 * ((v - target[t]) * trace)) / grid) * grid
        path.append(w)
    assert np.array_equal(found.trajectory["in->y"][0, :, 0], path)
    assert found.n_updates["in->y"] == len({0.5, *path}) - 1 > 10
    assert found.y["y"][0, -1, 0] == v


@pytest.mark.parametrize("update", ["episode", "step"])
def test_learned_weights_are_on_their_grid_and_within_bounds(update: str) -> None:
    graph = make_room(attach(net(6), EProp(update=update, lr=0.05, w_max=2.0, learn_bias=True)))[0]
    found = learn(graph, stimulus(graph, batch=3), teacher("regression", batch=3))
    assert found.graph.exact  # its rules were checked on construction
    largest = [float(np.abs(w).max()) for w in weights(found.graph).values()]
    assert max(largest) == 2.0  # the bound was met
    assert [p.grid for p in found.graph.receivers] == [p.grid for p in graph.receivers]


def test_trajectory_holds_the_weights_after_every_few_steps() -> None:
    graph = plastic(net(7), update="step", lr=1e-4)
    found = learn(graph, stimulus(graph), teacher("softmax"), trajectory_every=25)
    for c in found.graph.projections:
        path = found.trajectory[c.name]
        assert path.shape == (2, STEPS // 25, c.size)
    assert not np.array_equal(found.trajectory["lif->y"][0, 0], found.trajectory["lif->y"][1, 1])
    last = learn(graph, stimulus(graph), teacher("softmax"), trajectory_every=STEPS)
    assert same({k: p[1, 0] for k, p in last.trajectory.items()}, {c.name: c.weight for c in last.graph.projections})


def test_adaptive_feedback_follows_the_readout() -> None:
    rule = EProp(update="episode", lr=1e-3, feedback="adaptive", feedback_decay=0.25)
    graph = plastic(net(8, delays=False), rule)
    before, program = prepare(graph), Learner(graph)
    found = program.learn(stimulus(graph, batch=1), teacher("softmax", batch=1))
    for c in (c for c in found.graph.projections if c.target == "y"):
        moved = np.zeros((3, 4))
        np.add.at(moved, (c.post, c.pre), c.weight - before.weight[c.name])
        assert np.abs(moved).max() > 1e-3
        assert np.array_equal(program.feedback[f"{c.source}/y"], (before.feedback[f"{c.source}/y"] + moved) * 0.75)


def test_rules_of_different_updates_share_a_graph() -> None:
    graph = attach(net(9), EProp(), ["in->lif"])
    graph = attach(graph, EProp(update="episode", lr=1e-3), ["lif->y"])
    nobody = graph.projections_to("y")[0]
    silent = replace(nobody, name="nobody", pre=[], post=[], weight=[], delay=[])
    graph = make_room(replace(graph, projections=(*graph.projections, silent)))[0]
    found = learn(graph, stimulus(graph, batch=3), teacher("softmax", batch=3))
    changed = [c.name for c, old in zip(found.graph.projections, graph.projections, strict=True) if c != old]
    assert changed == ["lif->y"] and found.n_updates["lif->y"] > 10
    assert list(found.gradient) == ["in->lif"] and np.abs(found.gradient["in->lif"]).max() > 1e-3
