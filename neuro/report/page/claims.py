"""Say in sentences what was found: the verdict that stands first in the page, each sentence with where its evidence is."""

from __future__ import annotations

import math
from collections.abc import Mapping

from neuro.report.page.activity import BAND_HZ, Activity
from neuro.report.page.connectivity import Connectivity
from neuro.report.page.document import Claim
from neuro.report.page.measured import Measured
from neuro.report.page.models import STANDING_PARTS, Model, Result
from neuro.report.page.numbers import listed, percent, plural, ranged, si, significant
from neuro.report.page.sweep import Sweep
from neuro.report.page.training import Training

_AGREE = ("exact", "equal")
_Found = list[tuple[Model, str, Result]]


def interval(n_right: int, n: int) -> tuple[float, float] | None:
    """Return the 95 % interval of a share, after Wilson (1927); None of no decision."""
    if not n:
        return None
    z = 1.959963984540054  # the normal distribution's 97.5 % point
    p, q = n_right / n, z * z / n
    middle, half = p + q / 2, z * math.sqrt(p * (1 - p) / n + q / (4 * n))
    return max(0.0, (middle - half) / (1 + q)), min(1.0, (middle + half) / (1 + q))


def parity(models: tuple[Model, ...]) -> Claim | None:
    """Say whether every backend ran the same network; None without any that ran."""
    pairs = [(m, name, r) for m in models for name, r in m.backends.items()]
    if not pairs:
        return None
    differ = [x for x in pairs if x[2].parity == "differs"]
    broke = [x for x in pairs if x[2].status == "failed"]
    absent = [x for x in pairs if x[2].status == "unavailable"]
    agree = [x for x in pairs if x[2].parity in _AGREE]
    details = (
        *(f"{_on(m, name, models)}: {r.text or r.reason}" for m, name, r in (*differ, *broke)),
        *_absences(absent),
    )
    if differ or broke:
        return Claim(
            mark="bad",
            title="Not the same network",
            text=_unequal(differ, broke, models),
            section="parity",
            details=details,
        )
    if not agree:
        text = "Each model ran on one backend, so there is nothing to hold it to. Compare two or more backends to know."
        return Claim(mark="open", title="Nothing compared", text=text, section="parity", details=details)
    names = list(
        dict.fromkeys(
            n for m in models for n, r in m.backends.items() if r.parity in (*_AGREE, "base") and _compared(m)
        )
    )
    asserted = all(r.parity == "exact" for _, _, r in agree)
    sure = (
        "agree bit for bit in every spike and every state"
        if asserted
        else "agree in every spike and every state that both hold"
    )
    of = "" if len(models) == 1 else f" for {plural(len({m.name for m, _, _ in agree}), 'model')}"
    text = (
        f"{listed(names)} {sure} they recorded{of}."
        if asserted
        else f"{listed(names)} {sure}{of}; reported, not asserted, since a backend or graph is not exact."
    )
    if absent:
        text += f" Not run: {listed(sorted({name for _, name, _ in absent}))}."
    return Claim(
        mark="good",
        title="The same network on every backend" if not absent else "The same network wherever it ran",
        text=text,
        section="parity",
        details=details,
    )


def _absences(absent: _Found) -> tuple[str, ...]:
    """Return why backends did not run, each reason once."""
    return tuple(dict.fromkeys(f"{name}: {r.reason}" for _, name, r in absent))


def _compared(model: Model) -> bool:
    return any(r.parity in _AGREE for r in model.backends.values())


def _on(model: Model, backend: str, models: tuple[Model, ...]) -> str:
    return backend if len(models) == 1 else f"{model.name} on {backend}"


def _unequal(differ: _Found, broke: _Found, models: tuple[Model, ...]) -> str:
    parts = []
    if differ:
        base = next((n for n, r in differ[0][0].backends.items() if r.parity == "base"), "the base")
        parts.append(
            f"{listed([_on(m, n, models) for m, n, _ in differ])} {'parts' if len(differ) == 1 else 'part'} from {base}: {differ[0][2].text}."
        )
    if broke:
        parts.append(f"{listed([_on(m, n, models) for m, n, _ in broke])} broke: {broke[0][2].reason}")
    return " ".join(parts)


def accuracy(models: tuple[Model, ...]) -> Claim | None:
    """Say how often each model is right, best first."""
    scored = sorted((m for m in models if m.accuracy is not None), key=lambda m: -(m.accuracy or 0.0))
    if scored:
        said = [f"{m.name} {percent(m.accuracy)} ({m.n_right:,} of {m.n_decisions:,})" for m in scored[:4]]
        more = f", and {plural(len(scored) - 4, 'other')} below" if len(scored) > 4 else ""
        text = f"{', '.join(said)}{more}. {_separation(scored)}"
        return Claim(mark="plain", title="Accuracy", text=text.strip(), section="models")
    fitted = sorted((m for m in models if m.nmse is not None), key=lambda m: m.nmse or 0.0)
    if fitted:
        said = [f"{m.name} {significant(m.nmse)}" for m in fitted[:4]]
        return Claim(
            mark="plain", title="Error", text=f"Normalised mean squared error: {', '.join(said)}.", section="models"
        )
    return None


