"""Reward-modulated STDP solves a task: tell three Poisson patterns apart, from nothing but the reward of a choice.

Task: 30 inputs, of which each pattern excites another 10 (100 Hz, the others 5 Hz), for 40 ms; 3 LIF neurons that inhibit one another, each
read by one unit of a leaky readout. At the last step a choice is drawn from the softmax of the readout: right +1, wrong -1.
Criterion, fixed before the runs that count: of 300 patterns shown, at least 90 % of the last 60 choices are right (chance: 33 %),
for each of three seeds, which draw weights, patterns, spikes and choices.
"""

from __future__ import annotations

import numpy as np
import pytest

from neuro import seeds
from neuro.backend import Learned, Stimulus, Teacher
from neuro.graph import Builder, Graph
from neuro.learning import RewardSTDP, attach, make_room
from neuro.learning.reference import learn

N_CLASSES, N_INPUTS, ACTIVE, STEPS = 3, 30, 10, 40
N_TRIALS, N_JUDGED, CRITERION = 300, 60, 0.9


def network(seed: int) -> Graph:
    """Return inputs -> neurons that compete -> readout; the first projection learns."""
    b = Builder(seed=seed)
    b.spike_input("in", N_INPUTS)
    b.lif("n", N_CLASSES, tau_m_ms=10.0, n_ref=3)
    b.li("y", N_CLASSES, tau_out_ms=50.0)
    b.connect("in", "n", weight=lambda rng, n: rng.uniform(0.05, 0.15, n), name="learns")
    b.connect("n", "n", weight=-2.0 * (1 - np.eye(N_CLASSES)))
    b.connect("n", "y", weight=4.0 * np.eye(N_CLASSES))
    rule = RewardSTDP(w_min=0.05, w_max=0.25, bounds="soft", a_plus=0.01, a_minus=0.008, tau_e_ms=100.0)
    return make_room(attach(b.build(), rule, ["learns"], "y"))[0]


def trials(seed: int, n: int, pays: bool = True) -> tuple[Stimulus, Teacher]:
    """Return patterns in random order and what rewards their choice; pays = False: another pattern's choice is paid."""
    rng = seeds.stream(seed, "trials")
    rate_hz = np.full((N_CLASSES, N_INPUTS), 5.0)
    for k, excited in enumerate(np.split(rng.permutation(N_INPUTS), N_CLASSES)):
        rate_hz[k, excited] = 100.0
    label = rng.integers(0, N_CLASSES, n)
    spikes = rng.random((n, STEPS, N_INPUTS)) < rate_hz[label, None] * 1e-3
    last = np.zeros((n, STEPS), bool)
    last[:, -1] = True
    chance = rng.random((n, STEPS))
    paid = label if pays else rng.permutation(label)
    target = np.repeat(np.eye(N_CLASSES)[paid][:, None], STEPS, axis=1)
    teacher = Teacher(
        loss="reward", target=target, mask=last.astype(float), choose=last, chance=chance, right=1.0, wrong=-1.0
    )
    return Stimulus.dense({"in": spikes}), teacher


def right(learned: Learned, teacher: Teacher) -> np.ndarray:
    """Return whether each choice was the paid one."""
    return learned.action[:, -1] == teacher.target[:, -1].argmax(axis=1)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_three_patterns_are_told_apart_by_reward_alone(seed: int) -> None:
    stimulus, teacher = trials(seed, N_TRIALS)
    learned = learn(network(seed), stimulus, teacher)
    found = right(learned, teacher)
    rate_hz = learned.n_spikes["n"].mean() * 1000 / STEPS
    print(f"seed {seed}: first 20 {found[:20].mean():.2f}, last 60 {found[-N_JUDGED:].mean():.3f}, {rate_hz:.0f} Hz")
    assert (learned.reward[:, -1] == np.where(found, 1.0, -1.0)).all()
    assert found[-N_JUDGED:].mean() >= CRITERION


def test_a_reward_that_does_not_follow_the_choice_teaches_nothing() -> None:
    stimulus, teacher = trials(1, N_TRIALS, pays=False)
    learned = learn(network(1), stimulus, teacher)
    assert sum(learned.n_updates.values()) > 0
    assert right(learned, teacher)[-N_JUDGED:].mean() < 0.6
