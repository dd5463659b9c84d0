"""The `delayed_match` task: two cues with a delay between them; are they the same?"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from neuro.tasks.cued import N_GROUPS, CuedTask, Cues
from neuro.tasks.parameters import number

CUE_A, CUE_B, RESPOND, NOISE = range(4)
NON_MATCH, MATCH = 0, 1


@dataclass(frozen=True, kw_only=True)
class DelayedMatchParameters:
    """Timing, rates and set sizes of the `delayed_match` task.

    | name            | unit | default | meaning |
    | --------------- | ---- | ------- | ------- |
    | cue_ms          | ms   | 100     | duration of each cue |
    | delay_ms        | ms   | 500     | from the first cue to the second |
    | response_ms     | ms   | 100     | the end of the sample, after the second cue: the answer is given in it |
    | rate_hz         | Hz   | 50      | Poisson rate of a group that is on |
    | noise_hz        | Hz   | 5       | Poisson rate of the background group, always on |
    | group_size      |      | 10      | neurons in each of the four groups |
    | validation_size |      | 128     | samples in the validation set |
    | test_size       |      | 512     | samples in the test set |
    """

    cue_ms: int = number(100, 1, 10000)
    delay_ms: int = number(500, 0, 100000)
    response_ms: int = number(100, 1, 10000)
    rate_hz: float = number(50.0, 0.0, 1000.0, open_low=True)
    noise_hz: float = number(5.0, 0.0, 1000.0)
    group_size: int = number(10, 1, 10000)
    validation_size: int = number(128, 1, 100000)
    test_size: int = number(512, 1, 100000)


@dataclass(frozen=True, kw_only=True)
class DelayedMatch(CuedTask):
    """Say whether two cues were the same (delayed match to sample).

        neurons 0..g-1 cue A, g..2g-1 cue B, 2g..3g-1 respond, 3g..4g-1 background noise        g = group_size

    Each of the two cues is A or B with equal probability. Its group fires (Poisson, `rate_hz`) for cue_ms; between the cues only the
    background fires, for delay_ms; the respond group fires after the second cue, for response_ms: the one decision of the sample, 1 if
    the cues were the same (match), 0 if not. No cue alone says anything about the answer, so the first has to be kept in memory, and the
    two have to be combined as in an exclusive or.

    Meant for learning from reward: an action, 0 or 1, is drawn in the response window and rewarded if it is right.

    Training samples are drawn without end from the generator that `sample` is given. Validation and test sets are fixed by `seed`:
    sample i of a split is always the same, wherever a batch begins.
    """

    parameters: DelayedMatchParameters = field(default_factory=DelayedMatchParameters)
    seed: int = 0

    name: ClassVar[str] = "delayed_match"

    @property
    def steps(self) -> int:
        p = self.parameters
        return 2 * p.cue_ms + p.delay_ms + p.response_ms

    @property
    def decision_steps(self) -> int:
        return self.parameters.response_ms

    def cues(self, rng: np.random.Generator, n: int) -> Cues:
        """Draw the two cues of n samples: CUE_A or CUE_B, int64 (n, 2)."""
        return rng.integers(0, 2, size=(n, 2))

    def rates_hz(self, cues: Cues) -> npt.NDArray[np.float64]:
        p = self.parameters
        rate: npt.NDArray[np.float64] = np.zeros((len(cues), self.steps, N_GROUPS))
        rate[:, :, NOISE] = p.noise_hz
        rate[:, -p.response_ms :, RESPOND] = p.rate_hz
        for k, start in enumerate((0, p.cue_ms + p.delay_ms)):
            for cue in (CUE_A, CUE_B):
                rate[cues[:, k] == cue, start : start + p.cue_ms, cue] = p.rate_hz
        return rate

    def answer(self, cues: Cues) -> npt.NDArray[np.int64]:
        return np.where(cues[:, 0] == cues[:, 1], MATCH, NON_MATCH)
