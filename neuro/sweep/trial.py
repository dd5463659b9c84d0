"""Make one trial: train, export, quantise, run, count; from its folder alone, and from where an earlier attempt stopped."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neuro import deploy
from neuro import graph as graphs
from neuro import recipe as recipes
from neuro._runs import read_log, write_json
from neuro.backend import Stimulus
from neuro.errors import NeuroError
from neuro.graph import Graph
from neuro.metrics import device
from neuro.recipe import Recipe
from neuro.seeds import stream
from neuro.sweep.order import TRIAL, Order, attempts, finished, held, note
from neuro.sweep.scoring import measure
from neuro.sweep.space import FLOAT
from neuro.tasks import Task

if TYPE_CHECKING:
    from neuro.train import FitResult

GRAPH, FLOAT_GRAPH = "graph.h5", "float.h5"
"""The graph that was measured; where it is quantised, the float graph beside it."""
CALIBRATION_SAMPLES = 32
"""Training samples that scales are chosen on."""


def run_trial(folder: Path, say: Callable[[str], None] | None = None) -> dict[str, Any]:
    """Make the trial of a folder, or go on with it, and return what came of it: "state" is "done", "failed" or "interrupted".

    One process at a time works on a trial; another waits, and then returns what is there: no trial is made twice. A folder with
    trial.json has ended. "failed": the trial itself cannot be made (a loss that is not finite, a graph that has no integer form), which
    "reason" tells. "interrupted": by Ctrl-C, with a checkpoint. say: gets lines of progress.
    Raises: DataError if the folder has no order; whatever is not the trial's own fault (no space, no memory).
    """
    order = Order.read(folder)
    with held(folder):
        ended = finished(folder, order)
        if ended is not None:
            return ended
        note(folder, "began")
        try:
            found = _made(order, folder, say or _nothing)
        except NeuroError as err:
            found = {"state": "failed", "reason": str(err)}
        note(folder, "interrupted" if found["state"] == "interrupted" else "ended")
        if found["state"] == "interrupted":
            return found
        found |= {
            "seconds": _seconds(folder) + found.pop("after_s", 0.0),
            "attempts": sum(line["event"] == "began" for line in attempts(folder)),
        }
        head = {"format": "neuro-trial", "schema_version": 1, "number": order.number, "params": dict(order.params)}
        write_json(folder / TRIAL, head | found)
        return head | found


def _made(order: Order, folder: Path, say: Callable[[str], None]) -> dict[str, Any]:
    from neuro.train import fit

    chosen = recipes.loads(order.recipe)
    task = chosen.make_task(order.data)
    result = fit(
        task, folder, model=chosen.model, train=chosen.train, deep_r=chosen.deep_r, seed=chosen.seed, resume=True, progress=False,
        echo=say, notes=_notes(chosen),
    )  # fmt: skip
    if result.stopped == "interrupted":
        return {"state": "interrupted", "iterations": result.iterations}
    started = time.perf_counter()
    graph, placed = _deployed(order, chosen, task, result, folder, say)
    found = measure(
        graph, task, samples=order.samples, seed=chosen.seed, device_name=order.device, step_time_s=order.step_time_s, placed=placed,
        n_threads=chosen.train.threads or None,
    )  # fmt: skip
    limits = [] if placed is None else [str(broken) for broken in placed.broken]
    after = {
        "limits": limits,
        "iterations": result.iterations,
        "sha256": graph.sha256,
        "after_s": time.perf_counter() - started,
    }
    return {"state": "done", "reason": "", **found, **after}


def _deployed(
    order: Order, chosen: Recipe, task: Task, result: FitResult, folder: Path, say: Callable[[str], None]
) -> tuple[Graph, deploy.Placement | None]:
    """Return the trained net as it is measured, written to graph.h5, and its placement where the device counts cores."""
    from neuro.train import to_graph

    graph, _ = to_graph(result.model, name=chosen.name, notes=_notes(chosen))
    if order.bits == FLOAT:
        graphs.save(graph, folder / GRAPH)
        return graph, None
    graphs.save(graph, folder / FLOAT_GRAPH)
    profile = replace(deploy.profile(order.profile), weight_bits=int(order.bits))
    batch = task.sample("train", stream(chosen.seed, "quantize"), CALIBRATION_SAMPLES)
    stimulus = Stimulus.dense({graph.inputs[0].name: batch.inputs}, graph)
    integer, said = deploy.quantize(graph, profile, stimulus, seed=chosen.seed, max_runs=order.calibration_runs)
    say(str(said))
    graphs.save(integer, folder / GRAPH)
    return integer, deploy.placement(integer, profile) if device(order.device).needs_placement else None


def _notes(chosen: Recipe) -> dict[str, str]:
    """Return the notes that `neuro train` gives a run, so that every command takes the trial's folder and graph."""
    task = {"name": chosen.task.name, "params": dict(chosen.task.params), "seed": 0}
    return {"name": chosen.name, "recipe": chosen.to_toml(), "task": json.dumps(task, sort_keys=True)}


def _nothing(line: str) -> None:
    """Take a line that nobody reads."""


def _seconds(folder: Path) -> float:
    """Return how long the steps of training took, those before a resume counted; validations are not."""
    return sum(float(json.loads(line).get("time_s", 0.0)) for line in read_log(folder, sys.maxsize))
