"""Arrange a network's synapses for whole-sequence sweeps: rows, windows of delays, sparse operators."""

from __future__ import annotations

import functools
import warnings
from dataclasses import dataclass

import torch
from torch import Tensor

HAS_SPARSE: bool = torch.backends.mkl.is_available()  # type: ignore[no-untyped-call]
"""Whether this torch multiplies CSR matrices on the CPU; builds without MKL use dense products."""
DENSE_ABOVE = 0.3
"""Share of non-zero entries above which a dense product with a window is the faster one (benchmarks/train_step.py)."""
DENSE_GRADIENT_ABOVE = 0.25
"""The same for the product of two sequences that gives the weight gradients (benchmarks/train_step.py)."""


@functools.cache
def announce_sparse_beta() -> None:
    """Draw torch's once-a-process notice that sparse CSR tensors are in beta where it is not shown."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.zeros(1, 1).to_sparse_csr()


@dataclass(frozen=True)
class Synapses:
    """Potential synapses of a network, one entry each, integer tensors of shape (n,).

    pre counts the rows of sources (inputs, then neurons), post the rows of targets (neurons, then readouts).
    """

    pre: Tensor
    post: Tensor
    delay: Tensor


@dataclass(frozen=True)
class Group:
    """Entries of one delay whose sources are rows low..high: one product for their weight gradients.

    entries are positions in the plan's weights, (n,); pre counts from `low`.
    """

    delay: int
    low: int
    high: int
    entries: Tensor
    pre: Tensor
    post: Tensor
    pattern: Tensor | None


class Operator:
    """Multiply a window of a sequence by weights, from sparse or dense storage, whichever is faster.

    rows, columns: int64 (n,), columns sorted in each row and rows sorted; order: positions of these entries in the weights.
    """

    def __init__(self, rows: Tensor, columns: Tensor, order: Tensor, shape: tuple[int, int]) -> None:
        announce_sparse_beta()
        self.shape, self.order = shape, order
        self.dense = rows.numel() > DENSE_ABOVE * shape[0] * shape[1] or not HAS_SPARSE
        if self.dense:
            self.flat = rows * shape[1] + columns
        else:
            self.columns = columns.int()
            self.crow = _crow(rows, shape[0])

    def matrix(self, weights: Tensor) -> Tensor:
        """Return the matrix of shape `shape` with these weights, (n,), in the order of the plan."""
        values = weights[self.order]
        if self.dense:
            return weights.new_zeros(self.shape[0] * self.shape[1]).index_add_(0, self.flat, values).view(self.shape)
        return torch.sparse_csr_tensor(self.crow, self.columns, values, size=self.shape, check_invariants=False)


def _crow(rows: Tensor, n: int) -> Tensor:
    """Return the row pointers of CSR storage, int32 (n + 1,), from sorted rows."""
    return torch.cat([torch.zeros(1, dtype=torch.int64), torch.bincount(rows, minlength=n).cumsum(0)]).int()


def _order(key: Tensor) -> Tensor:
    return torch.sort(key, stable=True).indices


class Wiring:
    """Potential synapses of a network, sorted once for every sweep; `plan` picks those that are active.

    n_sources = n_inputs + n_neurons rows send, n_targets = n_neurons + n_readouts rows receive.
    """

    def __init__(self, synapses: Synapses, n_inputs: int, n_neurons: int, n_readouts: int) -> None:
        self.synapses = synapses
        self.n_inputs, self.n_neurons, self.n_readouts = n_inputs, n_neurons, n_readouts
        self.n_sources, self.n_targets = n_inputs + n_neurons, n_neurons + n_readouts
        pre, post, delay = synapses.pre, synapses.post, synapses.delay
        has = pre.numel() > 0
        self.delay_min, self.delay_max = (int(delay.min()), int(delay.max())) if has else (0, 0)
        recurrent = pre >= n_inputs
        self.back_max = int(delay[recurrent].max()) if bool(recurrent.any()) else 1
        span = self.delay_max - self.delay_min + 1
        self.forward_shape = (self.n_targets, span * self.n_sources)
        self.backward_shape = (n_neurons, self.back_max * self.n_targets)
        self._forward_columns = (self.delay_max - delay) * self.n_sources + pre
        self._backward_columns = (delay - 1) * self.n_targets + post
        self._forward_order = _order(post * self.forward_shape[1] + self._forward_columns)
        key = (pre - n_inputs) * self.backward_shape[1] + self._backward_columns
        self._backward_order = _order(torch.where(recurrent, key, torch.full_like(key, -1)))
        self._backward_order = self._backward_order[int((~recurrent).sum()) :]
        self._group_order = _order((delay * self.n_sources + pre) * self.n_targets + post)

    def plan(self, active: Tensor | None, dtype: torch.dtype) -> Plan:
        """Return the plan of the active entries, (k,) sorted positions; None: of all."""
        return Plan(self, active, dtype)

    def _picked(self, order: Tensor, active: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return (entries of the wiring, their positions in the active weights), both in the given order."""
        if active is None:
            return order, order
        position = torch.full((self.synapses.pre.numel(),), -1, dtype=torch.int64)
        position[active] = torch.arange(active.numel())
        kept = order[position[order] >= 0]
        return kept, position[kept]


class Plan:
    """Operators for one set of active synapses.

    forward: (n_targets, window of sources) to currents; backward: (n_neurons, window of targets) to dL/dz, without
    reset; groups: for weight gradients.
    """

    def __init__(self, wiring: Wiring, active: Tensor | None, dtype: torch.dtype) -> None:
        self.wiring, self.dtype = wiring, dtype
        s = wiring.synapses
        entries, order = wiring._picked(wiring._forward_order, active)
        self.forward = Operator(s.post[entries], wiring._forward_columns[entries], order, wiring.forward_shape)
        entries, order = wiring._picked(wiring._backward_order, active)
        rows = s.pre[entries] - wiring.n_inputs
        self.backward = Operator(rows, wiring._backward_columns[entries], order, wiring.backward_shape)
        self._active = active

    @functools.cached_property
    def post(self) -> Tensor:
        """Return the target row of every active entry, int64 (k,)."""
        post = self.wiring.synapses.post
        return post if self._active is None else post[self._active]

    @functools.cached_property
    def groups(self) -> tuple[Group, ...]:
        """Return the active entries by delay and kind of source."""
        w = self.wiring
        entries, order = w._picked(w._group_order, self._active)
        pre, post, delay = w.synapses.pre[entries], w.synapses.post[entries], w.synapses.delay[entries]
        found = []
        for low, high in ((0, w.n_inputs), (w.n_inputs, w.n_sources)):
            here = (pre >= low) & (pre < high)
            for d in torch.unique(delay[here]).tolist():
                pick = here & (delay == d)
                found.append(self._group(d, low, high, order[pick], pre[pick] - low, post[pick]))
        return tuple(found)

    def _group(self, delay: int, low: int, high: int, order: Tensor, pre: Tensor, post: Tensor) -> Group:
        shape = (high - low, self.wiring.n_targets)
        pattern = None
        if order.numel() <= DENSE_GRADIENT_ABOVE * shape[0] * shape[1] and HAS_SPARSE:
            zero = torch.zeros(order.numel(), dtype=self.dtype)
            pattern = torch.sparse_csr_tensor(
                _crow(pre, shape[0]), post.int(), zero, size=shape, check_invariants=False
            )
        return Group(delay, low, high, order, pre, post, pattern)
