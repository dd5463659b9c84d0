"""Hold the steps of pair STDP and reward-modulated STDP to the analytic change of weight, their bounds and their locality."""

from __future__ import annotations

import math
from dataclasses import fields
from typing import Any

import numpy as np
import pytest

from neuro.backend import Stimulus, Teacher
from neuro.errors import GraphError
from neuro.graph import Builder, Graph
from neuro.learning import RULES, STDP, RewardSTDP, attach, bounds, make_room, stdp
from neuro.learning.local import Local, Synapses
from neuro.learning.reference import learn

GRID = 2.0**-40
A_PLUS, A_MINUS, TAU_PLUS, TAU_MINUS = 0.01, 0.012, 20.0, 30.0


def made(kind: type[STDP] = STDP, **changed: Any) -> STDP:
    return kind(**{"tau_minus_ms": TAU_MINUS, **changed})


def synapses(n: int, dt_ms: float = 1.0) -> Synapses:
    zeros = np.zeros(n)
    return Synapses(readout=False, alpha=zeros, rho=zeros, beta=zeros, kappa=zeros, filters=(), dt_ms=dt_ms)


def told(
    arrived: np.ndarray, z: np.ndarray, w: np.ndarray, modulator: np.ndarray, signal: np.ndarray | None = None
) -> Local:
    """Return what synapses know at a step; what STDP must not look at is not a number."""
    nothing = np.full_like(w, np.nan)[None]
    none = np.zeros((0, 1, w.size)) if signal is None else signal[:, None]
    return Local(x=arrived[None], z=z[None], psi=nothing, keep=nothing, open=nothing, w=w[None], signal=none,
                 bonus=nothing, modulator=modulator[None])  # fmt: skip


def weights(rule: STDP, sent: list[list[int]], fired: list[list[int]], w: list[float], delay: int = 0, steps: int = 200,
            factor: np.ndarray | None = None, dt_ms: float = 1.0, grid: float = GRID) -> np.ndarray:  # fmt: skip
    """Run synapse k from sender k to neuron k; return its weight after every step, (steps + 1, n), first the start."""
    n = len(w)
    column = synapses(n, dt_ms)
    state, held = stdp.start(rule, column, 1), [np.array(w)]
    low, high = bounds.limits(rule, np.full(n, 100.0), grid, "these", held[0])
    for t in range(steps):
        arrived = np.array([float(t - delay in each) for each in sent])
        z = np.array([float(t in each) for each in fired])
        modulator = np.full(n, np.nan if factor is None else factor[t])
        state, gradient = stdp.step(rule, column, state, told(arrived, z, held[-1], modulator))
        held.append(bounds.settle(held[-1] - rule.lr * gradient[0], low, high, grid))
    return np.array(held)


def window(gap: float, dt_ms: float = 1.0) -> float:
    """Return the change of one pair whose post spike comes `gap` steps after the arrival, of the default parameters."""
    if gap >= 0:
        return A_PLUS * math.exp(-gap * dt_ms / TAU_PLUS)
    return -A_MINUS * math.exp(gap * dt_ms / TAU_MINUS)


# --------------------------------------------------------------------------------------------------------- the window


@pytest.mark.parametrize("dt_ms", [0.1, 1.0, 2.5])
def test_a_pair_of_spikes_changes_the_weight_by_the_exponential_window(dt_ms: float) -> None:
    # Each decay of a step rounds once: at most 60 of them, and the weight once to the grid, by 2**-41.
    gaps = range(-60, 61)
    held = weights(made(), [[100]] * 121, [[100 + gap] for gap in gaps], [0.5] * 121, dt_ms=dt_ms)
    change = held[-1] - held[0]
    wanted = np.array([window(gap, dt_ms) for gap in gaps])
    assert (change[:60] < 0).all() and (change[60:] > 0).all()
    np.testing.assert_allclose(change, wanted, rtol=0, atol=2**-41 + 1e-16)


def test_the_change_comes_with_the_later_spike_of_the_pair_and_acts_one_step_after() -> None:
    held = weights(made(), [[50], [58]], [[58], [50]], [0.5, 0.5])
    assert [np.flatnonzero(np.diff(held[:, k])).tolist() for k in (0, 1)] == [[58], [58]]
    assert held[-1, 0] > 0.5 > held[-1, 1]


def test_a_spike_that_arrives_with_the_neurons_own_counts_as_its_cause() -> None:
    held = weights(made(), [[50]], [[50]], [0.5])
    assert held[-1, 0] == np.rint((0.5 + A_PLUS) / GRID) * GRID


