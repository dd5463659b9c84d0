"""Settings of a training run: model, training loop and DEEP R, as validated frozen dataclasses.

Nothing here imports torch, so that a recipe can be read, listed and refused without it. Every rule that fails is reported at once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from neuro.errors import RecipeError

KINDS = ("lsnn", "lif", "lstm", "rnn")
RESETS = ("threshold", "adaptive", "zero")
MODES = ("hard", "soft", "off")
OPTIMIZERS = ("adam", "sgd")
DTYPES = ("float32", "float64")

_Rule = tuple[str, Callable[[Any], bool], str]


def _positive(x: Any) -> bool:
    return _number(x) and x > 0


def _not_negative(x: Any) -> bool:
    return _number(x) and x >= 0


def _number(x: Any) -> bool:
    return isinstance(x, (int, float)) and not isinstance(x, bool) and math.isfinite(x)


def _count(low: int) -> Callable[[Any], bool]:
    return lambda x: isinstance(x, int) and not isinstance(x, bool) and x >= low


def _range_ms(x: Any) -> bool:
    return _positive(x) or (isinstance(x, tuple) and len(x) == 2 and all(map(_positive, x)) and x[0] <= x[1])


def _one_of(names: tuple[str, ...]) -> Callable[[Any], bool]:
    return lambda x: x in names


def _fraction(x: Any) -> bool:
    return _number(x) and 0 < x <= 1


def _flag(x: Any) -> bool:
    return isinstance(x, bool)


_MODEL_RULES: tuple[_Rule, ...] = (
    ("kind", _one_of(KINDS), f"one of {', '.join(KINDS)}"),
    ("n_lif", _count(0), "a whole number >= 0"),
    ("n_alif", _count(0), "a whole number >= 0"),
    ("n_units", _count(1), "a whole number >= 1"),
    ("chrono_steps", lambda x: _count(0)(x) and x not in (1, 2), "0, or a whole number of steps >= 3"),
    ("tau_m_ms", _range_ms, "a number > 0 or [low, high]"),
    ("tau_a_ms", _range_ms, "a number > 0 or [low, high]"),
    ("tau_out_ms", _positive, "a number > 0"),
    ("beta", _not_negative, "a number >= 0"),
    ("v_th", _positive, "a number > 0"),
    ("n_ref", _count(0), "a whole number of steps >= 0"),
    ("delay_min", _count(1), "a whole number of steps >= 1 between neurons"),
    ("delay_max", _count(1), "a whole number of steps >= delay_min"),
    ("in_delay_min", _count(0), "a whole number of steps >= 0"),
    ("in_delay_max", _count(0), "a whole number of steps >= in_delay_min"),
    ("out_delay", _count(1), "a whole number of steps >= 1 to a readout"),
    ("reset", _one_of(RESETS), f"one of {', '.join(RESETS)}"),
    ("dampening", _positive, "a number > 0"),
    ("gain_in", _not_negative, "a number >= 0"),
    ("gain_rec", _not_negative, "a number >= 0"),
    ("gain_out", _not_negative, "a number >= 0"),
    ("bias", _flag, "true or false"),
    ("out_bias", _flag, "true or false"),
)

_TRAIN_RULES: tuple[_Rule, ...] = (
    ("iterations", _count(0), "a whole number >= 0"),
    ("batch", _count(1), "a whole number >= 1"),
    ("optimizer", _one_of(OPTIMIZERS), f"one of {', '.join(OPTIMIZERS)}"),
    ("lr", _positive, "a number > 0"),
    ("lr_decay", _fraction, "a number in (0, 1]"),
    ("lr_decay_every", _count(1), "a whole number of iterations >= 1"),
    ("rate_target_hz", _not_negative, "a number >= 0"),
    ("rate_reg", _not_negative, "a number >= 0"),
    ("logit_scale", _positive, "a number > 0"),
    ("clip_norm", _not_negative, "a number >= 0 (0: no clipping)"),
    ("validate_every", _count(1), "a whole number of iterations >= 1"),
    ("validate_samples", _count(1), "a whole number >= 1"),
    ("patience", _count(0), "a whole number of validations >= 0 (0: never stop early)"),
    ("stop_accuracy", lambda x: _number(x) and 0 <= x <= 1, "a number in 0..1 (0: never stop early)"),
    ("checkpoint_every", _count(1), "a whole number of iterations >= 1"),
    ("threads", _count(0), "a whole number >= 0 (0: leave torch's choice)"),
    ("dtype", _one_of(DTYPES), f"one of {', '.join(DTYPES)}"),
)

_DEEP_R_RULES: tuple[_Rule, ...] = (
    ("mode", _one_of(MODES), f"one of {', '.join(MODES)}"),
    ("connectivity", _fraction, "a number in (0, 1]"),
    ("l1", _not_negative, "a number >= 0"),
    ("temperature", _not_negative, "a number >= 0"),
    ("dale", lambda x: x is None or (_number(x) and 0 <= x <= 1), "the excitatory fraction 0..1, or nothing"),
    ("theta_min", lambda x: _number(x) and x < 0, "a number < 0"),
)


def _failures(where: str, config: Any, rules: Iterable[_Rule]) -> list[str]:
    """Return one message for each rule that `config` breaks."""
    return [
        f"{where} '{name}': out of range (got {getattr(config, name)!r}; need {need})."
        for name, holds, need in rules
        if not holds(getattr(config, name))
    ]


def _refuse(failures: list[str]) -> None:
    if failures:
        raise RecipeError("\n".join(failures))


def _tuple(config: Any, *names: str) -> None:
    """Turn the lists a TOML file gives into tuples, in place of a converter on the field."""
    for name in names:
        if isinstance(getattr(config, name), list):
            object.__setattr__(config, name, tuple(getattr(config, name)))


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Describe a classifier: an LSNN, its LIF-only form, or a dense LSTM or vanilla RNN baseline.

    | name | unit | default | meaning |
    | --- | --- | --- | --- |
    | kind | | lsnn | "lsnn", "lif" (n_alif is 0), "lstm", "rnn" |
    | n_lif, n_alif | neurons | 60, 40 | sizes of the populations "lif" and "alif" |
    | n_units | cells | 64 | hidden size of "lstm" and "rnn" |
    | chrono_steps | steps | 0 | "lstm": its cells start with memories spread up to so many steps (Tallec & Ollivier 2018); 0: off |
    | tau_m_ms | ms | 20 | membrane time constant; [low, high] spreads it evenly over each population |
    | tau_a_ms | ms | 700 | adaptation time constant of "alif"; [low, high] spreads it evenly |
    | tau_out_ms | ms | 20 | time constant of the readout |
    | beta | of v | 0.25 | rise of an ALIF threshold with each spike, as in the graph: A = v_th + beta a, a = rho a + z |
    | v_th | of v | 1 | threshold at rest |
    | n_ref | steps | 0 | absolute refractory period |
    | delay_min, delay_max | steps | 1, 1 | delays between neurons, drawn once for every pair |
    | in_delay_min, in_delay_max | steps | 0, 0 | delays of the inputs |
    | out_delay | steps | 1 | delay to the readout |
    | reset | | threshold | "threshold", "adaptive" or "zero" |
    | dampening | | 0.3 | gamma of the pseudo-derivative |
    | gain_in, gain_rec, gain_out | of v_th | 1, 1, 1 | initial weights are gain N(0, 1) v_th / sqrt(fan-in) |
    | bias, out_bias | | false | learn a constant current of neurons, of readouts |

    The LSNN paper's beta (Bellec et al. 2018) is this one divided by (1 - rho).

    Raises: RecipeError naming every field out of range.
    """

    kind: str = "lsnn"
    n_lif: int = 60
    n_alif: int = 40
    n_units: int = 64
    chrono_steps: int = 0
    tau_m_ms: float | tuple[float, float] = 20.0
    tau_a_ms: float | tuple[float, float] = 700.0
    tau_out_ms: float = 20.0
    beta: float = 0.25
    v_th: float = 1.0
    n_ref: int = 0
    delay_min: int = 1
    delay_max: int = 1
    in_delay_min: int = 0
    in_delay_max: int = 0
    out_delay: int = 1
    reset: str = "threshold"
    dampening: float = 0.3
    gain_in: float = 1.0
    gain_rec: float = 1.0
    gain_out: float = 1.0
    bias: bool = False
    out_bias: bool = False

    def __post_init__(self) -> None:
        _tuple(self, "tau_m_ms", "tau_a_ms")
        failures = _failures("model", self, _MODEL_RULES)
        if not failures:
            if self.kind == "lif" and self.n_alif:
                object.__setattr__(self, "n_alif", 0)
            if self.kind in ("lsnn", "lif") and self.n_lif + self.n_alif == 0:
                failures.append("model 'n_lif': no neurons (got n_lif 0, n_alif 0; need at least one). Set n_lif.")
            if self.delay_max < self.delay_min:
                failures.append(f"model 'delay_max': below delay_min (got {self.delay_max}; need >= {self.delay_min}).")
            if self.in_delay_max < self.in_delay_min:
                failures.append(
                    f"model 'in_delay_max': below in_delay_min (got {self.in_delay_max}; need >= {self.in_delay_min})."
                )
        _refuse(failures)


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Describe the loop that trains a model.

    | name | unit | default | meaning |
    | --- | --- | --- | --- |
    | iterations | steps | 1000 | optimiser steps in all |
    | batch | samples | 128 | samples in one step |
    | optimizer | | adam | "adam" or "sgd" |
    | lr | | 3e-3 | learning rate at the start |
    | lr_decay, lr_decay_every | , iterations | 1, 1000 | the rate is multiplied by lr_decay every lr_decay_every |
    | rate_target_hz | Hz | 10 | rate that the regularisation pulls each neuron toward |
    | rate_reg | | 1 | weight of sum over neurons of (rate - target)^2, both in spikes per ms |
    | logit_scale | | 1 | the mean readout is multiplied by this before the softmax |
    | clip_norm | | 0 | largest norm of the whole gradient, 0 for none |
    | validate_every, validate_samples | iterations, samples | 50, 256 | how often and on how much to validate |
    | patience | validations | 0 | stop after this many without a better accuracy, 0 for never |
    | stop_accuracy | | 0 | stop when validation reaches it, 0 for never |
    | checkpoint_every | iterations | 100 | how often the run is made resumable |
    | threads | | 0 | torch threads, 0 to leave them; part of what makes a resumed run bit-identical |
    | dtype | | float32 | "float32" or "float64" |

    Raises: RecipeError naming every field out of range.
    """

    iterations: int = 1000
    batch: int = 128
    optimizer: str = "adam"
    lr: float = 3e-3
    lr_decay: float = 1.0
    lr_decay_every: int = 1000
    rate_target_hz: float = 10.0
    rate_reg: float = 1.0
    logit_scale: float = 1.0
    clip_norm: float = 0.0
    validate_every: int = 50
    validate_samples: int = 256
    patience: int = 0
    stop_accuracy: float = 0.0
    checkpoint_every: int = 100
    threads: int = 0
    dtype: str = "float32"

    def __post_init__(self) -> None:
        _refuse(_failures("train", self, _TRAIN_RULES))


@dataclass(frozen=True, kw_only=True)
class DeepRConfig:
    """Describe sparse training with DEEP R (Bellec et al. 2018, arXiv 1711.05136).

    | name | unit | default | meaning |
    | --- | --- | --- | --- |
    | mode | | off | "hard" (fixed number of connections), "soft" (no fixed number) or "off" (dense) |
    | connectivity | | 0.12 | active share of all possible connections: the global budget |
    | l1 | | 0.01 | L1 coefficient of active connections |
    | temperature | | 0 | of the random walk of the parameters |
    | dale | | none | excitatory fraction: signs by presynaptic neuron; none: a sign for each connection |
    | theta_min | | -0.01 | lower bound of dormant parameters, "soft" only |

    Raises: RecipeError naming every field out of range.
    """

    mode: str = "off"
    connectivity: float = 0.12
    l1: float = 0.01
    temperature: float = 0.0
    dale: float | None = None
    theta_min: float = -0.01

    def __post_init__(self) -> None:
        _refuse(_failures("deep_r", self, _DEEP_R_RULES))
