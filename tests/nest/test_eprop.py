"""e-prop agrees with NEST: the same network, inputs and targets give the same spikes, losses and learned weights.

NEST's `eprop_iaf_bsshslm_2020`, `eprop_iaf_adapt_bsshslm_2020` and `eprop_readout_bsshslm_2020` with their synapses were written
by others, from the paper and its authors' TensorFlow code. They run in a process of their own (in_nest.py). What a case has to say to
both, and where they part:

- Time. NEST's readout compares the output that holds the spikes of step t with the target of step t; ours sees them at t + 1. A sample of
  T steps in NEST is one of T + 1 here, with the targets one step later and nothing judged at step 0. Step T belongs to no
  sample of NEST: the input "stop" silences the neurons there, else its eligibility would count for the firing rate.
- Filter. NEST filters the eligibility with (1 - kappa), ours with 1: its feedback is ours / (1 - kappa). It is fixed in NEST.
- Rate. NEST divides by T, ours by T + 1: its weight and target of the rate are converted.
- A spike is v >= A in NEST, v > A here. Its t_ref counts the step of the spike: n_ref + 1. Its pseudo-derivative has height and width of its
  own: gamma / v_th and v_th. Every delay is one step, and the reset subtracts v_th: it is an oracle of nothing else.
- A synapse of NEST loses a spike that arrives at the first step of an interval, and one at the second step makes it learn before the last
  error has come. The last three tests here measure these and the threshold; the others keep the inputs silent for two steps.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from neuro.graph import Graph
from neuro.learning import EProp, with_weights
from tests.nest.twin import N_IN, STEPS, Found, Task, evidence, learn_here, learn_in_nest, net, sine_waves

# Largest difference of a weight relative to the largest change of a weight of its projection, and of a loss relative to itself. Weights
# are rounded to grids of 2^-47..2^-44 at each update here, not in NEST: measured, 2e-11 and 3e-13 after six updates.
AGREES = 1e-9


def _before(graph: Graph) -> dict[str, np.ndarray]:
    return {c.name: c.weight for c in graph.projections}


def check(graph: Graph, here: Found, there: Found) -> None:
    """Hold two runs against each other, after showing that there is something to compare."""
    print()
    assert here.spikes.sum((1, 2)).min() >= 10
    assert here.spikes.any(1).sum(1).min() >= 4, "too few neurons fire"
    np.testing.assert_array_equal(here.spikes, there.spikes)
    off = np.abs(here.loss / there.loss - 1).max()
    print(f"spikes {here.spikes.sum((1, 2))}\nloss {here.loss.round(3)}, largest relative difference {off:.1e}")
    assert off <= AGREES
    for name, weight in there.weight.items():
        change, off = np.abs(weight - _before(graph)[name]).max(), np.abs(weight - here.weight[name]).max()
        print(
            f"{name}: {weight.size} weights changed by up to {change:.2e}, differ by {off:.1e}, {off / change:.1e} of it"
        )
        assert change > 1e-3
        assert off <= AGREES * change


SINES = EProp(lr=1e-4, update="episode", feedback="random")
EVIDENCE = replace(SINES, lr=2e-4)
CASES = {
    "sine waves, LIF": ("lif", sine_waves(), SINES),
    "sine waves, ALIF": ("alif", sine_waves(), SINES),
    "sine waves, LIF and ALIF": ("lif alif", sine_waves(), SINES),
    "sine waves, symmetric": ("lif alif", sine_waves(), replace(SINES, feedback="symmetric")),
    "evidence": ("lif alif", evidence(), EVIDENCE),
    "evidence, symmetric": ("lif alif", evidence(), replace(EVIDENCE, feedback="symmetric")),
}


@pytest.mark.parametrize("name", CASES)
def test_spikes_losses_and_weights_agree(name: str, tmp_path: Path) -> None:
    kinds, task, rule = CASES[name]
    graph = net(kinds, task.targets.shape[2], rule)
    here = learn_here(graph, task, rule)
    check(graph, here, learn_in_nest(graph, task, rule, tmp_path))
    if task.loss == "regression":
        assert here.loss[-1] < 0.5 * here.loss[0]
        assert not np.array_equal(here.spikes[0], here.spikes[-1]), "learning did not change what the neurons do"


@pytest.mark.parametrize("n_ref", [0, 4])
def test_other_refractory_periods_agree(n_ref: int, tmp_path: Path) -> None:
    task = sine_waves()
    rule = replace(SINES, lr=2e-5)  # without a refractory period there are so many spikes that a larger one diverges
    graph = net("lif alif", 2, rule, n_ref=n_ref)
    check(graph, learn_here(graph, task, rule), learn_in_nest(graph, task, rule, tmp_path))


def test_regularisation_of_the_rate_agrees(tmp_path: Path) -> None:
    task = sine_waves()
    rule = replace(SINES, rate_reg=2e4, rate_target_hz=40.0)
    graph = net("lif alif", 2, rule)
    here, without = learn_here(graph, task, rule), learn_here(net("lif alif", 2, SINES), task, SINES)
    check(graph, here, learn_in_nest(graph, task, rule, tmp_path))
    assert np.abs(here.weight["lif->alif"] - without.weight["lif->alif"]).max() > 1e-3


def test_batches_agree(tmp_path: Path) -> None:
    task, rule = evidence(), replace(EVIDENCE, update="batch", lr=6e-4)
    graph = net("lif alif", 3, rule)
    check(graph, learn_here(graph, task, rule, per_update=3), learn_in_nest(graph, task, rule, tmp_path, per_update=3))


def _with(task: Task, step: int) -> Task:
    """Return the task with a spike of every input at a step."""
    inputs = task.inputs.copy()
    inputs[:, step] = True
    return replace(task, inputs=inputs)


def test_nest_loses_spikes_that_arrive_at_the_first_step(tmp_path: Path) -> None:
    task = sine_waves()
    graph = net("lif alif", 2, SINES)
    silent, driven = (learn_in_nest(graph, t, SINES, tmp_path) for t in (task, _with(task, 0)))
    np.testing.assert_array_equal(driven.spikes, silent.spikes)
    here, at_first = learn_here(graph, task, SINES), learn_here(graph, _with(task, 0), SINES)
    assert here.spikes[:, 0].sum() == 0
    assert at_first.spikes[:, 0].sum() > 0


def test_nest_learns_without_the_last_error_where_a_spike_arrives_at_the_second_step(tmp_path: Path) -> None:
    task = replace(sine_waves(), inputs=sine_waves().inputs[:1], targets=sine_waves().targets[:1])
    graph = net("lif alif", 2, SINES)
    early, late = (learn_in_nest(graph, task, SINES, tmp_path, flush=step) for step in (1, 2))
    whole, without = learn_here(graph, task, SINES), learn_here(graph, task, SINES, judge_last=False)
    for name in ("in->lif", "in->alif"):
        change = np.abs(whole.weight[name] - _before(graph)[name]).max()
        missing = np.abs(whole.weight[name] - without.weight[name]).max()
        print(f"{name}: the last error makes {missing / change:.1e} of the largest change")
        assert missing > 1e-3 * change
        assert np.abs(late.weight[name] - whole.weight[name]).max() <= AGREES * change
        assert np.abs(early.weight[name] - without.weight[name]).max() <= AGREES * change


def test_at_the_threshold_only_nest_spikes(tmp_path: Path) -> None:
    inputs = np.zeros((1, STEPS, N_IN), bool)
    inputs[0, 5, 0] = True
    task = Task(inputs=inputs, targets=np.zeros((1, STEPS, 2)))
    graph = net("lif", 2, SINES, v_th=0.5)
    reached = graph.projections[0].pre == 0
    counts = []
    for weight in (0.5, 0.5 + 2.0**-30):
        exact = with_weights(graph, {"in->lif": np.where(reached, weight, graph.projections[0].weight)}, {})
        here, there = learn_here(exact, task, SINES), learn_in_nest(exact, task, SINES, tmp_path)
        counts.append((here.spikes[0, 5].sum(), there.spikes[0, 5].sum()))
    assert graph.projections[0].name == "in->lif"
    assert counts == [(0, reached.sum()), (reached.sum(), reached.sum())]
    assert reached.any()
