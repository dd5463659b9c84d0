"""Run a whole sequence forward and backward with hand-written steps: the fast form of `dynamics`.

Tensors lie as (steps, rows, batch), so that the spikes of a window of delays are one contiguous matrix, and one sparse
product a step gives all currents. Rows of sources are inputs, then neurons; rows of targets are neurons, then readouts.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from neuro.train.wiring import Group, Plan

REFRACTORY = 2.0**60
"""Distance from threshold that is stored for a refractory neuron: its pseudo-derivative is then 0."""
CHUNK_STEPS = 32
"""Steps whose weight gradients are formed at once: few enough to stay in cache (measured, 2 cores)."""


@dataclass(frozen=True)
class Rows:
    """Parameters of all target rows. Column tensors have shape (rows, 1).

    | name | rows | meaning |
    | --- | --- | --- |
    | decay | neurons + readouts | alpha, kappa |
    | v_th | neurons | threshold at rest |
    | rho, beta | neurons from `adaptive_from` on | adaptation; LIF neurons among them have 0 |
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
class _Refractory:
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


def sweep(inputs: Tensor, weights: Tensor, bias: Tensor | None, rows: Rows, plan: Plan, keep: frozenset[str]) -> Traces:
    """Run every step of `dynamics`, in the same order of operations, and return the traces.

    Parameters: inputs, (steps, n_inputs, batch), any real dtype; weights of the plan's synapses, (k,); bias, (targets, 1)
    or None; keep, names of traces to store besides sources and y.
    Returns: Traces, dtype of the weights.
    """
    steps, n_inputs, batch = inputs.shape
    n, like = rows.n_neurons, weights
    n_ref = rows.n_ref.clamp(max=steps)
    longest = int(n_ref.max()) if n else 0
    pad = max(plan.wiring.delay_max, longest + 1, 1)
    sources = like.new_empty(steps + pad, n_inputs + n, batch)
    sources[:pad] = 0
    sources[pad:, :n_inputs].copy_(inputs)
    shapes = {"x": n, "v": n, "threshold": n, "held": n, "a": n - rows.adaptive_from}
    kept: dict[str, Tensor] = {
        name: like.new_empty(steps, size, batch) for name, size in shapes.items() if name in keep
    }
    readout = like.new_empty(steps, len(rows.decay) - n, batch)
    traces = Traces(sources=sources, pad=pad, y=readout, **kept)
    matrix, flat = plan.forward.matrix(weights), sources.view(-1, batch)
    first = (pad - plan.wiring.delay_max) * sources.shape[1]
    stride, width = sources.shape[1], plan.forward.shape[1]
    clear = plan.forward.dense and plan.wiring.delay_min == 0  # the window then holds spikes that are not computed yet

    state = like.new_zeros(len(rows.decay), batch)
    v, y = state[:n], state[n:]
    a = like.new_zeros(n - rows.adaptive_from, batch)
    threshold = rows.v_th.expand(n, batch).clone()
    threshold_a, v_th_a = threshold[rows.adaptive_from :], rows.v_th[rows.adaptive_from :]
    r = like.new_zeros(n, batch)
    refractory = _Refractory(n_ref, sources, pad, n_inputs) if longest else None
    subtract, by_threshold, zeroing = rows.stretches("threshold"), rows.stretches("adaptive"), rows.stretches("zero")
    blocked = r
    before = sources[pad - 1, n_inputs:]
    for t in range(steps):
        start = first + t * stride
        if clear:
            sources[t + pad, n_inputs:] = 0
        current = torch.mm(matrix, flat[start : start + width])
        if bias is not None:
            current.add_(bias)
        state.mul_(rows.decay).add_(current)
        for part in subtract:
            v[part].sub_(torch.mul(before[part], rows.v_th[part]))
        for part in by_threshold:
            v[part].sub_(r[part])
        if a.shape[0]:
            a.mul_(rows.rho).add_(before[rows.adaptive_from :])
            torch.mul(a, rows.beta, out=threshold_a)
            threshold_a.add_(v_th_a)
        if refractory is not None:
            blocked = refractory.advance(t)
            for part in zeroing:
                v[part].masked_fill_(blocked[part] > 0, 0.0)
        z = sources[t + pad, n_inputs:]
        torch.gt(v, threshold, out=z)
        if refractory is not None:
            torch.gt(z, blocked, out=z)
        if traces.x is not None:
            torch.sub(v, threshold, out=traces.x[t])
            if refractory is not None:
                traces.x[t].add_(blocked, alpha=REFRACTORY)
        if traces.held is not None:
            traces.held[t].copy_(v)
        for part in zeroing:
            v[part].masked_fill_(z[part] > 0, 0.0)
        for part in by_threshold:
            torch.mul(z[part], threshold[part], out=r[part])
        if traces.v is not None:
            traces.v[t].copy_(v)
        if traces.a is not None:
            traces.a[t].copy_(a)
        if traces.threshold is not None:
            traces.threshold[t].copy_(threshold)
        readout[t].copy_(y)
        before = z
    return traces


