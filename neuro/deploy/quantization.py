"""Quantise: from a float graph to the integer graph that a Loihi-class chip computes."""

from __future__ import annotations

import json
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from neuro.backend import Stimulus
from neuro.deploy import note as notes
from neuro.deploy.behaviour import DEFAULT_RATE_HZ, distance, observe, poisson
from neuro.deploy.convert import MAX_WEIGHT_BITS, Plan, convert, parts_of
from neuro.deploy.note import QuantizeNote
from neuro.deploy.problems import problems
from neuro.deploy.profiles import Profile
from neuro.deploy.profiles import profile as profile_of
from neuro.deploy.search import first_plan, search
from neuro.errors import QuantizationError
from neuro.graph import ALIF, LIF, CurrentInput, Graph


def quantize(
    graph: Graph,
    profile: str | Profile,
    stimulus: Stimulus | None = None,
    *,
    seed: int = 0,
    max_runs: int = 48,
    split_signs: bool = True,
) -> tuple[Graph, QuantizeNote]:
    """Return the integer graph of a float graph for a profile, and a note of what changed.

    Each receiving population gets a scale s, integer units for one float unit: v_th = rint(s v_th / 64), bump = rint(s beta), bias =
    s bias rounded to mantissa and exponent, weights s w as mantissas with one exponent a projection, decays in 12 bits, and no
    synaptic memory. Scales and exponents are chosen first by weight error and headroom, then by search: the integer graph runs on
    the stimulus and the distance of its behaviour from the float graph's falls (`neuro.deploy.distance`).

    Parameters: profile, a name ("loihi1", "loihi2") or a Profile: `dataclasses.replace(profile("loihi1"), weight_bits=5)` rounds weights
    to 4 bits and a sign (synapses of `keep_soft_reset` keep 9 bits); stimulus, for calibration, None for Poisson spikes at 50 Hz from
    the seed; max_runs, runs of the integer graph in the search, 1 for none; split_signs, projections with both signs become two,
    NAME.exc and NAME.inh, with 8 bits a weight, and otherwise stay one with 7 bits and a sign (fewer axons).
    Returns: the graph, whose notes name the profile, the scales and the float graph; and a QuantizeNote.
    Raises: UnsupportedError for an unknown profile; QuantizationError with every reason if the graph cannot be quantised.
    """
    target = profile_of(profile)
    reasons = [*_width_refusals(target, split_signs), *refusals(graph, target)]
    if reasons:
        raise QuantizationError("\n".join(reasons))
    given = stimulus is not None
    stimulus = stimulus if stimulus is not None else poisson(graph, seed)
    before = observe(graph, stimulus, peaks=True)
    parts = parts_of(graph, split=split_signs, weight_bits=target.weight_bits)

    def measure(plan: Plan) -> NDArray[np.float64]:
        integer, _ = convert(graph, parts, plan, target)
        return distance(integer, before, observe(integer, stimulus), plan.scales)

    found = search(graph, parts, first_plan(graph, parts, before, target), before, target, measure, max_runs)
    integer, passes = convert(graph, parts, found.plan, target)
    after = observe(integer, stimulus, peaks=True)
    populations = {
        p.name: notes.population_change(graph, integer, p.name, found.plan, before, after) for p in graph.receivers
    }
    projections = {part.name: notes.projection_change(part, found.plan) for part in parts}
    note = QuantizeNote(
        profile=target.name,
        weight_bits=target.weight_bits,
        scales=dict(found.plan.scales),
        exponents=dict(found.plan.exponents),
        projections=projections,
        populations=populations,
        calibration=_calibration(graph, stimulus, given, seed),
        distance=found.distance,
        first_distance=found.first_distance,
        n_runs=found.n_runs,
        changes=notes.changes(graph, integer, passes.soft_reset),
        problems=problems(parts, found.plan, projections, populations, target.name),
        soft_reset=passes.soft_reset,
        ahp=passes.ahp,
    )
    return _noted(integer, graph, note), note


def _calibration(graph: Graph, stimulus: Stimulus, given: bool, seed: int) -> str:
    size = f"{stimulus.batch} samples of {stimulus.steps} steps"
    if given:
        return size
    if not graph.inputs:
        return f"{size}, without a stimulus, as the graph has no inputs"
    return (
        f"random spikes, since no stimulus was given (Poisson at {DEFAULT_RATE_HZ:g} Hz a channel, {size}, seed {seed})"
    )


def _width_refusals(profile: Profile, split_signs: bool) -> Iterator[str]:
    """Refuse widths that no mantissa has: with both signs in one list, 2 bits hold 0 and -1 alone."""
    least = 2 if split_signs else 3
    if not least <= profile.weight_bits <= MAX_WEIGHT_BITS:
        yield (
            f"quantize: weight_bits out of range (got {profile.weight_bits}; need {least}..{MAX_WEIGHT_BITS}, sign included). Choose a "
            "width in between."
        )


def refusals(graph: Graph, profile: Profile) -> list[str]:
    """Return every reason why a float graph has no integer form for a profile."""
    if graph.semantics == "integer":
        return [
            "quantize: integer graph (got integer semantics; need float). It is quantised already: check its placement."
        ]
    if not graph.receivers:
        return [
            "quantize: nothing to quantise (got inputs alone; need neurons or readouts). Add a population that receives."
        ]
    return [*_population_refusals(graph, profile), *_delay_refusals(graph, profile)]


def _population_refusals(graph: Graph, profile: Profile) -> Iterator[str]:
    for p in graph.populations:
        where = f"population '{p.name}'"
        if isinstance(p, CurrentInput):
            yield (
                f"{where}: currents cannot enter a chip (got a CurrentInput; need SpikeInput). Code the values as spikes in the task, "
                "or with a population of neurons."
            )
        if isinstance(p, LIF) and (p.n_ref > profile.max_n_ref).any():
            j = int(p.n_ref.argmax())
            yield (
                f"{where}: refractory period too long (got {p.n_ref[j]} steps at neuron {j}; need 0..{profile.max_n_ref}). Train with "
                "a shorter one, or a longer step dt."
            )
        if isinstance(p, ALIF) and "IntALIF" not in profile.kinds and (p.beta < 0).any():
            j = int(np.flatnonzero(p.beta < 0)[0])
            yield (
                f"{where}: beta cannot become a current (got {p.beta[j]:.4g} at neuron {j}; need >= 0 for {profile.name}, whose "
                "neurons adapt by a negative current). Train with beta >= 0, or use loihi2."
            )


def _delay_refusals(graph: Graph, profile: Profile) -> Iterator[str]:
    for c in graph.projections:
        if c.size and c.delay.max() > profile.max_delay:
            k = int(c.delay.argmax())
            yield (
                f"projection '{c.name}': delay too long (got {c.delay[k]} steps at synapse {k}; need at most {profile.max_delay}). "
                "Train with shorter delays, or insert relay neurons."
            )


def _noted(integer: Graph, graph: Graph, note: QuantizeNote) -> Graph:
    """Return the graph with notes of where it comes from."""
    narrow = {} if note.weight_bits == MAX_WEIGHT_BITS else {"weight_bits": str(note.weight_bits)}
    scales = json.dumps(dict(note.scales))
    return integer.with_notes(profile=note.profile, scales=scales, float_graph=graph.sha256, **narrow)
