"""DEEP R: train a network that is sparse from first to last step, by rewiring (Bellec et al. 2018, arXiv 1711.05136)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from neuro.errors import NeuroError
from neuro.train.config import DeepRConfig

NEW_THETA = 1e-12
"""Value of a connection that has just been drawn (algorithm 1 of the paper has 0; the official code 1e-12)."""
_SECOND_MOMENTS = ("sq", "square", "sum")
"""Parts of the names that torch's optimisers give to running sums of squared gradients."""


@dataclass(frozen=True)
class Matrix:
    """A weight matrix that DEEP R rewires.

    name: for messages and random streams; weight: the parameter, any shape, w = sign theta where theta > 0, else 0;
    sign: of every entry, +1 or -1, broadcast to weight's shape; None: drawn with equal probability for each entry.
    """

    name: str
    weight: torch.nn.Parameter
    sign: Tensor | None = None


def dale_signs(n: int, excitatory: float, rng: np.random.Generator) -> Tensor:
    """Draw one sign for each of n presynaptic neurons, (n, 1): round(excitatory n) of them +1, the others -1."""
    signs = -np.ones(n)
    signs[rng.permutation(n)[: round(excitatory * n)]] = 1.0
    return torch.from_numpy(signs)[:, None]


def _nth_dormant(active: Tensor, n: Tensor) -> Tensor:
    """Return the n-th entries that are not active, counted from 0, without listing all: active, sorted (k,)."""
    before = active - torch.arange(len(active))  # dormant entries that come before each active one
    return n + torch.searchsorted(before, n, right=True)


