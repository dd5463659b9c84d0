"""Own the training kernels: check every size, and cross into C++.

The C structures are those of neuro/kernels/lsnn/net.h; the twin of the kernels in torch is `neuro.train.twin`.
"""

from __future__ import annotations

import ctypes
import itertools
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from neuro import kernels
from neuro.errors import UnsupportedError, nearest
from neuro.train.structure import Structure
from neuro.train.sweep import Rows

ISAS = ("baseline", "avx2", "avx512")
"""Instruction sets, in the kernel's numbering; on other machines than x86-64 there is only the first."""
LANES = (8, 16, 32)
"""Samples side by side that the kernels are built for."""
MAX_GROUPS = 32
"""Partial sums of the weight gradients, whatever the number of threads: results do not depend on it."""
_RESETS = {"threshold": 0, "adaptive": 1, "zero": 2}
_REALS = (torch.float32, torch.float64)


@dataclass(frozen=True)
class Parameters:
    """Constants of all rows as the kernels read them, contiguous, in the dtype of the weights.

    decay, (targets,): alpha, kappa; v_th, rho, beta, (neurons,), 0 where a neuron does not adapt; n_ref, int32 (neurons,); stretch, int64
    (k + 1,): first neurons of stretches with one reset, all adaptive or none; reset, adaptive, int32 (k,); kept, int64 (k + 1,): first
    rows of the neurons whose state is put on the tape.
    """

    decay: Tensor
    v_th: Tensor
    rho: Tensor
    beta: Tensor
    n_ref: Tensor
    stretch: Tensor
    reset: Tensor
    adaptive: Tensor
    kept: Tensor
    dampening: float

    @classmethod
    def of(cls, rows: Rows) -> Parameters:
        """Read the rows of a network; without adaptation, reset "adaptive" is reset "threshold"."""
        n, low = rows.n_neurons, rows.adaptive_from
        silent = torch.zeros(low, dtype=rows.decay.dtype)
        ends = sorted({0, low, n, *(end for _, *stretch in rows.resets for end in stretch)})
        stretches = [(a, b) for a, b in itertools.pairwise(ends) if a < b]
        named = [next(r for r, first, last in rows.resets if first <= a < last) for a, _ in stretches]
        reset = ["threshold" if r == "adaptive" and a < low else r for r, (a, _) in zip(named, stretches, strict=True)]
        kept = [0, *torch.tensor([0 if r == "threshold" else b - a for r, (a, b) in zip(reset, stretches, strict=True)],
                                 dtype=torch.int64).cumsum(0).tolist()]  # fmt: skip
        return cls(
            decay=rows.decay.flatten().contiguous(),
            v_th=rows.v_th.flatten().contiguous(),
            rho=torch.cat([silent, rows.rho.flatten()]),
            beta=torch.cat([silent, rows.beta.flatten()]),
            n_ref=rows.n_ref.to(torch.int32).contiguous(),
            stretch=torch.tensor([*(a for a, _ in stretches), n], dtype=torch.int64),
            reset=torch.tensor([_RESETS[r] for r in reset], dtype=torch.int32),
            adaptive=torch.tensor([int(a >= low) for a, _ in stretches], dtype=torch.int32),
            kept=torch.tensor(kept, dtype=torch.int64),
            dampening=rows.dampening,
        )


@dataclass(frozen=True)
class Signals:
    """What the inputs of a batch send.

    spikes, uint8 (batch, steps, k), 0 or 1, of the inputs in spiking, int32 (k,); currents, Real (batch, steps, c), of those in injected,
    int32 (c,). Contiguous.
    """

    spikes: Tensor
    spiking: Tensor
    currents: Tensor
    injected: Tensor

    @property
    def batch(self) -> int:
        """Return the number of samples."""
        return self.spikes.shape[0]

    @property
    def steps(self) -> int:
        """Return the number of steps."""
        return self.spikes.shape[1]


