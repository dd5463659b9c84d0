"""The trainable LSNN: LIF and ALIF neurons with sparse delays and a leaky readout, in the semantics of the spiking graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from neuro.errors import DataError, UnsupportedError
from neuro.graph import ALIF, INPUTS, LI, LIF, CurrentInput, Graph, Population, SpikeInput, decay
from neuro.train import dynamics, sequence
from neuro.train.config import ModelConfig
from neuro.train.sweep import Rows
from neuro.train.twin import Cell, unroll
from neuro.train.wiring import Plan, Synapses, Wiring

Streams = Callable[[str], np.random.Generator]
Signal = Tensor | ArrayLike | Mapping[str, Any]


@dataclass(frozen=True)
class Output:
    """What a network says about a batch, (batch, steps, units) each.

    y: readouts, side by side; z: spikes of all neurons, side by side, None for a network that does not spike; traces: by
    population and state, on request; y_unit: what one unit of each readout is worth, (n_out,), None: 1.
    """

    y: Tensor
    z: Tensor | None = None
    traces: Mapping[str, Mapping[str, Tensor]] | None = None
    y_unit: Tensor | None = None


@dataclass(frozen=True)
class Block:
    """Weights that are one parameter: a whole matrix from sources to targets, or the list of a projection's synapses.

    name: of the parameter; weight: initial values, (pre, post) of a matrix or (n,) of a list; pre, post: int64, of weight's shape,
    rows of sources and targets; delay: int64, of weight's shape, steps; projection: name, source and target of a list.
    """

    name: str
    weight: np.ndarray
    pre: np.ndarray
    post: np.ndarray
    delay: np.ndarray
    projection: tuple[str, str, str] | None = None


class LSNN(nn.Module):
    """A network of LIF and ALIF neurons with leaky readouts that trains with exactly what is exported (DESIGN section 2).

    Made by `from_config` (parameters w_in, w_rec, w_out, each (pre, post)) or by `from_graph` (one list of weights for each
    projection). Zero weights stay without gradient while `sparse` is set: DEEP R's dormant connections.

    populations: graph nodes; they hold all constants in float64, whatever the dtype of the weights. Runs on the CPU.
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
        self._wiring: Wiring | None = None
        self._plan: tuple[Tensor | None, Plan] | None = None
        self._rows: Rows | None = None
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
        populations = _populations(config, input_node or SpikeInput(name="in", size=n_in), n_out, dt_ms)
        n = config.n_lif + config.n_alif
        blocks = (
            _matrix("w_in", n_in, n, 0, 0, config.gain_in * config.v_th, streams,
                    (config.in_delay_min, config.in_delay_max)),
            _matrix("w_rec", n, n, n_in, 0, config.gain_rec * config.v_th, streams, (config.delay_min, config.delay_max)),
            _matrix("w_out", n, n_out, n_in, n, config.gain_out * config.v_th, streams, (config.out_delay,) * 2),
        )  # fmt: skip
        return cls(populations, blocks, dt_ms, config.dampening, dtype, config.bias, config.out_bias)

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
        parts = [self.get_parameter(b.name).reshape(-1) for b in self.blocks]
        return torch.cat(parts) if parts else torch.zeros(0, dtype=self.dtype)

    def wiring(self) -> Wiring:
        """Return the arrangement of all potential synapses, made at first use."""
        if self._wiring is None:
            pre, post = (_flat([getattr(b, side) for b in self.blocks]) for side in ("pre", "post"))
            delay = _flat([self.get_buffer(f"delay_{b.name}").numpy() for b in self.blocks])
            self._wiring = Wiring(Synapses(pre, post, delay), self.n_in, self.n_neurons, self.n_out)
        return self._wiring

    def rows(self) -> Rows:
        """Return the constants of all rows in the dtype of the weights."""
        if self._rows is None or self._rows.decay.dtype != self.dtype:
            self._rows = _rows(self.n_in, self.neurons, self.readouts, self.dampening, self.dtype)
        return self._rows

    def forward(self, inputs: Signal, *, traces: bool = False, twin: bool = False) -> Output:
        """Run a batch from rest.

        Parameters: inputs, (batch, steps, n_in) spikes or currents, or one array by name of each input; traces, return every
        state by population (gradients through v and a only with twin); twin, step the equations of `dynamics` under autograd
        instead of the fast sequence: the same numbers, slowly.
        Returns: Output.
        Raises: DataError if inputs are missing or misshapen.
        """
        signal, weights = self._signal(inputs), self.weights()
        used = self._effective(weights)
        if twin:
            found = unroll(signal.to(self.dtype), used, self.wiring(), *self._cells())
            return Output(found["y"], found["z"], self._traces(found) if traces else None)
        active = torch.nonzero(weights.detach()).view(-1) if self.sparse else None
        used = used if active is None else used.index_select(0, active)
        y, z, v, a = self._run(signal.permute(1, 2, 0), used, self._active_plan(active), traces)
        states = {"z": z, "v": v, "y": y}
        if traces:
            assert a is not None
            states["a"] = torch.cat([a.new_zeros(len(a), self.n_neurons - a.shape[1], a.shape[2]), a], 1)
        batch_first = {name: s.permute(2, 0, 1) for name, s in states.items() if s is not None}
        return Output(batch_first["y"], batch_first["z"], self._traces(batch_first) if traces else None)

    def _effective(self, weights: Tensor) -> Tensor:
        """Return the weights that the network runs with, from the trained ones, (n,): the same."""
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

    def _signal(self, inputs: Signal) -> Tensor:
        """Return the inputs side by side, (batch, steps, n_in)."""
        if not isinstance(inputs, Mapping):
            if len(self.inputs) > 1:
                names = ", ".join(p.name for p in self.inputs)
                raise DataError(f"LSNN: one array for several inputs (got an array; need one for each of {names}).")
            inputs = {p.name: inputs for p in self.inputs}
        parts: list[Tensor] = []
        for p in self.inputs:
            if p.name not in inputs:
                raise DataError(f"input '{p.name}': no signal (got {sorted(inputs)}; need '{p.name}').")
            part = torch.as_tensor(inputs[p.name])
            if part.dim() != 3 or part.shape[2] != p.size or (parts and parts[0].shape[:2] != part.shape[:2]):
                raise DataError(
                    f"input '{p.name}': wrong shape (got {tuple(part.shape)}; need (batch, steps, {p.size}), the same batch "
                    "and steps for every input)."
                )
            parts.append(part)
        return torch.cat(parts, 2) if len(parts) > 1 else parts[0]

    def _biases(self) -> Tensor | None:
        """Return the biases of all target rows, (targets, 1), or None if there are none."""
        if self.bias is None and self.bias_out is None:
            return None
        parts = ((self.bias, self.n_neurons), (self.bias_out, self.n_out))
        return torch.cat([torch.zeros(n, dtype=self.dtype) if b is None else b for b, n in parts])[:, None]

    def _active_plan(self, active: Tensor | None) -> Plan:
        """Return the plan for these synapses; kept while they stay the same."""
        if self._plan is not None and self._plan[1].dtype == self.dtype:
            old = self._plan[0]
            if (active is None and old is None) or (
                active is not None and old is not None and torch.equal(active, old)
            ):
                return self._plan[1]
        self._plan = (active, self.wiring().plan(active, self.dtype))
        return self._plan[1]

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
    module._wiring = module._plan = None


