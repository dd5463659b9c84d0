"""Hold an integer graph's values against a profile: kinds, resets, delays, refractory periods, biases, weights of own spikes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neuro.deploy.convert import representable_bias
from neuro.deploy.profiles import Profile
from neuro.graph import AHP, EXPONENTS, INPUTS, SCALE_BITS, Graph, IntALIF, IntLIF, kind


@dataclass(frozen=True, kw_only=True)
class Broken:
    """One limit that is broken: where (population, projection, neuron, core), what, the value, the limit, and what to do."""

    where: str
    what: str
    value: int | str
    limit: int | str
    do: str

    def __str__(self) -> str:
        need = f"at most {self.limit}" if isinstance(self.limit, int) else self.limit
        return f"{self.where}: {self.what} (got {self.value}; need {need}). {self.do}."


def broken_values(graph: Graph, profile: Profile) -> tuple[Broken, ...]:
    """Return every value of an integer graph that a profile cannot hold."""
    return (*_populations(graph, profile), *_delays(graph, profile))


def _populations(graph: Graph, profile: Profile) -> Iterator[Broken]:
    for p in graph.populations:
        where = f"population '{p.name}'"
        if kind(p) not in profile.kinds:
            can = ", ".join(sorted(profile.kinds))
            do = f"Convert it with neuro.deploy.{_pass_for(p)}" if isinstance(p, IntALIF) else "Use another kind"
            yield Broken(where=where, what=f"kind that {profile.name} does not have", value=kind(p), limit=can, do=do)
        if isinstance(p, INPUTS):
            continue
        if isinstance(p, IntLIF) and p.reset not in profile.resets:
            can = ", ".join(sorted(profile.resets))
            yield Broken(
                where=where,
                what="reset that its neurons cannot do",
                value=p.reset,
                limit=can,
                do="Convert it with neuro.deploy.keep_soft_reset"
                if p.reset == "threshold"
                else "Train with reset 'zero'",
            )
        n_ref: NDArray[np.int64] = getattr(p, "n_ref", np.zeros(1, np.int64))
        if n_ref.max() > profile.max_n_ref:
            j = int(n_ref.argmax())
            yield Broken(
                where=f"{where}, neuron {j}", what="refractory period too long", value=int(n_ref[j]),
                limit=profile.max_n_ref, do="Use a shorter one",
            )  # fmt: skip
        off = representable_bias(p.bias.astype(np.float64), profile) != p.bias
        if off.any():
            j = int(np.flatnonzero(off)[0])
            mantissa, exponent = profile.bias_mantissa_bits, profile.bias_exponent_bits
            yield Broken(
                where=f"{where}, neuron {j}", what=f"bias without mantissa and exponent ({int(off.sum())} such neurons)",
                value=int(p.bias[j]), limit=f"a mantissa of {mantissa} bits times 2**(0..{2**exponent - 1})",
                do=f"Round it, to {representable_bias(p.bias.astype(np.float64), profile)[j]} for example",
            )  # fmt: skip
        if isinstance(p, AHP):
            yield from _own_weights(where, p)


def _pass_for(p: IntALIF) -> str:
    """Name the pass that makes an adaptive threshold a current."""
    return "keep_soft_reset" if p.reset == "threshold" else "to_ahp"


def _own_weights(where: str, p: AHP) -> Iterator[Broken]:
    """w_x is the weight of a synapse: a mantissa of -255..0 with one exponent for the population."""
    for exponent in range(EXPONENTS[0], EXPONENTS[1] + 1):
        unit = 2 ** (SCALE_BITS + exponent)
        if np.all(p.w_x % unit == 0) and np.all(p.w_x >= -255 * unit):
            return
    yield Broken(
        where=where, what="w_x is no synaptic weight", value=f"{p.w_x.min()}..{p.w_x.max()}",
        limit="mantissas of -255..0 times one 2**(6 + e), e in -6..7", do="Round w_x to multiples of a power of two",
    )  # fmt: skip


def _delays(graph: Graph, profile: Profile) -> Iterator[Broken]:
    for c in graph.projections:
        if c.size and int(c.delay.max()) > profile.max_delay:
            k = int(c.delay.argmax())
            yield Broken(
                where=f"projection '{c.name}', synapse {k}", what="delay too long", value=int(c.delay[k]),
                limit=profile.max_delay, do="Use shorter delays, or relay neurons",
            )  # fmt: skip
