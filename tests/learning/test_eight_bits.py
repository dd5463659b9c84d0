"""Weights of 8 bits: unbiased rounding, always on their grid, the same numbers in numpy and in the kernel, whatever the threads."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, event, given, settings

import neuro
from neuro.engine import kernel as engine_kernel
from neuro.errors import GraphError, UnsupportedError
from neuro.graph import Graph, Projection
from neuro.learning import (
    STDP,
    UPDATES,
    EProp,
    Learner,
    LearnResult,
    RewardEProp,
    RewardSTDP,
    Rule,
    Site,
    attach,
    bounds,
    integer,
    make_room,
    prepare,
    programs,
)
from neuro.learning import engine as engine_learning
from neuro.learning.engine import EngineLearner
from neuro.learning.note import numbers
from tests.learning.nets import net, plastic, stimulus, teacher
from tests.learning.random_nets import Case, cases
from tests.learning.sides import Sides, small_net
from tests.learning.test_stdp_task import CRITERION, N_JUDGED, N_TRIALS, network, right, trials

SIGMAS = 4.5
"""A mean of n draws may be off by so many standard errors: once in 150,000 tests, and the draws are always the same."""
LEARNS: list[Rule] = [
    EProp(bits=8, lr=0.1, learn_bias=True),
    EProp(bits=8, lr=0.05, feedback="adaptive", update="episode", rate_reg=50.0),
    EProp(bits=8, lr=0.02, feedback="random", update="step"),
]


def mantissas(graph: Graph) -> dict[str, np.ndarray]:
    """Return what the weights that learn are multiples by of their scale."""
    learning = [c for c in graph.projections if c.plasticity is not None and c.plasticity.parameters["bits"]]
    return {c.name: c.weight / c.plasticity.parameters["scale"] for c in learning if c.plasticity is not None}


def both(graph: Graph, rule: Rule, calls: int = 2) -> tuple[EngineLearner, Learner]:
    """Let the engine and the golden model learn the same, and require that they learned the same numbers."""
    ours, theirs = EngineLearner(graph, n_threads=2), Learner(graph)
    for k in range(calls):
        told = (stimulus(graph, 3, seed=k), teacher("regression", 3, seed=k))
        found, expected = ours.learn(*told), theirs.learn(*told)
        assert sum(n.sum() for n in expected.n_spikes.values()) > 40
        assert found.n_updates == expected.n_updates
        assert all(np.array_equal(found.y[name], y) for name, y in expected.y.items()) or rule.learn_bias  # type: ignore[attr-defined]
        for a, b in zip(found.graph.projections, expected.graph.projections, strict=True):
            assert np.array_equal(a.weight, b.weight), a.name
    return ours, theirs


# ----------------------------------------------------------------------------------------------------------- randomness


def test_the_generator_is_splitmix64() -> None:
    """The first numbers of SplitMix64 from 0 and from 1234567, as its public implementations print them."""
    first = [int(x) for x in integer.draw(0, np.arange(2, dtype=np.uint64))]
    assert first == [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4]
    assert int(integer.draw(1234567, 0)) == 6457827717110365317


def test_uniforms_are_uniform_and_differ_by_all_that_they_depend_on() -> None:
    u = integer.uniform(7, 0, 0, 100_000)
    assert 0 <= u.min() < 1e-4 and 1 - 1e-4 < u.max() < 1
    count = np.histogram(u, 100, (0, 1))[0]
    chi_square = ((count - 1000) ** 2 / 1000).sum()
    assert abs(chi_square - 99) < SIGMAS * np.sqrt(2 * 99)
    others = [integer.uniform(*where, 100_000) for where in ((8, 0, 0), (7, 1, 0), (7, 0, 1))]
    others.append(np.roll(u, 1))
    for other in others:
        assert abs(np.corrcoef(u, other)[0, 1]) < SIGMAS / np.sqrt(100_000)
    keys = {integer.key_of(EProp(rounding_seed=seed), name) for seed in (0, 1) for name in ("a", "b")}
    assert len(keys) == 4


@pytest.mark.parametrize("wanted", [0.3, -0.3, 17.25, -126.999, 1e-3, 0.5, -4.0])
def test_rounding_is_unbiased(wanted: float) -> None:
    n, grid = 200_000, 2.0**-7
    w, high = np.full(n, wanted * grid), np.full(n, 127 * grid)
    settled = bounds.settle(w, -high, high, grid, integer.uniform(3, 1, 4, n)) / grid
    part = wanted - np.floor(wanted)
    assert set(settled.tolist()) == {np.floor(wanted), np.ceil(wanted)}
    assert abs(settled.mean() - wanted) <= SIGMAS * np.sqrt(part * (1 - part) / n)


def test_many_small_steps_arrive_where_one_large_one_would() -> None:
    """Of 4,000 synapses that are to grow by 1/50 of the scale 500 times; rounded half to even none would move."""
    graph = plastic(net(), EProp(bits=8))
    site = prepare(graph).sites[0]
    assert site.grid is not None and site.rounding is not None
    n, steps, each = 4000, 500, site.grid / 50
    high = np.full(n, 127 * site.grid)
    wide: Site = replace(site, low=-high, high=high)
    w = np.zeros(n)
    for t in range(steps):
        w = wide.settled(w + each, 0, t)
    error = np.sqrt(steps * 0.02 * 0.98 / n) * site.grid
    assert abs(w.mean() - steps * each) < SIGMAS * error
    assert np.array_equal(bounds.settle(np.zeros(n) + each, -high, high, site.grid), np.zeros(n))


def test_weights_that_are_to_stay_stay_and_none_leaves_its_range() -> None:
    grid = 0.25
    w, high = np.arange(-127, 128) * grid, np.full(255, 127 * grid)
    for step in range(50):
        u = integer.uniform(1, 0, step, 255)
        assert np.array_equal(bounds.settle(w, -high, high, grid, u), w)
        far = bounds.settle(w * 1.3, -high, high, grid, u) / grid
        assert np.abs(far).max() == 127 and np.array_equal(far, np.rint(far))
    assert not np.signbit(bounds.settle(np.full(1, -1e-30), -high[:1], high[:1], grid, np.full(1, 0.5)))


# ------------------------------------------------------------------------------------------------------------- learning


def test_the_scale_is_found_once_and_kept_with_the_rule() -> None:
    graph = plastic(net(), EProp(bits=8))
    for c in graph.projections:
        assert c.plasticity is not None
        scale = c.plasticity.parameters["scale"]
        before = next(x for x in plastic(net()).projections if x.name == c.name).weight
        assert np.abs(c.weight - before).max() <= scale / 2
        growth = 127 * scale / np.abs(before).max()
        headroom = 16 if c.target == "y" else 2
        assert headroom <= growth < 2 * headroom, c.name
    assert make_room(graph)[0] == graph
    for site in prepare(graph).sites:
        assert site.grid is not None and (site.high == 127 * site.grid).all() and (site.low == -site.high).all()
    given_scale = plastic(net(), EProp(bits=8, scale=2.0**-6, headroom=1.0))
    assert all(c.plasticity.parameters["scale"] == 2.0**-6 for c in given_scale.projections if c.plasticity)
    bounded = prepare(plastic(net(), EProp(bits=8, w_max=3.0))).sites
    assert all(2.9 < site.high.max() <= 3.0 for site in bounded)


@pytest.mark.parametrize("rule", LEARNS, ids=lambda rule: rule.update)
def test_weights_stay_mantissas_and_the_engine_learns_the_golden_models(rule: EProp) -> None:
    graph = plastic(net(2, delays=rule.feedback == "symmetric"), rule)
    ours, _ = both(graph, rule)
    if rule.update == "batch":
        return
    before, after = mantissas(graph), mantissas(ours.graph)
    for name, m in after.items():
        assert np.array_equal(np.rint(m), m) and np.abs(m).max() <= 127, name
    moved = sum(int((m != before[name]).sum()) for name, m in after.items())
    assert moved > 20


same_case = settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)


@same_case
@given(cases())
def test_random_nets_round_as_the_golden_model_does(case: Case) -> None:
    check_case(case)


@same_case
@given(cases(reward=True))
def test_random_actors_round_as_the_golden_model_does(case: Case) -> None:
    check_case(case)


def check_case(case: Case) -> None:
    """Learn in 8 bits on the engine and by the golden model: all weights are equal, bit for bit.

    The gradients differ by 1e-12 of their size, so of 1e12 numbers that are drawn about one would fall between two of them.
    """
    graph = case.graph
    for c in graph.projections:
        if c.plasticity is not None:
            changed = replace(neuro.learning.rule_of(c.plasticity), bits=8, lr=0.05)
            graph = attach(graph, changed, [c.name], c.plasticity.signal)
    graph = make_room(graph)[0]
    ours, theirs = EngineLearner(graph, n_threads=2), Learner(graph)
    for _ in range(2):
        found, expected = (learner.learn(case.stimulus, case.teacher) for learner in (ours, theirs))
    event(f"changed: {sum(expected.n_updates.values()) > 0}")
    for a, b in zip(found.graph.projections, expected.graph.projections, strict=True):
        if b.plasticity is not None:
            assert np.array_equal(a.weight, b.weight), a.name
    for m in mantissas(found.graph).values():
        assert np.array_equal(np.rint(m), m) and np.abs(m).max(initial=0.0) <= 127


@pytest.mark.parametrize("supervised", [False, True])
def test_stdp_rounds_by_the_same_numbers(supervised: bool) -> None:
    graph = network(0)
    learns = next(c for c in graph.projections if c.name == "learns")
    assert learns.plasticity is not None
    rule = neuro.learning.rule_of(learns.plasticity)
    assert isinstance(rule, RewardSTDP)
    rule = replace(
        rule, bits=8, factor="supervised" if supervised else "reward", tau_reward=0.0 if supervised else 20.0
    )
    graph = make_room(attach(graph, rule, ["learns"], "y"))[0]
    asked, told = trials(0, 30)
    told = replace(told, loss="softmax", choose=np.zeros_like(told.choose)) if supervised else told
    ours, theirs = EngineLearner(graph), Learner(graph)
    for _ in range(2):
        found, expected = ours.learn(asked, told), theirs.learn(asked, told)
        assert found.n_updates == expected.n_updates and expected.n_updates["learns"] > 30
        assert ours.graph.projections == theirs.graph.projections
    m = mantissas(ours.graph)["learns"]
    assert np.array_equal(np.rint(m), m) and np.abs(m).max() <= 127 and (m != mantissas(graph)["learns"]).sum() > 10


@pytest.mark.parametrize("bits", [3, 4, 8])
def test_rounded_weights_stay_within_the_rules_own_bounds(bits: int) -> None:
    for rule in (STDP(w_min=-0.9, w_max=1.1, bits=bits), EProp(w_max=1.3, bits=bits)):
        plain = attach(net(grid=False), rule, ["in->lif"], "y" if isinstance(rule, EProp) else None)
        weight = np.linspace(-0.9, 1.1, plain.projections[0].size)
        edges = replace(plain.projections[0], weight=weight)
        graph = make_room(replace(plain, projections=(edges, *plain.projections[1:])))[0]
        (site,) = prepare(graph).sites  # which refuses weights out of bounds
        assert site.grid is not None and (site.high / site.grid).max() <= 2 ** (bits - 1) - 1
        assert site.high.max() <= rule.w_max and np.abs(numbers(graph, site)).max() > 0.5


def test_three_patterns_are_told_apart_by_reward_alone_in_eight_bits() -> None:
    """The task and the criterion of STDP's own test."""
    asked, told = trials(1, N_TRIALS)
    learns = network(1).projections[0]
    assert learns.name == "learns" and learns.plasticity is not None
    rule = replace(neuro.learning.rule_of(learns.plasticity), bits=8)
    graph = make_room(attach(network(1), rule, ["learns"], "y"))[0]
    learned = EngineLearner(graph).learn(asked, told)
    assert right(learned, told)[-N_JUDGED:].mean() >= CRITERION
    assert np.abs(mantissas(learned.graph)["learns"]).max() <= 127


