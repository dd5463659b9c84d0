"""Show why two recordings part: sentences, a table of the neuron's states, a table of what arrived; for a terminal and in Markdown."""

from __future__ import annotations

from itertools import chain

from rich.console import Group as Lines
from rich.table import Table
from rich.text import Text

from neuro.graph import SCALE_BITS
from neuro.metrics import Delivery, Divergence, Explanation, Side, Suspect, Synapse

_STATES = ("I", "u", "a", "x", "A", "v", "y", "z")
MOST_DELIVERIES = 60
"""Rows of the table of deliveries; earlier ones are left out."""
Cells = list[list[str]]


def explanation_table(e: Explanation) -> Lines:
    """Return the explanation for a terminal."""
    parts: list[Text | Table] = [Text(sentence) for sentence in sentences(e)]
    for title, cells, note in (_states(e), _deliveries(e)):
        if not cells:
            continue
        grid = Table(title=Text(title), title_justify="left", title_style="bold", header_style="bold")
        for k, name in enumerate(cells[0]):
            side = "left" if cells[0][0] == "at step" and k in (1, 5) else "right"
            grid.add_column(name, justify=side, no_wrap=True, vertical="top")  # type: ignore[arg-type]
        for row in cells[1:]:
            grid.add_row(*map(Text, row))
        parts += [Text(""), grid, *([Text(note)] if note else [])]
    return Lines(*parts)


def explanation_markdown(e: Explanation) -> str:
    """Return the explanation in Markdown."""
    lines = ["# " + _place(e.divergence), "", *(f"- {s}" for s in sentences(e))]
    for title, cells, note in (_states(e), _deliveries(e)):
        if cells:
            rows = [[cell.replace("|", "\\|").replace("\n", "<br>") for cell in row] for row in cells]
            rows.insert(1, ["---"] * len(rows[0]))
            lines += ["", f"## {title}", "", *("| " + " | ".join(row) + " |" for row in rows)]
            lines += ["", note] if note else []
    return "\n".join(lines) + "\n"


def sentences(e: Explanation) -> list[str]:
    """Return what is said before the tables: where they part, which one leaves the golden model, and what would explain it."""
    found = [
        str(e.divergence) + ("" if e.asserted else "; reported, not asserted: the graph or a backend is not exact")
    ]
    if e.deliveries is None:
        return [*found, "without the graph nothing is known of thresholds, inputs and synapses: give it with --graph"]
    if e.unknown:
        names = ", ".join(f"'{name}'" for name in e.unknown)
        found.append(
            f"unknown: what {names} sent (spikes that were not recorded, or currents, which no recording holds), "
            "so that inputs are incomplete and the golden model cannot be asked"
        )
    else:
        found += chain.from_iterable(_verdict(e, side) for side in e.sides)
    return found


def _verdict(e: Explanation, side: Side) -> list[str]:
    left = side.departure
    if left is None:
        return [f"{side.name} holds what the golden model gives for this neuron from the spikes that arrive"]
    x, y = (_number(v, left.state, True) for v in (left.recorded, left.expected))
    found = [
        f"{side.name} leaves the golden model at step {left.step}, state {left.state}: it holds {x}, the golden model gives {y} "
        "from the spikes that arrive"
    ]
    if left.step != e.divergence.step:
        return [f"{found[0]}; before the two recordings part"]
    return found + _blame(e, side)


def _blame(e: Explanation, side: Side) -> list[str]:
    """Say which fault of a delivery would give what a side holds, or what else it may be."""
    left = side.departure
    assert left is not None and e.deliveries is not None
    if left.state not in ("u", "v", "y"):
        return []
    if side.suspects:
        first = "; or ".join(_fault(s) for s in side.suspects[:3])
        more = f"; or one of {len(side.suspects) - 3} others" if len(side.suspects) > 3 else ""
        return [f"{side.name} holds exactly what would come of this: {first}{more}"]
    here = [d.synapse for d in e.deliveries if d.step == e.divergence.step]
    off = f"its sum is off by {_number(left.recorded - left.expected, left.state, False)}"
    if not here:
        return [f"{side.name}: {off}, and nothing arrives at this step: see decay, bias, reset and refractory period"]
    names = ", ".join(_name(s) for s in here[:5]) + (f" and {len(here) - 5} more" if len(here) > 5 else "")
    return [
        f"{side.name}: {off}, which no delivery gives that is lost, counted twice or early; "
        f"if a weight is wrong, it is one of those that deliver at this step: {names}"
    ]


