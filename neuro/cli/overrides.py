"""Change keys of a recipe from the command line."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from neuro import recipe
from neuro.cli import options
from neuro.errors import RecipeError
from neuro.recipe import Recipe


def override(path: Path, settings: Iterable[str], seed: int | None = None) -> Recipe:
    """Read a recipe and set keys of it: "train.lr=0.01", or "name=mine".

    The recipe is written out whole, the lines of these keys are replaced, and it is read again: so a change is held to the same
    rules as the file. Values are TOML; what is not TOML is text.
    Raises: RecipeError for a bad recipe, a setting that is no KEY=VALUE, an unknown key, a value out of range.
    """
    base = recipe.load(path)
    changes = options.pairs(settings, "--set", "train.lr=0.01")
    if seed is not None:
        if "seed" in changes:
            raise RecipeError("--seed: given twice (got --seed and --set seed; need one). Leave one out.")
        changes["seed"] = str(seed)
    if not changes:
        return base
    tables = _lines(base.to_toml())
    for key, raw in changes.items():
        table, _, name = key.rpartition(".")
        tables.setdefault(table, {})[name] = _toml(raw)
    text = "".join(
        (f"[{table}]\n" if table else "") + "".join(f"{key} = {raw}\n" for key, raw in lines.items())
        for table, lines in tables.items()
    )
    where = f"{path} with {', '.join(f'{k}={v}' for k, v in changes.items())}"
    return recipe.loads(text, where=where, name=base.name, folder=base.folder)


def _lines(toml: str) -> dict[str, dict[str, str]]:
    """Split what `Recipe.to_toml` wrote, one line a key, into raw values by table and key."""
    tables: dict[str, dict[str, str]] = {"": {}}
    current = ""
    for line in toml.splitlines():
        if line.startswith("["):
            current = line.strip("[]")
            tables[current] = {}
        elif line:
            key, _, raw = line.partition(" = ")
            tables[current][key] = raw
    return tables


def _toml(raw: str) -> str:
    """Return TOML as it stands, and anything else as a string of TOML."""
    read = options.value(raw)
    if isinstance(read, str) and read == raw:
        escaped = raw.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    return raw
