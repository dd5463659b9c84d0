"""Cost of one training step against the size of the net, at constant fan-in and rate: does it grow no faster than linearly?

Run: python benchmarks/scale.py    (--quick: seconds, two tiny sizes)

Every neuron has 50 synapses from neurons and 10 from inputs, every readout 50; sparse lists of synapses throughout, never a
matrix. For comparison plain PyTorch with dense matrices (peers/torch_eager.py) on the same nets, as far as that is feasible.
"""

from __future__ import annotations

import argparse
import json
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import torch
from peers import machine, page, scale_report, torch_parts
from peers.case import TARGET_HZ, Case
from peers.draw import INPUT_SHARE, N_IN, N_OUT
from peers.torch_eager import TorchEager

from neuro import Builder
from neuro.graph import Graph
from neuro.seeds import stream
from neuro.train import LSNN

ROOT = Path(__file__).resolve().parents[1]
SIZES, QUICK_SIZES = (220, 500, 1000, 2000, 5000, 10000), (60, 120)
DENSE_UP_TO = 2000  # beyond, dense matrices take minutes a step
FAN_IN, FAN_IN_INPUTS = 50, 10
BATCH, STEPS = 32, 200
LIF_SHARE = 120 / 220


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="two tiny sizes, a few steps")
    parser.add_argument("--sizes", default="", help=f"numbers of neurons ({','.join(map(str, SIZES))})")
    parser.add_argument("--rounds", type=int, default=5, help="turns of every size (5)")
    parser.add_argument("--threads", type=int, default=2, help="threads and cores (2)")
    parser.add_argument(
        "--json",
        type=Path,
        help="where to write the figures; a whole run: benchmarks/results/scale.json, docs/speed.md",
    )
    parser.add_argument("--plot", type=Path, help="where to draw them; a whole run: docs/img/scale.svg")
    found = parser.parse_args()
    found.batch, found.steps = (4, 60) if found.quick else (BATCH, STEPS)
    found.page = None
    if not (found.quick or found.sizes):
        found.page = None if found.json else ROOT / "docs" / "speed.md"
        found.json = found.json or ROOT / "benchmarks" / "results" / "scale.json"
        found.plot = found.plot or ROOT / "docs" / "img" / "scale.svg"
    sizes = QUICK_SIZES if found.quick else SIZES
    found.sizes = [int(n) for n in found.sizes.split(",")] if found.sizes else list(sizes)
    return found


def graph_of(n: int) -> Graph:
    """Draw a net of n neurons, 120 in 220 of them LIF and the others ALIF, weights N(0, 1) / sqrt(fan-in)."""
    rng = stream(0, f"scale benchmark/{n}")
    b = Builder(name=f"{n} neurons")
    b.spike_input("in", N_IN)
    n_lif = round(LIF_SHARE * n)
    b.lif("lif", n_lif)
    b.alif("alif", n - n_lif, tau_a_ms=700.0, beta=0.25)
    b.li("out", N_OUT)
    parts = {"in": (0, N_IN), "lif": (0, n_lif), "alif": (n_lif, n)}
    for target in ("lif", "alif", "out"):
        low, high = parts.get(target, (0, N_OUT))
        for sources, n_pre, fan_in in ((("in",), N_IN, FAN_IN_INPUTS), (("lif", "alif"), n, FAN_IN)):
            if target == "out" and sources == ("in",):
                continue
            fan_in = min(fan_in, n_pre)
            pre = np.concatenate([rng.choice(n_pre, fan_in, replace=False) for _ in range(low, high)])
            post = np.repeat(np.arange(high - low), fan_in)
            weight = rng.standard_normal(len(pre)) / np.sqrt(fan_in)
            for source in sources:
                first, end = parts[source]
                of = (pre >= first) & (pre < end)
                b.connect(source, target, weight=weight[of], pre=pre[of] - first, post=post[of])
    return b.build(grid=False)


