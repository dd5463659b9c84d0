"""Turn an adaptive threshold into a slow negative current: what a chip without programmable neurons can hold.

After a spike an IntALIF neuron's threshold is raised by bump * rho**(k-1) at step k. An AHP neuron's membrane is lowered instead: its
auxiliary compartment sends x = w_x * rho_x**(j-1) into the membrane at step j, which leaks by alpha, so that the shift is the double
exponential w_x * r(k) with r(k) = alpha r(k-1) + rho_x**(k-1), from the end of the refractory period on. Source: Rao et al. 2022
(Nat. Mach. Intell. 4:467) for the compartments; the fit is ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuro.errors import QuantizationError
from neuro.graph import (
    AHP,
    DECAY_ONE,
    EXPONENTS,
    MAX_D,
    MAX_V_TH,
    SCALE_BITS,
    SUM_LIMIT,
    Graph,
    IntALIF,
    IntProjection,
    fit_exponent,
    round_to_mantissas,
)

_REST = 0.01
"""The fit ends where the raised threshold has fallen to this share of the bump."""
_MOST_STEPS = 8192
"""The fit ends here at the latest: two time constants of the slowest decay, d = 1."""
_FINE = 64
"""A w_x with fewer units than this is coarser than 1 %: the population is scaled up where there is room."""
_ROOM_BITS = 2
"""Scaling up leaves this much room for the membrane above the threshold."""


@dataclass(frozen=True, kw_only=True)
class AhpFit:
    """How one population was converted.

    error: relative residual norm of the fit, |shift - target| / |target|, largest over neurons, after rounding w_x; worst: that
    neuron. d_x, w_x: least and greatest. exponent: of w_x as a synaptic weight, mantissa * 2**(6 + exponent).
    shift: the population's integers were multiplied by 2**shift. reset: what the reset was; it is "zero" now.
    lost: neurons whose w_x rounded to 0, so that they do not adapt any more.
    """

    error: float
    worst: int
    d_x: tuple[int, int]
    w_x: tuple[int, int]
    exponent: int
    shift: int
    reset: str
    lost: int


@dataclass(frozen=True)
class AhpNote:
    """What `to_ahp` changed, by population."""

    fits: Mapping[str, AhpFit]

    def __str__(self) -> str:
        if not self.fits:
            return "AHP: no population with an adaptive threshold"
        lines = ["AHP: adaptive thresholds became slow currents (two compartments a neuron)"]
        for name, fit in self.fits.items():
            text = f"  '{name}': fit error {100 * fit.error:.1f} % (worst: neuron {fit.worst}), d_x {_range(fit.d_x)}, w_x {_range(fit.w_x)}"
            if fit.shift:
                text += f", all its integers times 2**{fit.shift} to hold w_x"
            if fit.reset != "zero":
                text += f", reset '{fit.reset}' became 'zero'"
            if fit.lost:
                text += f"; {fit.lost} neurons lost their adaptation (w_x rounds to 0): raise the scale or the bump"
            lines.append(text)
        return "\n".join(lines)


def to_ahp(graph: Graph, *, rescale: bool = True) -> tuple[Graph, AhpNote]:
    """Convert every IntALIF population to AHP; return the new graph and a note with the fit error of each.

    Per neuron, w_x and d_x minimise the squared difference of the shifts of threshold and membrane after one spike; w_x is then
    rounded to a synaptic weight, a mantissa of -255..0 with one exponent a population. With rescale, a population whose w_x would be
    coarse is multiplied by a power of two (weights' exponents, threshold, bias, bump) where its ranges leave room.
    Raises: QuantizationError for a float graph, or a negative bump: all problems at once.
    """
    problems = []
    if graph.semantics != "integer":
        problems.append("to_ahp: float graph (got float semantics; need integer). Quantize it first (neuro.quantize).")
    for p in graph.populations:
        if isinstance(p, IntALIF) and (p.bump < 0).any():
            j = int(np.flatnonzero(p.bump < 0)[0])
            problems.append(
                f"population '{p.name}': bump cannot become a current (got {p.bump[j]} at neuron {j}; need >= 0). A threshold that "
                "falls with each spike has no AHP form: train with beta >= 0, or use a profile with adaptive thresholds (loihi2)."
            )
    if problems:
        raise QuantizationError("\n".join(problems))
    fits: dict[str, AhpFit] = {}
    populations: list[Any] = []
    for p in graph.populations:
        if isinstance(p, IntALIF):
            made, fits[p.name] = _convert(p, _room(graph, p) if rescale else 0)
            populations.append(made)
        else:
            populations.append(p)
    shifts = {name: fit.shift for name, fit in fits.items()}
    projections = [
        replace(c, exponent=c.exponent + shifts.get(c.target, 0)) if isinstance(c, IntProjection) else c
        for c in graph.projections
    ]
    return replace(graph, populations=tuple(populations), projections=tuple(projections)), AhpNote(fits)


@lru_cache(maxsize=4096)
def fit(d_v: int, d_a: int, n_ref: int) -> tuple[float, int]:
    """Fit the current to a threshold that rises by 1; return (w, d_x): the least-squares w_x, negative, and its decay.

    Parameters: 12-bit decays of membrane and threshold, 0..4095; n_ref, steps in which the membrane is held.
    """
    target = _target(d_a, n_ref)
    low, high = max(0, d_a - max(8, d_a // 2)), min(MAX_D, d_a + max(8, d_a // 2))
    step = max(1, (high - low) // 64)
    while True:
        candidates = np.arange(low, high + 1, step)
        r = _response(candidates, d_v, n_ref, len(target))
        power = (r**2).sum(axis=0)
        w = np.where(power > 0, -(target @ r) / np.where(power > 0, power, 1), 0.0)
        best = int(((target[:, None] + w * r) ** 2).sum(axis=0).argmin())
        if step == 1:
            return float(w[best]), int(candidates[best])
        low, high = max(0, int(candidates[best]) - step), min(MAX_D, int(candidates[best]) + step)
        step = max(1, step // 16)


def fit_error(bump: float, w_x: float, d_v: int, d_a: int, d_x: int, n_ref: int) -> float:
    """Return |bump * target + w_x * r| / |bump * target|: 0 where the membrane falls exactly as the threshold would rise."""
    target = bump * _target(d_a, n_ref)
    r = _response(np.array([d_x]), d_v, n_ref, len(target))[:, 0]
    size = float(np.linalg.norm(target))
    return float(np.linalg.norm(target + w_x * r)) / size if size else 0.0


def _target(d_a: int, n_ref: int) -> NDArray[np.float64]:
    """Return rho**(k-1) for the steps k after the spike from n_ref + 1 on, until it is small."""
    rho = (DECAY_ONE - d_a) / DECAY_ONE
    steps = _MOST_STEPS if d_a == 0 else min(_MOST_STEPS, int(np.ceil(np.log(_REST) / np.log(rho))) + 1)
    return np.asarray(rho ** np.arange(n_ref, n_ref + max(steps, 2)))


def _response(d_x: NDArray[np.int64], d_v: int, n_ref: int, steps: int) -> NDArray[np.float64]:
    """Return r(k), the membrane's shift for w_x = 1, for the steps of `_target` (rows) and each d_x (columns)."""
    alpha, rho_x = (DECAY_ONE - d_v) / DECAY_ONE, (DECAY_ONE - d_x) / DECAY_ONE
    sent = rho_x ** np.arange(n_ref, n_ref + steps)[:, None]
    r = np.empty_like(sent)
    last = np.zeros(len(d_x))
    for k in range(steps):
        last = alpha * last + sent[k]
        r[k] = last
    return r


def _room(graph: Graph, p: IntALIF) -> int:
    """Return by how many powers of two a population may be multiplied: exponents, thresholds, states and sums of weights."""
    incoming = [c for c in graph.projections_to(p.name) if isinstance(c, IntProjection)]
    total = np.zeros(p.size)
    for c in incoming:
        total += np.bincount(c.post, weights=np.abs(c.activation), minlength=p.size)
    v_th, largest_state = int(p.v_th.max()), 2 ** (p.state_bits - 1) - 1
    ratios = (
        2 ** (p.state_bits - 1 - _ROOM_BITS) / (v_th << SCALE_BITS),
        MAX_V_TH / v_th,
        largest_state / max(int(np.abs(p.bias).max()), int(p.bump.max()), 1),
        (SUM_LIMIT - 1) / max(float(total.max()), 1.0),
    )
    most = EXPONENTS[1] - max((c.exponent for c in incoming), default=EXPONENTS[0])
    return max(0, min(most, *(int(np.floor(np.log2(r))) for r in ratios)))


def _convert(p: IntALIF, room: int) -> tuple[AHP, AhpFit]:
    fits = [fit(int(v), int(a), int(n)) for v, a, n in zip(p.d_v, p.d_a, p.n_ref, strict=True)]
    w = np.array([f[0] for f in fits]) * p.bump
    d_x = np.array([f[1] for f in fits], dtype=np.int64)
    largest = float(np.abs(w).max())
    shift = min(room, max(0, int(np.ceil(np.log2(_FINE / largest))))) if 0 < largest < _FINE else 0
    w *= 2**shift
    exponent = fit_exponent(float(np.abs(w).max()))
    w_x = round_to_mantissas(w, exponent) << (SCALE_BITS + exponent)
    made = AHP(
        name=p.name, size=p.size, d_u=p.d_u, d_v=p.d_v, v_th=p.v_th << shift, bias=p.bias << shift, n_ref=p.n_ref,
        d_x=d_x, w_x=w_x, state_bits=p.state_bits,
    )  # fmt: skip
    errors = np.array([_error(p, made, shift, j) for j in range(p.size)])
    worst = int(errors.argmax())
    return made, AhpFit(
        error=float(errors[worst]),
        worst=worst,
        d_x=(int(d_x.min()), int(d_x.max())),
        w_x=(int(w_x.min()), int(w_x.max())),
        exponent=exponent,
        shift=shift,
        reset=p.reset,
        lost=int(((w_x == 0) & (p.bump > 0)).sum()),
    )


def _error(p: IntALIF, made: AHP, shift: int, j: int) -> float:
    numbers = (int(made.w_x[j]), int(p.d_v[j]), int(p.d_a[j]), int(made.d_x[j]), int(p.n_ref[j]))
    return _cached_error(int(p.bump[j]) << shift, *numbers)


_cached_error = lru_cache(maxsize=4096)(fit_error)


def _range(pair: tuple[int, int]) -> str:
    return str(pair[0]) if pair[0] == pair[1] else f"{pair[0]}..{pair[1]}"
