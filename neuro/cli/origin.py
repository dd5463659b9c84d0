"""Find what a training run starts from, and quantise it if the recipe asks for a chip."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from neuro.errors import RecipeError
from neuro.recipe import Recipe
from neuro.seeds import stream
from neuro.tasks import Task

if TYPE_CHECKING:
    from neuro.train import Start, Template

CALIBRATION_SAMPLES = 32
"""Training samples that scales are chosen on."""


def origin(recipe: Recipe, task: Task, folder: Path, resume: bool) -> tuple[Start | None, Template | None, str]:
    """Return start and template of a run, and lines that say how it was quantised.

    A run that goes on has those of its folder. The template is that of the network as it starts: its float graph, quantised with
    training samples as calibration stimulus.
    Raises: RecipeError if the task's inputs are currents, or the start does not fit; QuantizationError.
    """
    from neuro.train import checkpoint
    from neuro.train.start import held_start, read_start, read_template

    if recipe.quantize is not None and task.input_kind != "spikes":
        raise RecipeError(
            f"'quantize': task '{task.name}' sends currents (got input '{task.input_kind}'; need spikes). A chip takes spikes: choose "
            "an encoding of spikes in [task], or leave quantize out."
        )
    goes_on = resume and (folder / checkpoint.CHECKPOINT).exists()
    start = None
    if recipe.start is not None and recipe.start_path is not None:
        start = held_start(folder) if goes_on else read_start(recipe.start_path, recipe.start)
    if recipe.quantize is None:
        return start, None, ""
    if goes_on and (held := read_template(folder)) is not None:
        return start, held, ""
    template, text = _quantized(recipe, task, start, recipe.quantize)
    return start, template, text


def _quantized(recipe: Recipe, task: Task, start: Start | None, profile: str) -> tuple[Template, str]:
    from neuro.backend import Stimulus
    from neuro.deploy import quantize
    from neuro.train import TaskShape, Template, prepare, to_graph

    made = prepare(recipe.model, recipe.train, recipe.deep_r, TaskShape.of(task), recipe.seed, start)
    graph, _ = to_graph(made.model)
    batch = task.sample("train", stream(recipe.seed, "quantize"), CALIBRATION_SAMPLES)
    stimulus = Stimulus.dense({graph.inputs[0].name: batch.inputs}, graph)
    integer, note = quantize(graph, profile, stimulus, seed=recipe.seed)
    return Template(profile, integer, note.scales), str(note)
