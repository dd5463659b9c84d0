"""Draw the figures of docs/learning.md: what each rule does, and how the shipped recipes went.

python tools/learning_figures.py RUNS -o docs/img

RUNS holds the runs of `neuro learn` that docs/learning.md names, each in a folder: evidence_random_0, evidence_symmetric_0,
evidence_lif_0, match_0, digits_float, digits_8bit (eight_bits.toml), repair_0: neuro learn RECIPE -o RUNS/NAME with the commands of the
page. The others are computed here, in seconds.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import numpy as np
from matplotlib.figure import Figure

from neuro.backend import Stimulus, Teacher
from neuro.graph import Builder, Graph
from neuro.learning import STDP, RewardSTDP, attach, lstm_kernel, make_room
from neuro.learning.lstm_blocks import MemoryBlocks, draw
from neuro.learning.lstm_sequence import Sequences
from neuro.learning.reference import learn
from neuro.seeds import stream

PRE, STEPS = 200, 700  # step of the presynaptic spike, steps of a sample


def validations(run: Path) -> list[dict[str, Any]]:
    """Return the validation entries of a run's log."""
    entries = (json.loads(line) for line in (run / "log.jsonl").read_text().splitlines())
    return [e for e in entries if "validation" in e]


def accuracy(axes: Any, run: Path, label: str, per: str = "iteration", **style: Any) -> None:
    """Plot the validation accuracy of a run against iterations or samples."""
    found = validations(run)
    unit = 1000 if per == "samples" else 1
    axes.plot([e[per] / unit for e in found], [100 * e["validation"]["accuracy"] for e in found], label=label, **style)


def eprop(runs: Path) -> Figure:
    """Return evidence accumulation with ALIF neurons by both kinds of feedback, and without ALIF neurons."""
    figure, axes = _figure()
    for k, (name, label) in enumerate(
        (("symmetric", "symmetric feedback"), ("random", "random feedback"), ("lif", "random, LIF only"))
    ):
        accuracy(axes, runs / f"evidence_{name}_0", label, color=("C0", "C1", "0.6")[k])
    axes.axhline(93, color="0.8", linewidth=1)
    axes.set(xlabel="iterations of 64 samples", ylabel="right of 512, %", ylim=(40, 100))
    axes.legend(frameon=False, loc="lower right")
    return figure


def reward(runs: Path) -> Figure:
    """Return the delayed match learned from reward."""
    figure, axes = _figure()
    accuracy(axes, runs / "match_0", "validation", color="C0")
    axes.axhline(90, color="0.8", linewidth=1)
    axes.set(xlabel="iterations of 32 samples", ylabel="right of 128, %", ylim=(40, 100))
    return figure


def digits(runs: Path) -> Figure:
    """Return digits learned one sample at a time, in doubles and in 8 bits, and the repair of a damaged net."""
    figure = Figure(figsize=(7, 2.6), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    accuracy(left, runs / "digits_float", "weights in doubles", "samples", color="C0")
    accuracy(left, runs / "digits_8bit", "weights of 8 bits", "samples", color="C1")
    accuracy(right, runs / "repair_0", "repair", "samples", color="C0")
    left.set(xlabel="thousands of samples, from scratch", ylabel="right of 240, %", ylim=(0, 100))
    right.set(xlabel="thousands of samples after the damage")
    left.legend(frameon=False, loc="lower right")
    return figure


def _pair(rule: STDP) -> Graph:
    """Return one plastic synapse into a neuron that a second input makes spike."""
    b = Builder(seed=0)
    b.spike_input("in", 2)
    b.lif("n", 1, tau_m_ms=1.0)
    b.connect("in", "n", pre=[0], post=[0], weight=0.5, name="learns")
    b.connect("in", "n", pre=[1], post=[0], weight=2.0, name="drives")
    return make_room(attach(b.build(), rule, ["learns"]))[0]


def _weights(rule: STDP, post: int, paid_at: int | None = None) -> np.ndarray:
    """Return the weight after every step: one presynaptic spike at step PRE, one of the neuron at step `post`."""
    spikes = np.zeros((1, STEPS, 2), bool)
    spikes[0, PRE, 0] = spikes[0, post, 1] = True
    reward = np.zeros((1, STEPS))
    if paid_at is not None:
        reward[0, paid_at] = 1.0
    teacher = Teacher(loss="none", target=np.zeros((1, STEPS, 1)), mask=np.zeros((1, STEPS)), reward=reward)
    learned = learn(_pair(rule), Stimulus.dense({"in": spikes}), teacher, trajectory_every=1)
    return np.asarray(learned.trajectory["learns"][0, :, 0])


def stdp() -> Figure:
    """Return the window of pair STDP, and how a reward later turns a pair into a change."""
    figure = Figure(figsize=(7, 2.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    lags = np.arange(-80, 81, 4)
    for bounds, color in (("hard", "C0"), ("soft", "C1")):
        left.plot(
            lags, [_weights(STDP(bounds=bounds), PRE + d)[-1] - 0.5 for d in lags], ".-", color=color, label=bounds
        )
    left.axhline(0, color="0.8", linewidth=1)
    left.set(xlabel="post - pre, ms", ylabel="change of the weight")
    left.legend(frameon=False, title="bounds")
    for paid_at, color in ((250, "C0"), (450, "C1"), (None, "0.6")):
        label = "no reward" if paid_at is None else f"reward at {paid_at} ms"
        right.plot(_weights(RewardSTDP(), PRE + 8, paid_at) - 0.5, color=color, label=label)
    right.set(xlabel="ms; the pair is at 200 and 208", ylim=(-0.0005, 0.0095))
    right.legend(frameon=False, loc="upper left")
    return figure


def lstm() -> Figure:
    """Return how often the truncated rule is right on the example of docs/lstm.md, by thousands of sequences."""
    rng = stream(0, "example")
    n, steps = 20_000, 50
    label = rng.integers(0, 3, n)
    inputs, targets, at = np.zeros((n, steps, 3)), np.zeros((n, steps, 3)), np.zeros((n, steps), bool)
    inputs[np.arange(n), 0, label] = targets[np.arange(n), -1, label] = 1
    at[:, -1] = True
    data = Sequences(
        inputs=inputs.reshape(-1, 3), targets=targets.reshape(-1, 3), at=at.ravel(), lengths=np.full(n, steps)
    )
    blocks = MemoryBlocks(n_in=3, n_blocks=2, n_cells=2, n_out=3, forget=False)
    lesson = lstm_kernel.learn(blocks, draw(blocks, rng, 0.1, input=[-1.0, -2.0]), data, lr=0.5, update="step")
    right = (lesson.outputs[data.at].argmax(1) == label).reshape(-1, 500).mean(axis=1)
    figure, axes = _figure()
    axes.plot(500 * np.arange(1, 1 + len(right)), 100 * right, color="C0")
    axes.set(xlabel="sequences of 50 steps", ylabel="right, %", ylim=(0, 105))
    return figure


def _figure() -> tuple[Figure, Any]:
    figure = Figure(figsize=(4.6, 2.6), layout="constrained")
    return figure, figure.subplots()


def main() -> None:
    """Draw all figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    given = parser.parse_args()
    matplotlib.rcParams["svg.hashsalt"] = "neuro"
    made = {
        "eprop": eprop(given.runs),
        "reward": reward(given.runs),
        "digits": digits(given.runs),
        "stdp": stdp(),
        "lstm": lstm(),
    }
    for name, figure in made.items():
        figure.savefig(given.output / f"learn_{name}.svg", metadata={"Date": None})


if __name__ == "__main__":
    main()
