"""Local learning: rules that change a graph's weights with what a synapse can know, where there is no backward pass."""

from neuro.learning.bounds import make_room, with_weights
from neuro.learning.optimizer import Moments, adam, sgd
from neuro.learning.plan import Plan, Site, prepare
from neuro.learning.reference import Learner, learn
from neuro.learning.rules import FEEDBACKS, RULES, STDP, UPDATES, EProp, RewardEProp, RewardSTDP, Rule, attach, rule_of

__all__ = [
    "FEEDBACKS",
    "RULES",
    "STDP",
    "UPDATES",
    "EProp",
    "Learner",
    "Moments",
    "Plan",
    "RewardEProp",
    "RewardSTDP",
    "Rule",
    "Site",
    "adam",
    "attach",
    "learn",
    "make_room",
    "prepare",
    "rule_of",
    "sgd",
    "with_weights",
]
