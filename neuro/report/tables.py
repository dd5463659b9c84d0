"""Show a comparison: a table for the terminal, Markdown, JSON."""

from __future__ import annotations

import json
import math
from typing import Any

from rich.console import Group as Lines
from rich.table import Table
from rich.text import Text

from neuro.metrics import Divergence, Parity
from neuro.report.outcome import Comparison, Row

FORM = "neuro-comparison"
SCHEMA_VERSION = 1
_COLUMNS = (
    ("backend", "left"),
    ("accuracy", "right"),
    ("spikes per\ninference", "right"),
    ("mean rate\nHz", "right"),
    ("synaptic events\nper inference", "right"),
    ("build\ns", "right"),
    ("wall time\ns", "right"),
    ("parity", "left"),
)


def table(comparison: Comparison) -> Lines:
    """Return a rich table with one row a backend, and below it the whole text of every difference and refusal."""
    grid = Table(title=Text(_title(comparison)), title_justify="left", title_style="bold", header_style="bold")
    for name, side in _columns(comparison):
        grid.add_column(name, justify=side, no_wrap=name != "parity", vertical="top")  # type: ignore[arg-type]
    for row in comparison.rows:
        cells = _cells(row, comparison)
        grid.add_row(*(Text(cell) for cell in cells[:-1]), Text(cells[-1], style=_style(row, comparison.base)))
    notes = [Text(f"{row.backend}: {note}") for row in comparison.rows for note in _notes(row, comparison)]
    return Lines(grid, *notes)


def markdown(comparison: Comparison) -> str:
    """Return the table and its notes as Markdown."""
    names = [name.replace("\n", ", " if name.endswith(("Hz", "\ns")) else " ") for name, _ in _columns(comparison)]
    rule = ["---:" if side == "right" else "---" for _, side in _columns(comparison)]
    rows = [[plain(cell) for cell in _cells(r, comparison)] for r in comparison.rows]
    lines = ["| " + " | ".join(cells) + " |" for cells in (names, rule, *rows)]
    notes = [f"- {plain(f'{row.backend}: {note}')}" for row in comparison.rows for note in _notes(row, comparison)]
    versions = [f"- {plain(f'{row.backend}: {_versions(row)}')}" for row in comparison.rows if row.versions]
    return "\n".join([plain(_title(comparison)) + ".", "", *lines, "", *notes, *versions]).rstrip() + "\n"


def plain(text: str) -> str:
    """Return text as Markdown that shows it and nothing else: names come from files that anybody may have written."""
    for mark, shown in (("\n", "; "), ("&", "&amp;"), ("<", "&lt;"), ("|", "\\|")):
        text = text.replace(mark, shown)
    return text


def as_json(comparison: Comparison) -> str:
    """Return everything but the recordings as JSON; numbers that JSON cannot hold are null."""
    graph = comparison.graph
    data = {
        "format": FORM,
        "schema_version": SCHEMA_VERSION,
        "graph": {
            "name": graph.name,
            "sha256": graph.sha256,
            "semantics": graph.semantics,
            "exact": graph.exact,
            "dt_ms": graph.dt_ms,
            "n_neurons": sum(p.size for p in graph.neurons),
            "n_synapses": graph.n_synapses,
        },
        "task": comparison.task,
        "split": comparison.split,
        "n_samples": comparison.n_samples,
        "steps": comparison.steps,
        "base": comparison.base,
        "rows": [_row_data(row) for row in comparison.rows],
    }
    return json.dumps(data, indent=2, allow_nan=False) + "\n"


def _title(c: Comparison) -> str:
    name = f"'{c.graph.name}' " if c.graph.name else ""
    return (
        f"{c.task}, {c.n_samples} {c.split} samples of {c.steps} steps of {c.graph.dt_ms:g} ms, "
        f"on graph {name}{c.graph.sha256[:12]}{', integer semantics' if c.graph.semantics == 'integer' else ''}"
    )


def _columns(c: Comparison) -> tuple[tuple[str, str], ...]:
    """Return the columns: those of every graph, and the clips of an integer one."""
    return (*_COLUMNS[:5], *((("clips", "right"),) if c.graph.semantics == "integer" else ()), *_COLUMNS[5:])


