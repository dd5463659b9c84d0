"""Read what recipes of every kind share: the file, the run's name and seed, the task; and write values as TOML."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from neuro import tasks
from neuro.errors import RecipeError, nearest
from neuro.tasks.parameters import Problem

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


@dataclass(frozen=True, kw_only=True)
class TaskConfig:
    """Which task, and its parameters with every default filled in."""

    name: str
    params: Mapping[str, Any] = field(default_factory=dict)


def read(path: str | Path) -> tuple[Path, str]:
    """Read the text of a recipe file, or of the recipe.toml of a folder, and say which file it is.

    Raises: RecipeError if it is missing, unreadable or no text.
    """
    path = Path(path)
    if path.is_dir():
        path = path / "recipe.toml"
    try:
        text = path.read_bytes().decode("utf-8")
    except FileNotFoundError as err:
        raise RecipeError(
            f"{path}: recipe not found (got no such file; need a TOML file). {_near(path)}".rstrip()
        ) from err
    except UnicodeDecodeError as err:
        raise RecipeError(
            f"{path}: not text (got byte 0x{err.object[err.start]:02x}; need UTF-8). Save it as UTF-8."
        ) from err
    except OSError as err:
        raise RecipeError(f"{path}: unreadable (got '{err.strerror}'; need a readable file). Check the path.") from err
    return path, text


def parse(text: str, where: str) -> dict[str, Any]:
    """Read TOML. Raises RecipeError if it is none."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as err:
        raise RecipeError(f"{where}: not TOML (got '{err}'; need valid TOML). Mend that line.") from err


def table_problems(given: Mapping[str, Any], keys: Sequence[str], tables: Sequence[str]) -> list[str]:
    """Return what is wrong with the names at the top of a recipe."""
    known, problems = (*keys, *tables), []
    for key, value in given.items():
        if key not in known:
            what = "unknown table" if isinstance(value, dict) else "unknown key"
            problems.append(f"{what} (got '{key}'; need one of {', '.join(known)}). {nearest(key, known)}".rstrip())
        elif key in tables and not isinstance(value, dict):
            problems.append(f"'{key}': wrong type (got {value!r}; need a table). Write [{key}] on a line of its own.")
    return problems


def general_problems(given: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with the name and the seed of a run."""
    name, seed, problems = given.get("name", "run"), given.get("seed", 0), []
    if not isinstance(name, str) or not name.strip() or "/" in name or "\\" in name or name.startswith("."):
        problems.append(f"'name': not a name (got {name!r}; need a string without slashes that starts with no dot).")
    if not isinstance(seed, int) or isinstance(seed, bool) or seed < 0:
        problems.append(f"'seed': out of range (got {seed!r}; need a whole number, at least 0).")
    return problems


def read_task(table: dict[str, Any], problems: list[str]) -> TaskConfig | None:
    """Read the table [task], and note what is wrong with it; None then."""
    params = dict(table)
    name = params.pop("name", None)
    if not isinstance(name, str):
        got = "nothing" if name is None else repr(name)
        problems.append(f"task 'name': no task (got {got}; need one of {', '.join(tasks.NAMES)}).")
        return None
    built, failures = tasks.check(name, params)
    problems += [line("task", failure) for failure in failures]
    return None if failures else TaskConfig(name=name, params=asdict(built))


def line(table: str, problem: Problem) -> str:
    """Return a problem of a table as a message."""
    return str(problem).replace(problem.key, f"{table} '{problem.key}'", 1)


def _near(path: Path) -> str:
    """Point at the recipes that do exist beside a missing one."""
    folder = path.parent.parent if path.name == "recipe.toml" else path.parent
    found = {str(p.parent): p for p in sorted(folder.glob("*/recipe.toml"))} if folder.is_dir() else {}
    return nearest(str(path.parent if path.name == "recipe.toml" else path), found)


def toml(value: object) -> str:
    """Write a value as TOML."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(toml(v) for v in value) + "]"
    raise AssertionError(f"no TOML for {value!r}")