class DeepR:
    """Wrap a torch optimiser so that each `step` also rewires.

    One step, with theta = sign w for active entries (theta > 0) and dormant ones at w = 0:

    1. gradients of dormant entries are dropped; the optimiser steps; dormant entries stay dormant
    2. active: theta += -lr l1 + sqrt(2 lr T) N(0, 1)
    3. entries with theta <= 0 become dormant
    4. hard: the deficit against the budget is shared over the matrices by a multinomial in proportion to size times
       connectivity, and drawn uniformly among each one's dormant entries, which start at theta = 1e-12
       soft: dormant thetas walk too, theta += sqrt(2 lr T) N(0, 1), not below theta_min, and those > 0 become active

    The optimiser's averages of a new connection are not those of its earlier life: first moments start at 0, second moments
    at the mean over the matrix's other active entries. For an optimiser that treats entries alike the step on w equals the
    step on theta, since theta = sign w.

    Parameters
    ----------
    optimizer : torch.optim.Optimizer
        Holds every matrix's parameter; the learning rate of step 2 is that of the parameter's group.
    matrices : sequence of Matrix
        They share one budget, round(sum of sizes x connectivity). On construction a random part of each is kept, its weights
        |w| sign / sqrt(connectivity) (the variance of a neuron's input stays), and all others become 0.
    config : DeepRConfig
        mode "hard" or "soft".
    streams : name -> numpy Generator
        Named random streams; step i draws from "deep_r/i", so that the counter is the whole random state.

    Raises
    ------
    NeuroError
        A matrix is not in the optimiser, the budget is empty, or the mode is "off".

    Source: algorithms 1 and 3 of the paper. The official dense code gives dormant entries a gradient; here it is 0.
    """

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        matrices: Sequence[Matrix],
        config: DeepRConfig,
        streams: Callable[[str], np.random.Generator],
    ) -> None:
        if config.mode == "off":
            raise NeuroError(
                "deep_r: nothing to do (got mode 'off'; need 'hard' or 'soft'). Step the optimizer itself."
            )
        self.optimizer, self.matrices, self.config, self._streams = optimizer, tuple(matrices), config, streams
        self.n_steps = 0
        self._groups = [self._group(m) for m in self.matrices]
        self._sizes = np.array([m.weight.numel() for m in self.matrices], dtype=np.int64)
        self.budget = round(float(self._sizes.sum()) * config.connectivity)
        if not self.budget:
            raise NeuroError(
                f"deep_r: no connection (got connectivity {config.connectivity} of {self._sizes.sum()} entries; need a budget "
                ">= 1). Raise connectivity."
            )
        self.active: list[Tensor] = []
        self.sign: list[Tensor] = []
        self.theta: list[Tensor] = []
        self._listed: dict[int, Tensor] = {}
        self._start()

    def _group(self, matrix: Matrix) -> Mapping[str, Any]:
        for group in self.optimizer.param_groups:
            if any(p is matrix.weight for p in group["params"]):
                return group
        raise NeuroError(
            f"deep_r: matrix '{matrix.name}' is not among the optimizer's parameters. Give it to the optimizer."
        )

    @torch.no_grad()
    def _start(self) -> None:
        rng = self._streams("deep_r/init")
        counts = self._share(self.budget, self._sizes.copy(), rng)
        for m, count in zip(self.matrices, counts, strict=True):
            w = m.weight
            drawn = torch.from_numpy(rng.choice([-1.0, 1.0], size=tuple(w.shape)))
            sign = (drawn if m.sign is None else m.sign.expand(w.shape)).to(w.dtype).contiguous()
            active = torch.zeros(w.numel(), dtype=torch.bool)
            active[torch.from_numpy(rng.choice(w.numel(), size=count, replace=False))] = True
            active = active.view(w.shape)
            theta = w.abs().clamp(min=NEW_THETA) / self.config.connectivity**0.5
            dormant = torch.from_numpy(rng.uniform(self.config.theta_min, 0.0, tuple(w.shape))).to(w.dtype)
            w.copy_(torch.where(active, sign * theta, 0.0))
            self.active.append(active)
            self.sign.append(sign)
            self.theta.append(torch.where(active, theta, dormant))

    @property
    def n_active(self) -> int:
        """Return the number of active connections in all matrices."""
        return sum(int(torch.count_nonzero(a)) for a in self.active)

    @property
    def connectivity(self) -> float:
        """Return the share of active connections."""
        return self.n_active / int(self._sizes.sum())

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients, as the optimiser does."""
        self.optimizer.zero_grad(set_to_none)

    @torch.no_grad()
    def step(self) -> None:
        """Take one step of the optimiser, then rewire. Mode "hard" costs passes over active entries, and few over all."""
        rng = self._streams(f"deep_r/{self.n_steps}")
        for m, active in zip(self.matrices, self.active, strict=True):
            if m.weight.grad is not None:
                m.weight.grad.mul_(active)
        self.optimizer.step()
        if self.config.mode == "soft":
            for k in range(len(self.matrices)):
                self._walk_all(k, rng)
        else:
            alive = [self._walk_active(k, rng) for k in range(len(self.matrices))]
            for k, born in enumerate(self._reconnect(alive, rng)):
                self._write(k, alive[k], born)
        self.n_steps += 1

    def _walk_active(self, k: int, rng: np.random.Generator) -> Tensor:
        """Move the thetas of active entries and let those at zero or below go; return where active ones are left, (n,)."""
        m, at, lr = self.matrices[k], self._places(k), float(self._groups[k]["lr"])
        theta = self.sign[k].view(-1)[at] * m.weight.view(-1)[at]
        theta.sub_(lr * self.config.l1)
        if self.config.temperature:
            noise = torch.from_numpy(rng.standard_normal(tuple(m.weight.shape))).to(theta.dtype)
            theta.add_(noise.view(-1)[at], alpha=(2 * lr * self.config.temperature) ** 0.5)
        self.theta[k].view(-1)[at] = theta.clamp_(min=self.config.theta_min)
        stays = theta > 0
        self.active[k].view(-1)[at[~stays]] = False
        self._forget(k, at[~stays])
        return at[stays]

    def _reconnect(self, alive: Sequence[Tensor], rng: np.random.Generator) -> list[Tensor]:
        """Draw as many dormant entries as the budget lacks; return where, (n,) for each matrix. `alive`: where the active ones are."""
        n_active = [len(at) for at in alive]
        counts = self._share(self.budget - sum(n_active), self._sizes - n_active, rng)
        born = []
        for k, count in enumerate(counts):
            at = torch.zeros(0, dtype=torch.int64)
            if count:
                chosen = torch.from_numpy(rng.choice(int(self._sizes[k]) - n_active[k], size=count, replace=False))
                at = _nth_dormant(alive[k], chosen)
                self.active[k].view(-1)[at] = True
                self.theta[k].view(-1)[at] = NEW_THETA
            born.append(at)
        return born

    def _write(self, k: int, old: Tensor, born: Tensor) -> None:
        """Write the weights of the entries that stayed and the new ones, and settle the optimiser's averages."""
        w, sign, theta = self.matrices[k].weight.view(-1), self.sign[k].view(-1), self.theta[k].view(-1)
        w.zero_()
        for at in (old, born):
            w[at] = sign[at] * theta[at]
        self._settle(k, old, born)
        kept, new = old.numpy(), born.sort().values.numpy()
        self._listed[k] = torch.from_numpy(np.insert(kept, np.searchsorted(kept, new), new))

    def _walk_all(self, k: int, rng: np.random.Generator) -> None:
        """Mode "soft": move all thetas; an entry is active where its theta is above zero."""
        m, before, lr = self.matrices[k], self.active[k], float(self._groups[k]["lr"])
        theta = torch.where(before, self.sign[k] * m.weight, self.theta[k])
        theta.sub_(before.to(theta.dtype), alpha=lr * self.config.l1)
        if self.config.temperature:
            noise = torch.from_numpy(rng.standard_normal(tuple(m.weight.shape))).to(theta.dtype)
            theta.add_(noise, alpha=(2 * lr * self.config.temperature) ** 0.5)
        self.active[k] = theta > 0
        self.theta[k] = theta.clamp_(min=self.config.theta_min)
        m.weight.copy_(torch.where(self.active[k], self.sign[k] * self.theta[k], 0.0))
        gone, old, born = (
            torch.nonzero(mask.view(-1)).view(-1)
            for mask in (before & ~self.active[k], before & self.active[k], self.active[k] & ~before)
        )
        self._forget(k, gone)
        self._settle(k, old, born)

    def _places(self, k: int) -> Tensor:
        """Return where a matrix has active entries, sorted, int64 (n,); hard rewiring keeps the list up to date."""
        if k not in self._listed:
            self._listed[k] = torch.nonzero(self.active[k].view(-1)).view(-1)
        return self._listed[k]

    def _share(self, total: int, room: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Share `total` over the matrices by a multinomial; what exceeds a matrix's room is shared over the others."""
        counts = np.zeros(len(room), dtype=np.int64)
        while total > 0:
            weight = self._sizes * (room > counts)
            counts += rng.multinomial(total, weight / weight.sum())
            total = int(np.maximum(counts - room, 0).sum())
            counts = np.minimum(counts, room)
        return counts

    def _averages(self, k: int) -> Iterator[tuple[bool, Tensor]]:
        """Yield the optimiser's averages of a matrix, flat, and whether they are second moments."""
        weight = self.matrices[k].weight
        for name, value in self.optimizer.state.get(weight, {}).items():
            if isinstance(value, Tensor) and value.shape == weight.shape:
                yield any(part in name for part in _SECOND_MOMENTS), value.view(-1)

    def _forget(self, k: int, at: Tensor) -> None:
        """Clear the first moments of entries that became dormant."""
        for second, value in self._averages(k):
            if not second:
                value[at] = 0

    def _settle(self, k: int, old: Tensor, born: Tensor) -> None:
        """Give the optimiser's averages of new connections their start values."""
        for second, value in self._averages(k):
            if not second:
                value[born] = 0
            elif len(born) and len(old):
                value[born] = value[old].mean()

    def state(self) -> tuple[dict[str, Tensor], dict[str, int]]:
        """Return what `restore` needs: tensors by name, and the counter of steps."""
        tensors: dict[str, Tensor] = {}
        for k, m in enumerate(self.matrices):
            tensors |= {
                f"{m.name}/active": self.active[k],
                f"{m.name}/sign": self.sign[k],
                f"{m.name}/theta": self.theta[k],
            }
        return tensors, {"n_steps": self.n_steps}

    @torch.no_grad()
    def adopt(self, tensors: Mapping[str, Tensor]) -> None:
        """Go on with the weights as they are now: what is not zero is active, the counter of steps starts anew.

        Parameters: tensors, of another run's `state`: signs and thetas of dormant connections.
        """
        for k, m in enumerate(self.matrices):
            w = m.weight
            dormant = torch.clamp(tensors[f"{m.name}/theta"].to(w.dtype), max=0.0)
            self._listed.pop(k, None)
            self.active[k] = w != 0
            self.sign[k] = torch.where(self.active[k], w.sign(), tensors[f"{m.name}/sign"].to(w.dtype))
            self.theta[k] = torch.where(self.active[k], w.abs(), dormant)

    def restore(self, tensors: Mapping[str, Tensor], counters: Mapping[str, int]) -> None:
        """Return to a state; the weights and the optimiser are restored by their owner."""
        for k, m in enumerate(self.matrices):
            self._listed.pop(k, None)
            self.active[k] = tensors[f"{m.name}/active"].clone()
            self.sign[k] = tensors[f"{m.name}/sign"].clone()
            self.theta[k] = tensors[f"{m.name}/theta"].clone()
        self.n_steps = int(counters["n_steps"])
