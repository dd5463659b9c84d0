"""Attach a learning rule to the projections of a graph that it can change."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from neuro.errors import GraphError, nearest
from neuro.graph import LI, CurrentInput, Graph, Projection
from neuro.learning.rules import STDP, Rule


def attach(graph: Graph, rule: Rule, projections: Iterable[str] | None = None, signal: str | None = None) -> Graph:
    """Return the graph with a rule on some of its projections; the others keep what they have.

    projections: their names; None: all that the rule can change (e-prop: those into neurons, and into its readouts; STDP: those
    that carry spikes into neurons). signal: the readout whose error or policy teaches; None: the only LI that it can be.
    Raises GraphError for an unknown projection, or if the signal is not clear.
    """
    signal = signal or (_only_signal(graph, rule) if rule.needs_signal else None)
    known = [c.name for c in graph.projections]
    chosen = [c.name for c in graph.projections if _can_learn(graph, rule, signal, c)]
    if projections is not None:
        chosen = list(projections)
    for name in chosen:
        if name not in known:
            raise GraphError(
                f"attach: unknown projection (got '{name}'; need one of {', '.join(known)}). {nearest(name, known)}".rstrip()
            )
    held = rule.plasticity(signal)
    changed = tuple(replace(c, plasticity=held) if c.name in chosen else c for c in graph.projections)
    return replace(graph, projections=changed)


def _can_learn(graph: Graph, rule: Rule, signal: str | None, c: Projection) -> bool:
    target = graph.population(c.target)
    if isinstance(rule, STDP):
        return not isinstance(target, LI) and not isinstance(graph.population(c.source), CurrentInput)
    return not isinstance(target, LI) or c.target in rule.readouts(signal)


def _only_signal(graph: Graph, rule: Rule) -> str:
    found = [p.name for p in graph.readouts if p.name not in rule.readouts(None)]
    if len(found) != 1:
        raise GraphError(
            f"attach: the signal of rule '{rule.name}' is not clear (got {', '.join(found) or 'no readout'}; need one). Name it: signal=."
        )
    return found[0]
