"""Match a task to a graph: which input it drives, which readout answers."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuro.backend import Stimulus
from neuro.errors import DataError
from neuro.graph import Graph, kind
from neuro.recording import Recording
from neuro.tasks import Batch, Task, decision_logits, score, squares

_KIND = {"spikes": "SpikeInput", "current": "CurrentInput"}


@dataclass(frozen=True, kw_only=True)
class Fit:
    """The input population that a task drives, and the readout population that answers, by name.

    unit: what the readout's 1 is in its graph's numbers: 1, or in a quantised graph the integer units that its notes tell.
    """

    input: str
    readout: str
    unit: float = 1.0

    def stimulus(self, graph: Graph, batch: Batch) -> Stimulus:
        """Return the stimulus of a batch. Raises DataError if currents are off the graph's grid."""
        stimulus = Stimulus.dense({self.input: batch.inputs}, graph)
        stimulus.check(graph)
        return stimulus

    def score(self, recording: Recording, batch: Batch) -> tuple[int, int]:
        """Count right decisions and decisions asked for, (0, 0) in a regression. The recording must hold the readout's trace y."""
        return (0, 0) if batch.signal is not None else score(recording.traces[self.readout]["y"], batch)

    def squares(self, recording: Recording, batch: Batch) -> tuple[float, float]:
        """Return the two sums of squares of a regression (`neuro.tasks.squares`), (0, 0) of a task with decisions."""
        if batch.signal is None:
            return 0.0, 0.0
        return squares(recording.traces[self.readout]["y"] / self.unit, batch)

    def predictions(self, recording: Recording, batch: Batch) -> NDArray[np.int64]:
        """Return the class of each decision, int64 (batch, K), -1 where a sample has no such decision."""
        return predictions(recording.traces[self.readout]["y"], batch)


def predictions(y: NDArray[np.floating[Any]], batch: Batch) -> NDArray[np.int64]:
    """Return the class that a readout (batch, steps, n_out) answers in each decision, int64 (batch, K), -1 where a sample has none."""
    asked = batch.targets >= 0
    return np.where(asked, np.where(asked[:, :, None], decision_logits(y, batch), 0.0).argmax(axis=2), -1)


def match(graph: Graph, task: Task) -> Fit:
    """Find the one input and the one readout of a graph that fit a task; a readout of another size may stand beside it.

    Such a readout is the value of an actor and critic, which answers nothing.
    Raises: DataError, naming everything that does not fit: number, kind and size of inputs and readouts, the step dt.
    """
    where = f"task '{task.name}' on graph '{graph.name or graph.sha256[:12]}'"
    wanted, readout = _KIND[task.input_kind], "IntLI" if graph.semantics == "integer" else "LI"
    found = []
    if [(kind(p), p.size) for p in graph.inputs] != [(wanted, task.n_in)]:
        found.append(f"{where}: inputs do not fit (got {_shown(graph.inputs)}; need one {wanted} of size {task.n_in})")
    readouts = [p.name for p in graph.readouts if p.size == task.n_out]
    if len(readouts) != 1:
        found.append(
            f"{where}: readouts do not fit (got {_shown(graph.readouts)}; need one {readout} of size {task.n_out})"
        )
    if graph.dt_ms != task.dt_ms:
        found.append(f"{where}: time step differs (got {graph.dt_ms:g} ms; need {task.dt_ms:g} ms)")
    if found:
        raise DataError(
            "\n".join(found)
            + ".\nName the task, and the parameters, that the graph was trained for: 'neuro show' tells."
        )
    return Fit(input=graph.inputs[0].name, readout=readouts[0], unit=_unit(graph, readouts[0]))


def _unit(graph: Graph, readout: str) -> float:
    """Return the integer units of one float unit that `neuro.quantize` noted for a readout; 1 without a note."""
    try:
        unit = json.loads(graph.notes.get("scales", "{}")).get(readout, 1.0)
        return float(unit) if 0 < float(unit) < float("inf") else 1.0
    except (ValueError, TypeError, AttributeError):  # a note is anybody's text
        return 1.0


def _shown(populations: tuple[object, ...]) -> str:
    return ", ".join(f"{type(p).__name__} '{p.name}' of size {p.size}" for p in populations) or "none"  # type: ignore[attr-defined]