def _cells(row: Row, c: Comparison) -> list[str]:
    if row.status != "ok" or row.activity is None:
        return [row.backend, *["-"] * (len(_columns(c)) - 2), row.status]
    a = row.activity
    return [
        row.backend,
        f"NMSE {row.nmse:.4f}" if row.spread else f"{100 * row.accuracy:.1f} % ({row.n_right}/{row.n_decisions})",
        f"{a.spikes_per_inference:.1f}",
        f"{a.mean_rate_hz:.2f}",
        f"{a.synaptic_events_per_inference:.0f}",
        *([str(row.n_clips)] if c.graph.semantics == "integer" else []),
        f"{row.build_s:.2f}",
        f"{row.wall_time_s:.2f}",
        _parity(row, c.base),
    ]


def _parity(row: Row, base: str) -> str:
    """Say in a few words how a row compares with the base: exact, or where it parts and with which values."""
    if row.backend == base:
        return "base"
    if row.parity is None:
        return f"unknown: {base or 'no base'} broke"
    d = row.parity.divergence
    if d is None:
        return "exact" if row.parity.asserted else "equal (not asserted)"
    values = [f"{name} {value}" for name, value in zip(d.backends, _digits(d), strict=True)]
    return f"step {d.step}, sample {d.sample}\n{d.population}[{d.neuron}] {d.state}\n" + "\n".join(values)


def _digits(d: Divergence) -> list[str]:
    return [str(int(v)) if d.state == "z" else repr(v) for v in d.values]


def _style(row: Row, base: str) -> str:
    if row.status == "unavailable" or (row.parity is None and row.backend != base):
        return "yellow"
    if row.status == "failed" or (row.parity is not None and row.parity.failed):
        return "red"
    return "green" if row.parity is not None and row.parity.exact else ""


def _notes(row: Row, c: Comparison) -> list[str]:
    if row.reason:
        return [row.reason]
    if row.backend in c.miscounted:
        base = next(r for r in c.rows if r.backend == c.base)
        return [f"agrees in every state, but counts other clips than {c.base}: {_clips(row)}; {c.base}: {_clips(base)}"]
    if row.parity is not None and (not row.parity.exact or not row.parity.asserted):
        return [str(row.parity)]
    return []


def _clips(row: Row) -> str:
    return ", ".join(f"{p} {s} {n}" for p, by in row.saturations.items() for s, n in by.items() if n) or "none"


def _versions(row: Row) -> str:
    options = "".join(f", {key}={value}" for key, value in row.options.items())
    return ", ".join(f"{name} {version}" for name, version in row.versions.items()) + options


def _row_data(row: Row) -> dict[str, Any]:
    a = row.activity
    return {
        "backend": row.backend,
        "options": {key: value if isinstance(value, (bool, int, float, str)) else repr(value) for key, value in row.options.items()},
        "status": row.status,
        "reason": row.reason,
        "versions": dict(row.versions),
        "n_right": row.n_right,
        "n_decisions": row.n_decisions,
        "accuracy": _finite(row.accuracy),
        "nmse": _finite(row.nmse),
        "mean_rate_hz": a and a.mean_rate_hz,
        "rate_hz": a and dict(a.rate_hz),
        "spikes_per_inference": a and a.spikes_per_inference,
        "input_spikes_per_inference": a and a.input_spikes_per_inference,
        "synaptic_events_per_inference": a and a.synaptic_events_per_inference,
        "silent_fraction": a and dict(a.silent_fraction),
        "n_clips": row.n_clips,
        "saturations": {p: dict(by) for p, by in row.saturations.items()},
        "build_s": row.build_s,
        "wall_time_s": row.wall_time_s,
        "parity": row.parity and _parity_data(row.parity),
    }  # fmt: skip


def _parity_data(parity: Parity) -> dict[str, Any]:
    d = parity.divergence
    return {
        "exact": parity.exact,
        "asserted": parity.asserted,
        "n_samples": parity.n_samples,
        "n_equal_samples": parity.n_equal_samples,
        "n_spikes": parity.n_spikes,
        "n_values": parity.n_values,
        "divergence": d
        and {
            "step": d.step,
            "sample": d.sample,
            "population": d.population,
            "neuron": d.neuron,
            "state": d.state,
            "values": {name: _finite(value) for name, value in zip(d.backends, d.values, strict=True)},
            "text": str(d),
        },
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
