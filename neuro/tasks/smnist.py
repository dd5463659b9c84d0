"""The `smnist` task: sequential MNIST, 784 pixels one after the other, as spikes or as currents."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt

from neuro import seeds
from neuro.errors import DataError
from neuro.tasks import idx
from neuro.tasks.batch import Batch, InputKind, draw, span
from neuro.tasks.crossing import CrossingCode
from neuro.tasks.parameters import number
from neuro.tasks.shift import draw_shifts, shifted

ADVICE = (
    "Put the four MNIST files (train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte, t10k-labels-idx1-ubyte, "
    "gzipped or not) in a folder, or its subfolder mnist/, and name it with --data DIR or the environment variable NEURO_DATA. They "
    "are at https://ossci-datasets.s3.amazonaws.com/mnist/ and https://storage.googleapis.com/cvdf-datasets/mnist/"
)
SIDE, PIXELS, N_GREY = 28, 784, 256
CUE_ROWS, DECISION_ROWS = 2, 1

# 40 thresholds k / 39 of full white: the levels k = 0..38 have an onset and an offset neuron, level 39 (white) the touch neuron.
CODE = CrossingCode(first=0, last=38, n_levels=39, touch=True)


@dataclass(frozen=True, kw_only=True)
class SequentialMnistParameters:
    """Timing, coding and split of the `smnist` task.

    | name            | unit | default   | meaning |
    | --------------- | ---- | --------- | ------- |
    | ms_per_pixel    | ms   | 1         | time that each pixel is shown for; the cue and the decision window stretch with it |
    | encoding        |      | "spikes"  | "spikes": threshold crossings; "current": grey values k / 256 |
    | permuted        |      | false     | show the pixels in one fixed random order |
    | validation_size |      | 1000      | samples taken off the end of the training images |
    | max_shift       | pixels | 0       | training images are moved by up to this much, each way, at random; black comes in at the edge |
    """

    ms_per_pixel: int = number(1, 1, 100)
    encoding: Literal["spikes", "current"] = "spikes"
    permuted: bool = False
    validation_size: int = number(1000, 1, 30000)
    max_shift: int = number(0, 0, 8)


@dataclass(frozen=True, kw_only=True, eq=False)
class SequentialMnist:
    """Ten-way classification of MNIST digits seen pixel by pixel, one decision a sample (Bellec et al. 2018, arXiv 1803.09574).

    At 1 ms a pixel: 784 steps of pixels, then 2 x 28 steps of cue, 840 in all; the answer is the mean readout over the last 28.

    Encoding "spikes", 80 inputs: a pixel of grey value x has reached level k = 0..39 when x >= 255 k / 39 (39 x >= 255 k, in
    integers). Levels 0..38 own an onset and an offset neuron each (`CrossingCode`; the pair of level 0 never fires, since every value has
    reached it), level 39 one neuron that fires while a pixel is white, and the last neuron is the cue. As in the published code,
    save that a crossing fires at the first step of the pixel that crossed (there: the last of the pixel before), and that a first
    pixel that is not black counts as a crossing from black.

    Encoding "current", 2 inputs: the grey value x / 256 (on the grid u_step = 2**-8, below u_max = 1), and the cue, 1 while it is on.

    Permuted: the same permutation for every sample, split, run and seed (named stream "smnist.permutation").
    """

    parameters: SequentialMnistParameters
    train_images: npt.NDArray[np.uint8]
    train_labels: npt.NDArray[np.int64]
    test_images: npt.NDArray[np.uint8]
    test_labels: npt.NDArray[np.int64]

    name: ClassVar[str] = "smnist"
    n_out: ClassVar[int] = 10
    dt_ms: ClassVar[float] = 1.0
    u_max: ClassVar[float] = 1.0
    u_step: ClassVar[float] = 2.0**-8

    @classmethod
    def load(cls, parameters: SequentialMnistParameters, data_dir: str | Path | None = None) -> SequentialMnist:
        """Read the four IDX files from `data_dir` (default: the environment variable NEURO_DATA) or its subfolder mnist.

        However many training images the file holds are taken; `sizes` says how many.

        Raises
        ------
        DataError
            No folder is named, or a file is missing, damaged or of the wrong shape; fewer images than `validation_size` + 1.
        """
        folder = _folder(data_dir)
        train_images, train_labels = _read(folder, "train")
        test_images, test_labels = _read(folder, "t10k")
        if len(train_labels) <= parameters.validation_size:
            raise DataError(
                f"{folder}: too few training images (got {len(train_labels)}; need more than validation_size = "
                f"{parameters.validation_size}). Lower validation_size."
            )
        for array in (train_images, train_labels, test_images, test_labels):
            array.flags.writeable = False
        return cls(
            parameters=parameters,
            train_images=train_images,
            train_labels=train_labels,
            test_images=test_images,
            test_labels=test_labels,
        )

    @property
    def input_kind(self) -> InputKind:
        return self.parameters.encoding

    @property
    def n_in(self) -> int:
        return CODE.n_neurons + 1 if self.parameters.encoding == "spikes" else 2

    @property
    def steps(self) -> int:
        return (PIXELS + CUE_ROWS * SIDE) * self.parameters.ms_per_pixel

    @property
    def sizes(self) -> dict[str, int | None]:
        n_validation = self.parameters.validation_size
        return {
            "train": len(self.train_labels) - n_validation,
            "validation": n_validation,
            "test": len(self.test_labels),
        }

    def sample(self, split: str, rng: np.random.Generator, n: int) -> Batch:
        index = draw(self.name, self.sizes, split, rng, n)
        if split != "train" or not self.parameters.max_shift:
            return self._batch(split, index)
        return self._batch(split, index, draw_shifts(self.parameters.max_shift, rng, n))

    def fixed(self, split: str, start: int, stop: int) -> Batch:
        return self._batch(split, np.asarray(span(self.name, self.sizes, split, start, stop)))

    def _batch(self, split: str, index: npt.NDArray[np.int64], shift: npt.NDArray[np.int64] | None = None) -> Batch:
        if split == "test":
            images, labels = self.test_images[index], self.test_labels[index]
        else:
            first = len(self.train_labels) - self.parameters.validation_size if split == "validation" else 0
            images, labels = self.train_images[index + first], self.train_labels[index + first]
        if shift is not None:
            images = shifted(images, SIDE, shift)
        if self.parameters.permuted:
            images = images[:, seeds.stream(0, "smnist.permutation").permutation(PIXELS)]
        stretch = self.parameters.ms_per_pixel
        inputs = self._spikes(images) if self.parameters.encoding == "spikes" else self._currents(images)
        inputs[:, PIXELS * stretch :, -1] = 1
        window = np.full((len(index), self.steps), -1, dtype=np.int16)
        window[:, -DECISION_ROWS * SIDE * stretch :] = 0
        return Batch(inputs=inputs, window=window, targets=labels[:, None])

    def _spikes(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        levels = (np.arange(N_GREY) * CODE.n_levels // (N_GREY - 1)).astype(np.uint8)
        return CODE.encode(levels[images], self.parameters.ms_per_pixel, self.n_in, self.steps)

    def _currents(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
        currents = np.zeros((len(images), self.steps, self.n_in))
        shown = PIXELS * self.parameters.ms_per_pixel
        currents[:, :shown, 0] = np.repeat(images, self.parameters.ms_per_pixel, axis=1) * self.u_step
        return currents


def _folder(data_dir: str | Path | None) -> Path:
    named = data_dir if data_dir is not None else os.environ.get("NEURO_DATA")
    if not named:
        raise DataError(f"task 'smnist': no data folder (got none; need a folder with the MNIST files). {ADVICE}")
    folder = Path(named).expanduser()
    return folder / "mnist" if (folder / "mnist").is_dir() else folder


def _read(folder: Path, part: str) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    images = idx.read(folder, f"{part}-images-idx3-ubyte", 3, ADVICE)
    labels = idx.read(folder, f"{part}-labels-idx1-ubyte", 1, ADVICE)
    problem = None
    if images.shape[1:] != (SIDE, SIDE):
        problem = f"{part} images of the wrong size (got {images.shape[1]}x{images.shape[2]} pixels; need 28x28)"
    elif len(images) != len(labels):
        problem = f"{part} images and labels do not match (got {len(images)} images, {len(labels)} labels; need as many of both)"
    elif len(labels) == 0:
        problem = f"{part} files are empty (got 0 images; need at least 1)"
    elif labels.max() > 9:
        problem = f"{part} labels out of range (got {labels.max()}; need 0..9)"
    if problem:
        raise DataError(f"{folder}: {problem}. {ADVICE}")
    return images.reshape(len(images), PIXELS), labels.astype(np.int64)
