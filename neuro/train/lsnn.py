"""The trainable LSNN: LIF and ALIF neurons with sparse delays and a leaky readout, in the semantics of the spiking graph."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from neuro.errors import DataError, UnsupportedError
from neuro.graph import ALIF, INPUTS, LI, LIF, CurrentInput, Graph, Population, SpikeInput
from neuro.train import dynamics, event_sequence, gpu, kernel, sequence, signals
from neuro.train.active import find_active, take_active
from neuro.train.arrangement import Arrangement
from neuro.train.config import ModelConfig
from neuro.train.initial import Block, Streams, matrix, populations
from neuro.train.signals import Signal
from neuro.train.sweep import Rows
from neuro.train.twin import Cell, unroll
from neuro.train.wiring import Plan, Synapses, Wiring

DENSE_ABOVE = 1.0
"""Share of joined pairs above which products of whole matrices are taken. Event by event took 0.13 to 0.24 of their time at every share
measured, 0.1 to 1.0, with 20 to 220 neurons at 10-20 Hz (benchmarks/train_step.py)."""


@dataclass(frozen=True)
class Output:
    """What a network says about a batch, (batch, steps, units) each.

    y: readouts, side by side; z: spikes of all neurons, side by side, None for a network that does not spike, or was not asked for them;
    traces: by population and state, on request; y_unit: what one unit of each readout is worth, (n_out,), None: 1; n_spikes: of each
    neuron in each sample, (batch, neurons), None for a network that does not spike.
    """

    y: Tensor
    z: Tensor | None = None
    traces: Mapping[str, Mapping[str, Tensor]] | None = None
    y_unit: Tensor | None = None
    n_spikes: Tensor | None = None


class LSNN(nn.Module):
    """A network of LIF and ALIF neurons with leaky readouts that trains with exactly what is exported (DESIGN section 2).

    Made by `from_config` (parameters w_in, w_rec, w_out, each (pre, post)) or by `from_graph` (one list of weights for each
    projection). Zero weights stay without gradient while `sparse` is set: DEEP R's dormant connections.

    populations: graph nodes; they hold all constants in float64, whatever the dtype of the weights.
    """

    def __init__(
        self,
        populations: Sequence[Population],
        blocks: Sequence[Block],
        dt_ms: float = 1.0,
        dampening: float = 0.3,
        dtype: torch.dtype = torch.float32,
        learn_bias: bool = False,
        learn_out_bias: bool = False,
    ) -> None:
        super().__init__()
        self.inputs: tuple[SpikeInput | CurrentInput, ...] = tuple(p for p in populations if isinstance(p, INPUTS))
        neurons = [p for p in populations if isinstance(p, LIF)]
        self.neurons: tuple[LIF, ...] = tuple(sorted(neurons, key=lambda p: isinstance(p, ALIF)))
        self.readouts: tuple[LI, ...] = tuple(p for p in populations if isinstance(p, LI))
        self.order = tuple(p.name for p in populations)
        self.dt_ms, self.dampening, self.sparse = dt_ms, dampening, False
        self.n_in, self.n_neurons, self.n_out = (
            sum(p.size for p in group) for group in (self.inputs, self.neurons, self.readouts)
        )
        self.blocks = tuple(blocks)
        for b in self.blocks:
            self.register_parameter(b.name, nn.Parameter(torch.tensor(b.weight, dtype=dtype)))
            self.register_buffer(f"delay_{b.name}", torch.tensor(b.delay, dtype=torch.int32))
        self.bias = self._bias(self.neurons, learn_bias, dtype)
        self.bias_out = self._bias(self.readouts, learn_out_bias, dtype)
        self._arrangement: Arrangement | None = None
        self._rows: Rows | None = None
        self._parameters_kept: kernel.Parameters | None = None
        self._pool = kernel.Pool()
        self.register_load_state_dict_post_hook(_forget)  # type: ignore[no-untyped-call]

    @staticmethod
    def _bias(populations: Sequence[LIF | LI], learn: bool, dtype: torch.dtype) -> nn.Parameter | None:
        values = np.concatenate([p.bias for p in populations]) if populations else np.zeros(0)
        return nn.Parameter(torch.tensor(values, dtype=dtype)) if learn or values.any() else None

    @classmethod
    def from_config(
        cls,
        config: ModelConfig,
        n_in: int,
        n_out: int,
        streams: Streams,
        dt_ms: float = 1.0,
        input_node: SpikeInput | CurrentInput | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> LSNN:
        """Build the network of a recipe: input "in", populations "lif" and "alif", readout "out".

        Initial weights are gain N(0, 1) v_th / sqrt(fan-in), delays uniform. Draws from the streams "init/w_in",
        "init/w_rec", "init/w_out" and "init/delay_in", "init/delay_rec".
        """
        nodes = populations(config, input_node or SpikeInput(name="in", size=n_in), n_out, dt_ms)
        n = config.n_lif + config.n_alif
        blocks = (
            matrix("w_in", n_in, n, 0, 0, config.gain_in * config.v_th, streams,
                    (config.in_delay_min, config.in_delay_max)),
            matrix("w_rec", n, n, n_in, 0, config.gain_rec * config.v_th, streams, (config.delay_min, config.delay_max)),
            matrix("w_out", n, n_out, n_in, n, config.gain_out * config.v_th, streams, (config.out_delay,) * 2),
        )  # fmt: skip
        return cls(nodes, blocks, dt_ms, config.dampening, dtype, config.bias, config.out_bias)

    @classmethod
    def from_graph(cls, graph: Graph, dtype: torch.dtype = torch.float64, dampening: float = 0.3) -> LSNN:
        """Build the network that a graph holds.

        In float64 its evaluation equals `neuro.graph.reference` bit for bit in z, v, a and y if the graph is on its grid.
        Raises: UnsupportedError for an integer graph.
        """
        if graph.semantics != "float":
            raise UnsupportedError(
                f"LSNN: no float network (got graph '{graph.name}' of the {graph.semantics} semantics; need float). Train the float "
                "graph with quantize set."
            )
        inputs, neurons, readouts = (
            _offsets(group)
            for group in (graph.inputs, _sorted([p for p in graph.neurons if isinstance(p, LIF)]), graph.readouts)
        )
        n_in, n = sum(p.size for p in graph.inputs), sum(p.size for p in graph.neurons)
        source = {**inputs, **{name: n_in + low for name, low in neurons.items()}}
        target = {**neurons, **{name: n + low for name, low in readouts.items()}}
        blocks = [
            Block(
                name=f"w{k}",
                weight=c.weight,
                pre=c.pre.astype(np.int64) + source[c.source],
                post=c.post.astype(np.int64) + target[c.target],
                delay=c.delay.astype(np.int64),
                projection=(c.name, c.source, c.target),
            )
            for k, c in enumerate(graph.projections)
        ]
        return cls(graph.populations, blocks, graph.dt_ms, dampening, dtype)

    @property
    def dtype(self) -> torch.dtype:
        """Return the dtype of the weights."""
        parameters = list(self.parameters())
        return parameters[0].dtype if parameters else torch.float64

    def weights(self) -> Tensor:
        """Return all weights side by side, (n,)."""
        parts = [p.reshape(-1) for p in self._parts()]
        return torch.cat(parts) if parts else torch.zeros(0, dtype=self.dtype)

    def arrangement(self) -> Arrangement:
        """Return all potential synapses, arranged for each way to run them, made at first use."""
        if self._arrangement is None:
            pre, post = (_flat([getattr(b, side) for b in self.blocks]) for side in ("pre", "post"))
            delay = _flat([self.get_buffer(f"delay_{b.name}").cpu().numpy() for b in self.blocks])
            self._arrangement = Arrangement(Synapses(pre, post, delay), self.n_in, self.n_neurons, self.n_out)
        return self._arrangement

    def wiring(self) -> Wiring:
        """Return the arrangement of all potential synapses for products of whole matrices."""
        return self.arrangement().wiring()

    def rows(self) -> Rows:
        """Return the constants of all rows in the dtype of the weights."""
        if self._rows is None or self._rows.decay.dtype != self.dtype:
            self._rows = _rows(self.n_in, self.neurons, self.readouts, self.dampening, self.dtype)
        return self._rows

    def forward(self, inputs: Signal, *, spikes: bool = True, traces: bool = False, twin: bool = False) -> Output:
        """Run a batch from rest.

        Sparse networks run event by event in the training kernels, dense ones as products of whole matrices: see `runs_events`. With its
        parameters on a CUDA device the network runs in `neuro.train.gpu`, without traces; the inputs may lie anywhere.

        Parameters: inputs, (batch, steps, n_in) spikes or currents, or one array by name of each input; spikes, return z, which takes more
        memory than all the rest (n_spikes is returned anyway); traces, return every state by population (gradients through v and a only with
        twin); twin, step the equations of `dynamics` under autograd instead: the same numbers, slowly.
        Returns: Output.
        Raises: DataError if inputs are missing, misshapen or out of range, or a weight is not finite.
        """
        parts = signals.parts(self.inputs, inputs)
        if twin:
            found = unroll(torch.cat(parts, 2).to(self.dtype), self._used(), self.wiring(), *self._cells())
            return Output(found["y"], found["z"], self._traces(found) if traces else None, n_spikes=found["z"].sum(1))
        at = find_active(self._parts()) if self.sparse else None
        used = self._used(at)
        if self._on_gpu():
            return self._run_gpu(parts, used, at, spikes, traces)
        if self.runs_events(len(used)):
            return self._run_events(parts, used, at, spikes, traces)
        signal = torch.cat(parts, 2) if len(parts) > 1 else parts[0]
        y, z, v, a = self._run(signal.permute(1, 2, 0), used, self.arrangement().plan(at, self.dtype), traces)
        states = {"z": z, "v": v, "y": y}
        if traces:
            assert a is not None
            states["a"] = torch.cat([a.new_zeros(len(a), self.n_neurons - a.shape[1], a.shape[2]), a], 1)
        batch_first = {name: s.permute(2, 0, 1) for name, s in states.items() if s is not None}
        shown = self._traces(batch_first) if traces else None
        return Output(batch_first["y"], batch_first["z"] if spikes else None, shown, n_spikes=z.sum(0).t())

    def runs_events(self, n_active: int) -> bool:
        """Tell whether so many synapses run event by event: at most DENSE_ABOVE of all pairs of a source and a target."""
        pairs = (self.n_in + self.n_neurons) * (self.n_neurons + self.n_out)
        return n_active <= DENSE_ABOVE * pairs

    def _run_events(
        self, parts: Sequence[Tensor], weights: Tensor, active: Tensor | None, spikes: bool, traces: bool
    ) -> Output:
        """Run the training kernels; weights are those of the active synapses."""
        record = {"z", "v", "a"} if traces else {"z"} if spikes else set()
        run = event_sequence.Run(
            structure=self.arrangement().structure(active),
            parameters=self._kernel_parameters(),
            signals=signals.gather(self.inputs, parts, self.dtype),
            pool=self._pool,
            record=frozenset(record),
        )
        bias = self._biases()
        y, n_spikes, z, v, a = event_sequence.run(weights, None if bias is None else bias[:, 0], run)
        states = {"y": y, "z": z, "v": v, "a": a}
        shown = self._traces({k: s for k, s in states.items() if s is not None}) if traces else None
        return Output(y, z if spikes else None, shown, n_spikes=n_spikes)

    def _on_gpu(self) -> bool:
        """Tell whether the parameters lie on a CUDA device."""
        return any(p.is_cuda for p in self.parameters())

    def _run_gpu(
        self, parts: Sequence[Tensor], weights: Tensor, active: Tensor | None, spikes: bool, traces: bool
    ) -> Output:
        """Run the kernels of the GPU; weights are those of the active synapses."""
        if traces:
            raise UnsupportedError(
                "LSNN: no traces on a GPU (got traces=True on a CUDA device; need traces=False). Move the network to the CPU."
            )
        signal = torch.cat([part.to(weights.device) for part in parts], 2)
        y, n_spikes, z = gpu.run(
            signal, weights, self._biases(), self.rows(), self.arrangement().on_gpu(active, weights.device), spikes
        )
        return Output(y, z, n_spikes=n_spikes)

    def _check_finite(self, used: Tensor) -> None:
        """Refuse weights that are not finite, by name: they make their sum so. Used are all weights, or those that are not 0."""
        biases = [b.detach().sum() for b in (self.bias, self.bias_out) if b is not None]
        if math.isfinite(sum(biases, used.detach().sum()).item()):
            return
        for name, p in self.named_parameters():
            if not math.isfinite(p.detach().sum().item()) and not bool(torch.isfinite(p.detach()).all()):
                at = tuple(torch.nonzero(~torch.isfinite(p.detach()))[0].tolist())
                raise DataError(
                    f"parameter '{name}': not finite (got {p.detach()[at].item()} at {at}; need finite numbers). Return to a checkpoint, "
                    "and lower lr or set clip_norm."
                )

    def _parts(self) -> list[Tensor]:
        """Return the parameter of each block."""
        return [getattr(self, b.name) for b in self.blocks]

    def _used(self, at: Tensor | None = None) -> Tensor:
        """Return the weights that the network runs with, (n,): the trained ones, all or those at some positions in the list of all."""
        weights = self.weights() if at is None or not self.blocks else take_active(self._parts(), at)
        self._check_finite(weights)
        return weights

    def _run(
        self, signal: Tensor, weights: Tensor, plan: Plan, traces: bool
    ) -> tuple[Tensor, Tensor, Tensor | None, Tensor | None]:
        """Run the fast sequence, see `sequence.run`."""
        return sequence.run(signal, weights, self._biases(), self.rows(), plan, traces)

    def _cells(self) -> tuple[Sequence[Cell], Sequence[Cell]]:
        """Return neurons and readouts for the twin."""
        bias = self._biases()
        flat = torch.zeros(self.n_neurons + self.n_out, dtype=self.dtype) if bias is None else bias[:, 0]
        parts = torch.split(flat, [p.size for p in (*self.neurons, *self.readouts)])
        neurons = [
            dynamics.NeuronCell(dynamics.neuron_parameters(p, self.dtype, self.dampening), b)
            for p, b in zip(self.neurons, parts, strict=False)
        ]
        return neurons, [
            dynamics.ReadoutCell(dynamics.readout_decay(p, self.dtype), b)
            for p, b in zip(self.readouts, parts[len(neurons) :], strict=True)
        ]

    def _biases(self) -> Tensor | None:
        """Return the biases of all target rows, (targets, 1), or None if there are none."""
        if self.bias is None and self.bias_out is None:
            return None
        parts = ((self.bias, self.n_neurons), (self.bias_out, self.n_out))
        like = next(b for b, _ in parts if b is not None)
        return torch.cat([like.new_zeros(n) if b is None else b for b, n in parts])[:, None]

    def _kernel_parameters(self) -> kernel.Parameters:
        """Return the constants of all rows for the kernels, in the dtype of the weights."""
        if self._parameters_kept is None or self._parameters_kept.decay.dtype != self.dtype:
            self._parameters_kept = kernel.Parameters.of(self.rows())
        return self._parameters_kept

    def _traces(self, states: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
        """Cut the rows of all neurons and readouts into populations."""
        traces: dict[str, dict[str, Tensor]] = {}
        for group, names in ((self.neurons, ("z", "v", "a")), (self.readouts, ("y",))):
            for name, low in _offsets(group).items():
                p = next(p for p in group if p.name == name)
                keep = [s for s in names if s != "a" or isinstance(p, ALIF)]
                traces[name] = {s: states[s][:, :, low : low + p.size] for s in keep}
        return traces


def _forget(module: nn.Module, _incompatible: Any) -> None:
    """Drop what was made from the delays before they were loaded."""
    assert isinstance(module, LSNN)
    module._arrangement = None


def _flat(arrays: Sequence[np.ndarray]) -> Tensor:
    joined = np.concatenate([a.ravel() for a in arrays]) if arrays else np.zeros(0)
    return torch.from_numpy(joined.astype(np.int32))


def _sorted(neurons: Sequence[LIF]) -> list[LIF]:
    """Put LIF populations before ALIF ones, so that adaptation is one stretch of rows."""
    return sorted(neurons, key=lambda p: isinstance(p, ALIF))


def _offsets(populations: Sequence[Population]) -> dict[str, int]:
    """Return each population's first row."""
    first, low = {}, 0
    for p in populations:
        first[p.name], low = low, low + p.size
    return first


