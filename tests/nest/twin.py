"""Learn one task in neuro's golden model and in NEST; what is written in test_eprop.py says why the two are given different numbers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuro.backend import Stimulus, Teacher
from neuro.graph import ALIF, Builder, Graph, Projection
from neuro.graph.reference import simulate
from neuro.learning import EProp, Learner, attach, make_room, sgd, with_weights
from neuro.learning.reference import learn
from neuro.learning.signals import softmax

FloatArray = NDArray[np.float64]

N_IN, STEPS, SAMPLES = 10, 120, 6
N_LIF, N_ALIF = 6, 6
TAU_M_MS, TAU_OUT_MS, V_TH = 20.0, 15.0, 0.6
TAU_A_MS = np.linspace(30.0, 90.0, N_ALIF)
IN_NEST = Path(__file__).with_name("in_nest.py")


@dataclass(frozen=True, kw_only=True)
class Task:
    """Inputs (samples, steps, inputs), targets (samples, steps, K), the loss, and how many last steps are judged."""

    inputs: NDArray[np.bool_]
    targets: FloatArray
    loss: str = "regression"
    window: int = STEPS


@dataclass(frozen=True, kw_only=True)
class Found:
    """What learning gave: spikes (samples, steps, neurons), the loss of each sample, the last weights by projection."""

    spikes: NDArray[np.bool_]
    loss: FloatArray
    weight: dict[str, FloatArray]


def sine_waves() -> Task:
    """Two sums of sine waves from frozen noise, as in NEST's example; the same in each sample."""
    rng = np.random.default_rng(1)
    t = np.arange(STEPS) / STEPS
    waves = [0.3 * np.sin(2 * np.pi * (f * t + rng.random())) + 0.2 * np.sin(4 * np.pi * f * t) for f in (1, 2)]
    return Task(inputs=_noise(rng, 1).repeat(SAMPLES, 0), targets=np.stack(waves, -1)[None].repeat(SAMPLES, 0))


def evidence() -> Task:
    """Tell which third of the inputs fired most; judged in the last 30 steps."""
    rng = np.random.default_rng(2)
    label = rng.integers(0, 3, SAMPLES)
    favoured = np.arange(N_IN) % 3 == label[:, None]
    inputs = _noise(rng, SAMPLES) & (favoured[:, None] | (rng.random((SAMPLES, STEPS, N_IN)) < 0.4))
    targets = np.eye(3)[label][:, None].repeat(STEPS, 1)
    return Task(inputs=inputs, targets=targets, loss="softmax", window=30)


def _noise(rng: np.random.Generator, samples: int) -> NDArray[np.bool_]:
    inputs = rng.random((samples, STEPS, N_IN)) < 0.15
    inputs[:, :2] = False
    return inputs


def net(kinds: str, k: int, rule: EProp, *, n_ref: int = 2, v_th: float = V_TH) -> Graph:
    """Return a recurrent net of "lif", "alif" or "lif alif", all of whose synapses learn but those that stop it."""
    b = Builder(seed=3)
    b.spike_input("in", N_IN)
    b.spike_input("stop", 1)
    populations = kinds.split()
    for p in populations:
        if p == "lif":
            b.lif(p, N_LIF, tau_m_ms=TAU_M_MS, v_th=v_th, n_ref=n_ref)
        else:
            beta = np.linspace(0.1, 0.5, N_ALIF)
            b.alif(p, N_ALIF, tau_m_ms=TAU_M_MS, tau_a_ms=TAU_A_MS, beta=beta, v_th=v_th, n_ref=n_ref)
    b.li("out", k, tau_out_ms=TAU_OUT_MS)
    learning = []
    for p in populations:
        learning += [b.connect("in", p, weight=lambda rng, n: rng.normal(0.1, 0.4, n), p=0.8)]
        learning += [b.connect(q, p, weight=lambda rng, n: rng.normal(0.0, 0.3, n), p=0.6) for q in populations]
        learning += [b.connect(p, "out", weight=lambda rng, n: rng.normal(0.0, 0.1, n))]
        b.connect("stop", p, weight=-16.0)
    return make_room(attach(b.build(), rule, learning))[0]


def learn_here(graph: Graph, task: Task, rule: EProp, *, per_update: int = 1, judge_last: bool = True) -> Found:
    """Learn with the golden model, sample by sample; with update "batch" by gradient descent on the mean of so many samples.

    judge_last: count the error of the last step too.
    """
    samples, steps, n_in = task.inputs.shape
    inputs = {"in": np.zeros((samples, steps + 1, n_in), bool), "stop": np.zeros((samples, steps + 1, 1), bool)}
    inputs["in"][:, :-1], inputs["stop"][:, -1] = task.inputs, True
    target = np.concatenate([np.zeros_like(task.targets[:, :1]), task.targets], 1)
    mask = np.zeros((samples, steps + 1))
    mask[:, -task.window :] = 1
    mask[:, -1] = judge_last
    rasters, outputs = [], []
    for first in range(0, samples, per_update):
        rows = slice(first, first + per_update)
        batch = {name: values[rows] for name, values in inputs.items()}
        traces = simulate(graph, batch)
        rasters.append(np.concatenate([traces[p.name]["z"][:, :-1] for p in graph.neurons], -1) == 1)
        teacher = Teacher(loss=task.loss, target=target[rows], mask=mask[rows])
        learned = learn(graph, Stimulus.dense(batch), teacher)
        outputs.append(learned.y["out"][:, 1:])
        graph = learned.graph
        if rule.update == "batch":
            mean = {name: g / per_update for name, g in learned.gradient.items()}
            graph = _moved(graph, sgd(mean, rule.lr))
    y = np.concatenate(outputs)
    y = softmax(y) if task.loss == "softmax" else y
    return Found(
        spikes=np.concatenate(rasters), loss=losses(y, task), weight={c.name: c.weight for c in graph.projections}
    )


