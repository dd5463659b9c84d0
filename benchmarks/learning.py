"""Time e-prop on the engine: against the size of the net, its activity, the plain-numpy reference, and on nets of the size of real tasks.

Run: python benchmarks/learning.py [--quick]. All times are processor seconds of one thread, so that other programs on the machine hardly count;
the threads of a machine share samples, or the synapses of one sample. With fan-in and rate held, twice the neurons take twice the time.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np

from neuro.backend import LearningProgram, Stimulus, Teacher
from neuro.graph import Builder, Graph
from neuro.learning import EProp, Learner, attach, make_room
from neuro.learning.engine import EngineLearner

FAN_IN = 100
REPEATS = 5


def weights(scale: float, mean: float = 0.0) -> Callable[[np.random.Generator, int], np.ndarray]:
    """Return what draws weights."""
    return lambda rng, n: rng.normal(mean, scale, n)


def sparse(n: int, update: str) -> Graph:
    """Return n neurons, half of them adaptive, with 100 plastic synapses each, and a readout of two units; random feedback."""
    b = Builder(seed=1, name=f"{n} neurons")
    b.spike_input("in", 100)
    b.lif("lif", n // 2, tau_m_ms=20.0, v_th=0.6, n_ref=2)
    b.alif("alif", n - n // 2, tau_m_ms=20.0, tau_a_ms=200.0, v_th=0.6, beta=0.07, n_ref=2)
    b.li("out", 2, tau_out_ms=20.0)
    for target in ("lif", "alif"):
        b.connect("in", target, weight=weights(0.15, 0.05), fan_in=20)
        for source in ("lif", "alif"):
            b.connect(source, target, weight=weights(0.06), fan_in=(FAN_IN - 20) // 2)
        b.connect(target, "out", weight=weights(1 / n))
    return make_room(attach(b.build(), EProp(feedback="random", update=update, lr=1e-6)))[0]


def drive(graph: Graph, batch: int, steps: int, rate_hz: float = 20.0) -> Stimulus:
    """Return Poisson spikes for every input."""
    spikes = np.random.default_rng(0).random((batch, steps, graph.inputs[0].size)) < rate_hz / 1000
    return Stimulus.dense({graph.inputs[0].name: spikes})


def classes(batch: int, steps: int, n: int, judged: int) -> Teacher:
    """Return a random class a sample, judged in the last steps."""
    target = np.eye(n)[np.random.default_rng(1).integers(0, n, batch)][:, None].repeat(steps, axis=1)
    mask = np.zeros((batch, steps))
    mask[:, steps - judged :] = 1
    return Teacher(loss="softmax", target=target, mask=mask)


def evidence() -> tuple[Graph, Stimulus, Teacher]:
    """Return a net of the size of evidence accumulation: 50 LIF and 50 ALIF, all to all, 40 inputs, 2250 steps, batch 64."""
    b = Builder(seed=2, name="evidence accumulation")
    b.spike_input("in", 40)
    b.lif("lif", 50, tau_m_ms=20.0, v_th=0.6, n_ref=5)
    b.alif("alif", 50, tau_m_ms=20.0, tau_a_ms=2000.0, v_th=0.6, beta=0.0174, n_ref=5)
    b.li("out", 2, tau_out_ms=20.0)
    for target in ("lif", "alif"):
        b.connect("in", target, weight=weights(0.12, 0.03))
        for source in ("lif", "alif"):
            b.connect(source, target, weight=weights(0.06))
        b.connect(target, "out", weight=weights(0.1))
    graph = make_room(attach(b.build(), EProp(feedback="random", rate_reg=1.0)))[0]
    return graph, drive(graph, 64, 2250, 10.0), classes(64, 2250, 2, 150)


def digits() -> tuple[Graph, Stimulus, Teacher]:
    """Return a net of the size of `models/digits`: 120 LIF and 100 ALIF joined at 12 %, 80 inputs, 120 steps, weights change by sample."""
    b = Builder(seed=3, name="digits")
    b.spike_input("in", 80)
    b.lif("lif", 120, tau_m_ms=20.0, v_th=0.6, n_ref=5)
    b.alif("alif", 100, tau_m_ms=20.0, tau_a_ms=200.0, v_th=0.6, beta=0.07, n_ref=5)
    b.li("out", 10, tau_out_ms=20.0)
    for target in ("lif", "alif"):
        b.connect("in", target, weight=weights(0.15, 0.12), p=0.12)
        for source in ("lif", "alif"):
            b.connect(source, target, weight=weights(0.1), p=0.12, delay=(1, 10))
        b.connect(target, "out", weight=weights(0.1), p=0.5)
    graph = make_room(attach(b.build(), EProp(update="episode", lr=1e-6)))[0]
    return graph, drive(graph, 32, 120, 40.0), classes(32, 120, 10, 20)


def median_s(program: LearningProgram | Learner, stimulus: Stimulus, teacher: Teacher, repeats: int = REPEATS) -> float:
    """Return the median processor time of some calls after one that is not counted."""
    program.learn(stimulus, teacher)
    times = []
    for _ in range(repeats):
        start = time.process_time()
        program.learn(stimulus, teacher)
        times.append(time.process_time() - start)
    return statistics.median(times)


def rate_hz(program: EngineLearner, stimulus: Stimulus, teacher: Teacher) -> float:
    """Return the mean rate of the neurons, at 1 ms a step."""
    counts = program.learn(stimulus, teacher).n_spikes.values()
    return 1000 * sum(int(n.sum()) for n in counts) / (stimulus.steps * sum(n.size for n in counts))


def growth(sizes: list[int], steps: int, update: str, compared: int) -> None:
    """Print a line a size; nets of up to `compared` neurons are run by the reference, too."""
    seconds = []
    for n in sizes:
        graph = sparse(n, update)
        stimulus, teacher = drive(graph, 1, steps), classes(1, steps, 2, steps)
        program = EngineLearner(graph, n_threads=1)
        seconds.append(median_s(program, stimulus, teacher))
        text = (
            f"{n:6d} neurons, {rate_hz(program, stimulus, teacher):4.1f} Hz: {1e6 * seconds[-1] / steps:7.1f} us a step"
        )
        if n <= compared:
            golden = median_s(Learner(graph), stimulus, teacher, 1)
            text += f", reference {golden / seconds[-1]:5.0f} times slower"
        print(text, flush=True)
    exponent = np.polyfit(np.log(sizes), np.log(seconds), 1)[0]
    print(f"       time ~ N^{exponent:.2f}")


def activity(n: int, steps: int) -> None:
    """Print how the cost falls where less happens."""
    graph = sparse(n, "batch")
    program = EngineLearner(graph, n_threads=1)
    for rate in (20.0, 5.0, 1.0, 0.0):
        stimulus, teacher = drive(graph, 1, steps, rate), classes(1, steps, 2, steps)
        seconds = median_s(program, stimulus, teacher)
        rates = rate_hz(program, stimulus, teacher)
        print(
            f"inputs at {rate:4.1f} Hz, neurons at {rates:4.1f} Hz: {1e6 * seconds / steps:6.1f} us a step", flush=True
        )


def task(name: str, graph: Graph, stimulus: Stimulus, teacher: Teacher) -> None:
    """Print what a batch takes."""
    program = EngineLearner(graph, n_threads=1)
    seconds = median_s(program, stimulus, teacher, 3)
    rates = rate_hz(program, stimulus, teacher)
    each = 1000 * seconds / stimulus.batch
    print(
        f"{name}, {rates:4.1f} Hz: {seconds:.2f} s for {stimulus.batch} samples of {stimulus.steps} steps, {each:.2f} ms a sample",
        flush=True,
    )


def main() -> None:
    """Print all tables."""
    parser = argparse.ArgumentParser(description="Time e-prop on the engine.")
    parser.add_argument("--quick", action="store_true", help="small nets, seconds")
    quick = parser.parse_args().quick
    sizes, steps = ([200, 400], 50) if quick else ([500, 1000, 2000, 4000, 8000], 200)
    print(f"one thread, fan-in {FAN_IN}, batch 1, {steps} steps; median of {REPEATS}, processor time")
    for update in ("episode", "step"):
        print(f"weights change by {update}")
        growth(sizes, steps, update, 400 if quick else 1000)
    print(f"activity, {sizes[1]} neurons")
    activity(sizes[1], steps)
    if not quick:
        task("evidence accumulation", *evidence())
        task("digits", *digits())


if __name__ == "__main__":
    main()
