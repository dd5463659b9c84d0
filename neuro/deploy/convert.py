"""Convert a float graph to integers by a plan: one scale a receiving population, one exponent a projection."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuro.deploy.ahp import AhpNote, to_ahp
from neuro.deploy.profiles import Profile
from neuro.deploy.soft_reset import SoftResetNote, keep_soft_reset
from neuro.graph import (
    AHP,
    ALIF,
    LI,
    LIF,
    MAX_D,
    MAX_STATE,
    MAX_V_TH,
    SCALE_BITS,
    SIGN_MODES,
    Graph,
    IntALIF,
    IntLI,
    IntLIF,
    IntProjection,
    Population,
    Projection,
    fit_exponent,
    integer_decay,
    round_to_bias,
)

MAX_WEIGHT_BITS = 9
"""Bits of a full mantissa, sign included: -255..255."""


@dataclass(frozen=True)
class Plan:
    """Say how a float graph becomes an integer one.

    scales: integer units of state for one float unit, by receiving population. exponents: by integer projection.
    """

    scales: Mapping[str, float]
    exponents: Mapping[str, int]


@dataclass(frozen=True, eq=False)
class Part:
    """The synapses of a float projection that become one integer projection.

    name: of the integer projection. sign_mode: of SIGN_MODES. keep: which synapses of the float projection, bool (n_synapses,).
    weight_bits: of a weight, sign included; below 9 the last 9 - weight_bits bits of every mantissa are 0, as with Lava's num_weight_bits.
    """

    name: str
    projection: Projection
    sign_mode: str
    keep: NDArray[np.bool_]
    weight_bits: int = MAX_WEIGHT_BITS

    @property
    def weight(self) -> NDArray[np.float64]:
        """Return the float weights of this part."""
        weight: NDArray[np.float64] = self.projection.weight[self.keep]
        return weight

    @property
    def step(self) -> int:
        """Return the step from one mantissa to the next."""
        return int(SIGN_MODES[self.sign_mode][2]) << (MAX_WEIGHT_BITS - self.weight_bits)

    @property
    def bounds(self) -> tuple[int, int]:
        """Return the least and the greatest mantissa."""
        low, high, _ = SIGN_MODES[self.sign_mode]
        return -(-low // self.step) * self.step, high // self.step * self.step

    @property
    def most(self) -> int:
        """Return the largest |mantissa| of a sign mode without both signs: 255 of 9 bits, 240 of 5."""
        return 2 ** (MAX_WEIGHT_BITS - 1) - 2 ** (MAX_WEIGHT_BITS - self.weight_bits)

    def mantissas(self, scale: float, exponent: int) -> NDArray[np.int64]:
        """Return the weights as mantissas of the sign mode, rounded half to even and clipped."""
        whole = self.step * np.rint(self.weight * scale / (self.step * 2.0 ** (SCALE_BITS + exponent)))
        return np.clip(whole, *self.bounds).astype(np.int64)

    def fit_exponent(self, scale: float, size: float) -> int:
        """Return the least exponent at which a weight of that size, in float units, fits; see `neuro.graph.fit_exponent`."""
        return fit_exponent(scale * size * (2 ** (MAX_WEIGHT_BITS - 1) - 1) / self.most)

    def errors(self, scale: float, exponent: int) -> NDArray[np.float64]:
        """Return what each weight is changed by, in float units."""
        return self.mantissas(scale, exponent) * (2.0 ** (SCALE_BITS + exponent) / scale) - self.weight


def parts_of(graph: Graph, *, split: bool = True, weight_bits: int = MAX_WEIGHT_BITS) -> tuple[Part, ...]:
    """Cut each projection into the parts that a chip holds: by sign (split; 8 bits a weight), or whole (mixed; 7 bits and a sign).

    A projection with one sign only is one part of its own name; otherwise NAME.exc (zeros go there) and NAME.inh.
    weight_bits: as in `Part`.
    """
    found = []
    for c in graph.projections:
        positive, negative = c.weight > 0, c.weight < 0
        everything = np.ones(c.size, dtype=bool)
        if not negative.any():
            found.append(Part(c.name, c, "excitatory", everything, weight_bits))
        elif not positive.any():
            found.append(Part(c.name, c, "inhibitory", everything, weight_bits))
        elif not split:
            found.append(Part(c.name, c, "mixed", everything, weight_bits))
        else:
            found.append(Part(f"{c.name}.exc", c, "excitatory", ~negative, weight_bits))
            found.append(Part(f"{c.name}.inh", c, "inhibitory", negative, weight_bits))
    return tuple(found)


@dataclass(frozen=True)
class Passes:
    """Hold the notes of the passes that a profile needed, None for each that it did not."""

    soft_reset: SoftResetNote | None = None
    ahp: AhpNote | None = None


def convert(graph: Graph, parts: tuple[Part, ...], plan: Plan, profile: Profile) -> tuple[Graph, Passes]:
    """Return the integer graph of a plan, and the notes of the passes that the profile needs.

    On a chip that resets to zero alone, `keep_soft_reset` keeps reset "threshold"; what it leaves, and any other reset, becomes
    "zero". Adaptive thresholds that are left become slow currents by `to_ahp`. Synapses whose mantissa is 0 are left out.
    Raises GraphError if the plan is out of a range.
    """
    populations = tuple(_population(p, plan.scales.get(p.name, 1.0), profile) for p in graph.populations)
    projections = tuple(_projection(part, plan) for part in parts)
    made = Graph(
        populations=populations, projections=projections, dt_ms=graph.dt_ms, name=graph.name, notes=graph.notes
    )
    soft: SoftResetNote | None = None
    if "threshold" not in profile.resets and any(isinstance(p, IntLIF) and p.reset == "threshold" for p in populations):
        made, soft = _soft(made, profile)
    if "IntALIF" in profile.kinds or not any(isinstance(p, IntALIF) for p in made.populations):
        return made, Passes(soft)
    made, ahp = to_ahp(made, rescale=False)  # the scale is the search's to choose
    return made, Passes(soft, ahp)


def _soft(graph: Graph, profile: Profile) -> tuple[Graph, SoftResetNote]:
    """Keep the soft resets that the chip can hold, and make the others hard."""
    graph, note = keep_soft_reset(graph)
    populations: list[Any] = []
    for p in graph.populations:
        if p.name in note.kept:
            assert isinstance(p, (IntLIF, AHP))
            populations.append(replace(p, bias=representable_bias(p.bias.astype(np.float64), profile)))
        elif isinstance(p, IntLIF):
            populations.append(replace(p, reset="zero"))
        else:
            populations.append(p)
    return replace(graph, populations=tuple(populations)), note


def representable_bias(bias: NDArray[np.float64], profile: Profile) -> NDArray[np.int64]:
    """Return the nearest biases that a profile's chip holds, in units of v, int64 of the same shape."""
    return round_to_bias(bias, profile.bias_mantissa_bits, profile.bias_exponent_bits)