def test_all_pairs_count() -> None:
    sent, fired = [10, 14, 31, 60, 61], [12, 31, 40, 55, 90]
    held = weights(made(), [sent], [fired], [0.5])
    wanted = sum(window(b - a) for a in sent for b in fired)
    assert abs(wanted) > 0.003
    assert abs(held[-1, 0] - 0.5 - wanted) < 10 * 2**-41 + 1e-15  # ten spikes, each rounds to the grid once at most


@pytest.mark.parametrize("delay", [1, 7, 62])
def test_a_delay_shifts_the_window(delay: int) -> None:
    gaps = range(-40, 41)
    at_once = weights(made(), [[80]] * 81, [[80 + gap] for gap in gaps], [0.5] * 81)
    late = weights(made(), [[80 - delay]] * 81, [[80 + gap] for gap in gaps], [0.5] * 81, delay=delay)
    assert np.ptp(at_once[-1]) > 0.02
    assert (late == at_once).all()


# ------------------------------------------------------------------------------------------- bounds, weight dependence


def noise(n: int, steps: int, rate: float, seed: int) -> list[list[int]]:
    rng = np.random.default_rng(seed)
    return [np.flatnonzero(row).tolist() for row in rng.random((n, steps)) < rate]


@pytest.mark.parametrize(("bound", "mu"), [("hard", 0.0), ("hard", 0.4), ("soft", 0.0), ("hard", 1.0)])
@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (-1.0, 0.0), (-0.3, 0.7)])
def test_weights_stay_on_the_grid_and_in_their_bounds(bound: str, mu: float, low: float, high: float) -> None:
    grid = 2.0**-20  # coarse: -0.3 and 0.7 are no multiples of it
    rule = made(lr=30.0, w_min=low, w_max=high, bounds=bound, mu_plus=mu, mu_minus=mu)
    first = np.rint(np.linspace(low + grid, high - grid, 20) / grid) * grid
    held = weights(rule, noise(20, 400, 0.1, 1), noise(20, 400, 0.1, 2), first.tolist(), steps=400, grid=grid)
    assert (held == np.rint(held / grid) * grid).all()
    assert low <= held.min() < low + grid and high - grid < held.max() <= high  # the bounds were met
    assert np.count_nonzero(np.diff(held, axis=0)) > 400


def test_hard_bounds_cut_and_soft_bounds_slow_down() -> None:
    # Ten pairs, each far from the others, potentiate.
    sent, fired = [[20 * k for k in range(1, 11)]] * 2, [[20 * k + 2 for k in range(1, 11)]] * 2
    quick = {"tau_plus_ms": 1.0, "tau_minus_ms": 1.0, "a_plus": 1.0, "a_minus": 1.0, "lr": 0.5}
    step = 0.5 * math.exp(-2.0)
    hard = weights(made(**quick), sent, fired, [0.0, 0.875], steps=240)[-1]
    soft = weights(made(bounds="soft", **quick), sent, fired, [0.0, 0.875], steps=240)[-1]
    assert hard[1] == 1.0 and abs(hard[0] - 10 * step) < 1e-6  # other pairs are 18 steps apart: exp(-18) is 1.5e-8
    np.testing.assert_allclose(1.0 - soft, np.array([1.0, 0.125]) * (1.0 - step) ** 10, rtol=1e-6)


@pytest.mark.parametrize("mu", [0.0, 0.25, 0.5, 1.0])
def test_a_change_depends_on_the_weight_by_its_power(mu: float) -> None:
    w = [0.0, 0.125, 0.5, 0.875, 1.0]
    up = weights(made(mu_plus=mu, mu_minus=1.0), [[50]] * 5, [[55]] * 5, w)[-1] - w
    down = weights(made(mu_plus=1.0, mu_minus=mu), [[55]] * 5, [[50]] * 5, w)[-1] - w
    room = np.array([(1 - x) ** mu for x in w])
    wanted_up, wanted_down = (
        np.minimum(window(5) * room, 1 - np.array(w)),
        np.maximum(window(-5) * room[::-1], -np.array(w)),
    )
    assert (up[:4] > 0).all() and (down[1:] < 0).all()
    np.testing.assert_allclose(up, wanted_up, rtol=0, atol=2**-41 + 1e-16)
    np.testing.assert_allclose(down, wanted_down, rtol=0, atol=2**-41 + 1e-16)


