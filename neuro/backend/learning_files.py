"""Write and read teachers and what was learned, so that a worker can learn: HDF5, atomically. The graph goes to a file of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from neuro import _hdf5
from neuro.errors import DataError
from neuro.graph import Graph

from .learning import Learned, Teacher

TEACHER_FORM, LEARNED_FORM, SCHEMA_VERSION = "neuro-teacher", "neuro-learned", 1
_TEACHER = {"target": (np.float64, 3), "mask": (np.float64, 2), "reward": (np.float64, 2), "chance": (np.float64, 2)}
_BY_NAME = {"gradient": (np.float64, 1), "bias_gradient": (np.float64, 1), "y": (np.float64, 3), "n_spikes": (np.int64, 2),
            "trajectory": (np.float64, 3), "n_updates": (np.int64, 1)}  # fmt: skip


def save_teacher(teacher: Teacher, path: str | Path) -> None:
    """Write a teacher."""
    with _hdf5.writing(path) as file:
        file.attrs["format"], file.attrs["schema_version"] = TEACHER_FORM, SCHEMA_VERSION
        file.attrs["loss"], file.attrs["right"], file.attrs["wrong"] = (
            teacher.loss,
            float(teacher.right),
            float(teacher.wrong),
        )
        for name in _TEACHER:
            _hdf5.put(file, name, getattr(teacher, name))
        _hdf5.put(file, "choose", teacher.choose.astype(np.uint8))


def load_teacher(path: str | Path) -> Teacher:
    """Read a teacher. Raises DataError if the file is missing, damaged or of another kind."""
    path = Path(path)
    with _hdf5.reading(path, form=TEACHER_FORM, version=SCHEMA_VERSION, error=DataError) as file:
        held: dict[str, Any] = {
            n: _hdf5.array(file, n, dtype, path, DataError, ndim) for n, (dtype, ndim) in _TEACHER.items()
        }
        held["choose"] = _hdf5.array(file, "choose", np.uint8, path, DataError, ndim=2) != 0
        for name, type_ in (("loss", str), ("right", float), ("wrong", float)):
            held[name] = _hdf5.attribute(file, name, type_, path, DataError)
        return Teacher(**held)


def save_learned(learned: Learned, path: str | Path) -> None:
    """Write what was learned, but not the graph."""
    with _hdf5.writing(path) as file:
        file.attrs["format"], file.attrs["schema_version"] = LEARNED_FORM, SCHEMA_VERSION
        _hdf5.put(file, "action", learned.action)
        _hdf5.put(file, "reward", learned.reward)
        for part, (dtype, _) in _BY_NAME.items():
            group = file.create_group(part)
            for name, values in getattr(learned, part).items():
                _hdf5.put(group, name, np.atleast_1d(np.asarray(values, dtype)))


def load_learned(path: str | Path, graph: Graph) -> Learned:
    """Read what was learned, and put the graph to it. Raises DataError if the file is missing, damaged or of another kind."""
    path = Path(path)
    with _hdf5.reading(path, form=LEARNED_FORM, version=SCHEMA_VERSION, error=DataError) as file:
        found: dict[str, Any] = {}
        for part, (dtype, ndim) in _BY_NAME.items():
            group = _hdf5.group(file, part, path, DataError)
            found[part] = {name: _hdf5.array(group, name, dtype, path, DataError, ndim) for name in group}
        found["n_updates"] = {name: int(count[0]) for name, count in found["n_updates"].items()}
        action = _hdf5.array(file, "action", np.int64, path, DataError, ndim=2)
        return Learned(
            graph=graph, action=action, reward=_hdf5.array(file, "reward", np.float64, path, DataError, ndim=2), **found
        )
