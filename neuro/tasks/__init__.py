"""Sequence tasks in plain numpy: what drives the network, when it has to decide, and what is right.

`make(name)` gives a `Task`; its batches carry inputs (batch, steps, n_in), decision windows and targets, and `score` counts right
decisions of a readout. A regression's batches carry the wanted signal, and `nmse` compares a readout with it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from neuro.errors import RecipeError, nearest
from neuro.tasks import parameters as _parameters
from neuro.tasks.batch import Batch, InputKind, Task, decision_logits, is_regression, nmse, score, squares
from neuro.tasks.delayed_match import DelayedMatch, DelayedMatchParameters
from neuro.tasks.digits import Digits, DigitsParameters
from neuro.tasks.evidence_accumulation import EvidenceAccumulation, EvidenceAccumulationParameters
from neuro.tasks.parameters import Problem
from neuro.tasks.pattern_generation import PatternGeneration, PatternGenerationParameters
from neuro.tasks.smnist import SequentialMnist, SequentialMnistParameters
from neuro.tasks.store_recall import StoreRecall, StoreRecallParameters

__all__ = [
    "NAMES",
    "REGRESSIONS",
    "Batch",
    "DelayedMatch",
    "DelayedMatchParameters",
    "Digits",
    "DigitsParameters",
    "EvidenceAccumulation",
    "EvidenceAccumulationParameters",
    "InputKind",
    "PatternGeneration",
    "PatternGenerationParameters",
    "SequentialMnist",
    "SequentialMnistParameters",
    "StoreRecall",
    "StoreRecallParameters",
    "Task",
    "check",
    "decision_logits",
    "is_regression",
    "make",
    "nmse",
    "score",
    "squares",
]

_PARAMETERS: dict[str, type] = {
    "delayed_match": DelayedMatchParameters,
    "digits": DigitsParameters,
    "evidence_accumulation": EvidenceAccumulationParameters,
    "pattern_generation": PatternGenerationParameters,
    "smnist": SequentialMnistParameters,
    "store_recall": StoreRecallParameters,
}
_GENERATED: dict[str, Callable[..., Task]] = {
    "delayed_match": DelayedMatch,
    "evidence_accumulation": EvidenceAccumulation,
    "pattern_generation": PatternGeneration,
    "store_recall": StoreRecall,
}
NAMES: tuple[str, ...] = tuple(_PARAMETERS)
REGRESSIONS: tuple[str, ...] = ("pattern_generation",)
"""Tasks that want a signal and not decisions (`is_regression`)."""


def make(name: str, data_dir: str | Path | None = None, seed: int = 0, **params: object) -> Task:
    """Build a task and read its data.

    Parameters
    ----------
    name : str
        One of NAMES.
    data_dir : path, optional
        Folder with the data files (`smnist`); default: the environment variable NEURO_DATA.
    seed : int
        Seed of what a task generates and keeps: the validation and test samples of `store_recall`, `evidence_accumulation` and
        `delayed_match`, the sample of `pattern_generation`. Splits of stored data and the permutation of `smnist` do not depend on it.
    params
        The fields of the task's parameters (`DigitsParameters`, `SequentialMnistParameters`, `StoreRecallParameters`, ...).

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
    return _GENERATED[name](parameters=built, seed=seed)


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
