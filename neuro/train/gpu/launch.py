"""Launch the kernels of a run: shapes, strides, memory."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from neuro.train.gpu import kernels
from neuro.train.gpu.layout import Structure, Table
from neuro.train.sweep import Rows

PROGRAMS = 1024
"""Programs that the gradient of the weights is spread over, where there are blocks enough."""
STEPS_EACH = 32
"""Steps whose readout currents one program computes."""


@dataclass(frozen=True)
class Shape:
    """Sizes of a run: samples of the batch and of a block, steps; and what all launches share."""

    rows: Rows
    structure: Structure
    batch: int
    steps: int
    samples: int

    @property
    def n_blocks(self) -> int:
        """Return the number of blocks of samples."""
        return -(-self.batch // self.samples)

    @property
    def held(self) -> bool:
        """Tell whether one tile holds all neurons."""
        return self.structure.to_neurons[0].n_tiles == 1

    @property
    def extra(self) -> bool:
        """Tell whether the gradient reads more than psi and z: A or v of a step, for the resets that need them."""
        return any(name != "threshold" for name, _, _ in self.rows.resets)

    def options(self, tile: int) -> dict[str, Any]:
        """Return how to compile for tiles of so many rows: rounded as on the CPU, and no load moved ahead of a store it must see."""
        return {"num_warps": min(8, max(1, tile // 32)), "num_stages": 1, "enable_fp_fusion": False}

    def whole(self, tensor: Tensor) -> Tensor:
        """Return (batch, ...) with silent samples at the end, so that all blocks are full."""
        silent = tensor.new_zeros(self.n_blocks * self.samples - self.batch, *tensor.shape[1:])
        return torch.cat([tensor, silent]) if len(silent) else tensor.contiguous()

    def bits(self, spikes: Tensor) -> Tensor:
        """Return zeros and ones of full blocks, (samples, steps, rows), as bytes with a bit a sample, (blocks, steps, rows)."""
        place = torch.arange(self.samples, dtype=torch.uint8, device=spikes.device)[:, None, None]
        each = spikes.to(torch.uint8).view(self.n_blocks, self.samples, *spikes.shape[1:])
        return (each << place).sum(1, dtype=torch.uint8)

    def apart(self, words: Tensor, dtype: torch.dtype) -> Tensor:
        """Return bytes, (blocks, steps, rows), as zeros and ones, (batch, steps, rows)."""
        place = torch.arange(self.samples, dtype=torch.uint8, device=words.device)[:, None, None]
        return ((words[:, None] >> place) & 1).flatten(0, 1)[: self.batch].to(dtype)


@dataclass(frozen=True)
class Tape:
    """What a run forward leaves for the run backward; all begin with so many silent steps as the longest delay has.

    sent: inputs, bytes (blocks, steps, n_inputs) if they are `spikes`, else values (samples, steps, n_inputs); words: spikes of
    neurons, bytes (blocks, steps, n); psi, extra: (samples, steps, n) without silent steps, None where no gradient is wanted.
    """

    sent: Tensor
    spikes: bool
    words: Tensor
    psi: Tensor | None
    extra: Tensor | None


@functools.lru_cache(maxsize=4)
def constants(rows: Rows, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Return alpha, v_th, rho and beta (4, n), n_ref and code of the reset (2, n) int32, kappa (readouts,) on the device."""
    n, low = rows.n_neurons, rows.adaptive_from
    real = rows.decay.new_zeros(4, n)
    real[0], real[1] = rows.decay[:n, 0], rows.v_th[:, 0]
    real[2, low:], real[3, low:] = rows.rho[:, 0], rows.beta[:, 0]
    whole = torch.zeros(2, n, dtype=torch.int32)
    whole[0] = rows.n_ref.clamp(max=2**30)
    for name, first, last in rows.resets:
        whole[1, first:last] = kernels.RESET_CODE[name]
    return real.to(device), whole.to(device), rows.decay[n:, 0].contiguous().to(device)


def _lanes(shape: Shape, fifth: Tensor) -> tuple[Tensor, Tensor, int]:
    """Return the constants of all lanes, the fifth (n,) at the end, and their number; idle lanes have v_th 1 and else zeros."""
    to_neurons = shape.structure.to_neurons[0]
    n, padded = shape.structure.n_neurons, to_neurons.n_tiles * to_neurons.tile
    real, whole, _ = constants(shape.rows, fifth.device)
    all_real = torch.nn.functional.pad(torch.cat([real, fifth[None]]), (0, padded - n))
    all_real[1, n:] = 1
    return all_real, torch.nn.functional.pad(whole, (0, padded - n)), padded


