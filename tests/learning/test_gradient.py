"""e-prop's gradient against automatic differentiation of the network with its cuts, and how it leaves BPTT behind."""

from __future__ import annotations

import numpy as np
import pytest

from neuro.graph import Graph
from neuro.learning import EProp, learn
from tests.learning import autodiff
from tests.learning.nets import net, plastic, stimulus, teacher

TOLERANCE = 1e-10  # relative, per tensor norm; sums of a few thousand doubles in another order
RESETS = ("threshold", "adaptive", "zero")


def eprop_gradient(graph: Graph, loss: str, steps: int = 60) -> tuple[dict[str, np.ndarray], int]:
    found = learn(graph, stimulus(graph, steps=steps), teacher(loss, steps=steps))
    grads = {**found.gradient, **{f"bias/{name}": g for name, g in found.bias_gradient.items()}}
    return {k: np.asarray(g) for k, g in grads.items()}, int(sum(n.sum() for n in found.n_spikes.values()))


def autodiff_gradient(graph: Graph, rule: EProp, loss: str, steps: int = 60, cut: bool = True) -> dict[str, np.ndarray]:
    torch_net = autodiff.Net(graph, rule.gamma, cut)
    y, z = torch_net.run(stimulus(graph, steps=steps))
    total = autodiff.loss(y["y"], z, teacher(loss, steps=steps), rule)
    return {k: g.numpy() for k, g in torch_net.gradient(total).items()}


def largest_difference(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> float:
    assert a.keys() == b.keys()
    size = {k: float(np.linalg.norm(b[k])) for k in b}
    assert sum(s > 1e-3 for s in size.values()) >= len(b) - 1, size  # one silent corner of a net may have none
    return max(float(np.linalg.norm(a[k] - b[k])) / (s or 1.0) for k, s in size.items())


@pytest.mark.parametrize("reset", RESETS)
@pytest.mark.parametrize("loss", ["softmax", "regression"])
@pytest.mark.parametrize(("delays", "n_ref", "current"), [(True, 3, False), (False, 0, False), (True, 1, True)])
def test_symmetric_eprop_is_the_derivative_of_the_cut_network(
    reset: str, loss: str, delays: bool, n_ref: int, current: bool
) -> None:
    rule = EProp(rate_reg=50.0, learn_bias=True)
    seed = RESETS.index(reset) + (loss == "softmax")
    graph = plastic(net(seed, reset=reset, delays=delays, n_ref=n_ref, current=current), rule)
    ours, n_spikes = eprop_gradient(graph, loss)
    assert n_spikes > 20
    assert largest_difference(ours, autodiff_gradient(graph, rule, loss)) < TOLERANCE
