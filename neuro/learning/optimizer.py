"""Turn a sum of gradients into a change of weights, on explicit state: SGD and Adam in numpy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from neuro.learning.local import FloatArray

Arrays = Mapping[str, FloatArray]


@dataclass(frozen=True, kw_only=True, eq=False)
class Moments:
    """What Adam remembers: running means of gradients and of their squares, by name, and how many steps there were."""

    mean: Arrays = field(default_factory=dict)
    square: Arrays = field(default_factory=dict)
    steps: int = 0


def sgd(gradient: Arrays, lr: float) -> dict[str, FloatArray]:
    """Return what to add to each weight: -lr * gradient."""
    return {name: -lr * g for name, g in gradient.items()}


def adam(
    gradient: Arrays, moments: Moments, lr: float, beta_1: float = 0.9, beta_2: float = 0.999, epsilon: float = 1e-8
) -> tuple[dict[str, FloatArray], Moments]:
    """Return what to add to each weight, and the moments after this step.

    m = beta_1 m + (1 - beta_1) g;  s = beta_2 s + (1 - beta_2) g^2;  change = -lr m / (1 - beta_1^n) / (sqrt(s / (1 - beta_2^n)) + epsilon),
    n counting steps from 1. Source: Kingma & Ba 2015, algorithm 1.
    """
    n = moments.steps + 1
    mean = {k: beta_1 * moments.mean.get(k, np.zeros_like(g)) + (1 - beta_1) * g for k, g in gradient.items()}
    square = {k: beta_2 * moments.square.get(k, np.zeros_like(g)) + (1 - beta_2) * g * g for k, g in gradient.items()}
    change = {k: -lr * (mean[k] / (1 - beta_1**n)) / (np.sqrt(square[k] / (1 - beta_2**n)) + epsilon) for k in gradient}
    return change, Moments(mean=mean, square=square, steps=n)
