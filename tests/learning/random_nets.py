"""Random nets that learn, with every feature that a rule has to do with, and what teaches them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st

from neuro.backend import Stimulus, Teacher
from neuro.graph import ALIF, LI, LIF, RESETS, CurrentInput, Graph, Projection, SpikeInput, to_grid
from neuro.learning import FEEDBACKS, UPDATES, EProp, RewardEProp, attach, make_room


class Case(NamedTuple):
    """A graph with rules, its stimulus and its teacher."""

    graph: Graph
    stimulus: Stimulus
    teacher: Teacher


@st.composite
def cases(draw: st.DrawFn, reward: bool = False) -> Case:
    """Draw a net of one or two neuron populations of odd sizes, a readout (and a value), rules, inputs, targets."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1), label="seed"))
    rule = draw(rules(reward))
    current = draw(st.booleans(), label="current")
    source: Any = CurrentInput(name="in", size=5, u_max=2.0) if current else SpikeInput(name="in", size=5)
    sizes = draw(st.lists(st.integers(1, 19), min_size=1, max_size=2), label="sizes")
    neurons = [_neurons(draw, f"n{k}", size, rng) for k, size in enumerate(sizes)]
    readouts = [_readout("y", 3, draw(st.booleans(), label="kappas differ"), rng)]
    readouts += [_readout("value", 1, False, rng)] if reward else []
    far = draw(st.sampled_from([1, 4, 40]), label="longest delay")
    one_way = rule.feedback != "symmetric"
    projections: list[Projection] = []
    for target in neurons:
        projections.append(_projection(f"in>{target.name}", source, target, (0, far), rng, 0.4))
        projections += [_projection(f"{p.name}>{target.name}", p, target, (1, far + 1), rng, 0.2) for p in neurons]
    for y in readouts:
        delays = (2, 3) if one_way else (1, far + 1)
        projections += [_projection(f"{p.name}>{y.name}", p, y, delays, rng, 0.4, every=True) for p in neurons]
    if draw(st.booleans(), label="parallel synapses"):
        projections.append(_projection("in>n0 again", source, neurons[0], (0, 2), rng, 0.3))
    graph = to_grid(Graph(populations=(source, *neurons, *readouts), projections=tuple(projections)))[0]
    graph = attach(graph, rule, signal="y")
    if draw(st.booleans(), label="a fixed projection"):
        graph = replace(graph, projections=(replace(graph.projections[0], plasticity=None), *graph.projections[1:]))
    batch, steps = draw(st.integers(1, 3), label="batch"), draw(st.sampled_from([1, 31, 33, 80]), label="steps")
    return Case(make_room(graph)[0], _stimulus(graph, batch, steps, rng), _teacher(draw, reward, batch, steps, rng))


@st.composite
def rules(draw: st.DrawFn, reward: bool) -> EProp:
    """Draw a rule with a learning rate small enough that weights stay within their bounds."""
    chosen: dict[str, Any] = {
        "update": draw(st.sampled_from(UPDATES)),
        "feedback": draw(st.sampled_from(FEEDBACKS)),
        "feedback_decay": draw(st.sampled_from([0.0, 0.01])),
        "filter": draw(st.booleans(), label="filter"),
        "rate_reg": draw(st.sampled_from([0.0, 30.0])),
        "learn_bias": draw(st.booleans(), label="learn bias"),
        "lr": 1e-3,
    }
    if reward:
        return RewardEProp(value="value", entropy=draw(st.sampled_from([0.0, 0.1])), **chosen)
    return EProp(**chosen)


def _neurons(draw: st.DrawFn, name: str, size: int, rng: np.random.Generator) -> LIF:
    """Draw neurons; their constants differ from neuron to neuron, or are one for all."""
    n = size if draw(st.booleans(), label="constants differ") else 1
    one = lambda low, high: np.resize(rng.uniform(low, high, n), size)  # noqa: E731
    parts: dict[str, Any] = {
        "name": name,
        "size": size,
        "alpha": one(0.85, 0.97),
        "v_th": one(0.4, 0.8),
        "bias": rng.normal(0.02, 0.03, size),
        "n_ref": np.resize(rng.integers(0, 4, n), size),
        "reset": draw(st.sampled_from(RESETS)),
    }
    if draw(st.booleans(), label="adaptive"):
        return ALIF(rho=one(0.9, 0.99), beta=one(0.05, 0.4), **parts)
    return LIF(**parts)


def _readout(name: str, size: int, differ: bool, rng: np.random.Generator) -> LI:
    kappa = np.resize(rng.uniform(0.8, 0.95, size if differ else 1), size)
    return LI(name=name, size=size, kappa=kappa, bias=rng.normal(0, 0.1, size))


def _projection(
    name: str,
    source: Any,
    target: Any,
    delays: tuple[int, int],
    rng: np.random.Generator,
    scale: float,
    every: bool = False,
) -> Projection:
    """Join some pairs, some of them twice; every: each sender to each target once, so that errors find a way."""
    n = source.size * target.size if every else rng.integers(1, source.size * target.size + 2)
    pairs = np.arange(n) if every else rng.integers(0, source.size * target.size, n)
    return Projection(
        name=name, source=source.name, target=target.name, pre=pairs // target.size, post=pairs % target.size,
        weight=rng.normal(scale / 3, scale, n), delay=rng.integers(*delays, n),
    )  # fmt: skip


def _stimulus(graph: Graph, batch: int, steps: int, rng: np.random.Generator) -> Stimulus:
    values = rng.random((batch, steps, 5)) < 0.25
    if isinstance(graph.inputs[0], CurrentInput):
        return Stimulus.dense({"in": np.rint(rng.normal(0.3, 0.5, values.shape).clip(-2, 2) * 256) / 256 * values})
    return Stimulus.dense({"in": values.astype(np.uint8)})


def _teacher(draw: st.DrawFn, reward: bool, batch: int, steps: int, rng: np.random.Generator) -> Teacher:
    shape = (batch, steps)
    loss = "reward" if reward else draw(st.sampled_from(["softmax", "regression"]))
    target = rng.normal(0, 1, (*shape, 3)) if loss == "regression" else np.eye(3)[rng.integers(0, 3, shape)]
    mask = np.ones(shape)
    if draw(st.booleans(), label="masked"):
        mask = rng.integers(0, 3, shape) * (np.arange(steps) % 50 > 9)
    return Teacher(
        loss=loss, target=target, mask=mask, reward=rng.normal(0, 0.1, shape), choose=reward & (rng.random(shape) < 0.2),
        chance=rng.random(shape),
    )  # fmt: skip