def _projection(part: Part, plan: Plan) -> IntProjection:
    c, exponent = part.projection, plan.exponents[part.name]
    mantissas = part.mantissas(plan.scales[c.target], exponent)
    kept = mantissas != 0
    return IntProjection(
        name=part.name,
        source=c.source,
        target=c.target,
        pre=c.pre[part.keep][kept],
        post=c.post[part.keep][kept],
        weight=mantissas[kept],
        delay=c.delay[part.keep][kept],
        exponent=exponent,
        sign_mode=part.sign_mode,
        plasticity=c.plasticity,
    )


def _population(p: Population, scale: float, profile: Profile) -> Population:
    if isinstance(p, LI):
        bias = representable_bias(scale * p.bias, profile)
        return IntLI(name=p.name, size=p.size, d_u=MAX_D, d_y=integer_decay(p.kappa), bias=bias)
    if not isinstance(p, LIF):
        return p
    shared: dict[str, Any] = {
        "name": p.name,
        "size": p.size,
        "d_u": MAX_D,
        "d_v": integer_decay(p.alpha),
        "v_th": np.clip(np.rint(scale * p.v_th / 2**SCALE_BITS), 1, MAX_V_TH).astype(np.int64),
        "bias": representable_bias(scale * p.bias, profile),
        "n_ref": p.n_ref,
        "reset": p.reset if p.reset in profile.resets or p.reset == "threshold" else "zero",
    }
    if not isinstance(p, ALIF):
        return IntLIF(**shared)
    bump = np.clip(np.rint(scale * p.beta), -MAX_STATE, MAX_STATE).astype(np.int64)
    return IntALIF(**shared, d_a=integer_decay(p.rho), bump=bump)
