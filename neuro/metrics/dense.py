"""Count what a dense recurrent net does, by the rules that spiking graphs are counted by: additions for ones, nothing for zeros."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from neuro.errors import DataError
from neuro.metrics.workload import Ints, Operations, Workload

Floats = NDArray[np.floating[Any]]


class Cell(NamedTuple):
    """What one unit of a kind does in a step, and the numbers that it keeps from one step to the next."""

    gates: int
    mac: int
    mul: int
    nonlinear: int
    read: int
    write: int
    states: int


CELLS: Mapping[str, Cell] = {
    # i, f, o = sigmoid, g = tanh of the gates; c = f c + i g; h = o tanh(c). c is read and written, h written.
    "lstm": Cell(gates=4, mac=1, mul=2, nonlinear=5, read=1, write=2, states=2),
    # h = tanh of the gate, written
    "rnn": Cell(gates=1, mac=0, mul=0, nonlinear=1, read=0, write=1, states=1),
}
_WEIGHTS = ("w_in", "w_rec", "bias", "w_out", "bias_out")
WORD_BYTES = 4
"""A weight and a state are stored as float32."""


def dense_workload(
    kind: Literal["lstm", "rnn"],
    weights: Mapping[str, Floats],
    inputs: NDArray[Any],
    hidden: Floats,
    *,
    dt_ms: float = 1.0,
) -> Workload:
    """Count what a recurrent layer with a linear readout at every step does in a batch, (samples,) each.

        g(t) = w_in x(t) + w_rec h(t-1) + bias,     h(t) = cell(g(t)),     y(t) = w_out h(t) + bias_out,     h(-1) = 0

    | what | counted as |
    | --- | --- |
    | matrices: an activation of 0, or a weight of 0 | nothing, no operation and no weight read |
    | an activation of 1 or -1 (a spike) | an addition and a weight read for each weight of its column that is not 0 |
    | any other activation | a multiply-accumulate and a weight read for each such weight |
    | activations | read once a step by each matrix |
    | a bias that is not 0 | an addition and a read each step |
    | accumulators of gates and outputs | written once and read once a step |
    | cells | multiplications, nonlinear functions and states as in `CELLS` |

    The readout is computed at every step, as that of a spiking graph is. The state of a sample is that of its cells and the accumulators.
    Parameters: weights, by name: w_in (gates * units, inputs), w_rec (gates * units, units), bias (gates * units,), w_out (outputs, units),
    bias_out (outputs,), with 4 gates of an LSTM and 1 of a vanilla RNN; inputs, (samples, steps, inputs); hidden, h(t) of each step,
    (samples, steps, units); dt_ms, of a step.
    Raises: DataError if a shape does not fit.
    """
    _check(kind, weights, inputs, hidden)
    cell, (n_samples, steps, n_units) = CELLS[kind], hidden.shape
    before, updates = hidden[:, :-1], steps * n_units
    mac, ac = np.zeros(n_samples, np.int64), np.zeros(n_samples, np.int64)
    for matrix, activations in ((weights["w_in"], inputs), (weights["w_rec"], before), (weights["w_out"], hidden)):
        taken = np.count_nonzero(matrix, axis=0).astype(np.int64)
        ones = np.abs(activations) == 1
        ac += np.count_nonzero(ones, axis=1) @ taken
        mac += np.count_nonzero((activations != 0) & ~ones, axis=1) @ taken
    sums = len(weights["bias"]) + len(weights["bias_out"])
    biases = int(np.count_nonzero(weights["bias"]) + np.count_nonzero(weights["bias_out"]))
    words = inputs.shape[2] + 2 * n_units + biases + sums

    def every(n: int) -> Ints:
        return np.full(n_samples, n, np.int64)

    none = every(0)
    n_parameters = sum(w.size for w in weights.values())
    n_weights = weights["w_in"].size + weights["w_rec"].size + weights["w_out"].size
    return Workload(
        kind=kind, semantics="float", n_samples=n_samples, steps=steps, dt_ms=dt_ms,
        synaptic=Operations(
            mac=mac, ac=ac + steps * biases, mul=none, nonlinear=none, read=mac + ac + steps * words, write=every(steps * sums),
        ),
        neuron=Operations(
            mac=every(cell.mac * updates), ac=none, mul=every(cell.mul * updates), nonlinear=every(cell.nonlinear * updates),
            read=every(cell.read * updates), write=every(cell.write * updates),
        ),
        dense_mac=every(n_weights * steps),
        n_parameters=n_parameters,
        parameter_bytes=WORD_BYTES * n_parameters,
        state_bytes=WORD_BYTES * (cell.states * n_units + sums),
    )  # fmt: skip


def join_dense(parts: Sequence[Workload]) -> Workload:
    """Return the workload of groups of samples of one dense model, at least one, as that of all."""

    def joined(name: str) -> Operations:
        each = [getattr(p, name) for p in parts]
        return Operations(**{f.name: np.concatenate([getattr(o, f.name) for o in each]) for f in fields(Operations)})

    return replace(
        parts[0],
        n_samples=sum(p.n_samples for p in parts),
        synaptic=joined("synaptic"),
        neuron=joined("neuron"),
        dense_mac=np.concatenate([p.dense_mac for p in parts]),
    )


def _check(kind: str, weights: Mapping[str, Floats], inputs: NDArray[Any], hidden: Floats) -> None:
    if kind not in CELLS:
        raise DataError(f"dense model: unknown kind (got '{kind}'; need one of {', '.join(CELLS)}). Name its cells.")
    if set(weights) != set(_WEIGHTS):
        raise DataError(
            f"dense model '{kind}': weights missing or unknown (got {', '.join(sorted(weights))}; need {', '.join(_WEIGHTS)}). Name them so."
        )
    n_units, n_in, n_out = weights["w_rec"].shape[-1], weights["w_in"].shape[-1], len(weights["w_out"])
    rows = CELLS[kind].gates * n_units
    wanted: dict[str, tuple[int, ...]] = {
        "w_in": (rows, n_in), "w_rec": (rows, n_units), "bias": (rows,), "w_out": (n_out, n_units), "bias_out": (n_out,),
    }  # fmt: skip
    failures = [
        f"dense model '{kind}': {name} of the wrong shape (got {weights[name].shape}; need {shape})"
        for name, shape in wanted.items()
        if weights[name].shape != shape
    ]
    for name, values, width in (("inputs", inputs, n_in), ("hidden", hidden, n_units)):
        if values.ndim != 3 or values.shape[2] != width or values.shape[:2] != hidden.shape[:2]:
            failures.append(
                f"dense model '{kind}': {name} of the wrong shape (got {values.shape}; need (samples, steps, {width}))"
            )
    if failures:
        raise DataError("\n".join(failures) + ". Pass the arrays of one model and one batch.")
