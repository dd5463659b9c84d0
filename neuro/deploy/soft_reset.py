"""Keep the reset by subtraction on a chip that resets to zero: hold the membrane in the synaptic current.

A chip's hard reset clears v and holds it at 0 while the neuron is refractory; the current u goes on. So let u be the membrane: it decays by
what was d_v, v has no memory (d_v = 4095) and is u of the step plus what the auxiliary compartment sends, and each neuron takes its
threshold off its own u through a synapse of its own, one step after a spike:

    u(t) = decay(u(t-1)) + arrivals - 64 v_th z(t-1);   v(t) = u(t) + x(t) + bias, or 0 while refractory;   z(t) = v(t) > 64 v_th

That is reset "threshold", with the membrane that integrates while refractory, to the bit of u; and an adaptive threshold A = 64 v_th + a is
crossed exactly where u + x crosses 64 v_th with x = -a, so that ALIF becomes AHP without a fit. What is approximate: thresholds and bumps are
rounded to synaptic weights, 1 / 4096 of the last v stays, and a bias acts at once where the membrane would have charged. It costs one
synapse a neuron and one synaptic event a spike. The derivation is ours; the compartments are those of Rao et al. 2022
(Nat. Mach. Intell. 4:467).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from neuro.errors import QuantizationError
from neuro.graph import (
    AHP,
    DECAY_ONE,
    EXPONENTS,
    MAX_D,
    SCALE_BITS,
    Graph,
    IntALIF,
    IntLIF,
    IntProjection,
    fit_exponent,
    round_to_mantissas,
)

LARGEST_V_TH = 255 << EXPONENTS[1]
"""Largest threshold, in units of 2**6, that a synapse of the neuron's own can take off."""
_LARGEST_BUMP = LARGEST_V_TH << SCALE_BITS


@dataclass(frozen=True, kw_only=True)
class SoftReset:
    """How one population was converted.

    kind: what it is now, IntLIF or AHP. v_th_error, w_x_error: largest relative change of a threshold, of a bump, by rounding to
    a weight. n_synapses: added. biased: neurons whose bias acts at once now.
    """

    kind: str
    v_th_error: float
    w_x_error: float
    n_synapses: int
    biased: int


@dataclass(frozen=True)
class SoftResetNote:
    """What `keep_soft_reset` changed, by population, and which populations with reset "threshold" it left, with the reason."""

    kept: Mapping[str, SoftReset]
    left: Mapping[str, str]

    def __str__(self) -> str:
        lines = []
        for name, soft in self.kept.items():
            text = (
                f"  '{name}': reset 'threshold' kept: the membrane is held in u, and {soft.n_synapses} synapses take v_th off "
                f"(thresholds changed by up to {100 * soft.v_th_error:.2g} %)"
            )
            if soft.kind == "AHP":
                text += f"; adaptive threshold as a current, two compartments a neuron (bumps changed by up to {100 * soft.w_x_error:.2g} %)"
            if soft.biased:
                text += f"; the bias of {soft.biased} neurons acts from the first step on"
            lines.append(text)
        lines += [f"  '{name}': reset 'threshold' not kept: {why}" for name, why in self.left.items()]
        return "\n".join(["resets:", *lines]) if lines else "resets: none by subtraction"


def keep_soft_reset(graph: Graph) -> tuple[Graph, SoftResetNote]:
    """Convert IntLIF and IntALIF populations with reset "threshold" to ones that reset to zero, and spike as before.

    IntLIF stays IntLIF, IntALIF becomes AHP; each gets a projection to itself, NAME.reset. Left as they are, with the reason in the
    note: populations with a synaptic current of their own (d_u < 4095), with thresholds above 32640, a negative bump, or a bias on a
    membrane without a leak.
    Returns: the new graph and a SoftResetNote. Raises: QuantizationError for a float graph.
    """
    if graph.semantics != "integer":
        raise QuantizationError(
            "keep_soft_reset: float graph (got float semantics; need integer). Quantize it first (neuro.quantize)."
        )
    populations: list[Any] = []
    projections = list(graph.projections)
    kept: dict[str, SoftReset] = {}
    left: dict[str, str] = {}
    for p in graph.populations:
        if not isinstance(p, IntLIF) or p.reset != "threshold":
            populations.append(p)
            continue
        why = _obstacle(p)
        if why:
            left[p.name] = why
            populations.append(p)
            continue
        made, own, kept[p.name] = _convert(p)
        populations.append(made)
        projections.append(own)
    converted = replace(graph, populations=tuple(populations), projections=tuple(projections))
    return converted, SoftResetNote(kept, left)


def _obstacle(p: IntLIF) -> str:
    if (p.d_u != MAX_D).any():
        return f"its synapses have a current of their own (d_u {int(p.d_u.min())}; need {MAX_D})"
    if p.v_th.max() > LARGEST_V_TH:
        return f"no synapse can take its threshold off (v_th {int(p.v_th.max())}; need at most {LARGEST_V_TH})"
    if isinstance(p, IntALIF) and (p.bump < 0).any():
        return f"its threshold falls with a spike (bump {int(p.bump.min())}; need >= 0)"
    if isinstance(p, IntALIF) and p.bump.max() > _LARGEST_BUMP:
        return f"no weight holds its bump (got {int(p.bump.max())}; need at most {_LARGEST_BUMP})"
    if ((p.bias != 0) & (p.d_v == 0)).any():
        return "a bias charges a membrane without a leak (d_v 0) for ever"
    return ""


def _convert(p: IntLIF) -> tuple[IntLIF | AHP, IntProjection, SoftReset]:
    exponent = max(0, fit_exponent(float(p.v_th.max() << SCALE_BITS)))
    mantissa = np.maximum(round_to_mantissas(p.v_th << SCALE_BITS, exponent), 1)
    v_th = mantissa << exponent
    shared: dict[str, Any] = {
        "name": p.name,
        "size": p.size,
        "d_u": np.maximum(p.d_v - 1, 0),
        "d_v": MAX_D,
        "v_th": v_th,
        "bias": np.rint(p.bias * (DECAY_ONE / np.maximum(p.d_v, 1))).astype(np.int64),
        "n_ref": p.n_ref,
        "state_bits": p.state_bits,
    }
    own = IntProjection(
        name=f"{p.name}.reset",
        source=p.name,
        target=p.name,
        pre=np.arange(p.size),
        post=np.arange(p.size),
        weight=-mantissa,
        delay=1,
        exponent=exponent,
        sign_mode="inhibitory",
    )
    made: IntLIF | AHP = IntLIF(**shared, reset="zero")
    w_x_error = 0.0
    if isinstance(p, IntALIF):
        scale = fit_exponent(float(p.bump.max()))
        w_x = -(round_to_mantissas(p.bump, scale) << (SCALE_BITS + scale))
        made = AHP(**shared, d_x=p.d_a, w_x=w_x)
        w_x_error = float((np.abs(w_x + p.bump) / np.maximum(p.bump, 1)).max())
    return made, own, SoftReset(
        kind=type(made).__name__,
        v_th_error=float((np.abs(v_th - p.v_th) / p.v_th).max()),
        w_x_error=w_x_error,
        n_synapses=p.size,
        biased=int(np.count_nonzero(p.bias)),
    )  # fmt: skip
