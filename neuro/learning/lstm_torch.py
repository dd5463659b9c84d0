"""Read the weights of torch's LSTM with a linear readout into memory blocks, and write them back.

The names are those of `neuro.train.LSTMClassifier.state_dict()`; the arrays are numpy's, and torch is not needed. A cell is a block of
its own, gates do not feed back, g and h are tanh. torch's two biases of each gate are one here, their sum.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuro.errors import DataError
from neuro.learning.lstm_blocks import MemoryBlocks, Weights

_ORDER = ("input", "forget", "cell", "output")  # torch's rows: i, f, g, o
_W_IN, _W_REC, _BIASES = "layer.weight_ih_l0", "layer.weight_hh_l0", ("layer.bias_ih_l0", "layer.bias_hh_l0")
_READOUT = ("readout.weight", "readout.bias")
_NAMES = (_W_IN, _W_REC, *_BIASES, *_READOUT)


def read(arrays: Mapping[str, NDArray[Any]], readout: str = "softmax") -> tuple[MemoryBlocks, Weights]:
    """Return the net and its weights in float64.

    Parameters: arrays, by torch's names: layer.weight_ih_l0 (4 n, n_in), layer.weight_hh_l0 (4 n, n), layer.bias_ih_l0 and
    layer.bias_hh_l0 (4 n,), readout.weight (n_out, n), readout.bias (n_out,); readout, what the outputs are learned as.

    Raises: DataError for names or shapes of another net.
    """
    _check(arrays)
    x = {name: np.asarray(arrays[name], np.float64) for name in _NAMES}
    bias = x[_BIASES[0]] + x[_BIASES[1]]
    gates = np.split(np.hstack([x[_W_IN], x[_W_REC], bias[:, None]]), 4)
    n_out, n = x[_READOUT[0]].shape
    blocks = MemoryBlocks(
        n_in=x[_W_IN].shape[1], n_blocks=n, n_out=n_out, squash="tanh", readout=readout, gates_feed=False
    )
    linear = np.hstack([x[_READOUT[0]], x[_READOUT[1]][:, None]])
    made = {name: np.ascontiguousarray(w) for name, w in zip(_ORDER, gates, strict=True)}
    return blocks, Weights(**made, readout=linear)


def write(weights: Weights, dtype: Any = np.float32) -> dict[str, NDArray[Any]]:
    """Return weights that `read` made by torch's names, of the given type: the bias in layer.bias_ih_l0, layer.bias_hh_l0 zero."""
    rows = np.vstack([getattr(weights, name) for name in _ORDER])
    n = len(weights.cell)
    n_in = rows.shape[1] - n - 1
    made = (
        rows[:, :n_in], rows[:, n_in:-1], rows[:, -1], np.zeros(len(rows)), weights.readout[:, :-1], weights.readout[:, -1],
    )  # fmt: skip
    return {name: np.ascontiguousarray(x, dtype) for name, x in zip(_NAMES, made, strict=True)}


def _check(arrays: Mapping[str, NDArray[Any]]) -> None:
    if set(arrays) != set(_NAMES):
        raise DataError(
            f"lstm: not the weights of one LSTM layer and a readout (got {', '.join(sorted(arrays)) or 'nothing'}; "
            f"need {', '.join(_NAMES)}). Pass the state_dict of an LSTMClassifier as numpy arrays."
        )
    shapes = {name: np.shape(arrays[name]) for name in _NAMES}
    n, n_in, n_out = (shapes[name][-1] if shapes[name] else 0 for name in (_W_REC, _W_IN, _READOUT[1]))
    expected = ((4 * n, n_in), (4 * n, n), (4 * n,), (4 * n,), (n_out, n), (n_out,))
    wrong = [
        f"lstm '{name}': another shape was expected (got {shapes[name]}; need {shape}). Pass the arrays of one net."
        for name, shape in zip(_NAMES, expected, strict=True)
        if shapes[name] != shape
    ]
    if wrong:
        raise DataError("\n".join(wrong))
