"""Hold learning on Brian2 to the golden model of learning: weights after every step, spikes, outputs, rewards, all with ==.

STDP and reward-modulated STDP are equal bit for bit by construction. e-prop is, too, as long as errors come back through the readout's own
synapses, which both add one after the other; through a random matrix the reference multiplies by BLAS, whose order is its own: there
gradients are merely close, and how close is measured.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from neuro.backend import Learned, LearningProgram, Record, Stimulus, Teacher, conformance
from neuro.errors import DataError, GraphError, UnsupportedError
from neuro.graph import Builder, Graph, Projection
from neuro.learning import STDP, EProp, Learner, RewardEProp, RewardSTDP, Rule, attach, make_room
from neuro.learning.reference import learn
from neuro_brian2 import Brian2Backend
from tests.learning import nets, test_stdp_task

BATCH = 3
MATRIX_TOLERANCE = 1e-13
"""Where errors come through a matrix: of weights (measured 0) and of a gradient by its largest entry (measured 1.3e-16)."""


def into_neurons(graph: Graph) -> list[str]:
    return [c.name for c in graph.projections if c.target != "y"]


def excited(graph: Graph) -> Graph:
    """Return the graph with every weight into a neuron positive."""
    moved = [replace(c, weight=np.abs(c.weight)) if c.target != "y" else c for c in graph.projections]
    return replace(graph, projections=tuple(moved))


def by_spikes(rule: STDP, signal: str | None = None, seed: int = 0, **choice: Any) -> Graph:
    graph = excited(nets.net(seed, grid=False, **choice))
    return make_room(attach(graph, rule, into_neurons(graph), signal))[0]


def silent(reward: bool = False, batch: int = BATCH, steps: int = nets.STEPS) -> Teacher:
    """Return a teacher without errors, with random rewards or none."""
    rewards = np.random.default_rng(4).normal(size=(batch, steps)) if reward else np.zeros((batch, steps))
    return Teacher(loss="none", target=np.zeros((batch, steps, 0)), mask=np.ones((batch, steps)), reward=rewards)


def choosing() -> Teacher:
    rng, shape = np.random.default_rng(7), (BATCH, nets.STEPS)
    return Teacher(
        loss="reward", target=np.eye(3)[rng.integers(0, 3, shape)], mask=np.ones(shape), choose=rng.random(shape) < 0.3,
        chance=rng.random(shape), reward=rng.normal(0, 0.1, shape), right=1.0, wrong=-0.5,
    )  # fmt: skip


def check(graph: Graph, stimulus: Stimulus, teacher: Teacher, target: str = "numpy", tolerance: float = 0.0) -> Learned:
    """Learn on Brian2 and by the reference, compare everything, and return what Brian2 gave.

    tolerance: of weights, which are below 10, and of gradients by their largest entry; 0: not a bit may differ.
    """
    wanted = learn(graph, stimulus, teacher, trajectory_every=1)
    program = Brian2Backend(target=target).compile(graph)
    got = program.learn(stimulus, teacher, trajectory_every=1)
    program.close()
    assert all(counts.sum() > 5 for counts in wanted.n_spikes.values())
    assert all(np.array_equal(got.n_spikes[name], wanted.n_spikes[name]) for name in wanted.n_spikes)
    assert got.y.keys() == wanted.y.keys() and all((got.y[name] == wanted.y[name]).all() for name in wanted.y)
    assert (got.action == wanted.action).all() and (got.reward == wanted.reward).all()
    assert got.trajectory.keys() == wanted.trajectory.keys()
    for name, w in wanted.trajectory.items():
        assert got.trajectory[name].shape == w.shape and np.abs(got.trajectory[name] - w).max(initial=0) <= tolerance, (
            name
        )
    assert tolerance or (got.n_updates == wanted.n_updates and got.graph == wanted.graph)
    assert got.gradient.keys() == wanted.gradient.keys()
    largest = [float(np.abs(g).max()) for g in wanted.gradient.values()]
    assert sum(g > 1e-3 for g in largest) >= len(largest) - 1  # a projection of two synapses may have none
    for name, g in wanted.gradient.items():
        assert np.abs(got.gradient[name] - g).max() <= tolerance * np.abs(g).max(), name
    assert got.bias_gradient.keys() == wanted.bias_gradient.keys()
    for name, g in wanted.bias_gradient.items():
        assert np.abs(g).max() > 1e-3 and np.abs(got.bias_gradient[name] - g).max() <= tolerance * np.abs(g).max(), name
    return got


# ---------------------------------------------------------------------------------------------------------------- STDP


@pytest.mark.parametrize(
    "choice",
    [
        {},
        {"bounds": "soft", "tau_plus_ms": 7.0},
        {"mu_plus": 0.3, "mu_minus": 0.7},  # by the C library's pow
        {"w_min": -0.7, "w_max": 1.5, "lr": 5.0},
    ],
)
def test_stdp_equals_the_reference_after_every_step(choice: dict[str, Any]) -> None:
    graph = by_spikes(STDP(**{"w_max": 4.0, **choice}))
    got = check(graph, nets.stimulus(graph, BATCH), silent())
    assert sum(got.n_updates.values()) > 1000


@pytest.mark.parametrize("reset", ["zero", "adaptive"])
def test_stdp_equals_the_reference_whatever_the_reset(reset: str) -> None:
    graph = by_spikes(STDP(w_max=4.0), seed=2, reset=reset)
    assert sum(check(graph, nets.stimulus(graph, BATCH), silent()).n_updates.values()) > 1000


def test_stdp_with_long_delays_and_samples_that_end_with_spikes_in_flight() -> None:
    b = Builder(seed=3)
    b.spike_input("in", 4)
    b.lif("n", 6, tau_m_ms=10.0, n_ref=1)
    b.connect("in", "n", weight=0.5, delay=(0, 70))
    b.connect("n", "n", weight=lambda rng, n: rng.uniform(0, 0.3, n), p=0.7, delay=(1, 80), name="rec")
    b.connect("n", "n", weight=1.0, pre=[], post=[], name="none")
    graph = make_room(attach(b.build(grid=False), STDP()))[0]
    got = check(graph, nets.stimulus(graph, BATCH, 90), silent(steps=90))
    assert got.n_updates["rec"] > 100 and got.n_updates["none"] == 0


def test_reward_equals_the_reference_with_its_running_mean() -> None:
    graph = by_spikes(RewardSTDP(w_max=4.0, tau_reward=3.0, baseline=0.25))
    got = check(graph, nets.stimulus(graph, BATCH), silent(reward=True))
    held = [c.plasticity.parameters["baseline"] for c in got.graph.projections if c.plasticity]
    assert held and 0.25 not in held and sum(got.n_updates.values()) > 1000


def test_the_reward_of_a_choice_equals_the_reference() -> None:
    graph = by_spikes(RewardSTDP(w_max=4.0, mu_plus=1.0), "y")
    got = check(graph, nets.stimulus(graph, BATCH), choosing())
    assert {-1, 0, 1, 2} == set(got.action.ravel().tolist()) and sum(got.n_updates.values()) > 1000


def test_a_whole_task_is_learned_as_by_the_reference() -> None:
    stimulus, teacher = test_stdp_task.trials(1, 300)
    got = check(test_stdp_task.network(1), stimulus, teacher)
    assert test_stdp_task.right(got, teacher)[-60:].mean() >= test_stdp_task.CRITERION


def test_errors_that_modulate_stdp_equal_the_reference() -> None:
    graph = by_spikes(RewardSTDP(w_max=4.0, factor="supervised"), "y")
    got = check(graph, nets.stimulus(graph, BATCH), nets.teacher("softmax", BATCH))
    assert sum(got.n_updates.values()) > 1000


# -------------------------------------------------------------------------------------------------------------- e-prop


@pytest.mark.parametrize(
    ("update", "choice", "net"),
    [
        ("batch", {"rate_reg": 0.5}, {}),
        ("episode", {"rate_reg": 0.5, "lr": 0.01}, {"reset": "zero"}),
        ("step", {"rate_reg": 0.5, "lr": 0.01}, {"reset": "adaptive", "n_ref": 0}),
        ("step", {"filter": False, "lr": 0.01}, {"current": True, "n_ref": 3}),
        ("batch", {"filter": False}, {"current": True, "reset": "zero"}),
        ("batch", {"learn_bias": True, "rate_reg": 0.5}, {"reset": "zero"}),
        ("step", {"learn_bias": True, "lr": 0.01}, {}),
        ("episode", {"learn_bias": True, "lr": 0.01}, {"current": True}),
    ],
)
@pytest.mark.parametrize("loss", ["softmax", "regression"])
def test_symmetric_eprop_equals_the_reference(
    update: str, loss: str, choice: dict[str, Any], net: dict[str, Any]
) -> None:
    graph = nets.plastic(nets.net(1, grid=False, **net), EProp(update=update, **choice))
    got = check(graph, nets.stimulus(graph, BATCH), nets.teacher(loss, BATCH))
    assert (sum(got.n_updates.values()) > 50) == (update != "batch")


@pytest.mark.parametrize("update", ["step", "episode"])
def test_adaptive_feedback_follows_the_readout_as_in_the_reference(update: str) -> None:
    rule = EProp(feedback="adaptive", feedback_decay=0.01, update=update, lr=0.05)
    graph = nets.plastic(nets.net(0, grid=False, delays=False), rule)
    stimulus, teacher = nets.stimulus(graph, BATCH), nets.teacher("softmax", BATCH)
    check(graph, stimulus, teacher, tolerance=MATRIX_TOLERANCE)
    program, model = Brian2Backend().compile(graph), Learner(graph)
    fixed = nets.plastic(nets.net(0, grid=False, delays=False), replace(rule, feedback="random"))
    for _ in range(2):  # the second call begins with the feedback of the first
        got, wanted = (each.learn(stimulus, teacher, trajectory_every=1) for each in (program, model))
        off = learn(fixed, stimulus, teacher, trajectory_every=1).trajectory
        for name, w in wanted.trajectory.items():
            assert np.abs(got.trajectory[name] - w).max() <= MATRIX_TOLERANCE, name
        assert max(np.abs(off[name] - w).max() for name, w in wanted.trajectory.items()) > 1e-3


def test_random_feedback_is_close_to_the_reference() -> None:
    graph = nets.plastic(nets.net(0, grid=False, delays=False), EProp(feedback="random", feedback_seed=3))
    stimulus, teacher = nets.stimulus(graph, BATCH), nets.teacher("softmax", BATCH)
    got, wanted = check(graph, stimulus, teacher, tolerance=MATRIX_TOLERANCE), learn(graph, stimulus, teacher)
    off = {n: float(np.abs(got.gradient[n] - g).max() / np.abs(g).max()) for n, g in wanted.gradient.items()}
    worst = max(off, key=lambda name: off[name])
    print(f"random feedback: largest difference of a gradient {off[worst]:.1e} of its largest entry, in '{worst}'")


@pytest.mark.timeout(900)  # some 20 modules each, of about 1 s of CPU, until they are in the cache
@pytest.mark.parametrize("kind", ["reward_stdp", "eprop"])
def test_compiled_code_equals_the_reference(kind: str) -> None:
    b = Builder(seed=2)
    b.spike_input("in", 4)
    b.alif("n", 5, tau_m_ms=15.0, tau_a_ms=60.0, beta=0.2, n_ref=2)
    b.li("y", 3)
    b.connect("in", "n", weight=lambda rng, n: rng.uniform(0.1, 0.6, n), delay=(0, 3))
    b.connect("n", "n", weight=lambda rng, n: rng.uniform(0, 0.2, n), delay=(1, 3), name="rec")
    b.connect("n", "y", weight=lambda rng, n: rng.normal(0, 0.4, n))
    rules: dict[str, Rule] = {
        "reward_stdp": RewardSTDP(w_max=0.75, mu_plus=0.3, mu_minus=0.6, tau_reward=2.0),
        "eprop": EProp(update="step", lr=0.01, rate_reg=0.5),
    }
    graph = make_room(attach(b.build(grid=False), rules[kind], signal="y"))[0]
    teacher = choosing() if kind == "reward_stdp" else nets.teacher("softmax", BATCH)
    assert sum(check(graph, nets.stimulus(graph, BATCH), teacher, "cython").n_updates.values()) > 500


# ------------------------------------------------------------------------------------------------- program, refusals


def test_a_program_keeps_what_it_learned_for_the_next_call_and_for_runs() -> None:
    graph = by_spikes(STDP(w_max=4.0))
    stimulus = nets.stimulus(graph, BATCH)
    told: list[tuple[int, int, str]] = []
    program = Brian2Backend(progress=lambda *now: told.append(now)).compile(graph)
    assert isinstance(program, LearningProgram)
    first, second = program.learn(stimulus, silent()), program.learn(stimulus, silent())
    assert first.trajectory == {} and told[-1] == (BATCH * nets.STEPS, BATCH * nets.STEPS, "brian2: learning")
    assert second.graph == learn(first.graph, stimulus, silent()).graph != first.graph
    got = program.run(stimulus, conformance.ALL)
    conformance.assert_equal(got, conformance.golden(second.graph, stimulus, conformance.ALL), second.graph)
    program.close()
    with pytest.raises(UnsupportedError, match="the program is closed"):
        program.learn(stimulus, silent())


def test_a_trajectory_may_be_sparse() -> None:
    graph = by_spikes(STDP(w_max=4.0))
    stimulus = nets.stimulus(graph, BATCH)
    program = Brian2Backend().compile(graph)
    got, wanted = (each.learn(stimulus, silent(), trajectory_every=25) for each in (program, _Reference(graph)))
    for name, w in wanted.trajectory.items():
        assert got.trajectory[name].shape == (BATCH, 2, w.shape[2]) and (got.trajectory[name] == w).all()


class _Reference:
    """The golden model as a program."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph

    def learn(self, stimulus: Stimulus, teacher: Teacher, trajectory_every: int) -> Learned:
        return learn(self._graph, stimulus, teacher, trajectory_every)


