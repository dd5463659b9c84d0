"""Print what a step costs on Lava in fixed point: our own Processes against the stock LIF, Sparse and DelaySparse.

    python benchmarks/lava_fixed_point.py

120 integrate-and-fire neurons in integers, 80 inputs, 12 % of all pairs connected, 50 samples side by side, and one; with delays of
one step, which stock Sparse has, and of 1..10 steps, which need DelaySparse. Spikes must be equal. The time of stock nets includes
reading u and v after every step, and not the building, which each of their runs needs again. Starts Lava's environment by itself.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from neuro.backend import Stimulus, get
from neuro.graph import Builder, Graph

N, N_IN, STEPS = 120, 80, 100


def main() -> None:
    """Measure each net in turn and print the table."""
    print(f"lava, fixed point: {N} neurons, {STEPS} steps")
    for longest in (1, 10):
        graph = net(longest)
        for batch in (1, 50):
            own, stock = measure(graph, batch, stock=False), measure(graph, batch, stock=True)
            assert own["spikes"] == stock["spikes"], "both must send the same spikes"
            assert 2 < own["rate"] < 60, own["rate"]
            print(
                f"  delays 1..{longest:<2} {batch:3} samples, {own['rate']:.0f} Hz: own {own['ms']:6.2f} ms a step, stock "
                f"{stock['ms']:7.2f} ms a step; a run of stock with its building {stock['whole_s']:.1f} s"
            )


def measure(graph: Graph, batch: int, *, stock: bool) -> dict[str, Any]:
    """Run a net three times; return ms a step of the best run, seconds of a whole run, rate and spikes."""
    rng = np.random.default_rng(1)
    stimulus = Stimulus.dense({"in": (rng.random((batch, STEPS, N_IN)) < 0.02).astype(np.uint8)})
    program = get("lava", stock=stock).compile(graph)
    runs, walls = [], []
    try:
        for _ in range(3):
            begun = time.perf_counter()
            runs.append(program.run(stimulus))
            walls.append(time.perf_counter() - begun)
    finally:
        program.close()
    best = min(run.wall_time_s for run in runs)
    n_spikes = len(runs[0].spikes["lif"])
    return {
        "ms": 1000 * best / (STEPS + 1),
        "whole_s": min(walls),
        "rate": 1000 * n_spikes / (N * batch * STEPS),
        "spikes": runs[0].spikes["lif"],
    }


def net(longest: int) -> Graph:
    """Return a recurrent net that can be stock altogether."""
    rng = np.random.default_rng(3)
    b = Builder(name="step", seed=3)
    b.spike_input("in", N_IN)
    b.int_lif("lif", N, d_v=200, v_th=1000)
    for source, n, mean, first in (("in", N_IN, 40, 0), ("lif", N, 0, 1)):
        pairs = rng.random((n, N)) < 0.12
        weight = np.rint(rng.normal(mean, 30, pairs.shape)).astype(int) * 2 * pairs
        b.connect(source, "lif", weight=weight, delay=(first, max(first, longest - 1 + first)), exponent=2)
    return b.build()


if __name__ == "__main__":
    main()
