"""Write everything a comparison shows into a folder."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from neuro.metrics import Explanation, explain
from neuro.report import tables
from neuro.report.answer import Answer
from neuro.report.divergence import explanation_markdown
from neuro.report.outcome import Comparison, Group


def write_tables(comparison: Comparison, folder: str | Path) -> list[Path]:
    """Write comparison.json and comparison.md; return their paths."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    return [
        write_text(folder / "comparison.json", tables.as_json(comparison)),
        write_text(folder / "comparison.md", tables.markdown(comparison)),
    ]


def write_rasters(comparison: Comparison, folder: str | Path) -> list[Path]:
    """Write raster.png and .svg of the base and the comparison's sample, and raster-NAME of each backend that differs.

    A backend that differs is drawn with the sample in which it first does, that step marked. Needs matplotlib. Returns the paths.
    """
    folder = Path(folder)
    paths: list[Path] = []
    if comparison.base in comparison.groups:
        base = comparison.groups[comparison.base]
        paths += _raster(comparison, comparison.base, base, comparison.sample, folder / "raster")
    for row in comparison.rows:
        if row.parity is not None and row.parity.divergence is not None:
            d, group = row.parity.divergence, comparison.groups[row.backend]
            paths += _raster(comparison, row.backend, group, d.sample, folder / f"raster-{row.backend}", d.step)
    return paths


def explain_first(comparison: Comparison) -> Explanation | None:
    """Explain the first difference of any backend from the base: the smallest (step, sample). None if all agree."""
    differ = [
        (row.parity.divergence.step, row.parity.divergence.sample, k, row.backend)
        for k, row in enumerate(comparison.rows)
        if row.parity is not None and row.parity.divergence is not None
    ]
    if not differ:
        return None
    pair = comparison.pairs[min(differ)[-1]]
    found = explain(pair.base, pair.other, comparison.graph, currents=pair.stimulus.currents)
    assert found is not None
    return replace(found, divergence=replace(found.divergence, sample=pair.sample))


def write_explanation(explanation: Explanation, folder: str | Path, *, plot: bool = True) -> list[Path]:
    """Write divergence.md, and divergence.png and .svg if plot (needs matplotlib); return their paths."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    paths = [write_text(folder / "divergence.md", explanation_markdown(explanation))]
    if plot:
        from neuro.report.divergence_plot import KINDS, save_plot  # matplotlib: only where pictures are wanted

        paths += [save_plot(explanation, folder / f"divergence{kind}") for kind in KINDS]
    return paths


def answer_of(comparison: Comparison, group: Group, k: int) -> Answer:
    """Return what was asked and answered in sample k of a group."""
    batch = group.given.batch
    asked = batch.targets[k] >= 0
    predictions = comparison.fit.predictions(group.recording, batch)[k]
    return Answer(
        window=batch.window[k],
        labels=tuple(batch.targets[k][asked].tolist()),
        predictions=tuple(predictions[asked].tolist()),
    )


def _raster(
    comparison: Comparison, name: str, group: Group, sample: int, stem: Path, mark_step: int | None = None
) -> tuple[Path, Path]:
    from neuro.report.rasters import raster, save  # matplotlib: only where pictures are wanted

    k = sample - group.given.first_sample
    marked = "" if mark_step is None else f"; broken line: first difference from {comparison.base}, step {mark_step}"
    figure = raster(
        comparison.graph,
        group.given.stimulus,
        group.recording,
        k,
        answer=answer_of(comparison, group, k),
        title=f"{comparison.task}, {comparison.split} sample {sample}, on {name}{marked}",
        mark_step=mark_step,
    )
    return save(figure, stem)


def write_text(path: Path, text: str) -> Path:
    """Write a text file under a temporary name and rename it."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)
    return path
