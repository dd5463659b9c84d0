"""Axes: the points of a grid, what is drawn, and every mistake by name."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from neuro.sweep.space import Axis, grid, read_space


def read(table: dict[str, Any]) -> tuple[tuple[Axis, ...], list[str]]:
    problems: list[str] = []
    return read_space(table, problems), problems


def test_a_grid_has_every_combination_once_the_last_axis_fastest() -> None:
    axes, problems = read({"connectivity": {"low": 0.02, "high": 0.5, "log": True, "n": 3}, "bits": [4, "float"]})
    assert not problems
    points = list(grid(axes))
    assert [p["bits"] for p in points] == [4, "float"] * 3
    connectivity = [p["connectivity"] for p in points[::2]]
    assert connectivity[0] == 0.02 and connectivity[-1] == 0.5
    assert connectivity[1] == pytest.approx(0.1, rel=1e-12)  # geometric mean


def test_a_linear_grid_of_whole_numbers_has_each_once() -> None:
    (bits,), problems = read({"bits": {"low": 2, "high": 5, "n": 7}})
    assert not problems
    assert bits.grid() == (2, 3, 4, 5)
    (rate,), _ = read({"rate_target_hz": {"low": 5, "high": 40, "n": 8}})
    assert rate.grid() == (5, 10, 15, 20, 25, 30, 35, 40)


def test_one_value_is_an_axis_that_does_not_vary() -> None:
    (bits,), problems = read({"bits": 9})
    assert not problems
    assert bits.grid() == bits.choices == (9,)


def test_draws_are_in_range_and_spread_by_the_logarithm() -> None:
    rng = np.random.default_rng(0)
    (axis,), _ = read({"connectivity": {"low": 0.02, "high": 0.5, "log": True}})
    found = np.array([axis.draw(rng) for _ in range(4000)], dtype=float)
    assert found.min() >= 0.02 and found.max() <= 0.5
    assert (found < 0.1).mean() == pytest.approx(0.5, abs=0.04)  # 0.1 is the middle of the logarithm; 5 standard errors
    (bits,), _ = read({"bits": {"low": 2, "high": 9}})
    counts = np.bincount([int(bits.draw(rng)) for _ in range(4000)], minlength=10)
    assert not counts[:2].any() and (counts[2:] > 350).all()


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({}, "'space': nothing to vary (got no axis; need at least one of connectivity, rate_target_hz, alif_fraction, bits)."),
        ({"conectivity": [0.1]}, "space: unknown axis (got 'conectivity'; need one of connectivity, rate_target_hz, alif_fraction, bits). Did you mean 'connectivity'?"),
        ({"connectivity": [0.1, 0.0]}, "space 'connectivity': out of range (got 0.0; need a number in (0, 1])."),
        ({"alif_fraction": []}, "space 'alif_fraction': out of range (got an empty list; need a number in 0..1)."),
        ({"bits": [8, True]}, "space 'bits': out of range (got True; need 2..9 or \"float\")."),
        ({"bits": [8, 10]}, "space 'bits': out of range (got 10; need 2..9 or \"float\")."),
        ({"bits": [4, 9, 4]}, "space 'bits': given twice (got 4 twice; need it once)."),
        ({"bits": {"low": 2, "high": "float"}}, "space 'bits': high out of range (got 'float'; need 2..9)."),
        ({"bits": {"low": 2, "high": 9, "log": True}}, "space 'bits': log of whole numbers (got log = true; need false)."),
        ({"rate_target_hz": {"low": 5}}, "space 'rate_target_hz': high out of range (got None; need a number > 0)."),
        ({"rate_target_hz": {"low": 40, "high": 5}}, "space 'rate_target_hz': no range (got low 40, high 5; need low < high)."),
        ({"rate_target_hz": {"low": 5, "high": 40, "step": 5}}, "space 'rate_target_hz': unknown key (got 'step'; need one of low, high, log, n)."),
        ({"alif_fraction": {"low": 0, "high": 1, "log": True}}, "space 'alif_fraction': no logarithm (got low 0; need low > 0 with log)."),
        ({"alif_fraction": {"low": 0, "high": 1, "n": 1}}, "space 'alif_fraction': n out of range (got 1; need a whole number >= 2)."),
        ({"rate_target_hz": [float("nan")]}, "space 'rate_target_hz': out of range (got nan; need a number > 0)."),
    ],
)  # fmt: skip
def test_mistakes_are_named(table: dict[str, Any], message: str) -> None:
    axes, problems = read(table)
    assert not axes
    assert len(problems) == 1
    assert re.match(re.escape(message), problems[0]), problems[0]


def test_axes_come_back_from_json_as_they_were_given() -> None:
    table = {"connectivity": {"low": 0.02, "high": 0.5, "log": True}, "bits": [4, "float"], "alif_fraction": {"low": 0, "high": 1, "log": False, "n": 3}}  # fmt: skip
    axes, _ = read(table)
    assert read({axis.name: axis.as_json() for axis in axes})[0] == axes