class _Gradients:
    """Collect the gradients of weights and bias, a chunk of steps at a time."""

    def __init__(self, weights: Tensor, bias: Tensor | None, plan: Plan, traces: Traces) -> None:
        self.weights = torch.zeros_like(weights)
        self.bias = None if bias is None else torch.zeros_like(bias)
        self._groups, self._traces = plan.groups, traces
        self._sums: list[Tensor] = [
            weights.new_zeros(g.high - g.low, plan.wiring.n_targets) if g.pattern is None else g.pattern.clone()
            for g in self._groups
        ]

    def add(self, start: int, stop: int, currents: Tensor) -> None:
        """Add the steps start..stop-1, whose dL/dI are `currents`, (steps, targets, batch)."""
        steps, n_targets, batch = currents.shape
        back = currents.permute(1, 0, 2).reshape(n_targets, steps * batch).t()
        for k, g in enumerate(self._groups):
            first = start + self._traces.pad - g.delay
            sent = self._traces.sources[first : first + steps, g.low : g.high]
            sent = sent.permute(1, 0, 2).reshape(g.high - g.low, steps * batch)
            if g.pattern is None:
                self._sums[k].addmm_(sent, back)
            else:
                self._sums[k] = torch.sparse.sampled_addmm(self._sums[k], sent, back)
        if self.bias is not None:
            self.bias += currents.sum((0, 2))[:, None]

    def collect(self) -> tuple[Tensor, Tensor | None]:
        """Return (dL/dweights, dL/dbias)."""
        for g, total in zip(self._groups, self._sums, strict=True):
            self.weights[g.entries] = self._of(g, total)
        return self.weights, self.bias

    @staticmethod
    def _of(g: Group, total: Tensor) -> Tensor:
        return total[g.pre, g.post] if g.pattern is None else total.values()


