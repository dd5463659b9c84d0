"""Train with snnTorch: Linear, RLeaky (all to all), Linear and a Leaky readout without reset, stepped as in its tutorials.

It differs from ours: no adaptation (every neuron is LIF), RLeaky trains a bias of its recurrent connections, no gradient through
the reset, a fast-sigmoid surrogate.
"""

from __future__ import annotations

import numpy as np
import snntorch as snn
import torch
from snntorch import surrogate
from torch import Tensor, nn

from . import torch_parts
from .case import Case
from .worker import Outcome, serve


class SnnTorch:
    """The network of a case in dense matrices, LIF only."""

    def __init__(self, case: Case, threads: int) -> None:
        torch.set_num_threads(threads)
        self.case = case
        self.fc_in = nn.Linear(case.n_in, case.n, bias=False)
        self.neurons = snn.RLeaky(
            beta=case.alpha, linear_features=case.n, threshold=case.v_th, reset_mechanism="subtract",
            spike_grad=surrogate.fast_sigmoid(slope=25),
        )  # fmt: skip
        self.fc_out = nn.Linear(case.n, case.n_out, bias=False)
        self.readout = snn.Leaky(beta=case.kappa, reset_mechanism="none")
        self.net = nn.ModuleList([self.fc_in, self.neurons, self.fc_out, self.readout])
        self.weights = {"w_in": self.fc_in.weight, "w_rec": self.neurons.recurrent.weight, "w_out": self.fc_out.weight}
        with torch.no_grad():
            for name, w in case.weights.items():
                self.weights[name].copy_(torch.from_numpy(w.T))
            self.neurons.recurrent.bias.zero_()
        self.inputs = torch.from_numpy(case.inputs).transpose(0, 1).float().contiguous()
        self.labels = torch.from_numpy(case.labels)
        self.gain = torch_parts.calibrate(
            lambda x: 1000 * torch.stack(self.forward(x)[1]).mean().item(),
            [self.weights["w_in"], self.weights["w_rec"]],
            self.inputs,
        )
        self.n_parameters = torch_parts.count(self.net.parameters())
        self.versions = torch_parts.versions(snn)

    def forward(self, inputs: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Return readouts and spikes of every step, (batch, units) each."""
        spikes, membrane = (torch.zeros(inputs.shape[1], self.case.n) for _ in range(2))
        y = torch.zeros(inputs.shape[1], self.case.n_out)
        ys, zs = [], []
        for x in inputs.unbind(0):
            spikes, membrane = self.neurons(self.fc_in(x), spikes, membrane)
            _, y = self.readout(self.fc_out(spikes), y)
            ys.append(y)
            zs.append(spikes)
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
        gradients = {name: w.grad.T.numpy() for name, w in self.weights.items()}
        return torch_parts.outcome(total, z.transpose(0, 1), np.arange(len(z)), z.sum(), self.case, gradients)


if __name__ == "__main__":
    serve(SnnTorch)