class Pool:
    """Keep the memory of tapes from one step to the next: fresh pages cost as much as the sums on them."""

    def __init__(self) -> None:
        self._free: dict[tuple[str, torch.dtype], Tensor] = {}

    def take(self, name: str, dtype: torch.dtype, shape: tuple[int, ...]) -> Tensor:
        """Return uninitialised memory of a shape; of a tape that was given back, if it is large enough."""
        n = 1
        for k in shape:
            n *= k
        kept = self._free.pop((name, dtype), None)
        flat = kept if kept is not None and n <= kept.numel() <= 4 * n else torch.empty(n, dtype=dtype)
        return flat[:n].view(shape)

    def give(self, name: str, memory: Tensor) -> None:
        """Take memory back."""
        self._free[name, memory.dtype] = memory.view(-1)

    def __deepcopy__(self, memo: dict[int, Any]) -> Pool:
        return Pool()


@dataclass(frozen=True)
class Tape:
    """What a run forward was given, and leaves for the run backward, see net.h; its memory goes back to the pool with it."""

    structure: Structure
    parameters: Parameters
    signals: Signals
    lanes: int
    memory: Mapping[str, Tensor]
    pool: Pool = field(repr=False)

    def __del__(self) -> None:
        for name, tensor in self.memory.items():
            self.pool.give(name, tensor)


@dataclass(frozen=True)
class Found:
    """What a run gives: y (batch, steps, readouts), n_spikes int32 (batch, neurons); z, v, a (batch, steps, neurons) on request."""

    y: Tensor
    n_spikes: Tensor
    z: Tensor | None = None
    v: Tensor | None = None
    a: Tensor | None = None


class _Net(ctypes.Structure):
    _fields_ = (
        [(k, ctypes.c_int64) for k in ("n_inputs", "n_neurons", "n_readouts", "n_synapses", "max_delay_in", "max_delay",
                                    "shared_delay_in", "shared_delay", "n_stretches")]
        + [(k, ctypes.c_void_p) for k in ("stretch", "reset", "adaptive", "kept", "row", "post", "delay", "weight", "bias", "decay",
                                          "v_th", "rho", "beta", "n_ref")]
        + [("dampening", ctypes.c_double)]
    )  # fmt: skip


class _Signals(ctypes.Structure):
    _fields_ = (
        [(k, ctypes.c_int64) for k in ("batch", "steps", "lanes", "n_blocks", "n_spiking", "n_currents")]
        + [(k, ctypes.c_void_p) for k in ("spiking_source", "spikes", "current_source", "currents")]
    )  # fmt: skip


_TAPE = ("sent", "fired", "psi", "state", "blocked")
_OUTPUTS = ("y", "n_spikes", "z", "v", "a")


class _Tape(ctypes.Structure):
    _fields_ = [(k, ctypes.c_void_p) for k in _TAPE]


class _Output(ctypes.Structure):
    _fields_ = [(k, ctypes.c_void_p) for k in _OUTPUTS]


class _Gradient(ctypes.Structure):
    _fields_ = [
        *((k, ctypes.c_void_p) for k in ("y", "n_spikes", "z")),
        ("by_sample", ctypes.c_int32),
        ("n_groups", ctypes.c_int64),
        *((k, ctypes.c_void_p) for k in ("weight", "bias")),
    ]


def isa() -> int:
    """Return the instruction set to use: the machine's best, or the one that the environment variable NEURO_ISA names.

    Raises: UnsupportedError for an unknown one, or one that this machine lacks.
    """
    best = int(kernels.library().neuro_lsnn_isa())
    named = os.environ.get("NEURO_ISA")
    if not named:
        return best
    able = ISAS[: best + 1]
    if named not in able:
        raise UnsupportedError(
            f"kernels: NEURO_ISA names no instruction set of this machine (got '{named}'; need one of {', '.join(able)}). "
            f"{nearest(named, able)} Correct the variable or unset it."
        )
    return ISAS.index(named)