def test_soft_bounds_are_multiplicative_weight_dependence() -> None:
    sent, fired = noise(5, 300, 0.1, 3), noise(5, 300, 0.1, 4)
    one = weights(made(bounds="soft"), sent, fired, [0.5] * 5, steps=300)
    other = weights(made(mu_plus=1.0, mu_minus=1.0), sent, fired, [0.5] * 5, steps=300)
    assert np.ptp(one[-1]) > 0 and (one == other).all()


def test_weights_beyond_the_bounds_and_parameters_out_of_range_are_refused() -> None:
    with pytest.raises(GraphError, match=r"these: weight out of bounds \(got 1.5 at 1, 1 in all; need 0.0..1.0\)"):
        weights(made(), [[1]] * 2, [[1]] * 2, [0.5, 1.5])
    with pytest.raises(GraphError, match=r"these: weight out of bounds \(got 0.5 at 0, 1 in all; need -1.0..0.0\)"):
        weights(made(w_min=-1.0, w_max=0.0), [[1]], [[1]], [0.5])
    with pytest.raises(GraphError, match=r"rule 'stdp': w_min out of range \(got 1.0; need < w_max = 1.0\)"):
        made(w_min=1.0)
    with pytest.raises(
        GraphError, match=r"rule 'reward_stdp': tau_reward out of range \(got 0.5; need >= 1 sample; 0: no mean"
    ):
        made(RewardSTDP, tau_reward=0.5)


# ------------------------------------------------------------------------------------------------------ third factors


def test_without_reward_no_weight_changes_by_a_bit() -> None:
    rule = made(RewardSTDP, lr=1e3)
    sent, fired, first = noise(9, 300, 0.1, 5), noise(9, 300, 0.1, 6), [k / 16 + GRID for k in range(9)]
    held = weights(rule, sent, fired, first, steps=300, factor=np.zeros(300))
    assert (held == np.array(first)).all()
    moved = weights(rule, sent, fired, first, steps=300, factor=np.ones(300))
    assert (moved[-1] != first).all()


@pytest.mark.parametrize("reward", [1.0, -1.0, 0.25])
def test_reward_times_eligibility_is_the_change(reward: float) -> None:
    # The pair is complete at step 50, the reward comes at step 130: the eligibility has decayed for 80 steps.
    gaps = range(-20, 21)
    factor = np.zeros(200)
    factor[130] = reward
    sent = [[50 - max(gap, 0)] for gap in gaps]
    fired = [[50 + min(gap, 0)] for gap in gaps]
    held = weights(made(RewardSTDP), sent, fired, [0.5] * 41, factor=factor)
    wanted = np.array([reward * window(gap) * math.exp(-80 / 500) for gap in gaps])
    assert np.flatnonzero(np.diff(held[:, 0])).tolist() == [130]
    assert (np.sign(held[-1] - 0.5) == np.sign(wanted)).all() and (wanted != 0).all()
    np.testing.assert_allclose(held[-1] - 0.5, wanted, rtol=0, atol=2**-41 + 1e-16)


def test_an_error_works_on_each_neuron_alone_and_against_its_sign() -> None:
    rule, w, ones = made(RewardSTDP, factor="supervised"), np.full(3, 0.5), np.ones(3)
    column = synapses(3)
    signal = np.array([[0.5, 0.0, -0.5], [0.25, 0.0, 0.25]])  # two filters, which add
    _, gradient = stdp.step(rule, column, stdp.start(rule, column, 1), told(ones, ones, w, np.full(3, np.nan), signal))
    assert gradient.tolist() == [[0.75 * A_PLUS, 0.0, -0.25 * A_PLUS]]  # the weight moves against it


# ----------------------------------------------------------------------------------------------------------- locality


def test_a_synapse_sees_its_own_arrivals_its_own_neuron_and_the_factor_only() -> None:
    # Everything is redrawn but what synapse 3 sees; it asks for the same change by the same bits.
    rule, n = made(RewardSTDP, mu_plus=0.5, mu_minus=0.5), 12
    column = synapses(n)

    def run(seed: int) -> np.ndarray:
        rng, own = np.random.default_rng(seed), np.random.default_rng(0)
        state, gradients = stdp.start(rule, column, 1), []
        for _ in range(150):
            arrived, z, w, factor = rng.random(n), rng.random(n), rng.random(n), rng.normal(size=n)
            arrived[3], z[3], w[3], factor[3] = own.random() < 0.2, own.random() < 0.2, own.random(), own.normal()
            state, gradient = stdp.step(rule, column, state, told(arrived, z, w, factor))
            gradients.append(gradient[0])
        return np.array(gradients)

    one, other = run(1), run(2)
    assert (one[:, 3] == other[:, 3]).all() and np.count_nonzero(one[:, 3]) > 100
    others = np.arange(n) != 3
    assert (one[:, others] != other[:, others]).all()


