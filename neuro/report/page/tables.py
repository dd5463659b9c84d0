"""Make the page's tables: every number as it is shown, and as it is sorted and downloaded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from neuro.metrics.energy import PARTS
from neuro.report.page.activity import Activity
from neuro.report.page.claims import interval
from neuro.report.page.document import Cell, Column, Mark, Table, cell, figure
from neuro.report.page.measured import Drawn, Measured, Spread
from neuro.report.page.models import Estimate, Model, Part, Result
from neuro.report.page.numbers import NONE, count, percent, si, significant, size, span
from neuro.report.page.sweep import Sweep
from neuro.report.page.verdict import compared

_PARITY: dict[str, tuple[str, Mark]] = {
    "base": ("base", "plain"),
    "exact": ("exact", "good"),
    "equal": ("equal, not asserted", "good"),
    "differs": ("differs", "bad"),
    "unknown": ("unknown: the base broke", "open"),
}


def models(found: tuple[Model, ...]) -> Table:
    """Return one row a model: what it is, how right it is, what it does for an inference."""
    regression = any(m.nmse is not None for m in found)
    columns = (
        Column(title="model", number=False),
        Column(title="kind", number=False),
        *((Column(title="NMSE"),) if regression else _SHARE),
        Column(title="rate", unit="Hz"),
        Column(title="spikes"),
        Column(title="synaptic events"),
        Column(title="MAC"),
        Column(title="AC"),
        Column(title="parameters"),
        Column(title="size", unit="bytes"),
        Column(title="cores"),
    )
    notes = (
        *(
            ("Below an accuracy: right of all decisions, and Wilson's 95 % interval.",)
            if any(m.n_decisions for m in found)
            else ()
        ),
        "Spikes, synaptic events and operations are means over samples for one inference. MAC: multiply-accumulates; AC: additions alone, "
        "what a spike makes of them.",
    )
    rows = tuple(_model(m, regression) for m in found)
    return Table(id="table-models", name="models", caption="", columns=columns, rows=rows, notes=notes)


def _model(m: Model, regression: bool) -> tuple[Cell, ...]:
    semantics = m.semantics if m.kind == "spiking" else ""
    scored = (figure(m.nmse, significant(m.nmse)),) if regression else _share(m)
    return (
        cell(m.name),
        Cell(m.kind, " ".join(word for word in (semantics, m.kind) if word), "", semantics),
        *scored,
        figure(m.mean_rate_hz, significant(m.mean_rate_hz)),
        *(
            figure(x, count(x))
            for x in (m.spikes, m.synaptic_events, m.operation("mac"), m.operation("ac"), m.n_parameters)
        ),
        figure(m.parameter_bytes, size(m.parameter_bytes)),
        figure(m.n_cores or None, count(m.n_cores)),
    )


_SHARE = (
    Column(title="accuracy"),
    *(Column(title=title, shown=False) for title in ("right", "decisions", "95 % interval low", "95 % interval high")),
)


def _share(m: Model) -> tuple[Cell, ...]:
    """Return accuracy, and for the CSV what it stands on."""
    around = interval(m.n_right, m.n_decisions)
    if around is None:
        return (Cell(NONE), *(Cell("") for _ in _SHARE[1:]))
    below = f"{m.n_right:,}/{m.n_decisions:,}; {100 * around[0]:.0f} to {percent(around[1], 0)}"
    return (
        figure(m.accuracy, percent(m.accuracy), below),
        *(Cell("", float(x)) for x in (m.n_right, m.n_decisions, *around)),
    )


def parity(found: tuple[Model, ...]) -> Table:
    """Return one row a model and backend: whether it ran, whether it gave the same, how long it took."""
    columns = (
        Column(title="model", number=False),
        Column(title="backend", number=False),
        Column(title="verdict", number=False),
        Column(title="held against the base", number=False),
        Column(title="wall time", unit="s"),
        Column(title="versions", number=False),
    )
    rows = tuple(_result(m, name, r) for m in found for name, r in m.backends.items())
    return Table(id="table-parity", name="parity", caption="", columns=columns, rows=rows)


def _result(m: Model, name: str, r: Result) -> tuple[Cell, ...]:
    text, mark = _PARITY.get(r.parity, (r.parity or r.status, "open"))
    if r.status != "ok":
        text, mark = r.status, "bad" if r.status == "failed" else "open"
    held = compared(r)
    said = r.reason or (
        f"{held[0]:,} spikes, {held[1]:,} states, {held[2]:,} samples" if held else r.text if r.text != text else ""
    )
    versions = ", ".join(f"{k} {v}" for k, v in r.versions.items())
    took = r.wall_time_s if r.status == "ok" else None
    return (cell(m.name), cell(name), cell(text, mark), cell(said), figure(took, si(took, "s")), cell(versions))


def activity(found: Mapping[str, Activity]) -> Table:
    """Return one row a model: rates against the band, silence, intervals."""
    columns = (
        Column(title="model", number=False),
        Column(title="neurons"),
        Column(title="mean rate", unit="Hz"),
        Column(title="in 10 to 20 Hz"),
        Column(title="silent"),
        Column(title="median interval", unit="ms"),
        Column(title="mean CV"),
        Column(title="neurons with a CV"),
    )
    rows = tuple(
        (
            cell(name),
            figure(a.n_neurons, count(a.n_neurons)),
            figure(a.mean_rate_hz, significant(a.mean_rate_hz)),
            figure(a.in_band / max(a.n_neurons, 1), percent(a.in_band / max(a.n_neurons, 1), 0)),
            figure(a.n_silent, count(a.n_silent)),
            figure(a.median_interval_ms, significant(a.median_interval_ms)),
            figure(a.mean_cv, significant(a.mean_cv)),
            figure(a.n_cv, count(a.n_cv)),
        )
        for name, a in found.items()
    )
    return Table(id="table-activity", name="activity", caption="By model", columns=columns, rows=rows)


def energy(found: tuple[Model, ...], step_time_s: float | None) -> Table:
    """Return one row a model and device: every part with its range, latency, energy-delay product."""
    columns = (
        Column(title="model", number=False),
        Column(title="device", number=False),
        *(c for name in ("dynamic", *PARTS) for c in _ranges(name, "J")),
        Column(title="latency", unit="s"),
        *_ranges("EDP", "J s"),
    )
    rows = tuple((cell(m.name), cell(device), *_estimate(e)) for m in found for device, e in m.energy.items())
    notes = (
        "Estimates: counts of this run times published figures, joules an inference, below each the range that the sources allow. Dynamic is "
        "synaptic + neuron + routing + learning; EDP is dynamic and static energy times latency.",
        *((f"A step is stated to take {si(step_time_s, 's')} on a device that has steps.",) if step_time_s else ()),
    )
    return Table(id="table-energy", name="energy", caption="Energy in parts", columns=columns, rows=rows, notes=notes)


def _ranges(name: str, unit: str) -> tuple[Column, ...]:
    return (
        Column(title=name, unit=unit),
        Column(title=f"{name} low", unit=unit, shown=False),
        Column(title=f"{name} high", unit=unit, shown=False),
    )


def _estimate(e: Estimate) -> Iterator[Cell]:
    refused = Part(status="refused", note=e.refused) if e.refused else None
    for part in (refused or e.dynamic, *(refused or e.parts.get(name) for name in PARTS)):
        yield from _part(part, "J")
    yield figure(e.latency_s or None, si(e.latency_s, "s"))
    yield from _part(refused or e.edp, "J s")


def _part(part: Part | None, unit: str) -> tuple[Cell, ...]:
    if part is None or part.status != "priced":
        return (Cell(NONE if part is None else part.status, None, "open"), Cell(""), Cell(""))
    below = span(part.low, part.value, part.high, unit)
    return (Cell(si(part.value, unit), part.value, "", below), *(Cell("", x) for x in (part.low, part.high)))


def trials(found: Sweep, number: int) -> Table:
    """Return one row a trial of a sweep."""
    params = list(dict.fromkeys(name for t in found.trials for name in t.params))
    columns = (
        Column(title="trial"),
        *(Column(title=name, number=False) for name in params),
        Column(title="accuracy"),
        Column(title="rate", unit="Hz"),
        *_ranges("energy", "J"),
        Column(title="Pareto", number=False),
        Column(title="state", number=False),
    )
    rows = tuple(
        (
            figure(t.number, str(t.number)),
            *(_setting(t.params.get(name, "")) for name in params),
            figure(t.accuracy, percent(t.accuracy)),
            figure(t.mean_rate_hz, significant(t.mean_rate_hz)),
            *_part(
                Part(status="priced", low=t.low, value=t.energy, high=t.high) if t.energy is not None else None, "J"
            ),
            cell("yes" if t.number in found.pareto else ""),
            cell(": ".join(x for x in (t.state, t.reason) if x)),
        )
        for t in found.trials
    )
    return Table(
        id=f"table-sweep-{number}",
        name=f"sweep-{number + 1}",
        caption=f"Trials of {found.name}",
        columns=columns,
        rows=rows,
    )


def _setting(text: str) -> Cell:
    """Return a setting, sorted as a number if it is one."""
    try:
        return Cell(text, float(text))
    except ValueError:
        return cell(text)


def measured(found: tuple[Measured, ...]) -> Table:
    """Return one row a measurement and meter, never in a table of estimates."""
    columns = (
        Column(title="model", number=False),
        Column(title="backend", number=False),
        *_ranges("time an inference", "s"),
        Column(title="meter", number=False),
        *_ranges("energy above idle", "J"),
        *_ranges("energy in all", "J"),
        Column(title="idle", unit="W"),
        Column(title="samples"),
        Column(title="repetitions"),
        Column(title="not measured", number=False),
    )
    rows = tuple(_measurement(m, drawn) for m in found for drawn in m.drawn or (None,))
    notes = (
        "Measured on this machine, which is not what the estimates are of: median of the repetitions, below it least and most. Energy is that "
        "of an inference, as the meter's counters gave it; above idle is what remains without the idle draw.",
        *dict.fromkeys(f"{m.model}: {text}" for m in found for text in m.left_out),
    )
    return Table(id="table-measured", name="measured", caption="", columns=columns, rows=rows, notes=notes)


def _measurement(m: Measured, drawn: Drawn | None) -> tuple[Cell, ...]:
    missing = (Cell("no counter", None, "open"), Cell(""), Cell(""))
    return (
        cell(m.model),
        cell(m.backend),
        *_spread(m.seconds, "s"),
        *((cell(""), *missing, *missing, Cell(NONE)) if drawn is None else _meter(drawn)),
        figure(m.n_samples, count(m.n_samples)),
        figure(m.repeats, count(m.repeats)),
        cell("; ".join(m.absent)),
    )


def _meter(drawn: Drawn) -> tuple[Cell, ...]:
    named = f"{drawn.meter} ({drawn.covers})" if drawn.covers else drawn.meter
    net = _spread(drawn.net, "J")
    if not drawn.above_idle:
        net = (Cell("within idle", None, "open"), *net[1:])
    return (cell(named), *net, *_spread(drawn.gross, "J"), figure(drawn.idle_w, si(drawn.idle_w, "W")))


def _spread(spread: Spread, unit: str) -> tuple[Cell, ...]:
    return _part(Part(status="priced", low=spread.low, value=spread.median, high=spread.high), unit)
