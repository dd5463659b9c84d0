"""Train with SpikingJelly: Linear, LinearRecurrentContainer around LIFNode, Linear, step by step as the container's docs do.

It differs from ours: no adaptation (every neuron is LIF), the container's linear layer is over inputs and spikes both (another
n x n matrix, set to the identity, and a bias), the reset takes effect before the decay, an arctangent surrogate. The reset keeps
its gradient, as in ours: with detach_reset the gradients of 840 steps overflow. Readouts leak by a line of torch. Step by step, since its multi-step mode would keep a gradient of the whole sequence
for each step.
"""

from __future__ import annotations

from importlib.metadata import version

import numpy as np
import torch
from spikingjelly.activation_based import functional, layer, neuron, surrogate
from torch import Tensor, nn

from . import torch_parts
from .case import Case
from .worker import Outcome, serve


class SpikingJelly:
    """The network of a case in dense matrices, LIF only."""

    def __init__(self, case: Case, threads: int) -> None:
        torch.set_num_threads(threads)
        self.case = case
        lif = neuron.LIFNode(
            tau=1 / (1 - case.alpha), decay_input=False, v_threshold=case.v_th, v_reset=None,
            surrogate_function=surrogate.ATan(),
        )  # fmt: skip
        self.fc_in = layer.Linear(case.n_in, case.n, bias=False)
        self.recurrent = layer.LinearRecurrentContainer(lif, in_features=case.n, out_features=case.n, bias=True)
        self.fc_out = layer.Linear(case.n, case.n_out, bias=False)
        self.net = nn.Sequential(self.fc_in, self.recurrent, self.fc_out)
        with torch.no_grad():
            self.fc_in.weight.copy_(torch.from_numpy(case.w_in.T))
            self.recurrent.rc.weight.copy_(torch.cat([torch.eye(case.n), torch.from_numpy(case.w_rec.T)], 1))
            self.recurrent.rc.bias.zero_()
            self.fc_out.weight.copy_(torch.from_numpy(case.w_out.T))
        self.inputs = torch.from_numpy(case.inputs).transpose(0, 1).float().contiguous()
        self.labels = torch.from_numpy(case.labels)
        self.gain = torch_parts.calibrate(
            lambda x: 1000 * torch.stack(self.forward(x)[1]).mean().item(),
            [self.fc_in.weight, self.recurrent.rc.weight.detach()[:, case.n :]],
            self.inputs,
        )
        self.n_parameters = torch_parts.count(self.net.parameters())
        self.versions = torch_parts.versions() | {"spikingjelly": version("spikingjelly")}

    def forward(self, inputs: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Return readouts and spikes of every step, (batch, units) each."""
        functional.reset_net(self.net)
        y = torch.zeros(inputs.shape[1], self.case.n_out)
        ys, zs = [], []
        for x in inputs.unbind(0):
            z = self.recurrent(self.fc_in(x))
            y = torch.add(self.fc_out(z), y, alpha=self.case.kappa)
            ys.append(y)
            zs.append(z)
        return ys, zs

    def run(self) -> tuple[Tensor, Tensor]:
        """Run forward and backward; return loss and spikes, (steps, batch, n)."""
        self.net.zero_grad(set_to_none=True)
        ys, zs = self.forward(self.inputs)
        z = torch.stack(zs)
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
        recurrent = self.recurrent.rc.weight.grad[:, self.case.n :]
        grads = {"w_in": self.fc_in.weight.grad, "w_rec": recurrent, "w_out": self.fc_out.weight.grad}
        gradients = {name: g.T.numpy() for name, g in grads.items()}
        return torch_parts.outcome(total, z.transpose(0, 1), np.arange(len(z)), z.sum(), self.case, gradients)


if __name__ == "__main__":
    serve(SpikingJelly)
