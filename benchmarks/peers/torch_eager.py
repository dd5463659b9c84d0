"""Train in plain PyTorch: a loop over time under autograd, inputs unbound, readouts as more columns of the recurrent matrix.

The equations of ours in the same order. Of the forms tried (products of the inputs before the loop or in it, readouts after the
loop, in it, or as columns) this was the fastest or within 3 % of it at all sizes.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from . import torch_parts
from .case import Case
from .worker import Outcome, serve


class TorchEager:
    """The network of a case in dense matrices."""

    def __init__(self, case: Case, threads: int) -> None:
        torch.set_num_threads(threads)
        self.case, self.gain = case, 1.0
        self.net = torch_parts.DenseWeights(case)
        self.n_parameters = torch_parts.count(self.net.parameters())
        self.versions = torch_parts.versions()
        self.inputs = torch.from_numpy(case.inputs).transpose(0, 1).float().contiguous()
        self.labels, self.beta = torch.from_numpy(case.labels), torch.from_numpy(case.betas)

    def forward(self, keep: list[Tensor] | None = None) -> tuple[Tensor, Tensor]:
        """Return the mean readouts and the spikes of each neuron; `keep` gets the spikes of every step."""
        c, net = self.case, self.net
        w = torch.cat([net.w_rec, net.w_out], 1)
        v = a = z = n_spikes = torch.zeros(c.batch, c.n)
        y = torch.zeros(c.batch, c.n_out)
        ys = []
        for arriving in (self.inputs @ net.w_in).unbind(0):
            recurrent, to_readout = (z @ w).split([c.n, c.n_out], 1)
            y = torch.add(to_readout, y, alpha=c.kappa)
            a = torch.add(z, a, alpha=c.rho)
            v = torch.sub(torch.add(arriving + recurrent, v, alpha=c.alpha), z, alpha=c.v_th)
            z = torch_parts.Spike.apply(v - (c.v_th + self.beta * a), c.v_th, c.dampening)
            n_spikes = n_spikes + z
            ys.append(y)
            if keep is not None:
                keep.append(z)
        return torch.stack(ys).mean(0), n_spikes.sum(0)

    def run(self, keep: list[Tensor] | None = None) -> Tensor:
        """Run forward and backward; return the loss."""
        self.net.zero_grad(set_to_none=True)
        y, n_spikes = self.forward(keep)
        total = torch_parts.loss(y, n_spikes, self.labels, self.case.batch * self.case.steps)
        total.backward()
        return total

    def step(self) -> None:
        """Do one training step."""
        self.run()

    def check(self) -> Outcome:
        """Do one training step and show what came out."""
        keep: list[Tensor] = []
        total = self.run(keep)
        z = torch.stack(keep, 1)
        return torch_parts.outcome(total, z, np.arange(self.case.steps), z.sum(), self.case, self.net.gradients())


if __name__ == "__main__":
    serve(TorchEager)