def _moved(graph: Graph, change: dict[str, FloatArray]) -> Graph:
    """Return the graph with changed weights, on its grid."""
    weight = {}
    for c in graph.projections:
        if c.plasticity is not None:
            grid = graph.population(c.target).grid
            weight[c.name] = np.rint((c.weight + change[c.name]) / grid) * grid
    return with_weights(graph, weight, {})


def losses(y: FloatArray, task: Task) -> FloatArray:
    """Return the loss of each sample from outputs, or probabilities, (samples, steps, K)."""
    y, targets = y[:, -task.window :], task.targets[:, -task.window :]
    each = -targets * np.log(y) if task.loss == "softmax" else (y - targets) ** 2 / 2
    return np.asarray(each.sum((1, 2)))


def learn_in_nest(graph: Graph, task: Task, rule: EProp, folder: Path, *, per_update: int = 1, flush: int = 6) -> Found:
    """Learn the same in a process with NEST, whose recurrent neurons are those of all populations in a row.

    flush: the step after the last sample at which every synapse carries a spike, and so takes its last change.
    """
    case, names = _case(graph, task)
    longer = (STEPS + 1) / STEPS
    settings = {
        "loss": task.loss, "window": task.window, "batch": per_update, "lr": rule.lr, "gamma": rule.gamma, "tau_out_ms": TAU_OUT_MS,
        "c_reg": rule.rate_reg / longer**2, "f_target_hz": rule.rate_target_hz * longer, "symmetric": rule.feedback == "symmetric",
        "flush": flush,
    }  # fmt: skip
    np.savez(folder / "case.npz", settings=json.dumps(settings), **case)
    command = [sys.executable, str(IN_NEST), str(folder / "case.npz"), str(folder / "found.npz")]
    env = {**os.environ, "PYNEST_QUIET": "1"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, env=env, check=False)
    assert done.returncode == 0, f"{done.stdout[-2000:]}{done.stderr[-4000:]}\nWithout NEST: make nest"
    with np.load(folder / "found.npz") as held:
        found = {name: held[name] for name in held.files}
    weight = {}
    for group, held_names in names.items():
        ends = np.cumsum([len(_projection(graph, name).pre) for name in held_names])
        weight.update(zip(held_names, np.split(found[group], ends[:-1]), strict=True))
    return Found(spikes=found["spikes"], loss=losses(found["y"], task), weight=weight)


def _case(graph: Graph, task: Task) -> tuple[dict[str, Any], dict[str, list[str]]]:
    """Return the arrays that in_nest.py reads, and the projections in each of its three groups of synapses."""
    sizes = [p.size for p in graph.neurons]
    first = dict(zip((p.name for p in graph.neurons), np.cumsum([0, *sizes[:-1]]).tolist(), strict=True))
    learning = [c for c in graph.projections if c.plasticity is not None]
    groups = {
        "in": [c for c in learning if c.source == "in"],
        "rec": [c for c in learning if c.source in first and c.target in first],
        "out": [c for c in learning if c.target == "out"],
    }
    case: dict[str, Any] = {"inputs": task.inputs.astype(np.uint8), "targets": task.targets}
    for group, found in groups.items():
        case[f"{group}_pre"] = np.concatenate([c.pre + first.get(c.source, 0) for c in found])
        case[f"{group}_post"] = np.concatenate([c.post + first.get(c.target, 0) for c in found])
        case[f"{group}_weight"] = np.concatenate([c.weight for c in found])
    for name in ("v_th", "n_ref"):
        case[name] = np.concatenate([getattr(p, name) for p in graph.neurons])
    adapts = np.concatenate([np.full(p.size, isinstance(p, ALIF)) for p in graph.neurons])
    case["beta"] = np.where(adapts, np.concatenate([getattr(p, "beta", np.zeros(p.size)) for p in graph.neurons]), 0.0)
    case["tau_m_ms"] = np.full(sum(sizes), TAU_M_MS)
    case["tau_a_ms"] = np.concatenate([TAU_A_MS if isinstance(p, ALIF) else np.ones(p.size) for p in graph.neurons])
    n_out = task.targets.shape[2]
    drawn = Learner(graph).feedback  # empty if symmetric: in_nest.py then takes the readout's weights
    feedback = [drawn.get(f"{p.name}/out", np.zeros((n_out, p.size))) for p in graph.neurons]
    case["feedback"] = np.concatenate(feedback, 1).T / (1 - np.exp(-1 / TAU_OUT_MS))
    return case, {group: [c.name for c in found] for group, found in groups.items()}


def _projection(graph: Graph, name: str) -> Projection:
    return next(c for c in graph.projections if c.name == name)
