"""What tasks share whose samples are cues, then a decision: Poisson spikes of four groups, drawn for training and fixed for the rest."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from neuro import seeds
from neuro.tasks.batch import Batch, InputKind, draw, span, split_size
from neuro.tasks.poisson import group_spikes

Cues = npt.NDArray[np.int64]
N_GROUPS = 4


class CuedTask(ABC):
    """A task of two classes whose last steps are its one decision; a subclass says which cues, when, and what they mean.

    parameters: has group_size, validation_size and test_size. seed: of the fixed splits: their sample i comes from the stream
    "NAME.SPLIT.i", wherever a batch begins. Training samples are drawn without end from the generator that `sample` is given.
    """

    parameters: Any
    seed: int

    name: ClassVar[str]
    n_out: ClassVar[int] = 2
    dt_ms: ClassVar[float] = 1.0
    input_kind: ClassVar[InputKind] = "spikes"
    u_max: ClassVar[float] = 1.0
    u_step: ClassVar[float] = 2.0**-8

    @property
    @abstractmethod
    def steps(self) -> int:
        """Return the steps of a sample."""

    @property
    @abstractmethod
    def decision_steps(self) -> int:
        """Return the steps of the decision, which end the sample."""

    @abstractmethod
    def cues(self, rng: np.random.Generator, n: int) -> Cues:
        """Draw the cues of n samples, int64 (n, cues): numbers of groups."""

    @abstractmethod
    def rates_hz(self, cues: Cues) -> npt.NDArray[np.float64]:
        """Return the rate of each group at each step, Hz, float64 (n, steps, N_GROUPS)."""

    @abstractmethod
    def answer(self, cues: Cues) -> npt.NDArray[np.int64]:
        """Return the right class of each sample, int64 (n,)."""

    @property
    def n_in(self) -> int:
        return N_GROUPS * int(self.parameters.group_size)

    @property
    def sizes(self) -> dict[str, int | None]:
        return {"train": None, "validation": self.parameters.validation_size, "test": self.parameters.test_size}

    def sample(self, split: str, rng: np.random.Generator, n: int) -> Batch:
        if split_size(self.name, self.sizes, split) is not None:
            return self._numbered(split, draw(self.name, self.sizes, split, rng, n).tolist())
        cues = self.cues(rng, n)
        return self._batch(cues, self._spikes(cues, rng))

    def fixed(self, split: str, start: int, stop: int) -> Batch:
        return self._numbered(split, list(span(self.name, self.sizes, split, start, stop)))

    def _spikes(self, cues: Cues, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
        return group_spikes(self.rates_hz(cues), self.parameters.group_size, self.dt_ms, rng)

    def _batch(self, cues: Cues, spikes: npt.NDArray[np.uint8]) -> Batch:
        window = np.full((len(cues), self.steps), -1, dtype=np.int16)
        window[:, -self.decision_steps :] = 0
        return Batch(inputs=spikes, window=window, targets=self.answer(cues)[:, None])

    def _numbered(self, split: str, numbers: list[int]) -> Batch:
        streams = [seeds.stream(self.seed, f"{self.name}.{split}.{number}") for number in numbers]
        cues = [self.cues(rng, 1) for rng in streams]
        spikes = [self._spikes(c, rng) for c, rng in zip(cues, streams, strict=True)]
        return self._batch(np.concatenate(cues), np.concatenate(spikes))
