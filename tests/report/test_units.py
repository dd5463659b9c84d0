"""Quantities as text: prefixes, three digits, ranges."""

from __future__ import annotations

import pytest

from neuro.metrics import Range
from neuro.report.units import ranged, si


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0 J"), (1.0, "1.00 J"), (1.234e-6, "1.23 µJ"), (12.34e-9, "12.3 nJ"), (999.4e-12, "999 pJ"), (999.6e-12, "1.00 nJ"),
        (1e-3, "1.00 mJ"), (1e3, "1.00 kJ"), (23.6e-12, "23.6 pJ"), (99.96e-6, "100 µJ"), (5e-21, "0.00500 aJ"), (-2e-6, "-2.00 µJ"),
    ],
)  # fmt: skip
def test_three_digits_and_the_prefix_that_fits(value: float, text: str) -> None:
    assert si(value, "J") == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Range(1e-6, 1e-6, 1e-6), "1.00 µJ"),
        (Range(0.9e-6, 1.23e-6, 24e-6), "1.23 µJ (0.900 to 24.0)"),
        (Range(0.0, 1.23e-6, 2e-6), "1.23 µJ (0 to 2.00)"),
        (Range(34e-6, 122e-6, 15.7e-3), "122 µJ (34.0 µJ to 15.7 mJ)"),
    ],
)
def test_range_is_in_the_prefix_of_the_value_while_it_is_near(value: Range, text: str) -> None:
    assert ranged(value, "J") == text