class Size:
    """One size, ready to train: our network at the target rate, a batch, and the times of its steps."""

    def __init__(self, n: int, batch: int, steps: int) -> None:
        self.n, self.seconds = n, []
        self.inputs = torch.from_numpy(
            (stream(0, "scale/inputs").random((batch, steps, N_IN)) < INPUT_SHARE).astype("u1")
        )
        self.labels = torch.from_numpy(stream(0, "scale/labels").integers(0, N_OUT, batch))
        self.graph = graph_of(n)
        self.model = LSNN.from_graph(self.graph, dtype=torch.float32)
        self.n_synapses = sum(len(c.weight) for c in self.graph.projections)
        scaled = [self.model.get_parameter(b.name) for b in self.model.blocks if b.projection[2] != "out"]
        self.gain = torch_parts.calibrate(self._rate_hz, scaled, self.inputs.transpose(0, 1))
        self.rate_hz = self._rate_hz(self.inputs.transpose(0, 1))

    def _rate_hz(self, inputs: torch.Tensor) -> float:
        with torch.no_grad():
            n_spikes = self.model(inputs.transpose(0, 1), spikes=False).n_spikes
        return 1000 * n_spikes.mean().item() / inputs.shape[0]

    def step(self) -> None:
        """Do one training step."""
        self.model.zero_grad(set_to_none=True)
        out = self.model(self.inputs, spikes=False)
        y, n_spikes = out.y, out.n_spikes
        samples_steps = self.inputs.shape[0] * self.inputs.shape[1]
        torch_parts.loss(y.mean(1), n_spikes.sum(0), self.labels, samples_steps).backward()

    def gradient_norm(self) -> float:
        """Return the norm of all gradients of the last step."""
        return float(torch.cat([p.grad.flatten() for p in self.model.parameters()]).norm())

    def dense(self, threads: int) -> TorchEager:
        """Return plain PyTorch on the same net in dense matrices."""
        names = {p.name: p.size for p in self.graph.populations}
        offset = {"in": 0, "lif": 0, "alif": names["lif"], "out": 0}
        w = {"w_in": np.zeros((N_IN, self.n)), "w_rec": np.zeros((self.n, self.n)), "w_out": np.zeros((self.n, N_OUT))}
        for c in self.graph.projections:
            kind, gain = ("w_in", self.gain) if c.source == "in" else ("w_rec", self.gain)
            kind, gain = ("w_out", 1.0) if c.target == "out" else (kind, gain)
            w[kind][offset[c.source] + c.pre, offset[c.target] + c.post] = gain * c.weight
        case = Case(
            n_lif=names["lif"], n_alif=names["alif"], **{k: m.astype(np.float32) for k, m in w.items()},
            inputs=self.inputs.numpy(), labels=self.labels.numpy(),
        )  # fmt: skip
        return TorchEager(case, threads)


def timed(step: Any) -> float:
    """Return the wall time of one call, in s."""
    started = time.perf_counter()
    step()
    return time.perf_counter() - started


def prepare(options: argparse.Namespace) -> list[Size]:
    """Build every size and check that it works: rate, gradients."""
    sizes = []
    for n in options.sizes:
        size = Size(n, options.batch, options.steps)
        size.step()
        norm = size.gradient_norm()
        print(
            f"  {n:6d} neurons, {size.n_synapses:7d} synapses: {size.rate_hz:.1f} Hz, gradient norm {norm:.3g}",
            flush=True,
        )
        if not (10 <= size.rate_hz <= 20 and np.isfinite(norm) and norm > 0):
            raise SystemExit("scale: not the work that is meant (got the line above; need 10-20 Hz and a gradient > 0)")
        sizes.append(size)
    return sizes


def main() -> None:
    """Time all sizes in turn, round after round, and fit the growth."""
    options = arguments()
    if not options.quick:
        machine.use_cores(options.threads)
    torch.set_num_threads(options.threads)
    about = machine.describe()
    print(f"{machine.one_line(about)}; {options.threads} threads; torch {torch.__version__}")
    print(f"batch {options.batch}, {options.steps} steps, fan-in {FAN_IN}; scaled to {TARGET_HZ:.0f} Hz")
    sizes = prepare(options)
    dense = {s.n: (s.dense(options.threads), []) for s in sizes if s.n <= DENSE_UP_TO}
    for k in range(options.rounds + 1):  # the first round warms up and is not counted
        for s in sizes:
            s.seconds += [timed(s.step)][: min(k, 1)]
            if s.n in dense:
                dense[s.n][1].extend([timed(dense[s.n][0].step)][: min(k, 1)])
    found = scale_report.result(sizes, {n: seconds for n, (_, seconds) in dense.items()}, options.batch * options.steps)
    scale_report.show(found)
    found |= {
        "benchmark": "scale", "when": datetime.now(timezone.utc).isoformat(timespec="seconds"), "machine": about,
        "threads": options.threads, "rounds": options.rounds, "batch": options.batch, "steps": options.steps,
        "fan_in": FAN_IN, "torch": torch.__version__,
    }  # fmt: skip
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(found, indent=1) + "\n")
    if options.page:
        page.fill(options.page, "scale", page.scale_figures(found))
    if options.plot:
        scale_report.plot(found, f"{machine.one_line(about)}; {options.threads} threads", options.plot)


if __name__ == "__main__":
    main()
