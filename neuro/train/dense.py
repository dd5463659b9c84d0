"""Keep a trained LSTM or vanilla RNN as a model of its own: one small file, loaded without its run, run with its hidden states."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import load, save
from torch import nn

from neuro.errors import DataError, NeuroError, UnsupportedError
from neuro.train.build import TaskShape, build_model
from neuro.train.config import ModelConfig
from neuro.train.export import load_run, read_run

FORM = "neuro-dense"
SCHEMA_VERSION = 1
KINDS = ("lstm", "rnn")
_GATES = {"lstm": 4, "rnn": 1}
_KEYS = ("format", "schema_version", "name", "model", "task", "dtype", "notes")
_DTYPES = {"float32": "F32", "float64": "F64"}


class DenseRun(NamedTuple):
    """What a dense model says about a batch: readouts y (batch, steps, n_out), hidden states h (batch, steps, n_units)."""

    y: NDArray[np.floating[Any]]
    hidden: NDArray[np.floating[Any]]


@dataclass(frozen=True, kw_only=True, eq=False)
class DenseModel:
    """A trained LSTM or vanilla RNN, ready to run.

    config, shape, dtype: what it was built from. module: its weights. notes: of its run, the task and the recipe among them.
    """

    name: str
    config: ModelConfig
    shape: TaskShape
    dtype: str
    module: nn.Module
    notes: Mapping[str, str] = field(default_factory=dict)

    @property
    def kind(self) -> Literal["lstm", "rnn"]:
        """Return "lstm" or "rnn"."""
        return cast(Literal["lstm", "rnn"], self.config.kind)

    @property
    def n_in(self) -> int:
        """Return how many inputs it takes."""
        return self.shape.n_in

    @property
    def n_out(self) -> int:
        """Return how many outputs it has."""
        return self.shape.n_out

    @property
    def dt_ms(self) -> float:
        """Return the length of a step, ms."""
        return self.shape.dt_ms

    @property
    def versions(self) -> dict[str, str]:
        """Return what runs it, and which."""
        return {"torch": torch.__version__, "numpy": np.__version__}

    @property
    def weights(self) -> dict[str, NDArray[np.floating[Any]]]:
        """Return its arrays as `neuro.metrics.dense_workload` takes them; torch's two biases of the layer are one, their sum."""
        w = {name: t.detach().numpy() for name, t in self.module.state_dict().items()}
        return {
            "w_in": w["layer.weight_ih_l0"],
            "w_rec": w["layer.weight_hh_l0"],
            "bias": w["layer.bias_ih_l0"] + w["layer.bias_hh_l0"],
            "w_out": w["readout.weight"],
            "bias_out": w["readout.bias"],
        }

    @property
    def sha256(self) -> str:
        """Return the hash of kind and weights: of each array in the order of names its name, type, shape and little-endian bytes."""
        digest = hashlib.sha256(self.kind.encode())
        for name, tensor in sorted(self.module.state_dict().items()):
            values = tensor.detach().contiguous().numpy()
            digest.update(f"\0{name} {values.dtype.name} {values.shape}\0".encode())
            digest.update(values.astype(values.dtype.newbyteorder("<"), copy=False).tobytes())
        return digest.hexdigest()

    @torch.no_grad()
    def run(self, inputs: NDArray[Any]) -> DenseRun:
        """Run a batch (batch, steps, n_in) from rest."""
        module: Any = self.module
        hidden, _ = module.layer(torch.as_tensor(inputs).to(module.readout.weight.dtype))
        return DenseRun(module.readout(hidden).numpy(), hidden.numpy())


def dense_of_run(run_dir: str | Path, weights: str = "best") -> DenseModel:
    """Return the dense model that a run trained.

    Parameters: weights, "best" or "last", as `load_run`.
    Raises: DataError if the folder holds no run or is damaged; UnsupportedError if the run's model spikes.
    """
    settings = read_run(run_dir)
    config = ModelConfig(**settings["model"])
    if config.kind not in KINDS:
        raise UnsupportedError(
            f"run '{run_dir}': no dense model (got kind '{config.kind}'; need {' or '.join(KINDS)}). A spiking model becomes a graph: neuro "
            f"export {run_dir} -o graph.h5"
        )
    notes = {key: text for key, text in settings.get("notes", {}).items() if isinstance(text, str)}
    return DenseModel(
        name=notes.get("name", Path(run_dir).resolve().name),
        config=config,
        shape=TaskShape(**settings["task"]),
        dtype=settings["train"]["dtype"],
        module=load_run(run_dir, weights),
        notes=notes,
    )


