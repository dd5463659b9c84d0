"""Name the learning rules and their parameters.

A graph holds a rule as data (`neuro.graph.Plasticity`): a name and flat parameters. Here each name is a frozen class that checks them.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any, ClassVar

from neuro.errors import GraphError, nearest
from neuro.graph import Plasticity

UPDATES = ("batch", "episode", "step")
"""When weights change: never inside a run, whose sum of gradients an optimiser takes; after each sample; at every step."""
FEEDBACKS = ("symmetric", "random", "adaptive")
"""Where the weights come from by which a readout's error reaches a neuron."""


@dataclass(frozen=True, kw_only=True)
class Rule:
    """Hold what every rule has; subclasses name their parameters, each with its test in `checks`.

    update: one of UPDATES. lr: learning rate: w becomes w - lr * gradient; with "batch" it is the optimiser's. w_max: bound of |w|;
    0: what the grid leaves room for (`neuro.learning.bounds`). bits: 0: weights are doubles on the grid of their population; 2..16: they
    are so many bits wide, and updates are rounded stochastically (`neuro.learning.integer`), by rounding_seed. scale: of their
    mantissas, a power of two; 0: found once from the weights before learning, whose largest may grow by the factor headroom.
    """

    lr: float = 1e-3
    update: str = "batch"
    w_max: float = 0.0
    bits: int = 0
    scale: float = 0.0
    headroom: float = 2.0
    rounding_seed: int = 0
    name: ClassVar[str] = ""
    updates: ClassVar[tuple[str, ...]] = UPDATES

    def __post_init__(self) -> None:
        for field in fields(self):
            value: Any = getattr(self, field.name)
            kind: Any = type(field.default)
            if kind is float and type(value) is int and abs(value) <= sys.float_info.max:
                object.__setattr__(self, field.name, value := float(value))
            if type(value) is not kind or (kind is float and not math.isfinite(value)):
                raise GraphError(
                    f"rule '{self.name}': {field.name} has the wrong type (got {value!r}; need {_NEEDS[kind]}). Give one."
                )
        for problem in self.checks():
            raise GraphError(f"rule '{self.name}': {problem}")

    def checks(self) -> Iterator[str]:
        """Yield what is wrong with the parameters."""
        yield from _one_of("update", self.update, self.updates)
        yield from _need("lr", self.lr, self.lr >= 0, ">= 0")
        yield from _need("w_max", self.w_max, self.w_max >= 0, ">= 0; 0: from the grid")
        yield from _need("bits", self.bits, self.bits == 0 or 2 <= self.bits <= 16, "2..16; 0: float")
        whole = self.scale == 0 or (self.scale > 0 and math.frexp(self.scale)[0] == 0.5)
        yield from _need("scale", self.scale, whole, "a power of two; 0: from the weights")
        yield from _need("headroom", self.headroom, self.headroom >= 1, ">= 1")

    @property
    def needs_signal(self) -> bool:
        """Tell whether an error is sent back to the neurons from the signal population."""
        return True

    def readouts(self, signal: str | None) -> tuple[str, ...]:
        """Return the names of the populations whose outputs the rule learns from."""
        return (signal,) if signal else ()

    def plasticity(self, signal: str | None) -> Plasticity:
        """Return the rule as data for a graph, every parameter written out."""
        return Plasticity(
            rule=self.name, signal=signal, parameters={f.name: getattr(self, f.name) for f in fields(self)}
        )


_NEEDS = {float: "a finite number", int: "a whole number", str: "a text", bool: "true or false"}


def _need(name: str, value: Any, fits: bool, need: str) -> Iterator[str]:
    if not fits:
        yield f"{name} out of range (got {value!r}; need {need}). Choose another."


def _one_of(name: str, value: str, known: tuple[str, ...]) -> Iterator[str]:
    if value not in known:
        hint = nearest(value, known) or "Choose one."
        yield f"unknown {name} (got {value!r}; need {' or '.join(known)}). {hint}"


