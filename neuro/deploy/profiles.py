"""State what a chip holds: every width and limit of a profile, each with its source and how sure it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import NamedTuple

from neuro.errors import UnsupportedError, nearest
from neuro.graph import RESETS

_DAVIES = "Davies et al. 2018, IEEE Micro 38(1):82"
_NENGO = "nengo-loihi 1.1, block.py"
_LAVA = "lava-nc 0.10, LIF in bit_accurate_loihi mode"
_BRIEF = "Intel technology brief on Loihi 2 (2021), as quoted by others"
_NONE = "not published"


class Source(NamedTuple):
    """Say where a figure comes from, and how sure it is: "verified" (read in the source), "secondary", "derived", "not published"."""

    text: str
    sure: str = "verified"


@dataclass(frozen=True, kw_only=True)
class Profile:
    """What one kind of chip holds. A limit of None is not published and not checked.

    | field | unit | meaning |
    | --- | --- | --- |
    | kinds, resets | | kinds of population, and resets of LIF and ALIF, that its neurons can be |
    | max_delay, max_n_ref | steps | longest delay and refractory period |
    | weight_bits | bits | of a mantissa, sign included |
    | v_th_bits, state_bits, decay_bits | bits | widths of thresholds, states and decays |
    | bias_mantissa_bits, bias_exponent_bits | bits | a bias is mantissa * 2**exponent; the mantissa has a sign |
    | n_chip_cores, n_core_compartments | | neuron cores a chip, compartments a core |
    | compartments | | taken by a neuron, by kind |
    | synaptic_memory_bits | bits a core | for synapses alone |
    | core_memory_bits | bits a core | for synapses and everything else: a bound from above, used where the first is not published |
    | n_axons_in, n_axons_out | a core | input and output axons |
    | max_fan_in | | different (source neuron, projection) pairs that one neuron can listen to |
    | max_chip_synapses | a chip | |
    | sources | | by field |
    """

    name: str
    kinds: frozenset[str]
    resets: frozenset[str]
    max_delay: int
    max_n_ref: int
    weight_bits: int
    v_th_bits: int
    state_bits: int
    decay_bits: int
    bias_mantissa_bits: int
    bias_exponent_bits: int
    n_chip_cores: int
    n_core_compartments: int
    compartments: Mapping[str, int]
    synaptic_memory_bits: int | None
    core_memory_bits: int | None
    n_axons_in: int | None
    n_axons_out: int | None
    max_fan_in: int | None
    max_chip_synapses: int | None
    sources: Mapping[str, Source]

    @property
    def max_bias(self) -> int:
        """Return the largest bias that mantissa and exponent can hold."""
        return (2 ** (self.bias_mantissa_bits - 1) - 1) << (2**self.bias_exponent_bits - 1)

    def __str__(self) -> str:
        width = max(len(f.name) for f in fields(self))
        lines = [f"profile {self.name}"]
        for f in fields(self):
            if f.name in self.sources:
                source = self.sources[f.name]
                lines.append(f"  {f.name:<{width}}  {_shown(getattr(self, f.name)):<34}  {source.text} ({source.sure})")
        return "\n".join(lines)


def profile(name: str | Profile) -> Profile:
    """Return a profile by name, or a profile as it is. Raises UnsupportedError for an unknown one, naming the nearest."""
    if isinstance(name, Profile):
        return name
    if not isinstance(name, str) or name not in PROFILES:
        hint = nearest(str(name), PROFILES) or "Choose one of them."
        raise UnsupportedError(f"profile '{name}': not known (got '{name}'; need one of {', '.join(PROFILES)}). {hint}")
    return PROFILES[name]


def _shown(value: object) -> str:
    if value is None:
        return "not published: not checked"
    if isinstance(value, frozenset):
        return ", ".join(sorted(value))
    if isinstance(value, Mapping):
        return ", ".join(f"{k} {v}" for k, v in value.items())
    return str(value)


_WIDTHS: dict[str, Source] = {
    "weight_bits": Source(f"{_DAVIES}: 1 to 9 bits; mantissas as in lava-nc 0.10, Dense and Sparse"),
    "v_th_bits": Source(_LAVA),
    "state_bits": Source(_LAVA),
    "decay_bits": Source(_LAVA),
    "bias_mantissa_bits": Source(_LAVA),
    "bias_exponent_bits": Source(_LAVA),
}

LOIHI1 = Profile(
    name="loihi1",
    kinds=frozenset({"SpikeInput", "IntLIF", "AHP", "IntLI"}),
    resets=frozenset({"zero"}),
    max_delay=62,
    max_n_ref=63,
    weight_bits=9,
    v_th_bits=17,
    state_bits=24,
    decay_bits=12,
    bias_mantissa_bits=13,
    bias_exponent_bits=3,
    n_chip_cores=128,
    n_core_compartments=1024,
    compartments={"IntLIF": 1, "AHP": 2, "IntLI": 1},
    synaptic_memory_bits=128 * 1024 * 8,
    core_memory_bits=None,
    n_axons_in=4096,
    n_axons_out=4096,
    max_fan_in=4096,
    max_chip_synapses=None,
    sources={
        **_WIDTHS,
        "kinds": Source("Rao et al. 2022, Nat. Mach. Intell. 4:467: adaptation as a second compartment", "secondary"),
        "resets": Source(f"{_LAVA}: a spike sets v to 0"),
        "max_delay": Source(_DAVIES, "secondary"),
        "max_n_ref": Source(
            "6 bits (docs/semantics.md); brian2-loihi on PyPI has 1..64, counted from the spike itself", "secondary"
        ),
        "n_chip_cores": Source(_DAVIES, "secondary"),
        "n_core_compartments": Source(f"{_DAVIES}; {_NENGO}"),
        "compartments": Source("Rao et al. 2022: main and auxiliary compartment", "secondary"),
        "synaptic_memory_bits": Source(f"{_DAVIES}: 128 KB; {_NENGO}: 1,048,576 bits"),
        "core_memory_bits": Source("not needed: the synaptic memory has a size of its own", "derived"),
        "n_axons_in": Source(f"{_DAVIES}; {_NENGO}"),
        "n_axons_out": Source(f"{_DAVIES}; {_NENGO}"),
        "max_fan_in": Source("each needs an input axon of the neuron's core", "derived"),
        "max_chip_synapses": Source("follows from the memory of the cores", "derived"),
    },
)

LOIHI2 = Profile(
    name="loihi2",
    kinds=frozenset({"SpikeInput", "IntLIF", "IntALIF", "AHP", "IntLI"}),
    resets=frozenset(RESETS),
    max_delay=62,
    max_n_ref=63,
    weight_bits=9,
    v_th_bits=17,
    state_bits=24,
    decay_bits=12,
    bias_mantissa_bits=13,
    bias_exponent_bits=3,
    n_chip_cores=120,
    n_core_compartments=8192,
    compartments={"IntLIF": 1, "IntALIF": 1, "AHP": 2, "IntLI": 1},
    synaptic_memory_bits=None,
    core_memory_bits=192 * 1024 * 8,
    n_axons_in=None,
    n_axons_out=None,
    max_fan_in=None,
    max_chip_synapses=120_000_000,
    sources={
        **_WIDTHS,
        "kinds": Source(f"{_BRIEF}: neuron models are programmed", "secondary"),
        "resets": Source(f"{_BRIEF}: neuron models are programmed", "secondary"),
        "max_delay": Source("as Loihi 1; the chip's own limit is not published", "derived"),
        "max_n_ref": Source("6 bits (docs/semantics.md); in a programmed neuron a choice of ours", "derived"),
        "n_chip_cores": Source("papers of users count 120; the brief says at most 128", "secondary"),
        "n_core_compartments": Source(
            f"{_BRIEF}: 1 million neurons a chip; papers of users say up to 8,192 a core", "secondary"
        ),
        "compartments": Source("a programmed neuron holds its own adaptation; AHP as on Loihi 1", "derived"),
        "synaptic_memory_bits": Source("allocated from the core's memory", _NONE),
        "core_memory_bits": Source(f"{_BRIEF}: 192 KB, flexible allocation", "secondary"),
        "n_axons_in": Source("no figure found", _NONE),
        "n_axons_out": Source("no figure found", _NONE),
        "max_fan_in": Source("no figure found", _NONE),
        "max_chip_synapses": Source(_BRIEF, "secondary"),
    },
)

PROFILES: dict[str, Profile] = {p.name: p for p in (LOIHI1, LOIHI2)}
"""Profiles by name."""
