"""Run a whole sequence of an integer network forward, exactly, in doubles: what the chip computes, in the form of `sweep`.

Every state is a whole number of at most 24 bits, so that a product with a 12-bit decay, and every sum, is exact in a double.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from neuro.train.sweep import Firing, Refractory, Rows, Traces
from neuro.train.wiring import Plan

_EXACT = {torch.float32: 2.0**24, torch.float64: 2.0**53}
"""Largest whole number up to which a dtype holds every whole number."""


@dataclass(frozen=True)
class IntegerRows:
    """Parameters of all target rows of an integer network, float64 columns (rows, 1) that hold whole numbers or k / 4096.

    | name | rows | meaning |
    | --- | --- | --- |
    | decay | neurons + readouts | (4096 - d_v) / 4096, (4096 - d_y) / 4096 |
    | limit | neurons + readouts | largest absolute value of a state |
    | v_th | neurons | threshold at rest, v_th * 2**6 |
    | rho, jump | neurons from `adaptive_from` on | (4096 - d) / 4096 and bump of a, or d_x and w_x of x |
    | keep_u | neurons + readouts | (4095 - d_u) / 4096; None: no current has a memory |
    | own | neurons | what a neuron's own synapse adds to its u one step after a spike; None: none has one |
    | raising, slowing | | stretches of neurons whose a raises the threshold, whose x is added to v |
    """

    decay: Tensor
    limit: Tensor
    v_th: Tensor
    rho: Tensor
    jump: Tensor
    keep_u: Tensor | None
    own: Tensor | None
    raising: tuple[slice, ...]
    slowing: tuple[slice, ...]


def product_dtype(weights: Tensor, plan: Plan) -> tuple[torch.dtype, Tensor]:
    """Return the narrowest dtype in which every sum of currents is exact, and the largest current of each row, (targets,).

    All currents of a row are multiples of the largest power of two g that divides its weights, and below sum |w|.
    Parameters: weights, whole numbers in any float dtype, of the plan's synapses.
    """
    whole, post, n = weights.detach().to(torch.int64), plan.post, plan.wiring.n_targets
    size = whole.abs()
    total = torch.zeros(n, dtype=torch.int64).index_add_(0, post, size)
    unit = torch.full((n,), 2**31, dtype=torch.int64)
    present = size > 0
    unit.scatter_reduce_(0, post[present], (size & -size)[present], "amin")
    single = bool((total <= unit * int(_EXACT[torch.float32])).all())
    return torch.float32 if single else torch.float64, total.to(torch.float64)


class _IntegerSweep:
    """Hold the buffers of one forward run, and step them; states are float64, spikes and currents the product's dtype."""

    def __init__(
        self,
        inputs: Tensor,
        weights: Tensor,
        bias: Tensor | None,
        rows: Rows,
        chip: IntegerRows,
        plan: Plan,
        keep: frozenset[str],
    ) -> None:
        (steps, n_inputs, batch), n = inputs.shape, rows.n_neurons
        kind, largest = product_dtype(weights, plan)
        n_ref = rows.n_ref.clamp(max=steps)
        longest = int(n_ref.max()) if n else 0
        pad = max(plan.wiring.delay_max, longest + 1, 1)
        sources = torch.empty(steps + pad, n_inputs + n, batch, dtype=kind)
        sources[:pad] = 0
        sources[pad:, :n_inputs].copy_(inputs)
        n_adaptive = n - rows.adaptive_from
        sizes = {"y": len(chip.decay) - n, "v": n, "a": n_adaptive, "x": n, "held": n, "threshold": n}
        shown = ("y", "v", "a")  # results are exact; what only the gradient reads has the dtype of the weights
        kept = {
            name: torch.empty(steps, size, batch, dtype=torch.float64 if name in shown else weights.dtype)
            for name, size in sizes.items()
            if name == "y" or name in keep
        }
        self.traces = Traces(sources=sources, pad=pad, **kept)

        self._rows, self._chip, self._n_inputs = rows, chip, n_inputs
        self._bias = None if bias is None else bias.double()
        self._matrix, self._width = plan.forward.matrix(weights.detach().to(kind)), plan.forward.shape[1]
        self._flat, self._first = sources.view(-1, batch), pad - plan.wiring.delay_max
        self._clear = plan.forward.dense and plan.wiring.delay_min == 0
        self._limit = _Limit(chip.limit)
        self._clip_u = bool((largest > chip.limit[:, 0]).any())
        self._subtract, self._by_threshold = (rows.stretches(reset) for reset in ("threshold", "adaptive"))
        low = rows.adaptive_from
        self._raising = [(part, slice(part.start - low, part.stop - low)) for part in chip.raising]
        self._slowing = [(part, slice(part.start - low, part.stop - low)) for part in chip.slowing]
        self._state = torch.zeros(len(chip.decay), batch, dtype=torch.float64)
        self._v, self._y = self._state[:n], self._state[n:]
        self._a = self._state.new_zeros(n_adaptive, batch)
        self._limit_a = _Limit(chip.limit[low:n])
        self._u = None if chip.keep_u is None and chip.own is None else torch.zeros_like(self._state)
        self._threshold = chip.v_th.expand(n, batch).clone()
        self._z, self._reset = self._state.new_zeros(n, batch), self._state.new_zeros(n, batch)
        self._refractory = Refractory(n_ref, sources, pad, n_inputs) if longest else None
        self._sent = self.traces.z(n_inputs)
        self._firing = Firing(self.traces, self._threshold, self._reset, rows.stretches("zero"), self._by_threshold)

    def step(self, t: int) -> None:
        """Compute step t; call once for every step in order."""
        self._adapt()
        self._integrate(self._current(t))
        blocked = None if self._refractory is None else self._refractory.advance(t)
        self._firing.fire(t, self._v, self._z, blocked)
        self._sent[t].copy_(self._z)
        self._firing.keep(t, self._v, self._a, self._y)

    def _current(self, t: int) -> Tensor:
        """Return u(t) = decay(u) + currents of all target rows."""
        sources = self.traces.sources
        if self._clear:
            sources[t + self.traces.pad, self._n_inputs :] = 0
        start = (self._first + t) * sources.shape[1]
        current = torch.mm(self._matrix, self._flat[start : start + self._width])
        if self._u is None:
            return self._limit.clip(current) if self._clip_u else current
        if self._chip.keep_u is None:
            self._u.copy_(current)
        else:
            self._u.mul_(self._chip.keep_u).trunc_().add_(current)
        if self._chip.own is not None:
            self._u[: len(self._z)].addcmul_(self._chip.own, self._z)
        return self._limit.clip(self._u)

    def _adapt(self) -> None:
        """a = decay(a) + bump z(t-1), or x = decay(x) + w_x z(t-1); A = v_th + a."""
        if not self._a.shape[0]:
            return
        self._a.mul_(self._chip.rho).trunc_().addcmul_(self._chip.jump, self._z[self._rows.adaptive_from :])
        self._limit_a.clip(self._a)
        for part, own in self._raising:
            torch.add(self._a[own], self._chip.v_th[part], out=self._threshold[part])

    def _integrate(self, current: Tensor) -> None:
        """v = decay(v) + u + x + bias - r, y = decay(y) + u + bias."""
        self._state.mul_(self._chip.decay).trunc_().add_(current)
        if self._bias is not None:
            self._state.add_(self._bias)
        for part in self._subtract:
            self._v[part].addcmul_(self._z[part], self._chip.v_th[part], value=-1)
        for part in self._by_threshold:
            self._v[part].sub_(self._reset[part])
        for part, own in self._slowing:
            self._v[part].add_(self._a[own])
        self._limit.clip(self._state)


