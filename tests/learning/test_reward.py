"""Reward-based e-prop: the derivative of its surrogate, the critic's fixed point, and a choice that is learned."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

import neuro
from neuro.backend import Stimulus, Teacher
from neuro.graph import Graph
from neuro.learning import RewardEProp, attach, make_room, prepare, reference, signals
from neuro.learning.reference import learn
from tests.learning import autodiff

TOLERANCE = 1e-10
STEPS = 60


def net(seed: int, reset: str = "threshold", far: Any = (1, 3)) -> Graph:
    """Return 4 inputs -> 4 LIF + 4 ALIF, recurrent -> a policy of 3 actions with one kappa, a value with another."""
    rng = np.random.default_rng(seed)
    b = neuro.Builder(seed=seed)
    b.spike_input("in", 4)
    b.lif("lif", 4, v_th=0.6, n_ref=2, reset=reset)
    b.alif("alif", 4, tau_a_ms=60.0, v_th=0.6, beta=rng.uniform(0.05, 0.3, 4), n_ref=1, reset=reset)
    b.li("policy", 3, tau_out_ms=8.0)
    b.li("value", 1, tau_out_ms=15.0)
    draw = lambda scale: lambda rng, n: rng.normal(0.1, scale, n)  # noqa: E731
    for p in ("lif", "alif"):
        b.connect("in", p, weight=draw(0.5), delay=(0, 2))
        for q in ("lif", "alif"):
            b.connect(p, q, weight=draw(0.3), delay=far)
        b.connect(p, "policy", weight=draw(0.4), delay=far)
        b.connect(p, "value", weight=draw(0.4), delay=far)
    return b.build()


def plastic(graph: Graph, rule: RewardEProp) -> Graph:
    return make_room(attach(graph, rule, signal="policy"))[0]


def episode(seed: int = 0, batch: int = 2) -> tuple[Stimulus, Teacher]:
    """Return inputs, and a teacher that rewards one of three actions now and then, and gives other rewards at other steps."""
    rng = np.random.default_rng(seed)
    u = Stimulus.dense({"in": (rng.random((batch, STEPS, 4)) < 0.25).astype(np.uint8)})
    told = Teacher(
        loss="reward",
        target=np.eye(3)[rng.integers(0, 3, (batch, STEPS))],
        mask=np.ones((batch, STEPS)),
        reward=rng.normal(0, 0.3, (batch, STEPS)) * (rng.random((batch, STEPS)) < 0.2),
        choose=rng.random((batch, STEPS)) < 0.3,
        chance=rng.random((batch, STEPS)),
        right=1.0,
        wrong=-0.5,
    )
    return u, told


def surrogate(y: torch.Tensor, v: torch.Tensor, z: autodiff.Tensors, found: Any, rule: RewardEProp) -> torch.Tensor:
    """Return - sum_t delta(t) sum_{s<=t} discount^(t-s) (log pi_a(s) + c_V V(s)) - c_H H, delta constant, and the rate's loss."""
    r, action = torch.tensor(found.reward), torch.tensor(found.action)
    value = v[:, :, 0]
    later = torch.cat([value[:, 1:], torch.zeros(len(value), 1)], 1)
    delta = (r + rule.discount * later - value).detach()
    log_pi = torch.log_softmax(y, -1)
    chosen = (action >= 0).double()
    log_a = log_pi.gather(-1, action.clamp(min=0)[:, :, None])[:, :, 0] * chosen
    gain = log_a + rule.value_cost * value
    total = torch.zeros(())
    for t in range(y.shape[1]):
        weights = rule.discount ** torch.arange(t, -1, -1, dtype=torch.float64)
        total = total - (delta[:, t] * (gain[:, : t + 1] * weights).sum(1)).sum()
    total = total - rule.entropy * (-(log_pi.exp() * log_pi).sum(-1) * chosen).sum()
    for spikes in z.values():
        total = total + rule.rate_reg / 2 * ((spikes.mean(1) - rule.rate_target_hz / 1000) ** 2).sum()
    return total


