"""Own the kernel that learns an LSTM on-line: check what crosses into C++, in the structures of neuro/kernels/lstm_truncated.cpp.

The functions are those of `neuro.learning.lstm_sequence`, the twin in numpy, and give the same to rounding.
"""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

from neuro import kernels
from neuro.learning.lstm_blocks import READOUTS, SQUASHES, Array, MemoryBlocks, Weights
from neuro.learning.lstm_sequence import Lesson, Sequences, check, check_update, finite

_NUMBERS = (
    "n_in", "n_blocks", "n_cells", "n_out", "n_sources", "forget", "gates_feed", "cell_bias", "readout_bias", "squash", "readout",
)  # fmt: skip
_MATRICES = ("input", "forget", "cell", "output", "readout")
_RUN, _GRADIENT, _SEQUENCE, _STEP = range(4)


class _Blocks(ctypes.Structure):
    _fields_ = [(name, ctypes.c_int64) for name in _NUMBERS]


class _Weights(ctypes.Structure):
    _fields_ = [(name, ctypes.c_void_p) for name in _MATRICES]


class _Sequences(ctypes.Structure):
    _fields_ = [
        ("n", ctypes.c_int64),
        *((name, ctypes.c_void_p) for name in ("lengths", "inputs", "targets", "at", "outputs", "losses")),
    ]


def learn(blocks: MemoryBlocks, weights: Weights, data: Sequences, lr: float, update: str = "sequence") -> Lesson:
    """Learn some sequences one after another, as `neuro.learning.lstm_sequence.learn` does.

    Raises: DataError for arrays that do not fit, and when the weights have left the range of numbers; UnsupportedError without the
    kernels; MemoryError.
    """
    check(blocks, weights, data)
    check_update(lr, update)
    after = Weights(**{k: np.array(w, np.float64, order="C") for k, w in weights.arrays().items()})
    outputs, losses = _call(blocks, after, weights.zeros(), data, lr, _STEP if update == "step" else _SEQUENCE)
    return finite(Lesson(after, outputs, losses), lr)


def gradients(blocks: MemoryBlocks, weights: Weights, data: Sequences) -> Weights:
    """Return the truncated gradient of the loss, summed over the steps of all sequences. Raises: as `learn`."""
    check(blocks, weights, data)
    total = Weights(**{k: np.zeros(w.shape) for k, w in weights.arrays().items()})
    _call(blocks, weights, total, data, 0.0, _GRADIENT)
    return total


def run(blocks: MemoryBlocks, weights: Weights, data: Sequences) -> Array:
    """Return the outputs (steps, n_out) of some sequences; nothing is learned. Raises: as `learn`."""
    check(blocks, weights, data)
    return _call(blocks, weights, weights, data, 0.0, _RUN)[0]


def _call(
    blocks: MemoryBlocks, weights: Weights, total: Weights, data: Sequences, lr: float, update: int
) -> tuple[Array, Array]:
    """Cross into C++: weights and total are written in place where `update` says so. Return outputs and losses."""
    outputs, losses = np.empty((data.n_steps, blocks.n_out)), np.empty(len(data.lengths))
    fed = [np.ascontiguousarray(x) for x in (data.lengths, data.inputs, data.targets, data.at)]
    held = [_matrices(weights), _matrices(total)]  # arrays must outlive the call
    sequences = _Sequences(len(data.lengths), *(x.ctypes.data for x in (*fed, outputs, losses)))
    failed = kernels.library().neuro_lstm_learn(
        ctypes.byref(_codes(blocks)), ctypes.byref(_pointers(held[0])), ctypes.byref(_pointers(held[1])),
        ctypes.byref(sequences), ctypes.c_double(lr), ctypes.c_int64(update),
    )  # fmt: skip
    if failed:
        raise MemoryError("lstm: the system gave no memory for the partial derivatives")
    return outputs, losses


def _codes(blocks: MemoryBlocks) -> _Blocks:
    codes: dict[str, Any] = {name: int(getattr(blocks, name)) for name in _NUMBERS[:-2]}
    return _Blocks(**codes, squash=SQUASHES.index(blocks.squash), readout=READOUTS.index(blocks.readout))


def _matrices(weights: Weights) -> list[Array]:
    """Return the matrices as the kernel reads them; one that is contiguous is the array itself, so that it can be written."""
    return [np.ascontiguousarray(getattr(weights, name)) for name in _MATRICES]


def _pointers(matrices: list[Array]) -> _Weights:
    return _Weights(*(x.ctypes.data for x in matrices))
