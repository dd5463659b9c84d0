"""Read JSON that others wrote: values by name and type, with a message that says which file and which place is wrong."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from neuro.errors import DataError


class Fields:
    """One object of a JSON file."""

    def __init__(self, where: str, value: Any) -> None:
        if not isinstance(value, dict):
            raise DataError(f"{where}: no object (got {_shown(value)}; need one). Write the file again.")
        self.where, self.value = where, value

    def __contains__(self, key: str) -> bool:
        return self.value.get(key) is not None

    def text(self, key: str, default: str | None = None) -> str:
        """Return a text; one that is missing or null is the default."""
        found = self.value.get(key)
        if found is None and default is not None:
            return default
        if not isinstance(found, str):
            raise self._wrong(key, "a text")
        return found

    def number(self, key: str) -> float:
        """Return a finite number."""
        found = self.maybe(key)
        if found is None:
            raise self._wrong(key, "a number")
        return found

    def maybe(self, key: str) -> float | None:
        """Return a finite number, None where there is none."""
        found = self.value.get(key)
        if found is None:
            return None
        if isinstance(found, bool) or not isinstance(found, (int, float)) or not math.isfinite(found):
            raise self._wrong(key, "a finite number")
        return float(found)

    def whole(self, key: str) -> int:
        """Return a whole number, at least 0."""
        found = self.value.get(key)
        if isinstance(found, bool) or not isinstance(found, int) or found < 0:
            raise self._wrong(key, "a whole number, at least 0")
        return found

    def entries(self, key: str) -> list[Any]:
        """Return a list; a missing one is empty."""
        found = self.value.get(key)
        if found is None:
            return []
        if not isinstance(found, list):
            raise self._wrong(key, "a list")
        return found

    def texts(self, key: str) -> tuple[str, ...]:
        """Return a list of texts; a missing one is empty."""
        found = self.entries(key)
        if not all(isinstance(x, str) for x in found):
            raise self._wrong(key, "a list of texts")
        return tuple(found)

    def wholes(self, key: str) -> tuple[int, ...]:
        """Return a list of whole numbers; a missing one is empty."""
        found = self.entries(key)
        if not all(isinstance(x, int) and not isinstance(x, bool) for x in found):
            raise self._wrong(key, "a list of whole numbers")
        return tuple(found)

    def each(self, key: str) -> list[Fields]:
        """Return the objects of a list."""
        return [Fields(f"{self.where}, {key}[{k}]", x) for k, x in enumerate(self.entries(key))]

    def inner(self, key: str) -> Fields:
        """Return an object; a missing one is empty."""
        found = self.value.get(key)
        return Fields(f"{self.where}, {key}", {} if found is None else found)

    def by_name(self, key: str) -> dict[str, Fields]:
        """Return the objects of an object, by name."""
        return {name: Fields(f"{self.where}, {key}.{name}", x) for name, x in self.inner(key).value.items()}

    def numbers(self, key: str) -> dict[str, float]:
        """Return an object of numbers, by name; those that are null are left out."""
        inner = self.inner(key)
        found = {name: inner.maybe(name) for name in inner.value}
        return {name: x for name, x in found.items() if x is not None}

    def _wrong(self, key: str, need: str) -> DataError:
        got = _shown(self.value[key]) if key in self.value else "nothing"
        return DataError(f"{self.where}: wrong '{key}' (got {got}; need {need}). Write the file again.")


def read(path: Path, form: str, version: int = 1) -> Fields:
    """Read a JSON file of a form and version. Raises DataError if it is missing, damaged or another."""
    try:
        value = json.loads(path.read_bytes().decode("utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as err:
        raise DataError(f"{path}: damaged (got {err}; need JSON). Write the file again.") from err
    fields = Fields(str(path), value)
    if (value.get("format"), value.get("schema_version")) != (form, version):
        raise DataError(
            f"{path}: another kind of file (got format {_shown(value.get('format'))}, version {_shown(value.get('schema_version'))}; "
            f"need '{form}', version {version}). Write it with this version of neuro."
        )
    return fields


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