def _fault(s: Suspect) -> str:
    if s.synapse is None:
        return "all deliveries of this step lost"
    what = {"lost": "lost, or late", "twice": "counted twice", "early": f"{s.by} step{'s' * (s.by > 1)} early"}[s.fault]
    return f"the delivery of {_name(s.synapse)} {what}"


def _name(s: Synapse) -> str:
    return f"{s.source}[{s.unit}] by '{s.projection}' (weight {_weight(s)}, delay {s.delay})"


def _weight(s: Synapse) -> str:
    return f"{s.weight:.6g}" if s.exponent is None else f"{int(s.weight)} * 2**{SCALE_BITS + s.exponent}"


def _place(d: Divergence) -> str:
    return f"{d.backends[0]} and {d.backends[1]} part at step {d.step}, sample {d.sample}, {d.population}[{d.neuron}]"


def _states(e: Explanation) -> tuple[str, Cells, str]:
    """Return title, cells with their header, and note of the neuron's states."""
    d = e.divergence
    names = [s for s in _STATES if any(s in side.recorded or s in side.expected for side in e.sides)]
    cells = [["step", *("into u" if n == "I" and e.semantics == "integer" else n for n in names)]]
    for row, step in enumerate(e.steps.tolist()):
        cells.append([str(step), *(_pair(e, name, row) for name in names)])
    note = f"where they differ: {d.backends[0]} above, {d.backends[1]} below"
    if any("(" in cell for line in cells[1:] for cell in line):
        note += "; in brackets: not recorded, what the golden model gives"
    kind = f" ({e.kind})" if e.kind else ""
    return f"{d.population}[{d.neuron}]{kind}, sample {d.sample}", cells, note


def _pair(e: Explanation, name: str, row: int) -> str:
    """Return one cell: a value, or two where the sides differ, with all digits."""
    found = []
    for side in e.sides:
        known, computed = side.recorded.get(name), side.expected.get(name)
        found.append(
            (float(known[row]), False) if known is not None
            else (float(computed[row]), name != "I") if computed is not None
            else None
        )  # fmt: skip
    (left, right) = found
    if left is not None and right is not None and left[0] == right[0]:
        text = _number(left[0], name, False)
        return f"({text})" if left[1] or right[1] else text
    return "\n".join(
        "?" if x is None else f"({_number(x[0], name, True)})" if x[1] else _number(x[0], name, True) for x in found
    )


def _number(value: float, name: str, all_digits: bool) -> str:
    if name == "z" or (value == int(value) if abs(value) < 2**53 else False):
        return str(int(value))
    return repr(float(value)) if all_digits else f"{value:.6g}"


def _deliveries(e: Explanation) -> tuple[str, Cells, str]:
    """Return title, cells with their header, and note of what arrived."""
    if e.deliveries is None:
        return "", [], ""
    d = e.divergence
    title = f"arrivals at {d.population}[{d.neuron}], from {e.n_synapses} synapses, steps {e.steps[0]} to {e.steps[-1]}"
    if not e.deliveries:
        return title, [], ""
    cells = [["at step", "from", "delay", "weight", "adds", "in the spikes of"]]
    shown = e.deliveries[-MOST_DELIVERIES:]
    for x in shown:
        s = x.synapse
        cells.append([str(x.step), f"{s.source}[{s.unit}] by '{s.projection}'", str(s.delay), _weight(s),
                      _number(x.amount, "", False), _by(e, x)])  # fmt: skip
    n_out = len(e.deliveries) - len(shown)
    return title, cells, f"{n_out} earlier arrivals are left out" if n_out else ""


def _by(e: Explanation, x: Delivery) -> str:
    """Say whose spikes brought a delivery, and whether a fault in it would explain a side."""
    text = "both" if all(x.by) else f"{e.sides[x.by.index(True)].name} only"
    if x.step == e.divergence.step:
        for side in e.sides:
            faults = {s.fault for s in side.suspects if s.synapse == x.synapse and s.fault != "early"}
            text += "".join(f"; {fault} in {side.name}?" for fault in sorted(faults))
    return text
