"""The `pattern_generation` task: follow a sum of sinusoids, with a fixed pattern of input spikes as the only clock."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt

from neuro import seeds
from neuro.tasks.batch import Batch, InputKind, span, split_size
from neuro.tasks.parameters import Problem, number
from neuro.tasks.poisson import group_spikes

AMPLITUDES = 0.5, 2.0
"""Amplitudes are drawn uniformly from here, before the whole is normalised (Bellec et al. 2020, published code)."""


@dataclass(frozen=True, kw_only=True)
class PatternGenerationParameters:
    """Signal and input of the `pattern_generation` task.

    | name           | unit | default    | meaning |
    | -------------- | ---- | ---------- | ------- |
    | n_signals      |      | 1          | signals that are wanted at once, one a readout |
    | frequencies_hz | Hz   | 1, 2, 3, 5 | of the sinusoids that each signal is the sum of |
    | duration_ms    | ms   | 1000       | length of the sample |
    | clock          |      | poisson    | input: "poisson", spikes drawn once at rate_hz; "ticks", one group of neurons after another |
    | n_clock        |      | 100        | input neurons |
    | rate_hz        | Hz   | 50         | rate of the neurons, with "ticks" while their group is on |
    | n_groups       |      | 10         | groups of "ticks", each on for duration_ms / n_groups |
    | pattern        |      | 0          | which signals and spikes: each number has its own |
    """

    n_signals: int = number(1, 1, 1000)
    frequencies_hz: tuple[float, ...] = number((1.0, 2.0, 3.0, 5.0), 0.0, 500.0, open_low=True)
    duration_ms: int = number(1000, 2, 100000)
    clock: Literal["poisson", "ticks"] = "poisson"
    n_clock: int = number(100, 1, 10000)
    rate_hz: float = number(50.0, 0.0, 1000.0, open_low=True)
    n_groups: int = number(10, 1, 1000)
    pattern: int = number(0, 0, 2**31)

    def rules(self) -> list[Problem]:
        """Check that there is something to sum."""
        if not self.frequencies_hz:
            return [Problem("frequencies_hz", "no sinusoid", "an empty list", "at least one frequency")]
        return []


@dataclass(frozen=True, kw_only=True)
class PatternGeneration:
    """Follow a wanted signal (Bellec et al. 2020, Nat. Commun. 11:3625, pattern generation): a regression.

        y*_k(t) = c_k (x_k(t) - x_k(0)),   x_k(t) = sum over f of A_kf sin(2 pi f t / 1000 ms + phi_kf)

    with A_kf uniform in 0.5..2, phi_kf uniform in 0..2 pi, and c_k such that the largest |y*_k| is 1: it starts from 0, as a
    readout does. (The published code draws the same, and rounds each frequency's number of periods down.) All steps count.

    The input is the same spikes in every sample. "poisson": each neuron and step with probability rate * dt, drawn once. "ticks": neuron i
    belongs to group i * n_groups // n_clock; the groups are on one after another, and a neuron that is on fires every 1000 / rate_hz
    ms, all of its group together.

    There is one sample: training, validation and test are it. `seed` and the parameter `pattern` draw it.
    """

    parameters: PatternGenerationParameters = field(default_factory=PatternGenerationParameters)
    seed: int = 0

    name: ClassVar[str] = "pattern_generation"
    regression: ClassVar[bool] = True
    dt_ms: ClassVar[float] = 1.0
    input_kind: ClassVar[InputKind] = "spikes"
    u_max: ClassVar[float] = 1.0
    u_step: ClassVar[float] = 2.0**-8

    @property
    def n_in(self) -> int:
        return self.parameters.n_clock

    @property
    def n_out(self) -> int:
        return self.parameters.n_signals

    @property
    def steps(self) -> int:
        return self.parameters.duration_ms

    @property
    def sizes(self) -> dict[str, int | None]:
        return {"train": None, "validation": 1, "test": 1}

    def sample(self, split: str, rng: np.random.Generator, n: int) -> Batch:
        """Return n copies of the one sample of training, or the one of another split; nothing is drawn."""
        if split_size(self.name, self.sizes, split) is not None:
            return self.fixed(split, 0, n)
        return self._batch(n)

    def fixed(self, split: str, start: int, stop: int) -> Batch:
        return self._batch(len(span(self.name, self.sizes, split, start, stop)))

    def _batch(self, n: int) -> Batch:
        spikes, signal = self._sample
        return Batch(
            inputs=np.repeat(spikes, n, axis=0),
            window=np.zeros((n, self.steps), dtype=np.int16),
            targets=np.zeros((n, 0), dtype=np.int64),
            signal=np.repeat(signal, n, axis=0),
        )

    @cached_property
    def _sample(self) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float64]]:
        """Spikes and signal of the sample, drawn once. (A cache, not state: a function of the fields.)"""
        streams = (
            seeds.stream(self.seed, f"pattern_generation.{part}.{self.parameters.pattern}") for part in ("in", "out")
        )
        return self._spikes(next(streams)), self._signals(next(streams))

    def _spikes(self, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
        p = self.parameters
        if p.clock == "poisson":
            return group_spikes(np.full((1, self.steps, 1), p.rate_hz), p.n_clock, self.dt_ms, rng)
        step, neuron = np.arange(self.steps), np.arange(p.n_clock)
        on = (step * p.n_groups // self.steps)[:, None] == (neuron * p.n_groups // p.n_clock)[None, :]
        period = 1000.0 / (p.rate_hz * self.dt_ms)
        tick = np.floor(step / period) != np.floor((step - 1) / period)
        return (on & tick[:, None])[None].astype(np.uint8)

    def _signals(self, rng: np.random.Generator) -> npt.NDArray[np.float64]:
        p = self.parameters
        shape = (p.n_signals, len(p.frequencies_hz))
        amplitude = rng.uniform(*AMPLITUDES, size=shape)
        phase = rng.uniform(0.0, 2.0 * np.pi, size=shape)
        turns = np.arange(self.steps)[:, None, None] * (self.dt_ms / 1000.0) * np.array(p.frequencies_hz)
        x = (amplitude * np.sin(2.0 * np.pi * turns + phase)).sum(axis=2)
        x -= x[0]
        return np.asarray(x / np.abs(x).max(axis=0))[None]