class _Limit:
    """Clip rows to +-limit: by one number where all rows have the same, which is the faster way."""

    def __init__(self, limit: Tensor) -> None:
        self._limit = limit
        low, high = (float(limit.min()), float(limit.max())) if len(limit) else (0.0, 0.0)
        self._uniform = low if low == high else None

    def clip(self, values: Tensor) -> Tensor:
        """Clip in place and return the tensor, (rows, batch)."""
        if self._uniform is not None:
            return values.clamp_(-self._uniform, self._uniform)
        limit = self._limit.to(values.dtype)
        return values.clamp_(-limit, limit)


def integer_sweep(
    inputs: Tensor,
    weights: Tensor,
    bias: Tensor | None,
    rows: Rows,
    plan: Plan,
    keep: frozenset[str],
    *,
    chip: IntegerRows,
) -> Traces:
    """Run every step of the integer semantics (DESIGN 2.2) and return the traces.

    Parameters: inputs, (steps, n_inputs, batch) spikes; weights of the plan's synapses, (k,), and bias, (targets, 1) or None, whole
    numbers in any float dtype; rows, for the gradient; keep, as in `sweep`; chip, the constants.
    Returns: Traces: y, v, a float64 and equal to `neuro.graph.reference`, bit for bit (a holds x of AHP rows); the others in the
    dtype of the weights, for `unsweep`.
    """
    run = _IntegerSweep(inputs, weights, bias, rows, chip, plan, keep)
    for t in range(len(inputs)):
        run.step(t)
    run.traces.sources = run.traces.sources.to(weights.dtype)
    return run.traces
