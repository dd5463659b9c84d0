"""Train for a chip: an LSNN that runs forward exactly as its integer graph does, and learns full-precision weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from neuro.errors import QuantizationError, UnsupportedError
from neuro.graph import (
    AHP,
    ALIF,
    LI,
    LIF,
    MAX_INT_DELAY,
    SCALE_BITS,
    CurrentInput,
    Graph,
    IntALIF,
    IntLI,
    IntLIF,
    Population,
    fit_exponent,
    kind,
    round_to_bias,
    round_to_mantissas,
)
from neuro.train import sequence
from neuro.train.integer_dynamics import IntegerCell, IntegerReadoutCell, factor, integer_parameters
from neuro.train.integer_sweep import IntegerRows, integer_sweep
from neuro.train.lsnn import LSNN, Output
from neuro.train.pairs import delays, pairs
from neuro.train.signals import Signal
from neuro.train.sweep import Rows
from neuro.train.twin import Cell
from neuro.train.wiring import Plan


@dataclass(frozen=True)
class Template:
    """What a chip holds in place of a float network: its integer populations, and how to translate numbers.

    profile: name of the chip's profile; graph: an integer graph with the network's populations, and with the synapses NAME.reset that
    take its threshold off a neuron's own current, if the chip needs them (all other synapses do not matter);
    scales: units of the chip in one unit of the float network, by receiving population (weights, biases, v, y).
    """

    profile: str
    graph: Graph
    scales: Mapping[str, float]


@dataclass(frozen=True)
class Mantissas:
    """Weights as a chip holds them, arrays over all weights of a network (n,).

    mantissa: -255..255; exponent: of each weight, one for the excitatory and one for the inhibitory weights of a projection.
    """

    mantissa: np.ndarray
    exponent: np.ndarray

    @property
    def activation(self) -> np.ndarray:
        """Return mantissa * 2**(6 + exponent), int64."""
        return self.mantissa << (SCALE_BITS + self.exponent)


class QuantizedLSNN(LSNN):
    """An LSNN whose forward pass is that of the integer graph it is exported as, bit for bit (DESIGN 2.2).

    The parameters are those of the LSNN, in its units and in full precision. In the forward pass a weight w is
    m 2**(6 + e), with m = round(scale w / 2**(6 + e)) in -255..255, and e the least exponent that the largest weight of the
    projection and sign has room in: rounding depends on nothing but the weights. Populations are those of the template. The
    gradient is the surrogate gradient of the float equations with the integer constants; rounding and clipping pass it on as if they
    were not there, so that dL/dw = scale dL/dm 2**-(6 + e). The readout y is in units of the chip; `y_unit` says what one is worth.

    Raises: QuantizationError naming everything in the network that has no place in the template.
    """

    def __init__(self, populations: Sequence[Population], *args: Any, template: Template, **settings: Any) -> None:
        super().__init__(populations, *args, **settings)
        self.template = template
        _check(self, template)
        self.chip: Mapping[str, Any] = {p.name: p for p in template.graph.populations}
        self._scale = np.ones(sum(b.weight.size for b in self.blocks))
        self.pairs = pairs(self)
        for pair in self.pairs:
            self._scale[pair.entries] = template.scales[pair.target]
        self.resets = {name: c for name in self.chip if (c := template.graph.reset_synapses(name)) is not None}
        chip = [self.chip[p.name] for p in (*self.neurons, *self.readouts)]
        self._integer_rows = _integer_rows(chip, self.own)

    @classmethod
    def of(cls, model: LSNN, template: Template) -> QuantizedLSNN:
        """Return the network with the weights of a float one."""
        by_name = {p.name: p for p in (*model.inputs, *model.neurons, *model.readouts)}
        made = cls(
            [by_name[name] for name in model.order],
            model.blocks,
            model.dt_ms,
            model.dampening,
            model.dtype,
            model.bias is not None,
            model.bias_out is not None,
            template=template,
        )
        made.load_state_dict(model.state_dict())
        made.sparse = model.sparse
        return made

    def own(self, name: str) -> Tensor:
        """Return what the synapses of neurons to themselves add to u, that are not trained, float64 (n,)."""
        found = torch.zeros(self.chip[name].size, dtype=torch.float64)
        if name in self.resets:
            c = self.resets[name]
            found.index_add_(0, torch.tensor(c.post, dtype=torch.int64), torch.tensor(c.activation).double())
        return found

    @property
    def y_unit(self) -> Tensor:
        """Return what one unit of each readout is worth in the float network's units, float64 (n_out,)."""
        return torch.cat([torch.full((p.size,), 1 / self.template.scales[p.name]).double() for p in self.readouts])

    def mantissas(self) -> Mantissas:
        """Return all weights, as the chip holds them now."""
        scaled = self.weights().detach().double().numpy() * self._scale
        mantissa, exponent = np.zeros(len(scaled), dtype=np.int64), np.zeros(len(scaled), dtype=np.int64)
        for pair in self.pairs:
            w = scaled[pair.entries]
            for part in (w > 0, w < 0):
                if part.any():
                    chosen = fit_exponent(float(np.abs(w[part]).max()))
                    mantissa[pair.entries[part]] = round_to_mantissas(w[part], chosen)
                    exponent[pair.entries[part]] = chosen
        return Mantissas(mantissa, exponent)

    def integer_bias(self, populations: Sequence[Population], bias: nn.Parameter | None) -> np.ndarray:
        """Return the biases of populations in units of the chip, int64: the trained ones, or the template's."""
        held = np.concatenate([np.zeros(0, dtype=np.int64), *(self.chip[p.name].bias for p in populations)])
        if bias is None:
            return held
        return round_to_bias(bias.detach().double().numpy() * self._unit_scales(populations))

    def _unit_scales(self, populations: Sequence[Population]) -> np.ndarray:
        parts = [np.full(p.size, self.template.scales[p.name]) for p in populations]
        return np.concatenate([np.zeros(0), *parts])

    def forward(self, inputs: Signal, *, spikes: bool = True, traces: bool = False, twin: bool = False) -> Output:
        """Run a batch from rest, as `LSNN.forward` does; states are whole numbers, y and traces float64."""
        return replace(super().forward(inputs, spikes=spikes, traces=traces, twin=twin), y_unit=self.y_unit)

    def _on_gpu(self) -> bool:
        """Return False; refuse parameters on a CUDA device."""
        if super()._on_gpu():
            raise UnsupportedError(
                "QuantizedLSNN: no training for a chip on a GPU (got parameters on a CUDA device; need the CPU). Move the network there."
            )
        return False

    def runs_events(self, n_active: int) -> bool:
        """Return False: the training kernels hold the float equations."""
        return False

    def _used(self, at: Tensor | None = None) -> Tensor:
        """Return the weights that the chip holds, in its units."""
        weights = self.weights()
        self._check_finite(weights)
        whole = _straight(weights, self.mantissas().activation, self._scale)
        return whole if at is None else whole.index_select(0, at)

    def _biases(self) -> Tensor | None:
        parts = []
        for group, bias in ((self.neurons, self.bias), (self.readouts, self.bias_out)):
            whole = self.integer_bias(group, bias)
            values = torch.from_numpy(whole).to(self.dtype)
            parts.append(values if bias is None else _straight(bias, whole, self._unit_scales(group)))
        found = torch.cat(parts)[:, None]
        return found if found.requires_grad or bool(found.any()) else None

    def rows(self) -> Rows:
        """Return the constants of all rows for the gradient, in units of the chip and the dtype of the weights."""
        if self._rows is None or self._rows.decay.dtype != self.dtype:
            self._rows = _gradient_rows(self, self._integer_rows)
        return self._rows

    def _run(
        self, signal: Tensor, weights: Tensor, plan: Plan, traces: bool
    ) -> tuple[Tensor, Tensor, Tensor | None, Tensor | None]:
        forward = partial(integer_sweep, chip=self._integer_rows)
        return sequence.run(signal, weights, self._biases(), self.rows(), plan, traces, forward)

    def _cells(self) -> tuple[Sequence[Cell], Sequence[Cell]]:
        bias = self._biases()
        flat = torch.zeros(self.n_neurons + self.n_out) if bias is None else bias[:, 0]
        parts = torch.split(flat.double(), [p.size for p in (*self.neurons, *self.readouts)])
        neurons = [
            IntegerCell(integer_parameters(self.chip[p.name], self.dampening, self.own(p.name)), b)
            for p, b in zip(self.neurons, parts, strict=False)
        ]
        readouts = zip(self.readouts, parts[len(neurons) :], strict=True)
        return neurons, [IntegerReadoutCell(self.chip[p.name], b) for p, b in readouts]

    def _traces(self, states: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
        """Name the adaptation of AHP populations x, as the graph does."""
        found = super()._traces(states)
        for name, traces in found.items():
            if isinstance(self.chip[name], AHP):
                traces["x"] = traces.pop("a")
        return found


class _Straight(torch.autograd.Function):
    """Give other values to a tensor; the gradient passes, times scale."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, others: Tensor, scale: Tensor) -> Tensor:
        ctx.save_for_backward(scale)
        return others

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        (scale,) = ctx.saved_tensors
        return grads[0] * scale, None, None


def _straight(values: Tensor, whole: np.ndarray, scale: np.ndarray) -> Tensor:
    others, factors = (torch.from_numpy(x).to(values.dtype) for x in (whole, scale))
    found: Tensor = _Straight.apply(values, others, factors)  # type: ignore[no-untyped-call]
    return found


_FITS = {"LIF": ("IntLIF",), "ALIF": ("IntALIF", "AHP"), "LI": ("IntLI",)}


def _check(model: LSNN, template: Template) -> None:
    """Refuse a network that the template has no place for."""
    held = {p.name: p for p in template.graph.populations}
    failures = [
        f"input '{p.name}': currents (got a CurrentInput; need SpikeInput). A chip takes spikes: code the values as spikes, in the task."
        for p in model.inputs
        if isinstance(p, CurrentInput)
    ]
    receivers: tuple[LIF | LI, ...] = (*model.neurons, *model.readouts)
    for p in receivers:
        there = held.get(p.name)
        wanted = _FITS[kind(p)]
        if there is None or kind(there) not in wanted or there.size != p.size or p.name not in template.scales:
            got = "nothing" if there is None else f"{kind(there)} of size {there.size}"
            failures.append(
                f"population '{p.name}': no place in the template (got {got}; need {' or '.join(wanted)} of size {p.size}, and its scale). "
                "Quantize this very network."
            )
    longest = int(delays(model).max(initial=0))
    if longest > MAX_INT_DELAY:
        failures.append(f"network: delay out of range (got {longest}; need <= {MAX_INT_DELAY}). Lower delay_max.")
    if failures:
        raise QuantizationError("\n".join(failures))


def _integer_rows(chip: Sequence[IntLIF | AHP | IntLI], own: Callable[[str], Tensor]) -> IntegerRows:
    """Join the constants of neurons, then readouts, into columns."""
    neurons = [p for p in chip if not isinstance(p, IntLI)]
    slow = [p for p in neurons if isinstance(p, (IntALIF, AHP))]

    def column(parts: Sequence[Any]) -> Tensor:
        return torch.cat([torch.zeros(0, dtype=torch.float64), *(torch.as_tensor(x).double() for x in parts)])[:, None]

    stretches: dict[type, list[slice]] = {IntALIF: [], AHP: []}
    low = 0
    for p in neurons:
        if isinstance(p, (IntALIF, AHP)):
            stretches[type(p)].append(slice(low, low + p.size))
        low += p.size
    keep_u, to_self = column([factor(p.d_u + 1) for p in chip]), column([own(p.name) for p in neurons])
    return IntegerRows(
        keep_u=keep_u if bool(keep_u.any()) else None,
        own=to_self if bool(to_self.any()) else None,
        decay=column([factor(p.d_y if isinstance(p, IntLI) else p.d_v) for p in chip]),
        limit=column([np.full(p.size, p.max_state) for p in chip]),
        v_th=column([p.v_th << SCALE_BITS for p in neurons]),
        rho=column([factor(p.d_a if isinstance(p, IntALIF) else p.d_x) for p in slow]),
        jump=column([np.copy(p.bump if isinstance(p, IntALIF) else p.w_x) for p in slow]),
        raising=tuple(stretches[IntALIF]),
        slowing=tuple(stretches[AHP]),
    )


def _gradient_rows(model: QuantizedLSNN, chip: IntegerRows) -> Rows:
    """Return the rows that `unsweep` reads: the float equations with the constants of the chip."""
    neurons = [model.chip[p.name] for p in model.neurons]
    resets, low = [], 0
    for p in neurons:
        resets.append(("zero" if isinstance(p, AHP) else p.reset, low, low + p.size))
        low += p.size
    adaptive_from = sum(p.size for p in model.neurons if isinstance(p, LIF) and not isinstance(p, ALIF))
    is_ahp = torch.zeros(low, 1, dtype=torch.bool)
    for part in chip.slowing:
        is_ahp[part] = True
    is_ahp = is_ahp[adaptive_from:]
    n_ref = np.concatenate([np.zeros(0, dtype=np.int64), *(p.n_ref for p in neurons)])
    jump = chip.jump.to(model.dtype)
    return Rows(
        n_inputs=model.n_in,
        n_neurons=model.n_neurons,
        decay=chip.decay.to(model.dtype),
        v_th=chip.v_th.to(model.dtype),
        rho=chip.rho.to(model.dtype),
        beta=jump.masked_fill(is_ahp, 0.0),
        adaptive_from=adaptive_from,
        n_ref=torch.from_numpy(n_ref),
        resets=tuple(resets),
        dampening=model.dampening,
        w_x=jump.masked_fill(~is_ahp, 0.0) if bool(is_ahp.any()) else None,
        keep_u=None if chip.keep_u is None else chip.keep_u.to(model.dtype),
        own=None if chip.own is None else chip.own.to(model.dtype),
    )
