"""Change keys of a recipe from the command line."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Protocol, TypeVar

from neuro.cli import options
from neuro.errors import RecipeError


class Written(Protocol):
    """A recipe of any kind."""

    @property
    def name(self) -> str: ...
    @property
    def folder(self) -> Path: ...

    def to_toml(self) -> str:
        """Write it out whole."""
        ...


T = TypeVar("T", bound=Written, covariant=True)


class Reader(Protocol[T]):
    """Who reads recipes of a kind: `neuro.recipe`, `neuro.learning.recipe`."""

    def load(self, path: str | Path) -> T: ...
    def loads(self, text: str, where: str = ..., name: str = ..., folder: str | Path = ...) -> T: ...


def override(
    path: Path, settings: Iterable[str], seed: int | None, reader: Reader[T], example: str = "train.lr=0.01"
) -> T:
    """Read a recipe and set keys of it: "train.lr=0.01", or "name=mine".

    reader: who reads its kind of recipe. example: of a setting, for messages. The recipe is written out whole, the lines of these keys are replaced, and it is read again: so a change is held to the same
    rules as the file. Values are TOML; what is not TOML is text.
    Raises: RecipeError for a bad recipe, a setting that is no KEY=VALUE, an unknown key, a value out of range.
    """
    base = reader.load(path)
    changes = options.pairs(settings, "--set", example)
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
    return reader.loads(text, where=where, name=base.name, folder=base.folder)


def _lines(toml: str) -> dict[str, dict[str, str]]:
    """Split what `to_toml` wrote, one line a key, into raw values by table and key."""
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
