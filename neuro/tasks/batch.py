"""What a task hands to training and evaluation: batches of inputs with their decision windows, and the score of a readout."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from neuro.errors import DataError, nearest

InputKind = Literal["spikes", "current"]


@dataclass(frozen=True, eq=False)
class Batch:
    """Samples of a task, side by side.

    | field   | dtype, shape                       | meaning |
    | ------- | ---------------------------------- | ------- |
    | inputs  | uint8 {0, 1} or float64 currents, (batch, steps, n_in) | what drives the network at each step |
    | window  | int16, (batch, steps)              | -1: no decision at this step; k: the step belongs to decision k |
    | targets | int64, (batch, K)                  | the class of decision k; -1: this sample has no decision k |
    | signal  | float64, (batch, steps, n_out)     | regression: the wanted readout y*; None: the task asks for decisions |

    The logits of decision k are the mean of the readout y over the steps with window == k. A regression has no decisions (K = 0): y
    is compared with the signal at every step with window >= 0.
    """

    inputs: npt.NDArray[np.uint8] | npt.NDArray[np.float64]
    window: npt.NDArray[np.int16]
    targets: npt.NDArray[np.int64]
    signal: npt.NDArray[np.float64] | None = None

    def __len__(self) -> int:
        return len(self.inputs)

    def select(self, start: int, stop: int) -> Batch:
        """Return samples start..stop-1 as a batch of their own."""
        part = slice(start, stop)
        signal = None if self.signal is None else self.signal[part]
        return Batch(self.inputs[part], self.window[part], self.targets[part], signal)

    @property
    def n_decisions(self) -> int:
        """Count the decisions asked for in the whole batch."""
        return int((self.targets >= 0).sum())


def is_regression(task: Task) -> bool:
    """Tell whether a task wants a signal (its batches have one) and not decisions: it says so by an attribute `regression`."""
    return bool(getattr(task, "regression", False))


class Task(Protocol):
    """A source of labelled sequences. Sizes are fixed; only `sample` draws at random, from the generator it is given."""

    @property
    def name(self) -> str: ...
    @property
    def n_in(self) -> int: ...
    @property
    def n_out(self) -> int: ...
    @property
    def steps(self) -> int: ...
    @property
    def dt_ms(self) -> float: ...
    @property
    def input_kind(self) -> InputKind: ...
    @property
    def u_max(self) -> float:
        """Largest |current|, for a graph's `CurrentInput` (1.0 when the inputs are spikes)."""

    @property
    def u_step(self) -> float:
        """The power of two whose multiples all currents are."""

    @property
    def sizes(self) -> dict[str, int | None]:
        """Samples in each split; None: generated without end."""

    def sample(self, split: str, rng: np.random.Generator, n: int) -> Batch:
        """Draw a random batch of n samples of a split."""

    def fixed(self, split: str, start: int, stop: int) -> Batch:
        """Return samples start..stop-1 of a split in its fixed order: the same at every call, in every run."""


def decision_logits(y: npt.NDArray[np.floating], batch: Batch) -> npt.NDArray[np.float64]:
    """Average a readout over every decision window.

        logits[b, k] = mean over the steps t with window[b, t] == k of y[b, t]

    Parameters
    ----------
    y : floating, (batch, steps, n_out)
        The readout of every step.
    batch : Batch
        The samples that drove it.

    Returns
    -------
    logits : float64, (batch, K, n_out)
        NaN where a sample has no decision k.

    Raises
    ------
    DataError
        y does not have a readout for every sample and step of the batch.
    """
    if y.ndim != 3 or y.shape[:2] != batch.window.shape:
        raise DataError(
            f"score: readout of the wrong shape (got {y.shape}; need {(*batch.window.shape, 'n_out')}). "
            "Pass the readout of every sample and step."
        )
    logits = np.full((*batch.targets.shape, y.shape[2]), np.nan)
    for k in range(batch.targets.shape[1]):
        member = batch.window == k
        n_steps = member.sum(axis=1)
        total = np.where(member[:, :, None], y, 0.0).sum(axis=1, dtype=np.float64)
        has = n_steps > 0
        logits[has, k] = total[has] / n_steps[has, None]
    return logits


