"""Hold small graphs made by hand, for the conformance suite and for tests: one of each semantics, and some worked out."""

from __future__ import annotations

import numpy as np

from neuro.graph import Builder, Graph


def example(*, grid: bool = True) -> Graph:
    """Return a small graph with every kind of population."""
    b = Builder(name="example", seed=5)
    b.spike_input("in", 3)
    b.current_input("cur", 2)
    b.lif("lif", 8, tau_m_ms=np.linspace(5, 30, 8), n_ref=2)
    b.alif("alif", 5, tau_a_ms=60.0, beta=0.3, n_ref=1, reset="adaptive", bias=0.01)
    b.li("out", 2)
    b.connect("in", "lif", weight=lambda rng, n: rng.normal(0.5, 0.3, n), delay=(0, 3))
    b.connect("cur", "alif", weight=lambda rng, n: rng.normal(0.6, 0.3, n), delay=(0, 2))
    b.connect("lif", "alif", weight=lambda rng, n: rng.normal(0.4, 0.4, n), p=0.6, delay=(1, 9))
    b.connect("alif", "lif", weight=lambda rng, n: rng.normal(0.1, 0.4, n), p=0.6, delay=(1, 9))
    b.connect("lif", "out", weight=lambda rng, n: rng.normal(0.0, 0.4, n), delay=(1, 2))
    return b.build(grid=grid)


def integer_example() -> Graph:
    """Return a small integer graph with every kind of population."""
    b = Builder(name="integer example", seed=6)
    b.spike_input("in", 3)
    b.int_lif("lif", 8, d_v=np.arange(100, 900, 100), v_th=2000, n_ref=2, d_u=1024)
    b.int_alif("alif", 5, d_v=200, v_th=1500, d_a=64, bump=30000, n_ref=1, reset="adaptive", bias=900)
    b.ahp("ahp", 4, d_v=200, v_th=2000, d_x=40, w_x=-9000)
    b.int_li("out", 2, d_y=200)
    b.connect("in", "lif", weight=lambda rng, n: rng.integers(100, 255, n), delay=(0, 3), exponent=3)
    b.connect("in", "ahp", weight=lambda rng, n: rng.integers(-50, 255, n), delay=(0, 3), exponent=3)
    b.connect("lif", "alif", weight=lambda rng, n: rng.integers(-30, 120, n) * 2, p=0.6, delay=(1, 9), exponent=3)
    b.connect("alif", "lif", weight=lambda rng, n: rng.integers(-255, 1, n), p=0.6, delay=(1, 62))
    b.connect("ahp", "alif", weight=lambda rng, n: rng.integers(-99, 99, n), p=0.8, delay=(1, 9), exponent=2)
    b.connect("lif", "out", weight=lambda rng, n: rng.integers(-255, 255, n), delay=(1, 2), exponent=-3)
    return b.build()


EXAMPLES = {"float": example, "integer": integer_example}
"""What makes the example of each semantics."""


def relay(semantics: str, delays: list[int], longest: int) -> Graph:
    """Return a neuron that repeats what it gets after each of `delays`, for two readouts, 1 and `longest` steps later."""
    b = Builder()
    b.spike_input("in", 1)
    if semantics == "float":
        b.lif("relay", 1, tau_m_ms=0.0, v_th=0.5)
        b.li("out", 2, tau_out_ms=0.0)
    else:
        b.int_lif("relay", 1, d_v=4095, v_th=1)
        b.int_li("out", 2, d_y=4095)
    b.connect("in", "relay", weight=2, pre=[0] * len(delays), post=[0] * len(delays), delay=delays)
    b.connect("relay", "out", weight=[1, 2], pre=[0, 0], post=[0, 1], delay=[1, longest])
    return b.build()


def driven(reset: str, semantics: str = "float") -> Graph:
    """Return six neurons under strong constant drive with refractory periods of 0..5 steps."""
    b = Builder()
    b.spike_input("in", 1)
    if semantics == "float":
        b.alif("n", 6, tau_m_ms=10.0, tau_a_ms=2.0, beta=0.1, n_ref=np.arange(6), reset=reset)
    else:
        b.int_alif("n", 6, d_v=400, v_th=1, d_a=1600, bump=6, n_ref=np.arange(6), reset=reset)
    b.connect("in", "n", weight=4)
    return b.build()


def fading() -> Graph:
    """Return a neuron whose membrane is halved in every step, below its threshold."""
    b = Builder()
    b.spike_input("in", 1)
    b.lif("n", 1, tau_m_ms=1 / np.log(2), v_th=1.5)
    b.connect("in", "n", weight=0.75)
    return b.build()