@dataclass(frozen=True, kw_only=True)
class EProp(Rule):
    """e-prop: eligibility traces times a learning signal (`neuro.learning.eprop` has the equations).

    | parameter | symbol | unit | default | meaning |
    | --- | --- | --- | --- | --- |
    | lr | eta | 1 | 1e-3 | learning rate; with update "batch" the optimiser's |
    | update | | | "batch" | "batch": gradients are summed; "episode": after each sample; "step": online |
    | feedback | B | | "symmetric" | "symmetric": the readout's own weights; "random": fixed; "adaptive": random, then following them |
    | feedback_seed | | | 0 | seed of random and adaptive feedback |
    | feedback_scale | | 1 | 1.0 | B is N(0, 1) * feedback_scale / sqrt(n_neurons) |
    | feedback_decay | c | 1/update | 0.0 | adaptive B shrinks by this fraction at each update |
    | gamma | gamma | 1 | 0.3 | dampening factor of the pseudo-derivative |
    | filter | | | True | eligibility of neurons is filtered with the readout's kappa; False: it is not (cheaper, not a gradient) |
    | rate_target_hz | f0 | Hz | 10.0 | wanted firing rate of each neuron |
    | rate_reg | c_reg | (steps/spike)^2 | 0.0 | weight of the rate's loss c_reg/2 sum_j (f_j - f0)^2, f in spikes a step |
    | tau_rate_ms | tau_f | ms | 1000.0 | time over which update "step" measures the rate |
    | learn_bias | | | False | the biases of the target learn too |
    | w_max | | 1 | 0.0 | bound of abs(w); 0: from the grid |

    bits, scale, headroom and rounding_seed: see `Rule`. Source: Bellec et al. 2020, Nat. Commun. 11:3625.
    """

    feedback: str = "symmetric"
    feedback_seed: int = 0
    feedback_scale: float = 1.0
    feedback_decay: float = 0.0
    gamma: float = 0.3
    filter: bool = True
    rate_target_hz: float = 10.0
    rate_reg: float = 0.0
    tau_rate_ms: float = 1000.0
    learn_bias: bool = False
    name: ClassVar[str] = "eprop"

    def checks(self) -> Iterator[str]:
        """Yield what is wrong with the parameters."""
        yield from super().checks()
        yield from _one_of("feedback", self.feedback, FEEDBACKS)
        yield from _need("feedback_decay", self.feedback_decay, 0 <= self.feedback_decay <= 1, "0..1")
        for key in ("gamma", "rate_target_hz", "rate_reg"):
            yield from _need(key, getattr(self, key), getattr(self, key) >= 0, ">= 0")
        yield from _need("tau_rate_ms", self.tau_rate_ms, self.tau_rate_ms > 0, "> 0 ms")


@dataclass(frozen=True, kw_only=True)
class RewardEProp(EProp):
    """Reward-based e-prop: actor-critic with a TD error (`neuro.learning.reward` has the equations).

    The signal is the policy's readout. Beside the parameters of `EProp`:

    | parameter | symbol | unit | default | meaning |
    | --- | --- | --- | --- | --- |
    | value | V | | "" | name of the value's readout, an LI of one unit; required |
    | discount | gamma | 1/step | 0.99 | discount of a reward for each step |
    | value_cost | c_V | 1 | 0.5 | weight of the value's error beside the policy's |
    | entropy | c_H | 1 | 0.0 | weight of the policy's entropy, a bonus at each choice |

    Source: Bellec et al. 2020, equations 5, 36 and 37.
    """

    value: str = ""
    discount: float = 0.99
    value_cost: float = 0.5
    entropy: float = 0.0
    name: ClassVar[str] = "reward_eprop"

    def checks(self) -> Iterator[str]:
        """Yield what is wrong with the parameters."""
        yield from super().checks()
        if not self.value:
            yield "no value readout (got value ''; need the name of an LI of one unit). Name it."
        yield from _need("discount", self.discount, 0 <= self.discount <= 1, "0..1")
        for key in ("value_cost", "entropy"):
            yield from _need(key, getattr(self, key), getattr(self, key) >= 0, ">= 0")

    def readouts(self, signal: str | None) -> tuple[str, ...]:
        """Return policy and value."""
        return (*super().readouts(signal), self.value)


