"""Say what quantisation changed, in numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from neuro.deploy.ahp import AhpNote
from neuro.deploy.behaviour import Behaviour
from neuro.deploy.convert import MAX_WEIGHT_BITS, Part, Plan
from neuro.deploy.soft_reset import SoftResetNote
from neuro.graph import MAX_STATE, MAX_V_TH, NEURONS, Graph


@dataclass(frozen=True, kw_only=True)
class ProjectionChange:
    """What became of the weights of one integer projection.

    | name | meaning |
    | --- | --- |
    | source | the float projection that it comes from |
    | exponent, sign_mode | of the integer projection |
    | n_synapses | that are left |
    | n_dropped | synapses whose mantissa is 0, left out |
    | n_clipped | weights beyond the largest mantissa |
    | rms_error | rms of the change over rms of the weights |
    | max_error | largest change over the largest weight |
    """

    source: str
    exponent: int
    sign_mode: str
    n_synapses: int
    n_dropped: int
    n_clipped: int
    rms_error: float
    max_error: float


@dataclass(frozen=True, kw_only=True)
class PopulationChange:
    """What became of one receiving population on the calibration stimulus.

    | name | unit | meaning |
    | --- | --- | --- |
    | scale | | integer units for one float unit |
    | headroom_bits | bits | log2 of the largest value over the largest seen, by state; "v_th": over the largest threshold |
    | saturations | | sums that were clipped, by state |
    | rate_before_hz, rate_after_hz | Hz | of neurons; 0 for readouts |
    | silent_before, silent_after | | neurons that never spiked |
    | went_silent | | neurons that spiked before and never after, by number |
    | saturated_before, saturated_after | | neurons that fire nearly as often as n_ref lets them |
    """

    scale: float
    headroom_bits: Mapping[str, float]
    saturations: Mapping[str, int]
    rate_before_hz: float = 0.0
    rate_after_hz: float = 0.0
    size: int = 0
    silent_before: int = 0
    silent_after: int = 0
    went_silent: tuple[int, ...] = ()
    saturated_before: int = 0
    saturated_after: int = 0


@dataclass(frozen=True, kw_only=True)
class QuantizeNote:
    """What `quantize` changed and what the integer graph did on the calibration stimulus.

    scales: integer units for one float unit, by receiving population. exponents: by integer projection. calibration: the stimulus, in
    words. distance, first_distance: how far the behaviour is from the float graph's, after the search and at its start. n_runs: runs
    of the search. changes: what is not the same model any more. problems: what went wrong, each with what to do. soft_reset, ahp: the
    notes of these passes, if the profile needed them. weight_bits: of a weight, sign included.
    """

    profile: str
    scales: Mapping[str, float]
    exponents: Mapping[str, int]
    projections: Mapping[str, ProjectionChange]
    populations: Mapping[str, PopulationChange]
    calibration: str
    distance: float
    first_distance: float
    n_runs: int
    changes: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    soft_reset: SoftResetNote | None = field(default=None)
    ahp: AhpNote | None = field(default=None)
    weight_bits: int = MAX_WEIGHT_BITS

    @property
    def silenced(self) -> tuple[str, ...]:
        """Return the populations in which most neurons that spiked before do not after."""
        return tuple(
            name
            for name, p in self.populations.items()
            if p.went_silent and 2 * len(p.went_silent) > p.size - p.silent_before
        )

    def __str__(self) -> str:
        narrow = "" if self.weight_bits == MAX_WEIGHT_BITS else f", weights of {self.weight_bits} bits"
        lines = [
            f"quantised for {self.profile}{narrow}; calibrated on {self.calibration}",
            f"distance of behaviour from the float graph {self.distance:.4g} "
            f"({self.first_distance:.4g} by weight error alone; {self.n_runs} run{'s' * (self.n_runs != 1)})",
        ]
        lines += [f"  {text}" for text in self.changes]
        lines += ["", *_table(_projection_rows(self.projections)), "", *_table(_population_rows(self.populations))]
        if self.soft_reset is not None:
            lines += ["", str(self.soft_reset)]
        if self.ahp is not None:
            lines += ["", str(self.ahp)]
        lines += ["", "problems" if self.problems else "no problems found", *(f"  {text}" for text in self.problems)]
        return "\n".join(lines)


def projection_change(part: Part, plan: Plan) -> ProjectionChange:
    """Measure what rounding did to the weights of one integer projection."""
    scale, exponent = plan.scales[part.projection.target], plan.exponents[part.name]
    mantissas, errors = part.mantissas(scale, exponent), part.errors(scale, exponent)
    (low, high), step = part.bounds, part.step
    exact = part.weight * scale / 2.0 ** (6 + exponent)
    weight = part.weight
    largest = float(np.abs(weight).max(initial=0.0))
    some = largest > 0
    return ProjectionChange(
        source=part.projection.name,
        exponent=exponent,
        sign_mode=part.sign_mode,
        n_synapses=int((mantissas != 0).sum()),
        n_dropped=int((mantissas == 0).sum()),
        n_clipped=int(((exact > high + step / 2) | (exact < low - step / 2)).sum()),
        rms_error=float(np.linalg.norm(errors / largest) / np.linalg.norm(weight / largest)) if some else 0.0,
        max_error=float(np.abs(errors).max() / largest) if some else 0.0,
    )


def population_change(
    graph: Graph, integer: Graph, name: str, plan: Plan, before: Behaviour, after: Behaviour
) -> PopulationChange:
    """Compare one population's behaviour before and after."""
    p = integer.population(name)
    headroom = {s: _bits(MAX_STATE, peak) for s, peak in after.peaks[name].items()}
    shared = {
        "scale": plan.scales[name],
        "headroom_bits": headroom,
        "saturations": after.saturations[name],
        "size": p.size,
    }
    if not isinstance(p, NEURONS):
        return PopulationChange(**shared)  # type: ignore[arg-type]
    headroom["v_th"] = _bits(MAX_V_TH, float(p.v_th.max()))
    silent, silent_after = before.silent(name), after.silent(name)
    return PopulationChange(
        **shared,  # type: ignore[arg-type]
        rate_before_hz=before.rate_hz(name),
        rate_after_hz=after.rate_hz(name),
        silent_before=int(silent.sum()),
        silent_after=int(silent_after.sum()),
        went_silent=tuple(int(j) for j in np.flatnonzero(~silent & silent_after)),
        saturated_before=int(before.saturated(name, p.n_ref).sum()),
        saturated_after=int(after.saturated(name, p.n_ref).sum()),
    )


