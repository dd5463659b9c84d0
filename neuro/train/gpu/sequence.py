"""Run a whole sequence on a GPU under autograd: checks, and the tie between forward and backward."""

from __future__ import annotations

from typing import Any

import torch
import triton
from torch import Tensor

from neuro.errors import DataError, UnsupportedError
from neuro.train.gpu import kernels, launch
from neuro.train.gpu.layout import Structure
from neuro.train.sweep import Rows

INTERPRETED = not isinstance(kernels.sweep, triton.JITFunction)
"""Whether the kernels run in Triton's interpreter, on the CPU (TRITON_INTERPRET=1): for tests."""
MAX_SAMPLES = 8
"""Samples of a block: as many as a byte has bits."""


class _Sequence(torch.autograd.Function):
    """Tie the kernels together for autograd."""

    @staticmethod
    def forward(
        ctx: Any,
        weights: Tensor,
        bias: Tensor | None,
        inputs: Tensor,
        spikes_in: bool,
        shape: launch.Shape,
        dense: bool,
        keep: bool,
    ) -> tuple[Tensor | None, ...]:
        tape, counts = launch.sweep(shape, inputs, spikes_in, weights, bias, keep)
        y = launch.read(shape, tape, weights, bias)
        z = shape.apart(tape.words[:, shape.structure.delay_rec :], weights.dtype) if dense else None
        ctx.shape, ctx.tape, ctx.has_bias = shape, tape, bias is not None
        ctx.save_for_backward(weights)
        ctx.set_materialize_grads(False)
        return y, counts, z

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        (weights,) = ctx.saved_tensors
        grad_y, grad_counts, grad_z = (None if g is None else g.to(weights.dtype) for g in grads)
        with torch.cuda.device_of(weights):  # type: ignore[no-untyped-call]
            delta = launch.unsweep(ctx.shape, ctx.tape, weights, grad_y, grad_counts, grad_z)
            grad_w = launch.gradient(ctx.shape, ctx.tape, delta, len(weights))
        return grad_w, delta.sum((0, 1)) if ctx.has_bias else None, None, None, None, None, None


def run(
    inputs: Tensor,
    weights: Tensor,
    bias: Tensor | None,
    rows: Rows,
    structure: Structure,
    spikes: bool = False,
    samples: int | None = None,
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Return (y, n_spikes, z) of a batch that starts at rest: the equations of `dynamics`, on the device of the weights.

    Parameters: inputs, (batch, steps, n_inputs), any real dtype; weights (k,), float32 or float64; bias, (targets,) or (targets,
    1) or None; rows, constants of the neurons, of the dtype of the weights, on any device; structure, of the active synapses;
    spikes, return z too; samples, 1, 2, 4 or 8 to a block, None: as few as give every multiprocessor a block.
    Returns: y (batch, steps, readouts); n_spikes, of each neuron in each sample, (batch, neurons); z (batch, steps, neurons) or
    None.
    Gradients reach weights and bias from all three; every sum has one order, so that equal runs give equal numbers.
    Raises: DataError for what is misshapen or not finite, UnsupportedError for what the kernels cannot do.
    """
    flat = None if bias is None else bias.reshape(-1)
    _refuse_unsupported(weights, rows)
    _check(inputs, weights, flat, rows, structure)
    spikes_in = _spikes_or_refuse({"inputs": inputs, "weights": weights} | ({} if flat is None else {"bias": flat}))
    samples = _samples(len(inputs), weights) if samples is None else samples
    if samples not in (1, 2, 4, MAX_SAMPLES):
        raise DataError(f"gpu.run: samples of a block out of range (got {samples}; need 1, 2, 4 or {MAX_SAMPLES}).")
    shape = launch.Shape(rows, structure, len(inputs), inputs.shape[1], samples)
    learns = weights.requires_grad or (flat is not None and flat.requires_grad)
    with torch.cuda.device_of(weights):  # type: ignore[no-untyped-call]
        y, n_spikes, z = _Sequence.apply(
            weights.contiguous(), flat, inputs, spikes_in, shape, spikes, torch.is_grad_enabled() and learns
        )  # type: ignore[no-untyped-call]
    return y, n_spikes, z


def _samples(batch: int, weights: Tensor) -> int:
    """Return the samples of a block: the fewest with which every block has a multiprocessor to itself, if there are such."""
    at_once = torch.cuda.get_device_properties(weights.device).multi_processor_count if weights.is_cuda else 1
    needed = -(-batch // at_once)
    return min(MAX_SAMPLES, 1 << (needed - 1).bit_length())


def _refuse_unsupported(weights: Tensor, rows: Rows) -> None:
    if not weights.is_cuda and not INTERPRETED:
        raise UnsupportedError(
            f"gpu.run: tensors not on a GPU (got weights on {weights.device}; need a CUDA device). Move them there, or train on the CPU."
        )
    if weights.dtype not in (torch.float32, torch.float64):
        raise UnsupportedError(f"gpu.run: weights of another dtype (got {weights.dtype}; need float32 or float64).")
    for name, value in (
        ("w_x (AHP neurons)", rows.w_x),
        ("keep_u (currents with a memory)", rows.keep_u),
        ("own weights (of a neuron to itself)", rows.own),
    ):
        if value is not None:
            raise UnsupportedError(
                f"gpu.run: no {name} on the GPU (got neurons that have it; need LIF or ALIF). Train on the CPU."
            )


def _check(inputs: Tensor, weights: Tensor, bias: Tensor | None, rows: Rows, structure: Structure) -> None:
    """Refuse what does not fit together."""
    s = structure
    if inputs.dim() != 3 or inputs.shape[2] != s.n_inputs or 0 in inputs.shape[:2]:
        raise DataError(
            f"gpu.run: inputs misshapen (got {tuple(inputs.shape)}; need (batch, steps, {s.n_inputs}), a sample and a step at least)."
        )
    for name, tensor, length in (("weights", weights, len(s.pre)), ("bias", bias, s.n_targets)):
        if tensor is not None and tensor.shape != (length,):
            raise DataError(f"gpu.run: {name} misshapen (got {tuple(tensor.shape)}; need ({length},)).")
    has, need = (rows.n_neurons, len(rows.decay)), (s.n_neurons, s.n_targets)
    if has != need:
        raise DataError(f"gpu.run: rows of another network (got {has} neurons and targets; need {need}).")
    places = {str(t.device) for t in (inputs, weights, s.pre) if t is not None}
    if bias is not None:
        places.add(str(bias.device))
    if len(places) > 1:
        raise DataError(
            f"gpu.run: tensors on several devices (got {sorted(places)}; need one). Move all to the weights' device."
        )
    kinds = {rows.decay.dtype, weights.dtype} | (set() if bias is None else {bias.dtype})
    if len(kinds) > 1:
        raise DataError(f"gpu.run: several dtypes (got {sorted(map(str, kinds))}; need weights, bias and rows of one).")


def _spikes_or_refuse(tensors: dict[str, Tensor]) -> bool:
    """Tell whether the inputs are zeros and ones; refuse what is not finite. Waits for the device once."""
    inputs = tensors["inputs"]
    facts = [((inputs == 0) | (inputs == 1)).all(), *(torch.isfinite(t).all() for t in tensors.values())]
    only_spikes, *finite = torch.stack(facts).tolist()
    for name, good in zip(tensors, finite, strict=True):
        if not good:
            n = int((~torch.isfinite(tensors[name])).sum())
            raise DataError(
                f"gpu.run: {name} not finite (got {n} values that are NaN or infinite; need finite numbers)."
            )
    return bool(only_spikes)