def _separation(scored: list[Model]) -> str:
    """Say whether so few decisions can tell the best from the worst."""
    if len(scored) < 2:
        return ""
    best, worst = (interval(m.n_right, m.n_decisions) for m in (scored[0], scored[-1]))
    assert best is not None
    assert worst is not None
    if best[0] <= worst[1]:
        return "Their 95 % intervals overlap: so few decisions do not tell them apart."
    return ""


def rates(models: tuple[Model, ...], measured: Mapping[str, Activity]) -> Claim | None:
    """Say how active the spiking models are, against the band of sparse activity."""
    spiking = [m for m in models if m.mean_rate_hz is not None]
    if not spiking:
        return None
    low, high = BAND_HZ
    inside = [m for m in spiking if low <= (m.mean_rate_hz or 0.0) <= high]
    said = ", ".join(f"{m.name} {significant(m.mean_rate_hz)} Hz" for m in spiking[:4])
    where = "in" if len(inside) == len(spiking) else "outside" if not inside else f"{len(inside)} of {len(spiking)} in"
    text = f"Mean rates, {where} the band of {low:g} to {high:g} Hz: {said}."
    silent = [
        f"{a.n_silent} of {a.n_neurons} neurons of {name} never spiked" for name, a in measured.items() if a.n_silent
    ]
    if silent:
        text += f" {listed(silent[:3])} in the recorded samples."
    return Claim(mark="plain", title="Activity", text=text, section="activity")


def energy(models: tuple[Model, ...], devices: tuple[str, ...]) -> Claim | None:
    """Say what an inference costs, as an estimate in parts, on the device that prices most of the models."""
    priced = {d: [m for m in models if d in m.energy and m.energy[d].dynamic is not None] for d in devices}
    if not any(priced.values()):
        return None
    device = max(priced, key=lambda d: len(priced[d]))
    said = []
    for m in sorted(priced[device], key=lambda m: m.energy[device].dynamic.value or 0.0)[:3]:  # type: ignore[union-attr]
        part, standing = m.energy[device].dynamic, sum(m.energy[device].energy(p) or 0.0 for p in STANDING_PARTS)
        assert part is not None
        beside = f", beside {si(standing, 'J')} static and host" if standing else ""
        said.append(f"{m.name} {ranged(part.low, part.value, part.high, 'J')}{beside}")
    text = f"On {device}, what an inference does takes: {'; '.join(said)}. Estimates from published figures, not measurements."
    return Claim(mark="plain", title="Energy", text=text, section="energy")


def sweep(found: Sweep) -> Claim:
    """Say what a sweep tried and found."""
    done = found.done
    if not done:
        text = f"None of {plural(len(found.trials), 'trial')} has both an accuracy and an energy yet."
        return Claim(mark="open", title=f"Sweep {found.name}", text=text, section="tradeoff")
    best = max(done, key=lambda t: (t.accuracy or 0.0, -(t.energy or 0.0)))
    text = (
        f"{len(done)} of {plural(len(found.trials), 'trial')} are done, {len(found.pareto)} are beaten by no other. The most accurate, trial {best.number}, "
        f"reaches {percent(best.accuracy)} at {ranged(best.low, best.energy, best.high, 'J')} on {found.device}."
    )
    return Claim(mark="plain", title=f"Sweep {found.name}", text=text, section="tradeoff")


def training(run: Training, change: Connectivity | None) -> Claim:
    """Say how a run went, and how much of its network rewiring replaced."""
    best = run.best
    text = f"{plural(run.n_iterations, 'iteration')}"
    text += f"; the best validation, {percent(best[1])} right, was after {best[0]:,.0f}." if best else "."
    if change is not None and change.n_kept is not None:
        text += (
            f" {change.n_pairs[0]:,} pairs of neurons were connected at the start and {change.n_pairs[1]:,} at the end; "
            f"{percent(1 - change.n_kept / max(change.n_pairs[1], 1), 0)} of the latter are new."
        )
    return Claim(mark="plain", title=f"Run {run.name}", text=text, section="training")


def measured(found: Measured) -> Claim:
    """Say what this machine's counters gave."""
    each = found.seconds.median / max(found.n_samples, 1)
    on = f" on {found.backend}" if found.backend else ""
    if found.joules is None:
        text = f"{found.model}{on}: {si(each, 's')} a sample; no energy counter was at hand ({'; '.join(found.absent) or 'none named'})."
        return Claim(mark="open", title="Measured", text=text, section="measured")
    text = f"{found.model}{on}: {si(each, 's')} and {si(found.joules.median / max(found.n_samples, 1), 'J')} a sample above idle, by {listed(list(found.meters))}."
    return Claim(mark="plain", title="Measured", text=text, section="measured")
