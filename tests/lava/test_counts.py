"""Runs on Lava are counted as the golden model's are."""

from __future__ import annotations

from neuro.backend import Backend
from tests.metrics.equal import assert_workloads_are_equal


def test_workloads_equal_the_golden_models(lava: Backend) -> None:
    assert_workloads_are_equal(lava)