def test_a_step_changes_none_of_its_arguments() -> None:
    rule, column, ones = made(RewardSTDP), synapses(3), np.ones(3)
    state = {name: np.ones((1, 3)) for name in ("pre", "post", "e")}
    local = told(ones.copy(), ones.copy(), 0.5 * ones, ones.copy())
    before = [np.array(a) for a in (*state.values(), *(getattr(local, f.name) for f in fields(local)))]
    new, gradient = stdp.step(rule, column, state, local)
    after = [*state.values(), *(getattr(local, f.name) for f in fields(local))]
    assert (gradient != 0).all() and all((new[name] != state[name]).all() for name in state)
    assert all(np.array_equal(a, b, equal_nan=True) for a, b in zip(before, after, strict=True))
    assert {"stdp", "reward_stdp"} <= RULES.keys()


# ---------------------------------------------------------------------------------------------------- in a whole network


def pairing(rule: STDP, delay: int = 3) -> Graph:
    """Return two inputs: one whose spikes make the neuron spike at once, and one that learns and is too weak to."""
    b = Builder()
    b.spike_input("strong", 1)
    b.spike_input("weak", 1)
    b.lif("n", 1, tau_m_ms=0.0)
    b.li("y", 1, tau_out_ms=0.0)
    b.connect("strong", "n", weight=8.0)
    b.connect("weak", "n", weight=0.5, delay=delay, name="learns")
    b.connect("n", "y", weight=2.0)
    signal = "y" if rule.needs_signal else None
    return make_room(attach(b.build(), rule, ["learns"], signal))[0]


def spikes(strong: list[list[int]], weak: list[list[int]], steps: int = 60) -> Stimulus:
    dense = np.zeros((2, len(strong), steps, 1), bool)
    for k, trains in enumerate((strong, weak)):
        for sample, times in enumerate(trains):
            dense[k, sample, times, 0] = True
    return Stimulus.dense({"strong": dense[0], "weak": dense[1]})


def teacher(batch: int, reward: dict[tuple[int, int], float], mask: float = 0.0, steps: int = 60) -> Teacher:
    told = np.zeros((batch, steps))
    for at, r in reward.items():
        told[at] = r
    return Teacher(loss="none", target=np.zeros((batch, steps, 0)), mask=np.full((batch, steps), mask), reward=told)


def test_in_a_network_the_pre_trace_sees_the_spike_when_it_arrives() -> None:
    # Sent at 20, it arrives at 23; the neuron spikes at 30, and in the second sample at 21: after and before.
    learned = learn(pairing(made()), spikes([[30], [21]], [[20], [20]]), teacher(2, {}), trajectory_every=1)
    w = learned.trajectory["learns"][:, :, 0]
    assert learned.n_spikes["n"].tolist() == [[1], [1]] and learned.n_updates == {"learns": 2}
    assert np.flatnonzero(np.diff(w.ravel())).tolist() == [29, 60 + 22]  # the value after step 30, and after step 23
    np.testing.assert_allclose([w[0, -1] - 0.5, w[1, -1] - w[0, -1]], [window(7), window(-2)], rtol=0, atol=1e-14)
    assert learned.graph.projections_to("n")[1].weight[0] == w[1, -1]


def test_in_a_network_the_mean_reward_is_taken_off_and_kept() -> None:
    rule = made(RewardSTDP, tau_reward=2.0, baseline=0.25)
    graph = pairing(rule)
    reward = teacher(2, {(0, 40): 12.0, (1, 40): 24.0}, mask=1.0)
    learned = learn(graph, spikes([[30], [30]], [[20], [20]]), reward, trajectory_every=1)
    e = np.array([window(7) * math.exp(-k / 500) for k in range(30)])  # of steps 30 .. 59
    baselines = [0.25, 0.25 + (12 / 60 - 0.25) / 2]
    for sample, (base, r) in enumerate(zip(baselines, (12.0, 24.0), strict=True)):
        w = learned.trajectory["learns"][sample, :, 0]
        assert abs(w[-1] - w[0] - (r * e[10] - base * e.sum())) < 1e-12, sample
        assert abs(w[-1] - w[0]) > 0.01
    held = graph.projections_to("n")[1].plasticity, learned.graph.projections_to("n")[1].plasticity
    assert [p.parameters["baseline"] for p in held if p] == [0.25, baselines[1] + (24 / 60 - baselines[1]) / 2]
