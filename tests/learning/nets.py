"""Small random nets that spike, and their stimuli and teachers."""

from __future__ import annotations

from typing import Any

import numpy as np

import neuro
from neuro.backend import Stimulus, Teacher
from neuro.graph import Graph
from neuro.learning import EProp, Rule, attach, make_room

STEPS = 60


def net(
    seed: int = 0,
    *,
    reset: str = "threshold",
    delays: bool = True,
    n_ref: int = 2,
    current: bool = False,
    grid: bool = True,
) -> Graph:
    """Return inputs -> 4 LIF and 4 ALIF, recurrent within and between, -> a readout of 3 units with different kappas."""
    rng = np.random.default_rng(seed)
    b = neuro.Builder(seed=seed)
    b.current_input("in", 4, u_max=2.0) if current else b.spike_input("in", 4)
    b.lif(
        "lif",
        4,
        tau_m_ms=rng.uniform(10, 30, 4),
        v_th=rng.uniform(0.5, 0.8, 4),
        n_ref=n_ref,
        reset=reset,
        bias=rng.normal(0, 0.03, 4),
    )
    b.alif(
        "alif",
        4,
        tau_m_ms=rng.uniform(10, 30, 4),
        tau_a_ms=rng.uniform(30, 90, 4),
        v_th=0.6,
        beta=rng.uniform(0.05, 0.3, 4),
        n_ref=n_ref,
        reset=reset,
    )
    b.li("y", 3, tau_out_ms=(8.0, 8.0, 20.0), bias=rng.normal(0, 0.1, 3))
    draw = lambda scale: lambda rng, n: rng.normal(0.1, scale, n)  # noqa: E731
    far = (1, 4) if delays else 1
    for p in ("lif", "alif"):
        b.connect("in", p, weight=draw(0.5), p=0.8, delay=(0, 3) if delays else 0)
        for q in ("lif", "alif"):
            b.connect(p, q, weight=draw(0.4), p=0.6, delay=far)
        b.connect(p, "y", weight=draw(0.5), p=0.8, delay=far)
    # parallel synapses of one pair
    b.connect("in", "lif", weight=[0.2, 0.3], pre=[0, 0], post=[1, 1], delay=[0, 2], name="more")
    return b.build(grid=grid)


def plastic(graph: Graph, rule: Rule | None = None, **choice: Any) -> Graph:
    """Attach a rule everywhere, with room to learn."""
    return make_room(attach(graph, rule or EProp(**choice), signal="y"))[0]


def stimulus(graph: Graph, batch: int = 2, steps: int = STEPS, seed: int = 5) -> Stimulus:
    """Return random input at about 200 Hz a channel."""
    rng = np.random.default_rng(seed)
    values = rng.random((batch, steps, 4)) < 0.2
    if isinstance(graph.inputs[0], neuro.CurrentInput):
        return Stimulus.dense({"in": np.rint(rng.normal(0.2, 0.5, values.shape).clip(-2, 2) * 256) / 256})
    return Stimulus.dense({"in": values.astype(np.uint8)})


def teacher(loss: str, batch: int = 2, steps: int = STEPS, seed: int = 6, k: int = 3, **more: Any) -> Teacher:
    """Return random targets; the last third is judged twice as much as the middle, the first not at all."""
    rng = np.random.default_rng(seed)
    target = rng.normal(0, 1, (batch, steps, k))
    if loss != "regression":
        target = np.eye(k)[rng.integers(0, k, (batch, steps))]
    mask = np.repeat([0.0, 1.0, 2.0], -(-steps // 3))[:steps]
    return Teacher(loss=loss, target=target, mask=np.tile(mask, (batch, 1)), **more)
