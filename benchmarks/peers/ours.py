"""Train with this project's network: only stored synapses, forward and backward."""

from __future__ import annotations

import os

if __name__ == "__main__":  # in this contestant's own process, and not for its peers
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as `neuro train` does, before torch is loaded

from functools import partial

import numpy as np
import torch
from torch import Tensor

import neuro
from neuro.seeds import stream
from neuro.train import LSNN, ModelConfig

from . import torch_parts
from .case import CALIBRATION_SAMPLES, Case
from .worker import Outcome, serve

CHECKED_STEPS = 200


class Ours:
    """The network of a case; zeros of the weights are no synapses."""

    def __init__(self, case: Case, threads: int) -> None:
        torch.set_num_threads(threads)
        self.case, self.gain = case, 1.0
        self.model = network(case)
        self.n_parameters = torch_parts.count(self.model.parameters())
        self.versions = torch_parts.versions(neuro)
        self.inputs, self.labels = torch.from_numpy(case.inputs), torch.from_numpy(case.labels)

    def run(self) -> Tensor:
        """Run forward and backward; return the loss."""
        self.model.zero_grad(set_to_none=True)
        out = self.model(self.inputs, spikes=False)
        total = torch_parts.loss(out.y.mean(1), out.n_spikes.sum(0), self.labels, self.case.batch * self.case.steps)
        total.backward()
        return total

    def step(self) -> None:
        """Do one training step."""
        self.run()

    def check(self) -> Outcome:
        """Do one training step and show what came out."""
        total = self.run()
        with torch.no_grad():
            z = self.model(self.inputs).z
        steps = np.arange(min(CHECKED_STEPS, self.case.steps))
        gradients = {name: p.grad.numpy() for name, p in self.model.named_parameters()}
        return torch_parts.outcome(total, z[:, : len(steps)], steps, z.sum(), self.case, gradients)


def network(case: Case) -> LSNN:
    """Build the network of a case."""
    config = ModelConfig(
        n_lif=case.n_lif, n_alif=case.n_alif, tau_m_ms=case.tau_m_ms, tau_a_ms=case.tau_a_ms, tau_out_ms=case.tau_out_ms,
        beta=case.beta, v_th=case.v_th, dampening=case.dampening, n_ref=case.n_ref, delay_max=case.delay_max,
        in_delay_max=case.delay_max - 1,
    )  # fmt: skip
    model = LSNN.from_config(config, case.n_in, case.n_out, partial(stream, 0))
    model.sparse = True
    with torch.no_grad():
        for name, w in case.weights.items():
            model.get_parameter(name).copy_(torch.from_numpy(w))
    return model


def rate_hz(case: Case, gain: float) -> float:
    """Return the mean rate of some samples with input and recurrent weights scaled, in Hz."""
    model = network(case)
    with torch.no_grad():
        model.w_in.mul_(gain)
        model.w_rec.mul_(gain)
        out = model(torch.from_numpy(case.inputs[:CALIBRATION_SAMPLES]), spikes=False)
    return 1000 * out.n_spikes.mean().item() / case.steps


if __name__ == "__main__":
    serve(Ours)