def test_a_signal_of_zero_changes_nothing() -> None:
    graph = plastic(net(8), EProp(bits=8, update="step", lr=1.0))
    silent = replace(teacher("softmax"), mask=np.zeros((2, 60)))
    found = EngineLearner(graph).learn(stimulus(graph), silent)
    assert sum(n.sum() for n in found.n_spikes.values()) > 40
    assert found.graph == graph and set(found.n_updates.values()) == {0}


@pytest.mark.parametrize("update", ["episode", "step"])
def test_threads_and_pieces_change_nothing_but_the_seed_does(monkeypatch: pytest.MonkeyPatch, update: str) -> None:
    monkeypatch.setattr(engine_learning, "_LEAST_SHARE", 1)
    graph = plastic(net(4), EProp(bits=8, update=update, lr=3e-2))

    def learned(n_threads: int, every: int = 0, graph: Graph = graph) -> Graph:
        program = EngineLearner(graph, n_threads=n_threads)
        return program.learn(stimulus(graph, 3), teacher("softmax", 3), trajectory_every=every).graph

    one = learned(1)
    assert one != graph
    assert all(learned(*how) == one for how in ((1,), (2,), (3,), (1, 7), (3, 1)))
    other = learned(1, graph=plastic(net(4), EProp(bits=8, update=update, lr=3e-2, rounding_seed=1)))
    assert [c.weight.tolist() for c in other.projections] != [c.weight.tolist() for c in one.projections]


