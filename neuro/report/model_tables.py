"""Show a comparison of models: tables for the terminal, Markdown, JSON. Estimates only: what was measured has a table of its own."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping
from dataclasses import asdict, fields
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Group as Lines
from rich.table import Table
from rich.text import Text

from neuro.metrics import Energy, Operations, Part, Range, Workload
from neuro.report.prices import Refused
from neuro.report.tables import plain
from neuro.report.units import ranged, si

if TYPE_CHECKING:
    from neuro.report.models import Model, Models
    from neuro.report.outcome import Row

FORM = "neuro-models"
SCHEMA_VERSION = 1
_MODEL_COLUMNS = (
    "model", "kind", "accuracy", "rate\nHz", "spikes", "synaptic\nevents", "MAC", "AC", "parameters", "their\nbytes", "state\nbytes",
)  # fmt: skip
_ENERGY_COLUMNS = ("model", "device", "dynamic", "static", "host", "latency", "energy x delay")
_BENCH_COLUMNS = (
    "model", "activation\nsparsity", "connection\nsparsity", "footprint\nbytes", "dense\noperations", "effective\nMACs", "effective\nACs",
)  # fmt: skip
_LEFT = ("model", "kind", "device")
_STACKED = {("MAC", "AC"): "MAC,\nAC", ("their\nbytes", "state\nbytes"): "their bytes,\nof state"}
"""Pairs of columns that share one on the terminal, the first above the second, and its name."""


def models_table(models: Models) -> Lines:
    """Return rich tables: a row a model, and below it a row a model and device; then why devices refused."""
    first = _grid(f"models: {_title(models)}", *_narrow(_MODEL_COLUMNS, [_model_cells(m) for m in models.models]))
    second = _grid(_energy_title(models), _ENERGY_COLUMNS, _energy_rows(models))
    notes = [Text(f"{where}: {note}") for where, note in _refusals(models)]
    notes += [Text(f"{m.name}, {r.backend}: {r.reason}") for m in models.models for r in m.rows if r.reason]
    return Lines(first, *([second] if models.devices else []), *notes)


def models_markdown(models: Models) -> str:
    """Return the tables as Markdown, with what a reader of the energies has to know below them."""
    lines = [f"{plain(_title(models))}.", "", *_markdown_grid(_MODEL_COLUMNS, [_model_cells(m) for m in models.models])]
    if models.devices:
        lines += ["", f"{_energy_title(models)}.", "", *_markdown_grid(_ENERGY_COLUMNS, _energy_rows(models)), ""]
        lines += [f"- {plain(f'{where}: {note}')}" for where, note in (*_refusals(models), *_energy_notes(models))]
    lines += ["", "By the definitions of NeuroBench (Yik et al. 2025), means an inference.", ""]
    lines += [*_markdown_grid(_BENCH_COLUMNS, [_bench_cells(m) for m in models.models])]
    lines += ["", *(f"- {plain(f'{m.name}: {m.kind}, sha256 {m.sha256}{_read_from(m)}')}" for m in models.models)]
    lines += [f"- {plain(f'{m.name}, {r.backend}: {_verdict_text(m, r)}')}" for m in models.models for r in m.rows]
    return "\n".join(lines).rstrip() + "\n"


def models_json(models: Models, folders: Mapping[str, str], command: str = "") -> str:
    """Return everything but recordings as JSON. Parameters: folders, where a model's files lie, by its name, relative to the JSON."""
    data = {
        "format": FORM, "schema_version": SCHEMA_VERSION, "command": command, "versions": versions(), "machine": machine(),
        "task": {"name": models.task, "params": dict(models.params)}, "split": models.split, "n_samples": models.n_samples,
        "sample": models.sample, "steps": models.steps, "dt_ms": models.dt_ms, "step_time_s": models.step_time_s,
        "devices": list(models.devices), "models": [_model_data(m, folders[m.name]) for m in models.models],
    }  # fmt: skip
    return json.dumps(data, indent=1, allow_nan=False) + "\n"


def versions() -> dict[str, str]:
    """Return the versions of neuro, Python and numpy."""
    try:
        own = version("neuro")
    except PackageNotFoundError:
        own = "unknown"
    return {"neuro": own, "python": platform.python_version(), "numpy": np.__version__}


def machine() -> str:
    """Say in a line what this machine is."""
    return f"{platform.system()} {platform.machine()}, {os.cpu_count()} processors"


