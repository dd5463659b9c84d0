"""Choose scales and exponents: first by weight error and headroom, then by what the integer graph does."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from neuro.deploy.behaviour import Behaviour
from neuro.deploy.convert import Part, Plan
from neuro.deploy.profiles import Profile
from neuro.deploy.soft_reset import LARGEST_V_TH
from neuro.errors import QuantizationError
from neuro.graph import (
    ALIF,
    DECAY_ONE,
    EXPONENTS,
    LI,
    LIF,
    MAX_STATE,
    MAX_V_TH,
    SCALE_BITS,
    Graph,
    Population,
    integer_decay,
)

_HEADROOM_BITS = 1.0
"""Room that the first choice leaves above the largest state of the calibration stimulus."""
_PER_OCTAVE = 16
"""Scales tried between two powers of two by weight error alone."""
_CHANCE = 3.0
"""Standard errors that a gain must have. Without it (any gain taken) 120 runs on the digits model for loihi2 lost 15 of 325 right answers."""
_MOST_SUM = 0.99 * 2**31
_QUIET = 1e-3
"""Spikes a step that a source counts as having at least, so that weights of silent sources still matter a little."""


Distances = NDArray[np.float64]
"""The distance in each sample, (batch,)."""


@dataclass(frozen=True)
class Found:
    """What the search gave: the plan, its distance, that of the first plan, and the number of runs."""

    plan: Plan
    distance: float
    first_distance: float
    n_runs: int


def first_plan(graph: Graph, parts: tuple[Part, ...], target: Behaviour, profile: Profile) -> Plan:
    """Choose by analysis: the largest scale that leaves headroom and lets every weight in, then the best weight error in its octave.

    Raises: QuantizationError if a population has no scale at all, every such population at once.
    """
    scales: dict[str, float] = {}
    exponents: dict[str, int] = {}
    problems = []
    for p in graph.receivers:
        mine = [part for part in parts if part.projection.target == p.name]
        most, why = limit(graph, p.name, parts, target, profile)
        least = 0.0 if isinstance(p, LI) else 2**SCALE_BITS / float(p.v_th.min())  # type: ignore[union-attr]
        if most < least:
            problems.append(
                f"population '{p.name}': no scale fits (got at most {most:.4g} units, for {why}; need {least:.4g} for the smallest "
                "threshold). Narrow the range: smaller weights or biases against v_th, or more equal thresholds."
            )
            continue
        largest = max((float(np.abs(part.weight).max(initial=0.0)) for part in mine), default=0.0)
        top = most / 2**_HEADROOM_BITS
        if largest > 0:
            top = min(top, min(part.most for part in mine) * 2.0 ** (SCALE_BITS + EXPONENTS[1]) / largest)
        scales[p.name] = _aligned(max(top, least), mine, target)[0]
        exponents |= {part.name: best_exponent(part, scales[p.name], target) for part in mine}
    if problems:
        raise QuantizationError("\n".join(problems))
    return Plan(scales, exponents)


def limit(graph: Graph, name: str, parts: tuple[Part, ...], target: Behaviour, profile: Profile) -> tuple[float, str]:
    """Return the largest scale of a population that no range forbids, and which range forbids more."""
    p = graph.population(name)
    peak = max(target.peaks.get(name, {}).values(), default=0.0)
    total = np.zeros(p.size)
    for part in parts:
        if part.projection.target == name:
            total += np.bincount(part.projection.post[part.keep], weights=np.abs(part.weight), minlength=p.size)
    bounds = [
        (profile.max_bias / _largest(_held_bias(p, profile)), "the largest bias"),
        (_MOST_SUM / _largest(total), "the sum of |w| * 2**(6 + e) < 2**31"),
        (MAX_STATE / _largest(np.array([peak])), "the largest state on the stimulus"),
    ]
    if not isinstance(p, LI):
        most = LARGEST_V_TH if _resets_softly(p, profile) else MAX_V_TH
        bounds.append((most * 2**SCALE_BITS / _largest(p.v_th), "the largest threshold"))  # type: ignore[union-attr]
    if isinstance(p, ALIF):
        bounds.append((MAX_STATE / _largest(p.beta), "the largest beta"))
    return min(bounds)


def _resets_softly(p: Population, profile: Profile) -> bool:
    """Tell whether a population's reset is one that `keep_soft_reset` keeps for this profile."""
    return isinstance(p, LIF) and p.reset == "threshold" and "threshold" not in profile.resets