def _state(like: Tensor, shape: Shape, parts: int, dtype: torch.dtype | None = None) -> Tensor:
    """Return zeroed states of all neurons, (samples, parts, n); of none where a tile holds them itself."""
    n = 1 if shape.held else shape.structure.n_neurons * shape.n_blocks * shape.samples
    return like.new_zeros(parts * n, dtype=dtype)


def _pad(tensor: Tensor, before: int) -> Tensor:
    """Put silent steps before (samples or blocks, steps, rows)."""
    return torch.cat([tensor.new_zeros(len(tensor), before, *tensor.shape[2:]), tensor], 1)


def sweep(
    shape: Shape, inputs: Tensor, spikes: bool, weights: Tensor, bias: Tensor | None, keep: bool
) -> tuple[Tape, Tensor]:
    """Run the neurons; return the tape and the number of spikes, (batch, n).

    Parameters: inputs, (batch, steps, n_inputs), zeros and ones if spikes; weights (k,); bias (targets,); keep, what the gradient
    reads.
    """
    s, n, samples = shape.structure, shape.structure.n_neurons, shape.samples
    whole_inputs = shape.whole(inputs)
    sent = _pad(shape.bits(whole_inputs) if spikes else whole_inputs.to(weights.dtype), s.delay_in)
    words = sent.new_empty(shape.n_blocks, s.delay_rec + shape.steps, n, dtype=torch.uint8)
    words[:, : s.delay_rec] = 0
    n_samples = shape.n_blocks * samples
    of_all = (n_samples, shape.steps, n)
    fixed = weights.dtype == torch.float32
    psi = weights.new_empty(of_all if keep else 1, dtype=torch.int16 if fixed else weights.dtype)
    extra = weights.new_empty(of_all if keep and shape.extra else 1)
    counts = weights.new_zeros(n_samples, n)
    if n:
        real, whole, padded = _lanes(shape, weights.new_zeros(n) if bias is None else bias[:n])
        from_inputs, from_neurons = s.to_neurons
        kernels.sweep[(shape.n_blocks,)](
            sent[:, s.delay_in :], words[:, s.delay_rec :], psi, extra, counts,
            _state(weights, shape, 4), _state(weights, shape, 1, torch.int32),
            from_inputs.first, from_inputs.index, from_inputs.fill(weights),
            from_neurons.first, from_neurons.index, from_neurons.fill(weights), real, whole,
            n, padded, from_inputs.n_tiles, shape.steps, sent.stride(0), sent.stride(1), words.stride(0),
            TILE=from_inputs.tile, SAMPLES=samples, BITS=spikes, HELD=shape.held, KEEP=keep, FIXED=fixed, EXTRA=shape.extra,
            **shape.options(from_inputs.tile),
        )  # fmt: skip
    kept = Tape(sent, spikes, words, psi if keep else None, extra if keep and shape.extra else None)
    return kept, counts[: shape.batch]


