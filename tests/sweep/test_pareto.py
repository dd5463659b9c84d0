"""The front: by hand, and by its definition on random trials."""

from __future__ import annotations

from typing import Any

import numpy as np

from neuro.sweep import front


def trials(*points: tuple[float, float]) -> list[dict[str, Any]]:
    return [{"number": k, "state": "done", "accuracy": a, "energy": {"value": e}} for k, (a, e) in enumerate(points)]


def test_by_hand() -> None:
    found = trials((0.9, 3.0), (0.8, 1.0), (0.85, 2.0), (0.8, 2.0), (0.9, 4.0), (0.8, 1.0))
    assert front(found) == [1, 2, 0]
    found.append({"number": 6, "state": "failed", "reason": "x"})
    found.append({"number": 7, "state": "running"})
    assert front(found) == [1, 2, 0]
    assert front([]) == []


def test_a_trial_of_no_right_answer_that_costs_least_is_on_the_front() -> None:
    assert front(trials((0.0, 1.0), (0.5, 2.0))) == [0, 1]


def test_by_definition() -> None:
    rng = np.random.default_rng(2)
    for _ in range(50):
        points = [(float(a), float(e)) for a, e in rng.integers(0, 6, size=(12, 2))]
        found = front(trials(*points))
        beaten = [any((a2 >= a and e2 <= e) and (a2 > a or e2 < e) for a2, e2 in points) for a, e in points]
        assert {points[k] for k in found} == {p for p, b in zip(points, beaten, strict=True) if not b}
        assert len({points[k] for k in found}) == len(found)
        assert [points[k][1] for k in found] == sorted(points[k][1] for k in found)
