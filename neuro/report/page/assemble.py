"""Put a page together from what was read: claims first, then tables and figures, each with the numbers that it shows."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from neuro.graph import Graph
from neuro.report.page import activity, claims, connectivity, sample, tables, verdict
from neuro.report.page.activity import BAND_HZ, Activity
from neuro.report.page.connectivity import Connectivity
from neuro.report.page.document import Claim, Fact, Page, Table
from neuro.report.page.models import DYNAMIC_PARTS, STANDING_PARTS, Answers, Estimate, Model
from neuro.report.page.numbers import plural
from neuro.report.page.sample import Room
from neuro.report.page.sources import Sources

MOST_STATES, MOST_SPIKES, MOST_CELLS = 500_000, 100_000, 500_000
"""States, spikes and cells of matrices in a page, of all models together: 1.3, 1.1 and 0.7 MB."""
_LARGEST = Room(MOST_STATES, 40_000)
_LONGEST_SIDE = 320
_SECTIONS = (
    ("models", "Models"),
    ("parity", "Parity"),
    ("activity", "Activity"),
    ("energy", "Energy"),
    ("tradeoff", "Accuracy against energy"),
    ("answers", "Answers"),
    ("training", "Training"),
    ("connectivity", "Connectivity"),
    ("measured", "Measured"),
    ("record", "Record"),
)


def assemble(sources: Sources, written_by: str = "") -> Page:
    """Return the page of everything that was given.

    Parameters: written_by, which program wrote it, for the record at the page's end.
    """
    models = sources.models
    active = {m.name: a for m in models if m.recording is not None and (a := activity.measure(m.recording)) is not None}
    networks = _networks(sources)
    found_tables = _tables(sources, active)
    figures = _figures(sources, active, networks)
    sections = tuple((key, title) for key, title in _SECTIONS if _has(key, found_tables, figures))
    title, subtitle = _title(sources)
    return Page(
        title=title,
        kicker="neuro report",
        subtitle=subtitle,
        claims=_claims(sources, active, networks),
        sections=sections,
        tables=found_tables,
        facts=(*_facts(sources), *((Fact(name="page written by", text=written_by),) if written_by else ())),
        sources=_sources(sources.models),
        figures=figures,
    )


def _has(section: str, found: dict[str, Table], figures: dict[str, Any]) -> bool:
    needed = {
        "models": ("models",), "parity": ("parity",), "activity": ("activity", "samples"), "energy": ("energy",), "tradeoff": ("tradeoff",),
        "answers": ("answers",), "training": ("training",), "connectivity": ("connectivity",), "measured": ("measured",),
    }  # fmt: skip
    return section == "record" or any(found.get(key) or figures.get(key) for key in needed[section])


def _title(sources: Sources) -> tuple[str, str]:
    c = sources.comparison
    if c is not None:
        backends = dict.fromkeys(name for m in c.models for name, r in m.backends.items() if r.status == "ok")
        lead = (
            f"{c.models[0].name} on {plural(len(backends), 'backend')}"
            if len(c.models) == 1
            else f"{len(c.models)} models compared"
        )
        title = lead if lead.startswith(f"{c.task} ") else f"{c.task}: {lead}"
        return title, f"{c.n_samples:,} {c.split} samples of {c.steps:,} steps of {c.dt_ms:g} ms"
    if sources.recorded:
        first = sources.recorded[0]
        r = first.recording
        assert r is not None
        return first.name, f"{plural(r.batch, 'sample')} of {r.steps:,} steps of {r.dt_ms:g} ms"
    runs, sweeps = sources.trainings, sources.sweeps
    if runs:
        return (f"Run {runs[0].name}" if len(runs) == 1 else f"{len(runs)} runs"), ", ".join(
            r.name for r in runs
        ) if len(runs) > 1 else runs[0].kind
    if sweeps:
        return f"Sweep {sweeps[0].name}", f"{plural(len(sweeps[0].trials), 'trial')}, {sweeps[0].search}"
    return "Measurements", plural(len(sources.measured), "measurement")


def _networks(sources: Sources) -> dict[str, Connectivity]:
    """Return the networks to show: those of runs before and after, else those of models as they are."""
    given: dict[str, dict[str, Graph]] = {}
    for run in sources.trainings:
        graphs = {name: g for name, g in (("before", run.before), ("after", run.after)) if g is not None}
        if graphs:
            given[run.name] = graphs
    for m in sources.models:
        if m.graph is not None:
            given[m.name if m.name not in given else f"{m.name} (model)"] = {"": m.graph}
    n_matrices = sum(len(graphs) for graphs in given.values())
    side = min(_LONGEST_SIDE, math.isqrt(MOST_CELLS // max(n_matrices, 1)))
    return {name: connectivity.prepare(graphs, side) for name, graphs in given.items()}


def _claims(sources: Sources, active: dict[str, Activity], networks: dict[str, Connectivity]) -> tuple[Claim, ...]:
    models, devices = sources.models, sources.comparison.devices if sources.comparison else ()
    found = [
        verdict.parity(models),
        claims.accuracy(models),
        claims.rates(models, active),
        claims.energy(models, devices),
    ]
    found += [claims.training(run, networks.get(run.name)) for run in sources.trainings]
    found += [claims.sweep(s) for s in sources.sweeps]
    found += [claims.measured(m) for m in sources.measured]
    return tuple(claim for claim in found if claim is not None)


def _tables(sources: Sources, active: dict[str, Activity]) -> dict[str, Table]:
    models = sources.models
    found = {}
    if models:
        found = {"models": tables.models(models), "parity": tables.parity(models)}
    if active:
        found["activity"] = tables.activity(active)
    if any(m.energy for m in models):
        found["energy"] = tables.energy(models, sources.comparison.step_time_s if sources.comparison else None)
    found |= {f"sweep-{k}": tables.trials(s, k) for k, s in enumerate(sources.sweeps)}
    if sources.measured:
        found["measured"] = tables.measured(sources.measured)
    return found


def _figures(sources: Sources, active: dict[str, Activity], networks: dict[str, Connectivity]) -> dict[str, Any]:
    models = sources.models
    shown = [m for m in models if m.sample is not None]
    number = sources.comparison.sample if sources.comparison else None
    n = max(len(shown), 1)
    room = Room(_LARGEST.n_values // n, min(_LARGEST.n_spikes, MOST_SPIKES // n))
    return {
        "band": BAND_HZ,
        "samples": [{"model": m.name, **vars(_sample(m, room, number))} for m in shown],
        "activity": [{"model": name, **vars(a)} for name, a in active.items()],
        "energy": _energy(sources),
        "tradeoff": _tradeoff(sources),
        "answers": [
            {"model": m.name, **_confusion(m.answers)} for m in models if m.answers is not None and m.answers.labels
        ],
        "training": [{"name": r.name, "steps": r.steps, "validation": r.validation} for r in sources.trainings],
        "connectivity": [{"name": name, **vars(c)} for name, c in networks.items()],
    }


def _sample(m: Model, room: Room, number: int | None) -> sample.Sample:
    assert m.sample is not None
    found = sample.prepare(m.sample, m.graph, room, number)
    a = m.answers
    if a is None or number is None or len(a.labels) != m.n_decisions or m.recording is None or number >= len(a.labels):
        return found
    return found if not _one_a_sample(m) else sample.answered(found, a.labels[number], a.predictions[number])


def _one_a_sample(m: Model) -> bool:
    """Tell whether the k-th answer is that of the k-th sample."""
    series = next(iter(m.dynamic_j.values()), ())
    return m.answers is not None and len(series) == len(m.answers.labels)


def _energy(sources: Sources) -> dict[str, Any] | None:
    models = [m for m in sources.models if m.energy]
    devices = list(dict.fromkeys(d for m in models for d in m.energy))
    if not devices:
        return None
    return {
        "dynamic": DYNAMIC_PARTS,
        "standing": STANDING_PARTS,
        "devices": [{"name": d, "models": [_priced(m, d) for m in models]} for d in devices],
    }


def _priced(m: Model, device: str) -> dict[str, Any]:
    e = m.energy.get(device, Estimate(refused="not estimated"))
    spread = np.quantile(m.dynamic_j[device], [0, 0.25, 0.5, 0.75, 1]).tolist() if m.dynamic_j.get(device) else None
    return {"model": m.name, **vars(e), "spread": spread}


def _tradeoff(sources: Sources) -> dict[str, Any] | None:
    points = [
        {"model": m.name, "accuracy": m.accuracy, "interval": claims.interval(m.n_right, m.n_decisions),
         "energy": {d: e.dynamic for d, e in m.energy.items() if e.dynamic is not None}}
        for m in sources.models
        if m.accuracy is not None and m.energy
    ]  # fmt: skip
    sweeps = [{"name": s.name, "device": s.device, "pareto": s.pareto, "trials": s.done} for s in sources.sweeps]
    return {"models": points, "sweeps": sweeps} if points or sweeps else None


def _confusion(a: Answers) -> dict[str, Any]:
    matrix = np.zeros((a.n_classes, a.n_classes), dtype=np.int64)
    np.add.at(matrix, (np.array(a.labels), np.array(a.predictions)), 1)
    return {"n_classes": a.n_classes, "matrix": matrix.tolist()}


def _sources(models: tuple[Model, ...]) -> dict[str, tuple[str, ...]]:
    """Return what the estimates say of themselves, by device, each note once."""
    found: dict[str, dict[str, None]] = {}
    for m in models:
        for device, e in m.energy.items():
            found.setdefault(device, {}).update(dict.fromkeys(e.notes))
    return {device: tuple(notes) for device, notes in found.items() if notes}


def _facts(sources: Sources) -> tuple[Fact, ...]:
    c = sources.comparison
    facts = []
    if c is not None:
        params = ", ".join(f"{k} {v}" for k, v in c.task_params.items())
        facts += [
            Fact(name="command", text=c.command, code=True),
            Fact(name="task", text=f"{c.task}{f' ({params})' if params else ''}"),
        ]
        facts += [
            Fact(name="machine", text=c.machine),
            Fact(name="versions", text=", ".join(f"{k} {v}" for k, v in c.versions.items())),
        ]
    facts += [Fact(name=f"{m.name}, sha256", text=m.sha256, code=True) for m in sources.models if m.sha256]
    facts += [Fact(name=f"{m.name}, file", text=m.path, code=True) for m in sources.models if m.path]
    facts += [Fact(name=f"run {r.name}", text=str(r.path), code=True) for r in sources.trainings]
    facts += [Fact(name=f"sweep {s.name}", text=f"{s.recipe}, {s.search}, on {s.device}") for s in sources.sweeps]
    facts += [Fact(name="measured with", text=m.command, code=True) for m in sources.measured if m.command]
    return tuple(f for f in facts if f.text)
