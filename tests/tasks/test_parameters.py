"""Tables of values against the fields of a dataclass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import pytest

from neuro.tasks.parameters import Problem, build, check, number


@dataclass(frozen=True, kw_only=True)
class Settings:
    must: str
    count: int = number(3, 1, 10)
    ratio: float = number(0.5, 0.0, 1.0, open_low=True)
    above: float = number(2.0, 1.0)
    below: float = number(-2.0, None, 0.0)
    mode: Literal["fast", "exact"] = "fast"
    flag: bool = False
    spread: float | tuple[float, ...] = 1.0
    limit: int | None = None
    other: dict = None  # type: ignore[assignment]

    def rules(self) -> list[Problem]:
        return [Problem("count", "odd", str(self.count), "an even number")] if self.flag and self.count % 2 else []


def test_right_values_are_converted_to_the_fields_types() -> None:
    built, problems = build(Settings, {"must": "x", "ratio": 1, "spread": [1, 2.5], "limit": None})
    assert problems == []
    assert built == Settings(must="x", ratio=1.0, spread=(1.0, 2.5))
    assert built is not None
    assert isinstance(built.ratio, float)


def test_everything_wrong_is_reported_at_once() -> None:
    values = {
        "cuont": 1,
        "count": True,
        "ratio": 0,
        "mode": "fsat",
        "flag": 1,
        "spread": ["a"],
        "limit": 1.5,
        "other": 3,
    }
    built, problems = build(Settings, values)
    assert built is None
    assert [str(p) for p in problems] == [
        "cuont: unknown key (got 'cuont'; need one of above, below, count, flag, limit, mode, must, other, ratio, spread). "
        "Did you mean 'count'?",
        "count: wrong type (got true; need a whole number, 1..10).",
        "ratio: out of range (got 0; need a number, above 0..1).",
        "mode: unknown value (got 'fsat'; need one of 'fast', 'exact'). Did you mean 'fast'?",
        "flag: wrong type (got 1; need true or false).",
        "spread: wrong type (got ['a']; need a number or a list of a number).",
        "limit: wrong type (got 1.5; need a whole number).",
        "other: wrong type (got 3; need dict).",
        "must: missing key (got nothing; need a string).",
    ]


@pytest.mark.parametrize(
    ("key", "value", "need"),
    [
        ("count", 0, "a whole number, 1..10"),
        ("count", 11, "a whole number, 1..10"),
        ("ratio", float("nan"), "a number, above 0..1"),
        ("above", 0.5, "a number, at least 1"),
        ("above", float("inf"), "a number, at least 1"),
        ("below", 1, "a number, at most 0"),
    ],
)
def test_ranges_are_kept(key: str, value: float, need: str) -> None:
    good, problems = check(Settings, {"must": "x", key: value})
    assert key not in good
    assert [(p.key, p.what, p.need) for p in problems] == [(key, "out of range", need)]


def test_a_tuple_is_checked_item_by_item() -> None:
    assert check(Settings, {"must": "x", "spread": (1, float("inf"))})[1][0].what == "out of range"
    assert check(Settings, {"must": "x", "mode": 3})[1][0].what == "wrong type"


def test_rules_over_several_fields_are_asked_last() -> None:
    assert build(Settings, {"must": "x", "flag": True, "count": 3})[1] == [
        Problem("count", "odd", "3", "an even number")
    ]
    assert build(Settings, {"must": "x", "flag": True, "count": 4})[1] == []
    assert [p.what for p in build(Settings, {"must": 1, "flag": True, "count": 3})[1]] == ["wrong type"]
