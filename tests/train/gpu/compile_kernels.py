"""Compile every kernel for an H100 or H200 (compute capability 9.0), with the arguments that real launches give it; needs no GPU.

    python tests/train/gpu/compile_kernels.py

Prints registers of a thread, spilt bytes, shared memory, for nets that reach every variant. The interpreter does not check types
and layouts as the compiler does. What a launch computes here is left undefined: nothing runs.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

os.environ["TRITON_INTERPRET"] = "0"

import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from neuro.seeds import stream
from neuro.train import LSNN, ModelConfig, gpu
from neuro.train.gpu import kernels, launch, sequence

TARGET = GPUTarget("cuda", 90, 32)
TYPES = {
    torch.float32: "*fp32", torch.float64: "*fp64", torch.int32: "*i32", torch.int16: "*i16", torch.uint8: "*u8",
}  # fmt: skip
OPTIONS = ("num_warps", "num_stages", "enable_fp_fusion")
CUOBJDUMP = Path(triton.__file__).parent / "backends/nvidia/bin/cuobjdump"


class Compiler:
    """Stand in for a kernel: compile it for the arguments of each launch, as the launch would, and run nothing."""

    def __init__(self, kernel: Any, label: Callable[[], str], lines: dict[str, str]) -> None:
        self.kernel, self.label, self.lines = kernel, label, lines

    def __getitem__(self, grid: tuple[int, ...]) -> Callable[..., None]:
        """Return what launches."""
        assert 1 <= len(grid) <= 3 and min(grid) > 0, grid
        return self.launch

    def launch(self, *args: Any, **named: Any) -> None:
        """Compile; keep a line about what came out."""
        options = {name: named.pop(name) for name in OPTIONS}
        names = self.kernel.arg_names
        assert len(args) + len(named) == len(names), (len(args), named, names)
        given = dict(zip(names, args, strict=False)) | named
        assert list(given) == list(names), (list(given), names)
        constants = {n: v for n, v in given.items() if n in named or (isinstance(v, int) and v == 1)}
        signature = {n: "constexpr" if n in constants else _type(v) for n, v in given.items()}
        aligned = [
            k for k, (n, v) in enumerate(given.items())
            if n not in constants and (v.data_ptr() if isinstance(v, torch.Tensor) else v) % 16 == 0
        ]  # fmt: skip
        source = ASTSource(
            self.kernel, signature, constexprs=constants, attrs={(k,): [["tt.divisibility", 16]] for k in aligned}
        )
        made = triton.compile(source, target=TARGET, options=options)
        switches = " ".join(f"{n}={int(v)}" for n, v in named.items())
        self.lines[f"{self.label()}: {self.kernel.__name__} {switches}"] = _resources(made.asm["cubin"])


def _type(value: Any) -> str:
    if isinstance(value, torch.Tensor):
        return TYPES[value.dtype]
    assert isinstance(value, int), value
    return "i64" if value >= 2**31 else "i32"


def _resources(cubin: bytes) -> str:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "kernel.cubin"
        path.write_bytes(cubin)
        text = subprocess.run([CUOBJDUMP, "-res-usage", path], capture_output=True, text=True, check=True).stdout
    found = {name: int(re.search(rf"{name}:(\d+)", text)[1]) for name in ("REG", "LOCAL", "SHARED")}  # type: ignore[index]
    return f"{found['REG']} registers, {found['LOCAL']} bytes spilt, {found['SHARED']} bytes shared"


def net(config: ModelConfig, n_in: int, n_out: int, dtype: torch.dtype, connectivity: float = 0.12) -> LSNN:
    """Return a network with a share of its synapses."""
    model = LSNN.from_config(config, n_in, n_out, partial(stream, 0), dtype=dtype)
    with torch.no_grad():
        for b in model.blocks:
            w = model.get_parameter(b.name)
            w *= torch.from_numpy(stream(0, b.name).random(w.shape) < connectivity)
    return model


def step(model: LSNN, batch: int, steps: int, spikes_in: bool, dense: bool, samples: int | None) -> gpu.Structure:
    """Launch a training step."""
    weights = model.weights().detach()
    active = torch.nonzero(weights).view(-1)
    s = model.wiring().synapses
    pre, post, delay = (t[active].int() for t in (s.pre, s.post, s.delay))
    structure = gpu.Structure(pre, post, delay, model.n_in, model.n_neurons, model.n_out)
    inputs = torch.full((batch, steps, model.n_in), 1.0 if spikes_in else 0.5)
    used = weights[active].requires_grad_()
    y, n_spikes, z = gpu.run(inputs, used, model._biases(), model.rows(), structure, spikes=dense, samples=samples)
    total = y.sum() + n_spikes.sum()
    (total if z is None else total + z.sum()).backward()  # type: ignore[no-untyped-call]
    return structure


def main() -> None:
    """Compile for each net, print what came out."""
    lines: dict[str, str] = {}
    label = ""
    for name in ("sweep", "arrive", "leak", "unsweep", "correlate"):
        setattr(kernels, name, Compiler(getattr(kernels, name), lambda: label, lines))
    sequence.INTERPRETED = True  # takes tensors on the CPU
    paper = ModelConfig(n_lif=120, n_alif=100, n_ref=5, delay_max=10, in_delay_max=9)
    cases: dict[str, tuple[LSNN, tuple[int, int, bool, bool, int | None]]] = {
        "220 neurons": (net(paper, 80, 10, torch.float32), (256, 3, True, False, 2)),
        "220 neurons, 8 samples": (net(paper, 80, 10, torch.float32), (64, 3, True, False, 8)),
        "600 neurons": (
            net(ModelConfig(n_lif=300, n_alif=300, reset="zero"), 80, 10, torch.float32), (4, 2, False, True, 4)),
        "double": (net(ModelConfig(n_lif=20, n_alif=20, reset="adaptive"), 7, 3, torch.float64), (4, 2, False, True, 2)),
        "one of each": (net(ModelConfig(n_lif=1, n_alif=0), 1, 1, torch.float32, 1.0), (1, 1, True, False, 1)),
    }  # fmt: skip
    for label, (model, how) in cases.items():
        structure = step(model, *how)
        tables = sum(t.n_bytes for t in structure.to_neurons), structure.backward.n_bytes
        lines[f"{label}: tables"] = (
            f"{len(structure.pre)} synapses, {tables[0]} bytes forward, {tables[1]} bytes backward"
        )
    print(f"triton {triton.__version__}, compute capability {TARGET.arch / 10}")
    for where, what in lines.items():
        print(f"{where}: {what}")
    assert launch.kernels is kernels


if __name__ == "__main__":
    main()