@pytest.mark.parametrize("update", ["episode", "step"])
def test_instruction_sets_round_alike(monkeypatch: pytest.MonkeyPatch, update: str) -> None:
    best = engine_kernel.instructions()
    graph = plastic(net(6), EProp(bits=8, update=update, lr=3e-2))
    found = []
    for instructions in (0, 1, 2):
        chosen = min(instructions, best)  # a processor without them runs what it has
        monkeypatch.setattr(engine_kernel, "instructions", lambda chosen=chosen: chosen)
        found.append(EngineLearner(graph).learn(stimulus(graph), teacher("softmax")).graph)
    assert found[0] == found[1] == found[2] != graph


def test_samples_in_two_calls_are_rounded_as_in_one() -> None:
    graph = plastic(net(4), EProp(bits=8, update="step", lr=3e-2))
    asked, told = stimulus(graph, 2), teacher("softmax", 2)
    whole = Learner(graph)
    whole.learn(asked, told)
    for kind in (Learner, EngineLearner):
        now, matrices = graph, None
        for k in range(2):
            program = kind(now, matrices, k)
            part = replace(
                told, **{x: getattr(told, x)[k : k + 1] for x in ("target", "mask", "reward", "choose", "chance")}
            )
            program.learn(asked.select(k, k + 1), part)
            now, matrices = program.graph, program.feedback
        assert now == whole.graph
    assert whole.n_samples == 2


