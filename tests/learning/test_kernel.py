"""The engine's learning against the golden model of learning, and what threads, pieces and instruction sets must not change."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from neuro.backend import LearningProgram, run
from neuro.engine import EngineBackend
from neuro.engine import kernel as engine_kernel
from neuro.errors import DataError, GraphError
from neuro.graph import LI, Graph
from neuro.learning import RULES, STDP, UPDATES, EProp, Learner, RewardSTDP, attach, make_room
from neuro.learning import engine as engine_learning
from neuro.learning.engine import EngineLearner, LearningEngine
from neuro.recording import load
from tests.learning.nets import net, plastic, stimulus, teacher
from tests.learning.random_nets import Case, cases

TOLERANCE = 1e-12
"""Of the largest number of an array: sums of some thousand doubles in another order, decays lazily applied."""
ROUNDING = 1e-15
"""A number may be off by so much of a weight's size: it is added to weights of about 1."""


def both(case: Case, **options: Any) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Learn a case on the engine and by the golden model, two calls one after the other; return all that came of it."""
    found = []
    for learner in (EngineLearner(case.graph, n_threads=2), Learner(case.graph)):
        runs = [learner.learn(case.stimulus, case.teacher, **options) for _ in range(2)]
        arrays: dict[str, np.ndarray] = {f"B of {k}": b for k, b in learner.feedback.items()}
        for k, learned in enumerate(runs):
            parts: dict[str, Any] = {
                "gradient": learned.gradient,
                "bias gradient": learned.bias_gradient,
                "weight": {c.name: c.weight for c in learned.graph.projections},
                "bias": {p.name: p.bias for p in learned.graph.receivers},
                "y": learned.y,
                "n_spikes": learned.n_spikes,
                "trajectory": learned.trajectory,
                "told": {"action": learned.action, "reward": learned.reward},
            }
            arrays |= {f"{part} of {name}, call {k}": x for part, named in parts.items() for name, x in named.items()}
        found.append(arrays)
    return found[0], found[1]


def check(ours: dict[str, np.ndarray], theirs: dict[str, np.ndarray]) -> None:
    """Hold all arrays to one another; spikes and actions are equal, all else is close."""
    assert ours.keys() == theirs.keys()
    for name, x in ours.items():
        y = theirs[name]
        assert x.shape == y.shape, name
        if "n_spikes" in name or "action" in name:
            assert np.array_equal(x, y), name
        else:
            difference = np.abs(x - y).max(initial=0.0)
            assert difference <= TOLERANCE * np.abs(y).max(initial=0.0) + ROUNDING, (name, difference)


@pytest.mark.parametrize("reward", [False, True])
def test_random_nets_learn_as_the_golden_model_does(reward: bool) -> None:
    moved: list[bool] = []

    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
    @given(cases(reward))
    def each(case: Case) -> None:
        ours, theirs = both(case)
        check(ours, theirs)
        before = {f"weight of {c.name}, call 1": c.weight for c in case.graph.projections}
        gradients = [x for name, x in theirs.items() if "gradient" in name]
        gradients += [theirs[name] - w for name, w in before.items() if theirs[name].shape == w.shape]
        moved.append(max(np.abs(x).max(initial=0.0) for x in gradients) > 1e-6)

    each()
    assert np.mean(moved) > 0.6, np.mean(moved)  # some are one step long, or judge nothing


@pytest.mark.parametrize("reset", ["threshold", "adaptive", "zero"])
@pytest.mark.parametrize("current", [False, True])
def test_gradients_are_those_of_the_golden_model(reset: str, current: bool) -> None:
    graph = plastic(net(1, reset=reset, current=current), rate_reg=50.0, learn_bias=True)
    ours, theirs = both(Case(graph, stimulus(graph), teacher("softmax")))
    spikes = [x for name, x in theirs.items() if "n_spikes" in name]
    gradients = [x for name, x in theirs.items() if "gradient" in name]
    assert sum(x.sum() for x in spikes) > 40 and all(np.abs(x).max() > 1e-4 for x in gradients)
    check(ours, theirs)


@pytest.mark.parametrize("update", ["episode", "step"])
@pytest.mark.parametrize("feedback", ["symmetric", "random", "adaptive"])
def test_weights_change_as_those_of_the_golden_model(update: str, feedback: str) -> None:
    rule = EProp(update=update, feedback=feedback, feedback_decay=0.01, rate_reg=50.0, learn_bias=True, lr=1e-2)
    graph = plastic(net(2, delays=feedback == "symmetric"), rule)
    case = Case(graph, stimulus(graph, 3), teacher("regression", 3))
    ours, theirs = both(case, trajectory_every=20)
    moved = {c.name: np.abs(theirs[f"weight of {c.name}, call 1"] - c.weight).max() for c in graph.projections}
    assert min(moved.values()) > 1e-5, moved
    check(ours, theirs)
    counted = [
        program.learn(case.stimulus, case.teacher).n_updates for program in (EngineLearner(graph), Learner(graph))
    ]
    assert counted[0] == counted[1] and min(counted[0].values()) > 0


SPIKE_RULES = {
    "additive": STDP(w_min=-2.0, w_max=2.0),
    "weight dependent": STDP(w_min=-2.0, w_max=2.0, mu_plus=0.4, mu_minus=1.0, a_plus=0.1),
    "soft": STDP(w_min=-2.0, w_max=2.0, bounds="soft", tau_plus_ms=5.0),
    "reward": RewardSTDP(w_min=-2.0, w_max=2.0, tau_reward=2.0, tau_e_ms=30.0),
    "reward, short eligibility": RewardSTDP(w_min=-2.0, w_max=2.0, tau_e_ms=0.1),
    "supervised": RewardSTDP(w_min=-2.0, w_max=2.0, factor="supervised", lr=0.1),
}


@pytest.mark.parametrize("name", SPIKE_RULES)
@pytest.mark.parametrize("reset", ["threshold", "zero"])
def test_stdp_is_that_of_the_golden_model(name: str, reset: str) -> None:
    rule = SPIKE_RULES[name]
    graph = make_room(attach(net(13, reset=reset, n_ref=1), rule, signal="y" if rule.needs_signal else None))[0]
    told = replace(teacher("softmax", 3), reward=np.random.default_rng(0).normal(0, 1, (3, 60)))
    case = Case(graph, stimulus(graph, 3), told)
    ours, theirs = both(case, trajectory_every=7)
    moved = [np.abs(theirs[f"weight of {c.name}, call 1"] - c.weight).max() for c in graph.projections if c.plasticity]
    assert len(moved) == 7 and min(moved) > 1e-3
    check(ours, theirs)
    if not isinstance(rule, RewardSTDP):
        assert all(np.array_equal(x, theirs[key]) for key, x in ours.items())
    a, b = EngineLearner(graph), Learner(graph)
    assert a.learn(case.stimulus, told).n_updates == b.learn(case.stimulus, told).n_updates
    assert [c.plasticity for c in a.graph.projections] == [c.plasticity for c in b.graph.projections]


def test_stdp_beside_eprop() -> None:
    graph = attach(net(14), EProp(update="step", lr=1e-2), signal="y")
    graph = make_room(attach(graph, STDP(w_min=-2.0, w_max=2.0), ["lif->alif", "in->lif"]))[0]
    case = Case(graph, stimulus(graph, 2), teacher("regression"))
    ours, theirs = both(case, trajectory_every=10)
    moved = [np.abs(theirs[f"weight of {c.name}, call 1"] - c.weight).max() for c in graph.projections]
    assert min(moved) > 1e-4
    check(ours, theirs)


def test_the_network_is_the_golden_model_bit_for_bit() -> None:
    graph = plastic(net(3))
    found = EngineLearner(graph).learn(stimulus(graph), teacher("softmax"))
    expected = run(graph, stimulus(graph), "reference")
    assert sum(len(e) for e in expected.spikes.values()) > 100
    for p in graph.neurons:
        assert np.array_equal(found.n_spikes[p.name], expected.spikes[p.name].to_dense(2, 60, p.size).sum(1))
    assert np.array_equal(found.y["y"], Learner(graph).learn(stimulus(graph), teacher("softmax")).y["y"])


@pytest.fixture
def small_shares() -> Iterator[None]:
    """Let even the smallest net be shared among threads."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine_learning, "_LEAST_SHARE", 1)
        yield


