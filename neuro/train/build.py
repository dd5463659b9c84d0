"""Make the model, the optimiser and DEEP R that a recipe asks for."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import torch
from torch import nn

from neuro.errors import RecipeError
from neuro.graph import CurrentInput, SpikeInput
from neuro.seeds import stream
from neuro.tasks import Task
from neuro.train.config import DeepRConfig, ModelConfig, TrainConfig
from neuro.train.deep_r import DeepR, Matrix, dale_signs
from neuro.train.lsnn import LSNN
from neuro.train.lstm import LSTMClassifier, RNNClassifier

DTYPES = {"float32": torch.float32, "float64": torch.float64}


@dataclass(frozen=True, kw_only=True)
class TaskShape:
    """What a model has to know of its task."""

    name: str
    n_in: int
    n_out: int
    dt_ms: float
    input_kind: str
    u_max: float = 1.0
    u_step: float = 1.0

    @classmethod
    def of(cls, task: Task) -> TaskShape:
        """Read the shape of a task."""
        return cls(
            name=task.name,
            n_in=task.n_in,
            n_out=task.n_out,
            dt_ms=task.dt_ms,
            input_kind=task.input_kind,
            u_max=task.u_max,
            u_step=task.u_step,
        )

    def as_dict(self) -> dict[str, Any]:
        """Return the fields, for JSON."""
        return asdict(self)


def build_model(config: ModelConfig, shape: TaskShape, seed: int, dtype: str = "float32") -> nn.Module:
    """Build the model that a recipe describes, drawn from the streams "init/..." of the run's seed."""
    streams, kind = partial(stream, seed), DTYPES[dtype]
    if config.kind == "lstm":
        return LSTMClassifier(shape.n_in, config.n_units, shape.n_out, streams, kind, config.chrono_steps)
    if config.kind == "rnn":
        return RNNClassifier(shape.n_in, config.n_units, shape.n_out, streams, kind)
    node: SpikeInput | CurrentInput = SpikeInput(name="in", size=shape.n_in)
    if shape.input_kind == "current":
        node = CurrentInput(name="in", size=shape.n_in, u_max=shape.u_max, u_step=shape.u_step)
    return LSNN.from_config(config, shape.n_in, shape.n_out, streams, shape.dt_ms, node, kind)


def build_optimizer(config: TrainConfig, model: nn.Module) -> torch.optim.Optimizer:
    """Build Adam or plain SGD over all parameters."""
    if config.optimizer == "sgd":
        return torch.optim.SGD(model.parameters(), lr=config.lr)
    return torch.optim.Adam(model.parameters(), lr=config.lr)


def build_deep_r(config: DeepRConfig, model: nn.Module, optimizer: torch.optim.Optimizer, seed: int) -> DeepR | None:
    """Wrap the optimiser in DEEP R over input, recurrent and readout weights, or return None in mode "off".

    Under Dale's law a neuron's recurrent and readout weights share its sign; inputs have a sign for each connection.
    Raises RecipeError for a model that has no such weights.
    """
    if config.mode == "off":
        return None
    if not isinstance(model, LSNN):
        raise RecipeError(
            f"deep_r 'mode': needs a spiking network (got '{config.mode}' with {type(model).__name__}; need 'off' for dense "
            'baselines). Set mode = "off", or kind = "lsnn".'
        )
    streams = partial(stream, seed)
    sign = None if config.dale is None else dale_signs(model.n_neurons, config.dale, streams("init/dale"))
    matrices = [Matrix(b.name, model.get_parameter(b.name), None if b.name == "w_in" else sign) for b in model.blocks]
    model.sparse = True
    return DeepR(optimizer, matrices, config, streams)
