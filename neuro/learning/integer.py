"""Hold the weights that learn in a few bits, as a chip does, and round what changes them stochastically.

A projection whose rule has bits > 0 has one scale q, a power of two, found once before learning (`to_bits`) and kept with the rule. Its
weights are w = m q with whole mantissas |m| <= 2^(bits-1) - 1: -127..127 for 8 bits. (Loihi's sign mode "mixed" holds even numbers
-256..254: the mantissa 2m, of a weight twice as fine.) An update that asks for w' = w - lr gradient becomes, with x = w' / q after
clipping to the mantissas' range,

    m = floor(x) + [u < x - floor(x)],     u uniform in [0, 1),

so that E[m q] = w' within the range: steps far smaller than q are made rarely, but not lost. A weight that is asked to stay stays.

u is a function of where it is used, so it depends on no order, no thread and no backend. All in 64-bit integers modulo 2^64, with
mix the finalizer of SplitMix64 and G = 0x9E3779B97F4A7C15,

    next(s, n) = mix(s + (n + 1) G),      mix(z):  z = (z ^ z >> 30) 0xBF58476D1CE4E5B9;  z = (z ^ z >> 27) 0x94D049BB133111EB;  z ^ z >> 31
    u = floor(next(next(next(key, sample), step), synapse) / 2^11) / 2^53

key: the first 64-bit number of the stream "rounding/PROJECTION" of rounding_seed (`neuro.seeds`). sample: how many the run has learned
from before; of an optimiser's step, before its batch. step: t for what changes at step t; the number of steps T for what
changes after the last one; 0 for an optimiser's. synapse: its number in the projection. Biases that learn stay on their population's grid:
a chip holds them wider.

Sources: stochastic rounding of Loihi's learning engine, Davies et al. 2018 (IEEE Micro 38:82); why it can learn at 8 bits, Gupta et
al. 2015 (ICML); SplitMix64, Steele, Lea & Flood 2014 (OOPSLA), of which next(s, n) is number n of the stream from s.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from neuro import seeds
from neuro.errors import GraphError
from neuro.graph import LI, FloatReceiver, Graph, Projection
from neuro.learning.local import FloatArray
from neuro.learning.rules import STDP, Rule, rule_of

READOUT_GROWTH = 8.0
"""How much more room than a neuron's weights a readout's have, which begin small. Learning in float, the largest grew 5.8, 11.8 and 16.6
times as large, where those of neurons grew 0.96 to 1.7 times (models/pattern_generation and models/evidence_accumulation)."""

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
UInt64 = NDArray[np.uint64]


def most(rule: Rule) -> int:
    """Return the largest mantissa."""
    return (1 << rule.bits - 1) - 1


def to_bits(graph: Graph) -> Graph:
    """Return the graph with the weights of each projection whose rule has bits > 0 rounded, half to even, to its mantissas.

    A rule without a scale gets one: the least power of two by which the largest mantissa reaches w_max of the rule, or else headroom
    times the largest weight (into a readout READOUT_GROWTH times that). Weights beyond the mantissas of a given scale are clipped; those
    within the rule's own bounds stay within.
    """
    return replace(graph, projections=tuple(_rounded(graph, c) for c in graph.projections))


def _rounded(graph: Graph, c: Projection) -> Projection:
    rule = rule_of(c.plasticity) if c.plasticity is not None else None
    target = graph.population(c.target)
    if c.plasticity is None or rule is None or rule.bits == 0 or not isinstance(target, FloatReceiver):
        return c
    if rule.scale == 0:
        rule = replace(rule, scale=_scale(rule, c, target))
    mantissas = np.clip(np.rint(c.weight / rule.scale), -most(rule), most(rule))
    least, largest = _own_bounds(rule)
    within = np.clip(mantissas, np.ceil(least / rule.scale), np.floor(largest / rule.scale))
    mantissas = np.where((c.weight >= least) & (c.weight <= largest), within, mantissas)
    return replace(c, weight=mantissas * rule.scale + 0.0, plasticity=rule.plasticity(c.plasticity.signal))


def _own_bounds(rule: Rule) -> tuple[float, float]:
    """Return the least and the largest weight that a rule allows, whatever its mantissas reach."""
    if isinstance(rule, STDP):
        return rule.w_min, rule.w_max
    return (-rule.w_max, rule.w_max) if rule.w_max else (-math.inf, math.inf)


def _scale(rule: Rule, c: Projection, target: FloatReceiver) -> float:
    largest = float(np.abs(c.weight).max(initial=0.0))
    top = max(rule.w_max, -rule.w_min) if isinstance(rule, STDP) else rule.w_max
    if not top:
        unit = 1.0 if isinstance(target, LI) else float(target.v_th.max())
        top = (largest or unit) * rule.headroom * (READOUT_GROWTH if isinstance(target, LI) else 1.0)
    mantissa, exponent = math.frexp(max(top, largest) / most(rule))
    return math.ldexp(1.0, exponent - (mantissa == 0.5))


def check(rule: Rule, weight: FloatArray, grid: float | None, where: str) -> None:
    """Raise GraphError unless weights are mantissas of a rule's bits and scale, which are on the grid of their population."""
    if rule.scale == 0:
        raise GraphError(
            f"{where}: weights of {rule.bits} bits without a scale (got scale 0; need a power of two). Call make_room before learning."
        )
    if grid is not None and rule.scale < grid:
        raise GraphError(
            f"{where}: scale is finer than the target's grid (got {rule.scale}; need at least {grid}). Choose a larger scale."
        )
    mantissa = weight / rule.scale
    off = np.flatnonzero((np.rint(mantissa) != mantissa) | (np.abs(mantissa) > most(rule)))
    if off.size:
        k = int(off[0])
        raise GraphError(
            f"{where}: weight is none of {rule.bits} bits (got {weight[k]} at {k}, {off.size} in all; need whole multiples of {rule.scale} up to "
            f"{most(rule)}). Call make_room before learning."
        )


# ----------------------------------------------------------------------------------------------------------- randomness


def key_of(rule: Rule, projection: str) -> int:
    """Return the key of a projection's random numbers, 0..2^64-1."""
    return int(seeds.stream(rule.rounding_seed, f"rounding/{projection}").integers(2**64, dtype=np.uint64))


def draw(state: UInt64 | int, n: UInt64 | int) -> UInt64:
    """Return next(s, n) of the module's equations, uint64 of the arguments' common shape."""
    with np.errstate(over="ignore"):  # numpy warns of scalars alone
        z = np.asarray(state, np.uint64) + (np.asarray(n, np.uint64) + np.uint64(1)) * _GOLDEN
        z = (z ^ z >> np.uint64(30)) * _FIRST
        z = (z ^ z >> np.uint64(27)) * _SECOND
        return np.asarray(z ^ z >> np.uint64(31))


def uniform(key: int, sample: int, step: int, n: int) -> FloatArray:
    """Return u of synapses 0..n-1, float64 in [0, 1)."""
    last = draw(draw(key, sample), step)
    return (draw(last, np.arange(n, dtype=np.uint64)) >> np.uint64(11)).astype(np.float64) * 2.0**-53