def _rows(n_in: int, neurons: Sequence[LIF], readouts: Sequence[LI], dampening: float, dtype: torch.dtype) -> Rows:
    """Join the constants of all populations into columns."""

    def column(parts: list[np.ndarray]) -> Tensor:
        return torch.tensor(np.concatenate([np.zeros(0), *parts]), dtype=dtype)[:, None]

    resets: list[tuple[str, int, int]] = []
    for p, low in zip(neurons, _offsets(neurons).values(), strict=True):
        if resets and resets[-1][0] == p.reset:
            resets[-1] = (p.reset, resets[-1][1], low + p.size)
        else:
            resets.append((p.reset, low, low + p.size))
    alif = [p for p in neurons if isinstance(p, ALIF)]
    n_ref = np.concatenate([np.zeros(0, dtype=np.int64), *(p.n_ref for p in neurons)])
    return Rows(
        n_inputs=n_in,
        n_neurons=sum(p.size for p in neurons),
        decay=column([*(p.alpha for p in neurons), *(p.kappa for p in readouts)]),
        v_th=column([p.v_th for p in neurons]),
        rho=column([p.rho for p in alif]),
        beta=column([p.beta for p in alif]),
        adaptive_from=sum(p.size for p in neurons) - sum(p.size for p in alif),
        n_ref=torch.from_numpy(n_ref.astype(np.int64)),
        resets=tuple(resets),
        dampening=dampening,
    )
