"""Arrange a network's synapses for each way to run it, and keep the arrangement while the active ones stay the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor

from neuro.train import gpu
from neuro.train.structure import Structure, arrange
from neuro.train.wiring import Plan, Synapses, Wiring

T = TypeVar("T")


class Arrangement:
    """Potential synapses of a network, and what was last made of the active ones.

    Parameters: synapses, int32, on the CPU, in the order of the weights. `active` below is (k,), sorted positions of the active ones, or
    None for all.
    """

    def __init__(self, synapses: Synapses, n_inputs: int, n_neurons: int, n_readouts: int) -> None:
        self._synapses, self._sizes = synapses, (n_inputs, n_neurons, n_readouts)
        self._wiring: Wiring | None = None
        self._kept: dict[Any, tuple[Tensor | None, Any]] = {}

    def wiring(self) -> Wiring:
        """Return all potential synapses sorted for products of whole matrices, made at first use."""
        if self._wiring is None:
            s = self._synapses
            self._wiring = Wiring(Synapses(s.pre.long(), s.post.long(), s.delay.long()), *self._sizes)
        return self._wiring

    def plan(self, active: Tensor | None, dtype: torch.dtype) -> Plan:
        """Return the operators for products of whole matrices."""
        return self._keep("plan", dtype, active, lambda: self.wiring().plan(active, dtype))

    def structure(self, active: Tensor | None) -> Structure:
        """Return rows for the training kernels."""
        return self._keep("rows", None, active, lambda: arrange(*self._picked(active), *self._sizes))

    def on_gpu(self, active: Tensor | None, device: torch.device) -> gpu.Structure:
        """Return tables for the kernels of a GPU, on its device."""

        def make() -> gpu.Structure:
            pre, post, delay = (x.to(device) for x in self._picked(None if active is None else active.cpu()))
            return gpu.Structure(pre, post, delay, *self._sizes)

        return self._keep("gpu", device, active, make)

    def _picked(self, active: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """Return pre, post and delay of the active synapses."""
        s = self._synapses
        return (s.pre, s.post, s.delay) if active is None else (s.pre[active], s.post[active], s.delay[active])

    def _keep(self, kind: str, key: object, active: Tensor | None, make: Callable[[], T]) -> T:
        """Return what was made last for these synapses, or make it."""
        if (kind, key) in self._kept:
            old, made = self._kept[kind, key]
            if old is active or (old is not None and active is not None and torch.equal(old, active)):
                return made
        fresh = make()
        self._kept[kind, key] = (active, fresh)
        return fresh
