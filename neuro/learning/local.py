"""State what a synapse can know, and what a learning rule makes of it: the shape of every rule's step functions.

A rule is three pure functions of a module: `start`, `step`, `finish` (`RuleSteps`). They see synapses side by side, one column each,
and everything they are given is already gathered to that column: nothing of another synapse or another neuron is within
reach, which is what makes a rule local.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
State = dict[str, FloatArray]
"""What a rule remembers, by name: arrays whose last axes are (batch, n_synapses)."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Synapses:
    """What stays the same of n synapses: constants of each one's post unit.

    | field | shape | meaning |
    | --- | --- | --- |
    | readout | bool | the post units are leaky readouts, not neurons |
    | alpha, rho, beta | (n,) | of the post neuron; rho = beta = 0 for LIF; all 0 for a readout |
    | kappa | (n,) | of the post readout; 0 for a neuron |
    | filters | tuple of (kappa, delay) | the ways by which the post neuron's spikes reach the readouts; one entry a learning signal; a readout has one |
    | dt_ms | float | duration of a step |
    """

    readout: bool
    alpha: FloatArray
    rho: FloatArray
    beta: FloatArray
    kappa: FloatArray
    filters: tuple[tuple[float, int], ...]
    dt_ms: float

    @property
    def size(self) -> int:
        """Return the number of synapses."""
        return int(self.alpha.size)


@dataclass(frozen=True, kw_only=True, eq=False)
class Local:
    """What n synapses are told at step t, all of shape (batch, n) but signal and bonus.

    | field | shape | meaning |
    | --- | --- | --- |
    | x | (batch, n) | what arrives: s_i(t - d), or u_i(t - d) of a current input; 1 for a bias |
    | z | (batch, n) | spike of the post neuron at t; 0 for a readout |
    | psi | (batch, n) | its pseudo-derivative at t; 0 while refractory, and for a readout |
    | keep | (batch, n) | 1; 0 where v(t-1) was set to zero by reset "zero" |
    | open | (batch, n) | 1; 0 where the input of step t is discarded (reset "zero", refractory) |
    | w | (batch, n) | the weight that was used at t |
    | signal | (filters, batch, n) | learning signal of each filter at t: sum_k B_jk err_k(t) of the post neuron j; err_k of a readout k |
    | bonus | (filters, batch, n) | likewise of what no reward gates (the entropy's gradient) |
    | modulator | (batch, n) | one number told to all: TD error of step t - 1 (reward_eprop), reward of step t (reward_stdp), else 0 |
    """

    x: FloatArray
    z: FloatArray
    psi: FloatArray
    keep: FloatArray
    open: FloatArray
    w: FloatArray
    signal: FloatArray
    bonus: FloatArray
    modulator: FloatArray


class RuleSteps(Protocol):
    """A rule's module. `rule` is its dataclass of `neuro.learning.rules`; a weight changes by -rule.lr times what is returned."""

    def start(self, rule: Any, synapses: Synapses, batch: int) -> State:
        """Return the state before step 0 of a sample."""
        ...

    def step(self, rule: Any, synapses: Synapses, state: State, local: Local) -> tuple[State, FloatArray]:
        """Return the state after step t, and the gradient known then, (batch, n)."""
        ...

    def finish(self, rule: Any, synapses: Synapses, state: State, modulator: FloatArray) -> FloatArray:
        """Return what the end of the sample adds to the gradient, (batch, n); modulator: as if a step T came."""
        ...
