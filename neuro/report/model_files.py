"""Write everything that a comparison of models shows into a folder; `tests/report/folder.py` states what lies in it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from neuro import graph as graphs
from neuro import recording as recordings
from neuro.recording import Counts, Events, Recording
from neuro.report.answer import Answers
from neuro.report.files import write_rasters, write_tables, write_text
from neuro.report.model_tables import models_json, models_markdown
from neuro.report.models import Model, Models
from neuro.report.place import check_place, folders_of, remove, written

KEPT_SAMPLES = 64
"""Samples whose spikes recording.h5 keeps, at most."""
ANSWERS_FORM = "neuro-answers"
ANSWERS_VERSION = 1


def write_models(models: Models, folder: str | Path, *, command: str = "", rasters: bool = True) -> list[Path]:
    """Write models.json, models.md, and of each model graph.h5, recording.h5, sample.h5, answers.json and its comparison of backends.

    One model's files lie in the folder itself, several models' each in a folder of its own.
    What an older comparison wrote into the folder is removed: it may be of other models.
    Parameters: command, what was typed, for the record; rasters, draw pictures (needs matplotlib). Returns: the paths.
    Raises: DataError if files that no comparison wrote would be lost.
    """
    folder = Path(folder)
    places = folder_names(models)
    check_place(folder, list(places))
    older = written(folder)
    folder.mkdir(parents=True, exist_ok=True)
    paths: list[Path] = []
    for model in models.models:
        here = folder / places[model.name]
        if model.comparison is not None:
            paths += write_tables(model.comparison, here)
            paths += write_rasters(model.comparison, here) if rasters else []
        paths += write_model(model, here)
    paths += [
        write_text(folder / "models.json", models_json(models, places, command)),
        write_text(folder / "models.md", models_markdown(models)),
    ]
    remove(path for path in older if path not in paths)
    return paths


def folder_names(models: Models) -> dict[str, str]:
    """Return where each model's files lie, by its name: "." for a single one, else a folder named as plainly as every system allows."""
    return folders_of([m.name for m in models.models])


def write_model(model: Model, folder: Path) -> list[Path]:
    """Write what the report reads of one model: graph, recordings and answers, as far as it has them; return the paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    if model.comparison is not None:
        graphs.save(model.comparison.graph, folder / "graph.h5")
        paths.append(folder / "graph.h5")
        if model.comparison.recordings:
            group = model.comparison.groups[model.base]
            k = model.comparison.sample - group.given.first_sample
            recordings.save(first_samples(model.comparison.recordings, KEPT_SAMPLES), folder / "recording.h5")
            recordings.save(group.recording.select(k, k + 1), folder / "sample.h5")
            paths += [folder / "recording.h5", folder / "sample.h5"]
    if model.answers is not None:
        paths.append(write_text(folder / "answers.json", answers_json(model.answers)))
    return paths


def first_samples(groups: Sequence[Recording], most: int) -> Recording:
    """Return the first samples of groups that ran one after another, at most so many, as one recording without traces."""
    parts: list[Recording] = []
    n = 0
    for r in groups:
        if n < most:
            parts.append(r.select(0, min(r.batch, most - n)))
            n += parts[-1].batch
    firsts = [sum(p.batch for p in parts[:k]) for k in range(len(parts))]
    return replace(
        parts[0],
        batch=n,
        spikes={
            name: Events.join([p.spikes[name].shifted(first, 0) for p, first in zip(parts, firsts, strict=True)])
            for name in parts[0].spikes
        },
        traces={},
        counts=Counts.join([p.counts for p in parts]),
        wall_time_s=sum(r.wall_time_s for r in groups),
    )


def answers_json(answers: Answers) -> str:
    """Return all decisions as JSON."""
    data = {
        "format": ANSWERS_FORM, "schema_version": ANSWERS_VERSION, "n_classes": answers.n_classes,
        "labels": answers.labels.tolist(), "predictions": answers.predictions.tolist(),
    }  # fmt: skip
    return json.dumps(data) + "\n"
