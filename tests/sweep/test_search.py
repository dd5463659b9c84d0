"""Searches: deterministic, the same after a resume, and better than chance where they learn."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from neuro.sweep.adaptive import Adaptive
from neuro.sweep.search import Random, Search
from neuro.sweep.space import Axis, read_space

CONTINUOUS = {"connectivity": {"low": 0.02, "high": 0.5, "log": True}, "bits": {"low": 2, "high": 9}}
MIXED = {**CONTINUOUS, "alif_fraction": [0, 0.25, 0.5], "rate_target_hz": {"low": 5, "high": 40}}


def axes(table: dict[str, Any]) -> tuple[Axis, ...]:
    problems: list[str] = []
    found = read_space(table, problems)
    assert not problems
    return found


def outcome(params: dict[str, Any]) -> dict[str, Any]:
    """Return what a trial would give: accuracy grows with connectivity and bits, and energy with both."""
    c, bits = float(params["connectivity"]), int(params["bits"])
    return {
        "state": "failed" if bits == 2 else "done",
        "accuracy": 1 - math.exp(-8 * c) * 0.5 - 2.0 ** (-bits),
        "energy": {"value": 1e-6 * (c + 0.02 * bits)},
    }


def proposals(search: Search, n: int, trials: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Ask for trials up to number n, each with its outcome."""
    while len(trials) < n:
        asked = search.ask(trials)
        assert asked is not None
        params, kept = asked
        trials.append({"number": len(trials), "params": params, "search": kept, **outcome(params)})
    return trials


def test_random_draws_differ_and_do_not_depend_on_the_past() -> None:
    first, second = Random(axes(MIXED), 1), Random(axes(MIXED), 1)
    drawn = [first.ask([{}] * k) for k in range(6)]
    assert [second.ask([{"accuracy": 1.0}] * k) for k in reversed(range(6))] == drawn[::-1]
    assert len({json.dumps(d) for d in drawn}) == 6
    assert Random(axes(MIXED), 2).ask([]) != drawn[0]


def test_random_over_few_points_takes_each_once() -> None:
    search = Random(axes({"bits": {"low": 2, "high": 4}, "alif_fraction": [0, 1]}), 5)
    found = [search.ask([{}] * k) for k in range(7)]
    assert found[6] is None
    points = [tuple(f[0].values()) for f in found[:6] if f is not None]
    assert sorted(points) == [(b, a) for b in (2, 3, 4) for a in (0, 1)]
    assert points != sorted(points)


@pytest.mark.parametrize("sampler", ["tpe", "nsga2"])
def test_a_search_that_is_resumed_goes_on_as_if_it_had_not_stopped(sampler: str) -> None:
    whole = proposals(Adaptive(axes(MIXED), sampler, 4, 5), 24, [])
    assert any(t["state"] == "failed" for t in whole) and sum(t["state"] == "done" for t in whole) > 15
    for cut in (3, 17):
        kept = json.loads(json.dumps(whole[:cut]))
        resumed = proposals(Adaptive(axes(MIXED), sampler, 4, 5), 24, kept)
        assert [t["params"] for t in resumed] == [t["params"] for t in whole]
    other = proposals(Adaptive(axes(MIXED), sampler, 5, 5), 24, [])
    assert [t["params"] for t in other] != [t["params"] for t in whole]


@pytest.mark.parametrize("sampler", ["tpe", "nsga2"])
def test_trials_that_run_or_are_not_finished_do_not_stop_a_search(sampler: str) -> None:
    search = Adaptive(axes(CONTINUOUS), sampler, 4, 4)
    trials = proposals(search, 9, [])
    for state in ("running", "lost"):
        trials[8] = {"number": 8, "params": trials[8]["params"], "search": trials[8]["search"], "state": state}
        asked = search.ask(trials)
        assert asked is not None
        assert set(asked[0]) == {"connectivity", "bits"}


@pytest.mark.parametrize("sampler", ["tpe", "nsga2"])
def test_optuna_learns_where_the_front_is(sampler: str) -> None:
    # Four axes, of which one hurts both objectives: its values have to fall from what is drawn at random (mean 22.5).
    def told(params: dict[str, Any]) -> dict[str, Any]:
        rate = float(params["rate_target_hz"])
        return {"state": "done", "accuracy": 1 - rate / 40, "energy": {"value": 1e-6 * rate}}

    search, trials = Adaptive(axes(MIXED), sampler, 0, 8), []
    for number in range(64):
        asked = search.ask(trials)
        assert asked is not None
        trials.append({"number": number, "params": asked[0], "search": asked[1], **told(asked[0])})
    rates = [float(t["params"]["rate_target_hz"]) for t in trials]
    assert sum(rates[:8]) / 8 > 15
    assert sum(rates[-16:]) / 16 < 0.7 * sum(rates[:8]) / 8
