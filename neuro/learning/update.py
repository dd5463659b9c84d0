"""Change weights between two runs: the optimiser's step of update "batch", and learning rates that decay."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from neuro.backend import Learned
from neuro.graph import Graph, Plasticity
from neuro.learning.bounds import with_weights
from neuro.learning.local import FloatArray
from neuro.learning.note import numbers
from neuro.learning.optimizer import Moments, adam, sgd
from neuro.learning.plan import Plan
from neuro.learning.reference import followed
from neuro.learning.rules import rule_of


def optimise(
    plan: Plan, graph: Graph, learned: Learned, feedback: Mapping[str, FloatArray], moments: Moments, optimizer: str,
    scale: float, factor: float, n_samples: int = 0,
) -> tuple[Graph, Moments, dict[str, FloatArray], dict[str, int]]:  # fmt: skip
    """Take the optimiser's step at every site with update "batch".

    w becomes settle(w + change), change = -lr * gradient ("sgd") or Adam's of it; the gradient is the mean over the batch, lr the rule's
    times `factor`.

    Parameters: learned, of the batch; scale, 1 / samples in it; factor, of the decay of the learning rate; n_samples, that the
    run has learned from before.
    Returns: the new graph, moments, feedback (adaptive matrices follow their readout), and by site how many numbers changed.
    """
    sites = [site for site in plan.sites if site.rule.update == "batch"]
    gradient = {
        s.key: scale * (learned.gradient[s.key] if s.source is not None else learned.bias_gradient[s.target]) for s in sites
    }  # fmt: skip
    if optimizer == "adam":
        unit, moments = adam(gradient, moments, 1.0)
    else:
        unit = sgd(gradient, 1.0)
    weight, bias, change = {}, {}, {}
    for site in sites:
        old = numbers(graph, site)
        new = site.settled(old + site.rule.lr * factor * unit[site.key], n_samples, 0)
        change[site.key] = new - old
        if site.source is None:
            bias[site.target] = new
        else:
            weight[site.key] = new
    counts = {key: int(np.count_nonzero(moved)) for key, moved in change.items()}
    return with_weights(graph, weight, bias), moments, followed(plan, feedback, change), counts


def with_lr(graph: Graph, lr: Mapping[str, float], factor: float = 1.0) -> Graph:
    """Return the graph with other learning rates: lr, by projection, times a factor. What else its rules hold stays."""
    changed = []
    for c in graph.projections:
        held = c.plasticity
        if held is not None and rule_of(held).lr != factor * lr[c.name]:
            held = Plasticity(
                rule=held.rule, signal=held.signal, parameters={**held.parameters, "lr": factor * lr[c.name]}
            )
        changed.append(c if held is c.plasticity else replace(c, plasticity=held))
    return replace(graph, projections=tuple(changed))
