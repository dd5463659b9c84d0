"""Name every fault of a table of devices: the rules that neuro/metrics/devices.toml has to hold."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from neuro.errors import nearest
from neuro.metrics.energy import PARTS

UNITS = {
    "pJ": 1e-12, "nJ": 1e-9, "pJ/64b": 0.5e-12, "uW": 1e-6, "mW": 1e-3, "us": 1e-6, "KiB": 1024.0, "count": 1.0,
}  # fmt: skip
"""Units of figures, and what one is in joules, watts, seconds, bytes or pieces; "pJ/64b" in joules a 32-bit word."""
SURE = ("verified", "secondary", "derived")
BASES = ("measured", "simulated", "synthesis", "calibrated", "survey", "design")
STATUSES = ("included", "not published", "not applicable")
COUNTS = {
    "synaptic": {"event": "an event that arrives at a synapse"},
    "neuron": {
        "active": "an update with an event or a spike",
        "idle": "any other update",
        "spike": "a spike, besides the update",
    },
    "routing": {
        "within_core": "a message to the sender's own core",
        "within_tile": "a message to another core of the tile",
        "between_tiles": "a message to another tile, besides its hops",
        "hop_ew": "a tile passed east or west",
        "hop_ns": "a tile passed north or south",
        "message": "a message that leaves its core",
        "spike": "a spike of a neuron",
    },
    "learning": {"update": "a change of a synapse's weight"},
    "static": {"core": "a core in use, in time", "chip": "a chip in use, in time"},
    "host": {"chip": "a chip in use, in time"},
}
"""What can be priced, by part."""
_ENERGY, _POWER, _COUNT, _TIME, _SIZE = ("pJ", "nJ"), ("uW", "mW"), ("count",), ("us",), ("KiB",)
_WORD = ("pJ", "pJ/64b")
_DEVICE = {
    "title", "prices", "needs_placement", "node", "operating_point", "notes", "by_operations", "price", "without", "operations",
    "memory", "mesh", "limits", "context",
}  # fmt: skip
_FIGURE = {"value", "low", "high", "unit", "sources", "sure", "basis", "node", "operating_point", "note"}
_NEEDED = ("value", "unit", "sources", "sure", "basis")
_PLACES = {
    "operations": ("add", "multiply"),
    "memory": ("holds", "read", "write"),
    "mesh": ("cores_per_tile", "columns", "rows"),
    "limits": ("compartments", "fastest_step", "operations_per_spike"),
}
_UNITS_OF = {
    "add": _ENERGY, "multiply": _ENERGY, "holds": _SIZE, "read": _WORD, "write": _WORD, "fastest_step": _TIME,
}  # fmt: skip

Table = Mapping[str, Any]
Place = tuple[str, str, Table, tuple[str, ...]]
"""Where a figure stands, its name, the figure, the units that it may have there."""


def _devices(table: Table) -> dict[str, Table]:
    return {k: v for k, v in table.items() if k not in ("sources", "refused") and isinstance(v, dict)}


def _figures(table: Table) -> Iterator[Place]:
    """Yield every figure of every device."""
    for name, raw in _devices(table).items():
        for part, of in raw.get("price", {}).items():
            unit = _POWER if part in ("static", "host") else _ENERGY
            yield from ((f"{name}.price.{part}.{key}", key, f, unit) for key, f in of.items())
        groups = [(f"operations.{kind}", of) for kind, of in raw.get("operations", {}).items()]
        groups += [(f"memory.{k}", of) for k, of in enumerate(raw.get("memory", ()))]
        groups += [(place, raw.get(place, {})) for place in ("mesh", "limits", "context")]
        for place, of in groups:
            for key, f in of.items():
                units = tuple(UNITS) if place == "context" else _UNITS_OF.get(key, _COUNT)
                yield f"{name}.{place}.{key}", key, f, units


def known_keys(table: Table) -> Iterator[str]:
    """Every key is one that is read."""
    for name, raw in _devices(table).items():
        yield from (_unknown(name, key, _DEVICE) for key in raw if key not in _DEVICE)
        for part, of in raw.get("price", {}).items():
            counts = COUNTS.get(part, {})
            yield from (_unknown(f"{name}.price.{part}", key, counts) for key in of if key not in counts)
    for where, key, f, _ in _figures(table):
        yield from (_unknown(where, k, _FIGURE) for k in f if k not in _FIGURE)
        place = where.split(".")[1]
        if place in _PLACES and key not in _PLACES[place]:
            yield _unknown(where.rpartition(".")[0], key, _PLACES[place])


def _unknown(where: str, key: str, known: Any) -> str:
    hint = nearest(key, known)
    return f"{where}: unknown key (got '{key}'; need {', '.join(sorted(known)) or 'none'}). {hint or 'Leave it out.'}"


def described(table: Table) -> Iterator[str]:
    """Every device says what it is, and what it prices."""
    for name, raw in _devices(table).items():
        for key in ("title", "node", "operating_point"):
            if not raw.get(key):
                yield f"{name}: no {key} (got {raw.get(key)!r}; need text). Say it."
        if raw.get("prices") not in ("spiking", "any"):
            yield f"{name}: prices is not known (got {raw.get('prices')!r}; need 'spiking' or 'any'). Say which."
        if not isinstance(raw.get("needs_placement"), bool):
            yield f"{name}: needs_placement is not said (got {raw.get('needs_placement')!r}; need true or false). Say it."


def complete(table: Table) -> Iterator[str]:
    """Every figure has a value, a unit, sources, and how sure it is."""
    for where, _, f, units in _figures(table):
        missing = [key for key in _NEEDED if f.get(key) in (None, "", [])]
        if missing:
            yield f"{where}: no {', no '.join(missing)} (got {sorted(f)}; need {', '.join(_NEEDED)}). No figure without a source."
        if "unit" in f and f["unit"] not in units:
            yield f"{where}: wrong unit (got '{f['unit']}'; need {' or '.join(units)}). Convert it."
        for key, known in (("sure", SURE), ("basis", BASES)):
            if key in f and f[key] not in known:
                yield f"{where}: {key} is not known (got '{f[key]}'; need {', '.join(known)}). Say which."
        if f.get("sure") == "derived" and not f.get("note"):
            yield f"{where}: derived without a note (got none; need the arithmetic). Write it."


def ordered(table: Table) -> Iterator[str]:
    """Low <= value <= high, all finite and none negative."""
    for where, _, f, _ in _figures(table):
        value = f.get("value", 0.0)
        three = (f.get("low", value), value, f.get("high", value))
        if not all(isinstance(x, (int, float)) and not isinstance(x, bool) and math.isfinite(x) for x in three):
            yield f"{where}: not a number (got {three}; need finite numbers). Mend it."
        elif not 0 <= three[0] <= three[1] <= three[2]:
            yield f"{where}: out of order (got low {three[0]}, value {three[1]}, high {three[2]}; need 0 <= low <= value <= high). Mend it."


def sourced(table: Table) -> Iterator[str]:
    """Every source that a figure names is described, and every one that is described is named."""
    sources = table.get("sources", {})
    named = {key: where for where, _, f, _ in _figures(table) for key in f.get("sources", ())}
    for key, where in named.items():
        if key not in sources:
            yield f"{where}: unknown source (got '{key}'; need one of [sources]). {nearest(key, sources) or 'Describe it there.'}"
    for key in sources:
        if key not in named:
            yield f"sources.{key}: no figure names it (got '{key}'; need a use). Leave it out."
    for name, reason in table.get("refused", {}).items():
        if not reason:
            yield f"refused.{name}: no reason (got ''; need text). Say why."


def parts(table: Table) -> Iterator[str]:
    """Every part of an energy is priced in one way, or stands under `without` with a status and the reason."""
    for name, raw in _devices(table).items():
        price, without, by = raw.get("price", {}), raw.get("without", {}), raw.get("by_operations", ())
        for part in (*price, *without, *by):
            if part not in PARTS:
                yield _unknown(name, part, PARTS)
        for part in PARTS:
            ways = [way for way, of in (("price", price), ("without", without), ("by_operations", by)) if part in of]
            if len(ways) != 1:
                yield f"{name}: part '{part}' (got {', '.join(ways) or 'nothing'}; need one of price, without, by_operations). Choose one."
        for part, of in without.items():
            if of.get("status") not in STATUSES or not of.get("note"):
                yield f"{name}.without.{part}: not explained (got {of}; need status {' or '.join(STATUSES)}, and note). Say why."
        if by and not (set(raw.get("operations", {})) == {"float", "integer"} and raw.get("memory")):
            yield f"{name}: by_operations without prices (got {list(by)}; need operations.float, operations.integer, memory). Add them."


def together(table: Table) -> Iterator[str]:
    """Figures that are of use together alone stand together; else a count would be priced at nothing, or nothing hold a model."""
    for name, raw in _devices(table).items():
        price, memory = raw.get("price", {}), list(raw.get("memory", ()))
        groups = [
            (f"{name}.price.neuron", set(price.get("neuron", ())), {"active", "idle"}),
            (f"{name}.mesh", set(raw.get("mesh", ())), set(_PLACES["mesh"])),
        ]
        groups += [(f"{name}.price.{part}", set(price.get(part, ())), {"chip"}) for part in ("static", "host")]
        groups += [
            (f"{name}.operations.{k}", set(of), {"add", "multiply"}) for k, of in raw.get("operations", {}).items()
        ]
        groups += [(f"{name}.memory.{k}", set(of), {"read", "write"}) for k, of in enumerate(memory)]
        for where, has, needed in groups:
            if has and not needed <= has:
                yield f"{where}: figures missing (got {', '.join(sorted(has))}; need {', '.join(sorted(needed))}). Add them."
        sizes = [of.get("holds", {}).get("value", math.inf) for of in memory]
        if memory and (sizes != sorted(set(sizes)) or sizes[-1] != math.inf):
            yield f"{name}.memory: not from small to large (got {sizes}; need sizes that grow, and none of the last). Sort it."


FAULTS: tuple[Callable[[Table], Iterator[str]], ...] = (
    known_keys,
    described,
    complete,
    ordered,
    sourced,
    parts,
    together,
)
