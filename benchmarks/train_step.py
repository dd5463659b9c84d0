"""Time one training step: event by event, as products of whole matrices, under plain autograd; and the choices inside.

Prints CPU seconds of one thread, and ratios measured in the same run. `python benchmarks/train_step.py`
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import numpy as np
import torch

from neuro.deploy import quantize
from neuro.seeds import stream
from neuro.train import LSNN, DeepRConfig, ModelConfig, QuantizedLSNN, Template, kernel, lsnn, to_graph, unsweep, wiring
from neuro.train.arrangement import Arrangement
from neuro.train.build import build_deep_r

NETS = {
    "digits: 60 + 40 neurons, 30 %, 150 steps": (ModelConfig(n_lif=60, n_alif=40, in_delay_max=60), 17, 150, 0.3),
    "store-recall: 10 + 10 neurons, dense, 600 steps": (ModelConfig(n_lif=10, n_alif=10, n_ref=5), 100, 600, 1.0),
    "sMNIST: 120 + 100 neurons, 12 %, delays 1..10, 210 steps": (
        ModelConfig(n_lif=120, n_alif=100, n_ref=5, delay_max=10, in_delay_max=9),
        80,
        210,
        0.12,
    ),
}
BATCH = 128


def cpu_seconds(work: Callable[[], object], rounds: int = 3) -> float:
    """Return the least process time of some rounds, after one to warm up."""
    work()
    taken = []
    for _ in range(rounds):
        started = time.process_time()
        work()
        taken.append(time.process_time() - started)
    return min(taken)


def network(config: ModelConfig, n_in: int, connectivity: float) -> LSNN:
    """Build a network with a random part of its connections."""
    model = LSNN.from_config(config, n_in, 10, partial(stream, 0))
    model.sparse = connectivity < 1
    with torch.no_grad():
        for block in model.blocks:
            w = model.get_parameter(block.name)
            w *= torch.from_numpy(stream(0, block.name).random(w.shape) < connectivity) / connectivity**0.5
    return model


def step(model: LSNN, inputs: torch.Tensor, twin: bool = False) -> None:
    """Run forward and backward."""
    model.zero_grad()
    output = model(inputs, twin=twin)
    assert output.z is not None
    y = output.y if output.y_unit is None else output.y * output.y_unit
    (y[:, -20:].square().mean() + output.z.mean((0, 1)).square().sum()).backward()  # type: ignore[no-untyped-call]


@contextmanager
def dense_above(share: float) -> Iterator[None]:
    """Take products of whole matrices above this share of joined pairs."""
    kept, lsnn.DENSE_ABOVE = lsnn.DENSE_ABOVE, share
    yield
    lsnn.DENSE_ABOVE = kept


def noise(steps: int, n_in: int) -> torch.Tensor:
    """Return spikes of 30 Hz."""
    return torch.from_numpy((np.random.default_rng(0).random((BATCH, steps, n_in)) < 0.03).astype(np.uint8))


def compare_with_autograd() -> None:
    print("one step, batch 128       event by event   whole matrices   plain autograd")
    for name, (config, n_in, steps, connectivity) in NETS.items():
        model, inputs = network(config, n_in, connectivity), noise(steps, n_in)
        with dense_above(1.0):
            events = cpu_seconds(lambda: step(model, inputs))  # noqa: B023
        with dense_above(-1.0):
            matrices = cpu_seconds(lambda: step(model, inputs))  # noqa: B023
        plain = cpu_seconds(lambda: step(model, inputs, twin=True), 1)  # noqa: B023
        times = f"{events * 1e3:11.0f} ms {matrices * 1e3:13.0f} ms {plain * 1e3:13.0f} ms"
        print(f"{name}\n{'':26}{times}   ratios {matrices / events:.1f}, {plain / events:.1f}")


def compare_density() -> None:
    print(
        f"\ntime event by event over that of whole matrices, by share of joined pairs (DENSE_ABOVE {lsnn.DENSE_ABOVE})"
    )
    for n_lif, n_alif in ((10, 10), (60, 40), (120, 100)):
        config, shown = ModelConfig(n_lif=n_lif, n_alif=n_alif), []
        for share in (0.1, 0.2, 0.4, 0.6, 0.8, 1.0):
            model, inputs = network(config, 80, share), noise(210, 80)
            with dense_above(1.0):
                events = cpu_seconds(lambda: step(model, inputs))  # noqa: B023
            with dense_above(-1.0):
                shown.append(f"{share}: {events / cpu_seconds(lambda: step(model, inputs)):.2f}")  # noqa: B023
        print(f"{n_lif + n_alif:4} neurons   {'   '.join(shown)}")


def compare_lanes() -> None:
    print("\nsamples side by side (ms a step; kernel.choose_lanes takes the widest that gives every thread a block)")
    kept = kernel.choose_lanes
    for name, (config, n_in, steps, connectivity) in NETS.items():
        model, inputs, times = network(config, n_in, connectivity), noise(steps, n_in), {}
        for lanes in kernel.LANES:
            kernel.choose_lanes = lambda batch, n_threads, lanes=lanes: lanes
            with dense_above(1.0):
                times[lanes] = cpu_seconds(lambda: step(model, inputs)) * 1e3  # noqa: B023
        print(f"{name.split(':')[0]:14}" + "  ".join(f"{k}: {t:.0f}" for k, t in times.items()))
    kernel.choose_lanes = kept


def compare_rewiring() -> None:
    print(
        "\nshare of a step that DEEP R takes, with Adam and without, and the sort of its connections into rows (12 %)"
    )
    for n_lif, n_alif, batch in ((120, 100, 128), (545, 455, 32)):
        model = LSNN.from_config(ModelConfig(n_lif=n_lif, n_alif=n_alif), 80, 10, partial(stream, 0))
        optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
        rewire = build_deep_r(DeepRConfig(mode="hard", connectivity=0.12, l1=3e-3), model, optimizer, 0)
        assert rewire is not None
        inputs = noise(840, 80)[:batch]
        whole = cpu_seconds(lambda: step(model, inputs))  # noqa: B023
        both, adam = cpu_seconds(rewire.step), cpu_seconds(optimizer.step)
        rows = cpu_seconds(lambda: Arrangement(model.arrangement()._synapses, 80, n_lif + n_alif, 10).structure(  # noqa: B023
            torch.nonzero(model.weights().detach()).view(-1)))  # noqa: B023  # fmt: skip
        total = whole + both
        print(
            f"{n_lif + n_alif:5} neurons   {both / total:6.1%} with Adam, {(both - adam) / total:6.1%} without, rows {rows / total:6.1%}"
        )


def compare_quantized() -> None:
    print(
        "\none step, batch 128, CPU seconds: float, and with the integers of a chip in the forward pass (whole matrices)"
    )
    for name, (config, n_in, steps, connectivity) in NETS.items():
        model, inputs = network(config, n_in, connectivity), noise(steps, n_in)
        graph, _ = to_graph(model)
        plain = cpu_seconds(lambda: step(model, inputs))  # noqa: B023
        parts = [f"float {plain * 1e3:4.0f} ms"]
        for profile in ("loihi1", "loihi2"):
            integer, note = quantize(graph, profile, max_runs=1)
            chip = QuantizedLSNN.of(model, Template(profile, integer, note.scales))
            taken = cpu_seconds(lambda: step(chip, inputs))  # noqa: B023
            parts.append(f"{profile} {taken * 1e3:4.0f} ms ({taken / plain:4.2f})")
        print(f"{name}\n{'':26}{'   '.join(parts)}")


def compare_chunks() -> None:
    kept = unsweep.CHUNK_STEPS
    print("\nsteps whose weight gradients are formed at once (ms a step; CHUNK_STEPS)")
    for name, (config, n_in, steps, connectivity) in NETS.items():
        model, inputs, times = network(config, n_in, connectivity), noise(steps, n_in), {}
        for unsweep.CHUNK_STEPS in (8, 16, 32, 64):
            with dense_above(-1.0):
                times[unsweep.CHUNK_STEPS] = cpu_seconds(lambda: step(model, inputs)) * 1e3  # noqa: B023
        print(f"{name.split(':')[0]:14}" + "  ".join(f"{k}: {t:.0f}" for k, t in times.items()))
    unsweep.CHUNK_STEPS = kept


def compare_storage() -> None:
    print(
        f"\nsparse over dense time of a product, 110 x 117 with 117 x 128 (dense above {wiring.DENSE_ABOVE}, {wiring.DENSE_GRADIENT_ABOVE})"
    )
    rng = torch.Generator().manual_seed(0)
    window, sequence = torch.rand(117, 128, generator=rng), torch.rand(117, 4096, generator=rng)
    back = torch.rand(4096, 110, generator=rng)
    for density in (0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6):
        dense = torch.randn(110, 117, generator=rng) * (torch.rand(110, 117, generator=rng) < density)
        sparse = dense.to_sparse_csr()
        slim = torch.sparse_csr_tensor(
            sparse.crow_indices().int(),
            sparse.col_indices().int(),
            sparse.values(),
            size=(110, 117),
            check_invariants=False,
        )
        pattern = slim.to_dense().t().to_sparse_csr()
        total = torch.zeros(117, 110)
        product = repeated(lambda: torch.mm(slim, window)) / repeated(lambda: torch.mm(dense, window))  # noqa: B023
        gradient = repeated(lambda: torch.sparse.sampled_addmm(pattern, sequence, back), 20)  # noqa: B023
        gradient /= repeated(lambda: total.addmm_(sequence, back), 20)  # noqa: B023
        print(f"density {density:4.2f}   product with a window {product:5.2f}   weight gradient {gradient:5.2f}")


def repeated(work: Callable[[], object], times: int = 500) -> float:
    """Return the process time of many calls."""
    return cpu_seconds(lambda: [work() for _ in range(times)])


if __name__ == "__main__":
    torch.set_num_threads(1)
    wiring.announce_sparse_beta()
    compare_with_autograd()
    compare_density()
    compare_lanes()
    compare_rewiring()
    compare_quantized()
    compare_chunks()
    compare_storage()
