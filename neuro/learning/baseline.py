"""Carry the running mean of the reward from sample to sample: a number of the rule, kept in the graph like its weights."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from neuro.graph import Graph
from neuro.learning.local import FloatArray
from neuro.learning.plan import Plan, Site
from neuro.learning.rules import RewardSTDP


def after_sample(plan: Plan, reward: FloatArray, mask: FloatArray) -> Plan:
    """Return the plan with the baselines after one sample: b + (mean reward of the judged steps - b) / tau_reward.

    Parameters: reward, mask, (steps,); a step is judged where its mask is not 0. A sample without one leaves b as it is, and so does
    tau_reward = 0. The mean's sum is rounded once (`math.fsum`).
    """
    return replace(plan, sites=tuple(_moved(site, reward, mask) for site in plan.sites))


def _moved(site: Site, reward: FloatArray, mask: FloatArray) -> Site:
    rule, kept = site.rule, reward[mask != 0].tolist()
    if not isinstance(rule, RewardSTDP) or rule.tau_reward == 0 or not kept:
        return site
    mean = math.fsum(kept) / len(kept)
    return replace(site, rule=replace(rule, baseline=rule.baseline + (mean - rule.baseline) / rule.tau_reward))


def factor(rule: RewardSTDP, reward: FloatArray, mask: FloatArray) -> FloatArray:
    """Return the third factor of a reward, (batch,): r, less the baseline where the step is judged."""
    return np.asarray(reward - rule.baseline * (mask != 0))


def kept_in(graph: Graph, plan: Plan) -> Graph:
    """Return the graph with the plan's baselines among its rules' parameters."""
    rules = {s.key: s.rule for s in plan.sites if isinstance(s.rule, RewardSTDP) and s.rule.tau_reward > 0}
    projections = tuple(
        replace(c, plasticity=rules[c.name].plasticity(c.plasticity.signal)) if c.plasticity and c.name in rules else c
        for c in graph.projections
    )
    return replace(graph, projections=projections)