def run(rule: Rule, **settings: Any) -> LearnResult:
    return neuro.learn(small_net(), Sides(), rule, seed=5, config=None, **settings)


@pytest.mark.parametrize(
    ("update", "optimizer", "lr"), [("batch", "adam", 0.05), ("batch", "sgd", 0.3), ("episode", "sgd", 0.05), ("step", "sgd", 0.05)]
)  # fmt: skip
def test_a_run_learns_in_eight_bits_with_every_update(update: str, optimizer: str, lr: float) -> None:
    rule = EProp(lr=lr, update=update, feedback="random", bits=8)
    found = run(rule, iterations=24, batch=4, optimizer=optimizer, validate_every=8, validate_samples=32)
    assert found.best.accuracy is not None and found.best.loss < 0.7 * found.before.loss and found.best.accuracy >= 0.9
    for m in mantissas(found.last).values():
        assert np.array_equal(np.rint(m), m) and np.abs(m).max() <= 127


def test_an_optimisers_step_is_rounded_stochastically() -> None:
    """One step of Adam asks every weight that has a gradient for -+lr: a small part of the scale, which some take whole."""
    before = run(EProp(lr=0.0, bits=8), iterations=1, optimizer="adam").last
    scale = min(float(c.plasticity.parameters["scale"]) for c in before.projections if c.plasticity)
    after = run(EProp(lr=0.25 * scale, bits=8), iterations=1, optimizer="adam").last
    share = []
    for a, b in zip(before.projections, after.projections, strict=True):
        assert b.plasticity is not None
        moved = np.abs(b.weight - a.weight) / float(b.plasticity.parameters["scale"])
        assert set(moved.tolist()) <= {0.0, 1.0}
        share.append(moved.sum())
    assert 0 < sum(share) < 0.3 * before.n_synapses


def test_a_run_goes_on_where_it_stopped(tmp_path: Any) -> None:
    start = run(EProp(bits=8), iterations=0).last
    for update in UPDATES:
        rule = EProp(lr=0.05, update=update, bits=8, feedback="adaptive")
        options: dict[str, Any] = {"batch": 2, "optimizer": "adam", "validate_every": 2, "checkpoint_every": 2}
        whole = run(rule, iterations=6, **options)
        run(rule, iterations=4, run_dir=tmp_path / update, **options)
        rest = run(rule, iterations=6, run_dir=tmp_path / update, resume=True, **options)
        assert rest.last == whole.last
        assert any(
            (a.weight != b.weight).mean() > 0.2 for a, b in zip(whole.last.projections, start.projections, strict=True)
        )


