"""Check what the inputs of a network send, and lay it out for the training kernels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from neuro.errors import DataError
from neuro.graph import CurrentInput, SpikeInput
from neuro.train.kernel import Signals

Signal = Tensor | ArrayLike | Mapping[str, Any]
Input = SpikeInput | CurrentInput


def parts(nodes: Sequence[Input], given: Signal) -> list[Tensor]:
    """Return the signal of every input, (batch, steps, size) each, in the order of the nodes.

    Parameters: given, one array, or one by name of each input.
    Raises: DataError if one is missing or misshapen, a spike train holds another number than 0 and 1, or a current is not finite.
    """
    if not isinstance(given, Mapping):
        if len(nodes) > 1:
            names = ", ".join(p.name for p in nodes)
            raise DataError(f"LSNN: one array for several inputs (got an array; need one for each of {names}).")
        given = {p.name: given for p in nodes}
    found: list[Tensor] = []
    for p in nodes:
        if p.name not in given:
            raise DataError(f"input '{p.name}': no signal (got {sorted(given)}; need '{p.name}').")
        part = torch.as_tensor(given[p.name])
        if part.dim() != 3 or part.shape[2] != p.size or (found and found[0].shape[:2] != part.shape[:2]):
            raise DataError(
                f"input '{p.name}': wrong shape (got {tuple(part.shape)}; need (batch, steps, {p.size}), the same batch "
                "and steps for every input)."
            )
        _check_values(p, part)
        found.append(part)
    return found


def gather(nodes: Sequence[Input], given: Sequence[Tensor], dtype: torch.dtype) -> Signals:
    """Lay checked signals side by side: spikes as bytes, currents in the dtype of the weights."""
    columns: dict[type, list[Tensor]] = {SpikeInput: [], CurrentInput: []}
    sources: dict[type, list[Tensor]] = {SpikeInput: [], CurrentInput: []}
    low = 0
    for p, part in zip(nodes, given, strict=True):
        columns[type(p)].append(part.detach().to(torch.uint8 if isinstance(p, SpikeInput) else dtype))
        sources[type(p)].append(torch.arange(low, low + p.size, dtype=torch.int32))
        low += p.size
    batch, steps = given[0].shape[:2] if given else (0, 0)
    nothing = {
        SpikeInput: torch.zeros(batch, steps, 0, dtype=torch.uint8),
        CurrentInput: torch.zeros(batch, steps, 0, dtype=dtype),
    }
    joined = {kind: _join(columns[kind], 2) if columns[kind] else nothing[kind] for kind in columns}
    none = torch.zeros(0, dtype=torch.int32)
    return Signals(
        spikes=joined[SpikeInput],
        spiking=_join(sources[SpikeInput], 0) if sources[SpikeInput] else none,
        currents=joined[CurrentInput],
        injected=_join(sources[CurrentInput], 0) if sources[CurrentInput] else none,
    )


def _join(tensors: Sequence[Tensor], dim: int) -> Tensor:
    return (torch.cat(list(tensors), dim) if len(tensors) > 1 else tensors[0]).contiguous()


def _check_values(p: Input, part: Tensor) -> None:
    """Refuse spikes other than 0 and 1, and currents that are not finite."""
    if not part.numel() or part.dtype == torch.bool:
        return
    if isinstance(p, SpikeInput):
        if part.dtype == torch.uint8 and int(part.max()) <= 1:
            return
        wrong, need = (part != 0) & (part != 1), "0 or 1. Values belong to a CurrentInput"
    else:
        if not part.is_floating_point():
            return
        wrong, need = ~torch.isfinite(part), "a finite current"
    if bool(wrong.any()):
        at = tuple(torch.nonzero(wrong)[0].tolist())
        what = "not a spike train" if isinstance(p, SpikeInput) else "not finite"
        raise DataError(f"input '{p.name}': {what} (got {part[at].item()} at (sample, step, unit) {at}; need {need}).")