def unsweep(
    traces: Traces,
    grad_y: Tensor | None,
    grad_z: Tensor | None,
    weights: Tensor,
    bias: Tensor | None,
    rows: Rows,
    plan: Plan,
) -> tuple[Tensor, Tensor | None]:
    """Run backward through time and return (dL/dweights, dL/dbias).

    With delta(t) = dL/dI(t), read downward in t; h = z, and A(t), v_th or the membrane as the reset has it:

        dL/dz(t)  = sum over synapses of w delta(t + d) + grad_z(t) - r' delta(t+1) + dL/da(t+1)
        delta(t)  = alpha delta(t+1) + psi(t) dL/dz(t)          readouts: kappa delta(t+1) + grad_y(t)
        dL/da(t)  = rho dL/da(t+1) + beta dL/dA(t);   dL/dA(t) = -psi(t) dL/dz(t) - [adaptive] z(t) delta(t+1)

    with r' = v_th (reset "threshold") or A(t) ("adaptive"). For reset "zero" the term is -v(t) alpha delta(t+1), v before the
    reset, and alpha delta(t+1) reaches step t only where there was no spike and the neuron was not held at 0.

    Parameters: grad_y (steps, readouts, batch) and grad_z (steps, neurons, batch), None for zero.
    """
    assert traces.x is not None
    steps, n, batch = traces.x.shape
    n_targets, reach = len(rows.decay), plan.wiring.back_max
    out = _Gradients(weights, bias, plan, traces)
    matrix = plan.backward.matrix(weights)
    width = plan.backward.shape[1]
    slots = weights.new_zeros(CHUNK_STEPS + reach, n_targets, batch)  # dL/dI of a chunk and of `reach` steps after it
    flat = slots.view(-1, batch)
    z_all = traces.z(rows.n_inputs)
    grad_a = weights.new_zeros(n - rows.adaptive_from, batch)
    slope, peak = -rows.dampening / (rows.v_th * rows.v_th), rows.dampening / rows.v_th
    subtract, by_threshold, zeroing = rows.stretches("threshold"), rows.stretches("adaptive"), rows.stretches("zero")
    for stop in range(steps, 0, -CHUNK_STEPS):
        start = max(0, stop - CHUNK_STEPS)
        psi = traces.x[start:stop].abs().mul_(slope).add_(peak).clamp_(min=0)
        for t in range(stop - 1, start - 1, -1):
            at = t - start
            here, after = slots[at], slots[at + 1]
            grad = torch.mm(matrix, flat[(at + 1) * n_targets : (at + 1) * n_targets + width])
            if grad_z is not None:
                grad.add_(grad_z[t])
            if grad_a.shape[0]:
                grad[rows.adaptive_from :].add_(grad_a)
            torch.mul(after, rows.decay, out=here)
            for part in subtract:
                grad[part].sub_(after[part] * rows.v_th[part])
            for part in by_threshold:
                assert traces.threshold is not None
                grad[part].sub_(traces.threshold[t, part] * after[part])
            for part in zeroing:
                assert traces.held is not None
                grad[part].sub_(traces.held[t, part] * here[part])
                here[part].masked_fill_((z_all[t, part] > 0) | (traces.x[t, part] > REFRACTORY / 2), 0.0)
            grad.mul_(psi[at])
            here[:n].add_(grad)
            if grad_y is not None:
                here[n:].add_(grad_y[t])
            if grad_a.shape[0]:
                for part in by_threshold:
                    grad[part].add_(z_all[t, part] * after[part])
                grad_a.mul_(rows.rho).sub_(grad[rows.adaptive_from :].mul_(rows.beta))
        out.add(start, stop, slots[: stop - start])
        following = min(CHUNK_STEPS, start)
        slots[following : following + reach] = slots[:reach].clone()
    return out.collect()


class _Sequence(torch.autograd.Function):
    """Tie `sweep` and `unsweep` together for autograd."""

    @staticmethod
    def forward(
        ctx: Any, inputs: Tensor, weights: Tensor, bias: Tensor | None, rows: Rows, plan: Plan, keep: frozenset[str]
    ) -> tuple[Tensor | None, ...]:
        traces = sweep(inputs, weights, bias, rows, plan, keep)
        y, v, a = traces.y, traces.v, traces.a
        traces.y = traces.v = traces.a = None  # outputs held by their own node would be a cycle
        ctx.rows, ctx.plan, ctx.traces = rows, plan, traces
        ctx.save_for_backward(weights, bias)
        ctx.set_materialize_grads(False)
        ctx.mark_non_differentiable(*(t for t in (v, a) if t is not None))
        return y, traces.z(rows.n_inputs), v, a

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        weights, bias = ctx.saved_tensors
        grad_w, grad_b = unsweep(ctx.traces, grads[0], grads[1], weights, bias, ctx.rows, ctx.plan)
        ctx.traces = None
        return None, grad_w, grad_b, None, None, None


def run(
    inputs: Tensor, weights: Tensor, bias: Tensor | None, rows: Rows, plan: Plan, traces: bool
) -> tuple[Tensor, Tensor, Tensor | None, Tensor | None]:
    """Return (y, z, v, a) of a sequence, (steps, rows, batch); v and a only with `traces`, and without gradients.

    Gradients reach weights and bias from y and z. Parameters as in `sweep`.
    """
    keep = {"v", "a"} if traces else set()
    if torch.is_grad_enabled() and (weights.requires_grad or (bias is not None and bias.requires_grad)):
        keep.add("x")
        keep |= {"threshold"} if rows.stretches("adaptive") else set()
        keep |= {"held"} if rows.stretches("zero") else set()
    return _Sequence.apply(inputs, weights, bias, rows, plan, frozenset(keep))  # type: ignore[no-untyped-call]
