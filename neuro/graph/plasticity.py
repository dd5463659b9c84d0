"""Attach a learning rule to a projection, as data: which rule, with which parameters, which population carries its signal.

A graph that is run ignores it: weights are those that are stored. `neuro.learning` gives it its meaning and owns the rules' names
and parameters; here is only what a file can hold.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from neuro.errors import GraphError

Value = float | int | str | bool


@dataclass(frozen=True, kw_only=True)
class Plasticity:
    """Say how the synapses of a projection change their weights.

    rule: name of the learning rule. signal: the population whose output is compared or rewarded (a readout), or None for a rule
    without one. parameters: numbers, texts and truth values by name; what is left out has the rule's default.
    Raises: GraphError if a parameter is none of these, or not finite.
    """

    rule: str
    signal: str | None = None
    parameters: Mapping[str, Value] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for key, value in self.parameters.items():
            finite = not isinstance(value, float) or math.isfinite(value)
            if not isinstance(key, str) or not isinstance(value, (bool, int, float, str)) or not finite:
                raise GraphError(
                    f"plasticity '{self.rule}': parameter {key!r} cannot be stored (got {value!r}; need a finite number, a text, true or "
                    "false, under a text). Convert it."
                )
        object.__setattr__(self, "parameters", MappingProxyType(dict(sorted(self.parameters.items()))))

    def __hash__(self) -> int:
        return hash(self.to_json())

    def to_json(self) -> str:
        """Return the canonical text: equal for equal plasticity, floats with every digit."""
        held = {"rule": self.rule, "signal": self.signal, "parameters": dict(self.parameters)}
        return json.dumps(held, sort_keys=True, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Plasticity:
        """Read what `to_json` wrote. Raises GraphError for anything else."""
        try:
            held: Any = json.loads(text)
            if set(held) != {"rule", "signal", "parameters"} or not isinstance(held["parameters"], dict):
                raise ValueError("other keys")
            return cls(**held)
        except (ValueError, TypeError) as err:
            raise GraphError(
                f"plasticity: text not understood (got {text[:80]!r}; need JSON with rule, signal and parameters). Write it again."
            ) from err
