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


def integer_digits_graph(*, n_out: int = 10) -> Graph:
    """Return an untrained integer net of 12 IntLIF and 8 AHP neurons for `digits_task`; some of its sums are clipped."""
    b = Builder(name="untrained integer", seed=1)
    b.spike_input("in", digits_task().n_in)
    b.int_lif("lif", 12, d_v=200, v_th=2000, n_ref=2, d_u=1024)
    b.ahp("ahp", 8, d_v=200, v_th=1500, d_x=40, w_x=-9000)
    b.int_li("out", n_out, d_y=200)
    for target in ("lif", "ahp"):
        b.connect("in", target, weight=lambda rng, n: rng.integers(-60, 255, n), p=0.5, exponent=2)
        for source in ("lif", "ahp"):
            b.connect(source, target, weight=lambda rng, n: rng.integers(-120, 120, n), p=0.5, delay=(1, 5), exponent=1)
    b.connect("lif", "out", weight=lambda rng, n: rng.integers(-127, 128, n) * 2, exponent=7)
    b.connect("ahp", "out", weight=lambda rng, n: rng.integers(-127, 128, n) * 2, exponent=7)
    return b.build()
