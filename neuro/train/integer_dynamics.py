"""Step the equations of integer populations in torch, differentiably: the readable twin of `integer_sweep`.

Values are exact in float64. Rounding and clipping pass the gradient as if they were not there (straight-through).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from neuro.graph import AHP, DECAY_ONE, SCALE_BITS, IntALIF, IntLI, IntLIF
from neuro.train.surrogate import spike


def decayed(x: Tensor, factor: Tensor) -> Tensor:
    """Return trunc(x * factor), factor = (4096 - d) / 4096: decay(x, d) of DESIGN 2.2; its gradient is factor."""
    kept = x * factor
    return kept + (torch.trunc(kept) - kept).detach()


def clipped(x: Tensor, limit: int) -> Tensor:
    """Return x clipped to +-limit; its gradient is 1, beyond the limit too."""
    return x + (x.clamp(-limit, limit) - x).detach()


class IntegerState(NamedTuple):
    """State after a step, (batch, n) each: that of `dynamics.NeuronState`, and the synaptic current u; a is x of AHP neurons."""

    z: Tensor
    v: Tensor
    a: Tensor
    threshold: Tensor
    wait: Tensor
    u: Tensor


class IntegerReadoutState(NamedTuple):
    """State of readouts after a step, (batch, n) each."""

    y: Tensor
    u: Tensor


class IntegerParameters(NamedTuple):
    """Parameters of n integer neurons, float64 (n,): decays as factors, v_th in units of v; bump is 0 for AHP, w_x for others.

    own: what a neuron's own synapse adds to u one step after a spike, 0 without one.
    """

    alpha: Tensor
    rho: Tensor
    bump: Tensor
    w_x: Tensor
    v_th: Tensor
    n_ref: Tensor
    reset: str
    limit: int
    dampening: float
    keep_u: Tensor
    own: Tensor


def factor(d: object) -> Tensor:
    """Return (4096 - d) / 4096 of 12-bit decays, float64."""
    return (DECAY_ONE - torch.tensor(d, dtype=torch.float64)) / DECAY_ONE


def integer_parameters(p: IntLIF | AHP, dampening: float, own: Tensor | None = None) -> IntegerParameters:
    """Return an integer population's parameters as tensors; own: float64 (n,)."""
    zero = torch.zeros(p.size, dtype=torch.float64)
    rho = factor(p.d_a) if isinstance(p, IntALIF) else factor(p.d_x) if isinstance(p, AHP) else zero
    return IntegerParameters(
        alpha=factor(p.d_v),
        rho=rho,
        bump=torch.tensor(p.bump, dtype=torch.float64) if isinstance(p, IntALIF) else zero,
        w_x=torch.tensor(p.w_x, dtype=torch.float64) if isinstance(p, AHP) else zero,
        v_th=torch.tensor(p.v_th << SCALE_BITS, dtype=torch.float64),
        n_ref=torch.tensor(p.n_ref),
        reset="zero" if isinstance(p, AHP) else p.reset,
        limit=p.max_state,
        dampening=dampening,
        keep_u=factor(p.d_u + 1),
        own=zero if own is None else own,
    )


def integer_step(last: IntegerState, arrived: Tensor, bias: Tensor, p: IntegerParameters) -> IntegerState:
    """Return the state of step t from that of t - 1 and what synapses bring at t, (batch, n).

        u = decay(u) + arrived + own z(t-1)
        a = decay(a) + (bump or w_x) z(t-1);  A = v_th + a, AHP: A = v_th
        v = decay(v) + u + bias - r, AHP: + a as well; resets and the spike as in `dynamics.neuron_step`

    `a` of an AHP population is x of DESIGN 2.2. Source: DESIGN 2.2.
    """
    u = clipped(decayed(last.u, p.keep_u) + arrived + p.own * last.z, p.limit)
    a = clipped(decayed(last.a, p.rho) + (p.bump + p.w_x) * last.z, p.limit)
    is_slow = (p.w_x != 0).to(a.dtype)
    threshold = p.v_th + (1 - is_slow) * a
    free = last.wait == 0
    total = decayed(last.v, p.alpha) + u + is_slow * a + bias
    if p.reset == "zero":
        held = clipped(total, p.limit)
        v = torch.where(free, held, torch.zeros_like(held))
        z = spike(v, threshold, free, p.v_th, p.dampening)
        v = v - z * v
    else:
        v = clipped(total - last.z * (p.v_th if p.reset == "threshold" else last.threshold), p.limit)
        z = spike(v, threshold, free, p.v_th, p.dampening)
    wait = torch.where(z > 0, p.n_ref, torch.clamp(last.wait - 1, min=0))
    return IntegerState(z, v, a, threshold, wait, u)


@dataclass(frozen=True)
class IntegerCell:
    """A population of integer neurons for the twin; bias: (n,), whole numbers."""

    p: IntegerParameters
    bias: Tensor

    @property
    def size(self) -> int:
        """Return the number of neurons."""
        return len(self.bias)

    def rest(self, batch: int) -> IntegerState:
        """Return the state before step 0: everything zero."""
        zero = self.bias.new_zeros(batch, len(self.bias))
        return IntegerState(zero, zero, zero, zero, torch.zeros_like(zero, dtype=torch.int64), zero)

    def step(self, last: IntegerState, current: Tensor) -> IntegerState:
        """Return the state of step t."""
        return integer_step(last, current, self.bias, self.p)


@dataclass(frozen=True)
class IntegerReadoutCell:
    """A population of integer readouts for the twin, y = decay(y) + u + bias."""

    p: IntLI
    bias: Tensor

    @property
    def size(self) -> int:
        """Return the number of readouts."""
        return len(self.bias)

    def rest(self, batch: int) -> IntegerReadoutState:
        """Return the state before step 0."""
        zero = self.bias.new_zeros(batch, len(self.bias))
        return IntegerReadoutState(zero, zero)

    def step(self, last: IntegerReadoutState, current: Tensor) -> IntegerReadoutState:
        """Return the state of step t."""
        limit = self.p.max_state
        u = clipped(decayed(last.u, factor(self.p.d_u + 1)) + current, limit)
        return IntegerReadoutState(clipped(decayed(last.y, factor(self.p.d_y)) + u + self.bias, limit), u)
