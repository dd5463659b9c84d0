"""Keep a run's state on disk so that no moment of a crash loses it: tensors in safetensors, the rest in JSON, no pickle."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from neuro._runs import CHECKPOINT, FORMAT, LOG, RUN, read_json, read_log, write_json, write_text
from neuro.errors import DataError

__all__ = [
    "CHECKPOINT", "FORMAT", "LOG", "RUN", "load", "optimizer_state", "read_json", "read_log", "restore_optimizer", "save",
    "write_json", "write_text",
]  # fmt: skip


def save(run_dir: Path, iteration: int, tensors: Mapping[str, Tensor], record: Mapping[str, Any]) -> None:
    """Make a checkpoint the current one.

    The tensors are written and synced under their own name first; renaming checkpoint.json, which names them, commits; tensors of
    older checkpoints go last.
    """
    name = f"checkpoint-{iteration:08d}.safetensors"
    part = run_dir / f"{name}.part"
    save_file({key: value.detach().clone().contiguous() for key, value in tensors.items()}, part)
    with part.open("rb") as file:
        os.fsync(file.fileno())
    os.replace(part, run_dir / name)
    write_json(run_dir / CHECKPOINT, {"format": FORMAT, "iteration": iteration, "tensors": name, **record})
    for old in run_dir.glob("checkpoint-*.safetensors*"):
        if old.name != name:
            old.unlink(missing_ok=True)


def load(run_dir: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Return (record, tensors) of the current checkpoint. Raises DataError if there is none or it is damaged."""
    record = read_json(run_dir / CHECKPOINT)
    path = run_dir / Path(str(record.get("tensors"))).name
    try:
        tensors = load_file(path)
    except (OSError, SafetensorError) as err:
        raise DataError(
            f"run '{run_dir}': {path.name} is missing or damaged (got {err}; need the tensors of iteration "
            f"{record.get('iteration')}). Train again."
        ) from err
    return record, tensors


def optimizer_state(optimizer: torch.optim.Optimizer) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return an optimiser's state as tensors by "<parameter number>/<name>", and its other values as JSON."""
    tensors: dict[str, Tensor] = {}
    values: dict[str, Any] = {}
    for number, state in optimizer.state_dict()["state"].items():
        for name, value in state.items():
            (tensors if isinstance(value, Tensor) else values)[f"{number}/{name}"] = value
    return tensors, values


def restore_optimizer(
    optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor], values: Mapping[str, Any]
) -> None:
    """Put a state of `optimizer_state` back; groups and their settings stay as they are."""
    state: dict[int, dict[str, Any]] = {}
    for key, value in {**tensors, **values}.items():
        number, name = key.split("/", 1)
        state.setdefault(int(number), {})[name] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
