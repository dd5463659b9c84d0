"""Time a training step on a GPU against the target of 10 ms on one H200; check first that the GPU says what the CPU says.

    python benchmarks/gpu.py

120 LIF and 100 ALIF neurons, 80 inputs at 5 %, 12 % of all synapses, batch 256, 840 steps; once with delays of one step, once
with delays of 1..10 steps and a refractory period of 5. A step is forward, loss and backward, without the optimiser. Without a
GPU it says so and measures nothing.
"""

from __future__ import annotations

import importlib.util
import statistics
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from neuro.seeds import stream
from neuro.train import LSNN, ModelConfig, gpu

BATCH, STEPS, N_IN, N_OUT, RATE, CONNECTIVITY = 256, 840, 80, 10, 0.05, 0.12
TARGET_MS, TARGET_CARD = 10.0, "H200"
REPEATS = 20
CHECKED = (4, 100)
"""Samples and steps that the CPU checks: few enough that hardly a spike differs by rounding."""
CONFIGS = {
    "delay 1": ModelConfig(n_lif=120, n_alif=100, gain_in=1.2, gain_rec=0.5),
    "delays 1..10, n_ref 5": ModelConfig(n_lif=120, n_alif=100, gain_in=1.2, gain_rec=0.5, delay_max=10, n_ref=5),
}


class Net(NamedTuple):
    """A network's active synapses and their weights, on a device."""

    model: LSNN
    weights: Tensor
    structure: gpu.Structure

    def step(self, inputs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Run forward and backward; return y, the number of spikes and the gradient."""
        weights = self.weights.detach().requires_grad_()
        y, n_spikes, _ = gpu.run(inputs, weights, None, self.model.rows(), self.structure)
        loss(y, n_spikes).backward()
        assert weights.grad is not None
        return y.detach(), n_spikes.detach(), weights.grad


def loss(y: Tensor, n_spikes: Tensor) -> Tensor:
    """Return a loss of the last steps and of rates."""
    return y[:, -56:].square().mean() + (n_spikes.mean(0) / STEPS - 0.01).square().sum()


def network(config: ModelConfig, device: torch.device) -> Net:
    """Return a network with a random 12 % of its synapses."""
    model = LSNN.from_config(config, N_IN, N_OUT, partial(stream, 0))
    model.sparse = True
    with torch.no_grad():
        for block in model.blocks:
            w = model.get_parameter(block.name)
            w *= torch.from_numpy(stream(0, block.name).random(w.shape) < CONNECTIVITY) / CONNECTIVITY**0.5
    weights = model.weights().detach()
    active = torch.nonzero(weights).view(-1)
    s = model.wiring().synapses
    pre, post, delay = (t[active].int().to(device) for t in (s.pre, s.post, s.delay))
    return Net(model, weights[active].to(device), gpu.Structure(pre, post, delay, N_IN, model.n_neurons, N_OUT))


def noise(batch: int, steps: int) -> Tensor:
    """Return random input spikes, (batch, steps, inputs)."""
    return torch.from_numpy((np.random.default_rng(0).random((batch, steps, N_IN)) < RATE).astype(np.uint8))


def check(net: Net, device: torch.device, batch: int, steps: int) -> str:
    """Compare a small run with the CPU's; return what was found. Raises: SystemExit where they differ by more than rounding does."""
    inputs = noise(batch, steps)
    out = net.model(inputs, twin=True)
    loss(out.y, out.z.sum(1)).backward()
    grads = [net.model.get_parameter(b.name).grad for b in net.model.blocks]
    reference = torch.cat([g.reshape(-1) for g in grads])[torch.nonzero(net.model.weights()).view(-1)]
    y, n_spikes, grad = (t.cpu() for t in net.step(inputs.to(device)))
    n_cpu = out.z.sum(1)
    same = (n_spikes == n_cpu).float().mean().item()
    error = ((grad - reference).norm() / reference.norm()).item()
    apart = ((y - out.y).norm() / out.y.norm()).item()
    said = (
        f"{int(n_cpu.sum())} spikes, counts equal at {same:.2%}; y {apart:.1e} and gradient {error:.1e} from the CPU's"
    )
    if not n_cpu.sum() or same < 0.99 or (same == 1 and max(apart, error) > 1e-3):
        raise SystemExit(f"gpu: not what the CPU says ({said})")
    return said


def median_ms(work: Callable[[], object], device: torch.device) -> float:
    """Return the median time of a call on the device, after three to compile and warm up."""
    for _ in range(3):
        work()
    times = []
    for _ in range(REPEATS):
        start, stop = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        torch.cuda.synchronize(device)
        start.record()
        work()
        stop.record()
        torch.cuda.synchronize(device)
        times.append(start.elapsed_time(stop))
    return statistics.median(times)


def main() -> None:
    """Check and measure both nets, or say why not."""
    if importlib.util.find_spec("triton") is None:
        print("gpu: no Triton here (pip install 'neuro[gpu]'). Nothing was measured.")
        return
    if not torch.cuda.is_available():
        print("gpu: no GPU here (torch sees no CUDA device). Nothing was measured.")
        return
    device = torch.device("cuda")
    name = torch.cuda.get_device_name(device)
    print(f"{name}; batch {BATCH}, 220 neurons, {STEPS} steps; target {TARGET_MS:g} ms a step on one {TARGET_CARD}")
    for label, config in CONFIGS.items():
        net = network(config, device)
        print(f"{label}: {check(net, device, *CHECKED)}")
        inputs = noise(BATCH, STEPS).to(device)
        n_spikes = net.step(inputs)[1]
        torch.cuda.reset_peak_memory_stats(device)
        whole = median_ms(lambda: net.step(inputs), device)  # noqa: B023
        peak = torch.cuda.max_memory_allocated(device) / 2**20
        with torch.no_grad():
            forward = median_ms(lambda: gpu.run(inputs, net.weights, None, net.model.rows(), net.structure), device)  # noqa: B023
        verdict = "target met" if whole <= TARGET_MS else "target missed"
        on = "" if TARGET_CARD in name else f", on another card than the {TARGET_CARD}"
        print(f"  {whole:.2f} ms a step ({verdict}{on}), forward alone {forward:.2f} ms, peak {peak:.0f} MiB, "
              f"{1000 * n_spikes.mean().item() / STEPS:.1f} Hz")  # fmt: skip


if __name__ == "__main__":
    main()
