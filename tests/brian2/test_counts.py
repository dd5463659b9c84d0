"""Runs on Brian2 are counted as the golden model's are."""

from __future__ import annotations

from neuro_brian2 import Brian2Backend
from tests.metrics.equal import assert_learning_updates_are_equal, assert_workloads_are_equal


def test_workloads_equal_the_golden_models() -> None:
    assert_workloads_are_equal(Brian2Backend())


def test_learning_updates_equal_the_golden_models() -> None:
    assert_learning_updates_are_equal(Brian2Backend())