def _held_bias(p: Population, profile: Profile) -> NDArray[np.float64]:
    """Return the biases as the chip's neurons hold them: of a membrane that is held in u, what the bias charges it to."""
    bias: NDArray[np.float64] = p.bias  # type: ignore[union-attr]
    if isinstance(p, LIF) and _resets_softly(p, profile):
        return bias * (DECAY_ONE / np.maximum(integer_decay(p.alpha), 1))
    return bias


def best_exponent(part: Part, scale: float, target: Behaviour) -> int:
    """Return the exponent with the least weight error, weighted by how often each source spikes."""
    fit = part.fit_exponent(scale, float(np.abs(part.weight).max(initial=0.0)))
    choices = [e for e in (fit, fit - 1, fit - 2) if e >= EXPONENTS[0]]
    return min(choices, key=lambda e: weighted_error(part, scale, e, target))


def weighted_error(part: Part, scale: float, exponent: int, target: Behaviour) -> float:
    """Return sum rate * error**2 over synapses: the mean square that rounding adds to the inputs of one step."""
    rate = target.counts[part.projection.source].mean(axis=0) / target.steps + _QUIET
    return float((rate[part.projection.pre[part.keep]] * part.errors(scale, exponent) ** 2).sum())


def search(
    graph: Graph,
    parts: tuple[Part, ...],
    plan: Plan,
    target: Behaviour,
    profile: Profile,
    measure: Callable[[Plan], Distances],
    max_runs: int,
) -> Found:
    """Descend coordinate by coordinate: each population's scale, each projection's exponent, while the distance falls.

    Only a fall that is not chance is taken (`better`): in a recurrent network one moved spike changes all later ones, so that
    distances of equally good plans differ, and the least of many would be the luckiest.
    Parameters: measure, runs a plan and returns its distance in each sample; max_runs, how often it may be called. Deterministic:
    candidates come in a fixed order, parts with the largest weighted error first.
    """
    first = best = measure(plan)
    n_runs, seen = 1, {_key(plan)}
    improved = True
    while improved and n_runs < max_runs:
        improved = False
        for move in _moves(graph, parts, plan, target, profile):
            candidate: Plan | None = move(plan)
            while candidate is not None and _key(candidate) not in seen and n_runs < max_runs:
                seen.add(_key(candidate))
                found = measure(candidate)
                n_runs += 1
                if not better(found, best):
                    break
                plan, best, improved = candidate, found, True
                candidate = move(plan)
    return Found(plan, float(best.mean()), float(first.mean()), n_runs)


def better(found: Distances, best: Distances) -> bool:
    """Tell whether distances fell by more than chance: by 1 %, and by three standard errors of the paired differences.

    Of a single sample there is no standard error: there it has to fall by 10 %.
    """
    gain = best - found
    if len(gain) == 1:
        return bool(gain[0] > 0.1 * best[0])
    error = float(gain.std(ddof=1)) / math.sqrt(len(gain))
    return bool(gain.mean() > max(_CHANCE * error, 0.01 * float(best.mean())))


Move = Callable[[Plan], Plan | None]


