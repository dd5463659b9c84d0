"""Hold what a learning run goes on from, and bring it to disk and back: graphs and arrays in HDF5, the rest in JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from neuro import _hdf5
from neuro._runs import CHECKPOINT, FORMAT, LOG, RUN, read_json, read_log, write_json, write_text
from neuro.errors import DataError
from neuro.graph import Graph, load, save
from neuro.learning.config import FREE_TO_CHANGE
from neuro.learning.evaluation import Score
from neuro.learning.local import FloatArray
from neuro.learning.optimizer import Moments

START = "start.h5"
_FORM, _VERSION = "neuro-learning-state", 1


@dataclass(kw_only=True)
class Progressed:
    """What changes from one iteration to the next.

    graph: with the present weights and the rules as given. feedback: B by "P/Y", None before the first iteration. moments: of the
    optimiser. before, best: scores, None until validated; best_graph. sums: of the training batches since the last validation.
    n_updates: by site, changes of numbers so far. n_moved: by projection, how often a synapse has been rewired.
    """

    graph: Graph
    iteration: int = 0
    feedback: Mapping[str, FloatArray] | None = None
    moments: Moments = field(default_factory=Moments)
    before: Score | None = None
    best: Score | None = None
    best_graph: Graph | None = None
    best_iteration: int = 0
    since_best: int = 0
    curve: list[dict[str, Any]] = field(default_factory=list)
    sums: dict[str, float] = field(default_factory=dict)
    n_updates: dict[str, int] = field(default_factory=dict)
    n_moved: dict[str, int] = field(default_factory=dict)


_OURS = re.compile(r"(graph|best|state)-\d{8}\.h5")
"""Names of the files of a checkpoint: others in the folder are somebody's."""


def write(folder: Path, state: Progressed) -> None:
    """Make a checkpoint the current one.

    Graphs and arrays are written under their own names first; renaming checkpoint.json, which names them, commits; those of older
    checkpoints go last.
    """
    tag = f"{state.iteration:08d}"
    files = {"graph": f"graph-{tag}.h5", "best": f"best-{tag}.h5", "arrays": f"state-{tag}.h5"}
    save(state.graph, folder / files["graph"])
    save(state.best_graph or state.graph, folder / files["best"])
    named = _write_arrays(folder / files["arrays"], state)
    record = {
        "format": FORMAT,
        "iteration": state.iteration,
        "files": files,
        "arrays": named,
        "optimizer_steps": state.moments.steps,
        "before": None if state.before is None else asdict(state.before),
        "best": None if state.best is None else asdict(state.best),
        "best_iteration": state.best_iteration,
        "since_best": state.since_best,
        "curve": state.curve,
        "sums": state.sums,
        "n_updates": state.n_updates,
        "n_moved": state.n_moved,
    }
    write_json(folder / CHECKPOINT, record)
    for old in folder.iterdir():
        if _OURS.fullmatch(old.name) and old.name not in files.values():
            old.unlink(missing_ok=True)


def read(folder: Path) -> Progressed | None:
    """Return to a folder's checkpoint; None if it has none. Raises DataError or GraphError if it is damaged."""
    if not (folder / CHECKPOINT).exists():
        return None
    held = read_json(folder / CHECKPOINT)
    try:
        return _progressed(folder, held)
    except (KeyError, TypeError, AttributeError, ValueError) as err:
        raise DataError(
            f"run '{folder}': {CHECKPOINT} is damaged (got {type(err).__name__}: {err}; need what 'neuro learn' wrote). Learn again."
        ) from err


def _progressed(folder: Path, held: dict[str, Any]) -> Progressed:
    files = {key: folder / Path(str(name)).name for key, name in held["files"].items()}
    arrays = _read_arrays(files["arrays"], held["arrays"])
    best = None if held["best"] is None else Score.from_dict(held["best"])
    return Progressed(
        graph=load(files["graph"]),
        iteration=int(held["iteration"]),
        feedback=_part(arrays, "feedback/"),
        moments=Moments(mean=_part(arrays, "mean/"), square=_part(arrays, "square/"), steps=held["optimizer_steps"]),
        before=None if held["before"] is None else Score.from_dict(held["before"]),
        best=best,
        best_graph=None if best is None else load(files["best"]),
        best_iteration=held["best_iteration"],
        since_best=held["since_best"],
        curve=held["curve"],
        sums=held["sums"],
        n_updates=held["n_updates"],
        n_moved=held.get("n_moved", {}),  # a checkpoint from before there was rewiring has none
    )