def learned(graph: Graph, batch: int = 3, **options: Any) -> list[bytes]:
    """Return the bits of what was learned."""
    every = options.pop("every", 0)
    found = EngineLearner(graph, **options).learn(
        stimulus(graph, batch), teacher("softmax", batch), trajectory_every=every
    )
    arrays = [*found.gradient.values(), *found.bias_gradient.values(), *found.y.values()]
    return [x.tobytes() for x in (*arrays, *(c.weight for c in found.graph.projections))]


@pytest.mark.usefixtures("small_shares")
@pytest.mark.parametrize("name", SPIKE_RULES)
def test_threads_change_nothing_of_stdp(name: str) -> None:
    rule = SPIKE_RULES[name]
    graph = make_room(attach(net(13), rule, signal="y" if rule.needs_signal else None))[0]
    one, *others = (learned(graph, 2, n_threads=n) for n in (1, 2, 3))
    assert one[-1:] and others == [one, one]


@pytest.mark.usefixtures("small_shares")
@pytest.mark.parametrize("update", UPDATES)
@pytest.mark.parametrize("batch", [1, 3])
def test_threads_change_nothing(update: str, batch: int) -> None:
    graph = plastic(net(4), update=update, rate_reg=10.0, lr=1e-2)
    one, *others = (learned(graph, batch, n_threads=n) for n in (1, 2, 3, 5))
    assert len(one) > 8
    for other in others:
        assert other == one


