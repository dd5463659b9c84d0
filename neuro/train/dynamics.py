"""Step the equations of the spiking graph in torch, differentiably: the readable twin of the fast sequence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from neuro.graph.nodes import ALIF, LI, LIF
from neuro.train.surrogate import spike


class NeuronParameters(NamedTuple):
    """Parameters of a population of n LIF or ALIF neurons, tensors of shape (n,); `reset` as in the graph."""

    alpha: Tensor
    rho: Tensor
    beta: Tensor
    v_th: Tensor
    n_ref: Tensor
    reset: str
    dampening: float


class NeuronState(NamedTuple):
    """State after a step, (batch, n) each: spike, membrane, adaptation, threshold A, refractory steps left.

    `v` is the recorded one: before a subtractive reset, after reset "zero".
    """

    z: Tensor
    v: Tensor
    a: Tensor
    threshold: Tensor
    wait: Tensor


def neuron_parameters(p: LIF, dtype: torch.dtype, dampening: float) -> NeuronParameters:
    """Return a graph population's parameters as tensors; a LIF population is ALIF with rho = beta = 0."""

    def tensor(values: object) -> Tensor:
        return torch.as_tensor(values).to(dtype)

    zero = torch.zeros(p.size, dtype=dtype)
    rho, beta = (tensor(p.rho.copy()), tensor(p.beta.copy())) if isinstance(p, ALIF) else (zero, zero)
    n_ref = torch.as_tensor(p.n_ref.copy())
    return NeuronParameters(tensor(p.alpha.copy()), rho, beta, tensor(p.v_th.copy()), n_ref, p.reset, dampening)


def rest(batch: int, p: NeuronParameters) -> NeuronState:
    """Return the state before step 0: everything zero, so that nothing is reset at step 0."""
    zero = p.alpha.new_zeros(batch, len(p.alpha))
    return NeuronState(zero, zero, zero, zero, torch.zeros_like(zero, dtype=torch.int64))


def neuron_step(last: NeuronState, current: Tensor, p: NeuronParameters) -> NeuronState:
    """Return the state of step t from that of t - 1 and the current I(t), (batch, n).

        a = rho a + z(t-1);  A = v_th + beta a
        v = (alpha v + I) - r      r = z v_th (reset "threshold") or z A (reset "adaptive") of step t - 1
        z = v > A and not refractory

    Reset "zero": v = 0 while refractory, else v = alpha v + I, and v = 0 after a spike.
    Gradients follow every path, the reset and the adaptation included, except through `wait`.
    Source: DESIGN section 2. Order and roundings are those of `neuro.graph.reference`.
    """
    a = p.rho * last.a + last.z
    threshold = p.v_th + p.beta * a
    free = last.wait == 0
    if p.reset == "zero":
        held = p.alpha * last.v + current
        v = torch.where(free, held, torch.zeros_like(held))
        z = spike(v, threshold, free, p.v_th, p.dampening)
        v = v - z * v
    else:
        r = last.z * (p.v_th if p.reset == "threshold" else last.threshold)
        v = (p.alpha * last.v + current) - r
        z = spike(v, threshold, free, p.v_th, p.dampening)
    wait = torch.where(z > 0, p.n_ref, torch.clamp(last.wait - 1, min=0))
    return NeuronState(z, v, a, threshold, wait)


class ReadoutState(NamedTuple):
    """State of readouts after a step, (batch, n)."""

    y: Tensor


@dataclass(frozen=True)
class NeuronCell:
    """A population of LIF or ALIF neurons; bias: (n,), added to what arrives."""

    p: NeuronParameters
    bias: Tensor

    @property
    def size(self) -> int:
        """Return the number of neurons."""
        return len(self.bias)

    def rest(self, batch: int) -> NeuronState:
        """Return the state before step 0."""
        return rest(batch, self.p)

    def step(self, last: NeuronState, current: Tensor) -> NeuronState:
        """Return the state of step t; I(t) is bias and current."""
        return neuron_step(last, self.bias + current, self.p)


@dataclass(frozen=True)
class ReadoutCell:
    """A population of leaky readouts, y(t) = kappa y(t-1) + I(t); kappa, bias: (n,)."""

    kappa: Tensor
    bias: Tensor

    @property
    def size(self) -> int:
        """Return the number of readouts."""
        return len(self.bias)

    def rest(self, batch: int) -> ReadoutState:
        """Return the state before step 0."""
        return ReadoutState(self.kappa.new_zeros(batch, len(self.kappa)))

    def step(self, last: ReadoutState, current: Tensor) -> ReadoutState:
        """Return the state of step t; I(t) is bias and current."""
        return ReadoutState(self.kappa * last.y + (self.bias + current))


def readout_decay(p: LI, dtype: torch.dtype) -> Tensor:
    """Return kappa of a readout, (n,)."""
    return torch.as_tensor(p.kappa.copy()).to(dtype)
