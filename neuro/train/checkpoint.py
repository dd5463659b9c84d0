"""Keep a run's state on disk so that no moment of a crash loses it: tensors in safetensors, the rest in JSON, no pickle."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from neuro.errors import DataError

FORMAT = 1
RUN, CHECKPOINT, LOG = "run.json", "checkpoint.json", "log.jsonl"


def write_json(path: Path, value: Any) -> None:
    """Write JSON as `write_text` does."""
    write_text(path, json.dumps(value, indent=1) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write a file under a temporary name, then rename: a reader sees the old file or the new one, whole."""
    part = path.with_name(path.name + ".part")
    with part.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)
    _sync(path.parent)


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object. Raises DataError if it is missing, damaged or of another format."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as err:
        raise DataError(
            f"run '{path.parent}': no {path.name} (got nothing; need a folder that training wrote). Check the path."
        ) from err
    except (UnicodeDecodeError, json.JSONDecodeError) as err:
        raise DataError(f"run '{path.parent}': {path.name} is damaged (got {err}; need JSON). Train again.") from err
    if not isinstance(value, dict) or value.get("format") != FORMAT:
        got = value.get("format") if isinstance(value, dict) else type(value).__name__
        raise DataError(
            f"run '{path.parent}': {path.name} of an unknown format (got {got!r}; need {FORMAT}). Train again."
        )
    return value


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


def read_log(run_dir: Path, last: int) -> list[str]:
    """Return the whole lines of the log up to iteration `last`; a line torn by a crash is left out."""
    path = run_dir / LOG
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    kept = []
    for line in lines:
        try:
            if json.loads(line)["iteration"] <= last:
                kept.append(line)
        except (json.JSONDecodeError, KeyError, TypeError):
            continue
    return kept


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