@pytest.mark.parametrize("reset", ["threshold", "adaptive", "zero"])
@pytest.mark.parametrize("feedback", ["symmetric", "random"])
def test_it_is_the_derivative_of_its_surrogate_in_the_cut_network(reset: str, feedback: str) -> None:
    rule = RewardEProp(value="value", discount=0.9, entropy=0.2, rate_reg=20.0, learn_bias=True, feedback=feedback)
    graph = plastic(net(1, reset, (1, 3) if feedback == "symmetric" else 1), rule)
    u, told = episode()
    found = learn(graph, u, told)
    assert (found.action >= 0).sum() > 10 and len(set(found.action.ravel().tolist())) >= 3
    torch_net = autodiff.Net(graph, rule.gamma, feedback=prepare(graph).feedback)
    y, z = torch_net.run(u)
    assert sum(float(s.detach().sum()) for s in z.values()) > 50
    assert np.array_equal(found.y["value"], y["value"].detach().numpy())
    theirs = torch_net.gradient(surrogate(y["policy"], y["value"], z, found, rule))
    ours = {**found.gradient, **{f"bias/{p}": g for p, g in found.bias_gradient.items()}}
    for key, g in ours.items():
        if feedback == "random" and key.split("->")[-1].removeprefix("bias/") in ("policy", "value"):
            continue  # there the way forward was replaced too
        wanted = theirs[key].numpy()
        assert np.linalg.norm(wanted) > 1e-3, key
        assert np.linalg.norm(g - wanted) / np.linalg.norm(wanted) < TOLERANCE, key


def test_actions_are_drawn_by_chance_and_rewarded_by_the_target() -> None:
    y = np.log(np.array([[0.2, 0.5, 0.3]] * 5))
    chance = np.array([[0.1], [0.2 + 1e-9], [0.69], [0.71], [1.0]])
    told = Teacher(
        loss="reward", target=np.tile([0.0, 1.0, 0.0], (5, 1, 1)), mask=np.ones((5, 1)), chance=chance,
        choose=np.array([[True]] * 4 + [[True]]), reward=np.full((5, 1), 0.25), right=2.0, wrong=-1.0,
    )  # fmt: skip
    action = signals.act(told, y, 0)
    assert action.tolist() == [0, 1, 1, 2, 2]
    assert signals.reward(told, action, 0).tolist() == [-0.75, 2.25, 2.25, -0.75, -0.75]
    silent = replace(told, choose=np.zeros((5, 1), bool))
    assert signals.act(silent, y, 0).tolist() == [-1] * 5
    assert signals.reward(silent, np.full(5, -1), 0).tolist() == [0.25] * 5