def save_dense(model: DenseModel, path: str | Path) -> None:
    """Write a dense model: safetensors, with what it was built from and its notes as JSON in the metadata. Whole or not at all."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    about = {
        "format": FORM, "schema_version": str(SCHEMA_VERSION), "name": model.name, "model": json.dumps(asdict(model.config)),
        "task": json.dumps(model.shape.as_dict()), "dtype": model.dtype, "notes": json.dumps(dict(model.notes), sort_keys=True),
    }  # fmt: skip
    tensors = {name: t.detach().contiguous() for name, t in model.module.state_dict().items()}
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        part.write_bytes(save(tensors, about))
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def load_dense(path: str | Path) -> DenseModel:
    """Read a dense model that `save_dense` wrote. Nothing of the file is executed, and sizes are checked before memory is taken.

    Raises: DataError if there is no such file, or it is damaged, of another kind, or its arrays are not those of its settings.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"{path}: no such file (got nothing to read; need a {FORM} file). Check the path.")
    try:
        with safe_open(path, "pt") as file:
            about = dict(file.metadata() or {})
            parts = {name: file.get_slice(name) for name in list(file.keys())}
            found = {name: (part.get_dtype(), tuple(part.get_shape())) for name, part in parts.items()}
        config, shape, dtype, notes = _about(path, about)
        _check_arrays(path, found, config, shape, dtype)
        module = build_model(config, shape, 0, dtype)
        module.load_state_dict(load(path.read_bytes()))
    except NeuroError:
        raise
    except (OSError, SafetensorError, ValueError, TypeError, KeyError, RuntimeError) as err:
        raise DataError(
            f"{path}: file cannot be read (got {type(err).__name__}: {err}; need a whole {FORM} file). Write it again: neuro export RUN -o {path}"
        ) from err
    return DenseModel(name=about["name"], config=config, shape=shape, dtype=dtype, module=module, notes=notes)


def _about(path: Path, about: Mapping[str, str]) -> tuple[ModelConfig, TaskShape, str, dict[str, str]]:
    """Read what a model was built from out of a file's metadata."""
    if about.get("format") != FORM:
        got = repr(about.get("format", "none"))
        raise DataError(
            f"{path}: another kind of file (got {got}; need '{FORM}'). Write one: neuro export RUN -o model.safetensors"
        )
    if about.get("schema_version") != str(SCHEMA_VERSION):
        raise DataError(
            f"{path}: schema version not supported (got {about.get('schema_version')}; need {SCHEMA_VERSION}). Install the version of neuro that "
            "wrote it."
        )
    if set(about) != set(_KEYS):
        raise DataError(
            f"{path}: metadata differ from the schema (got {sorted(about)}; need {sorted(_KEYS)}). Write it again."
        )
    config, shape = ModelConfig(**json.loads(about["model"])), TaskShape(**json.loads(about["task"]))
    if config.kind not in KINDS or about["dtype"] not in _DTYPES:
        raise DataError(
            f"{path}: no dense model (got kind '{config.kind}', dtype '{about['dtype']}'; need {' or '.join(KINDS)}, "
            f"{' or '.join(_DTYPES)}). Write it again."
        )
    return config, shape, about["dtype"], {str(key): str(text) for key, text in json.loads(about["notes"]).items()}


def _check_arrays(
    path: Path, found: Mapping[str, tuple[str, tuple[int, ...]]], config: ModelConfig, shape: TaskShape, dtype: str
) -> None:
    """Hold the arrays that a file says it has against its settings, before a model of these sizes is made."""
    rows, n = _GATES[config.kind] * config.n_units, config.n_units
    shapes: dict[str, tuple[int, ...]] = {
        "layer.weight_ih_l0": (rows, shape.n_in), "layer.weight_hh_l0": (rows, n), "layer.bias_ih_l0": (rows,), "layer.bias_hh_l0": (rows,),
        "readout.weight": (shape.n_out, n), "readout.bias": (shape.n_out,),
    }  # fmt: skip
    wanted = {name: (_DTYPES[dtype], size) for name, size in shapes.items()}
    failures = [
        f"{path}: array '{name}' does not fit (got {found.get(name, 'none')}; need {wanted.get(name, 'none')}). Write the file again."
        for name in sorted({*found, *wanted})
        if found.get(name) != wanted.get(name)
    ]
    if failures:
        raise DataError("\n".join(failures))
