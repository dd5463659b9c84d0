"""DEEP R keeps what it promises: the count, the signs, Dale's law, no influence of dormant entries, uniform rewiring."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from neuro.errors import NeuroError
from neuro.seeds import stream
from neuro.train import DeepR, DeepRConfig, Matrix, dale_signs

SHAPES = {"w_in": (7, 20), "w_rec": (20, 20), "w_out": (20, 4)}
OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "sgd": partial(torch.optim.SGD, lr=0.05),
    "momentum": partial(torch.optim.SGD, lr=0.05, momentum=0.9),
    "adam": partial(torch.optim.Adam, lr=0.01),
    "adamw": partial(torch.optim.AdamW, lr=0.01, weight_decay=0.1, amsgrad=True),
    "rmsprop": partial(torch.optim.RMSprop, lr=0.01),
    "adagrad": partial(torch.optim.Adagrad, lr=0.05),
}


def wrapped(
    optimizer: str = "adam", seed: int = 0, signs: torch.Tensor | None = None, **config: object
) -> tuple[dict[str, torch.nn.Parameter], DeepR]:
    """Return parameters of three matrices and DEEP R around their optimiser."""
    weights = {
        name: torch.nn.Parameter(torch.from_numpy(stream(seed, name).standard_normal(shape)))
        for name, shape in SHAPES.items()
    }
    matrices = [Matrix(name, w, None if name == "w_in" else signs) for name, w in weights.items()]
    settings_ = {"mode": "hard", "connectivity": 0.2, "l1": 0.05, **config}
    made = OPTIMIZERS[optimizer](weights.values())
    return weights, DeepR(made, matrices, DeepRConfig(**settings_), partial(stream, seed))  # type: ignore[arg-type]


def push(weights: dict[str, torch.nn.Parameter], wired: DeepR, seed: int, steps: int = 1) -> None:
    """Take steps on random gradients, dormant entries included."""
    for k in range(steps):
        for name, w in weights.items():
            w.grad = torch.from_numpy(stream(seed, f"{name}/{k}").standard_normal(w.shape))
        wired.step()


def signs_of(weights: dict[str, torch.nn.Parameter]) -> dict[str, torch.Tensor]:
    return {name: torch.sign(w.detach()).clone() for name, w in weights.items()}


@settings(max_examples=25)
@given(
    seed=st.integers(0, 2**31),
    optimizer=st.sampled_from(sorted(OPTIMIZERS)),
    connectivity=st.floats(0.02, 1.0),
    temperature=st.sampled_from([0.0, 1e-3]),
    l1=st.floats(0, 0.5),
)
def test_the_count_equals_the_budget_after_every_step(seed, optimizer, connectivity, temperature, l1):
    weights, wired = wrapped(optimizer, seed, connectivity=connectivity, temperature=temperature, l1=l1)
    assert wired.budget == round(620 * connectivity)
    for k in range(8):
        assert sum(int((w != 0).sum()) for w in weights.values()) == wired.n_active == wired.budget
        push(weights, wired, seed + k)


@pytest.mark.parametrize("optimizer", sorted(OPTIMIZERS))
@pytest.mark.parametrize("mode", ["hard", "soft"])
def test_no_sign_flips_while_active_and_rewiring_happens(optimizer, mode):
    weights, wired = wrapped(optimizer, mode=mode, temperature=1e-2)
    fixed = [s.clone() for s in wired.sign]
    died = born = 0
    for k in range(60):
        before = signs_of(weights)
        push(weights, wired, k)
        for name, now in signs_of(weights).items():
            assert torch.all(now * before[name] >= 0)
            died += int(((before[name] != 0) & (now == 0)).sum())
            born += int(((before[name] == 0) & (now != 0)).sum())
        assert all(torch.equal(a, b) for a, b in zip(fixed, wired.sign, strict=True))
    assert died > 20
    assert born > 20


def test_dales_law_holds_for_a_neurons_recurrent_and_readout_weights():
    signs = dale_signs(20, 0.75, stream(0, "dale"))
    assert int((signs > 0).sum()) == 15
    weights, wired = wrapped(signs=signs)
    for k in range(40):
        push(weights, wired, k)
        for name in ("w_rec", "w_out"):
            assert torch.all(weights[name] * signs >= 0)
    assert (weights["w_in"] > 0).any()
    assert (weights["w_in"] < 0).any()


@pytest.mark.parametrize("optimizer", sorted(OPTIMIZERS))
def test_gradients_of_dormant_entries_have_no_influence(optimizer):
    """Two runs that differ only in dormant entries' gradients stay the same."""
    runs = []
    for noise in (0.0, 100.0):
        weights, wired = wrapped(optimizer)
        for k in range(30):
            for name, w in weights.items():
                grad = torch.from_numpy(stream(1, f"{name}/{k}").standard_normal(w.shape))
                w.grad = torch.where(w == 0, noise * grad, grad)
            wired.step()
        runs.append(weights)
    for name in SHAPES:
        assert torch.equal(runs[0][name], runs[1][name])
    assert (runs[0]["w_rec"] == 0).any()


def test_deterministic_without_temperature_and_seeded_with_it():
    for temperature in (0.0, 0.01):
        first, second = (wrapped(temperature=temperature) for _ in range(2))
        push(*first, seed=5, steps=20)
        push(*second, seed=5, steps=20)
        assert all(torch.equal(first[0][n], second[0][n]) for n in SHAPES)
    other = wrapped(temperature=0.01, seed=1)
    push(*other, seed=5, steps=20)
    assert not torch.equal(other[0]["w_rec"], first[0]["w_rec"])