def _moves(graph: Graph, parts: tuple[Part, ...], plan: Plan, target: Behaviour, profile: Profile) -> Iterator[Move]:
    """Yield the moves of one sweep; each may be taken again while it helps."""
    scales = plan.scales
    for p in graph.receivers:
        most = limit(graph, p.name, parts, target, profile)[0]
        mine = [part for part in parts if part.projection.target == p.name]
        for factor in (0.5, 2.0):
            yield _scaled(p.name, mine, factor, most)
        for scale in _aligned(scales[p.name], mine, target)[1:3]:
            yield _rescaled(p.name, mine, scale, most, target)
    worst_first = sorted(
        parts, key=lambda part: -weighted_error(part, scales[part.projection.target], plan.exponents[part.name], target)
    )
    for part in worst_first:
        for step in (-1, 1):
            yield _stepped(part.name, step)
        for exponent in _exponents_of_quantiles(part, scales[part.projection.target]):
            yield _set(part.name, exponent)


def _scaled(name: str, mine: list[Part], factor: float, most: float) -> Move:
    """Multiply a scale and shift the exponents with it: the same mantissas, another threshold and other decays."""

    def move(plan: Plan) -> Plan | None:
        shift = round(math.log2(factor))
        exponents = {part.name: plan.exponents[part.name] + shift for part in mine}
        if plan.scales[name] * factor > most or not all(_legal(e) for e in exponents.values()):
            return None
        return Plan({**plan.scales, name: plan.scales[name] * factor}, {**plan.exponents, **exponents})

    return move


def _rescaled(name: str, mine: list[Part], scale: float, most: float, target: Behaviour) -> Move:
    """Take another scale of the octave, with the exponents that suit it."""

    def move(plan: Plan) -> Plan | None:
        if scale > most or plan.scales[name] == scale:
            return None
        exponents = {part.name: best_exponent(part, scale, target) for part in mine}
        return Plan({**plan.scales, name: scale}, {**plan.exponents, **exponents})

    return move


def _stepped(name: str, step: int) -> Move:
    return lambda plan: _with(plan, name, plan.exponents[name] + step)


def _set(name: str, exponent: int) -> Move:
    return lambda plan: _with(plan, name, exponent)


def _with(plan: Plan, name: str, exponent: int) -> Plan | None:
    return replace(plan, exponents={**plan.exponents, name: exponent}) if _legal(exponent) else None


def _exponents_of_quantiles(part: Part, scale: float) -> tuple[int, ...]:
    """Return the exponents at which the median weight, and nine in ten, just fit: larger ones are clipped."""
    if not part.weight.size:
        return ()
    return tuple({part.fit_exponent(scale, float(np.quantile(np.abs(part.weight), q))): None for q in (0.9, 0.5)})


def _aligned(top: float, mine: list[Part], target: Behaviour) -> list[float]:
    """Return the scales of the octave below `top`, that with the least weighted weight error first.

    Among them is the power of two if it changes no weight: those that were learned in mantissas of a power of two stay these.
    """
    scales = [top * 2.0 ** (-k / _PER_OCTAVE) for k in range(_PER_OCTAVE)]
    for part in mine:
        largest = float(np.abs(part.weight).max(initial=0.0))
        if largest > 0:  # where the largest weight is exactly the largest mantissa
            full = part.most / largest
            scales.append(full * 2.0 ** math.floor(math.log2(top / full)))
    errors = {s: sum(weighted_error(part, s, best_exponent(part, s, target), target) for part in mine) for s in scales}
    whole = 2.0 ** math.floor(math.log2(top))
    if mine and not any(part.errors(whole, best_exponent(part, whole, target)).any() for part in mine):
        errors[whole] = 0.0
    return sorted(errors, key=lambda s: (errors[s], -s))


def _largest(values: NDArray[np.float64]) -> float:
    """Return the largest |value|, and the smallest number for none, so that a bound over it is infinite in effect."""
    return max(float(np.abs(values).max(initial=0.0)), 1e-300)


def _legal(exponent: int) -> bool:
    return EXPONENTS[0] <= exponent <= EXPONENTS[1]


def _key(plan: Plan) -> tuple[Mapping[str, float], ...] | tuple[object, ...]:
    return (*plan.scales.values(), *plan.exponents.values())
