"""Find the trials that no other one beats in accuracy and energy at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def front(trials: Sequence[Mapping[str, Any]]) -> list[int]:
    """Return the numbers of the Pareto front, from the least energy on.

    A trial is on it if no other is at least as good in both, accuracy and dynamic energy, and better in one. Of equal ones the first
    stands for all. Trials that are not done are not on it. Ranges of energy play no part: all trials share one device's figures.
    """
    done = [t for t in trials if t["state"] == "done"]
    best, found = -1.0, []
    for trial in sorted(done, key=lambda t: (t["energy"]["value"], -t["accuracy"], t["number"])):
        if trial["accuracy"] > best:
            best = trial["accuracy"]
            found.append(int(trial["number"]))
    return found