def score(logits_per_step: npt.NDArray[np.floating], batch: Batch) -> tuple[int, int]:
    """Count right decisions: the largest mean readout of each window against the target.

    Parameters
    ----------
    logits_per_step : floating, (batch, steps, n_out)
        The readout y of every step. Ties go to the lower class.
    batch : Batch
        The samples that drove it.

    Returns
    -------
    n_right, n_decisions : int
        Decisions answered rightly, and decisions asked for.

    Raises
    ------
    DataError
        The shape is wrong, or a readout inside a window is not finite, or the batch is of a regression.
    """
    if batch.signal is not None:
        raise DataError(
            "score: a regression has no right decisions (got a batch with a signal; need one with targets). Use nmse."
        )
    logits = decision_logits(logits_per_step, batch)
    asked = batch.targets >= 0
    if not np.isfinite(logits[asked]).all():
        sample, decision = np.argwhere(asked & ~np.isfinite(logits).all(axis=2))[0]
        raise DataError(
            f"score: sample {sample}, decision {decision}: no finite readout (got {logits[sample, decision].tolist()}; need "
            "finite numbers at every step of a decision window). Look for a diverging network or an empty window."
        )
    right = logits[asked].argmax(axis=1) == batch.targets[asked]
    return int(right.sum()), int(asked.sum())


def squares(y: npt.NDArray[np.floating], batch: Batch) -> tuple[float, float]:
    """Sum the squares that `nmse` divides; those of several batches add up.

    Parameters
    ----------
    y : floating, (batch, steps, n_out)
        The readout of every step.
    batch : Batch
        Of a regression.

    Returns
    -------
    error, spread : float
        sum (y - y*)^2 and sum (y* - mean)^2 over samples, outputs and steps with window >= 0; the mean is that of y* over these
        steps, for each sample and output.

    Raises
    ------
    DataError
        The batch has no signal, y has not its shape, or y is not finite at a step that counts.
    """
    if batch.signal is None:
        raise DataError(
            "nmse: no signal to compare with (got a batch with targets; need one of a regression). Use score."
        )
    if y.shape != batch.signal.shape:
        raise DataError(
            f"nmse: readout of the wrong shape (got {y.shape}; need {batch.signal.shape}). Pass the readout of every sample and step."
        )
    judged = batch.window >= 0
    if not np.isfinite(y[judged]).all():
        sample, step = np.argwhere(judged & ~np.isfinite(y).all(axis=2))[0]
        raise DataError(
            f"nmse: sample {sample}, step {step}: no finite readout (got {y[sample, step].tolist()}; need finite numbers). Look for a "
            "diverging network."
        )
    error = spread = 0.0
    for found, wanted, counts in zip(y, batch.signal, judged, strict=True):
        if counts.any():
            error += float(np.square(found[counts] - wanted[counts], dtype=np.float64).sum())
            spread += float(np.square(wanted[counts] - wanted[counts].mean(axis=0)).sum())
    return error, spread


def nmse(y: npt.NDArray[np.floating], batch: Batch) -> float:
    """Return the normalised mean squared error of a regression, sum (y - y*)^2 / sum (y* - mean)^2 (see `squares`).

    0 is a perfect readout, 1 one that says the mean of each signal.
    Raises: DataError as `squares`, and for a signal that is constant.
    """
    error, spread = squares(y, batch)
    if spread == 0:
        raise DataError(
            "nmse: the signal is constant (got a spread of 0; need one above 0). Compare y with it yourself."
        )
    return error / spread


def split_size(task: str, sizes: Mapping[str, int | None], split: str) -> int | None:
    """Look up a split's size, or raise DataError naming the nearest split."""
    if split not in sizes:
        raise DataError(
            f"task '{task}': unknown split (got '{split}'; need one of {', '.join(sizes)}). {nearest(split, sizes)}".rstrip()
        )
    return sizes[split]


def draw(
    task: str, sizes: Mapping[str, int | None], split: str, rng: np.random.Generator, n: int
) -> npt.NDArray[np.int64]:
    """Draw n different sample numbers of a stored split.

    Raises
    ------
    DataError
        Unknown split, or n outside 1..size.
    """
    size = split_size(task, sizes, split)
    if size is None or not 1 <= n <= size:
        raise DataError(
            f"task '{task}', split '{split}': batch size out of range (got {n}; need 1..{size}). Ask for a smaller batch."
        )
    return rng.choice(size, size=n, replace=False).astype(np.int64)


def span(task: str, sizes: Mapping[str, int | None], split: str, start: int, stop: int) -> range:
    """Check a range of sample numbers of a stored split.

    Raises
    ------
    DataError
        Unknown or endless split, or not 0 <= start < stop <= size.
    """
    size = split_size(task, sizes, split)
    if size is None:
        raise DataError(
            f"task '{task}', split '{split}': no fixed samples (got {start}..{stop}; need a split with an end). "
            "Its samples are generated without end: use sample()."
        )
    if not 0 <= start < stop <= size:
        raise DataError(
            f"task '{task}', split '{split}': samples out of range (got {start}..{stop}; need 0 <= start < stop <= {size}). "
            f"The split has {size} samples."
        )
    return range(start, stop)
