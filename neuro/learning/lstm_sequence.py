"""Learn an LSTM of memory blocks on-line, sequence after sequence, by the truncated gradient: plain numpy.

The weights change within the sequence or at its end, w <- w - lr * gradient, and no step of the past is kept. Changed within a
sequence, they are no longer those that the partial derivatives were accumulated with: the usual approximation of on-line learning.
`neuro.learning.lstm_kernel` has the same functions in C++.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from neuro.errors import DataError, nearest
from neuro.learning.lstm import gradient, rest, step
from neuro.learning.lstm_blocks import Array, MemoryBlocks, Weights

UPDATES = ("sequence", "step")
_LEAST = np.finfo(np.float64).tiny  # a probability that underflowed costs log of this


@dataclass(frozen=True, kw_only=True)
class Sequences:
    """Some sequences one after another, each learned from rest.

    inputs (steps, n_in) and targets (steps, n_out) float64, of all sequences side by side; at (steps,) bool, the steps whose output
    is compared with the target; lengths (n_sequences,) int64, in steps.
    """

    inputs: Array
    targets: Array
    at: NDArray[np.bool_]
    lengths: NDArray[np.int64]

    @property
    def n_steps(self) -> int:
        """Return the number of steps of all sequences."""
        return len(self.inputs)


class Lesson(NamedTuple):
    """What learning left: the weights, the outputs (steps, n_out) as they were on the way, and the loss of each sequence."""

    weights: Weights
    outputs: Array
    losses: Array


def one(inputs: Any, targets: Any, at: Any = None) -> Sequences:
    """Make `Sequences` of one sequence: inputs (steps, n_in), targets (steps, n_out), at (steps,) or every step."""
    x, y = np.asarray(inputs, np.float64), np.asarray(targets, np.float64)
    when = np.ones(len(x), np.bool_) if at is None else np.asarray(at, np.bool_)
    return Sequences(inputs=x, targets=y, at=when, lengths=np.array([len(x)], np.int64))


def loss(blocks: MemoryBlocks, y: Array, target: Array) -> float:
    """Return 1/2 sum (y - target)^2 in one step, or the cross-entropy, -sum target log y, for a softmax."""
    if blocks.readout == "softmax":
        return float(-np.sum(target * np.log(np.maximum(y, _LEAST))))
    return float(0.5 * np.sum((y - target) ** 2))


def error(blocks: MemoryBlocks, y: Array, target: Array) -> Array:
    """Return the derivative of the loss with respect to the output units' net inputs (a softmax's target sums to 1)."""
    return (y - target) * (y * (1 - y)) if blocks.readout == "logistic" else y - target


def learn(blocks: MemoryBlocks, weights: Weights, data: Sequences, lr: float, update: str = "sequence") -> Lesson:
    """Learn some sequences one after another.

    Parameters: lr, > 0; update, "sequence": the weights change at each sequence's end; "step": at each step that has a target.

    Raises: DataError for arrays that do not fit, and when the weights have left the range of numbers.
    """
    check(blocks, weights, data)
    check_update(lr, update)
    walks: list[_Walk] = []
    for alone in _apart(data):
        walk = _walk(blocks, weights, alone, lr if update == "step" else 0.0)
        weights = walk.weights if update == "step" else weights.less(lr, walk.gradient)
        walks.append(walk)
    return finite(Lesson(weights, np.concatenate([w.outputs for w in walks]), np.array([w.loss for w in walks])), lr)


def gradients(blocks: MemoryBlocks, weights: Weights, data: Sequences) -> Weights:
    """Return the truncated gradient of the loss, summed over the steps of all sequences; the weights stand still."""
    check(blocks, weights, data)
    total = weights.zeros()
    for alone in _apart(data):
        total = total.plus(_walk(blocks, weights, alone, 0.0).gradient)
    return total


def run(blocks: MemoryBlocks, weights: Weights, data: Sequences) -> Array:
    """Return the outputs (steps, n_out) of some sequences; nothing is learned."""
    check(blocks, weights, data)
    return np.concatenate([_walk(blocks, weights, alone, 0.0).outputs for alone in _apart(data)])


class _Walk(NamedTuple):
    """One sequence gone through: the weights at its end, the sum of the gradients, outputs and loss."""

    weights: Weights
    gradient: Weights
    outputs: Array
    loss: float


def _walk(blocks: MemoryBlocks, weights: Weights, data: Sequences, lr: float) -> _Walk:
    """Go through one sequence; each step with a target changes the weights at the rate lr, if that is not 0."""
    state, total, outputs, losses = rest(blocks), weights.zeros(), [], 0.0
    for x, target, now in zip(data.inputs, data.targets, data.at, strict=True):
        state, activity = step(blocks, weights, state, x)
        outputs.append(activity.y)
        if now:
            losses += loss(blocks, activity.y, target)
            found = gradient(blocks, weights, state, activity, error(blocks, activity.y, target))
            weights, total = (weights.less(lr, found) if lr else weights), total.plus(found)
    return _Walk(weights, total, np.array(outputs), losses)


def _apart(data: Sequences) -> list[Sequences]:
    """Return the sequences one by one."""
    ends = np.cumsum(data.lengths)
    return [
        Sequences(inputs=data.inputs[i:k], targets=data.targets[i:k], at=data.at[i:k], lengths=data.lengths[n : n + 1])
        for n, (i, k) in enumerate(zip(ends - data.lengths, ends, strict=True))
    ]


# ------------------------------------------------------------------------------------------------ checks, the kernel's too


def check(blocks: MemoryBlocks, weights: Weights, data: Sequences) -> None:
    """Refuse weights or sequences of other shapes or types, or not finite, listing all that is wrong. Raises: DataError."""
    n = np.shape(data.inputs)[0] if np.ndim(data.inputs) else 0
    wanted: list[tuple[str, Any, tuple[int, ...], Any]] = [
        (f"weights '{name}'", w, blocks.shapes[name], np.float64) for name, w in weights.arrays().items()
    ]
    wanted += [
        ("inputs", data.inputs, (n, blocks.n_in), np.float64),
        ("targets", data.targets, (n, blocks.n_out), np.float64),
        ("at", data.at, (n,), np.bool_),
        ("lengths", data.lengths, (np.size(data.lengths),), np.int64),
    ]
    wrong = [text for name, x, shape, dtype in wanted if (text := _misfit(name, x, shape, dtype))]
    wrong = wrong or _absent_biases(blocks, weights) or _lengths(data, n)
    if wrong:
        raise DataError("lstm: " + "\nlstm: ".join(wrong))


def check_update(lr: float, update: str) -> None:
    """Refuse a learning rate or a kind of update that there is not. Raises: DataError."""
    if update not in UPDATES:
        near = nearest(str(update), UPDATES)
        raise DataError(f"lstm: no such update (got '{update}'; need one of {', '.join(UPDATES)}). {near}".rstrip())
    if not (isinstance(lr, (int, float)) and math.isfinite(lr) and lr > 0):
        raise DataError(f"lstm: learning rate out of range (got {lr}; need a finite number > 0). Correct lr.")


def finite(lesson: Lesson, lr: float) -> Lesson:
    """Return the lesson; refuse one whose weights are not finite. Raises: DataError."""
    lost = [name for name, w in lesson.weights.arrays().items() if not np.isfinite(w).all()]
    if lost:
        raise DataError(
            f"lstm: the weights left the range of numbers while learning (got {', '.join(lost)} not finite at lr {lr:g}; "
            "need finite weights). Lower the learning rate."
        )
    return lesson


def _misfit(name: str, x: Any, shape: tuple[int, ...], dtype: Any) -> str:
    need = f"need {np.dtype(dtype)} {shape}"
    if not isinstance(x, np.ndarray):
        return f"{name}: no array (got {type(x).__name__}; {need}). Convert it with numpy.asarray."
    if x.dtype != dtype or x.shape != shape:
        return f"{name}: another array was expected (got {x.dtype} {x.shape}; {need}). Convert or reshape it."
    if dtype == np.float64 and not np.isfinite(x).all():
        return f"{name}: not finite (got {x[~np.isfinite(x)][0]}; need finite numbers). Clean the data."
    return ""


def _absent_biases(blocks: MemoryBlocks, weights: Weights) -> list[str]:
    absent = (("cell", blocks.cell_bias), ("readout", blocks.readout_bias))
    return [
        f"weights '{name}': a bias where there is none (got {w[w != 0][0]:g}; need 0 in the last column). Set {name}_bias."
        for name, there in absent
        if not there and (w := getattr(weights, name)[:, -1]).any()
    ]


def _lengths(data: Sequences, n: int) -> list[str]:
    lengths = data.lengths
    if lengths.size and lengths.min() >= 1 and lengths.sum() == n:
        return []
    return [
        f"lengths: they do not divide the steps (got {lengths.size} sequences, the shortest {lengths.min(initial=n)}, "
        f"{lengths.sum()} steps in all; need lengths >= 1 that sum to {n}). Correct the lengths."
    ]
