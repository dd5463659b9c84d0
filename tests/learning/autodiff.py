"""The network of a graph in torch float64, whose derivative e-prop claims to compute: with paths cut, or open (BPTT)."""

from __future__ import annotations

from typing import Any

import torch

from neuro.backend import Stimulus, Teacher
from neuro.graph import ALIF, LI, Graph
from neuro.learning import EProp

Tensors = dict[str, torch.Tensor]


class Spike(torch.autograd.Function):
    """z = 1 if v - A > 0 and not refractory; derivative psi in v - A."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, v_th: torch.Tensor, free: torch.Tensor, gamma: float) -> torch.Tensor:
        ctx.save_for_backward(gamma / v_th * torch.clamp(1 - (x / v_th).abs(), min=0) * free)
        return ((x > 0) & free).double()

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor, None, None, None]:  # type: ignore[override]
        (psi,) = ctx.saved_tensors
        return grad * psi, None, None, None


class Net:
    """Run a graph. cut: the spikes to other neurons and the reset count as constants.

    feedback: by "P/Y", matrices (n_Y, n_P) by which errors go back instead of the readout's weights. filter: errors go back through
    the readout's memory.
    """

    def __init__(self, graph: Graph, gamma: float = 0.3, cut: bool = True, filter: bool = True,
                 feedback: dict[str, Any] | None = None) -> None:  # fmt: skip
        self.graph, self.gamma, self.cut, self.filter = graph, gamma, cut, filter
        self.feedback = {key: torch.tensor(b) for key, b in (feedback or {}).items()}
        self.weight = {c.name: torch.tensor(c.weight, requires_grad=True) for c in graph.projections}
        self.bias = {p.name: torch.tensor(p.bias, requires_grad=True) for p in graph.receivers}

    def run(self, stimulus: Stimulus) -> tuple[Tensors, Tensors]:
        """Return y by readout and z by neuron population, each (batch, steps, size)."""
        g, self.batch = self.graph, stimulus.batch
        sent = {p.name: list(torch.tensor(stimulus.dense_input(g, p.name)).unbind(1)) for p in g.inputs}
        sent |= {p.name: [] for p in g.neurons}
        state: dict[str, Any] = {p.name: None for p in g.receivers}
        y: dict[str, list[torch.Tensor]] = {p.name: [] for p in g.readouts}
        for t in range(stimulus.steps):
            for p in g.receivers:
                current = self._current(p, sent, t)
                if isinstance(p, LI):
                    old = torch.tensor(p.kappa) * (state[p.name] if t else 0.0)
                    state[p.name] = (old if self.filter else old.detach()) + current
                    y[p.name].append(state[p.name])
                else:
                    state[p.name] = self._neuron(p, state[p.name], current)
            for p in g.neurons:
                sent[p.name].append(state[p.name]["z"])
        return (
            {name: torch.stack(v, 1) for name, v in y.items()},
            {p.name: torch.stack(sent[p.name], 1) for p in g.neurons},
        )

    def _current(self, p: Any, sent: dict[str, list[torch.Tensor]], t: int) -> torch.Tensor:
        current = self.bias[p.name].expand(self.batch, -1)
        for c in self.graph.projections_to(p.name):
            for d in sorted(set(c.delay.tolist())):
                if t - d < 0:
                    continue
                mine = torch.tensor(c.delay == d)
                s = sent[c.source][t - d]
                if self.cut and not isinstance(p, LI):
                    s = s.detach()
                pre, post = torch.tensor(c.pre).long()[mine], torch.tensor(c.post).long()[mine]
                came = torch.zeros_like(current).index_add(1, post, self.weight[c.name][mine] * s[:, pre])
                back = self.feedback.get(f"{c.source}/{c.target}")
                if back is not None:
                    came = came.detach() + (s @ back.T - (s @ back.T).detach())
                current = current + came
        return current

    def _neuron(self, p: Any, last: Tensors | None, current: torch.Tensor) -> Tensors:
        zero = torch.zeros(self.batch, p.size, dtype=torch.float64)
        last = last or dict.fromkeys(("z", "v", "a", "r", "wait"), zero)
        alpha, v_th = torch.tensor(p.alpha), torch.tensor(p.v_th)
        rho, beta = (torch.tensor(p.rho), torch.tensor(p.beta)) if isinstance(p, ALIF) else (0.0, 0.0)
        a = rho * last["a"] + last["z"]
        threshold = v_th + beta * a
        free = last["wait"] == 0
        if p.reset == "zero":
            v = torch.where(free, alpha * last["v"] + current, zero)
        else:
            v = (alpha * last["v"] + current) - last["r"]
        z = Spike.apply(v - threshold, v_th, free, self.gamma)
        fixed = z.detach() if self.cut else z
        r = {
            "threshold": fixed * v_th,
            "adaptive": fixed * (threshold.detach() if self.cut else threshold),
            "zero": zero,
        }
        wait = torch.where(z.detach() == 1, torch.tensor(p.n_ref), torch.clamp(last["wait"] - 1, min=0))
        if p.reset == "zero":
            v = v * (1 - fixed)
        return {"z": z, "v": v, "a": a, "r": r[p.reset], "wait": wait}

    def gradient(self, loss: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return d loss / d w by projection, and by "bias/P"."""
        keys = [*self.weight, *(f"bias/{name}" for name in self.bias)]
        found = torch.autograd.grad(loss, [*self.weight.values(), *self.bias.values()], allow_unused=True)
        return {k: g for k, g in zip(keys, found, strict=True) if g is not None}


def loss(y: torch.Tensor, z: Tensors, teacher: Teacher, rule: EProp, dt_ms: float = 1.0) -> torch.Tensor:
    """Return the loss that e-prop descends, summed over samples."""
    target, mask = torch.tensor(teacher.target), torch.tensor(teacher.mask)
    if teacher.loss == "softmax":
        each = -(target * torch.log_softmax(y, -1)).sum(-1)
    else:
        each = 0.5 * ((y - target) ** 2).sum(-1)
    total = (each * mask).sum()
    for spikes in z.values():
        total = total + rule.rate_reg / 2 * ((spikes.mean(1) - rule.rate_target_hz * dt_ms / 1000) ** 2).sum()
    return total
