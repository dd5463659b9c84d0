"""The LSTM baseline's start: what its gates remember before anything is learned."""

from __future__ import annotations

from functools import partial

import pytest
import torch

from neuro.errors import RecipeError
from neuro.seeds import stream
from neuro.train import LSTMClassifier, ModelConfig, RNNClassifier

N = 200


def gates(chrono_steps: int) -> torch.Tensor:
    """Return the summed biases of the input, forget, cell and output gates, (4, N)."""
    layer = LSTMClassifier(3, N, 2, partial(stream, 0), chrono_steps=chrono_steps).layer
    return (layer.bias_ih_l0 + layer.bias_hh_l0).detach().reshape(4, N)  # type: ignore[operator]


def test_chrono_initialisation_spreads_the_memories() -> None:
    write, forget, *_ = gates(784)
    memory = torch.exp(forget)  # a gate of sigmoid(log u) forgets in u + 1 steps
    assert torch.allclose(write, -forget)
    assert memory.min() >= 1 and memory.max() <= 783
    assert memory.min() < 50 and memory.max() > 700 and 330 < memory.mean() < 460  # uniform: mean 392, its error 16


def test_without_it_only_the_forget_gate_is_raised() -> None:
    write, forget, cell, out = gates(0)
    assert 0.9 < forget.mean() < 1.1
    for gate in (write, cell, out):
        assert abs(gate.mean()) < 0.1


@pytest.mark.parametrize("steps", [1, 2, -1])
def test_a_memory_too_short_is_refused(steps: int) -> None:
    with pytest.raises(
        RecipeError, match=rf"model 'chrono_steps': out of range \(got {steps}; need 0, or a whole number"
    ):
        ModelConfig(chrono_steps=steps)


def test_a_vanilla_rnn_starts_with_an_orthogonal_recurrent_matrix() -> None:
    u = RNNClassifier(3, N, 2, partial(stream, 0), torch.float64).layer.weight_hh_l0.detach()
    assert (u - torch.eye(N, dtype=u.dtype)).abs().max() > 0.5  # a rotation, not the identity
    torch.testing.assert_close(u @ u.T, torch.eye(N, dtype=u.dtype), rtol=0, atol=1e-14 * N)
