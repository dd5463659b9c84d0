"""Report which neurons of an integer graph are silent or fire all the time, and how much room its states have."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from neuro.backend import Stimulus
from neuro.deploy.behaviour import Behaviour, observe
from neuro.errors import QuantizationError
from neuro.graph import MAX_STATE, NEURONS, Graph


@dataclass(frozen=True, kw_only=True)
class Silence:
    """How one population behaved on a stimulus.

    n_silent: neurons that never spiked. n_saturated: that fired nearly as often as n_ref lets them. rate_hz: mean.
    headroom_bits: log2 of the largest state over the largest seen, by state. saturations: clipped sums, by state.
    """

    size: int
    spikes: bool
    n_silent: int
    n_saturated: int
    rate_hz: float
    headroom_bits: Mapping[str, float]
    saturations: Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class SilenceNote:
    """How an integer graph behaved on a stimulus, by receiving population; problems: in words, with what to do."""

    stimulus: str
    populations: Mapping[str, Silence]
    problems: tuple[str, ...]

    @property
    def dead(self) -> tuple[str, ...]:
        """Return the populations of which no neuron spiked."""
        return tuple(name for name, p in self.populations.items() if p.spikes and p.n_silent == p.size)

    def __str__(self) -> str:
        lines = [f"silence and saturation on {self.stimulus}"]
        for name, p in self.populations.items():
            room = ", ".join(f"{s} {b:.1f}" for s, b in p.headroom_bits.items() if math.isfinite(b))
            text = f"  '{name}': "
            if p.spikes:
                text += f"{p.rate_hz:.1f} Hz, {p.n_silent} of {p.size} neurons silent, {p.n_saturated} saturated; "
            text += f"headroom in bits: {room or '-'}; clipped {sum(p.saturations.values())} times"
            lines.append(text)
        return "\n".join([*lines, *(f"  {text}" for text in self.problems)])


def silence(graph: Graph, stimulus: Stimulus, what: str = "the stimulus") -> SilenceNote:
    """Run an integer graph on a stimulus and report silent and saturated neurons, headroom and clips.

    Parameters: what, the stimulus in words. Raises: QuantizationError for a float graph.
    """
    if graph.semantics != "integer":
        raise QuantizationError(
            "silence: float graph given to an integer-only report (got float semantics; need integer). Quantize it first."
        )
    found = observe(graph, stimulus, peaks=True)
    populations = {p.name: _of(graph, p.name, found) for p in graph.receivers}
    size = f"{stimulus.batch} samples of {stimulus.steps} steps"
    return SilenceNote(
        stimulus=f"{what} ({size})",
        populations=populations,
        problems=tuple(text for name, p in populations.items() for text in _problems(name, p, size)),
    )


def _of(graph: Graph, name: str, found: Behaviour) -> Silence:
    p = graph.population(name)
    spikes = isinstance(p, NEURONS)
    return Silence(
        size=p.size,
        spikes=spikes,
        n_silent=int(found.silent(name).sum()) if spikes else 0,
        n_saturated=int(found.saturated(name, p.n_ref).sum()) if spikes else 0,  # type: ignore[union-attr]
        rate_hz=found.rate_hz(name) if spikes else 0.0,
        headroom_bits={s: math.log2(MAX_STATE / x) if x else math.inf for s, x in found.peaks[name].items()},
        saturations=found.saturations[name],
    )


def _problems(name: str, p: Silence, size: str) -> list[str]:
    found = []
    if p.spikes and p.n_silent == p.size:
        found.append(
            f"population '{name}': silent: none of its {p.size} neurons spiked in {size}. Raise the weights or exponents into it, or "
            "lower v_th; look at the populations before it first."
        )
    if p.n_saturated:
        found.append(
            f"population '{name}': {p.n_saturated} of {p.size} neurons fire at nearly every step that n_ref allows. Raise v_th or n_ref, "
            "or lower the weights into it."
        )
    clipped = {s: n for s, n in p.saturations.items() if n}
    if clipped:
        text = ", ".join(f"{s} {n} times" for s, n in clipped.items())
        found.append(
            f"population '{name}': states were clipped to their width ({text}). Lower exponents, weights and v_th together."
        )
    return found