def test_float_rules_are_as_they_were() -> None:
    """A rule without bits settles half to even on the population's grid, and its graph keeps all its weights' digits."""
    for update in ("episode", "step"):
        graph = plastic(net(4), EProp(update=update, lr=1e-2))
        sites = prepare(graph).sites
        assert all(site.rounding is None for site in sites)
        for site in sites:
            p: Any = graph.population(site.target)
            assert site.grid == p.grid
        found = Learner(graph).learn(stimulus(graph), teacher("softmax")).graph
        other = plastic(net(4), EProp(update=update, lr=1e-2, rounding_seed=9, headroom=7.0))
        again = Learner(other).learn(stimulus(graph), teacher("softmax")).graph
        assert any((a.weight != b.weight).any() for a, b in zip(found.projections, graph.projections, strict=True))
        assert all(
            np.array_equal(a.weight, b.weight) for a, b in zip(found.projections, again.projections, strict=True)
        )


# ------------------------------------------------------------------------------------------------- refusals, and export


def test_what_does_not_fit_is_refused() -> None:
    for problem, match in (
        ({"bits": 1}, r"bits out of range \(got 1; need 2..16; 0: float\)"),
        ({"scale": 0.3}, r"scale out of range \(got 0.3; need a power of two"),
        ({"headroom": 0.5}, r"headroom out of range \(got 0.5; need >= 1\)"),
    ):
        with pytest.raises(GraphError, match=match):
            EProp(**problem)  # type: ignore[arg-type]
    with pytest.raises(
        GraphError, match=r"weights of 8 bits without a scale \(got scale 0; need a power of two\). Call make_room"
    ):
        prepare(attach(net(), EProp(bits=8)))
    rounded = plastic(net(), EProp(bits=8))
    scale = float(rounded.projections[0].plasticity.parameters["scale"])  # type: ignore[union-attr]
    with pytest.raises(GraphError, match=r"weight is none of 8 bits \(got .*need whole multiples of .* up to 127\)"):
        prepare(bounds.with_weights(rounded, {"in->lif": rounded.projections[0].weight + scale / 2}, {}))
    with pytest.raises(GraphError, match=r"scale is finer than the target's grid \(got 5.8.*e-39; need at least"):
        prepare(attach(make_room(attach(net(), EProp()))[0], EProp(bits=8, scale=2.0**-127)))
    with pytest.raises(
        UnsupportedError, match=r"backend 'brian2': projection 'in->lif' rounds its weights .*got bits = 8; need 0 here"
    ):
        programs.starter("brian2")(rounded, None, 0)
    whole, _ = neuro.quantize(net(), "loihi2", max_runs=1)
    with pytest.raises(UnsupportedError, match=r"graph of integers \(got IntLIF 'lif'.*by a rule with bits=8"):
        prepare(attach(whole, EProp(bits=8), signal="y"))


def test_learned_mantissas_reach_loihi_2_unchanged() -> None:
    learned = run(EProp(lr=0.05, update="step", bits=8), iterations=6).last
    chip, note = neuro.quantize(learned, "loihi2", max_runs=1)
    scales = note.scales
    for c in learned.projections:
        assert isinstance(c, Projection)
        parts = [x for x in chip.projections if x.name.split(".")[0] == c.name]
        got = sorted((int(i), int(j), int(d), float(w) * 2.0 ** (6 + x.exponent) / scales[c.target])
                     for x in parts for i, j, w, d in zip(x.pre, x.post, x.weight, x.delay, strict=True))  # fmt: skip
        kept = c.weight != 0
        assert kept.sum() > 5
        want = sorted(
            zip(
                c.pre[kept].tolist(),
                c.post[kept].tolist(),
                c.delay[kept].tolist(),
                c.weight[kept].tolist(),
                strict=True,
            )
        )
        assert got == want, c.name


def test_note_and_plan_agree_on_what_changes() -> None:
    found = run(EProp(lr=0.05, update="step", bits=8), iterations=3)
    assert all(site.n_updates for site in found.note.sites)
    site = prepare(found.last).sites[0]
    assert len(numbers(found.last, site)) == len(site.post)
    assert RewardEProp(value="v", bits=8).plasticity("y").parameters["bits"] == 8