def verdict(model: Model, row: Row) -> str:
    """Return in a word how a backend compares with the base: base, exact, equal (not asserted), differs, unknown, none (did not run)."""
    if row.status != "ok":
        return "none"
    if row.backend == model.base:
        return "base"
    if row.parity is None:
        return "unknown"
    if not row.parity.exact:
        return "differs"
    return "exact" if row.parity.asserted else "equal"


def _verdict_text(model: Model, row: Row) -> str:
    word = verdict(model, row)
    return {"base": "base", "none": row.reason, "unknown": f"unknown: {model.base or 'no base'} broke"}.get(
        word
    ) or str(row.parity)


def _title(m: Models) -> str:
    return (
        f"{m.task}, {m.n_samples} {m.split} samples of {m.steps} steps of {m.dt_ms:g} ms; counts are means an inference"
    )


def _energy_title(m: Models) -> str:
    return f"energy an inference, estimated from counts and published figures: value (range); steps of {si(m.step_time_s, 's')}"


def _model_cells(m: Model) -> list[str]:
    row, work, a = m.result, m.workload, m.activity
    kind = f"{m.kind},\n{m.semantics}" if m.kind == "spiking" else m.kind
    if row is None or work is None:
        return [m.name, kind, *["-"] * 9]
    return [
        m.name,
        kind,
        f"NMSE {row.nmse:.4f}" if row.spread else f"{100 * row.accuracy:.1f} %\n({row.n_right}/{row.n_decisions})",
        "-" if a is None else f"{a.mean_rate_hz:.2f}",
        "-" if a is None else f"{a.spikes_per_inference:.1f}",
        "-" if a is None else f"{a.synaptic_events_per_inference:,.0f}",
        f"{_mean(work.synaptic.mac + work.neuron.mac):,.0f}",
        f"{_mean(work.synaptic.ac + work.neuron.ac):,.0f}",
        f"{work.n_parameters:,}",
        f"{work.parameter_bytes:,}",
        f"{work.state_bytes:,}",
    ]


def _bench_cells(m: Model) -> list[str]:
    b = m.neurobench
    if b is None:
        return [m.name, *["-"] * 6]
    sparsities = f"{b.activation_sparsity:.4f}", f"{b.connection_sparsity:.4f}"
    return [
        m.name,
        *sparsities,
        *(f"{x:,.0f}" for x in (b.footprint_bytes, b.dense, b.effective_macs, b.effective_acs)),
    ]


def _energy_rows(models: Models) -> list[list[str]]:
    return [[m.name, name, *_energy_cells(e)] for m in models.models for name, e in m.energy.items()]


def _energy_cells(e: Energy | Refused) -> list[str]:
    if isinstance(e, Refused):
        return ["refused", "-", "-", "-", "-"]
    return [
        ranged(e.dynamic, "J"),
        _part(e.parts["static"]),
        _part(e.parts["host"]),
        si(e.latency_s, "s") if e.latency_s else "-",
        "-" if e.edp is None else ranged(e.edp, "J s"),
    ]


def _part(part: Part) -> str:
    return part.status if part.energy is None else ranged(part.energy, "J")


def _refusals(models: Models) -> list[tuple[str, str]]:
    """Return why devices refused, each reason once, with the models that it holds for."""
    found: dict[tuple[str, str], list[str]] = {}
    for m in models.models:
        for name, e in m.energy.items():
            if isinstance(e, Refused):
                found.setdefault((name, e.reason), []).append(m.name)
    return [(f"{', '.join(names)} on {device}", reason) for (device, reason), names in found.items()]


def _energy_notes(models: Models) -> list[tuple[str, str]]:
    """Return what the estimates say of themselves, device by device, each once; with the models where it is not said of all."""
    found = []
    for device in models.devices:
        told: dict[str, list[str]] = {}
        estimates = [(m.name, e) for m in models.models if isinstance(e := m.energy.get(device), Energy)]
        for name, e in estimates:
            for note in (*e.notes, *(f"{part}: {p.note}" for part, p in e.parts.items() if p.note)):
                told.setdefault(note, []).append(name)
        for note, names in told.items():
            found.append((device if len(names) == len(estimates) else f"{', '.join(names)} on {device}", note))
    return found


def _read_from(m: Model) -> str:
    return f", from {m.path}" if m.path else ""


def _grid(title: str, columns: tuple[str, ...], rows: list[list[str]]) -> Table:
    grid = Table(title=Text(title), title_justify="left", title_style="bold", header_style="bold")
    for name in columns:
        grid.add_column(
            name,
            justify="left" if name in _LEFT else "right",
            vertical="top",
            overflow="fold",  # a number that does not fit goes on in the next line: cropped it would be another number
        )
    for cells in rows:
        grid.add_row(*(Text(cell) for cell in cells))
    return grid


