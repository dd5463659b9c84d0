"""Operations of dense models: small ones counted by hand, and against a count that goes over every weight, sample and step."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, Literal

import numpy as np
import pytest

from neuro.errors import DataError
from neuro.metrics import dense_workload, join_dense
from neuro.metrics.workload import Operations

GATES = {"lstm": 4, "rnn": 1}
Kind = Literal["lstm", "rnn"]


def weights(kind: Kind, n_in: int, n_units: int, n_out: int, seed: int = 0) -> dict[str, np.ndarray[Any, Any]]:
    rng = np.random.default_rng(seed)
    rows = GATES[kind] * n_units
    shapes = {
        "w_in": (rows, n_in),
        "w_rec": (rows, n_units),
        "bias": (rows,),
        "w_out": (n_out, n_units),
        "bias_out": (n_out,),
    }
    return {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}


def counts(o: Operations, k: int = 0) -> dict[str, int]:
    return {f.name: int(getattr(o, f.name)[k]) for f in fields(Operations)}


def test_two_steps_of_one_lstm_cell_are_counted_by_hand() -> None:
    w = weights("lstm", 2, 1, 3)
    inputs = np.array([[[1, 0], [1, 1]]], np.uint8)
    hidden = np.array([[[0.5], [-0.25]]])
    found = dense_workload("lstm", w, inputs, hidden, dt_ms=2.0)
    # Inputs: 3 ones into 4 gates are 12 additions. h(-1) is 0 and left out; h(0) into 4 gates: 4. h(0), h(1) into 3 outputs: 6.
    # Biases of 4 gates and 3 outputs, 2 steps: 14 additions. Read: the 22 weights and 14 biases, 2 + 1 + 1 activations
    # and 7 accumulators a step; written: 7 accumulators a step.
    assert counts(found.synaptic) == {
        "mac": 10, "ac": 12 + 14, "mul": 0, "nonlinear": 0, "read": 12 + 10 + 14 + 2 * (4 + 7), "write": 14,
    }  # fmt: skip
    # c = f c + i g is a product and a multiply-accumulate, h = o tanh(c) a product; 5 nonlinear functions; c read, c and h written.
    assert counts(found.neuron) == {"mac": 2, "ac": 0, "mul": 4, "nonlinear": 10, "read": 2, "write": 4}
    assert found.dense_mac.tolist() == [2 * (4 * 2 + 4 * 1 + 3 * 1)]
    assert (found.n_parameters, found.parameter_bytes, found.state_bytes) == (22, 88, 4 * (2 + 4 + 3))
    assert (found.kind, found.semantics, found.n_samples, found.steps, found.dt_ms) == ("lstm", "float", 1, 2, 2.0)


def test_vanilla_rnn_has_one_gate_and_one_state() -> None:
    w = weights("rnn", 3, 2, 2)
    hidden = np.full((1, 4, 2), 0.5)
    found = dense_workload("rnn", w, np.full((1, 4, 3), 0.25), hidden)
    assert counts(found.synaptic)["mac"] == 4 * (3 * 2) + 3 * (2 * 2) + 4 * (2 * 2)
    assert counts(found.neuron) == {"mac": 0, "ac": 0, "mul": 0, "nonlinear": 8, "read": 0, "write": 8}
    assert found.state_bytes == 4 * (2 + 2 + 2)


@pytest.mark.parametrize("kind", ["lstm", "rnn"])
def test_counts_are_those_of_a_walk_over_every_weight(kind: Kind) -> None:
    rng = np.random.default_rng(3)
    w = weights(kind, 5, 4, 3)
    for name in ("w_in", "w_rec", "w_out", "bias"):
        w[name][rng.random(w[name].shape) < 0.3] = 0
    inputs = rng.choice([0.0, 0.0, 1.0, 0.5, -1.0], size=(3, 6, 5))
    hidden = rng.choice([0.0, 1.0, 0.3, -0.7], size=(3, 6, 4))
    found = dense_workload(kind, w, inputs, hidden)
    for k in range(3):
        mac = ac = 0
        for t in range(6):
            before = hidden[k, t - 1] if t else np.zeros(4)
            for matrix, x in ((w["w_in"], inputs[k, t]), (w["w_rec"], before), (w["w_out"], hidden[k, t])):
                for row in matrix:
                    mac += sum(bool(v) and u not in (0, 1, -1) for v, u in zip(row, x, strict=True))
                    ac += sum(bool(v) and u in (1, -1) for v, u in zip(row, x, strict=True))
            ac += int((w["bias"] != 0).sum() + (w["bias_out"] != 0).sum())
        assert mac > 50
        assert ac > 50
        assert (counts(found.synaptic, k)["mac"], counts(found.synaptic, k)["ac"]) == (mac, ac)


def test_groups_join_to_what_all_samples_give() -> None:
    w, rng = weights("lstm", 5, 4, 3), np.random.default_rng(1)
    inputs, hidden = (rng.random((5, 6, 5)) < 0.3).astype(np.uint8), rng.normal(size=(5, 6, 4))
    whole = dense_workload("lstm", w, inputs, hidden)
    joined = join_dense([dense_workload("lstm", w, inputs[a:b], hidden[a:b]) for a, b in ((0, 2), (2, 5))])
    assert joined.n_samples == 5
    assert len(set(whole.synaptic.ac.tolist())) > 1
    for part in ("synaptic", "neuron"):
        for f in fields(Operations):
            assert np.array_equal(getattr(getattr(joined, part), f.name), getattr(getattr(whole, part), f.name))
    assert np.array_equal(joined.dense_mac, whole.dense_mac)


def test_arrays_that_do_not_fit_are_all_named() -> None:
    w = weights("lstm", 5, 4, 3)
    with pytest.raises(DataError) as caught:
        dense_workload("lstm", {**w, "bias": w["bias"][:3]}, np.zeros((2, 6, 4)), np.zeros((2, 6, 4)))
    assert "bias of the wrong shape (got (3,); need (16,))" in str(caught.value)
    assert "inputs of the wrong shape (got (2, 6, 4); need (samples, steps, 5))" in str(caught.value)
    with pytest.raises(DataError, match=r"weights missing or unknown .*got bias, bias_out, w_in, w_rec; need w_in"):
        dense_workload("lstm", {k: v for k, v in w.items() if k != "w_out"}, np.zeros((2, 6, 5)), np.zeros((2, 6, 4)))
    with pytest.raises(DataError, match=r"unknown kind .*got 'gru'; need one of lstm, rnn"):
        dense_workload("gru", w, np.zeros((2, 6, 5)), np.zeros((2, 6, 4)))  # type: ignore[arg-type]