def one_kappa(graph: Graph) -> Graph:
    """Return the graph with one kappa for all readout units."""
    same = [replace(p, kappa=p.kappa[0]) if isinstance(p, LI) else p for p in graph.populations]
    return replace(graph, populations=tuple(same))


@pytest.mark.parametrize("update", UPDATES)
def test_pieces_join_without_a_seam(update: str) -> None:
    graph = plastic(one_kappa(net(5)), update=update, rate_reg=10.0, lr=1e-2)
    whole = learned(graph)
    for every in (1, 7, 32):
        assert learned(graph, every=every) == whole


def test_with_several_kappas_pieces_add_up_in_another_order() -> None:
    graph = plastic(net(5))
    case = stimulus(graph), teacher("softmax")
    whole, pieces = (EngineLearner(graph).learn(*case, trajectory_every=every).gradient for every in (0, 7))
    assert all(np.abs(g).max() > 1e-3 for g in whole.values())
    for name, g in whole.items():
        assert np.abs(pieces[name] - g).max() <= TOLERANCE * np.abs(g).max(), name


@pytest.mark.parametrize("update", UPDATES)
def test_instruction_sets_give_the_same_bits(monkeypatch: pytest.MonkeyPatch, update: str) -> None:
    best = engine_kernel.instructions()
    graph = plastic(net(6), update=update, lr=1e-2)
    found = []
    for instructions in (0, 1, 2):
        chosen = min(instructions, best)  # a processor without them runs what it has
        monkeypatch.setattr(engine_kernel, "instructions", lambda chosen=chosen: chosen)
        found.append(learned(graph))
    assert found[0] == found[1] == found[2]


def test_samples_that_do_not_fit_together_run_in_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = plastic(net(7))
    whole = learned(graph, 5)
    monkeypatch.setattr(engine_learning, "_ROOM_BYTES", 1)
    assert learned(graph, 5) == whole


