"""Train in PyTorch with a chunk of 10 steps compiled by torch.compile, forward and backward.

The equations of ours. Of the forms tried, products of the chunk's inputs and of its spikes with the readout as one each was the
fastest or within 2 % of it at all sizes. Compiling all 840 steps at once takes tens of minutes and is no faster.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from . import torch_parts
from .case import Case
from .worker import Outcome, serve

CHUNK = 10


class State(NamedTuple):
    """State after a step: membrane, adaptation, spike, spikes so far (batch, n) and readout (batch, n_out)."""

    v: Tensor
    a: Tensor
    z: Tensor
    n_spikes: Tensor
    y: Tensor


class TorchCompile:
    """The network of a case in dense matrices."""

    def __init__(self, case: Case, threads: int) -> None:
        torch.set_num_threads(threads)
        if case.steps % CHUNK:
            raise ValueError(
                f"torch.compile: steps are no multiple of a chunk (got {case.steps}; need one of {CHUNK})."
            )
        self.case, self.gain = case, 1.0
        self.net = torch_parts.DenseWeights(case)
        self.n_parameters = torch_parts.count(self.net.parameters())
        self.versions = torch_parts.versions()
        self.inputs = torch.from_numpy(case.inputs).transpose(0, 1).float().contiguous()
        self.labels, self.beta = torch.from_numpy(case.labels), torch.from_numpy(case.betas)
        self.chunk = torch.compile(self.steps_of_chunk, dynamic=False, fullgraph=True)
        self.run(2 * CHUNK)  # compiles both: the first chunk, whose state needs no gradient, and the others

    def steps_of_chunk(self, x: Tensor, w_in: Tensor, w_rec: Tensor, w_out: Tensor, s: State) -> tuple[Tensor, State]:
        """Return the readouts of a chunk, (CHUNK, batch, n_out), and the state after it; x, (CHUNK, batch, n_in)."""
        c = self.case
        v, a, z, n_spikes, y = s
        arriving, sent, ys = x @ w_in, [], []
        for t in range(CHUNK):
            sent.append(z)
            a = c.rho * a + z
            v = c.alpha * v + torch.addmm(arriving[t], z, w_rec) - c.v_th * z
            z = torch_parts.Spike.apply(v - (c.v_th + self.beta * a), c.v_th, c.dampening)
            n_spikes = n_spikes + z
        to_readout = torch.stack(sent) @ w_out
        for t in range(CHUNK):
            y = c.kappa * y + to_readout[t]
            ys.append(y)
        return torch.stack(ys), State(v, a, z, n_spikes, y)

    def run(self, steps: int, keep: list[Tensor] | None = None) -> tuple[Tensor, Tensor]:
        """Run forward and backward over some steps; return loss and spikes; `keep` gets the last spikes of every chunk."""
        c, net = self.case, self.net
        net.zero_grad(set_to_none=True)
        rest = torch.zeros(c.batch, c.n)
        state, ys = State(rest, rest, rest, rest, torch.zeros(c.batch, c.n_out)), []
        for x in self.inputs[:steps].split(CHUNK):
            y, state = self.chunk(x, net.w_in, net.w_rec, net.w_out, state)
            ys.append(y)
            if keep is not None:
                keep.append(state.z)
        total = torch_parts.loss(torch.cat(ys).mean(0), state.n_spikes.sum(0), self.labels, c.batch * steps)
        total.backward()
        return total, state.n_spikes

    def step(self) -> None:
        """Do one training step."""
        self.run(self.case.steps)

    def check(self) -> Outcome:
        """Do one training step and show what came out: spikes of every tenth step, those the chunks end with."""
        keep: list[Tensor] = []
        total, n_spikes = self.run(self.case.steps, keep)
        steps = np.arange(CHUNK - 1, self.case.steps, CHUNK)
        return torch_parts.outcome(total, torch.stack(keep, 1), steps, n_spikes.sum(), self.case, self.net.gradients())


if __name__ == "__main__":
    serve(TorchCompile)
