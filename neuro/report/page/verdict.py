"""Say whether every backend ran the same network: the first sentence of the page."""

from __future__ import annotations

import re

from neuro.report.page.document import Claim
from neuro.report.page.models import Model, Result
from neuro.report.page.numbers import listed, plural

_AGREE = ("exact", "equal")
_Found = list[tuple[Model, str, Result]]


def parity(models: tuple[Model, ...]) -> Claim | None:
    """Return the verdict on all models and backends, with the first difference where there is one; None if nothing ran."""
    pairs = [(m, name, r) for m in models for name, r in m.backends.items()]
    if not pairs:
        return None
    differ = [x for x in pairs if x[2].parity == "differs"]
    broke = [x for x in pairs if x[2].status == "failed"]
    absent = [x for x in pairs if x[2].status == "unavailable"]
    agree = [x for x in pairs if x[2].parity in _AGREE]
    details = tuple(f"{_on(m, name, models)}: {r.text or r.reason}" for m, name, r in (*differ, *broke))
    details += tuple(dict.fromkeys(f"{name}: {r.reason}" for _, name, r in absent))
    if differ or broke:
        title, text = "Not the same network", _unequal(differ, broke, models)
        return Claim(mark="bad", title=title, text=text, section="parity", details=details)
    if not agree:
        text = "Each model ran on one backend, so there is nothing to hold it to. Compare two or more backends to know."
        return Claim(mark="open", title="Nothing compared", text=text, section="parity", details=details)
    title = "The same network wherever it ran" if absent else "The same network on every backend"
    text = _equal(agree, models)
    text += f" Not run: {listed(sorted({name for _, name, _ in absent}))}." if absent else ""
    return Claim(mark="good", title=title, text=text, section="parity", details=details)


def compared(r: Result) -> tuple[int, int, int] | None:
    """Return how many spikes, values of states and samples an exact result was held to, from its words; None of another."""
    found = re.fullmatch(r"exact \((\d+) spikes and (\d+) values in (\d+) samples\)", r.text)
    return (int(found[1]), int(found[2]), int(found[3])) if found else None


def _equal(agree: _Found, models: tuple[Model, ...]) -> str:
    """Say who agrees, how strictly, and in how much: each model's spikes and states counted once."""
    held_to = {m.name for m, _, _ in agree}
    names = dict.fromkeys(
        n for m in models if m.name in held_to for n, r in m.backends.items() if r.parity in (*_AGREE, "base")
    )
    counted = {m.name: found for m, _, r in agree if (found := compared(r))}
    n_spikes, n_values = (sum(found[k] for found in counted.values()) for k in (0, 1))
    of = f" of {plural(len(held_to), 'model')}" if len(models) > 1 else ""
    amount = f" ({n_spikes:,} spikes, {n_values:,} values)" if counted else ""
    if all(r.parity == "exact" for _, _, r in agree):
        return f"{listed(list(names))} agree bit for bit in every spike and every state{of}{amount}."
    return (
        f"{listed(list(names))} agree in every spike and every state that both hold{of}{amount}; reported, not asserted, since a "
        "backend or graph is not exact."
    )


def _unequal(differ: _Found, broke: _Found, models: tuple[Model, ...]) -> str:
    parts = []
    if differ:
        base = next((n for n, r in differ[0][0].backends.items() if r.parity == "base"), "the base")
        who, verb = listed([_on(m, n, models) for m, n, _ in differ]), "parts" if len(differ) == 1 else "part"
        parts.append(f"{who} {verb} from {base}: {differ[0][2].text}.")
    if broke:
        parts.append(f"{listed([_on(m, n, models) for m, n, _ in broke])} broke: {broke[0][2].reason}")
    return " ".join(parts)


def _on(model: Model, backend: str, models: tuple[Model, ...]) -> str:
    return backend if len(models) == 1 else f"{model.name} on {backend}"