def _narrow(columns: tuple[str, ...], rows: list[list[str]]) -> tuple[tuple[str, ...], list[list[str]]]:
    """Return a table with two columns in one where `_STACKED` says so."""
    for (upper, lower), name in _STACKED.items():
        k = columns.index(upper)
        assert columns[k + 1] == lower
        columns = (*columns[:k], name, *columns[k + 2 :])
        rows = [[*row[:k], f"{row[k]}\n{row[k + 1]}", *row[k + 2 :]] for row in rows]
    return columns, rows


def _markdown_grid(columns: tuple[str, ...], rows: list[list[str]]) -> list[str]:
    names = [name.replace("\n", ", " if name.endswith("Hz") else " ") for name in columns]
    rule = ["---" if name in _LEFT else "---:" for name in columns]
    escaped = [[plain(cell.replace("\n", " ")) for cell in row] for row in rows]
    return ["| " + " | ".join(cells) + " |" for cells in (names, rule, *escaped)]


def _mean(values: np.ndarray[Any, Any]) -> float:
    return float(values.mean())


def _model_data(m: Model, folder: str) -> dict[str, Any]:
    row, work, a = m.result, m.workload, m.activity
    return {
        "name": m.name, "kind": m.kind, "semantics": m.semantics, "sha256": m.sha256, "path": m.path, "folder": folder,
        "n_right": row.n_right if row else 0, "n_decisions": row.n_decisions if row else 0,
        "accuracy": row.accuracy if row and row.n_decisions else None, "nmse": row.nmse if row and row.spread else None,
        "mean_rate_hz": a and a.mean_rate_hz, "rate_hz": dict(a.rate_hz) if a else {},
        "spikes_per_inference": a and a.spikes_per_inference, "input_spikes_per_inference": a and a.input_spikes_per_inference,
        "synaptic_events_per_inference": a and a.synaptic_events_per_inference,
        "n_parameters": work and work.n_parameters, "parameter_bytes": work and work.parameter_bytes,
        "state_bytes": work and work.state_bytes,
        "operations": work and {"synaptic": _means(work.synaptic), "neuron": _means(work.neuron)},
        "neurobench": m.neurobench and asdict(m.neurobench),
        "dense_mac": work and _mean(work.dense_mac), "n_cores": max((len(p.cores) for p in m.placements.values()), default=0),
        "distributions": _distributions(m, work),
        "backends": {r.backend: _backend_data(m, r) for r in m.rows},
        "energy": {name: _energy_data(e) for name, e in m.energy.items()},
        "measured": None,
    }  # fmt: skip


def _distributions(m: Model, work: Workload | None) -> dict[str, Any]:
    if work is None:
        return {"spikes": [], "synaptic_events": [], "dynamic_j": {}}
    neurons = [n for p, n in work.spikes.items() if p in work.updates]
    return {
        "spikes": np.sum(neurons, axis=0).tolist() if neurons else [],
        "synaptic_events": np.sum([*work.synaptic_events.values()], axis=0).tolist() if work.synaptic_events else [],
        "dynamic_j": {name: e.dynamic_per_sample.tolist() for name, e in m.energy.items() if isinstance(e, Energy)},
    }


def _backend_data(m: Model, r: Row) -> dict[str, Any]:
    return {
        "status": r.status, "reason": r.reason, "parity": verdict(m, r), "text": "" if r.status != "ok" else _verdict_text(m, r),
        "wall_time_s": r.wall_time_s, "versions": dict(r.versions),
    }  # fmt: skip


def _energy_data(e: Energy | Refused) -> dict[str, Any]:
    if isinstance(e, Refused):
        return {"refused": e.reason}
    return {
        "parts": {name: {"status": p.status, **_range_data(p.energy), "note": p.note} for name, p in e.parts.items()},
        "dynamic": _range_data(e.dynamic), "step_time_s": e.step_time_s, "latency_s": e.latency_s,
        "edp": None if e.edp is None else _range_data(e.edp), "notes": list(e.notes),
    }  # fmt: skip


def _range_data(r: Range | None) -> dict[str, float | None]:
    return {"low": None, "value": None, "high": None} if r is None else {"low": r.low, "value": r.value, "high": r.high}


def _means(o: Operations) -> dict[str, float]:
    return {f.name: _mean(getattr(o, f.name)) for f in fields(Operations)}
