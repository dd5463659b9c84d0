"""e-prop's gradient against automatic differentiation of the network with its cuts, and how it leaves BPTT behind."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from neuro.graph import Graph
from neuro.learning import EProp, prepare, reference
from neuro.learning.reference import learn
from tests.learning import autodiff
from tests.learning.nets import net, plastic, stimulus, teacher

TOLERANCE = 1e-10  # relative, per tensor norm; sums of a few thousand doubles in another order
RESETS = ("threshold", "adaptive", "zero")
Gradients = dict[str, np.ndarray]


def eprop_gradient(graph: Graph, loss: str, steps: int = 60) -> tuple[Gradients, int]:
    found = learn(graph, stimulus(graph, steps=steps), teacher(loss, steps=steps))
    grads = {**found.gradient, **{f"bias/{name}": g for name, g in found.bias_gradient.items()}}
    return {k: np.asarray(g) for k, g in grads.items()}, int(sum(n.sum() for n in found.n_spikes.values()))


def autodiff_gradient(torch_net: autodiff.Net, rule: EProp, loss: str, steps: int = 60) -> Gradients:
    y, z = torch_net.run(stimulus(torch_net.graph, steps=steps))
    total = autodiff.loss(y["y"], z, teacher(loss, steps=steps), rule)
    return {k: g.numpy() for k, g in torch_net.gradient(total).items()}


def largest_difference(a: Gradients, b: Gradients) -> float:
    assert a.keys() == b.keys()
    size = {k: float(np.linalg.norm(b[k])) for k in b}
    assert sum(s > 1e-3 for s in size.values()) >= len(b) - 1, size  # one silent corner of a net may have none
    return max(float(np.linalg.norm(a[k] - b[k])) / (s or 1.0) for k, s in size.items())


@pytest.mark.parametrize("reset", RESETS)
@pytest.mark.parametrize(
    ("loss", "delays", "n_ref", "current"),
    [("softmax", True, 3, False), ("regression", False, 0, False), ("regression", True, 1, True)],
)
def test_symmetric_eprop_is_the_derivative_of_the_cut_network(
    reset: str, loss: str, delays: bool, n_ref: int, current: bool
) -> None:
    rule = EProp(rate_reg=50.0, learn_bias=True)
    seed = RESETS.index(reset) + (loss == "softmax")
    graph = plastic(net(seed, reset=reset, delays=delays, n_ref=n_ref, current=current), rule)
    ours, n_spikes = eprop_gradient(graph, loss)
    assert n_spikes > 20
    assert largest_difference(ours, autodiff_gradient(autodiff.Net(graph, rule.gamma), rule, loss)) < TOLERANCE


def test_the_network_that_is_differentiated_is_the_graph_bit_for_bit() -> None:
    graph = plastic(net(1, reset="zero"))
    y, z = autodiff.Net(graph).run(stimulus(graph))
    found = learn(graph, stimulus(graph), teacher("softmax"))
    assert np.array_equal(found.y["y"], y["y"].detach().numpy())
    assert np.array_equal(found.n_spikes["alif"], z["alif"].detach().numpy().sum(1))
    assert found.n_spikes["alif"].sum() > 20


def hidden(gradients: Gradients) -> Gradients:
    return {k: g for k, g in gradients.items() if not k.endswith("->y") and not k.endswith("/y")}


def test_random_feedback_is_the_derivative_with_other_weights_on_the_way_back() -> None:
    rule = EProp(feedback="random", feedback_seed=3, learn_bias=True, feedback_scale=2.0)
    graph = plastic(net(2, delays=False), rule)
    drawn = prepare(graph).feedback
    assert {key: b.shape for key, b in drawn.items()} == {"lif/y": (3, 4), "alif/y": (3, 4)}
    assert 0.3 < np.std([*drawn["lif/y"].ravel(), *drawn["alif/y"].ravel()]) < 2.0  # 2 / sqrt(4)
    ours, _ = eprop_gradient(graph, "regression")
    theirs = autodiff_gradient(autodiff.Net(graph, feedback=drawn), rule, "regression")
    assert largest_difference(hidden(ours), hidden(theirs)) < TOLERANCE
    straight = autodiff_gradient(autodiff.Net(graph), rule, "regression")
    assert largest_difference(hidden(ours), hidden(straight)) > 0.1


def test_unfiltered_eligibility_is_the_derivative_without_the_readouts_memory() -> None:
    rule = EProp(filter=False, learn_bias=True)
    graph = plastic(net(3), rule)
    ours, _ = eprop_gradient(graph, "softmax")
    theirs = autodiff_gradient(autodiff.Net(graph, filter=False), rule, "softmax")
    assert largest_difference(hidden(ours), hidden(theirs)) < TOLERANCE
    # a readout keeps its own memory
    full = autodiff_gradient(autodiff.Net(graph), rule, "softmax")
    assert np.allclose(ours["alif->y"], full["alif->y"], rtol=TOLERANCE)


def test_the_online_rate_is_the_derivative_of_the_running_rate() -> None:
    rule = EProp(update="step", lr=0.0, rate_reg=30.0, rate_target_hz=20.0, tau_rate_ms=40.0, learn_bias=True)
    graph = plastic(net(4), rule)
    u, told = stimulus(graph), teacher("regression")
    plan = prepare(graph)
    now = reference.start(plan, 2, plan.weight, plan.feedback)
    for t in range(u.steps):
        now = reference.step(plan, now, {"in": u.dense_input(graph, "in")[:, t]}, told)
    torch_net = autodiff.Net(graph)
    y, z = torch_net.run(u)
    total = autodiff.loss(y["y"], z, told, EProp())
    r = math.exp(-1 / 40)
    for spikes in z.values():
        rate = torch.full_like(spikes[:, 0], 0.02)
        for t in range(u.steps):
            rate = r * rate + (1 - r) * spikes[:, t].detach()
            total = total + (30.0 * (1 - r) * (rate - 0.02) * spikes[:, t]).sum()
    theirs = {k: g.numpy() for k, g in torch_net.gradient(total).items()}
    ours = {k: g.sum(0) for k, g in now.gradient.items()}
    assert largest_difference(ours, theirs) < TOLERANCE


def test_the_angle_to_bptt_grows_with_the_run(capsys: pytest.CaptureFixture[str]) -> None:
    """Print cos(e-prop, BPTT) over all weights of the recurrent network; measured: 0.99 falling to 0.94, floor 0.8."""
    cosines = {}
    for steps in (20, 60, 120):
        found = []
        for seed in range(3):
            graph = plastic(net(seed))
            ours, _ = eprop_gradient(graph, "regression", steps)
            bptt = autodiff_gradient(autodiff.Net(graph, cut=False), EProp(), "regression", steps)
            a, b = (np.concatenate([hidden(g)[k] for k in sorted(hidden(ours))]) for g in (ours, bptt))
            found.append(float(a @ b / np.linalg.norm(a) / np.linalg.norm(b)))
        cosines[steps] = found
    with capsys.disabled():
        print()
        for steps, found in cosines.items():
            print(f"cosine of e-prop to BPTT after {steps:3d} steps: {', '.join(f'{c:.3f}' for c in found)}")
    assert min(c for found in cosines.values() for c in found) > 0.8
    assert np.mean(cosines[120]) < np.mean(cosines[20]) - 0.01
