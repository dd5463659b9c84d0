"""Rewiring: the number of synapses stays, signs hold, pairs are drawn uniformly, and a run that is rewired learns and goes on."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import neuro
from neuro.errors import DataError, GraphError, RecipeError
from neuro.graph import Graph, Projection
from neuro.learning import (
    STDP,
    EProp,
    LearnConfig,
    LearnResult,
    Moments,
    RewardEProp,
    RewireConfig,
    Rule,
    attach,
    learn,
    make_room,
    prepare,
    with_weights,
)
from neuro.learning.recipe import load, loads
from neuro.learning.rewiring import Rewired, Wiring, after_update, carried, free_pairs, wiring_of
from neuro.learning.state import read
from neuro.seeds import stream
from tests.learning.nets import plastic
from tests.learning.sides import Sides, small_net

MODELS = Path(__file__).parents[2] / "models"
INNER = ("in->lif", "in->alif", "lif->lif", "lif->alif", "alif->lif", "alif->alif")
OUTER = ("lif->out", "alif->out")


def net(rule: Rule | None = None, **changes: Any) -> Graph:
    """Return a sparse net of 40 neurons with several delays, that has room to learn."""
    changes = {"n_lif": 24, "n_alif": 16, "connectivity": 0.3, "in_delay_max": 2, **changes}
    return make_room(attach(small_net(**changes), rule or EProp(lr=0.02, feedback="random"), signal="out"))[0]


def nudged(graph: Graph, seed: int, size: float = 0.3) -> Graph:
    """Return a graph after an update of random changes, so that some weights cross zero."""
    rng = np.random.default_rng(seed)
    moved = {}
    for c in graph.projections:
        grid = graph.population(c.target).grid  # type: ignore[union-attr]
        moved[c.name] = np.rint((c.weight + size * rng.standard_normal(c.size)) / grid) * grid
    return with_weights(graph, moved, {})


def once(
    before: Graph, after: Graph, config: RewireConfig, seed: int = 0, wiring: Wiring | None = None, factor: float = 1.0
) -> Rewired:
    wiring = wiring or wiring_of(before, config, 0)
    return after_update(prepare(before), before, after, {}, wiring, stream(seed, "rewire/0"), factor)


def get(graph: Graph, name: str) -> Projection:
    return next(c for c in graph.projections if c.name == name)  # type: ignore[return-value]


def pairs(graph: Graph, name: str) -> set[tuple[int, int]]:
    c = get(graph, name)
    return set(zip(c.pre.tolist(), c.post.tolist(), strict=True))


def test_the_number_of_synapses_is_constant_and_signs_hold_over_many_rewirings() -> None:
    start = graph = net()
    config = RewireConfig(l1=0.5, temperature=0.05)
    wiring = wiring_of(start, config, 0)
    plan, n_moved, life = prepare(graph), 0, {name: np.sign(get(graph, name).weight) for name in INNER}
    for k in range(60):
        found = after_update(plan, graph, nudged(graph, k), {}, wiring, stream(0, f"rewire/{k}"))
        plan, graph = found.plan, found.plan.graph
        n_moved += sum(found.n_moved.values())
        for old, c in zip(start.projections, graph.projections, strict=True):
            assert c.size == old.size
            if c.name not in INNER:
                np.testing.assert_array_equal(c.pre, old.pre)
                continue
            at = found.origin[c.name]
            assert len(pairs(graph, c.name)) == c.size
            assert c.source != c.target or not (c.pre == c.post).any()
            assert old.delay.min() <= c.delay.min() <= c.delay.max() <= old.delay.max()
            assert (c.weight != 0).all()
            np.testing.assert_array_equal(np.sign(c.weight)[at >= 0], life[c.name][at[at >= 0]])
            life[c.name] = np.sign(c.weight)
        for site in plan.sites:
            w = plan.weight[site.key]
            assert site.grid is not None
            np.testing.assert_array_equal(w, np.rint(w / site.grid) * site.grid)
            assert ((w >= site.low) & (w <= site.high)).all()
        assert graph.exact
    assert n_moved > 10 * graph.n_synapses // 2
    assert all(len(pairs(graph, name) & pairs(start, name)) < 0.6 * get(graph, name).size for name in INNER)
    assert set(get(graph, "lif->lif").delay) == {1, 2, 3}


def test_a_neuron_is_joined_with_itself_only_where_that_was_so_before() -> None:
    graph = net()
    assert wiring_of(graph, RewireConfig(), 0).loops == {name: len(set(name.split("->"))) == 2 for name in INNER}
    b = neuro.Builder()
    b.spike_input("in", 4)
    b.lif("lif", 5, tau_m_ms=20.0, v_th=1.0)
    b.li("y", 3, tau_out_ms=10.0)
    b.connect("in", "lif", weight=0.2, pre=[0, 1, 2, 3], post=[1, 2, 3, 4])
    b.connect("lif", "lif", weight=0.2, pre=[0, 0, 2, 3], post=[0, 1, 2, 4], delay=1)
    b.connect("lif", "y", weight=0.5, p=1.0, delay=1)
    graph = plastic(b.build())
    after = with_weights(graph, {"lif->lif": -get(graph, "lif->lif").weight}, {})
    wiring = wiring_of(graph, RewireConfig(l1=0.0), 0)
    assert wiring.loops == {"in->lif": True, "lif->lif": True}
    plan = prepare(graph)
    drawn = [after_update(plan, graph, after, {}, wiring, stream(k, "x")).plan.graph for k in range(100)]
    seen = set.union(*(pairs(found, "lif->lif") for found in drawn))
    assert seen == {(i, j) for i in range(5) for j in range(5)}


def test_without_drift_and_crossing_nothing_changes_bit_for_bit() -> None:
    graph = net()
    grown = with_weights(graph, {c.name: 2.0 * c.weight for c in graph.projections}, {})
    found = once(graph, grown, RewireConfig(l1=0.0))
    assert found.plan.graph is grown
    assert found.n_moved == {}
    crossed = once(graph, nudged(graph, 0), RewireConfig(l1=0.0))
    assert sum(crossed.n_moved.values()) > 50  # so that the above could fail


def test_what_stays_drifts_by_l1_and_noise_and_what_crosses_goes() -> None:
    graph = net()
    after = nudged(graph, 1)
    lr, factor = 0.02, 0.5
    found = once(graph, after, RewireConfig(l1=2.0), factor=factor)
    for name in INNER:
        old, moved, new, at = get(graph, name), get(after, name), get(found.plan.graph, name), found.origin[name]
        shrunk = np.abs(moved.weight) - lr * factor * 2.0
        goes = (np.sign(old.weight) != np.sign(moved.weight)) | (shrunk <= 0)
        assert 0 < goes.sum() < len(goes)
        assert set(at[at >= 0].tolist()) == set(np.flatnonzero(~goes).tolist())
        kept = at >= 0
        for key in ("pre", "post", "delay"):
            np.testing.assert_array_equal(getattr(new, key)[kept], getattr(old, key)[at[kept]])
        want = (np.sign(moved.weight) * shrunk)[at[kept]]
        grid = graph.population(new.target).grid  # type: ignore[union-attr]
        np.testing.assert_allclose(new.weight[kept], want, rtol=0, atol=grid)
        np.testing.assert_array_equal(np.abs(new.weight[~kept]), grid)
    for name in OUTER:
        np.testing.assert_array_equal(get(found.plan.graph, name).weight, get(after, name).weight)


def test_noise_has_the_size_of_its_temperature() -> None:
    graph = net(n_lif=60, n_alif=0, connectivity=1.0, gain_rec=50.0)
    found = once(graph, graph, RewireConfig(l1=0.0, temperature=0.1), factor=0.25)
    at = found.origin["lif->lif"]
    kept = (at >= 0) & (np.abs(get(found.plan.graph, "lif->lif").weight) > 1.0)
    change = get(found.plan.graph, "lif->lif").weight[kept] - get(graph, "lif->lif").weight[at[kept]]
    assert kept.sum() > 3000
    assert change.std() == pytest.approx(np.sqrt(2 * 0.02 * 0.25 * 0.1), rel=5 / np.sqrt(2 * kept.sum()))
    assert abs(change.mean()) < 5 * change.std() / np.sqrt(kept.sum())


@pytest.mark.parametrize("loops", [False, True])
def test_every_free_pair_is_equally_likely(loops: bool) -> None:
    pre, post = np.array([0, 0, 1, 3, 5]), np.array([1, 4, 5, 2, 0])
    if loops:
        pre, post = np.append(pre, 2), np.append(post, 2)
    rng, counts, draws, each = np.random.default_rng(3), np.zeros((6, 6), int), 6000, 4
    for _ in range(draws):
        i, j = free_pairs(rng, each, pre, post, (6, 6), loops)
        assert len(set(zip(i.tolist(), j.tolist(), strict=True))) == each
        counts[i, j] += 1
    free = np.ones((6, 6), bool)
    free[pre, post] = False
    if not loops:
        np.fill_diagonal(free, False)
    assert not counts[~free].any()
    n, expected = int(free.sum()), draws * each / int(free.sum())
    # drawn without replacement, counts vary less than those of a multinomial: by (n - each) / (n - 1)
    chi2 = ((counts[free] - expected) ** 2).sum() / expected / ((n - each) / (n - 1))
    print(f"chi-square {chi2:.1f}, {n - 1} degrees of freedom")
    assert abs(chi2 - (n - 1)) < 4 * np.sqrt(2 * (n - 1))


def test_all_free_pairs_can_be_drawn_of_any_shape() -> None:
    rng = np.random.default_rng(0)
    for shape in ((3, 7), (7, 3), (1, 4)):
        cells = np.arange(shape[0] * shape[1])
        taken = rng.permutation(cells)[: len(cells) // 2]
        i, j = free_pairs(rng, len(cells) - len(taken), taken // shape[1], taken % shape[1], shape, True)
        assert set((i * shape[1] + j).tolist()) | set(taken.tolist()) == set(cells.tolist())


def test_new_signs_are_drawn_evenly_or_follow_the_sender() -> None:
    graph = net(n_lif=40, n_alif=0, connectivity=0.5)
    after = with_weights(graph, {"lif->lif": -get(graph, "lif->lif").weight}, {})
    new = get(once(graph, after, RewireConfig(l1=0.0)).plan.graph, "lif->lif")
    n = new.size
    assert n > 500
    assert abs(np.sign(new.weight).sum()) < 4 * np.sqrt(n)

    law = np.where(np.arange(40) % 4 == 0, -1.0, 1.0)
    obeys = {c.name: np.abs(c.weight) * law[c.pre] for c in graph.projections if c.source == "lif"}
    graph = with_weights(graph, obeys, {})
    after = with_weights(graph, {"lif->lif": -get(graph, "lif->lif").weight}, {})
    found = once(graph, after, RewireConfig(l1=0.0, dale=True))
    assert found.n_moved["lif->lif"] == n
    new = get(found.plan.graph, "lif->lif")
    np.testing.assert_array_equal(np.sign(new.weight), law[new.pre])
    mixed = wiring_of(net(), RewireConfig(dale=True), 0).signs["lif"]
    assert (mixed == 0).sum() > 12  # senders of both signs have none
    lonely = net(n_lif=12, n_alif=0, connectivity=0.05, out_connectivity=0.2)
    joined = np.concatenate([c.pre for c in lonely.projections_from("lif")])
    silent = np.setdiff1d(np.arange(12), joined)
    assert len(silent)
    drawn = wiring_of(lonely, RewireConfig(dale=True), 0).signs["lif"]
    assert (np.abs(drawn[silent]) == 1).all()


def test_the_same_random_numbers_give_the_same_wiring() -> None:
    graph = net()
    after = nudged(graph, 2)
    one, two, other = (once(graph, after, RewireConfig(temperature=0.01), seed) for seed in (0, 0, 1))
    assert one.plan.graph == two.plan.graph
    assert all((one.origin[name] == two.origin[name]).all() for name in INNER)
    assert pairs(one.plan.graph, "lif->lif") != pairs(other.plan.graph, "lif->lif")


def test_a_full_projection_draws_the_pairs_that_have_just_become_free() -> None:
    graph = net(connectivity=1.0)
    found = once(graph, nudged(graph, 3), RewireConfig())
    assert min(found.n_moved[name] for name in INNER) > 0
    for name in INNER:
        assert pairs(found.plan.graph, name) == pairs(graph, name)


def test_dormant_synapses_wait_for_the_next_rewiring() -> None:
    graph = net()
    wiring = wiring_of(graph, RewireConfig(every=3), 0)
    asleep = after_update(prepare(graph), graph, nudged(graph, 4), {}, wiring, None).plan
    zero = {name: get(asleep.graph, name).weight == 0 for name in INNER}
    assert all(0 < z.sum() < len(z) for z in zero.values())
    woken = after_update(asleep, asleep.graph, nudged(asleep.graph, 5), {}, wiring, None).plan
    for name in INNER:
        assert (get(woken.graph, name).weight[zero[name]] == 0).all()
        np.testing.assert_array_equal(get(woken.graph, name).pre, get(graph, name).pre)
    found = after_update(woken, woken.graph, woken.graph, {}, wiring, stream(0, "rewire/2"))
    assert all((get(found.plan.graph, name).weight != 0).all() for name in INNER)


def test_moments_follow_their_synapses() -> None:
    graph = net()
    rng = np.random.default_rng(0)
    n = {site.key: len(site.pre) for site in prepare(graph).sites}
    moments = Moments(
        mean={k: rng.standard_normal(m) for k, m in n.items()}, square={k: rng.random(m) for k, m in n.items()}, steps=9
    )
    found = once(graph, nudged(graph, 6), RewireConfig())
    moved = carried(moments, found.origin)
    assert moved.steps == 9
    for name in INNER:
        old, new, at = get(graph, name), get(found.plan.graph, name), found.origin[name]
        where = {pair: k for k, pair in enumerate(zip(old.pre.tolist(), old.post.tolist(), strict=True))}
        stayed = [k for k in range(new.size) if at[k] >= 0]
        assert 0 < len(stayed) < new.size
        mean = np.mean([moments.square[name][at[k]] for k in stayed])
        for k in range(new.size):
            if at[k] < 0:
                assert moved.mean[name][k] == 0.0
                assert moved.square[name][k] == pytest.approx(mean, rel=1e-12)
            else:
                was = where[int(new.pre[k]), int(new.post[k])]
                assert moved.mean[name][k] == moments.mean[name][was]
                assert moved.square[name][k] == moments.square[name][was]
    for name in OUTER:
        assert moved.mean[name] is moments.mean[name]


def test_weights_beyond_what_a_neuron_with_more_synapses_leaves_are_clipped() -> None:
    graph = net(EProp(lr=0.02, feedback="random", learn_bias=True), n_lif=12, n_alif=0, connectivity=0.3)
    sites = {site.key: site for site in prepare(graph).sites}
    full = {c.name: np.sign(c.weight) * sites[c.name].high for c in graph.projections}
    bias = {p.name: sites[f"bias/{p.name}"].high for p in (*graph.neurons, *graph.readouts)}
    graph = with_weights(graph, full, bias)
    half = np.where(np.arange(get(graph, "lif->lif").size) % 2, 1.0, -1.0)
    found = once(
        graph, with_weights(graph, {"lif->lif": half * get(graph, "lif->lif").weight}, {}), RewireConfig(l1=0.0)
    )
    assert found.n_clipped > 0
    assert prepare(found.plan.graph).graph.exact  # raises if a weight is out of its bounds


def test_adaptive_feedback_follows_a_readout_that_is_rewired() -> None:
    graph = net(EProp(lr=0.02, feedback="adaptive"), out_connectivity=0.5)
    wiring = wiring_of(graph, RewireConfig(projections=OUTER), 0)
    assert set(wiring.delays) == set(OUTER)
    plan = prepare(graph)
    after = nudged(graph, 7)
    found = after_update(plan, graph, after, plan.feedback, wiring, stream(0, "rewire/0"))
    assert sum(found.n_moved.values()) > 5

    def dense(graph: Graph, name: str) -> np.ndarray:
        c, w = get(graph, name), np.zeros((2, graph.population(get(graph, name).source).size))
        w[c.post, c.pre] = c.weight
        return w

    for name in OUTER:
        key = name.replace("->", "/")
        change = dense(found.plan.graph, name) - dense(after, name)
        assert np.abs(change).max() > 0.1
        np.testing.assert_allclose(found.feedback[key] - plan.feedback[key], change, rtol=0, atol=1e-12)


QUICK = LearnConfig(iterations=9, batch=2, validate_every=3, validate_samples=16, checkpoint_every=2)
SOME = RewireConfig(l1=1.0, temperature=1e-3)


def run(rule: Rule | None = None, graph: Graph | None = None, **settings: Any) -> LearnResult:
    settings = {"config": QUICK, "rewire": SOME, "seed": 5, "optimizer": "adam", **settings}
    rule = rule or EProp(lr=0.05, feedback="adaptive", feedback_decay=0.01, rate_reg=0.1)
    start = graph or small_net(n_lif=10, n_alif=6, connectivity=0.4, out_connectivity=0.7, in_delay_max=2, value=True)
    return learn(start, Sides(), rule, "engine", **settings)


class Killed(Exception):
    """Stands for the end of the process."""


@pytest.mark.parametrize(
    ("rule", "rewire"),
    [
        (None, SOME),
        (None, replace(SOME, every=3, dale=True, projections=("lif->lif", "lif->out"))),
        (EProp(lr=0.05, update="step", feedback="adaptive"), SOME),
        (EProp(lr=0.05, update="episode", feedback="symmetric", learn_bias=True), replace(SOME, every=2)),
        (RewardEProp(lr=0.05, value="value", feedback="random"), SOME),
    ],
    ids=["batch", "every-3", "step", "episode", "reward"],
)
@pytest.mark.parametrize("at", [1, 5])
def test_a_killed_run_goes_on_bit_for_bit(tmp_path: Path, rule: Rule | None, rewire: RewireConfig, at: int) -> None:
    whole = run(rule, rewire=rewire, run_dir=tmp_path / "whole")
    start = neuro.load(tmp_path / "whole" / "start.h5")
    moved = [
        c.name for old, c in zip(start.projections, whole.last.projections, strict=True) if (old.pre != c.pre).any()
    ]
    assert len(moved) >= (2 if rewire.projections else 4)

    def kill(entry: dict[str, Any]) -> None:
        if entry["iteration"] == at:
            raise Killed

    with pytest.raises(Killed):
        run(rule, rewire=rewire, run_dir=tmp_path / "killed", watch=kill)
    again = run(rule, rewire=rewire, run_dir=tmp_path / "killed", resume=True)
    assert again.last == whole.last
    assert again.graph == whole.graph
    assert (again.curve, str(again.note)) == (whole.curve, str(whole.note))
    first, second = read(tmp_path / "whole"), read(tmp_path / "killed")
    assert first is not None
    assert second is not None
    assert first.n_moved == second.n_moved
    assert sum(first.n_moved.values()) > 10
    for key, mean in first.moments.mean.items():
        np.testing.assert_array_equal(mean, second.moments.mean[key])
        np.testing.assert_array_equal(first.moments.square[key], second.moments.square[key])


@pytest.mark.parametrize("backend", ["engine", "reference"])
def test_engine_and_golden_model_are_rewired_alike(backend: str) -> None:
    found = run(backend_rule := EProp(lr=0.05, feedback="random"), iterations=3, rewire=SOME)
    other = learn(
        small_net(n_lif=10, n_alif=6, connectivity=0.4, out_connectivity=0.7, in_delay_max=2, value=True), Sides(), backend_rule, backend,
        config=QUICK, iterations=3, rewire=SOME, seed=5, optimizer="adam",
    )  # fmt: skip
    moved = sum(site.n_moved for site in found.note.sites)
    assert moved > 5
    for a, b in zip(found.last.projections, other.last.projections, strict=True):
        np.testing.assert_array_equal(a.pre, b.pre)
        np.testing.assert_array_equal(a.post, b.post)
        np.testing.assert_allclose(a.weight, b.weight, rtol=0, atol=1e-9)


def test_the_note_and_the_log_say_what_moved(tmp_path: Path) -> None:
    found = run(run_dir=tmp_path, iterations=6, validate_every=6)
    assert found.best_iteration == 6
    start = neuro.load(tmp_path / "start.h5")
    by = {site.key: site for site in found.note.sites}
    ids = lambda c: set(zip(c.pre.tolist(), c.post.tolist(), c.delay.tolist(), strict=True))  # noqa: E731
    for old, new in zip(start.projections, found.graph.projections, strict=True):
        note = by.get(new.name)
        assert note is not None or new.name.endswith("value")
        if note is None:
            continue
        if new.name in OUTER:
            assert (note.n_moved, note.n_moves) == (0, None)
            continue
        assert note.n_moved == new.size - len(ids(old) & ids(new)) > 0
        assert note.n_moves is not None
        assert note.n_moves >= note.n_moved
        assert f"rewired: {note.n_moved} of {new.size} synapses moved, by {note.n_moves} moves in all" in str(note)
    entries = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    told = [entry["moved"] for entry in entries if "moved" in entry]
    assert len(told) == 6
    assert sum(told) == sum(note.n_moves or 0 for note in by.values())


def test_what_cannot_be_rewired_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    graph = net()
    for names, message in (
        (("lif->lfi",), "rewire: projection 'lif->lfi' is not in the graph (got 'lif->lfi'; need one of "),
        (("lif->lif", "x"), "rewire: projection 'x' is not in the graph"),
    ):
        with pytest.raises(GraphError, match=re.escape(message)):
            wiring_of(graph, RewireConfig(projections=names), 0)
    none = attach(small_net(), EProp(), ["lif->out", "alif->out"], "out")
    with pytest.raises(
        GraphError, match=re.escape("rewire: nothing to rewire (got no projection to neurons that learns")
    ):
        run(None, none, run_dir=tmp_path / "run", rewire=RewireConfig(), projections=["lif->out", "alif->out"])
    assert not (tmp_path / "run").exists()
    mixed = attach(none, STDP(w_min=-9.0, w_max=9.0), ["lif->lif"])
    with pytest.raises(GraphError) as caught:
        wiring_of(mixed, RewireConfig(projections=("lif->lif", "alif->lif")), 0)
    assert str(caught.value).splitlines() == [
        "rewire: projection 'lif->lif' does not learn by e-prop (got 'stdp'; need eprop or reward_eprop). Attach one, or leave it out.",
        "  rewire: projection 'alif->lif' does not learn by e-prop (got no rule; need eprop or reward_eprop). Attach one, or leave it out.",
    ]
    b = neuro.Builder()
    b.spike_input("in", 4)
    b.lif("lif", 4, tau_m_ms=20.0, v_th=1.0)
    b.li("y", 3, tau_out_ms=10.0)
    b.connect("in", "lif", weight=[0.2, 0.3], pre=[0, 0], post=[1, 1], delay=[0, 2], name="more")
    b.connect("lif", "y", weight=0.5, p=1.0, delay=1)
    double = plastic(b.build())
    with pytest.raises(
        GraphError, match=r"rounds its weights \(got bits = 8; need 0\): a drift below a level would be lost"
    ):
        wiring_of(plastic(b.build(), bits=8), RewireConfig(), 0)
    with pytest.raises(GraphError, match=r"'more' joins pairs more than once \(got 1 parallel synapses; need 0\)"):
        wiring_of(double, RewireConfig(), 0)


def test_a_run_goes_on_only_with_the_same_rewiring(tmp_path: Path) -> None:
    run(run_dir=tmp_path / "with")
    with pytest.raises(DataError, match=re.escape("rewire 'l1' differs (got 0.5; the run has 1.0)")):
        run(run_dir=tmp_path / "with", resume=True, rewire=replace(SOME, l1=0.5))
    with pytest.raises(DataError, match=re.escape("rewire differs (got None; the run has {")):
        run(run_dir=tmp_path / "with", resume=True, rewire=None)
    run(run_dir=tmp_path / "without", rewire=None)
    with pytest.raises(DataError, match=re.escape("rewire 'every' differs (got 1; the run has None)")):
        run(run_dir=tmp_path / "without", resume=True)


def test_a_recipe_has_a_table_of_it() -> None:
    text = '[task]\nname = "delayed_match"\n[rule]\nname = "eprop"\n'
    assert loads(text).rewire is None
    assert loads(text + "[rewire]\n").rewire == RewireConfig()
    whole = loads(text + '[rewire]\nevery = 4\nl1 = 0\ntemperature = 0.5\ndale = true\nprojections = ["in->lif"]\n')
    assert whole.rewire == RewireConfig(every=4, l1=0.0, temperature=0.5, dale=True, projections=("in->lif",))
    assert loads(whole.to_toml()) == whole
    with pytest.raises(
        RecipeError, match=re.escape("rewire 'every': out of range (got 0; need a whole number, at least 1)")
    ):
        loads(text + "[rewire]\nevery = 0\n")


def test_a_sparse_net_that_is_rewired_learns_its_pattern(tmp_path: Path) -> None:
    recipe = load(MODELS / "pattern_generation_sparse")
    task = recipe.make_task()
    graph = recipe.make_graph(task)
    config = replace(recipe.learn, iterations=400, stop_nmse=0.045)
    found = learn(
        graph, task, recipe.make_rule(), "engine", config=config, rewire=recipe.rewire, seed=recipe.seed, run_dir=tmp_path
    )  # fmt: skip
    assert found.before.nmse is not None
    assert found.best.nmse is not None
    inner = [site for site in found.note.sites if site.n_moves is not None]
    moved, n = sum(site.n_moved for site in inner), sum(site.n for site in inner)
    density = n / (100 * 99 + 100 * task.n_in)
    print(
        f"NMSE {found.before.nmse:.3f} -> {found.best.nmse:.4f} in {found.best_iteration} iterations; {moved} of {n} synapses "
        f"({100 * density:.1f} % of all pairs) lie elsewhere"
    )
    assert found.before.nmse > 0.9
    assert found.best.nmse < 0.05
    assert 0.19 < density < 0.21
    assert found.graph.n_synapses == graph.n_synapses
    assert moved > 0.03 * n
    assert all(site.n_moved > 50 for site in inner)
