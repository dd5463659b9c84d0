"""Read what commands share: values on the command line, backend options, the task that belongs to a graph."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING, Any

from neuro import tasks
from neuro.errors import DataError, NeuroError, RecipeError, nearest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

if TYPE_CHECKING:
    from typer import Context

    from neuro.graph import Graph
    from neuro.tasks import Task


def value(text: str) -> Any:
    """Read a value as TOML would (3, 0.1, true, [1, 2], "text"); anything else is text as it stands."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def pairs(texts: Iterable[str], option: str, example: str) -> dict[str, str]:
    """Split KEY=VALUE. Raises RecipeError for a text without a key and "=", or a key that is given twice."""
    found: dict[str, str] = {}
    for text in texts:
        key, equals, raw = text.partition("=")
        key = key.strip()
        if not equals or not key:
            raise RecipeError(f"{option}: no setting (got '{text}'; need KEY=VALUE). For example: {option} {example}")
        if key in found:
            raise RecipeError(f"{option}: given twice (got '{key}' twice; need it once). Leave one out.")
        found[key] = raw.strip()
    return found


def backend_options(texts: Iterable[str], names: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Sort BACKEND.KEY=VALUE by backend. Raises RecipeError for a backend that is not among `names`."""
    chosen = list(names)
    found: dict[str, dict[str, Any]] = {name: {} for name in chosen}
    for key, raw in pairs(texts, "--backend-option", "brian2.target=cython").items():
        name, dot, option = key.partition(".")
        if not dot and len(chosen) == 1:
            name, option = chosen[0], name
        if name not in found or not option:
            raise RecipeError(
                f"--backend-option: no such backend here (got '{key}'; need BACKEND.KEY with one of {', '.join(chosen)}). "
                f"{nearest(name, chosen)}".rstrip()
            )
        found[name][option] = value(raw)
    return found


def with_target(texts: Iterable[str], target: str | None, names: Iterable[str]) -> list[str]:
    """Add what --target says to the backend options. Raises RecipeError if lava is not among the backends."""
    chosen = list(names)
    if target is None:
        return list(texts)
    if "lava" not in chosen:
        raise RecipeError(
            f"--target: says where backend lava runs (got backend {', '.join(chosen)}; need lava). Leave it out, or choose lava."
        )
    return [*texts, f"lava.target={target}"]


def task_of(
    graph: Graph, name: str | None, settings: Mapping[str, Any] | None = None, data_dir: Path | None = None
) -> Task:
    """Build the task that a graph was trained for, or another one.

    Parameters: name, of the task, None for the one in the graph's notes; settings, parameters that replace those in the notes,
    or the defaults if it is another task.
    Raises: DataError if neither the call nor the graph names a task; RecipeError for an unknown task or parameter.
    """
    return noted_task(graph.notes, f"graph '{graph.name or graph.sha256[:12]}'", name, settings, data_dir)


def noted_task(
    notes: Mapping[str, str],
    where: str,
    name: str | None,
    settings: Mapping[str, Any] | None = None,
    data_dir: Path | None = None,
) -> Task:
    """Build the task that the notes of a model name, as `task_of` does. Parameters: where, what messages call the model."""
    found = noted(notes, where)
    if name is None and not found:
        raise DataError(
            f"{where}: its notes name no task (got notes {sorted(notes)}; need 'task'). "
            f"Name it: --task {'|'.join(tasks.NAMES)}"
        )
    params: dict[str, Any] = {}
    seed = 0
    if found and name in (None, found["name"]):
        params, seed = dict(found["params"]), found["seed"]
    params.update(settings or {})
    return tasks.make(name or found["name"], data_dir, seed, **params)


def task_note(task_name: str, params: Mapping[str, Any], seed: int = 0) -> str:
    """Return the note that `task_of` reads, JSON."""
    return json.dumps({"name": task_name, "params": dict(params), "seed": seed}, sort_keys=True)


def noted(notes: Mapping[str, str], where: str) -> dict[str, Any]:
    """Return what a model's notes say of its task, {} if nothing. Raises DataError if it cannot be read."""
    text = notes.get("task")
    if text is None:
        return {}
    try:
        found = json.loads(text)
        return {"name": str(found["name"]), "params": dict(found.get("params", {})), "seed": int(found.get("seed", 0))}
    except (ValueError, TypeError, KeyError, AttributeError) as err:
        raise DataError(
            f"{where}: note 'task' cannot be read (got {text[:60]!r}; need JSON with name, params, seed). "
            "Name the task with --task."
        ) from err


def command_line(context: Context) -> str:
    """Return what was typed, as far as the options tell: the command and every argument and option that was given."""
    words = ["neuro", context.info_name or ""]
    for p in context.command.params:
        source = context.get_parameter_source(p.name) if p.name else None
        if p.name is None or source is None or source.name != "COMMANDLINE":
            continue
        given = context.params[p.name]
        each = [str(x) for x in (given if isinstance(given, (list, tuple)) else [given])]
        if p.param_type_name == "argument":
            words[2:2] = each
        elif isinstance(given, bool):
            words.append(p.opts[0] if given else (p.secondary_opts or p.opts)[0])
        else:
            words += [w for x in each for w in (p.opts[0], x)]
    return shlex.join(words)


def need_matplotlib() -> None:
    """Raise NeuroError, before anything runs, if rasters cannot be drawn."""
    from importlib.util import find_spec

    if find_spec("matplotlib") is None:
        raise NeuroError(
            "rasters: matplotlib is not installed (got none; need matplotlib >= 3.8). "
            "Install it with: pip install 'neuro[report]', or leave the pictures out: --no-rasters"
        )


def need_folder(folder: Path) -> None:
    """Raise, before anything runs, if no file can be written into a folder; one that is not there yet is not made.

    Raises: DataError if it is a file; OSError, which names it, if it cannot be made or written into.
    """
    missing = [p for p in (folder, *folder.parents) if not p.exists()]
    if not missing and not folder.is_dir():
        raise DataError(f"{folder}: no folder (got a file; need a folder, or a new name). Choose another place.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile(dir=folder):
            pass
    except OSError as err:
        raise OSError(err.errno, err.strerror, str(folder)) from err
    finally:
        for made in missing:
            with suppress(OSError):
                made.rmdir()


def need_file(path: Path) -> None:
    """Raise, before anything runs, if a file cannot be written, as `need_folder` does."""
    if path.is_dir():
        raise DataError(f"{path}: no file (got a folder; need the name of a file). Name one in it.")
    need_folder(path.parent)


def need_page(path: Path) -> None:
    """Raise, before anything is read, if a page cannot be written there, or a file that is no page would be lost."""
    need_file(path)
    if path.exists():
        with path.open("rb") as file:
            first = file.read(64).lstrip().lower()
            if first and not first.startswith((b"<!doctype html", b"<html")):
                raise DataError(
                    f"{path}: no page, and would be lost (got another kind of file; need a new name, or an older page). Choose another --output."
                )


def how_many(samples: int | None, task: Task, split: str) -> int:
    """Return how many samples of a split to take: those asked for, else 50, or all where there are fewer."""
    if samples is not None:
        return samples
    return min(50, task.sizes.get(split) or 50)