def test_the_errors_are_derivatives() -> None:
    rng = np.random.default_rng(0)
    y, action = rng.normal(0, 1, (4, 3)), np.array([0, 2, 1, -1])
    leaf = torch.tensor(y, requires_grad=True)
    log_pi = torch.log_softmax(leaf, -1)
    (policy,) = torch.autograd.grad(-sum(log_pi[i, a] for i, a in enumerate(action[:3])), leaf, retain_graph=True)
    (entropy,) = torch.autograd.grad((log_pi.exp() * log_pi)[:3].sum(), leaf)
    np.testing.assert_allclose(signals.policy_error(y, action), policy.numpy(), rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(signals.entropy_error(y, action), entropy.numpy(), rtol=1e-12, atol=1e-15)
    assert np.abs(signals.entropy_error(y, action)[:3]).max() > 0.01


@pytest.mark.parametrize("update", ["episode", "step"])
def test_online_and_after_the_episode_add_up_to_the_same(update: str) -> None:
    """With lr -> 0 all that changes is when: the sum of steps is the gradient of the whole."""
    rule = RewardEProp(value="value", entropy=0.1, lr=0.0)
    u, told = episode(3, batch=1)
    whole = learn(plastic(net(2), rule), u, told)
    plan = prepare(plastic(net(2), replace(rule, update=update)))
    now = reference.start(plan, 1, plan.weight, plan.feedback)
    for t in range(STEPS):
        now = reference.step(plan, now, {"in": u.dense_input(plan.graph, "in")[:, t]}, told)
    now = reference.finish(plan, now)
    for key, g in whole.gradient.items():
        assert np.linalg.norm(g) > 0
        assert np.array_equal(now.gradient[key][0], g)


def cue_net() -> Graph:
    b = neuro.Builder(seed=0)
    b.spike_input("in", 2)
    b.lif("z", 20, v_th=0.5, n_ref=1)
    b.li("policy", 2, tau_out_ms=5.0)
    b.li("value", 1, tau_out_ms=5.0)
    b.connect("in", "z", weight=lambda rng, n: rng.normal(0.4, 0.3, n))
    b.connect("z", "policy", weight=lambda rng, n: rng.normal(0, 0.05, n))
    b.connect("z", "value", weight=lambda rng, n: rng.normal(0, 0.05, n))
    return b.build()


def choices(rule: RewardEProp, n: int, steps: int = 15) -> np.ndarray:
    """Return which of n choices were right: one of two cues shows which of two arms pays 1; the other pays nothing."""
    rng = np.random.default_rng(1)
    cue = rng.integers(0, 2, n)
    s = (rng.random((n, steps, 2)) < 0.6) * (np.arange(2) == cue[:, None])[:, None, :]
    target = np.repeat(np.eye(2)[cue][:, None], steps, 1)
    choose = np.tile(np.arange(steps) == steps - 1, (n, 1))
    told = Teacher(loss="reward", target=target, mask=np.ones((n, steps)), choose=choose, chance=rng.random((n, steps)))
    found = learn(plastic(cue_net(), rule), Stimulus.dense({"in": s.astype(np.uint8)}), told)
    right: np.ndarray = found.action[:, -1] == cue
    assert np.array_equal(found.reward[:, -1] == 1, right)
    assert found.n_spikes["z"].sum() > 500
    return right


def test_a_choice_between_two_arms_is_learned() -> None:
    rule = RewardEProp(value="value", update="episode", lr=5e-3, discount=0.9)
    by_chance, learned = choices(replace(rule, lr=0.0), 100), choices(rule, 250)
    assert 0.35 < by_chance.mean() < 0.65
    assert learned[-100:].mean() > 0.9  # 0.93 measured; actions are still drawn at random from pi


def test_the_value_becomes_the_discounted_return() -> None:
    """A reward of 1 at every step: V(t) = (1 - discount^(T-t)) / (1 - discount), learned by its own readout from one input a step."""
    steps, discount = 8, 0.7
    b = neuro.Builder()
    b.spike_input("in", steps)  # channel t fires at step t: the state is known
    b.lif("z", 1)
    b.li("policy", 2, tau_out_ms=1.0)
    b.li("value", 1, tau_out_ms=0.0)
    b.connect("in", "z", weight=0.0)
    b.connect("in", "value", weight=0.0)
    b.connect("z", "policy", weight=0.0)
    rule = RewardEProp(value="value", update="step", lr=0.2, discount=discount, value_cost=1.0)
    graph = make_room(attach(b.build(), rule, ["in->value"], signal="policy"))[0]
    n = 300
    told = Teacher(loss="reward", target=np.zeros((n, steps, 2)), mask=np.ones((n, steps)), reward=np.ones((n, steps)))
    found = learn(graph, Stimulus.dense({"in": np.tile(np.eye(steps, dtype=np.uint8), (n, 1, 1))}), told)
    wanted = (1 - discount ** (steps - np.arange(steps))) / (1 - discount)
    assert np.abs(found.y["value"][0]).max() == 0
    np.testing.assert_allclose(found.y["value"][-1, :, 0], wanted, rtol=1e-6)
