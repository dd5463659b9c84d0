"""Runs on Nengo are counted as the golden model's are."""

from __future__ import annotations

from neuro_nengo import NengoBackend
from tests.metrics.equal import assert_workloads_are_equal


def test_workloads_equal_the_golden_models() -> None:
    assert_workloads_are_equal(NengoBackend())
