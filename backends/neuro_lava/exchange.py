"""Pass data between a program and the models of its Lava Processes: files in a folder that is theirs alone.

Signals and rows are numpy files that both sides map into memory; Lava's own way, Var.get and set, takes 26-45 us an
element. A population is known by its index in the graph: its name need not be a file name. Samples are the last axis, as
in all messages between Processes: it makes the product of a sparse matrix with a batch run along memory.
"""

from __future__ import annotations

import json
import traceback
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_RUN = "run.json"
_LESSON = "lesson.npz"
_TRACEBACK = "traceback.txt"


@dataclass(frozen=True)
class Run:
    """Describe the next run: its steps, its samples, and the states to write by index of the population."""

    steps: int
    samples: int
    record: Mapping[str, tuple[str, ...]]


def write_run(folder: str, run: Run) -> None:
    """Leave the description for the models; the signals and the empty rows that it speaks of must be there."""
    (Path(folder) / _RUN).write_text(json.dumps(asdict(run)))


def read_run(folder: str) -> Run:
    """Return what `write_run` wrote."""
    return Run(**json.loads((Path(folder) / _RUN).read_text()))


def create_signal(folder: str, index: int, shape: tuple[int, int, int], dtype: type) -> NDArray[Any]:
    """Return an array of zeros (steps, size, samples) that `open_signal` will see; fill it before the run."""
    return _create(_signal(folder, index), shape, dtype)


def open_signal(folder: str, index: int) -> NDArray[Any]:
    """Return the signal of an input, (steps, size, samples)."""
    return np.load(_signal(folder, index), mmap_mode="r")


def create_rows(folder: str, index: int, state: str, shape: tuple[int, int, int]) -> None:
    """Make the file of a state of a population, (steps, size, samples): bytes for spikes z, doubles for the others."""
    _create(_rows(folder, index, state), shape, np.uint8 if state == "z" else np.float64)


def open_rows(folder: str, index: int, state: str) -> NDArray[Any]:
    """Return the file of a state as an array in memory; what is assigned to it is in the file."""
    return np.load(_rows(folder, index, state), mmap_mode="r+")


def create_clips(folder: str, index: int, state: str, samples: int) -> None:
    """Make the file that counts the clips of a state of an integer population, int64 (samples,), all zero."""
    _create(_clips(folder, index, state), (samples,), np.int64)


def open_clips(folder: str, index: int, state: str) -> NDArray[np.int64]:
    """Return the counts as an array in memory; what is added to it is in the file."""
    found: NDArray[np.int64] = np.load(_clips(folder, index, state), mmap_mode="r+")
    return found


@dataclass(frozen=True, eq=False)
class Lesson:
    """What a learning run of one sample is told: how outputs y are judged, y* (steps, K), mask (steps,); and when weights are kept."""

    loss: str
    target: NDArray[np.float64]
    mask: NDArray[np.float64]
    trajectory_every: int


def write_lesson(folder: str, lesson: Lesson) -> None:
    """Leave the lesson for the models."""
    np.savez(Path(folder) / _LESSON, **asdict(lesson))


def read_lesson(folder: str) -> Lesson:
    """Return what `write_lesson` wrote."""
    with np.load(Path(folder) / _LESSON) as file:
        return Lesson(str(file["loss"]), file["target"], file["mask"], int(file["trajectory_every"]))


@dataclass(frozen=True, eq=False)
class Learned:
    """What the synapses into a population give back: all weights, (n,); of the m that learn the gradient and how often each changed, (m,),
    and the weights kept on the way, (times, m).
    """

    weight: NDArray[np.float64]
    gradient: NDArray[np.float64]
    changes: NDArray[np.int64]
    trajectory: NDArray[np.float64]


def write_weights(folder: str, index: int, weight: NDArray[np.float64]) -> None:
    """Leave the weights of all synapses into a population for their model."""
    np.save(_weights(folder, index), weight)


def read_weights(folder: str, index: int) -> NDArray[np.float64]:
    """Return what `write_weights` wrote."""
    found: NDArray[np.float64] = np.load(_weights(folder, index))
    return found


def write_learned(folder: str, index: int, learned: Learned) -> None:
    """Leave what was learned for the program."""
    np.savez(_learned(folder, index), **vars(learned))


def read_learned(folder: str, index: int) -> Learned:
    """Return what `write_learned` wrote."""
    with np.load(_learned(folder, index)) as file:
        return Learned(**file)


def clear(folder: str) -> None:
    """Remove the files of a run."""
    for path in Path(folder).iterdir():
        path.unlink()


def write_traceback(folder: str, where: str) -> None:
    """Keep the exception that is being handled, unless another model was first: it then is a consequence."""
    path = Path(folder) / _TRACEBACK
    try:
        with path.open("x") as file:
            file.write(f"in {where}:\n{traceback.format_exc()}")
    except OSError:
        pass


def read_traceback(folder: str) -> str:
    """Return the traceback of the first model that failed, or ""."""
    path = Path(folder) / _TRACEBACK
    return path.read_text() if path.exists() else ""


def _create(path: str, shape: tuple[int, ...], dtype: type) -> NDArray[Any]:
    array: NDArray[Any] = np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape)  # type: ignore[no-untyped-call]
    return array


def _signal(folder: str, index: int) -> str:
    return str(Path(folder) / f"signal-{index}.npy")


def _rows(folder: str, index: int, state: str) -> str:
    return str(Path(folder) / f"rows-{index}-{state}.npy")


def _clips(folder: str, index: int, state: str) -> str:
    return str(Path(folder) / f"clips-{index}-{state}.npy")


def _weights(folder: str, index: int) -> str:
    return str(Path(folder) / f"weights-{index}.npy")


def _learned(folder: str, index: int) -> str:
    return str(Path(folder) / f"learned-{index}.npz")
