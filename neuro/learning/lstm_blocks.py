"""Describe an LSTM of memory blocks: its sizes and kinds of units, its weights, and how they start."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuro.errors import RecipeError, nearest

SQUASHES = ("1997", "tanh")
READOUTS = ("logistic", "linear", "softmax")
_COUNTS = ("n_in", "n_blocks", "n_cells", "n_out")
_FLAGS = ("forget", "gates_feed", "cell_bias", "readout_bias")

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class MemoryBlocks:
    """An LSTM of memory blocks, each of some cells that share their gates.

    | name | symbol | unit | default | meaning |
    | --- | --- | --- | --- | --- |
    | n_in | | | | inputs |
    | n_blocks | | | | memory blocks, each with an input gate, an output gate and perhaps a forget gate |
    | n_cells | S | | 1 | cells a block |
    | n_out | K | | | output units; they see the cells alone |
    | forget | phi | | True | forget gates (2000); False: the state only adds (1997) |
    | squash | g, h | | "1997" | "1997": g = 4 sigma - 2 in -2..2, h = 2 sigma - 1 in -1..1; "tanh": both tanh, as torch has it |
    | readout | f | | "logistic" | "logistic" or "linear" with the loss 1/2 sum (y - target)^2, "softmax" with the cross-entropy |
    | gates_feed | | | True | the gates' activations of the last step are sources too: the fully connected layer of 1997 |
    | cell_bias | | | True | cells have a bias (gates always have one) |
    | readout_bias | | | True | output units have a bias |

    Raises: RecipeError, listing every value that cannot be.
    """

    n_in: int
    n_blocks: int
    n_out: int
    n_cells: int = 1
    forget: bool = True
    squash: str = "1997"
    readout: str = "logistic"
    gates_feed: bool = True
    cell_bias: bool = True
    readout_bias: bool = True

    def __post_init__(self) -> None:
        whole = [(k, _is_count(getattr(self, k)), "a whole number >= 1") for k in _COUNTS]
        flags = [(k, isinstance(getattr(self, k), bool), "True or False") for k in _FLAGS]
        names = [(k, getattr(self, k) in known, _names(getattr(self, k), known)) for k, known in _NAMED]
        wrong = [f"{k} {getattr(self, k)!r}; need {need}" for k, right, need in (*whole, *flags, *names) if not right]
        if wrong:
            raise RecipeError(f"lstm: no such net (got {', and '.join(wrong)}). Correct the values.")

    @property
    def size(self) -> int:
        """Return the number of cells, of all blocks."""
        return self.n_blocks * self.n_cells

    @property
    def n_gates(self) -> int:
        """Return the number of gates, of all blocks."""
        return self.n_blocks * (3 if self.forget else 2)

    @property
    def n_sources(self) -> int:
        """Return how many numbers a gate or cell sees in a step, the constant 1 of the bias (the last one) included."""
        return self.n_in + self.size + (self.n_gates if self.gates_feed else 0) + 1

    @property
    def shapes(self) -> dict[str, tuple[int, int]]:
        """Return the shape of each matrix of `Weights`."""
        gate = (self.n_blocks, self.n_sources)
        return {
            "input": gate,
            "forget": gate if self.forget else (0, self.n_sources),
            "cell": (self.size, self.n_sources),
            "output": gate,
            "readout": (self.n_out, self.size + 1),
        }

    @property
    def n_parameters(self) -> int:
        """Return the number of weights that can learn: biases that are not there do not count."""
        absent = (0 if self.cell_bias else self.size) + (0 if self.readout_bias else self.n_out)
        return sum(rows * columns for rows, columns in self.shapes.values()) - absent


_NAMED = (("squash", SQUASHES), ("readout", READOUTS))


def _is_count(x: Any) -> bool:
    return isinstance(x, int) and not isinstance(x, bool) and x >= 1


def _names(got: Any, known: tuple[str, ...]) -> str:
    return f"one of {', '.join(known)} {nearest(str(got), known)}".rstrip()


@dataclass(frozen=True, kw_only=True)
class Weights:
    """The weights of a net, or a gradient of them: float64, a row a unit.

    input, forget, output: (n_blocks, n_sources), forget (0, n_sources) where there are no forget gates; cell: (size, n_sources). Columns:
    the inputs, the cells' outputs, the gates (input, forget, output) if they feed back, the bias. readout: (n_out, size + 1), the
    bias last. The bias column of a unit without a bias is 0.
    """

    input: Array
    forget: Array
    cell: Array
    output: Array
    readout: Array

    def arrays(self) -> dict[str, Array]:
        """Return the matrices by name."""
        return {f.name: getattr(self, f.name) for f in fields(self)}

    def zeros(self) -> Weights:
        """Return zeros of the same shapes."""
        return Weights(**{k: np.zeros_like(w) for k, w in self.arrays().items()})

    def less(self, lr: float, gradient: Weights) -> Weights:
        """Return the weights after one step down a gradient, w - lr * gradient."""
        return Weights(**{k: w - lr * getattr(gradient, k) for k, w in self.arrays().items()})

    def plus(self, other: Weights) -> Weights:
        """Return the sum, matrix by matrix."""
        return Weights(**{k: w + getattr(other, k) for k, w in self.arrays().items()})


def draw(
    blocks: MemoryBlocks, rng: np.random.Generator, bound: float = 0.1, **biases: float | Sequence[float]
) -> Weights:
    """Draw weights uniform in +-bound.

    Parameters: biases, start values of the biases of the gates named input, forget or output: one number, or one a block (negative
    ones keep a gate shut until it is needed; 1997, section 4).

    Raises: RecipeError for a bias of no such gate, or of another number of blocks.
    """
    made = {k: rng.uniform(-bound, bound, shape) for k, shape in blocks.shapes.items()}
    for gate, value in biases.items():
        if gate not in ("input", "forget", "output") or np.shape(value) not in ((), (len(made[gate]),)):
            raise RecipeError(
                f"lstm: no such biases (got {gate} of shape {np.shape(value)}; need input, forget or output with 1 number "
                f"or {blocks.n_blocks}). Give one bias for each block."
            )
        made[gate][:, -1] = value
    return without_absent_biases(blocks, Weights(**made))


def without_absent_biases(blocks: MemoryBlocks, weights: Weights) -> Weights:
    """Return the weights, or a gradient, with 0 in the bias column of units that have no bias."""
    arrays = weights.arrays()
    for name, there in (("cell", blocks.cell_bias), ("readout", blocks.readout_bias)):
        if not there:
            arrays[name] = np.hstack([arrays[name][:, :-1], np.zeros((len(arrays[name]), 1))])
    return Weights(**arrays)