def test_nothing_judged_changes_nothing() -> None:
    graph = plastic(net(8), update="step", lr=1.0)
    silent = replace(teacher("softmax"), mask=np.zeros((2, 60)))
    found = EngineLearner(graph).learn(stimulus(graph), silent)
    assert sum(n.sum() for n in found.n_spikes.values()) > 40
    assert found.graph == graph and set(found.n_updates.values()) == {0}


def test_weights_stay_within_bounds_and_on_the_grid() -> None:
    graph = plastic(net(9), update="step", lr=0.05, w_max=1.5)
    program = EngineLearner(graph)
    for _ in range(3):
        program.learn(stimulus(graph), teacher("regression"))
    largest = max(np.abs(c.weight).max() for c in program.graph.projections)
    assert 1.49 < largest <= 1.5
    for c in program.graph.projections:
        grid = next(p.grid for p in program.graph.receivers if p.name == c.target)
        assert grid is not None and np.array_equal(np.rint(c.weight / grid) * grid, c.weight)


def test_a_program_is_a_learning_program_and_runs_its_new_weights() -> None:
    graph = plastic(net(10), update="episode", lr=0.01)
    program = LearningEngine().compile(graph)
    assert isinstance(program, LearningProgram)
    before = program.run(stimulus(graph))
    learned = program.learn(stimulus(graph), teacher("softmax"))
    after = program.run(stimulus(graph))
    assert before.graph_sha256 == graph.sha256 != after.graph_sha256 == learned.graph.sha256
    assert after.spikes == run(learned.graph, stimulus(graph), "reference").spikes
    program.close()


def test_the_engine_compiles_a_graph_with_rules_to_a_program_that_learns() -> None:
    graph = plastic(net(15))
    backend = LearningEngine(n_threads=2)
    assert backend.capabilities.plasticity == set(RULES) and not EngineBackend.capabilities.plasticity
    assert isinstance(backend.compile(graph), LearningProgram)
    assert not isinstance(backend.compile(net(15)), LearningProgram)
    recording = run(graph, stimulus(graph), backend)
    assert recording.spikes == run(graph, stimulus(graph), "reference").spikes


def test_a_run_to_a_file_is_that_in_memory(tmp_path: Path) -> None:
    graph = plastic(net(15))
    run(graph, stimulus(graph), LearningEngine(), to=tmp_path / "run.h5")
    expected = run(graph, stimulus(graph), "reference").spikes
    assert sum(len(e) for e in expected.values()) > 40 and load(tmp_path / "run.h5").spikes == expected


def test_what_does_not_fit_is_refused() -> None:
    graph = plastic(net(11))
    with pytest.raises(GraphError, match=r"nothing learns \(got no projection with plasticity; need at least one\)"):
        EngineLearner(net(11))
    with pytest.raises(DataError, match=r"shape does not fit the stimulus \(got batch 3, steps 60; need 2, 60\)"):
        EngineLearner(graph).learn(stimulus(graph), teacher("softmax", 3))
    with pytest.raises(DataError, match=r"loss does not fit rule 'eprop'.*got 'reward'"):
        EngineLearner(graph).learn(stimulus(graph), teacher("reward"))
    with pytest.raises(DataError, match=r"no such input \(got 'on'"):
        EngineLearner(graph).learn(
            replace(stimulus(graph), spikes={"on": stimulus(graph).spikes["in"]}), teacher("softmax")
        )


def test_a_layout_that_reads_beyond_its_arrays_never_reaches_the_kernel() -> None:
    graph = plastic(net(12))
    program = EngineLearner(graph)
    program._net.places = replace(program._net.places, reach=program._net.places.reach + np.int32(10_000))
    with pytest.raises(AssertionError, match="reach"):
        program.learn(stimulus(graph), teacher("softmax"))