def read(shape: Shape, tape: Tape, weights: Tensor, bias: Tensor | None) -> Tensor:
    """Return the readouts, (batch, steps, readouts)."""
    s, n_out = shape.structure, shape.structure.n_readouts
    y = weights.new_empty(shape.n_blocks * shape.samples, shape.steps, n_out)
    if n_out:
        from_inputs, from_neurons = s.to_readouts
        own = weights.new_zeros(n_out) if bias is None else bias[s.n_neurons :].contiguous()
        kernels.arrive[(shape.n_blocks, -(-shape.steps // STEPS_EACH), from_inputs.n_tiles)](
            tape.sent[:, s.delay_in :], tape.words[:, s.delay_rec :], y,
            from_inputs.first, from_inputs.index, from_inputs.fill(weights),
            from_neurons.first, from_neurons.index, from_neurons.fill(weights), own,
            s.n_neurons, n_out, shape.steps, STEPS_EACH, tape.sent.stride(0), tape.sent.stride(1), tape.words.stride(0),
            TILE=from_inputs.tile, SAMPLES=shape.samples, BITS=tape.spikes, **shape.options(from_inputs.tile),
        )  # fmt: skip
        _leak(shape, y, y)
    return y[: shape.batch]


def _leak(shape: Shape, source: Tensor, target: Tensor, back: bool = False) -> None:
    """Run the readouts' decay over the first steps of (samples, steps, rows), or back over them."""
    tile, sign = shape.structure.to_readouts[0].tile, -1 if back else 1
    first = shape.steps - 1 if back else 0
    kappa = constants(shape.rows, source.device)[2]
    kernels.leak[(shape.n_blocks, shape.structure.to_readouts[0].n_tiles)](
        source[:, first:], target[:, first:], kappa, shape.structure.n_readouts, shape.steps,
        source.stride(0), sign * source.stride(1), target.stride(0), sign * target.stride(1),
        TILE=tile, SAMPLES=shape.samples, **shape.options(tile),
    )  # fmt: skip


def unsweep(
    shape: Shape, tape: Tape, weights: Tensor, grad_y: Tensor | None, grad_counts: Tensor | None, grad_z: Tensor | None
) -> Tensor:
    """Run backward; return delta = dL/dI of all targets, (samples, steps, targets).

    Parameters: grad_y (batch, steps, readouts), grad_counts (batch, n), grad_z (batch, steps, n), None for zero.
    """
    s, n, samples = shape.structure, shape.structure.n_neurons, shape.samples
    n_samples = shape.n_blocks * samples
    delta = weights.new_empty(n_samples, shape.steps + s.delay_rec, s.n_targets)
    delta[:, shape.steps :] = 0
    if grad_y is None:
        delta[:, : shape.steps, n:] = 0
    elif s.n_readouts:
        _leak(shape, shape.whole(grad_y), delta[:, :, n:], back=True)
    if n:
        assert tape.psi is not None
        peak = shape.rows.dampening / constants(shape.rows, weights.device)[0][1]
        real, whole, padded = _lanes(shape, peak)
        back = s.backward
        of_counts = weights.new_zeros(n_samples, n) if grad_counts is None else shape.whole(grad_counts)
        of_z = weights.new_empty(1) if grad_z is None else shape.whole(grad_z)
        kernels.unsweep[(shape.n_blocks,)](
            delta, tape.words[:, s.delay_rec :], tape.psi, weights if tape.extra is None else tape.extra, of_counts, of_z,
            _state(weights, shape, 1), back.first, back.index, back.fill(weights), real, whole,
            n, s.n_targets, padded, back.n_tiles, shape.steps, delta.stride(0), tape.words.stride(0),
            TILE=back.tile, SAMPLES=samples, HELD=shape.held, FIXED=tape.psi.dtype == torch.int16,
            EXTRA=shape.extra, DENSE=grad_z is not None, **shape.options(back.tile),
        )  # fmt: skip
    return delta[:, : shape.steps]


def gradient(shape: Shape, tape: Tape, delta: Tensor, n_weights: int) -> Tensor:
    """Return dL/dweights, (k,): each synapse's sum of what it carried times delta."""
    s = shape.structure
    grad = delta.new_zeros(n_weights)
    inputs, words = tape.sent[:, s.delay_in :], tape.words[:, s.delay_rec :]
    for tables, low, n_rows in ((s.to_neurons, 0, s.n_neurons), (s.to_readouts, s.n_neurons, s.n_readouts)):
        for found, sent, spikes in zip(tables, (inputs, words), (tape.spikes, True), strict=True):
            if found.n_groups:
                _correlate(shape, found, sent, spikes, delta[:, :, low:], n_rows, grad)
    return grad


def _correlate(
    shape: Shape, found: Table, sent: Tensor, spikes: bool, delta: Tensor, n_rows: int, into: Tensor
) -> None:
    """Write the gradients of a table's synapses."""
    n_slots, parts = len(found.index), min(shape.n_blocks, -(-PROGRAMS // found.n_groups))
    partial = delta.new_empty(parts, n_slots)
    kernels.correlate[(found.n_groups, parts)](
        sent, delta, found.index, found.tile_of_group, partial, n_rows, n_slots, shape.n_blocks, shape.steps,
        sent.stride(0), sent.stride(1), delta.stride(0), delta.stride(1),
        TILE=found.tile, SAMPLES=shape.samples, BITS=spikes, **shape.options(found.tile),
    )  # fmt: skip
    found.collect(partial.sum(0), into)