def found(folder: Path, settings: Mapping[str, Any], graph: Graph, notes: Mapping[str, Any], resume: bool) -> None:
    """Make a run's folder, or hold it to being the run that goes on.

    settings: by table, JSON values. Raises: DataError if the folder holds a run that is not to be resumed, or another one.
    """
    bare = replace(graph, projections=tuple(replace(c, plasticity=None) for c in graph.projections))
    wanted = json.loads(json.dumps({**settings, "graph": {"sha256": bare.sha256}}))
    if (folder / RUN).exists():
        if not resume:
            raise DataError(f"run '{folder}': there is a run already. Resume it, or choose another folder.")
        _check_same(folder, wanted, read_json(folder / RUN))
    else:
        strange = [name for name in (CHECKPOINT, "graph.h5", "note.txt") if (folder / name).exists()]
        if strange:
            raise DataError(
                f"run '{folder}': no run, but files that one would replace (got {', '.join(strange)} without {RUN}; need a folder without "
                "them). Choose another folder."
            )
    folder.mkdir(parents=True, exist_ok=True)
    save(graph, folder / START)
    write_json(folder / RUN, {"format": FORMAT, **wanted, "notes": dict(notes)})


def rules_of(graph: Graph) -> dict[str, Any]:
    """Return the parameters of the graph's rules for run.json: one value where all projections agree, else by projection."""
    table: dict[str, dict[str, Any]] = {}
    for c in graph.projections:
        if c.plasticity is not None:
            held = {"name": c.plasticity.rule, "signal": c.plasticity.signal, **c.plasticity.parameters}
            for key, value in held.items():
                table.setdefault(key, {})[c.name] = value
    where = sorted(c.name for c in graph.projections if c.plasticity is not None)
    one = {key: next(iter(by.values())) for key, by in table.items()}
    same = {key: len(by) == len(where) and all(value == one[key] for value in by.values()) for key, by in table.items()}
    return {"projections": where, **{key: one[key] if same[key] else by for key, by in table.items()}}


def cut_log(folder: Path, iteration: int) -> Path:
    """Leave in the log what a checkpoint holds, and return where to go on."""
    lines = read_log(folder, iteration)
    write_text(folder / LOG, "".join(f"{line}\n" for line in lines))
    return folder / LOG


def _check_same(folder: Path, wanted: Mapping[str, Any], held: Mapping[str, Any]) -> None:
    found = []
    for table, values in wanted.items():
        before = held.get(table)
        pairs = (
            [
                (f"{table} '{key}'", value, (before or {}).get(key))
                for key, value in values.items()
                if (table, key) not in _FREE
            ]
            if isinstance(values, dict)
            else [(table, values, before)]
        )
        found += [
            f"run '{folder}': {where} differs (got {got!r}; the run has {has!r}). Resume with the same settings, or choose another folder."
            for where, got, has in pairs
            if got != has
        ]
    if found:
        raise DataError("\n".join(found))


_FREE = {("learn", key) for key in FREE_TO_CHANGE}


def _write_arrays(path: Path, state: Progressed) -> list[dict[str, Any]]:
    """Write moments and feedback, numbered; return their names and shapes in that order."""
    arrays = {f"mean/{k}": a for k, a in state.moments.mean.items()}
    arrays |= {f"square/{k}": a for k, a in state.moments.square.items()}
    arrays |= {f"feedback/{k}": a for k, a in (state.feedback or {}).items()}
    with _hdf5.writing(path) as file:
        file.attrs["format"], file.attrs["schema_version"] = _FORM, _VERSION
        for number, values in enumerate(arrays.values()):
            _hdf5.put(file, str(number), np.ascontiguousarray(values).ravel())
    return [{"name": name, "shape": list(np.shape(values))} for name, values in arrays.items()]


def _read_arrays(path: Path, named: list[dict[str, Any]]) -> dict[str, FloatArray]:
    with _hdf5.reading(path, form=_FORM, version=_VERSION, error=DataError) as file:
        return {
            item["name"]: _hdf5.array(file, str(number), np.float64, path, DataError).reshape(item["shape"])
            for number, item in enumerate(named)
        }


def _part(arrays: Mapping[str, FloatArray], prefix: str) -> dict[str, FloatArray]:
    return {key[len(prefix) :]: values for key, values in arrays.items() if key.startswith(prefix)}
