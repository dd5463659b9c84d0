"""Write numbers for people: energies with a prefix, counts in groups of three, shares in per cent."""

from __future__ import annotations

import math

_PREFIXES = ((1.0, ""), (1e-3, "m"), (1e-6, "µ"), (1e-9, "n"), (1e-12, "p"), (1e-15, "f"))
NONE = "\u2013"
"""What stands where there is no number: a dash as wide as a digit."""


def si(value: float | None, unit: str, digits: int = 3) -> str:
    """Write a value with the prefix that leaves 1 to 999 before it: 1.23e-6 J is "1.23 µJ"."""
    if value is None or not math.isfinite(value):
        return NONE
    if value == 0:
        return f"0 {unit}"
    size, prefix = next(((s, p) for s, p in _PREFIXES if abs(value) >= 0.9995 * s), _PREFIXES[-1])
    return f"{significant(value / size, digits)} {prefix}{unit}"


def ranged(low: float | None, value: float | None, high: float | None, unit: str) -> str:
    """Write a value, and in brackets the least and most it may be where they differ from it: "1.2 µJ (0.9 µJ to 2 µJ)"."""
    text, around = si(value, unit), span(low, value, high, unit)
    return f"{text} ({around})" if around else text


def span(low: float | None, value: float | None, high: float | None, unit: str) -> str:
    """Write a range alone, "0.9 µJ to 2 µJ"; nothing where it is no wider than the value."""
    if low is None or high is None or (low == value and high == value):
        return ""
    return f"{si(low, unit)} to {si(high, unit)}"


def significant(value: float | None, digits: int = 3) -> str:
    """Write a number to so many digits, without an exponent up to a million."""
    if value is None or not math.isfinite(value):
        return NONE
    if value == 0:
        return "0"
    if not 1e-4 <= abs(value) < 1e6:
        return f"{value:.{digits - 1}e}"
    places = max(digits - 1 - math.floor(math.log10(abs(value))), 0)
    text = f"{value:,.{places}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def count(value: float | None) -> str:
    """Write a count, or a mean of counts: "12,345", "0.4"."""
    if value is None or not math.isfinite(value):
        return NONE
    return f"{round(value):,}" if abs(value) >= 100 or value == round(value) else significant(value)


def percent(value: float | None, digits: int = 1) -> str:
    """Write a share as per cent."""
    return NONE if value is None or not math.isfinite(value) else f"{100 * value:.{digits}f} %"


def size(n_bytes: float | None) -> str:
    """Write a number of bytes: "32.7 kB"."""
    if n_bytes is None or not math.isfinite(n_bytes):
        return NONE
    for limit, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if n_bytes >= limit:
            return f"{significant(n_bytes / limit)} {unit}"
    return f"{round(n_bytes)} B"


def listed(words: list[str]) -> str:
    """Join words as a sentence has them: "a, b and c"."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def plural(n: int, noun: str, many: str = "") -> str:
    """Write a count with its noun: "1 spike", "2 spikes"."""
    return f"{n:,} {noun if n == 1 else many or noun + 's'}"