def changes(graph: Graph, integer: Graph, soft: SoftResetNote | None = None) -> tuple[str, ...]:
    """Name what is another model now: resets, and decays whose time constant moved by more than one part in fifty."""
    found = []
    for p in graph.receivers:
        q = integer.population(p.name)
        was, now = getattr(p, "reset", None), getattr(q, "reset", "zero")
        kept = soft is not None and p.name in soft.kept
        if was is not None and was != now and not kept:
            found.append(
                f"population '{p.name}': reset '{was}' became '{now}': all this chip can do; what v has beyond the threshold "
                "at a spike, and what arrives while it is refractory, is lost. Train with reset 'zero', or fine-tune with quantize, to "
                "win back what that costs."
            )
        pairs = (("alpha", "d_u" if kept else "d_v"), ("kappa", "d_y"), ("rho", "d_x" if kept else "d_a"))
        for field_name, d in ((f, d) for f, d in pairs if hasattr(p, f) and hasattr(q, d)):
            error = _tau_error(getattr(p, field_name), getattr(q, d) + (d == "d_u"))
            if error > 0.02:
                found.append(
                    f"population '{p.name}': the time constant of {field_name} changed by up to {100 * error:.0f} %: "
                    "12 bits a decay hold no better."
                )
            endless = int(((getattr(p, field_name) < 1) & (getattr(q, d) + (d == "d_u") == 0)).sum())
            if endless:
                found.append(
                    f"population '{p.name}': {field_name} of {endless} neurons became 1, no decay at all: 12 bits a decay hold time "
                    "constants of up to 4096 steps."
                )
    return tuple(found)


def _tau_error(factor: NDArray[np.float64], d: NDArray[np.int64]) -> float:
    """Return the largest relative change of a time constant; that of a factor of 1 is endless, and 1 if it is no more."""
    kept = (4096 - d) / 4096
    inner = (factor > 1e-3) & (kept < 1)
    if not inner.any():
        return 0.0
    return float(np.abs(np.log(factor[inner]) / np.log(kept[inner]) - 1).max())


def _bits(largest: float, seen: float) -> float:
    return math.log2(largest / seen) if seen else math.inf


def _projection_rows(projections: Mapping[str, ProjectionChange]) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [
        ("projection", "mode", "exponent", "synapses", "dropped", "clipped", "rms error", "max error")
    ]
    for name, c in projections.items():
        counts = (str(c.exponent), str(c.n_synapses), str(c.n_dropped), str(c.n_clipped))
        rows.append((name, c.sign_mode, *counts, f"{100 * c.rms_error:.2f} %", f"{100 * c.max_error:.2f} %"))
    return rows


def _population_rows(populations: Mapping[str, PopulationChange]) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [
        ("population", "scale", "headroom (bits)", "clipped", "rate (Hz)", "silent", "went silent", "saturated")
    ]
    for name, p in populations.items():
        room = ", ".join(f"{s} {b:.1f}" for s, b in p.headroom_bits.items() if math.isfinite(b)) or "-"
        clips = str(sum(p.saturations.values()))
        row = (name, f"{p.scale:.5g}", room, clips)
        if "v" not in p.headroom_bits:
            rows.append((*row, "-", "-", "-", "-"))
            continue
        rate, silent = f"{p.rate_before_hz:.1f} -> {p.rate_after_hz:.1f}", f"{p.silent_before} -> {p.silent_after}"
        rows.append((*row, rate, silent, str(len(p.went_silent)), f"{p.saturated_before} -> {p.saturated_after}"))
    return rows


def _table(rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    return ["  " + "  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows]
