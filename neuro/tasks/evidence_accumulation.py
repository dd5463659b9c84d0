"""The `evidence_accumulation` task: count cues on two sides, and say after a delay which side had more."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from neuro.tasks.cued import N_GROUPS, CuedTask, Cues
from neuro.tasks.parameters import Problem, number

LEFT, RIGHT, RECALL, NOISE = range(4)


@dataclass(frozen=True, kw_only=True)
class EvidenceAccumulationParameters:
    """Timing, rates and set sizes of the `evidence_accumulation` task.

    | name            | unit | default | meaning |
    | --------------- | ---- | ------- | ------- |
    | n_cues          |      | 7       | cues in a sample, odd |
    | interval_ms     | ms   | 150     | from one cue to the next |
    | cue_ms          | ms   | 100     | duration of a cue, at the end of its interval |
    | delay_ms        | ms   | 1050    | from the last cue to the decision |
    | decision_ms     | ms   | 150     | the end of the sample: the recall cue is on and the answer is read |
    | p_minor         |      | 0.3     | probability of a cue on the side that is given fewer, 0..0.5 |
    | rate_hz         | Hz   | 40      | Poisson rate of a group that is on |
    | noise_hz        | Hz   | 10      | Poisson rate of the background group, always on |
    | group_size      |      | 10      | neurons in each of the four groups |
    | validation_size |      | 128     | samples in the validation set |
    | test_size       |      | 512     | samples in the test set |
    """

    n_cues: int = number(7, 1, 999)
    interval_ms: int = number(150, 1, 10000)
    cue_ms: int = number(100, 1, 10000)
    delay_ms: int = number(1050, 0, 100000)
    decision_ms: int = number(150, 1, 10000)
    p_minor: float = number(0.3, 0.0, 0.5)
    rate_hz: float = number(40.0, 0.0, 1000.0, open_low=True)
    noise_hz: float = number(10.0, 0.0, 1000.0)
    group_size: int = number(10, 1, 10000)
    validation_size: int = number(128, 1, 100000)
    test_size: int = number(512, 1, 100000)

    def rules(self) -> list[Problem]:
        """Check the fields together: a cue ends with its interval, and there is always a majority."""
        found = []
        if self.cue_ms > self.interval_ms:
            need = f"at most interval_ms = {self.interval_ms}"
            found.append(Problem("cue_ms", "longer than its interval", str(self.cue_ms), need))
        if self.n_cues % 2 == 0:
            found.append(Problem("n_cues", "no majority in an even number", str(self.n_cues), "an odd number"))
        return found


@dataclass(frozen=True, kw_only=True)
class EvidenceAccumulation(CuedTask):
    """Count cues to the left and to the right (Bellec et al. 2020, Nat. Commun. 11:3625, evidence accumulation).

        neurons 0..g-1 left, g..2g-1 right, 2g..3g-1 recall, 3g..4g-1 background noise        g = group_size

    One side is drawn to be given more; each cue comes on the other one with probability p_minor. A cue is Poisson spikes of its side's
    group in the last cue_ms of its interval. After n_cues intervals and the delay the recall group fires for decision_ms: the one
    decision of the sample, 0 if more cues were left, 1 if more were right (counted, so the drawn side may be wrong).

    Timing and rates are those of the published code, which also has background spikes at a quarter of the cue's rate throughout.

    Training samples are drawn without end from the generator that `sample` is given. Validation and test sets are fixed by `seed`:
    sample i of a split is always the same, wherever a batch begins.
    """

    parameters: EvidenceAccumulationParameters = field(default_factory=EvidenceAccumulationParameters)
    seed: int = 0

    name: ClassVar[str] = "evidence_accumulation"

    @property
    def steps(self) -> int:
        p = self.parameters
        return p.n_cues * p.interval_ms + p.delay_ms + p.decision_ms

    @property
    def decision_steps(self) -> int:
        return self.parameters.decision_ms

    def cues(self, rng: np.random.Generator, n: int) -> Cues:
        """Draw the cues of n samples: LEFT or RIGHT, int64 (n, n_cues)."""
        major = rng.integers(0, 2, size=(n, 1))
        swapped = rng.random((n, self.parameters.n_cues)) < self.parameters.p_minor
        return np.where(swapped, 1 - major, major)

    def rates_hz(self, cues: Cues) -> npt.NDArray[np.float64]:
        p = self.parameters
        rate: npt.NDArray[np.float64] = np.zeros((len(cues), self.steps, N_GROUPS))
        rate[:, :, NOISE] = p.noise_hz
        rate[:, -p.decision_ms :, RECALL] = p.rate_hz
        for k in range(p.n_cues):
            end = (k + 1) * p.interval_ms
            for side in (LEFT, RIGHT):
                rate[cues[:, k] == side, end - p.cue_ms : end, side] = p.rate_hz
        return rate

    def answer(self, cues: Cues) -> npt.NDArray[np.int64]:
        return ((cues == RIGHT).sum(axis=1) > self.parameters.n_cues // 2).astype(np.int64)
