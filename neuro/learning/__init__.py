"""Local learning: rules that change a graph's weights with what a synapse can know, where there is no backward pass."""

from neuro.learning.attachment import attach
from neuro.learning.bounds import make_room, with_weights
from neuro.learning.config import DamageConfig, LearnConfig, RewireConfig
from neuro.learning.damage import DamageNote, damage
from neuro.learning.evaluation import Score, evaluate
from neuro.learning.loop import LearnResult, learn, lesson_for, prepared
from neuro.learning.network import NetworkConfig, draw_network
from neuro.learning.note import LearnNote, SiteNote
from neuro.learning.optimizer import Moments, adam, sgd
from neuro.learning.plan import Plan, Site, prepare
from neuro.learning.reference import Learner
from neuro.learning.rules import FEEDBACKS, RULES, STDP, UPDATES, EProp, RewardEProp, RewardSTDP, Rule, rule_of
from neuro.learning.teacher import CHOICES, Lesson, lesson_of, teacher_of

__all__ = [
    "CHOICES",
    "FEEDBACKS",
    "RULES",
    "STDP",
    "UPDATES",
    "DamageConfig",
    "DamageNote",
    "EProp",
    "LearnConfig",
    "LearnNote",
    "LearnResult",
    "Learner",
    "Lesson",
    "Moments",
    "NetworkConfig",
    "Plan",
    "RewardEProp",
    "RewardSTDP",
    "RewireConfig",
    "Rule",
    "Score",
    "Site",
    "SiteNote",
    "adam",
    "attach",
    "damage",
    "draw_network",
    "evaluate",
    "learn",
    "lesson_for",
    "lesson_of",
    "make_room",
    "prepare",
    "prepared",
    "rule_of",
    "sgd",
    "teacher_of",
    "with_weights",
]
