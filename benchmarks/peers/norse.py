"""Train with norse: LSNNRecurrent over the sequence, then LILinearCell step by step, as in its memory task.

It differs from ours: reset to zero in place of a subtraction, one more step of delay (the membrane sees the current of the step
before), no gradient through the reset and the adaptation's jump. Its synaptic current is made to last one step (tau_syn = dt).
"""

from __future__ import annotations

import norse as norse_package
import numpy as np
import torch
from norse.torch import LSNNRecurrent
from norse.torch.functional.leaky_integrator import LIParameters
from norse.torch.functional.lsnn import LSNNParameters
from norse.torch.module.leaky_integrator import LILinearCell
from torch import Tensor, nn

from . import torch_parts
from .case import Case
from .worker import Outcome, serve

PER_SECOND = 1000.0  # norse's dt is 0.001 s


class Norse:
    """The network of a case in dense matrices, with norse's dynamics."""

    def __init__(self, case: Case, threads: int) -> None:
        torch.set_num_threads(threads)
        self.case = case
        # An Euler step moves v by (1 - alpha) of the current: weights are divided by it, so that a spike moves v as in ours.
        w_in, w_rec, w_out = (
            nn.Parameter(torch.from_numpy(w.T / (1 - decay)).float().contiguous())
            for w, decay in ((case.w_in, case.alpha), (case.w_rec, case.alpha), (case.w_out, case.kappa))
        )
        fast = torch.as_tensor(PER_SECOND)
        p = LSNNParameters(
            tau_syn_inv=fast, tau_mem_inv=fast * (1 - case.alpha), tau_adapt_inv=fast * (1 - case.rho),
            v_th=torch.as_tensor(case.v_th), beta=torch.from_numpy(case.betas), method="triangle", alpha=case.dampening,
        )  # fmt: skip
        self.layer = LSNNRecurrent(
            case.n_in, case.n, p=p, input_weights=w_in, recurrent_weights=w_rec, autapses=True, dt=1 / PER_SECOND
        )
        self.readout = LILinearCell(
            case.n, case.n_out, LIParameters(tau_syn_inv=fast, tau_mem_inv=fast * (1 - case.kappa)), dt=1 / PER_SECOND
        )
        self.readout.input_weights = w_out
        self.net = nn.ModuleList([self.layer, self.readout])
        self.inputs = torch.from_numpy(case.inputs).transpose(0, 1).float().contiguous()
        self.labels = torch.from_numpy(case.labels)
        self.gain = torch_parts.calibrate(
            lambda x: PER_SECOND * self.layer(x)[0].mean().item(), [w_in, w_rec], self.inputs
        )
        self.n_parameters = torch_parts.count(self.net.parameters())
        self.versions = torch_parts.versions() | {"norse": norse_package.__version__}

    def run(self) -> tuple[Tensor, Tensor]:
        """Run forward and backward; return loss and spikes, (steps, batch, n)."""
        self.net.zero_grad(set_to_none=True)
        z, _ = self.layer(self.inputs)
        state, ys = None, []
        for spikes in z.unbind(0):
            y, state = self.readout(spikes, state)
            ys.append(y)
        steps, samples = z.shape[:2]
        total = torch_parts.loss(torch.stack(ys).mean(0), z.sum((0, 1)), self.labels, samples * steps)
        total.backward()
        return total, z

    def step(self) -> None:
        """Do one training step."""
        self.run()

    def check(self) -> Outcome:
        """Do one training step and show what came out."""
        total, z = self.run()
        weights = (self.layer.input_weights, self.layer.recurrent_weights, self.readout.input_weights)
        gradients = {k: w.grad.T.numpy() for k, w in zip(("w_in", "w_rec", "w_out"), weights, strict=True)}
        return torch_parts.outcome(total, z.transpose(0, 1), np.arange(len(z)), z.sum(), self.case, gradients)


if __name__ == "__main__":
    serve(Norse)
