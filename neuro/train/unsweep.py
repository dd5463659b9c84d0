"""Run a whole sequence backward through time: the hand-written gradient of `sweep`."""

from __future__ import annotations

import torch
from torch import Tensor

from neuro.train.sweep import REFRACTORY, Rows, Traces
from neuro.train.wiring import Group, Plan

CHUNK_STEPS = 32
"""Steps whose weight gradients are formed at once: few enough to stay in cache (benchmarks/train_step.py)."""


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

    def add(self, start: int, currents: Tensor, drive: Tensor) -> None:
        """Add the steps from `start`, whose dL/dI are `currents` and dL/dbias `drive`, (steps, targets, batch)."""
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
            self.bias += drive.sum((0, 2))[:, None]

    def collect(self) -> tuple[Tensor, Tensor | None]:
        """Return (dL/dweights, dL/dbias)."""
        for g, total in zip(self._groups, self._sums, strict=True):
            self.weights[g.entries] = self._of(g, total)
        return self.weights, self.bias

    @staticmethod
    def _of(g: Group, total: Tensor) -> Tensor:
        return total[g.pre, g.post] if g.pattern is None else total.values()


class _Unsweep:
    """Hold the buffers of one backward run, and step them.

    With delta(t) = dL/dI(t), read downward in t:

        dL/dz(t)  = sum over synapses of w delta(t + d) + grad_z(t) - r' delta(t+1) + dL/da(t+1)
        delta(t)  = alpha delta(t+1) + psi(t) dL/dz(t)          readouts: kappa delta(t+1) + grad_y(t)
        dL/da(t)  = rho dL/da(t+1) + beta dL/dA(t);   dL/dA(t) = -psi(t) dL/dz(t) - [adaptive] z(t) delta(t+1)

        AHP: dL/dx(t) = rho dL/dx(t+1) + delta(t), and dL/dz(t) has w_x dL/dx(t+1) in place of dL/da(t+1)

    Currents with a memory: v has u in its sum in place of I, u = keep_u u + I + own z(t-1). Then delta above is dL/dv, and
    delta_u(t) = keep_u delta_u(t+1) + delta(t) is dL/dI; dL/dz(t) has own delta_u(t+1) as well.

    with r' = v_th (reset "threshold") or A(t) ("adaptive"). For reset "zero" the term is -v(t) alpha delta(t+1), v before the
    reset, and alpha delta(t+1) reaches step t only where there was no spike and the neuron was not held at 0.

    `slots` holds dL/dI of a chunk of steps, and of the `reach` steps after it: slot k is step start + k. `drive` holds dL/dv
    where that is another number, and is `slots` otherwise.
    """

    def __init__(
        self, traces: Traces, grad_y: Tensor | None, grad_z: Tensor | None, weights: Tensor, rows: Rows, plan: Plan
    ) -> None:
        assert traces.x is not None
        _, self._n, batch = traces.x.shape
        self._traces, self._x, self._rows = traces, traces.x, rows
        self._grad_y, self._grad_z = grad_y, grad_z
        self._z = traces.z(rows.n_inputs)
        self._matrix, self._width, self._reach = (
            plan.backward.matrix(weights),
            plan.backward.shape[1],
            plan.wiring.back_max,
        )
        self.slots = weights.new_zeros(CHUNK_STEPS + self._reach, len(rows.decay), batch)
        self._memory = rows.keep_u is not None or rows.own is not None
        self.drive = torch.zeros_like(self.slots) if self._memory else self.slots
        self._flat = self.slots.view(-1, batch)
        self._grad_a = weights.new_zeros(self._n - rows.adaptive_from, batch)
        self._slope, self._peak = -rows.dampening / (rows.v_th * rows.v_th), rows.dampening / rows.v_th
        self._subtract, self._by_threshold, self._zeroing = (
            rows.stretches(reset) for reset in ("threshold", "adaptive", "zero")
        )

    def chunk(self, start: int, stop: int) -> Tensor:
        """Compute the steps stop-1 down to start and return their delta, (steps, targets, batch)."""
        psi = self._x[start:stop].abs().mul_(self._slope).add_(self._peak).clamp_(min=0)
        for t in range(stop - 1, start - 1, -1):
            self._step(t, t - start, psi[t - start])
        return self.slots[: stop - start]

    def turn(self, steps: int) -> None:
        """Make room for the next chunk, of so many steps, before this one."""
        self.slots[steps : steps + self._reach] = self.slots[: self._reach].clone()
        if self._memory:
            self.drive[steps] = self.drive[0]

    def _step(self, t: int, at: int, psi: Tensor) -> None:
        rows, n_targets = self._rows, self.slots.shape[1]
        here, after = self.drive[at], self.drive[at + 1]
        grad = torch.mm(self._matrix, self._flat[(at + 1) * n_targets : (at + 1) * n_targets + self._width])
        if self._grad_z is not None:
            grad.add_(self._grad_z[t])
        if self._grad_a.shape[0]:
            grad[rows.adaptive_from :].add_(self._grad_a)
        if rows.own is not None:
            grad.addcmul_(rows.own, self.slots[at + 1][: self._n])
        torch.mul(after, rows.decay, out=here)
        self._through_reset(t, grad, here, after)
        grad.mul_(psi)
        here[: self._n].add_(grad)
        if self._grad_y is not None:
            here[self._n :].add_(self._grad_y[t])
        if self._grad_a.shape[0]:
            for part in self._by_threshold:
                grad[part].add_(self._z[t, part] * after[part])
            self._grad_a.mul_(rows.rho).sub_(grad[rows.adaptive_from :].mul_(rows.beta))
            if rows.w_x is not None:  # the entry dL/da of an AHP row holds w_x dL/dx
                self._grad_a.addcmul_(rows.w_x, here[rows.adaptive_from : self._n])
        if self._memory:
            current = self.slots[at].copy_(here)
            if rows.keep_u is not None:
                current.addcmul_(rows.keep_u, self.slots[at + 1])

    def _through_reset(self, t: int, grad: Tensor, here: Tensor, after: Tensor) -> None:
        """Add to dL/dz(t) what reaches it through the reset; `here` is alpha delta(t+1)."""
        traces = self._traces
        for part in self._subtract:
            grad[part].sub_(after[part] * self._rows.v_th[part])
        for part in self._by_threshold:
            assert traces.threshold is not None
            grad[part].sub_(traces.threshold[t, part] * after[part])
        for part in self._zeroing:
            assert traces.held is not None
            grad[part].sub_(traces.held[t, part] * here[part])
            here[part].masked_fill_((self._z[t, part] > 0) | (self._x[t, part] > REFRACTORY / 2), 0.0)


def unsweep(
    traces: Traces,
    grad_y: Tensor | None,
    grad_z: Tensor | None,
    weights: Tensor,
    bias: Tensor | None,
    rows: Rows,
    plan: Plan,
) -> tuple[Tensor, Tensor | None]:
    """Run backward through time and return (dL/dweights, dL/dbias), shapes of weights and bias.

    Parameters: traces, of the sweep; grad_y (steps, readouts, batch) and grad_z (steps, neurons, batch), None for zero; weights,
    bias, rows, plan, as in the sweep.
    """
    run = _Unsweep(traces, grad_y, grad_z, weights, rows, plan)
    out = _Gradients(weights, bias, plan, traces)
    assert traces.x is not None
    for stop in range(len(traces.x), 0, -CHUNK_STEPS):
        start = max(0, stop - CHUNK_STEPS)
        currents = run.chunk(start, stop)
        out.add(start, currents, run.drive[: stop - start])
        run.turn(min(CHUNK_STEPS, start))
    return out.collect()