def choose_lanes(batch: int, n_threads: int) -> int:
    """Return how many samples lie side by side: the most that still gives every thread a block (benchmarks/train_step.py)."""
    return next((k for k in reversed(LANES) if -(-batch // k) >= n_threads), LANES[0])


def forward(
    structure: Structure,
    parameters: Parameters,
    signals: Signals,
    weight: Tensor,
    bias: Tensor | None,
    *,
    pool: Pool,
    keep_tape: bool,
    record: frozenset[str] = frozenset(),
    lanes: int | None = None,
) -> tuple[Found, Tape]:
    """Run a batch from rest.

    Parameters: weight, (n_synapses,), in the structure's order; bias, (targets,) or None; keep_tape, for `backward`; record, states to
    return at every step, of z, v, a; lanes, one of LANES, by default the best.
    Returns: Found, and the Tape, whose psi, state and blocked are missing without keep_tape.
    Raises: UnsupportedError if delays times targets are too many, or NEURO_ISA names no instruction set; MemoryError.
    """
    kind, n_threads = weight.dtype, torch.get_num_threads()
    lanes = lanes or choose_lanes(signals.batch, n_threads)
    _check(structure, parameters, signals, weight, bias, lanes)
    n, n_blocks, steps = structure.n_neurons, -(-signals.batch // lanes), signals.steps
    memory = {
        "sent": pool.take("sent", torch.int32, (n_blocks, steps, signals.spikes.shape[2])),
        "fired": pool.take("fired", torch.int32, (n_blocks, steps, n)),
    }
    if keep_tape:
        n_kept = int(parameters.kept[-1])
        memory["psi"] = pool.take("psi", torch.int16 if kind == torch.float32 else kind, (n_blocks, steps, n, lanes))
        if n_kept:
            memory["state"] = pool.take("state", kind, (n_blocks, steps, n_kept, lanes))
            memory["blocked"] = pool.take("blocked", torch.int32, (n_blocks, steps, n_kept))
    tape = Tape(structure, parameters, signals, lanes, memory, pool)
    found = Found(
        y=torch.empty(signals.batch, steps, structure.n_readouts, dtype=kind),
        n_spikes=torch.zeros(signals.batch, n, dtype=torch.int32),
        **{name: torch.empty(signals.batch, steps, n, dtype=kind) for name in record},
    )
    out = _Output(*(_address(getattr(found, k)) for k in _OUTPUTS))
    code = kernels.library().neuro_lsnn_forward(
        ctypes.c_int32(isa()), ctypes.c_int32(kind == torch.float64),
        ctypes.byref(_net(structure, parameters, weight, bias)), ctypes.byref(_signals(signals, lanes)),
        ctypes.byref(_pointers(tape)), ctypes.byref(out), ctypes.c_int32(n_threads),
    )  # fmt: skip
    _check_memory(code)
    return found, tape


def backward(
    tape: Tape,
    weight: Tensor,
    bias: Tensor | None,
    *,
    y: Tensor | None = None,
    n_spikes: Tensor | None = None,
    z: Tensor | None = None,
) -> tuple[Tensor, Tensor | None]:
    """Return (dL/dweight, dL/dbias), from dL/dy (batch, steps, readouts), dL/dn_spikes (batch, neurons) or, the same for all samples,
    (neurons,), and dL/dz (batch, steps, neurons); None is zero.

    Parameters: tape, of a run with keep_tape; weight, bias, those of that run, again.
    Returns: (n_synapses,) in the structure's order, and (targets,), None without a bias.
    Raises: MemoryError; UnsupportedError if NEURO_ISA names no instruction set.
    """
    kind, n_threads, n_blocks = weight.dtype, torch.get_num_threads(), tape.memory["fired"].shape[0]
    structure, signals = tape.structure, tape.signals
    for x, size in ((weight, structure.n_synapses), (bias, structure.n_neurons + structure.n_readouts)):
        assert x is None or (x.shape == (size,) and x.dtype == tape.parameters.decay.dtype and x.is_contiguous())
    shapes = {
        "y": (signals.batch, signals.steps, structure.n_readouts),
        "z": (signals.batch, signals.steps, structure.n_neurons),
        "n_spikes": (signals.batch, structure.n_neurons)[-n_spikes.dim() :] if n_spikes is not None else (),
    }
    for name, x in (("y", y), ("n_spikes", n_spikes), ("z", z)):
        assert x is None or (x.shape == shapes[name] and x.dtype == kind and x.is_contiguous()), name
    n_groups = min(n_blocks, MAX_GROUPS)
    grad = torch.zeros(n_groups, structure.n_synapses, dtype=kind)
    grad_bias = None if bias is None else torch.zeros(n_groups, len(bias), dtype=kind)
    gradient = _Gradient(
        _address(y), _address(n_spikes), _address(z), int(n_spikes is not None and n_spikes.dim() == 2), n_groups,
        _address(grad), _address(grad_bias),
    )  # fmt: skip
    code = kernels.library().neuro_lsnn_backward(
        ctypes.c_int32(isa()), ctypes.c_int32(kind == torch.float64),
        ctypes.byref(_net(structure, tape.parameters, weight, bias)), ctypes.byref(_signals(signals, tape.lanes)),
        ctypes.byref(_pointers(tape)), ctypes.byref(gradient), ctypes.c_int32(n_threads),
    )  # fmt: skip
    _check_memory(code)
    return grad.sum(0), None if grad_bias is None else grad_bias.sum(0)


def _address(x: Tensor | None) -> int | None:
    return None if x is None else x.data_ptr()


def _net(s: Structure, p: Parameters, weight: Tensor, bias: Tensor | None) -> _Net:
    arrays = (
        p.stretch,
        p.reset,
        p.adaptive,
        p.kept,
        s.row,
        s.post,
        s.delay,
        weight,
        bias,
        p.decay,
        p.v_th,
        p.rho,
        p.beta,
        p.n_ref,
    )
    sizes = (s.n_inputs, s.n_neurons, s.n_readouts, s.n_synapses, s.max_delay_in, s.max_delay,
             s.shared_delay_in, s.shared_delay, len(p.reset))  # fmt: skip
    return _Net(*sizes, *map(_address, arrays), p.dampening)


def _signals(x: Signals, lanes: int) -> _Signals:
    sizes = (x.batch, x.steps, lanes, -(-x.batch // lanes), len(x.spiking), len(x.injected))
    return _Signals(*sizes, *map(_address, (x.spiking, x.spikes, x.injected, x.currents)))


def _pointers(tape: Tape) -> _Tape:
    return _Tape(*(_address(tape.memory.get(k)) for k in _TAPE))


def _check_memory(code: int) -> None:
    if code:
        raise MemoryError("training: no memory for the state of a block of samples. Lower the batch or the delays.")


def _check(s: Structure, p: Parameters, x: Signals, weight: Tensor, bias: Tensor | None, lanes: int) -> None:
    """Refuse sizes that would let a kernel read or write beyond an array: a failure is a fault of this package."""
    n, n_targets, kind = s.n_neurons, s.n_neurons + s.n_readouts, weight.dtype
    assert kind in _REALS and lanes in LANES
    fields: tuple[tuple[str, Tensor, torch.dtype, tuple[int, ...]], ...] = (
        ("row", s.row, torch.int64, (s.n_inputs + n + 1,)),
        ("post", s.post, torch.int32, (s.n_synapses,)),
        ("delay", s.delay, torch.int32, (s.n_synapses,)),
        ("weight", weight, kind, (s.n_synapses,)),
        ("decay", p.decay, kind, (n_targets,)),
        *((k, getattr(p, k), kind, (n,)) for k in ("v_th", "rho", "beta")),
        ("n_ref", p.n_ref, torch.int32, (n,)),
        ("stretch", p.stretch, torch.int64, (len(p.reset) + 1,)),
        ("kept", p.kept, torch.int64, (len(p.reset) + 1,)),
        ("adaptive", p.adaptive, torch.int32, (len(p.reset),)),
        ("spikes", x.spikes, torch.uint8, (x.batch, x.steps, len(x.spiking))),
        ("currents", x.currents, kind, (x.batch, x.steps, len(x.injected))),
    )
    for name, array, dtype, shape in fields if bias is None else (*fields, ("bias", bias, kind, (n_targets,))):
        assert array.dtype == dtype and array.shape == shape and array.is_contiguous(), (name, array.dtype, array.shape)
    assert int(p.stretch[-1]) == n
    for sources in (x.spiking, x.injected):
        assert sources.dtype == torch.int32 and (
            not len(sources) or 0 <= int(sources.min()) <= int(sources.max()) < s.n_inputs
        )
    slots = max(s.max_delay_in, s.max_delay) + 1
    if slots * n_targets * lanes >= 2**31:
        raise UnsupportedError(
            f"training: delays too long for a net of this size (got {slots} steps times {n_targets} targets; need less than "
            f"{2**31 // lanes} in all). Shorten the delays."
        )
