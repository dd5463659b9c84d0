"""Judge a graph by small named rules, and report every fault at once.

A rule is a generator of messages; `problems` runs them all. Messages have the form of DESIGN section 6.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuro.errors import GraphError, nearest
from neuro.graph import integer_rules
from neuro.graph.integer import MAX_INT_DELAY, IntProjection
from neuro.graph.integer_rules import bad as _bad
from neuro.graph.kinds import INTEGER, KINDS, NEURONS, PROJECTIONS, FloatReceiver, Population, kind
from neuro.graph.nodes import INPUTS, LIF, RESETS, CurrentInput, Projection
from neuro.graph.pieces import parts

MAX_DELAY = 4095
"""Longest delay in steps: four seconds at 1 ms; it bounds the memory of spikes in flight. Chip profiles allow less."""
MAX_SIZE = 2**31 - 1
"""Largest population: indices are int32."""
MAX_REFRACTORY = 2**31 - 1

Populations = Sequence[Population]
Projections = Sequence[Projection]
Rule = Callable[[Populations, Projections, float], Iterator[str]]


def check(populations: Populations, projections: Projections, dt_ms: float) -> None:
    """Raise GraphError with every problem of a graph, one a line; return quietly if there is none."""
    found = problems(populations, projections, dt_ms)
    if found:
        head = "" if len(found) == 1 else f"graph: {len(found)} problems\n  "
        raise GraphError(head + "\n  ".join(found))


def problems(populations: Populations, projections: Projections, dt_ms: float) -> list[str]:
    """Return the message of every rule that a graph breaks.

    FORM, VALUES and SUMS run in turn, each only where the one before found nothing: a value has no meaning in a misshapen
    graph, nor has a sum over synapses that end nowhere.
    """
    for rules in (FORM, VALUES, SUMS):
        found = [message for rule in rules for message in rule(populations, projections, dt_ms)]
        if found:
            return found
    return []


def names_are_unique(populations: Populations, projections: Projections, dt_ms: float) -> Iterator[str]:
    """Names identify: no two populations and no two projections share one, and each is plain text."""
    for what, nodes in (("population", populations), ("projection", projections)):
        seen: set[str] = set()
        for node in nodes:
            name: Any = node.name
            if not isinstance(name, str) or not name or not name.isprintable() or "/" in name or name in (".", ".."):
                yield (
                    f"{what} {name!r}: bad name (got {name!r}; need printable text without '/'). "
                    "Rename it: names are keys in files and tables."
                )
            elif name in seen:
                yield f"{what} '{name}': name used twice (got 2 of them; need 1). Rename one of them."
            else:
                seen.add(name)


def kinds_are_known(populations: Populations, projections: Projections, dt_ms: float) -> Iterator[str]:
    """Every population is one of KINDS and every projection a Projection."""
    for p in populations:
        if kind(p) not in KINDS:
            yield f"population '{p.name}': unknown kind (got {kind(p)}; need one of {', '.join(KINDS)}). Use a known one."
    for c in projections:
        if type(c).__name__ not in PROJECTIONS:
            need = " or ".join(PROJECTIONS)
            yield f"projection '{c.name}': unknown kind (got {type(c).__name__}; need {need}). Use a known one."


def sizes_are_positive(populations: Populations, projections: Projections, dt_ms: float) -> Iterator[str]:
    """A population has at least one unit, and its indices fit int32; a graph has at least one population."""
    if not populations:
        yield "graph: no population (got 0; need at least 1). Add populations before building."
    for p in populations:
        if not 1 <= p.size <= MAX_SIZE:
            yield f"population '{p.name}': size out of range (got {p.size}; need 1..{MAX_SIZE}). Give the number of units."


def time_step_is_positive(populations: Populations, projections: Projections, dt_ms: float) -> Iterator[str]:
    """The step is a positive, finite time."""
    if not (isinstance(dt_ms, (int, float)) and math.isfinite(dt_ms) and dt_ms > 0):
        yield f"graph: dt_ms is not a positive time (got {dt_ms}; need > 0 ms). Give the step in milliseconds."


def parameters_have_shape(populations: Populations, projections: Projections, dt_ms: float) -> Iterator[str]:
    """A per-neuron parameter has the shape (size,)."""
    for p in populations:
        for field in p.parameters:
            shape = getattr(p, field).shape
            if shape != (p.size,):
                yield (
                    f"population '{p.name}': {field} has the wrong shape (got {shape}; need ({p.size},)). "
                    "Give one value for each neuron, or a scalar."
                )


def synapses_have_shape(populations: Populations, projections: Projections, dt_ms: float) -> Iterator[str]:
    """pre, post, weight and delay are vectors of one length."""
    for c in projections:
        shapes = {field: getattr(c, field).shape for field in c.arrays}
        if len(set(shapes.values())) > 1 or any(len(s) != 1 for s in shapes.values()):
            got = ", ".join(f"{k} {v}" for k, v in shapes.items())
            yield f"projection '{c.name}': arrays differ in shape (got {got}; need one length). Give one entry a synapse."


def ends_exist(populations: Populations, projections: Projections, dt_ms: float) -> Iterator[str]:
    """A projection joins two populations of the graph."""
    known = [p.name for p in populations]
    for c in projections:
        for end in (c.source, c.target):
            if end not in known:
                yield (
                    f"projection '{c.name}': unknown population (got '{end}'; need one of {', '.join(known)}). "
                    f"{nearest(str(end), known)}".rstrip()
                )


def targets_receive(populations: Populations, projections: Projections, dt_ms: float) -> Iterator[str]:
    """Inputs receive nothing and readouts send nothing."""
    kinds = {p.name: p for p in populations}
    for c in projections:
        source, target = kinds.get(c.source), kinds.get(c.target)
        if isinstance(target, INPUTS):
            yield (
                f"projection '{c.name}': ends in an input (got target '{c.target}'; need neurons or a readout). "
                "Inputs follow the stimulus alone: connect to a neuron population."
            )
        if source is not None and not isinstance(source, INPUTS + NEURONS):
            yield (
                f"projection '{c.name}': starts at a readout (got source '{c.source}'; need an input or neurons). "
                "Readouts do not spike: connect from a neuron population."
            )


def plasticity_is_named(populations: Populations, projections: Projections, dt_ms: float) -> Iterator[str]:
    """A learning rule has a name, and its signal comes from a population that receives."""
    receivers = [p.name for p in populations if not isinstance(p, INPUTS)]
    for c in projections:
        if c.plasticity is None:
            continue
        rule, signal = c.plasticity.rule, c.plasticity.signal
        if not isinstance(rule, str) or not rule or not rule.isprintable():
            yield f"projection '{c.name}': learning rule without a name (got {rule!r}; need printable text). Name the rule."
        if signal is not None and signal not in receivers:
            yield (
                f"projection '{c.name}': unknown learning signal (got {signal!r}; need one of {', '.join(receivers)}). "
                f"{nearest(str(signal), receivers)}".rstrip()
            )


def parameters_are_finite(populations: Populations, projections: Projections, dt_ms: float) -> Iterator[str]:
    """Every stored number is finite."""
    for p in populations:
        for field in p.parameters:
            yield from _bad(
                f"population '{p.name}': {field}", getattr(p, field), np.isfinite, "finite numbers", "neuron"
            )
    for c in projections:
        yield from _bad(f"projection '{c.name}': weight", c.weight, np.isfinite, "finite numbers", "synapse")


def parameters_are_in_range(populations: Populations, projections: Projections, dt_ms: float) -> Iterator[str]:
    """Decays lie in 0..1, thresholds are positive, refractory periods are not negative, resets are known."""
    for p in populations:
        where = f"population '{p.name}'"
        for field in ("alpha", "rho", "kappa"):
            if field in p.parameters:
                yield from _bad(f"{where}: {field}", getattr(p, field), lambda x: (x >= 0) & (x <= 1), "0..1", "neuron")
        if isinstance(p, LIF):
            yield from _bad(f"{where}: v_th", p.v_th, lambda x: x > 0, "> 0", "neuron")
            allowed = f"0..{MAX_REFRACTORY} steps"
            yield from _bad(f"{where}: n_ref", p.n_ref, lambda x: (x >= 0) & (x <= MAX_REFRACTORY), allowed, "neuron")
            if p.reset not in RESETS:
                hint = nearest(str(p.reset), RESETS) or "Choose one."
                yield f"{where}: unknown reset (got {p.reset!r}; need one of {', '.join(RESETS)}). {hint}"


def currents_are_declared(populations: Populations, projections: Projections, dt_ms: float) -> Iterator[str]:
    """A CurrentInput declares u_max > 0 and a u_step that is a power of two <= 1."""
    for p in populations:
        if isinstance(p, CurrentInput):
            where = f"population '{p.name}'"
            if not (math.isfinite(p.u_max) and p.u_max > 0):
                yield f"{where}: u_max out of range (got {p.u_max}; need a finite value > 0). Give the largest |u|."
            if not (0 < p.u_step <= 1 and is_power_of_two(p.u_step)):
                yield f"{where}: u_step is not a grid (got {p.u_step}; need a power of two <= 1). Use 2**-8 for grey values."


def indices_are_in_range(populations: Populations, projections: Projections, dt_ms: float) -> Iterator[str]:
    """pre and post index existing units."""
    sizes = {p.name: p.size for p in populations}
    for c in projections:
        for field, end in (("pre", c.source), ("post", c.target)):
            n = sizes[end]
            test = lambda x, n=n: (x >= 0) & (x < n)  # noqa: E731
            yield from _bad(
                f"projection '{c.name}': {field}", getattr(c, field), test, f"0..{n - 1} in '{end}'", "synapse"
            )


def delays_are_in_range(populations: Populations, projections: Projections, dt_ms: float) -> Iterator[str]:
    """Delays are >= 1 from neurons, >= 0 from inputs, and at most MAX_DELAY (62 of integer synapses)."""
    kinds = {p.name: p for p in populations}
    for c in projections:
        low = 0 if isinstance(kinds[c.source], INPUTS) else 1
        high = MAX_INT_DELAY if isinstance(c, IntProjection) else MAX_DELAY
        if c.size and (c.delay.min() < low or c.delay.max() > high):
            bad = (c.delay < low) | (c.delay > high)
            where = "from inputs" if low == 0 else "between neurons"
            first = int(np.flatnonzero(bad)[0])
            mend = (
                "Export with min_delay=1."
                if low == 1 and c.delay[first] == 0
                else "Use a larger dt_ms or shorter delays."
            )
            yield (
                f"projection '{c.name}': delay out of range (got {int(c.delay[first])}; need {low}..{high} {where}; "
                f"synapse {first}, {int(bad.sum())} in all). {mend}"
            )


def exact_sums(populations: Populations, projections: Projections, dt_ms: float) -> Iterator[str]:
    """A declared grid holds: weights and biases are multiples of it, and every partial sum is exact in a double.

    With g the grid, u the smallest u_step and S the largest absolute input of a neuron: S <= 2^53 g u (DESIGN 2.1).
    """
    for p in populations:
        if isinstance(p, INPUTS + INTEGER) or p.grid is None:
            continue
        grid = p.grid
        where = f"population '{p.name}': grid"
        if not (math.isfinite(grid) and grid > 0 and is_power_of_two(grid)):
            yield f"{where} is not a power of two (got {grid}; need one, or None). Call to_grid."
            continue
        incoming = [c for c in projections if c.target == p.name]
        loads = [(f"bias of '{p.name}'", p.bias)] + [(f"weight of '{c.name}'", c.weight) for c in incoming]
        for what, values in loads:
            off = _off_grid(values, grid)
            if off.size:
                yield (
                    f"{where}: {what} is off it (got {values[off[0]]!r} at {off[0]}, {off.size} in all; need multiples "
                    f"of {grid}). Call to_grid, or build with grid=None."
                )
        total = largest_input(p, incoming, populations)
        limit = 2.0**53 * grid * smallest_step(incoming, populations)
        if total > limit:
            yield f"{where} is too fine for exact sums (got S = {total}; need S <= {limit}). Call to_grid."


def _off_grid(values: NDArray[np.float64], grid: float) -> NDArray[np.int64]:
    """Return the places of the values that are no multiples of a grid."""
    found = [np.flatnonzero(values[k] != np.round(values[k] / grid) * grid) + k.start for k in parts(len(values))]
    return np.concatenate([np.zeros(0, np.int64), *found])


def largest_input(population: FloatReceiver, incoming: Projections, populations: Populations) -> float:
    """Return S: the largest |bias| + sum |w| (times u_max from current inputs) over a population's neurons.

    `incoming` holds the projections that end in the population; parallel synapses count each.
    """
    total = np.abs(population.bias)
    for c in incoming:
        source = next(p for p in populations if p.name == c.source)
        scale = source.u_max if isinstance(source, CurrentInput) else 1.0
        arrived = np.zeros(population.size)
        for k in parts(c.size):
            np.add.at(arrived, c.post[k], np.abs(c.weight[k]))
        total = total + arrived * scale
    return float(total.max())


def smallest_step(incoming: Projections, populations: Populations) -> float:
    """Return the smallest u_step of the current inputs among the sources of `incoming`; 1 without any."""
    steps = {p.name: p.u_step for p in populations if isinstance(p, CurrentInput)}
    return min((steps[c.source] for c in incoming if c.source in steps), default=1.0)


def is_power_of_two(x: float) -> bool:
    """Tell whether a positive finite float is 2**k for an integer k."""
    return math.frexp(x)[0] == 0.5


FORM: tuple[Rule, ...] = (
    names_are_unique,
    kinds_are_known,
    sizes_are_positive,
    time_step_is_positive,
    parameters_have_shape,
    synapses_have_shape,
    ends_exist,
    targets_receive,
    plasticity_is_named,
    *integer_rules.FORM,
)
VALUES: tuple[Rule, ...] = (
    parameters_are_finite,
    parameters_are_in_range,
    currents_are_declared,
    indices_are_in_range,
    delays_are_in_range,
    *integer_rules.VALUES,
)
SUMS: tuple[Rule, ...] = (exact_sums, *integer_rules.SUMS)