def test_capabilities_name_the_rules_that_run() -> None:
    assert Brian2Backend().capabilities.plasticity == {"stdp", "reward_stdp", "eprop"}


def changed(graph: Graph, name: str, **parameters: Any) -> Graph:
    """Return the graph with other parameters of one projection's rule."""

    def moved(c: Projection) -> Projection:
        if c.name != name or c.plasticity is None:
            return c
        return replace(c, plasticity=replace(c.plasticity, parameters={**c.plasticity.parameters, **parameters}))

    return replace(graph, projections=tuple(moved(c) for c in graph.projections))  # type: ignore[arg-type]


EPROP = nets.plastic(nets.net(1, grid=False), EProp())
ROOM = by_spikes(STDP(w_max=4.0))
REFUSED = {
    "rule": (
        make_room(attach(EPROP, RewardEProp(value="v"), ["in->lif"], "y"))[0],
        r"projection 'in->lif': rule 'reward_eprop' \(can: eprop, reward_stdp, stdp\)",
    ),
    "adaptive": (
        changed(EPROP, "in->lif", feedback="adaptive"),
        r"'in->lif': feedback 'adaptive' with update 'batch' \(can: episode, step\)",
    ),
    "ways": (changed(EPROP, "in->lif", filter=False), r"population 'lif' is taught in two ways \(got \('y', 'symmetric', "),
    "delays": (
        nets.plastic(nets.net(1, grid=False), EProp(feedback="random")),
        r"population 'lif': random feedback from 'y' needs one delay \(got 1..[234] steps; need one",
    ),
    "nothing": (nets.net(1), r"learn: nothing learns \(got no projection with plasticity; need at least one\)"),
    "bound": (changed(ROOM, "in->lif", w_max=0.25), r"projection 'in->lif': weight out of bounds \(got .* in all; need 0.0..0.25\)"),
    "grid": (attach(nets.net(1, grid=False), EProp(), ["in->lif"], "y"), r"'in->lif': target 'lif' without a grid \(can: graphs"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_it_cannot_learn_is_refused_by_name(case: str) -> None:
    graph, message = REFUSED[case]
    program = Brian2Backend().compile(graph)
    with pytest.raises((UnsupportedError, GraphError), match=message):
        program.learn(nets.stimulus(graph, BATCH), nets.teacher("softmax", BATCH))


def test_standalone_does_not_learn() -> None:
    program = Brian2Backend(target="cpp_standalone").compile(ROOM)
    with pytest.raises(UnsupportedError, match=r"target 'cpp_standalone' does not learn, .*Use target='cython'\."):
        program.learn(nets.stimulus(ROOM, BATCH), silent())


def test_integer_graphs_run_but_do_not_learn() -> None:
    graph = conformance.integer_example()
    program = Brian2Backend().compile(graph)
    stimulus = conformance.draw_stimulus(graph, 1, 5, 1)
    program.run(stimulus, Record())
    with pytest.raises(UnsupportedError, match=r"graph: learning with integer semantics \(can: float\)"):
        program.learn(stimulus, silent(batch=1, steps=5))


@pytest.mark.parametrize(
    ("graph", "teacher", "message"),
    [
        (
            ROOM,
            silent(batch=2),
            rf"teacher: shape does not fit the stimulus \(got batch 2, steps {nets.STEPS}; need 3, ",
        ),
        (EPROP, silent(), r"teacher: no error for 'y' \(got loss 'none'; need softmax or regression\)"),
        (
            EPROP,
            nets.teacher("softmax", BATCH, k=2),
            r"'target': wrong number of outputs \(got 2; need 3, the size of 'y'\)",
        ),
    ],
)
def test_a_teacher_that_does_not_fit_is_refused(graph: Graph, teacher: Teacher, message: str) -> None:
    program = Brian2Backend().compile(graph)
    with pytest.raises(DataError, match=message):
        program.learn(nets.stimulus(graph, BATCH), teacher)


def test_a_number_of_steps_out_of_range_is_refused() -> None:
    with pytest.raises(DataError, match=r"learn: trajectory_every out of range \(got -1; need a whole number >= 0\)"):
        Brian2Backend().compile(ROOM).learn(nets.stimulus(ROOM, BATCH), silent(), trajectory_every=-1)
