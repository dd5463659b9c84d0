"""The `digits` task: scikit-learn's real handwritten digits, pixel by pixel, as spikes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from neuro import seeds
from neuro.errors import DataError
from neuro.tasks.batch import Batch, InputKind, draw, span
from neuro.tasks.crossing import CrossingCode
from neuro.tasks.parameters import Problem, number
from neuro.tasks.shift import draw_shifts, shifted

N_VALIDATION, N_TEST = 240, 360
SIDE, WHITE = 8, 16


@dataclass(frozen=True, kw_only=True)
class DigitsParameters:
    """Timing and resolution of the `digits` task.

    | name            | unit  | default | meaning |
    | --------------- | ----- | ------- | ------- |
    | steps_per_pixel | steps | 2       | time that each of the 64 pixels is shown for |
    | levels          |       | 8       | thresholds of the code: multiples of 16 / levels |
    | cue_steps       | steps | 22      | time after the last pixel during which the cue neuron fires at every step |
    | decision_steps  | steps | 12      | the last steps of the cue: the answer is the mean readout over them |
    | max_shift       | pixels | 0      | training digits are moved by up to this much, each way, at random; black comes in at the edge |
    | noise           | grey  | 0       | training pixels are changed by up to this much of 16, either way, at random |
    """

    steps_per_pixel: int = number(2, 1, 100)
    levels: int = number(8, 1, 16)
    cue_steps: int = number(22, 1, 1000)
    decision_steps: int = number(12, 1, 1000)
    max_shift: int = number(0, 0, 3)
    noise: int = number(0, 0, 8)

    def rules(self) -> list[Problem]:
        """Check the fields together: the answer is read while the cue is on."""
        if self.decision_steps > self.cue_steps:
            need = f"at most cue_steps = {self.cue_steps}"
            return [Problem("decision_steps", "longer than the cue", str(self.decision_steps), need)]
        return []


@dataclass(frozen=True, kw_only=True, eq=False)
class Digits:
    """Ten-way classification of 8x8 digits (values 0..16), one decision a sample.

    The 64 pixels come row by row through `CrossingCode`: threshold k of L is reached by values >= 16 k / L and owns an onset and an
    offset neuron; the last input neuron is the cue, which fires at every step after the last pixel.

    The 1797 digits are split once and for all, whatever the run's seed: every class is shuffled (named stream
    "digits.split") and dealt evenly over one order; its first 360 are the test set, the next 240 validation, the other 1197
    training. Any stretch of that order holds the ten classes in nearly equal parts.

    Source: E. Alpaydin, C. Kaynak, Optical Recognition of Handwritten Digits, UCI (1998), CC BY 4.0, the part that scikit-learn
    carries. Writers are not kept apart by the split.
    """

    parameters: DigitsParameters
    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]

    name: ClassVar[str] = "digits"
    n_out: ClassVar[int] = 10
    dt_ms: ClassVar[float] = 1.0
    input_kind: ClassVar[InputKind] = "spikes"
    u_max: ClassVar[float] = 1.0
    u_step: ClassVar[float] = 2.0**-8

    @classmethod
    def load(cls, parameters: DigitsParameters) -> Digits:
        """Read the digits that scikit-learn carries, in the fixed order test, validation, train.

        Raises
        ------
        DataError
            scikit-learn is not installed.
        """
        images, labels = _load()
        return cls(parameters=parameters, images=images, labels=labels)

    @property
    def code(self) -> CrossingCode:
        """The threshold-crossing code in use."""
        return CrossingCode(first=1, last=self.parameters.levels, n_levels=self.parameters.levels, touch=False)

    @property
    def n_in(self) -> int:
        return self.code.n_neurons + 1

    @property
    def steps(self) -> int:
        return 64 * self.parameters.steps_per_pixel + self.parameters.cue_steps

    @property
    def sizes(self) -> dict[str, int | None]:
        return {"train": len(self.labels) - N_TEST - N_VALIDATION, "validation": N_VALIDATION, "test": N_TEST}

    def sample(self, split: str, rng: np.random.Generator, n: int) -> Batch:
        index = draw(self.name, self.sizes, split, rng, n) + self._first(split)
        return self._batch(index, self._varied(self.images[index], rng) if split == "train" else None)

    def fixed(self, split: str, start: int, stop: int) -> Batch:
        numbers = span(self.name, self.sizes, split, start, stop)
        return self._batch(np.asarray(numbers) + self._first(split))

    def _first(self, split: str) -> int:
        return {"test": 0, "validation": N_TEST, "train": N_TEST + N_VALIDATION}[split]

    def _varied(self, images: npt.NDArray[np.uint8], rng: np.random.Generator) -> npt.NDArray[np.uint8]:
        """Move and blur training digits as the parameters say."""
        p = self.parameters
        if p.max_shift:
            images = shifted(images, SIDE, draw_shifts(p.max_shift, rng, len(images)))
        if p.noise:
            change = rng.integers(-p.noise, p.noise, size=images.shape, endpoint=True)
            images = np.clip(images + change, 0, WHITE).astype(np.uint8)
        return images

    def _batch(self, index: npt.NDArray[np.int64], images: npt.NDArray[np.uint8] | None = None) -> Batch:
        """Encode samples; images, in place of the stored ones."""
        p = self.parameters
        images = self.images[index] if images is None else images
        levels = images.astype(np.int64) * p.levels // WHITE
        inputs = self.code.encode(levels, p.steps_per_pixel, self.n_in, self.steps)
        inputs[:, -p.cue_steps :, -1] = 1
        window = np.full((len(index), self.steps), -1, dtype=np.int16)
        window[:, -p.decision_steps :] = 0
        return Batch(inputs=inputs, window=window, targets=self.labels[index][:, None])


@lru_cache(maxsize=1)
def _load() -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    try:
        from sklearn.datasets import load_digits
    except ImportError as err:
        raise DataError(
            "task 'digits': its images come with scikit-learn (got no module 'sklearn'; need scikit-learn >= 1.0). "
            "Install it with: pip install scikit-learn"
        ) from err
    data = load_digits()
    labels = data.target.astype(np.int64)
    order = even_order(labels, seeds.stream(0, "digits.split"))
    images, labels = data.data.astype(np.uint8)[order], labels[order]
    images.flags.writeable = labels.flags.writeable = False
    return images, labels


def even_order(labels: npt.NDArray[np.int64], rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Shuffle samples so that every class is spread evenly over the order.

    The i-th of the n_c shuffled samples of class c sits at (i + 1/2) / n_c; samples are sorted by that place, classes break ties.

    Returns
    -------
    order : int64, (n,)
        The sample at each place.
    """
    place = np.empty(len(labels))
    for c in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == c))
        place[members] = (np.arange(len(members)) + 0.5) / len(members)
    return np.asarray(np.lexsort((labels, place)), dtype=np.int64)
