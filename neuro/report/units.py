"""Write quantities with an SI prefix, and ranges in the prefix of their value."""

from __future__ import annotations

import math

from neuro.metrics import Range

_PREFIXES = {-18: "a", -15: "f", -12: "p", -9: "n", -6: "µ", -3: "m", 0: "", 3: "k", 6: "M", 9: "G"}


def si(value: float, unit: str) -> str:
    """Return a quantity with three digits: si(1.234e-6, "J") is "1.23 µJ"."""
    exponent = _exponent(value)
    return f"{_digits(value, exponent)} {_PREFIXES[exponent]}{unit}"


def ranged(value: Range, unit: str) -> str:
    """Return a quantity with its range, as "1.23 µJ (0.900 to 2.40)", or "122 µJ (34.0 µJ to 15.7 mJ)" where prefixes differ.

    The range is left out where it has no width.
    """
    if value.low == value.high:
        return si(value.value, unit)
    exponent = _exponent(value.value)
    near = all(x == 0 or 1e-2 <= abs(x) / 10.0**exponent < 999.5 for x in (value.low, value.high))
    low, high = (_digits(x, exponent) if near else si(x, unit) for x in (value.low, value.high))
    return f"{si(value.value, unit)} ({low} to {high})"


def _exponent(value: float) -> int:
    """Return the exponent, a multiple of 3, that leaves one to three digits before the point."""
    if value == 0:
        return 0
    rounded = float(f"{abs(value):.2e}")
    return min(max(3 * math.floor(math.log10(rounded) / 3 + 1e-12), min(_PREFIXES)), max(_PREFIXES))


def _digits(value: float, exponent: int) -> str:
    scaled = value / 10.0**exponent
    return "0" if scaled == 0 else f"{scaled:.0f}" if abs(scaled) >= 99.95 else f"{scaled:#.3g}"
