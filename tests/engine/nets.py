"""Nets for the tests of the engine."""

from __future__ import annotations

import numpy as np

from neuro.backend import Stimulus
from neuro.backend.conformance import draw_stimulus
from neuro.graph import Builder, Graph


def lively(n: int = 40, *, grid: bool = True) -> Graph:
    """Return a net of all float kinds and resets that spikes at some 100 Hz, with delays 1..7 and 2 readouts."""
    b = Builder(name="lively", seed=5)
    b.spike_input("in", 6)
    b.current_input("u", 2)
    b.lif("threshold", n, bias=0.02, n_ref=2)
    b.alif(
        "adaptive",
        n,
        bias=np.linspace(0.0, 0.06, n),
        beta=0.2,
        tau_a_ms=100.0,
        reset="adaptive",
        n_ref=np.arange(n) % 4,
    )
    b.alif("zero", n, bias=0.04, beta=0.1, reset="zero", n_ref=3)
    b.li("out", 2, tau_out_ms=10.0)
    names = ("threshold", "adaptive", "zero")
    for target in names:
        b.connect("in", target, weight=lambda rng, k: rng.normal(0.3, 0.2, k), p=0.5, delay=(0, 3))
        b.connect("u", target, weight=lambda rng, k: rng.normal(0.1, 0.1, k), p=0.5)
        for source in names:
            b.connect(source, target, weight=lambda rng, k: rng.normal(0.05, 0.2, k), fan_in=min(8, n), delay=(1, 7))
        b.connect(target, "out", weight=lambda rng, k: rng.normal(0.0, 0.3, k))
    return b.build(grid=grid)


def drive(graph: Graph, batch: int = 3, steps: int = 120) -> Stimulus:
    """Return random spikes and currents."""
    return draw_stimulus(graph, batch, steps, 7)
