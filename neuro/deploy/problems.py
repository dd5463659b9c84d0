"""Put what went wrong in quantisation into words that say what to do."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from neuro.deploy.convert import Part, Plan
from neuro.deploy.note import PopulationChange, ProjectionChange

_LOST = 0.2
"""A projection whose weights changed by more than this share (rms) is told as a problem."""


def problems(
    parts: tuple[Part, ...],
    plan: Plan,
    projections: Mapping[str, ProjectionChange],
    populations: Mapping[str, PopulationChange],
    profile: str,
) -> tuple[str, ...]:
    """Put what went wrong into words: weights that were lost; neurons that fell silent or fire all the time; clipped states."""
    found = [_lost(name, c, profile) for name, c in projections.items() if c.rms_error > _LOST]
    for name, p in populations.items():
        where = f"population '{name}'"
        if p.size == p.silent_before:
            found.append(
                f"{where}: all its {p.size} neurons are silent on the calibration stimulus before quantisation, too: nothing is known of "
                "how it behaves. Calibrate on a stimulus that makes it spike (a task, more samples)."
            )
        if p.went_silent:
            spiked = p.size - p.silent_before
            found.append(
                f"{where}: {len(p.went_silent)} of {spiked} neurons that spiked are silent after quantisation "
                f"(neurons {_shown(p.went_silent)}): {_why_silent(parts, plan, name, p, profile)}"
            )
        if p.saturated_after > p.saturated_before:
            found.append(
                f"{where}: {p.saturated_after} neurons fire at nearly every step that n_ref allows ({p.saturated_before} before): "
                "negative weights into it may be rounded away; raise v_th or n_ref, regularise the rate in training, or fine-tune "
                f'with quantize = "{profile}".'
            )
        clipped = {s: n for s, n in p.saturations.items() if n}
        if clipped:
            text = ", ".join(f"{s} {n} times" for s, n in clipped.items())
            found.append(
                f"{where}: states were clipped to 24 bits ({text}): inputs far beyond the threshold; lower the largest weights into "
                "it, or give a stimulus for calibration that is as strong as the real one."
            )
    return tuple(found)


def _lost(name: str, c: ProjectionChange, profile: str) -> str:
    """Say that much of a projection's weights was lost, to which end of the range, and what to do."""
    where = f"projection '{name}': quantisation changed its weights by {100 * c.rms_error:.0f} % (rms)"
    n, tune = c.n_synapses + c.n_dropped, f'or fine-tune with quantize = "{profile}".'
    if c.n_clipped:
        return (
            f"{where}: {c.n_clipped} of {n} are beyond the largest mantissa and were clipped, which suited the calibration samples. See "
            f"whether accuracy holds (neuro run); if not, search less (--runs 1), narrow the range of these weights, {tune}"
        )
    return (
        f"{where}: one mantissa step is large for them at this threshold ({c.n_dropped} of {n} became 0). Raise these weights, lower "
        f"v_th, {tune}"
    )


def _why_silent(parts: tuple[Part, ...], plan: Plan, name: str, p: PopulationChange, profile: str) -> str:
    """Name the likely cause: weights rounded away, weights clipped, v clipped, or less input from others."""
    lost, clipped, total = (np.zeros(p.size) for _ in range(3))
    for part in parts:
        if part.projection.target != name:
            continue
        post = part.projection.post[part.keep]
        scale, exponent = plan.scales[name], plan.exponents[part.name]
        change = np.abs(part.errors(scale, exponent))
        gone = part.mantissas(scale, exponent) == 0
        total += np.bincount(post, weights=np.abs(part.weight), minlength=p.size)
        lost += np.bincount(post, weights=change * gone, minlength=p.size)
        clipped += np.bincount(post, weights=change * ~gone, minlength=p.size)
    which = np.array(p.went_silent)
    whole = max(float(total[which].sum()), 1e-300)
    tune = f'or fine-tune with quantize = "{profile}"'
    if float(lost[which].sum()) > 0.2 * whole:
        return (
            "weights into them are below one mantissa step at this threshold: raise these weights or lower v_th, put them into a "
            f"population of their own (it gets its own scale and exponents), {tune}."
        )
    if float(clipped[which].sum()) > 0.2 * whole:
        return f"weights into them are beyond the largest mantissa and were clipped: lower these weights and v_th together, {tune}."
    if p.saturations.get("v") or p.saturations.get("u"):
        return f"their membrane was clipped to 24 bits: lower the largest weights into the population, {tune}."
    return (
        "their input is only just above the threshold, or comes from neurons that changed: raise weights into them or lower v_th a "
        f"little, {tune}."
    )


def _shown(numbers: tuple[int, ...]) -> str:
    return ", ".join(map(str, numbers[:8])) + (", ..." if len(numbers) > 8 else "")
