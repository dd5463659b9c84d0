"""Settings of a learning run: how often weights change, when it is scored, kept and ended; of rewiring, and of the damage before it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from neuro.tasks.parameters import number


@dataclass(frozen=True, kw_only=True)
class LearnConfig:
    """Describe the loop that shows samples to a graph whose projections carry a rule.

    | name | unit | default | meaning |
    | --- | --- | --- | --- |
    | iterations | batches | 1000 | batches in all |
    | batch | samples | 1 | samples in one: with rule update "batch" before the weights change; else they run one after another |
    | optimizer | | sgd | "sgd" or "adam", of update "batch"; its learning rate is the rule's lr, its gradient the mean over the batch |
    | lr_decay, lr_decay_every | , iterations | 1, 1000 | the rule's lr is multiplied by lr_decay every lr_decay_every |
    | choose | | last | a rewarded action is drawn at the "last" or "first" step of a decision window, or at "each" of them |
    | right, wrong | | 1, 0 | reward of a right and of a wrong action |
    | validate_every, validate_samples | iterations, samples | 100, 128 | how often and on how much to validate |
    | patience | validations | 0 | stop after this many without a better score, 0 for never |
    | stop_accuracy | | 0 | stop when validation accuracy reaches it, 0 for never |
    | stop_nmse | | 0 | regression: stop when the normalised error is down to it, 0 for never |
    | checkpoint_every | iterations | 100 | how often the run is made resumable |
    """

    iterations: int = number(1000, 0)
    batch: int = number(1, 1, 65536)
    optimizer: Literal["sgd", "adam"] = "sgd"
    lr_decay: float = number(1.0, 0.0, 1.0, open_low=True)
    lr_decay_every: int = number(1000, 1)
    choose: Literal["last", "first", "each"] = "last"
    right: float = number(1.0)
    wrong: float = number(0.0)
    validate_every: int = number(100, 1)
    validate_samples: int = number(128, 1)
    patience: int = number(0, 0)
    stop_accuracy: float = number(0.0, 0.0, 1.0)
    stop_nmse: float = number(0.0, 0.0)
    checkpoint_every: int = number(100, 1)


@dataclass(frozen=True, kw_only=True)
class RewireConfig:
    """Describe rewiring by DEEP R while a graph learns by e-prop (`neuro.learning.rewiring`); its connectivity is that of the graph.

    | name | unit | default | meaning |
    | --- | --- | --- | --- |
    | every | iterations | 1 | how often synapses drift, and those that are dormant are replaced |
    | l1 | | 0.01 | L1 coefficient: each time a weight shrinks by lr l1, lr being the rule's |
    | temperature | | 0 | of the random walk: each time it moves by sqrt(2 lr temperature) N(0, 1) |
    | dale | | false | a new synapse has the sign of its sender's synapses before learning, where they agree |
    | projections | | none | which are rewired; none: all that learn by e-prop and end in neurons, not in readouts |
    """

    every: int = number(1, 1)
    l1: float = number(0.01, 0.0)
    temperature: float = number(0.0, 0.0)
    dale: bool = False
    projections: tuple[str, ...] | None = None


@dataclass(frozen=True, kw_only=True)
class DamageConfig:
    """Describe the damage that a graph has to recover from (`neuro.learning.damage`).

    | name | default | meaning |
    | --- | --- | --- |
    | kill | 0.2 | share of the recurrent neurons that die |
    | noise | 0.2 | standard deviation of the factor 1 + noise N(0, 1) on each weight that is left |
    """

    kill: float = number(0.2, 0.0, 1.0)
    noise: float = number(0.2, 0.0)


FREE_TO_CHANGE = frozenset({"iterations", "checkpoint_every"})
"""Settings that a resumed run may have otherwise than the run it continues."""