def _flat(arrays: Sequence[np.ndarray]) -> Tensor:
    joined = np.concatenate([a.ravel() for a in arrays]) if arrays else np.zeros(0)
    return torch.from_numpy(joined.astype(np.int64))


def _sorted(neurons: Sequence[LIF]) -> list[LIF]:
    """Put LIF populations before ALIF ones, so that adaptation is one stretch of rows."""
    return sorted(neurons, key=lambda p: isinstance(p, ALIF))


def _offsets(populations: Sequence[Population]) -> dict[str, int]:
    """Return each population's first row."""
    first, low = {}, 0
    for p in populations:
        first[p.name], low = low, low + p.size
    return first


def _spread(value: float | tuple[float, float], n: int) -> np.ndarray:
    """Return n values: one constant, or evenly spaced from low to high."""
    low, high = value if isinstance(value, tuple) else (value, value)
    return np.linspace(low, high, n)


def _populations(
    config: ModelConfig, input_node: SpikeInput | CurrentInput, n_out: int, dt_ms: float
) -> tuple[Population, ...]:
    nodes: list[Population] = [input_node]
    common: dict[str, Any] = {"v_th": config.v_th, "n_ref": config.n_ref, "reset": config.reset}
    if config.n_lif:
        alpha = decay(_spread(config.tau_m_ms, config.n_lif), dt_ms)
        nodes.append(LIF(name="lif", size=config.n_lif, alpha=alpha, **common))
    if config.n_alif:
        alpha = decay(_spread(config.tau_m_ms, config.n_alif), dt_ms)
        rho = decay(_spread(config.tau_a_ms, config.n_alif), dt_ms)
        nodes.append(ALIF(name="alif", size=config.n_alif, alpha=alpha, rho=rho, beta=config.beta, **common))
    nodes.append(LI(name="out", size=n_out, kappa=decay(config.tau_out_ms, dt_ms)))
    return tuple(nodes)


def _matrix(
    name: str,
    n_pre: int,
    n_post: int,
    first_pre: int,
    first_post: int,
    gain: float,
    streams: Streams,
    delays: tuple[int, int],
) -> Block:
    """Draw a full matrix of weights and delays; equal bounds of the delay draw nothing."""
    weight = streams(f"init/{name}").standard_normal((n_pre, n_post)) * (gain / np.sqrt(n_pre))
    delay: np.ndarray = np.full((n_pre, n_post), delays[0], dtype=np.int64)
    if delays[1] > delays[0]:
        delay = streams(f"init/delay_{name}").integers(delays[0], delays[1], size=(n_pre, n_post), endpoint=True)
    pre, post = np.meshgrid(first_pre + np.arange(n_pre), first_post + np.arange(n_post), indexing="ij")
    return Block(name, weight, pre, post, delay)


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
