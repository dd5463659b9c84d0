"""Repeat two experiments of Hochreiter & Schmidhuber (1997) with their on-line rule: sequences until success, beside the published.

python benchmarks/lstm_1997.py                             # experiments 1 and 4, three seeds
python benchmarks/lstm_1997.py --experiments 4 --lag 500   # adding over 500 steps
python benchmarks/lstm_1997.py --experiments 1 --lr 0.05 --blocks 4 --output-bias --seeds 10

Nets, learning rates, ranges of the first weights and criteria are the paper's (sections 5.1 and 5.4), unless an option changes them. It
also prints how much faster the kernel learns than its numpy twin, interleaved in one run.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from neuro.learning import lstm_kernel, lstm_sequence
from neuro.learning.lstm_blocks import MemoryBlocks, Weights, draw
from neuro.learning.lstm_sequence import Sequences
from neuro.seeds import stream


class Trial(NamedTuple):
    """One seed: whether and after how many sequences it met the criterion, steps learned, s, and what it then did on new sequences."""

    solved: bool
    n_sequences: int
    n_steps: int
    seconds: float
    afterwards: str


# ---------------------------------------------------------------------------------------- experiment 1: embedded Reber grammar

SYMBOLS = "BTPSXVE"
# From each state: what may come, and the state that follows. 0 is before the first B, -1 the end.
REBER = {
    0: (("B", 1),),
    1: (("T", 2), ("P", 3)),
    2: (("S", 2), ("X", 4)),
    3: (("T", 3), ("V", 5)),
    4: (("X", 3), ("S", 6)),
    5: (("P", 4), ("V", 6)),
    6: (("E", -1),),
}
REBER_NET = MemoryBlocks(n_in=7, n_blocks=3, n_cells=2, n_out=7, forget=False, cell_bias=False, readout_bias=False)
REBER_BOUND = 0.2
CHECK_EVERY, REBER_MOST = 50, 100_000


def reber(rng: np.random.Generator) -> Iterator[tuple[str, str]]:
    """Yield (symbol, all that could have stood there) of a string of the embedded grammar: B, T or P, a Reber string, the same, E."""
    which = "TP"[rng.integers(2)]
    yield "B", "B"
    yield which, "TP"
    state = 0
    while state >= 0:
        choices = REBER[state]
        symbol, state = choices[rng.integers(len(choices))]
        yield symbol, "".join(name for name, _ in choices)
    yield which, which
    yield "E", "E"


def reber_strings(rng: np.random.Generator, n: int) -> tuple[list[Sequences], list[np.ndarray]]:
    """Return n strings, each symbol to be predicted from those before, and for each the symbols possible next, (steps, 7)."""
    strings, possible = [], []
    for _ in range(n):
        symbols, choices = zip(*reber(rng), strict=True)
        code = np.eye(7)[[SYMBOLS.index(s) for s in symbols]]
        strings.append(lstm_sequence.one(code[:-1], code[1:]))
        possible.append(np.array([[s in c for s in SYMBOLS] for c in choices[1:]]))
    return strings, possible


def join(parts: list[Sequences]) -> Sequences:
    """Return the sequences one after another."""
    inputs, targets, at, lengths = (
        np.concatenate([getattr(p, k) for p in parts]) for k in ("inputs", "targets", "at", "lengths")
    )
    return Sequences(inputs=inputs, targets=targets, at=at, lengths=lengths)


def share_right(net: MemoryBlocks, weights: Weights, strings: Sequences, possible: np.ndarray) -> float:
    """Return the share of strings with every prediction right: the symbols possible next are the most active ones."""
    y = lstm_kernel.run(net, weights, strings)
    right = np.where(possible, y, np.inf).min(1) > np.where(possible, -np.inf, y).max(1)
    wrong_before = np.concatenate([[0], np.cumsum(~right)])
    ends = np.cumsum(strings.lengths)
    return float((wrong_before[ends] == wrong_before[ends - strings.lengths]).mean())


def learn_reber(seed: int, net: MemoryBlocks, lr: float, update: str) -> Trial:
    """Learn strings drawn from 256 until those and 256 others are right; then try 10,000 new ones."""
    rng = stream(seed, "reber")
    weights = draw(net, rng, REBER_BOUND, output=[-1.0 - j for j in range(net.n_blocks)])
    sets = [reber_strings(rng, n) for n in (256, 256, 10_000)]
    training, test, new = ((join(strings), np.concatenate(possible)) for strings, possible in sets)
    n, n_steps, solved, start = 0, 0, False, time.perf_counter()
    while not solved and n < REBER_MOST:
        some = join([sets[0][0][i] for i in rng.integers(0, 256, CHECK_EVERY)])
        weights = lstm_kernel.learn(net, weights, some, lr, update).weights
        n, n_steps = n + CHECK_EVERY, n_steps + some.n_steps
        solved = share_right(net, weights, *training) == share_right(net, weights, *test) == 1
    seconds = time.perf_counter() - start
    return Trial(solved, n, n_steps, seconds, f"{share_right(net, weights, *new):.2%} of 10,000 new strings right")


# ---------------------------------------------------------------------------------------------------- experiment 4: adding

ADDING_NET = MemoryBlocks(n_in=2, n_blocks=2, n_cells=2, n_out=1, forget=False)
ADDING_LR, ADDING_BOUND, ADDING_INPUT_BIAS = 0.5, 0.1, (-3.0, -6.0)
ADDING_PUBLISHED = {100: 74_000, 500: 209_000, 1000: 853_000}
ADDING_MOST, CHUNK, WINDOW = 5_000_000, 500, 2000
TOLERANCE, MEAN_ERROR = 0.04, 0.01


def adding(rng: np.random.Generator, n: int, lag: int) -> Sequences:
    """Return n sequences of lag..1.1 lag pairs: a number in -1..1, and the mark 1 of two of them (-1 at both ends, else 0).

    The first mark is at one of the first ten pairs, the second at one of the first lag / 2 - 1 pairs not marked yet. The target, at the
    last step: 0.5 + (X1 + X2) / 4. "In the rare case where the first pair of the sequence gets marked, we set X1 to zero": here
    the pair's number, so that input and target agree.
    """
    lengths = rng.integers(lag, lag + lag // 10 + 1, n)
    starts = np.cumsum(lengths) - lengths
    total = int(lengths.sum())
    inputs = np.stack([rng.uniform(-1, 1, total), np.zeros(total)], axis=1)
    inputs[starts, 1] = inputs[starts + lengths - 1, 1] = -1
    first = rng.integers(0, 10, n)
    second = rng.integers(0, lag // 2 - 2, n)
    second += second >= first
    inputs[starts[(first == 0) | (second == 0)], 0] = 0
    inputs[starts + first, 1] = inputs[starts + second, 1] = 1
    x1, x2 = inputs[starts + first, 0], inputs[starts + second, 0]
    targets, at = np.zeros((total, 1)), np.zeros(total, bool)
    last = starts + lengths - 1
    targets[last, 0], at[last] = 0.5 + (x1 + x2) / 4, True
    return Sequences(inputs=inputs, targets=targets, at=at, lengths=lengths)


def first_success(errors: np.ndarray, most_wrong: int) -> int | None:
    """Return after how many sequences the mean absolute error of the last 2,000 was below 0.01, with at most so many of them wrong."""
    if len(errors) < WINDOW:
        return None
    sums = np.concatenate([[0], np.cumsum(errors)])
    wrong = np.concatenate([[0], np.cumsum(errors >= TOLERANCE)])
    good = sums[WINDOW:] - sums[:-WINDOW] < MEAN_ERROR * WINDOW
    good &= wrong[WINDOW:] - wrong[:-WINDOW] <= most_wrong
    return int(np.argmax(good)) + WINDOW if good.any() else None


def learn_adding(seed: int, lag: int, update: str) -> Trial:
    """Learn fresh sequences until the criterion; then try 2,560 new ones."""
    rng = stream(seed, f"adding/{lag}")
    weights = draw(ADDING_NET, rng, ADDING_BOUND, input=ADDING_INPUT_BIAS)
    errors: list[np.ndarray] = []
    n, n_steps, solved, start = 0, 0, None, time.perf_counter()
    while solved is None and n < ADDING_MOST:
        data = adding(rng, CHUNK, lag)
        lesson = lstm_kernel.learn(ADDING_NET, weights, data, ADDING_LR, update)
        weights, n, n_steps = lesson.weights, n + CHUNK, n_steps + data.n_steps
        errors.append(np.abs(lesson.outputs - data.targets)[data.at, 0])
        recent = first_success(np.concatenate(errors[-1 - WINDOW // CHUNK :]), most_wrong=0)
        solved = None if recent is None else max(n - CHUNK - WINDOW, 0) + recent
    seconds = time.perf_counter() - start
    small = first_success(np.concatenate(errors), most_wrong=WINDOW)
    new = adding(rng, 2560, lag)
    after = np.abs(lstm_kernel.run(ADDING_NET, weights, new) - new.targets)[new.at, 0]
    note = (
        f"mean error below 0.01 after {small:,}; " if small else ""
    ) + f"{(after >= TOLERANCE).sum()} of 2,560 new sequences wrong, MSE {np.mean(after**2):.5f}"
    return Trial(solved is not None, solved or n, n_steps, seconds, note)


# ------------------------------------------------------------------------------------------------------------------ report


def report(title: str, published: str, trials: Iterator[Trial]) -> None:
    """Print each trial as it ends, and the mean of those that succeeded."""
    print(title, flush=True)
    done = []
    for seed, trial in enumerate(trials):
        done.append(trial)
        end = "solved after" if trial.solved else "not solved in"
        print(
            f"  seed {seed}: {end} {trial.n_sequences:,} sequences; {trial.afterwards} "
            f"({trial.n_steps / 1e6:.1f} M steps, {trial.seconds:.0f} s)",
            flush=True,
        )
    solved = [t.n_sequences for t in done if t.solved]
    mean = f"{statistics.mean(solved):,.0f} sequences on average" if solved else "none"
    print(f"  solved {len(solved)} of {len(done)}, {mean}; published: {published}", flush=True)


def speed(rounds: int = 5) -> None:
    """Print the kernel's speed over its twin's, on the adding net, in turn."""
    rng = stream(0, "speed")
    weights, few = draw(ADDING_NET, rng), adding(rng, 5, 100)
    seconds: dict[str, list[float]] = {"kernel": [], "numpy": []}
    for _ in range(rounds):
        for name, learn in (("kernel", lstm_kernel.learn), ("numpy", lstm_sequence.learn)):
            start = time.perf_counter()
            learn(ADDING_NET, weights, few, ADDING_LR)
            seconds[name].append(time.perf_counter() - start)
    kernel, twin = (statistics.median(seconds[name]) / few.n_steps for name in ("kernel", "numpy"))
    print(
        f"speed: the kernel takes {kernel * 1e6:.2f} us a step (93 weights), {twin / kernel:.0f} times less than numpy"
    )


def main() -> None:
    """Run the experiments asked for, in order."""
    parser = argparse.ArgumentParser(description="Experiments 1 and 4 of Hochreiter & Schmidhuber 1997")
    parser.add_argument("--experiments", default="1,4", help="which, with commas between")
    parser.add_argument("--seeds", type=int, default=3, help="trials of each, from seed 0")
    parser.add_argument(
        "--lag", type=int, default=100, help="shortest sequence of experiment 4 (published: 100, 500, 1000)"
    )
    parser.add_argument("--blocks", type=int, default=3, help="memory blocks of experiment 1 (published: 3)")
    parser.add_argument("--lr", type=float, default=0.5, help="learning rate of experiment 1 (published: 0.5)")
    parser.add_argument(
        "--output-bias", action="store_true", help="give the outputs of experiment 1 biases (published: none)"
    )
    parser.add_argument("--update", choices=lstm_sequence.UPDATES, default="step", help="when the weights change")
    options = parser.parse_args()
    if options.lag < 24:
        parser.error(f"--lag: too short for its marks (got {options.lag}; need at least 24)")
    seeds, asked = range(options.seeds), options.experiments.split(",")
    if "1" in asked:
        net = replace(REBER_NET, n_blocks=options.blocks, readout_bias=options.output_bias)
        report(
            f"experiment 1, embedded Reber grammar: {net.n_parameters} weights, lr {options.lr:g}",
            "8,440 sequences (276 weights, lr 0.5; 100 % of trials)",
            (learn_reber(seed, net, options.lr, options.update) for seed in seeds),
        )
    if "4" in asked:
        known = ADDING_PUBLISHED.get(options.lag)
        report(
            f"experiment 4, adding, lag {options.lag}: {ADDING_NET.n_parameters} weights, lr {ADDING_LR}",
            f"{known:,} sequences" if known else "nothing for this lag",
            (learn_adding(seed, options.lag, options.update) for seed in seeds),
        )
    speed()


if __name__ == "__main__":
    main()
