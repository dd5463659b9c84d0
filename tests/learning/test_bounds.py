"""Room to learn, bounds that keep sums exact, rounding to the grid; and the optimisers."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from neuro.graph import Builder, Graph, rules
from neuro.learning import STDP, EProp, Moments, adam, attach, bounds, make_room, prepare, sgd, with_weights
from tests.learning.nets import net


def at_the_bounds(graph: Graph) -> Graph:
    plan = prepare(graph)
    return with_weights(
        graph, {s.key: s.high for s in plan.sites if s.source}, {s.target: -s.high for s in plan.sites if not s.source}
    )


@pytest.mark.parametrize("current", [False, True])
@pytest.mark.parametrize("learn_bias", [False, True])
@pytest.mark.parametrize("some", [None, ["in->lif", "lif->y"]])
def test_all_weights_at_their_bounds_still_have_exact_sums(
    current: bool, learn_bias: bool, some: list[str] | None
) -> None:
    graph = make_room(attach(net(current=current), EProp(learn_bias=learn_bias), some))[0]
    full = at_the_bounds(graph)  # rules.exact_sums has judged it
    assert full.exact
    for p in full.receivers:
        incoming = full.projections_to(p.name)
        limit = 2.0**53 * p.grid * rules.smallest_step(incoming, full.populations)
        assert rules.largest_input(p, incoming, full.populations) <= limit
    plan = prepare(graph)
    for site in plan.sites:
        assert (site.high >= 8 * np.abs(plan.weight[site.key])).all()
        assert (site.low == -site.high).all()


def test_room_for_a_given_weight() -> None:
    plain = attach(net(), EProp())
    assert all((s.high >= 1000).all() for s in prepare(make_room(plain, w_max=1000.0)[0]).sites)
    ruled = make_room(attach(net(), EProp(w_max=3.0)))[0]
    assert all((s.high == 3).all() and (s.low == -3).all() for s in prepare(ruled).sites)


def test_a_grid_with_room_is_kept() -> None:
    plain = attach(net(), EProp())
    graph, note = make_room(plain)
    assert "multiples" in str(note)
    assert make_room(graph)[0] == graph
    assert make_room(graph, w_max=2.0)[0] == graph
    assert make_room(graph, w_max=1e6)[0] != graph


def test_stdp_has_its_own_bounds() -> None:
    graph = attach(net(), STDP(w_min=-5.0, w_max=5.0), ["in->lif"])
    (site,) = prepare(make_room(graph)[0]).sites
    assert (site.low == -5).all() and (site.high == 5).all()


def test_a_bound_off_the_grid_is_moved_within() -> None:
    low, high = bounds.limits(EProp(w_max=0.3), np.full(2, np.inf), 0.25, "here", np.zeros(2))
    assert (low.tolist(), high.tolist()) == ([-0.25, -0.25], [0.25, 0.25])


def test_rounding_is_half_to_even_and_clips() -> None:
    w = np.array([0.125, 0.375, 0.2, 9.0, -9.0, -0.05])
    settled = bounds.settle(w, np.full(6, -2.0), np.full(6, 2.0), 0.25)
    assert settled.tolist() == [0.0, 0.5, 0.25, 2.0, -2.0, 0.0]
    assert not np.signbit(settled[5])
    assert bounds.settle(w, np.full(6, -2.0), np.full(6, 2.0), None).tolist() == [0.125, 0.375, 0.2, 2.0, -2.0, -0.05]


def test_weights_off_the_grid_are_refused() -> None:
    graph = make_room(attach(net(), EProp()))[0]
    with pytest.raises(Exception, match="is off it"):
        with_weights(graph, {"in->lif": graph.projections[0].weight + 1e-17}, {})


def test_adam_and_sgd_are_torchs() -> None:
    rng = np.random.default_rng(0)
    w = {"a": rng.normal(0, 1, 5), "b": rng.normal(0, 1, 3)}
    theirs = {k: torch.tensor(v, requires_grad=True) for k, v in w.items()}
    plain = {k: torch.tensor(v, requires_grad=True) for k, v in w.items()}
    optimizers = torch.optim.Adam(theirs.values(), lr=0.01), torch.optim.SGD(plain.values(), lr=0.01)
    moments, ours, down = Moments(), dict(w), dict(w)
    for _ in range(20):
        g = {k: rng.normal(0, 1, v.shape) for k, v in w.items()}
        for k in w:
            theirs[k].grad = plain[k].grad = torch.tensor(g[k])
        for o in optimizers:
            o.step()
        change, moments = adam(g, moments, lr=0.01)
        ours = {k: ours[k] + change[k] for k in w}
        down = {k: down[k] + d for k, d in sgd(g, 0.01).items()}
    assert moments.steps == 20
    for k in w:
        assert np.abs(ours[k] - w[k]).max() > 0.01
        np.testing.assert_allclose(ours[k], theirs[k].detach().numpy(), rtol=1e-12)
        np.testing.assert_allclose(down[k], plain[k].detach().numpy(), rtol=1e-12)


def test_a_neuron_without_plastic_synapses_is_unbounded() -> None:
    b = Builder()
    b.spike_input("in", 2)
    b.lif("lif", 3)
    b.li("y", 1)
    b.connect("in", "lif", weight=0.5, pre=[0, 1], post=[0, 0])
    b.connect("lif", "y", weight=1.0)
    graph, _ = make_room(attach(b.build(), EProp()))
    found = bounds.bound(graph, graph.population("lif"))
    assert found[0] >= 4.0
    assert np.isinf(found[1:]).all()
