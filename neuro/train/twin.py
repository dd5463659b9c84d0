"""Step a network under plain autograd, one population after another: the readable twin of the fast sequence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from neuro.train.wiring import Wiring


class Cell(Protocol):
    """One population: the state before step 0, and the step. A state has z, v, a (neurons) or y (readouts), (batch, size)."""

    @property
    def size(self) -> int:
        """Return the number of neurons or readouts."""
        ...

    def rest(self, batch: int) -> Any:
        """Return the state before step 0."""
        ...

    def step(self, last: Any, current: Tensor) -> Any:
        """Return the state of step t from that of t - 1 and what synapses bring at t, (batch, size)."""
        ...


def unroll(
    signal: Tensor, weights: Tensor, wiring: Wiring, neurons: Sequence[Cell], readouts: Sequence[Cell]
) -> Mapping[str, Tensor]:
    """Run every step; return z, v, a of all neurons and y of all readouts side by side, (batch, steps, rows).

    Parameters: signal, (batch, steps, n_inputs); weights, of all synapses of the wiring. One matrix of weights for each delay.
    """
    batch, w = len(signal), wiring
    at = (w.synapses.delay, w.synapses.pre, w.synapses.post)
    matrices = weights.new_zeros(w.delay_max + 1, w.n_sources, w.n_targets).index_put(at, weights, accumulate=True)
    used = torch.unique(w.synapses.delay).tolist()
    cells = (*neurons, *readouts)
    last = [cell.rest(batch) for cell in cells]
    sent: list[Tensor] = []
    history: dict[str, list[Tensor]] = {"z": [], "v": [], "a": [], "y": []}
    silent = weights.new_zeros(batch, w.n_neurons)
    for t in range(signal.shape[1]):
        sent.append(torch.cat([signal[:, t], silent], 1))
        current = weights.new_zeros(batch, w.n_targets)
        for d in used:
            if d <= t:
                current = current + sent[t - d] @ matrices[d]
        parts = torch.split(current, [cell.size for cell in cells], dim=1)
        last = [cell.step(state, part) for cell, state, part in zip(cells, last, parts, strict=True)]
        for name, states in (("y", last[len(neurons) :]), *((n, last[: len(neurons)]) for n in ("z", "v", "a"))):
            history[name].append(torch.cat([silent[:, :0], *(getattr(s, name) for s in states)], 1))
        sent[t] = torch.cat([signal[:, t], history["z"][t]], 1)
    return {name: torch.stack(values, 1) for name, values in history.items()}
