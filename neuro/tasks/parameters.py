"""Check a table of named values against the fields of a dataclass, reporting everything that is wrong at once.

A task's parameters and every table of a recipe are such dataclasses. A field's annotation gives its type (`int`, `float`,
`str`, `bool`, `Literal[...]`, `tuple[T, ...]`, and any of these `| None`); `number` adds a range.
"""

from __future__ import annotations

import math
import types
from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from neuro.errors import nearest

T = TypeVar("T")


@dataclass(frozen=True)
class Problem:
    """One thing wrong with one value: which key, what, what was given and what would do."""

    key: str
    what: str
    got: str
    need: str
    advice: str = ""

    def __str__(self) -> str:
        return f"{self.key}: {self.what} (got {self.got}; need {self.need})." + (
            f" {self.advice}" if self.advice else ""
        )


def number(
    default: float | tuple[float, ...], low: float | None = None, high: float | None = None, *, open_low: bool = False
) -> Any:
    """Declare a numeric dataclass field, or one of a list of numbers, with its range low..high, both included unless `open_low`."""
    return field(default=default, metadata={"low": low, "high": high, "open_low": open_low})


def check(kind: type, values: Mapping[str, object]) -> tuple[dict[str, Any], list[Problem]]:
    """Check `values` against the dataclass `kind` without building it.

    Returns
    -------
    good : dict
        The values that are right, converted to the fields' types (a whole number to float, a list to tuple).
    problems : list of Problem
        One for each unknown key, wrong type, number outside its range, and required key left out.
    """
    known = {f.name: f for f in fields(kind) if f.init}
    hints = get_type_hints(kind)
    good: dict[str, Any] = {}
    problems: list[Problem] = []
    for key, value in values.items():
        if key not in known:
            problems.append(
                Problem(key, "unknown key", repr(key), f"one of {', '.join(sorted(known))}", nearest(key, known))
            )
            continue
        ok, converted = _convert(value, hints[key])
        if not ok and isinstance(value, str) and get_origin(hints[key]) is Literal:
            options = get_args(hints[key])
            problems.append(Problem(key, "unknown value", _show(value), _name(hints[key]), nearest(value, options)))
        elif not ok:
            problems.append(Problem(key, "wrong type", _show(value), describe(known[key], hints[key])))
        elif not _in_range(converted, known[key]):
            problems.append(Problem(key, "out of range", _show(value), describe(known[key], hints[key])))
        else:
            good[key] = converted
    for key, f in known.items():
        if key not in values and f.default is MISSING and f.default_factory is MISSING:
            problems.append(Problem(key, "missing key", "nothing", describe(f, hints[key])))
    return good, problems


def build(kind: type[T], values: Mapping[str, object]) -> tuple[T | None, list[Problem]]:
    """Check `values` and build the dataclass `kind` from them.

    A class may have a method ``rules() -> list[Problem]`` for what concerns several fields; it is asked once every single field is
    right.

    Returns
    -------
    built : kind or None
        None when there is a problem.
    problems : list of Problem
    """
    good, problems = check(kind, values)
    if problems:
        return None, problems
    built = kind(**good)
    rules = getattr(built, "rules", None)
    problems = rules() if callable(rules) else []
    return (None if problems else built), problems


def describe(f: Field[Any], hint: Any) -> str:
    """Say what a field takes: its type, its choices or its range."""
    low, high = f.metadata.get("low"), f.metadata.get("high")
    bound = "above" if f.metadata.get("open_low") else "at least"
    if low is None and high is None:
        limits = ""
    elif high is None:
        limits = f", {bound} {low:g}"
    elif low is None:
        limits = f", at most {high:g}"
    else:
        limits = f", {'above ' if f.metadata.get('open_low') else ''}{low:g}..{high:g}"
    return _name(hint) + limits


def _name(hint: Any) -> str:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return " or ".join(_name(a) for a in arguments if a is not type(None))
    if origin is Literal:
        return "one of " + ", ".join(repr(a) for a in arguments)
    if origin is tuple:
        return f"a list of {_name(arguments[0])}"
    names = {int: "a whole number", float: "a number", str: "a string", bool: "true or false"}
    return names.get(hint, getattr(hint, "__name__", str(hint)))


def _show(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else repr(value)


def _convert(value: object, hint: Any) -> tuple[bool, Any]:
    """Whether `value` is of the type `hint`, and the value in that type."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        for option in arguments:
            ok, converted = _convert(value, option)
            if ok:
                return True, converted
        return False, None
    if hint is type(None):
        return value is None, None
    if origin is Literal:
        return any(value == a and type(value) is type(a) for a in arguments), value
    if origin is tuple:
        if not isinstance(value, (list, tuple)):
            return False, None
        items = [_convert(v, arguments[0]) for v in value]
        return all(ok for ok, _ in items), tuple(v for _, v in items)
    if hint is bool:
        return isinstance(value, bool), value
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool), value
    if hint is float:
        ok = isinstance(value, (int, float)) and not isinstance(value, bool)
        return ok, float(value) if ok else None  # type: ignore[arg-type]
    return isinstance(value, hint), value


def _in_range(value: Any, f: Field[Any]) -> bool:
    low, high = f.metadata.get("low"), f.metadata.get("high")
    for v in value if isinstance(value, tuple) else (value,):
        if isinstance(v, bool) or not isinstance(v, (int, float)):
            continue
        if not math.isfinite(v):
            return False
        if low is not None and (v <= low if f.metadata.get("open_low") else v < low):
            return False
        if high is not None and v > high:
            return False
    return True
