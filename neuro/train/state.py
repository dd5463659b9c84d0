"""Hold what a run goes on from, bring it to disk and back, and refuse a folder that holds another run."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load, save
from torch import Tensor

from neuro.errors import DataError
from neuro.train import checkpoint
from neuro.train.evaluation import Score
from neuro.train.parallel import Group
from neuro.train.quantized import Template
from neuro.train.start import Prepared, Start, check_same, save_origin

FREE_TO_CHANGE = {("train", "iterations"), ("train", "checkpoint_every")}
"""Settings that a resumed run may have otherwise than the run it continues."""


@dataclass
class Progressed:
    """What changes from one step to the next, besides weights, optimiser and DEEP R."""

    iteration: int = 0
    best: Score | None = None
    best_iteration: int = 0
    best_weights: dict[str, Tensor] = field(default_factory=dict)
    since_best: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)


def tensors_of(made: Prepared, state: Progressed) -> dict[str, Tensor]:
    """Return every tensor that decides the next step or the result, by its name in a checkpoint."""
    tensors = {f"model/{k}": v for k, v in made.model.state_dict().items()}
    tensors |= {f"best/{k}": v for k, v in state.best_weights.items()}
    tensors |= {f"optimizer/{k}": v for k, v in checkpoint.optimizer_state(made.optimizer)[0].items()}
    if made.deep_r is not None:
        tensors |= {f"deep_r/{k}": v for k, v in made.deep_r.state()[0].items()}
    return tensors


def write(folder: Path, made: Prepared, state: Progressed, n_processes: int) -> None:
    """Write a checkpoint of everything that decides the next step."""
    record = {
        "optimizer": checkpoint.optimizer_state(made.optimizer)[1],
        "counters": {"batch": state.iteration, "deep_r": {} if made.deep_r is None else made.deep_r.state()[1]},
        "best": None if state.best is None else asdict(state.best),
        "best_iteration": state.best_iteration,
        "since_best": state.since_best,
        "history": state.history,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "processes": n_processes,
    }
    checkpoint.save(folder, state.iteration, tensors_of(made, state), record)


def read(folder: Path, group: Group) -> tuple[dict[str, Any], dict[str, Tensor]] | None:
    """Return record and tensors of a folder's checkpoint, None if it has none; the chief alone needs to see the folder."""
    where = f"run '{folder}'"
    there = group.chief and (folder / checkpoint.CHECKPOINT).exists()
    if not group.hand_out(where, b"1" if there else b""):
        return None
    record, tensors = group.together(where, lambda: checkpoint.load(folder) if group.chief else ({}, {}))
    if group.size == 1:
        return record, tensors
    record = json.loads(group.hand_out(where, json.dumps(record).encode()))
    return record, load(group.hand_out(where, save(tensors) if group.chief else b""))


def restore(made: Prepared, record: dict[str, Any], tensors: dict[str, Tensor]) -> Progressed:
    """Return to a checkpoint."""

    def part(prefix: str) -> dict[str, Tensor]:
        return {k[len(prefix) :]: v for k, v in tensors.items() if k.startswith(prefix)}

    made.model.load_state_dict(part("model/"))
    checkpoint.restore_optimizer(made.optimizer, part("optimizer/"), record["optimizer"])
    if made.deep_r is not None:
        made.deep_r.restore(part("deep_r/"), record["counters"]["deep_r"])
    return Progressed(
        iteration=record["iteration"],
        best=None if record["best"] is None else Score(**record["best"]),
        best_iteration=record["best_iteration"],
        best_weights=part("best/"),
        since_best=record["since_best"],
        history=record["history"],
    )


def warning(folder: Path, record: dict[str, Any], n_processes: int) -> str:
    """Say what may keep a resumed run from being bit for bit the uninterrupted one, "" if nothing does."""
    n_threads, version = torch.get_num_threads(), torch.__version__
    before = (record["threads"], record["torch"], record.get("processes", 1))
    if before == (n_threads, version, n_processes):
        return ""
    return (
        f"run '{folder}': resumed with torch {version} on {n_threads} threads, checkpoint by torch {before[1]} on {before[0]}; "
        f"{n_processes} processes, checkpoint by {before[2]}: sums may be formed in another order, so that losses and weights may "
        "differ in the last bits from those of an uninterrupted run"
    )


def check_folder(folder: Path, wanted: dict[str, Any], resume: bool) -> None:
    """Refuse a folder that holds another run, or a run that is not to be resumed."""
    path = folder / checkpoint.RUN
    if path.exists():
        if not resume:
            raise DataError(f"run '{folder}': there is a run already. Resume it, or choose another folder.")
        held = checkpoint.read_json(path)
        if not {"model", "train", "deep_r", "task", "seed"} <= set(held):
            raise DataError(f"run '{folder}': no training run (got one of another command). Choose another folder.")
        differences = [
            f"run '{folder}': {where} '{key}' differs (got {wanted[where][key]!r}; the run has {_held(held, where, key)!r}). Resume with the "
            "same settings, or choose another folder."
            for where in ("model", "train", "deep_r", "task")
            for key in wanted[where]
            if (where, key) not in FREE_TO_CHANGE and wanted[where][key] != _held(held, where, key)
        ]
        if wanted["seed"] != held["seed"]:
            differences.append(f"run '{folder}': seed differs (got {wanted['seed']}; the run has {held['seed']}).")
        if differences:
            raise DataError("\n".join(differences))
        check_same(folder, held, wanted["start"].get("path"), wanted["quantize"].get("profile"))


_SINCE = {("model", "chrono_steps"): 0}
"""Settings that older runs do not tell, and what they were trained with."""


def _held(held: dict[str, Any], where: str, key: str) -> Any:
    return held[where].get(key, _SINCE.get((where, key)))


def found(folder: Path, start: Start | None, template: Template | None, held: dict[str, Any]) -> None:
    """Make a run's folder, with what says whose it is: `held` becomes run.json."""
    folder.mkdir(parents=True, exist_ok=True)
    save_origin(folder, start, template)
    checkpoint.write_json(folder / checkpoint.RUN, held)
