"""State the contract of learning: what a program that can change its graph's weights takes, and what it gives back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from neuro.errors import DataError
from neuro.graph import Graph

from .api import Program
from .stimulus import Stimulus

FloatArray = NDArray[np.float64]

LOSSES = ("softmax", "regression", "reward", "none")
"""What the signal population's output is judged by; "none": the rule has no signal."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Teacher:
    """What is told to a learning network, beside its stimulus.

    | field | dtype, shape | meaning |
    | --- | --- | --- |
    | loss | one of LOSSES | how the output y is judged |
    | target | float64, (batch, steps, K) | wanted output y* (regression), or probability pi* of each class (softmax, reward) |
    | mask | float64, (batch, steps) | weight of the error at each step; 0: nothing is judged |
    | reward | float64, (batch, steps) | reward that comes at each step whatever the network does; default 0 |
    | choose | bool, (batch, steps) | steps at which an action is drawn from softmax(y); default: none |
    | chance | float64, (batch, steps) | uniform 0..1: the action is the first k with pi_0 + ... + pi_k > chance; default 0 |
    | right, wrong | float | reward of an action k by whether target[..., k] is the step's largest; defaults 1 and 0 |

    Softmax: error (pi - pi*) * mask; regression: (y - y*) * mask. Raises: DataError for another loss, shape or a number that is
    not finite.
    """

    loss: str
    target: FloatArray
    mask: FloatArray
    reward: FloatArray = field(default_factory=lambda: np.zeros((0, 0)))
    choose: NDArray[np.bool_] = field(default_factory=lambda: np.zeros((0, 0), bool))
    chance: FloatArray = field(default_factory=lambda: np.zeros((0, 0)))
    right: float = 1.0
    wrong: float = 0.0

    def __post_init__(self) -> None:
        if self.loss not in LOSSES:
            raise DataError(f"teacher: unknown loss (got {self.loss!r}; need one of {', '.join(LOSSES)}). Choose one.")
        shape = np.shape(self.mask)
        for name in ("target", "mask", "reward", "choose", "chance"):
            kind = bool if name == "choose" else np.float64
            array = _array(name, getattr(self, name), kind)
            if name in ("reward", "choose", "chance") and array.size == 0:
                array = np.zeros(shape, kind)
            need = (
                f"{shape} and a last axis" if name == "target" else f"{shape}" if len(shape) == 2 else "(batch, steps)"
            )
            if len(shape) != 2 or array.shape[:2] != shape or array.ndim != (3 if name == "target" else 2):
                raise DataError(f"teacher '{name}': wrong shape (got {array.shape}; need {need}). Reshape it.")
            if not np.isfinite(array).all():
                at = tuple(int(k) for k in np.argwhere(~np.isfinite(array))[0])
                raise DataError(
                    f"teacher '{name}': not finite (got {array[at]} at {at}; need finite numbers). Mend it."
                )
            array.flags.writeable = False
            object.__setattr__(self, name, array)
        if self.chance.size and not (self.chance.min() >= 0 and self.chance.max() <= 1):
            bad = self.chance[(self.chance < 0) | (self.chance > 1)][0]
            raise DataError(f"teacher 'chance': out of range (got {bad}; need 0..1). Draw it uniformly.")
        for name in ("right", "wrong"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, float, np.number)) or not np.isfinite(value):
                raise DataError(f"teacher '{name}': no finite number (got {value!r}; need one). Give the reward.")
            object.__setattr__(self, name, float(value))

    @property
    def batch(self) -> int:
        """Return the number of samples."""
        return int(self.mask.shape[0])

    @property
    def steps(self) -> int:
        """Return the number of steps."""
        return int(self.mask.shape[1])


def _array(name: str, value: Any, kind: type) -> NDArray[Any]:
    """Return a copy in C order, which is what kernels read."""
    try:
        return np.array(value, dtype=kind, order="C")
    except (TypeError, ValueError) as err:
        raise DataError(f"teacher '{name}': no array of numbers (got {value!r:.60}; need one). Convert it.") from err


@dataclass(frozen=True, kw_only=True, eq=False)
class Learned:
    """What a learning run gives back.

    | field | dtype, shape | meaning |
    | --- | --- | --- |
    | graph | Graph | the graph with the weights and biases after the last sample; the grid is the old one |
    | gradient | by projection, float64 (n_synapses,) | update "batch": sum over samples of d loss / d w; else empty |
    | bias_gradient | by population, float64 (size,) | likewise of biases |
    | y | by readout, float64 (batch, steps, size) | the outputs that were judged |
    | action | int64, (batch, steps) | the action drawn, -1: none |
    | reward | float64, (batch, steps) | the reward that came |
    | n_spikes | by neuron population, int64 (batch, size) | spikes of each neuron |
    | n_updates | by projection, int64 | changes of a synapse's weight, each counted (the learning updates of the energy model) |
    | trajectory | by projection, float64 (batch, n, n_synapses) | weights after each `trajectory_every` steps; else empty |
    """

    graph: Graph
    gradient: Mapping[str, FloatArray] = field(default_factory=dict)
    bias_gradient: Mapping[str, FloatArray] = field(default_factory=dict)
    y: Mapping[str, FloatArray] = field(default_factory=dict)
    action: NDArray[np.int64] = field(default_factory=lambda: np.zeros((0, 0), np.int64))
    reward: FloatArray = field(default_factory=lambda: np.zeros((0, 0)))
    n_spikes: Mapping[str, NDArray[np.int64]] = field(default_factory=dict)
    n_updates: Mapping[str, int] = field(default_factory=dict)
    trajectory: Mapping[str, FloatArray] = field(default_factory=dict)


@runtime_checkable
class LearningProgram(Program, Protocol):
    """A compiled graph whose projections carry plasticity, and whose weights can change.

    Samples run one after the other in order, each from zero state (weights carry over), unless every rule's update is "batch":
    then the weights stand still, and samples are independent.
    """

    def learn(self, stimulus: Stimulus, teacher: Teacher, *, trajectory_every: int = 0) -> Learned:
        """Run a batch and learn from it; the program keeps the new weights for the next call.

        Raises DataError for a stimulus or teacher that does not fit the graph.
        """
        ...
