"""Judge integer graphs by small named rules; `neuro.graph.rules` runs them with its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from neuro.errors import nearest
from neuro.graph.integer import (
    EXPONENTS,
    MAX_D,
    MAX_N_REF,
    MAX_STATE,
    MAX_V_TH,
    SIGN_MODES,
    STATE_BITS,
    SUM_LIMIT,
    IntLIF,
    IntProjection,
)
from neuro.graph.kinds import INTEGER, Population
from neuro.graph.nodes import INPUTS, RESETS, CurrentInput, Projection
from neuro.graph.pieces import parts

Populations = Sequence[Population]
Projections = Sequence[Projection]
Bad = Callable[[str, Any, Callable[[Any], Any], str, str], Iterator[str]]

_LEAST_STATE_BITS = 8
_RANGES = {
    **dict.fromkeys(("d_u", "d_v", "d_a", "d_x", "d_y"), (0, MAX_D)),
    "v_th": (1, MAX_V_TH),
    "n_ref": (0, MAX_N_REF),
    "bias": (-MAX_STATE, MAX_STATE),
    "bump": (-MAX_STATE, MAX_STATE),
    "w_x": (-MAX_STATE, 0),
}


def bad(where: str, values: Any, test: Callable[[Any], Any], need: str, unit: str) -> Iterator[str]:
    """Yield a message that names the first value that fails `test`, and how many do."""
    where_failed = [np.flatnonzero(~np.asarray(test(values[k]), dtype=bool)) + k.start for k in parts(len(values))]
    failed = np.concatenate([np.zeros(0, np.int64), *where_failed])
    if failed.size:
        first = int(failed[0])
        yield (
            f"{where} out of range (got {values[first].item()} at {unit} {first}, {failed.size} in all; need {need}). "
            "Correct the array."
        )


def semantics_are_one(populations: Populations, projections: Projections, dt_ms: float) -> Iterator[str]:
    """A graph is float or integer as a whole: populations, projections and inputs."""
    integer = {p.name for p in populations if isinstance(p, INTEGER)}
    plain = [p.name for p in populations if not isinstance(p, INTEGER) and not isinstance(p, INPUTS)]
    if integer and plain:
        yield (
            f"graph: float and integer populations together (got float {', '.join(plain)} and integer "
            f"{', '.join(sorted(integer))}; need one kind). Quantize the whole graph (neuro.quantize)."
        )
    for p in populations:
        if integer and isinstance(p, CurrentInput):
            yield (
                f"population '{p.name}': currents into an integer graph (got a CurrentInput; need SpikeInput). A chip takes "
                "spikes: code the values as spikes, in the task or with a population of neurons."
            )
    for c in projections:
        if isinstance(c, IntProjection) and c.target not in integer:
            yield (
                f"projection '{c.name}': integer synapses into a float population (got target '{c.target}'; need an integer "
                "one). Use Projection."
            )
        if not isinstance(c, IntProjection) and c.target in integer:
            yield (
                f"projection '{c.name}': float synapses into an integer population (got target '{c.target}'; need "
                "IntProjection). Use int_projections, or quantize a float graph."
            )


def integers_are_in_range(populations: Populations, projections: Projections, dt_ms: float) -> Iterator[str]:
    """Decays have 12 bits, thresholds 17, refractory periods 6; resets are known; widths are 8..24 bits."""
    for p in populations:
        if not isinstance(p, INTEGER):
            continue
        where = f"population '{p.name}'"
        for field in p.parameters:
            low, high = _RANGES[field]
            test = lambda x, low=low, high=high: (x >= low) & (x <= high)  # noqa: E731
            yield from bad(f"{where}: {field}", getattr(p, field), test, f"{low}..{high}", "neuron")
        if isinstance(p, IntLIF) and p.reset not in RESETS:
            hint = nearest(str(p.reset), RESETS) or "Choose one."
            yield f"{where}: unknown reset (got {p.reset!r}; need one of {', '.join(RESETS)}). {hint}"
        if not _LEAST_STATE_BITS <= p.state_bits <= STATE_BITS:
            yield (
                f"{where}: state_bits out of range (got {p.state_bits}; need {_LEAST_STATE_BITS}..{STATE_BITS}). "
                "Give the width of a state."
            )


def mantissas_fit(populations: Populations, projections: Projections, dt_ms: float) -> Iterator[str]:
    """Weights are mantissas of their sign mode, and the exponent is in -6..7."""
    for c in projections:
        if not isinstance(c, IntProjection):
            continue
        where = f"projection '{c.name}'"
        if not EXPONENTS[0] <= c.exponent <= EXPONENTS[1]:
            yield (
                f"{where}: exponent out of range (got {c.exponent}; need {EXPONENTS[0]}..{EXPONENTS[1]}). "
                "Scale weights and threshold together."
            )
        if c.sign_mode not in SIGN_MODES:
            hint = nearest(str(c.sign_mode), SIGN_MODES) or "Choose one."
            yield f"{where}: unknown sign_mode (got {c.sign_mode!r}; need one of {', '.join(SIGN_MODES)}). {hint}"
            continue
        low, high, step = SIGN_MODES[c.sign_mode]
        failed = (c.weight < low) | (c.weight > high) | (c.weight % step != 0)
        if failed.any():
            first = int(np.flatnonzero(failed)[0])
            need = f"{'even numbers ' if step == 2 else ''}{low}..{high}"
            beyond = c.weight.max() > 255 or c.weight.min() < min(low, -255)
            do = (
                "Use a larger exponent, and halve the weights for each step of it."
                if beyond
                else "Leave sign_mode out: Builder.connect and int_projections then split weights by sign where they have to."
            )
            yield (
                f"{where}: weight does not fit sign_mode '{c.sign_mode}' (got {int(c.weight[first])} at synapse {first}, "
                f"{int(failed.sum())} in all; need {need}). {do}"
            )


def integer_sums_fit(populations: Populations, projections: Projections, dt_ms: float) -> Iterator[str]:
    """What may arrive at a neuron in one step, sum |w| * 2**(6 + e), is below 2**31."""
    for p in populations:
        if not isinstance(p, INTEGER):
            continue
        total = np.zeros(p.size)
        for c in projections:
            if c.target == p.name and isinstance(c, IntProjection):
                total += np.bincount(c.post, weights=np.abs(c.activation), minlength=p.size)
        if total.max() >= SUM_LIMIT:
            worst = int(total.argmax())
            yield (
                f"population '{p.name}': sum of |weight| * 2**(6 + exponent) too large (got {int(total[worst])} at neuron "
                f"{worst}; need < {SUM_LIMIT}). Use a smaller exponent or fewer synapses."
            )


FORM = (semantics_are_one,)
VALUES = (integers_are_in_range, mantissas_fit)
SUMS = (integer_sums_fit,)
