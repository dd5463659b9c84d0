"""Sequence tasks in plain numpy: what drives the network, when it has to decide, and what is right.

`make(name)` gives a `Task`; its batches carry inputs (batch, steps, n_in), decision windows and targets, and `score` counts right
decisions of a readout.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from neuro.errors import RecipeError, nearest
from neuro.tasks import parameters as _parameters
from neuro.tasks.batch import Batch, InputKind, Task, decision_logits, score
from neuro.tasks.digits import Digits, DigitsParameters
from neuro.tasks.parameters import Problem
from neuro.tasks.smnist import SequentialMnist, SequentialMnistParameters
from neuro.tasks.store_recall import StoreRecall, StoreRecallParameters

__all__ = [
    "NAMES",
    "Batch",
    "Digits",
    "DigitsParameters",
    "InputKind",
    "SequentialMnist",
    "SequentialMnistParameters",
    "StoreRecall",
    "StoreRecallParameters",
    "Task",
    "check",
    "decision_logits",
    "make",
    "score",
]

_PARAMETERS: dict[str, type] = {
    "digits": DigitsParameters,
    "smnist": SequentialMnistParameters,
    "store_recall": StoreRecallParameters,
}
NAMES: tuple[str, ...] = tuple(_PARAMETERS)


def make(name: str, data_dir: str | Path | None = None, seed: int = 0, **params: object) -> Task:
    """Build a task and read its data.

    Parameters
    ----------
    name : str
        One of NAMES.
    data_dir : path, optional
        Folder with the data files (`smnist`); default: the environment variable NEURO_DATA.
    seed : int
        Seed of what a task generates and keeps: the validation and test sequences of `store_recall`. Splits of stored data and
        the permutation of `smnist` do not depend on it.
    params
        The fields of the task's parameters (`DigitsParameters`, `SequentialMnistParameters`, `StoreRecallParameters`).

    Raises
    ------
    RecipeError
        Unknown name or parameter, wrong type or value: all of them at once, with the nearest known name.
    DataError
        The task's data are missing or damaged.
    """
    built, problems = check(name, params)
    if problems:
        where = f"task '{name}': " if name in _PARAMETERS else "task "
        raise RecipeError("\n".join(f"{where}{problem}" for problem in problems))
    if isinstance(built, DigitsParameters):
        return Digits.load(built)
    if isinstance(built, SequentialMnistParameters):
        return SequentialMnist.load(built, data_dir)
    assert isinstance(built, StoreRecallParameters)
    return StoreRecall(parameters=built, seed=seed)


def check(name: str, params: Mapping[str, object]) -> tuple[Any, list[Problem]]:
    """Check a task's name and parameters without reading its data.

    Returns
    -------
    parameters : dataclass or None
        The task's parameters with defaults filled in; None when there is a problem.
    problems : list of Problem
        Everything that is wrong.
    """
    if name not in _PARAMETERS:
        return None, [Problem("name", "unknown task", repr(name), f"one of {', '.join(NAMES)}", nearest(name, NAMES))]
    return _parameters.build(_PARAMETERS[name], params)
