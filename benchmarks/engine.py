"""Time the engine against the golden model, and against itself as the net grows, for both semantics: ratios, all from one run.

Run: python benchmarks/engine.py. Work of an event-driven engine grows with spikes times fan-out: with fan-out and rate held,
twice the neurons take twice the time, and not four times.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np

from neuro.backend import Record, Stimulus, get
from neuro.graph import Builder, Graph, integer_decay
from neuro.graph import decay as decay_factor

STEPS, BATCH, FAN_OUT, INPUT_HZ = 500, 8, 26, 40.0
REPEATS = 5


def net(n: int) -> Graph:
    """Return n neurons, half of them adaptive, with 26 synapses each and delays 1..10, driven by 80 inputs."""
    b = Builder(seed=1, name=f"{n} neurons")
    b.spike_input("in", 80)
    b.lif("lif", n // 2, n_ref=5)
    b.alif("alif", n // 2, tau_a_ms=200.0, beta=0.05, n_ref=5)
    for target in ("lif", "alif"):
        b.connect("in", target, weight=lambda rng, k: rng.normal(0.16, 0.1, k), p=0.12)
        for source in ("lif", "alif"):
            b.connect(source, target, weight=lambda rng, k: rng.normal(0, 0.1, k), p=FAN_OUT / n, delay=(1, 10))
    return b.build()


def integer_net(n: int) -> Graph:
    """Return the same net in integers: weights and thresholds of `net` times 64000, in mantissas of exponent 2."""
    b = Builder(seed=1, name=f"{n} integer neurons")
    d_v, d_a = (int(integer_decay(decay_factor(tau, 1.0))) for tau in (20.0, 200.0))
    b.spike_input("in", 80)
    b.int_lif("lif", n // 2, d_v=d_v, v_th=1000, n_ref=5, reset="threshold")
    b.int_alif("alif", n // 2, d_v=d_v, v_th=1000, d_a=d_a, bump=3200, n_ref=5, reset="threshold")

    def mantissas(mean: float) -> Callable[[np.random.Generator, int], np.ndarray]:
        return lambda rng, k: np.clip(np.rint(250 * rng.normal(mean, 0.1, k)), -255, 255)

    for target in ("lif", "alif"):
        b.connect("in", target, weight=mantissas(0.16), p=0.12, exponent=2)
        for source in ("lif", "alif"):
            b.connect(source, target, weight=mantissas(0), p=FAN_OUT / n, delay=(1, 10), exponent=2)
    return b.build()


def drive() -> Stimulus:
    """Return Poisson spikes for every input."""
    spikes = np.random.default_rng(0).random((BATCH, STEPS, 80)) < INPUT_HZ / 1000
    return Stimulus.dense({"in": spikes})


def median_s(call: Callable[[], object], repeats: int = REPEATS) -> float:
    """Return the median time of some calls after one that is not counted."""
    call()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def table(make: Callable[[int], Graph], stimulus: Stimulus) -> None:
    """Print one line a size."""
    last = 0.0
    for n in (200, 400, 800, 1600, 3200):
        graph = make(n)
        program = get("engine").compile(graph)
        result = program.run(stimulus)
        rate = sum(result.rate_hz(p.name) * p.size for p in graph.neurons) / n
        seconds = median_s(lambda: program.run(stimulus, Record(spikes=False)))  # noqa: B023  (called at once)
        text = f"{n:5d} neurons, {rate:4.1f} Hz: {1000 * seconds:7.1f} ms"
        if last:
            text += f", {seconds / last:4.2f} times that of half the neurons"
        if n <= 400:
            golden = get("reference").compile(graph)
            text += f", golden model {median_s(lambda: golden.run(stimulus), 1) / seconds:5.0f} times slower"  # noqa: B023
        print(text, flush=True)
        last = seconds


def main() -> None:
    """Print one table for each semantics."""
    print(f"{STEPS} steps, batch {BATCH}, fan-out {FAN_OUT}; median of {REPEATS}")
    stimulus = drive()
    for semantics, make in (("float", net), ("integer", integer_net)):
        print(f"{semantics} semantics")
        table(make, stimulus)


if __name__ == "__main__":
    main()
