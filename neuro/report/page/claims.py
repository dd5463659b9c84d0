"""Say in sentences what was found, each with where its evidence is."""

from __future__ import annotations

import math
from collections.abc import Mapping

from neuro.report.page.activity import BAND_HZ, Activity
from neuro.report.page.connectivity import Connectivity
from neuro.report.page.document import Claim
from neuro.report.page.measured import Measured
from neuro.report.page.models import STANDING_PARTS, Model
from neuro.report.page.numbers import listed, percent, plural, ranged, si, significant
from neuro.report.page.sweep import Sweep
from neuro.report.page.training import Training

_MOST = 6
"""Models that one sentence names."""


def interval(n_right: int, n: int) -> tuple[float, float] | None:
    """Return the 95 % interval of a share, after Wilson (1927); None of no decision."""
    if not n:
        return None
    z = 1.959963984540054  # the normal distribution's 97.5 % point
    p, q = n_right / n, z * z / n
    middle, half = p + q / 2, z * math.sqrt(p * (1 - p) / n + q / (4 * n))
    return max(0.0, (middle - half) / (1 + q)), min(1.0, (middle + half) / (1 + q))


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
    silent = [f"{a.n_silent} of {a.n_neurons} neurons of {name}" for name, a in measured.items() if a.n_silent]
    if silent:
        text += f" Silent in the recorded samples: {listed(silent[:4])}."
    return Claim(mark="plain", title="Activity", text=text, section="activity")


def energy(models: tuple[Model, ...], devices: tuple[str, ...]) -> Claim | None:
    """Say what an inference costs, as an estimate in parts: on the device that prices most of the models, then on others."""
    priced = {d: [m for m in models if d in m.energy and m.energy[d].dynamic is not None] for d in devices}
    if not any(priced.values()):
        return None
    device = max(priced, key=lambda d: len(priced[d]))
    others = [d for d in devices if d != device and any(_standing(m, d) for m in priced[d])]
    text = f"On {device}, what an inference does takes: {_costs(priced[device], device)}. Estimates from published figures, not measurements."
    details = tuple(f"On {d}: {_costs(priced[d], d)}." for d in others[:3])
    return Claim(mark="plain", title="Energy", text=text, section="energy", details=details)


def _standing(m: Model, device: str) -> float:
    return sum(m.energy[device].energy(part) or 0.0 for part in STANDING_PARTS)


def _costs(found: list[Model], device: str) -> str:
    """Return what models cost on a device, cheapest first: dynamic with its range, and beside it what is drawn anyway."""
    beside = {m.name: f"{si(_standing(m, device), 'J')} static and host" if _standing(m, device) else "" for m in found}
    alike, said = len(set(beside.values())) == 1 and len(found) > 1, []
    for m in found:
        part = m.energy[device].dynamic
        assert part is not None
        mine = f", beside {beside[m.name]}" if beside[m.name] and not alike else ""
        said.append((part.value or 0.0, f"{m.name} {ranged(part.low, part.value, part.high, 'J')}{mine}"))
    more = f"; {len(said) - _MOST} more below" if len(said) > _MOST else ""
    each = f"; each beside {beside[found[0].name]}" if alike and beside[found[0].name] else ""
    return "; ".join(text for _, text in sorted(said)[:_MOST]) + more + each


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
    what = f"{found.model} on {found.backend}: {si(found.seconds.median, 's')} an inference"
    if not found.drawn:
        text = f"{what}; no energy counter was at hand ({'; '.join(found.absent) or 'none named'})."
        return Claim(mark="open", title="Measured", text=text, section="measured")
    said = [
        f"{si(d.net.median, 'J')} above idle by {d.meter}" if d.above_idle else f"no more than idle by {d.meter}"
        for d in found.drawn
    ]
    return Claim(mark="plain", title="Measured", text=f"{what}, {listed(said)}.", section="measured")