@dataclass(frozen=True, kw_only=True)
class STDP(Rule):
    """Pair STDP (`neuro.learning.stdp` has the equations); it needs no signal and changes weights at every step.

    | parameter | symbol | unit | default | meaning |
    | --- | --- | --- | --- | --- |
    | lr | | 1 | 1.0 | scale of every change |
    | tau_plus_ms, tau_minus_ms | tau+, tau- | ms | 20.0 | decay of the trace of pre and of post spikes |
    | a_plus, a_minus | A+, A- | 1 | 0.01, 0.012 | change of a pair pre before post, and post before pre |
    | w_min, w_max | | 1 | 0.0, 1.0 | bounds of w |
    | bounds | | | "hard" | "hard": w is clipped; "soft": changes shrink to 0 at the bounds (mu = 1) |
    | mu_plus, mu_minus | mu+, mu- | 1 | 0.0 | weight dependence: 0 additive, 1 multiplicative |

    Sources: Song, Miller & Abbott 2000; Guetig et al. 2003 (weight dependence).
    """

    lr: float = 1.0
    update: str = "step"
    tau_plus_ms: float = 20.0
    tau_minus_ms: float = 20.0
    a_plus: float = 0.01
    a_minus: float = 0.012
    w_min: float = 0.0
    w_max: float = 1.0
    bounds: str = "hard"
    mu_plus: float = 0.0
    mu_minus: float = 0.0
    name: ClassVar[str] = "stdp"
    updates: ClassVar[tuple[str, ...]] = ("step",)

    @property
    def needs_signal(self) -> bool:
        """Tell whether an error is sent back to the neurons from the signal population."""
        return False

    def checks(self) -> Iterator[str]:
        """Yield what is wrong with the parameters."""
        yield from super().checks()
        yield from _one_of("bounds", self.bounds, ("hard", "soft"))
        for key in ("tau_plus_ms", "tau_minus_ms"):
            yield from _need(key, getattr(self, key), getattr(self, key) > 0, "> 0 ms")
        for key in ("mu_plus", "mu_minus"):
            yield from _need(key, getattr(self, key), getattr(self, key) >= 0, ">= 0")
        yield from _need("w_min", self.w_min, self.w_min < self.w_max, f"< w_max = {self.w_max}")


@dataclass(frozen=True, kw_only=True)
class RewardSTDP(STDP):
    """STDP whose changes wait in an eligibility trace for a third factor. Beside the parameters of `STDP`:

    | parameter | symbol | unit | default | meaning |
    | --- | --- | --- | --- | --- |
    | tau_e_ms | tau_e | ms | 500.0 | decay of the eligibility |
    | factor | | | "reward" | "reward": the teacher's reward, for all synapses; "supervised": the signal's error at the post neuron |
    | tau_reward | | samples | 0.0 | time over which the mean reward is taken, which is taken off where the teacher judges; 0: none is |
    | baseline | b | 1 | 0.0 | that mean so far |

    Source: Izhikevich 2007; Fremaux & Gerstner 2016.
    """

    tau_e_ms: float = 500.0
    factor: str = "reward"
    tau_reward: float = 0.0
    baseline: float = 0.0
    name: ClassVar[str] = "reward_stdp"

    @property
    def needs_signal(self) -> bool:
        """Tell whether an error is sent back to the neurons from the signal population."""
        return self.factor == "supervised"

    def checks(self) -> Iterator[str]:
        """Yield what is wrong with the parameters."""
        yield from super().checks()
        yield from _one_of("factor", self.factor, ("reward", "supervised"))
        yield from _need("tau_e_ms", self.tau_e_ms, self.tau_e_ms > 0, "> 0 ms")
        fits = self.tau_reward == 0 or self.tau_reward >= 1
        yield from _need("tau_reward", self.tau_reward, fits, ">= 1 sample; 0: no mean is taken off")


RULES: dict[str, type[Rule]] = {kind.name: kind for kind in (EProp, RewardEProp, STDP, RewardSTDP)}
"""The rules by the name that a graph stores."""


def rule_of(plasticity: Plasticity) -> Rule:
    """Return the checked rule that a projection's data stands for. Raises GraphError for an unknown rule or parameter."""
    return make(plasticity.rule, **plasticity.parameters)


def make(name: str, /, **parameters: Any) -> Rule:
    """Return a rule by name. Raises GraphError for an unknown one, a parameter that it does not have or that is out of range."""
    kind = RULES.get(name)
    if kind is None:
        raise GraphError(
            f"learn: unknown rule (got '{name}'; need one of {', '.join(RULES)}). {nearest(str(name), RULES)}".rstrip()
        )
    known = [f.name for f in fields(kind)]
    for key in parameters:
        if key not in known:
            raise GraphError(
                f"rule '{name}': unknown parameter (got '{key}'; need one of {', '.join(known)}). {nearest(key, known)}".rstrip()
            )
    return kind(**parameters)
