"""Judge a readout's output: errors of classification and regression, the action drawn, the reward, the TD error.

All functions see one step; shapes are (batch, K) for K readout units.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from neuro.backend import Teacher
from neuro.learning.local import FloatArray

IntArray = NDArray[np.int64]


def softmax(y: FloatArray) -> FloatArray:
    """Return pi_k = exp(y_k) / sum_l exp(y_l) over the last axis."""
    grown = np.exp(y - y.max(axis=-1, keepdims=True))
    return np.asarray(grown / grown.sum(axis=-1, keepdims=True))


def error(teacher: Teacher, y: FloatArray, t: int) -> FloatArray:
    """Return d loss / d y at step t: (pi - pi*) mask for loss "softmax", (y - y*) mask for "regression", zero for the others.

    Where the probabilities pi* do not sum to 1 it is the same formula, which is then no derivative of a cross-entropy.
    """
    if teacher.loss not in ("softmax", "regression"):
        return np.zeros_like(y)
    found = softmax(y) if teacher.loss == "softmax" else y
    return (found - teacher.target[:, t]) * teacher.mask[:, t, None]


def act(teacher: Teacher, y: FloatArray, t: int) -> IntArray:
    """Return the action of each sample at step t, (batch,): the first k with pi_0 + ... + pi_k > chance; -1 where none is chosen."""
    reached = np.cumsum(softmax(y), axis=-1) > teacher.chance[:, t, None]
    first = np.where(reached.any(axis=-1), reached.argmax(axis=-1), y.shape[-1] - 1)  # a sum that rounds below chance
    return np.where(teacher.choose[:, t], first, -1).astype(np.int64)


def reward(teacher: Teacher, action: IntArray, t: int) -> FloatArray:
    """Return the reward of step t, (batch,): the teacher's own, plus right or wrong where an action was drawn."""
    target = teacher.target[:, t]
    if target.shape[-1] == 0:
        return teacher.reward[:, t].copy()
    wanted = target.max(axis=-1)
    got = np.take_along_axis(target, np.maximum(action, 0)[:, None], axis=-1)[:, 0]
    earned = np.where(got == wanted, teacher.right, teacher.wrong)
    return teacher.reward[:, t] + np.where(action >= 0, earned, 0.0)


def policy_error(y: FloatArray, action: IntArray) -> FloatArray:
    """Return d -log pi_a / d y = pi_k - 1[a = k]; zero where no action was drawn."""
    chosen = np.arange(y.shape[-1]) == action[:, None]
    return np.where((action >= 0)[:, None], softmax(y) - chosen, 0.0)


def entropy_error(y: FloatArray, action: IntArray) -> FloatArray:
    """Return d -H(pi) / d y = pi_k (log pi_k + H), H = -sum_k pi_k log pi_k; zero where no action was drawn."""
    shifted = y - y.max(axis=-1, keepdims=True)
    log_pi = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    pi = np.exp(log_pi)
    entropy = -(pi * log_pi).sum(axis=-1, keepdims=True)
    return np.where((action >= 0)[:, None], pi * (log_pi + entropy), 0.0)


def td_error(reward_then: FloatArray, value_then: FloatArray, value_next: FloatArray, discount: float) -> FloatArray:
    """Return delta(t) = r(t) + discount V(t+1) - V(t), (batch,); V after the last step is 0."""
    return reward_then + discount * value_next - value_then