def test_reactivation_is_uniform_over_dormant_entries_and_shared_by_size():
    """All connections die at once, so the budget is drawn anew: chi-square over entries and over matrices."""
    hits = np.zeros(620)
    rounds = 600
    for k in range(rounds):
        weights, wired = wrapped("sgd", seed=k, l1=1000.0, connectivity=0.1)
        push(weights, wired, seed=k)
        hits += np.concatenate([(w.detach() != 0).numpy().ravel() for w in weights.values()])
    assert hits.sum() == rounds * wired.budget
    sizes = np.array([int(np.prod(s)) for s in SHAPES.values()])
    shares = np.add.reduceat(hits, np.r_[0, sizes.cumsum()[:-1]])
    assert stats.chisquare(shares, hits.sum() * sizes / 620).pvalue > 1e-3
    # each entry is a coin with p = 0.1: variance rounds p (1 - p), not rounds p
    statistic = ((hits - rounds * 0.1) ** 2 / (rounds * 0.1 * 0.9)).sum()
    assert 1e-3 < stats.chi2.sf(statistic, 619) < 1 - 1e-3


def test_new_connections_start_small_with_the_mean_second_moment():
    weights, wired = wrapped("adam", l1=20.0)
    push(weights, wired, seed=0, steps=3)
    w = weights["w_rec"]
    state = wired.optimizer.state[w]
    born = w.detach().abs() == 1e-12
    assert born.sum() > 5
    old = (w != 0) & ~born
    assert torch.all(state["exp_avg"][w == 0] == 0)
    assert torch.all(state["exp_avg"][born] == 0)
    assert state["exp_avg_sq"][old].min() > 0
    assert torch.allclose(state["exp_avg_sq"][born], state["exp_avg_sq"][old].mean())


def test_one_hard_step_follows_the_paper():
    """SGD on one matrix at T = 0: theta - lr (dE/dtheta + l1), deaths where that is <= 0, births of 1e-12."""
    w = torch.nn.Parameter(torch.from_numpy(stream(0, "w").standard_normal((30, 30))))
    wired = DeepR(
        torch.optim.SGD([w], lr=0.1),
        [Matrix("w", w)],
        DeepRConfig(mode="hard", connectivity=0.5, l1=0.2),
        partial(stream, 0),
    )
    before, sign = w.detach().clone(), wired.sign[0]
    grad = torch.from_numpy(stream(0, "g").standard_normal((30, 30)))
    w.grad = grad.clone()
    wired.step()
    theta = sign * before - 0.1 * (sign * grad + 0.2)
    lived = (before != 0) & (theta > 0)
    assert torch.allclose((sign * w.detach())[lived], theta[lived], rtol=0, atol=1e-15)
    born = (w.detach() != 0) & ~lived
    assert int(born.sum()) == 450 - int(lived.sum()) > 0
    assert torch.all((sign * w.detach())[born] == 1e-12)


def test_start_keeps_the_variance_of_inputs():
    w = torch.nn.Parameter(torch.from_numpy(stream(0, "w").standard_normal((300, 300))))
    DeepR(
        torch.optim.SGD([w], lr=0.1), [Matrix("w", w)], DeepRConfig(mode="hard", connectivity=0.12), partial(stream, 0)
    )
    assert w.detach().square().mean().item() == pytest.approx(1.0, rel=0.05)


def test_soft_connections_walk_back_by_temperature_alone():
    cold, hot = wrapped(mode="soft"), wrapped(mode="soft", temperature=0.01)
    for weights, wired in (cold, hot):
        start = [w.detach() != 0 for w in weights.values()]
        push(weights, wired, seed=3, steps=30)
        now = [w.detach() != 0 for w in weights.values()]
        born = sum(int((b & ~a).sum()) for a, b in zip(start, now, strict=True))
        assert (born > 0) == (wired.config.temperature > 0)
        assert min(float(t.min()) for t in wired.theta) >= wired.config.theta_min
    assert hot[1].n_active != hot[1].budget


def test_restore_continues_exactly():
    weights, wired = wrapped("adam", temperature=1e-3)
    push(weights, wired, seed=0, steps=5)
    tensors, counters = wired.state()
    tensors = {name: t.clone() for name, t in tensors.items()}
    held = {name: w.detach().clone() for name, w in weights.items()}
    moments = deepcopy(wired.optimizer.state_dict())
    other, again = wrapped("adam", temperature=1e-3)
    again.optimizer.load_state_dict(moments)
    again.restore(tensors, counters)
    with torch.no_grad():
        for name, w in other.items():
            w.copy_(held[name])
    push(weights, wired, seed=9, steps=5)
    push(other, again, seed=9, steps=5)
    assert all(torch.equal(weights[n], other[n]) for n in SHAPES)


def test_wrong_use_is_named():
    w = torch.nn.Parameter(torch.ones(3, 3))
    other = torch.nn.Parameter(torch.ones(3, 3))
    with pytest.raises(NeuroError, match="matrix 'w' is not among the optimizer's parameters"):
        DeepR(torch.optim.SGD([other], lr=0.1), [Matrix("w", w)], DeepRConfig(mode="hard"), partial(stream, 0))
    with pytest.raises(NeuroError, match=r"nothing to do \(got mode 'off'"):
        DeepR(torch.optim.SGD([w], lr=0.1), [Matrix("w", w)], DeepRConfig(), partial(stream, 0))
    with pytest.raises(NeuroError, match=r"no connection \(got connectivity 0.01 of 9 entries; need a budget"):
        DeepR(
            torch.optim.SGD([w], lr=0.1),
            [Matrix("w", w)],
            DeepRConfig(mode="hard", connectivity=0.01),
            partial(stream, 0),
        )
