"""Look after the folder that a comparison of models is written into: nobody else's files are lost, nothing of an older one is left."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from neuro.errors import DataError
from neuro.report.model_tables import FORM
from neuro.report.tables import FORM as BACKENDS_FORM

_NAME_LENGTH = 64
_OURS = re.compile(
    r"(models|comparison|divergence)\.(json|md)|(graph|recording|sample)\.h5|answers\.json|(raster|divergence)(-.*)?\.(png|svg)"
)
"""Names of the files that a comparison writes."""


def folders_of(names: Sequence[str]) -> dict[str, str]:
    """Return where each model's files lie, by its name: "." for a single one, else a folder named as plainly as every system allows."""
    if len(names) == 1:
        return {names[0]: "."}
    found: dict[str, str] = {}
    taken: set[str] = set()
    for name in names:
        plain = re.sub(r"[^A-Za-z0-9_+.-]+", "_", name)[:_NAME_LENGTH].strip("._") or "model"
        numbered = (plain if k == 1 else f"{plain}-{k}" for k in range(1, len(names) + 1))
        found[name] = next(n for n in numbered if n.lower() not in taken)
        taken.add(found[name].lower())
    return found


def check_place(folder: str | Path, names: Sequence[str]) -> None:
    """Raise DataError, before anything runs, if files that no comparison wrote would be lost by writing one of these models."""
    folder = Path(folder)
    older = _older(folder)
    for where in dict.fromkeys((folder, *(folder / place for place in folders_of(names).values()))):
        lost = [] if where in older else sorted(p.name for p in _ours(where))
        if lost:
            raise DataError(
                f"{where}: holds files that no comparison wrote (got {', '.join(lost)}; need a folder without them). They would be lost: choose "
                "another folder with --output."
            )


def written(folder: Path) -> list[Path]:
    """Return the files that an older comparison wrote into a folder."""
    return [path for where in _older(folder) for path in _ours(where)]


def remove(files: Iterable[Path]) -> None:
    """Remove files, and the folders that held them if nothing else lies in these."""
    files = list(files)
    for path in files:
        path.unlink(missing_ok=True)
    for where in {path.parent for path in files}:
        with suppress(OSError):  # it holds something
            where.rmdir()


def _older(folder: Path) -> list[Path]:
    """Return the folders that an older comparison wrote: this one, and those of its models."""
    held = _read(folder / "models.json")
    if held.get("format") != FORM:
        return [folder] if _read(folder / "comparison.json").get("format") == BACKENDS_FORM else []
    models = held.get("models")
    entries: Iterable[Any] = models if isinstance(models, list) else ()
    inside = [folder / str(entry.get("folder", ".")) for entry in entries if isinstance(entry, dict)]
    return list(dict.fromkeys((folder, *(p for p in inside if p.parent == folder and p.name not in ("", "..")))))


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _ours(where: Path) -> list[Path]:
    return [p for p in where.iterdir() if p.is_file() and _OURS.fullmatch(p.name)] if where.is_dir() else []
