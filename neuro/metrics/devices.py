"""Read the table of devices: what each takes an operation and a second, every figure with its source and how sure it is."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal

from neuro.errors import DataError, UnsupportedError, nearest
from neuro.metrics.device_rules import FAULTS, UNITS
from neuro.metrics.energy import PARTS, Range, Status
from neuro.metrics.routing import Mesh

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_TABLE = Path(__file__).with_name("devices.toml")


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A published number, or one derived from published numbers.

    | field | meaning |
    | --- | --- |
    | value, low, high | in `unit`; low and high are the least and most that the sources allow, both the value if no range is published |
    | sources | who published it, and where it was read |
    | sure | "verified": read in the source; "secondary": read in one that quotes it; "derived": computed from figures by the note |
    | basis | "measured", "simulated", "synthesis", "calibrated", "survey" or "design" |
    | node, operating_point | process and voltage |
    | note | conditions, where low and high come from, the arithmetic of a derived figure |
    """

    value: float
    low: float
    high: float
    unit: str
    sources: tuple[str, ...]
    sure: str
    basis: str
    node: str
    operating_point: str
    note: str = ""

    @property
    def source(self) -> str:
        """Return all sources in one line."""
        return "; ".join(self.sources)

    @property
    def si(self) -> Range:
        """Return the figure in joules, watts, seconds, bytes or as a count; a "pJ/64b" in joules a 32-bit word."""
        return Range(self.low, self.value, self.high) * UNITS[self.unit]


@dataclass(frozen=True, kw_only=True)
class Memory:
    """A memory: joules a word read and written, and the bytes it holds; None: as many as wanted."""

    read: Figure
    write: Figure
    holds: Figure | None = None


@dataclass(frozen=True, kw_only=True)
class Device:
    """What one device takes.

    | field | meaning |
    | --- | --- |
    | prices | "spiking": spiking models alone; "any": dense ones, too |
    | needs_placement | routing and static power need the cores in use |
    | price | by part and count (`COUNTS`) |
    | by_operations | parts priced by operations and memory traffic |
    | operations | "add" and "multiply", by "float" and "integer" |
    | memory | smallest first |
    | without | parts that have no price: the status, and why |
    | mesh | figures of the layout of cores; empty without |
    | limits | "compartments" of a chip, "fastest_step", "operations_per_spike" |
    | context | figures to read beside an estimate, used by none |
    | notes | what a reader of an estimate has to know |
    """

    name: str
    title: str
    prices: Literal["spiking", "any"]
    needs_placement: bool
    node: str
    operating_point: str
    price: Mapping[str, Mapping[str, Figure]]
    without: Mapping[str, tuple[Status, str]]
    by_operations: tuple[str, ...] = ()
    operations: Mapping[str, Mapping[str, Figure]] = field(default_factory=dict)
    memory: tuple[Memory, ...] = ()
    mesh_figures: Mapping[str, Figure] = field(default_factory=dict)
    limits: Mapping[str, Figure] = field(default_factory=dict)
    context: Mapping[str, Figure] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def mesh(self) -> Mesh | None:
        """Return the layout of the cores, None where none is published."""
        return Mesh(**{name: int(f.value) for name, f in self.mesh_figures.items()}) if self.mesh_figures else None

    def figures(self) -> dict[str, Figure]:
        """Return every figure by its place, as "synaptic.event": first those of parts, in the order of PARTS."""
        found = {f"{part}.{name}": f for part in PARTS for name, f in self.price.get(part, {}).items()}
        found |= {f"{kind}.{name}": f for kind, of in self.operations.items() for name, f in of.items()}
        for k, memory in enumerate(self.memory):
            of_memory = {"holds": memory.holds, "read": memory.read, "write": memory.write}
            found |= {f"memory {k + 1}.{name}": f for name, f in of_memory.items() if f is not None}
        for place, of in (("mesh", self.mesh_figures), ("limits", self.limits), ("context", self.context)):
            found |= {f"{place}.{name}": f for name, f in of.items()}
        return found


def devices() -> dict[str, Device]:
    """Return the devices of the table by name, in its order."""
    return dict(_table()[0])


def refused() -> dict[str, str]:
    """Return the chips that are known and cannot be priced, with the reason."""
    return dict(_table()[1])


def device(name: str | Device) -> Device:
    """Return a device by name, or a device as it is.

    Raises: UnsupportedError for a chip without published figures, with the reason, and for an unknown one, naming the nearest.
    """
    if isinstance(name, Device):
        return name
    known, unpriced = _table()
    if name in unpriced:
        raise UnsupportedError(
            f"device '{name}': cannot be priced (got '{name}'; need one of {', '.join(known)}): {unpriced[name]}. "
            "Take one of them, and say which."
        )
    if name not in known:
        hint = nearest(str(name), (*known, *unpriced)) or "neuro devices lists them."
        raise UnsupportedError(f"device '{name}': not known (got '{name}'; need one of {', '.join(known)}). {hint}")
    return known[name]


def read_devices(text: str, where: str = "devices") -> tuple[dict[str, Device], dict[str, str]]:
    """Read a table of devices, TOML: the devices, and the reasons for those that are refused.

    Raises: DataError that names every fault of the table.
    """
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as err:
        raise DataError(f"{where}: not TOML (got {err}; need a table of devices). Mend that line.") from err
    faults = [fault for rule in FAULTS for fault in rule(table)]
    if faults:
        raise DataError("\n".join(f"{where}: {fault}" for fault in faults))
    sources = table.pop("sources")
    unpriced = table.pop("refused", {})
    return {name: _device(name, raw, sources) for name, raw in table.items()}, unpriced


@cache
def _table() -> tuple[dict[str, Device], dict[str, str]]:
    return read_devices(_TABLE.read_text(encoding="utf-8"), _TABLE.name)


def _device(name: str, raw: Mapping[str, Any], sources: Mapping[str, str]) -> Device:
    def figures(of: Mapping[str, Any]) -> dict[str, Figure]:
        return {key: _figure(f, raw, sources) for key, f in of.items()}

    return Device(
        name=name,
        title=raw["title"],
        prices=raw["prices"],
        needs_placement=raw["needs_placement"],
        node=raw["node"],
        operating_point=raw["operating_point"],
        price={part: figures(of) for part, of in raw.get("price", {}).items()},
        without={part: (of["status"], of["note"]) for part, of in raw.get("without", {}).items()},
        by_operations=tuple(raw.get("by_operations", ())),
        operations={kind: figures(of) for kind, of in raw.get("operations", {}).items()},
        memory=tuple(Memory(**figures(of)) for of in raw.get("memory", ())),
        mesh_figures=figures(raw.get("mesh", {})),
        limits=figures(raw.get("limits", {})),
        context=figures(raw.get("context", {})),
        notes=tuple(raw.get("notes", ())),
    )


def _figure(f: Mapping[str, Any], of: Mapping[str, Any], sources: Mapping[str, str]) -> Figure:
    return Figure(
        value=float(f["value"]),
        low=float(f.get("low", f["value"])),
        high=float(f.get("high", f["value"])),
        unit=f["unit"],
        sources=tuple(sources[key] for key in f["sources"]),
        sure=f["sure"],
        basis=f["basis"],
        node=f.get("node", of["node"]),
        operating_point=f.get("operating_point", of["operating_point"]),
        note=f.get("note", ""),
    )
