"""Small nets that fit the tasks, untrained: what they answer is chance, that they agree is not."""

from __future__ import annotations

from neuro.graph import Builder, Graph
from neuro.tasks import Task, make

DIGITS = {"steps_per_pixel": 1, "cue_steps": 8, "decision_steps": 4}


def digits_task() -> Task:
    """Return `digits` at 72 steps a sample."""
    return make("digits", **DIGITS)


def digits_graph(*, grid: bool = True, n_out: int = 10, n_in: int | None = None, dt_ms: float = 1.0) -> Graph:
    """Return an untrained net of 12 LIF and 8 ALIF neurons for `digits_task`."""
    b = Builder(dt_ms=dt_ms, name="untrained", seed=1)
    b.spike_input("in", n_in or digits_task().n_in)
    b.lif("lif", 12, n_ref=3)
    b.alif("alif", 8, tau_a_ms=200.0, beta=0.3, n_ref=3)
    b.li("out", n_out)
    for target in ("lif", "alif"):
        b.connect("in", target, weight=lambda rng, n: rng.normal(0.2, 0.3, n), p=0.5)
        for source in ("lif", "alif"):
            b.connect(source, target, weight=lambda rng, n: rng.normal(0.0, 0.3, n), p=0.5, delay=(1, 5))
    for source in ("lif", "alif"):
        b.connect(source, "out", weight=lambda rng, n: rng.normal(0.0, 0.3, n))
    return b.build(grid=grid)
