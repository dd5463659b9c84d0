"""Run a whole sequence forward, step by step and in place: the fast form of `dynamics`.

Tensors lie as (steps, rows, batch), so that the spikes of a window of delays are one contiguous matrix, and one sparse
product a step gives all currents. Rows of sources are inputs, then neurons; rows of targets are neurons, then readouts.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from neuro.train.wiring import Plan

REFRACTORY = 2.0**60
"""Distance from threshold that is stored for a refractory neuron: its pseudo-derivative is then 0."""


@dataclass(frozen=True)
class Rows:
    """Parameters of all target rows. Column tensors have shape (rows, 1).

    | name | rows | meaning |
    | --- | --- | --- |
    | decay | neurons + readouts | alpha, kappa |
    | v_th | neurons | threshold at rest |
    | rho, beta | neurons from `adaptive_from` on | adaptation; LIF neurons among them have 0 |
    | w_x | the same, None without AHP neurons | slow current of a spike: x = rho x + w_x z, added to v; then beta is 0 |
    | keep_u | neurons + readouts, None: 0 | memory of the current: u = keep_u u + I, and v has u in place of I |
    | own | neurons, None: 0 | weight of a neuron to itself, delay 1, that is not trained |
    | n_ref | neurons, (n,) int64 | refractory steps |
    | resets | | (reset, low, high) for stretches of neurons |
    """

    n_inputs: int
    n_neurons: int
    decay: Tensor
    v_th: Tensor
    rho: Tensor
    beta: Tensor
    adaptive_from: int
    n_ref: Tensor
    resets: tuple[tuple[str, int, int], ...]
    dampening: float
    w_x: Tensor | None = None
    keep_u: Tensor | None = None
    own: Tensor | None = None

    def stretches(self, reset: str) -> list[slice]:
        """Return the rows that have this reset."""
        return [slice(low, high) for name, low, high in self.resets if name == reset]


@dataclass
class Traces:
    """What a sweep leaves behind, each (steps, rows, batch) or None.

    sources: inputs and spikes, with `pad` silent steps before step 0; y: readouts; x: v - A; v, a, threshold, held (the
    membrane before reset "zero").
    """

    sources: Tensor
    pad: int
    y: Tensor | None
    x: Tensor | None = None
    v: Tensor | None = None
    a: Tensor | None = None
    threshold: Tensor | None = None
    held: Tensor | None = None

    def z(self, n_inputs: int) -> Tensor:
        """Return the spikes, (steps, neurons, batch)."""
        return self.sources[self.pad :, n_inputs:]


@dataclass
class Refractory:
    """Count spikes of the last n_ref steps: `blocked` is 1 where a neuron may not spike, else 0.

    blocked(t) = blocked(t-1) + z(t-1) - z(t-1-n_ref)
    """

    n_ref: Tensor
    sources: Tensor
    pad: int
    n_inputs: int
    blocked: Tensor = field(init=False)
    uniform: int | None = field(init=False)

    def __post_init__(self) -> None:
        n = len(self.n_ref)
        self.blocked = self.sources.new_zeros(n, self.sources.shape[2])
        low, high = int(self.n_ref.min()), int(self.n_ref.max())
        self.uniform = low if low == high else None
        self._rows = self.n_inputs + torch.arange(n)
        self._flat = self.sources.view(-1, self.sources.shape[2])

    def advance(self, t: int) -> Tensor:
        """Return `blocked` at step t; call once for every step in order."""
        z = self.sources[t + self.pad - 1, self.n_inputs :]
        if self.uniform is not None:
            old = self.sources[t + self.pad - 1 - self.uniform, self.n_inputs :]
        else:
            step = t + self.pad - 1 - self.n_ref
            old = self._flat.index_select(0, step * self.sources.shape[1] + self._rows)
        return self.blocked.add_(z).sub_(old)


@dataclass
class Firing:
    """End a step, in doubles or in integers alike: spike, keep what the gradient reads, reset.

    traces: where to; threshold: A, (neurons, batch), whoever steps keeps it up to date; reset: r of reset "adaptive", as large;
    zeroing, by_threshold: stretches of neurons with reset "zero" and "adaptive".
    """

    traces: Traces
    threshold: Tensor
    reset: Tensor
    zeroing: list[slice]
    by_threshold: list[slice]

    def fire(self, t: int, v: Tensor, z: Tensor, blocked: Tensor | None) -> None:
        """Write z = v > A and not blocked, and do with v what the reset does at once; all (neurons, batch), in place."""
        if blocked is not None:
            for part in self.zeroing:
                v[part].masked_fill_(blocked[part] > 0, 0.0)
        torch.gt(v, self.threshold, out=z)
        if blocked is not None:
            torch.gt(z, blocked, out=z)
        if self.traces.x is not None:
            torch.sub(v, self.threshold, out=self.traces.x[t])
            if blocked is not None:
                self.traces.x[t].add_(blocked, alpha=REFRACTORY)
        if self.traces.held is not None:
            self.traces.held[t].copy_(v)
        for part in self.zeroing:
            v[part].masked_fill_(z[part] > 0, 0.0)
        for part in self.by_threshold:
            torch.mul(z[part], self.threshold[part], out=self.reset[part])

    def keep(self, t: int, v: Tensor, a: Tensor, y: Tensor) -> None:
        """Store the states of step t that were asked for."""
        traces = self.traces
        for trace, value in ((traces.y, y), (traces.v, v), (traces.a, a), (traces.threshold, self.threshold)):
            if trace is not None:
                trace[t].copy_(value)


class _Sweep:
    """Hold the buffers of one forward run, and step them."""

    def __init__(
        self, inputs: Tensor, weights: Tensor, bias: Tensor | None, rows: Rows, plan: Plan, keep: frozenset[str]
    ) -> None:
        steps, n_inputs, batch = inputs.shape
        n, like = rows.n_neurons, weights
        n_ref = rows.n_ref.clamp(max=steps)
        longest = int(n_ref.max()) if n else 0
        pad = max(plan.wiring.delay_max, longest + 1, 1)
        sources = like.new_empty(steps + pad, n_inputs + n, batch)
        sources[:pad] = 0
        sources[pad:, :n_inputs].copy_(inputs)
        n_adaptive = n - rows.adaptive_from
        sizes = {"y": len(rows.decay) - n, "x": n, "v": n, "threshold": n, "held": n, "a": n_adaptive}
        kept = {name: like.new_empty(steps, size, batch) for name, size in sizes.items() if name in {"y", *keep}}
        self.traces = Traces(sources=sources, pad=pad, **kept)

        self._rows, self._bias, self._n_inputs = rows, bias, n_inputs
        self._matrix, self._flat, self._width = (
            plan.forward.matrix(weights),
            sources.view(-1, batch),
            plan.forward.shape[1],
        )
        self._first = pad - plan.wiring.delay_max
        # a dense product would read the spikes of its own step, which are not computed yet
        self._clear = plan.forward.dense and plan.wiring.delay_min == 0
        self._subtract, self._by_threshold = (rows.stretches(reset) for reset in ("threshold", "adaptive"))
        self._state = like.new_zeros(len(rows.decay), batch)
        self._v, self._y = self._state[:n], self._state[n:]
        self._a = like.new_zeros(n_adaptive, batch)
        self._threshold = rows.v_th.expand(n, batch).clone()
        self._reset = like.new_zeros(n, batch)  # r of reset "adaptive"
        self._before = sources[pad - 1, n_inputs:]
        self._refractory = Refractory(n_ref, sources, pad, n_inputs) if longest else None
        self._firing = Firing(self.traces, self._threshold, self._reset, rows.stretches("zero"), self._by_threshold)

    def step(self, t: int) -> None:
        """Compute step t; call once for every step in order."""
        self._integrate(self._current(t))
        self._adapt()
        blocked = None if self._refractory is None else self._refractory.advance(t)
        self._before = self.traces.sources[t + self.traces.pad, self._n_inputs :]
        self._firing.fire(t, self._v, self._before, blocked)
        self._firing.keep(t, self._v, self._a, self._y)

    def _current(self, t: int) -> Tensor:
        """Return I(t) of all target rows."""
        sources = self.traces.sources
        if self._clear:
            sources[t + self.traces.pad, self._n_inputs :] = 0
        start = (self._first + t) * sources.shape[1]
        current = torch.mm(self._matrix, self._flat[start : start + self._width])
        return current if self._bias is None else current.add_(self._bias)

    def _integrate(self, current: Tensor) -> None:
        """v = (alpha v + I) - r, y = kappa y + I."""
        self._state.mul_(self._rows.decay).add_(current)
        for part in self._subtract:
            self._v[part].sub_(torch.mul(self._before[part], self._rows.v_th[part]))
        for part in self._by_threshold:
            self._v[part].sub_(self._reset[part])

    def _adapt(self) -> None:
        """a = rho a + z(t-1); A = v_th + beta a."""
        rows = self._rows
        if self._a.shape[0]:
            self._a.mul_(rows.rho).add_(self._before[rows.adaptive_from :])
            threshold = self._threshold[rows.adaptive_from :]
            torch.mul(self._a, rows.beta, out=threshold)
            threshold.add_(rows.v_th[rows.adaptive_from :])


def sweep(inputs: Tensor, weights: Tensor, bias: Tensor | None, rows: Rows, plan: Plan, keep: frozenset[str]) -> Traces:
    """Run every step of `dynamics`, in the same order of operations, and return the traces.

    Parameters: inputs, (steps, n_inputs, batch), any real dtype; weights of the plan's synapses, (k,); bias, (targets, 1)
    or None; keep, names of traces to store besides sources and y.
    Returns: Traces, dtype of the weights.
    """
    run = _Sweep(inputs, weights, bias, rows, plan, keep)
    for t in range(len(inputs)):
        run.step(t)
    return run.traces
