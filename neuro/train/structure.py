"""Hold the active synapses of a network in rows by source, as the training kernels read them."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

import torch
from torch import Tensor

from neuro import kernels


@dataclass(frozen=True)
class Structure:
    """Where weights go: n synapses sorted by source, those of a source in the order of the weights.

    Sources are inputs, then neurons; targets are neurons, then readouts. row, int64 (n_sources + 1,): where those of each source begin;
    post, int32 (n,): target; delay, int32 (n,), steps; order, int64 (n,): position in the network's active weights; max_delay_in, max_delay:
    longest from an input and from a neuron (at least 1); shared_delay_in, shared_delay: the delay of all synapses from inputs and from
    neurons, -1 if they differ, 0 without any.
    """

    n_inputs: int
    n_neurons: int
    n_readouts: int
    row: Tensor
    post: Tensor
    delay: Tensor
    order: Tensor
    max_delay_in: int
    max_delay: int
    shared_delay_in: int
    shared_delay: int

    @property
    def n_synapses(self) -> int:
        """Return the number of active synapses."""
        return len(self.post)

    @property
    def density(self) -> float:
        """Return the share of all pairs of a source and a target that a synapse joins (parallel ones counted)."""
        pairs = (self.n_inputs + self.n_neurons) * (self.n_neurons + self.n_readouts)
        return self.n_synapses / pairs if pairs else 0.0


def arrange(pre: Tensor, post: Tensor, delay: Tensor, n_inputs: int, n_neurons: int, n_readouts: int) -> Structure:
    """Sort synapses into rows, a counting sort: the whole cost of a rewiring here, O(n) (benchmarks/train_step.py).

    Parameters: pre, post, delay, int32 (n,), contiguous, in the order of the weights; pre counts sources, post targets.
    """
    n, n_sources = len(pre), n_inputs + n_neurons
    for name, x, limit in (("pre", pre, n_sources), ("post", post, n_neurons + n_readouts), ("delay", delay, 2**31)):
        assert x.dtype == torch.int32 and x.shape == (n,) and x.is_contiguous(), name
        assert not n or (int(x.min()) >= 0 and int(x.max()) < limit), name
    row, order = torch.empty(n_sources + 1, dtype=torch.int64), torch.empty(n, dtype=torch.int32)
    kernels.library().neuro_lsnn_rows(
        ctypes.c_int64(n), ctypes.c_void_p(pre.data_ptr()), ctypes.c_int64(n_sources),
        ctypes.c_void_p(row.data_ptr()), ctypes.c_void_p(order.data_ptr()),
    )  # fmt: skip
    at = order.to(torch.int64)
    delay = delay[at]
    parts = delay[: int(row[n_inputs])], delay[int(row[n_inputs]) :]
    (low_in, high_in), (low, high) = ((int(part.min()), int(part.max())) if len(part) else (0, 0) for part in parts)
    return Structure(
        n_inputs=n_inputs,
        n_neurons=n_neurons,
        n_readouts=n_readouts,
        row=row,
        post=post[at],
        delay=delay,
        order=at,
        max_delay_in=high_in,
        max_delay=max(high, 1),
        shared_delay_in=high_in if low_in == high_in else -1,
        shared_delay=high if low == high else -1,
    )
