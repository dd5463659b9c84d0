"""Estimate what an inference costs on a device: counts of a workload times the figures of its table, part by part."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from neuro.errors import DataError, UnsupportedError
from neuro.metrics.devices import Device, Figure, Memory
from neuro.metrics.devices import device as find
from neuro.metrics.energy import DYNAMIC, PARTS, Energy, Part, Range
from neuro.metrics.workload import Operations, Routing, Workload

Samples = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class _Priced:
    """Joules by sample, (samples,): low, value, high; and the figures that they came from, by name, those of counts that are 0 left out."""

    low: Samples
    value: Samples
    high: Samples
    figures: tuple[tuple[str, Figure], ...]

    @property
    def mean(self) -> Range:
        return Range(float(self.low.mean()), float(self.value.mean()), float(self.high.mean()))


def estimate(workload: Workload, device: str | Device, *, step_time_s: float | None = None) -> Energy:
    """Estimate the energy of one inference, the mean over the samples of a workload, in all its parts.

    A part is sum over counts of count * figure; static and host power last for steps * step_time_s. Ranges carry the least and the
    most of every figure; the parts' ranges add, as if all sources erred to one side.

    Parameters: device, one of `devices()` or its name. step_time_s, seconds a step takes; None: real time, the graph's dt.
    Raises: UnsupportedError for an unknown device, a chip without published figures, a dense model on a spiking chip, or a missing
    placement; DataError for an empty workload or a step time out of range.
    """
    chip = find(device)
    _check(workload, chip)
    step_s = workload.dt_ms / 1000 if step_time_s is None else step_time_s
    check_step_time(step_s)
    latency_s = step_s * workload.steps
    priced = {part: _price(part, workload, chip, latency_s) for part in PARTS}
    parts = {part: _part(part, priced[part], workload, chip, step_s) for part in PARTS}
    dynamic = [found for part in DYNAMIC if (found := priced[part]) is not None]
    total = sum((p.mean for p in dynamic), Range(0.0, 0.0, 0.0))
    static = parts["static"]
    used = [f for found in priced.values() if found is not None for _, f in found.figures]
    sources = dict.fromkeys(f"source: {source}" for f in used for source in f.sources)
    return Energy(
        device=chip.name,
        parts=parts,
        dynamic=total,
        dynamic_per_sample=sum((p.value for p in dynamic), np.zeros(workload.n_samples)),
        step_time_s=step_s,
        latency_s=latency_s,
        edp=None if static.status == "not published" else (total + (static.energy or _NOTHING)) * latency_s,
        notes=(*chip.notes, *_remarks(workload, chip, step_s, parts), *sources),
    )


_NOTHING = Range(0.0, 0.0, 0.0)
MOST_STEP_S = 1e6
"""The longest step, 12 days: beyond it a time is a mistake, and its energies in the end no numbers."""


def check_step_time(step_time_s: float) -> None:
    """Raise DataError for a step time that no device can be asked for: 0, negative, longer than MOST_STEP_S, not a number."""
    if not 0 < step_time_s <= MOST_STEP_S:
        raise DataError(
            f"step time: out of range (got {step_time_s:g} s; need more than 0 and at most {MOST_STEP_S:g}). Leave it out for real time, the "
            "time step of the model."
        )


def _check(workload: Workload, chip: Device) -> None:
    where = f"energy on '{chip.name}'"
    if workload.n_samples == 0 or workload.steps == 0:
        raise DataError(
            f"{where}: nothing was run (got {workload.n_samples} samples of {workload.steps} steps; need at least one of each). "
            "Run the model on some samples."
        )
    if workload.kind != "spiking" and chip.prices == "spiking":
        raise UnsupportedError(
            f"{where}: {chip.title} runs spiking models alone (got kind '{workload.kind}'; need 'spiking'). "
            "Price dense models on digital45."
        )
    if chip.needs_placement and (workload.routing is None or min(workload.n_cores, workload.n_chips) < 1):
        raise UnsupportedError(
            f"{where}: no placement (got a workload without cores; need one, for routing and static power). "
            "Quantise the graph for the chip and place it: neuro quantize GRAPH --profile loihi1, neuro check."
        )


def n_chips(workload: Workload, chip: Device) -> int:
    """Return the chips in use: those of the placement, or as many as hold the compartments."""
    if chip.needs_placement:
        return workload.n_chips
    holds = chip.limits.get("compartments")
    return 1 if holds is None else max(1, math.ceil(_compartments(workload) / holds.value))


def _compartments(workload: Workload) -> int:
    return sum(int(u.active[0] + u.idle[0]) for u in workload.updates.values()) // workload.steps


def _price(part: str, workload: Workload, chip: Device, latency_s: float) -> _Priced | None:
    """Price one part, None if the device has no figure for it or nothing of it happened."""
    if part in ("static", "host"):
        return _powered(part, workload, chip, latency_s)
    if part in chip.by_operations:
        return _operations(workload.synaptic if part == "synaptic" else workload.neuron, workload, chip)
    if part not in chip.price or (part == "learning" and not _learned(workload).any()):
        return None
    found = []
    for name, figure in chip.price[part].items():
        counted = _COUNT[part, name](workload)
        least = None
        if (part, name) == ("synaptic", "event") and "operations_per_spike" in chip.limits:
            rows = _spikes(workload, inputs=True) * chip.limits["operations_per_spike"].value
            least, counted = counted, np.maximum(counted, rows)
        found.append(_times(counted, name, figure, least))
    return _add(found)


def _times(counted: Samples, name: str, figure: Figure, least: Samples | None = None) -> _Priced:
    """Price a count by sample; least: the count that low stands for, where it is another."""
    joules = figure.si
    used = ((name, figure),) if counted.any() else ()
    low = counted if least is None else least
    return _Priced(low * joules.low, counted * joules.value, counted * joules.high, used)


def _add(found: list[_Priced]) -> _Priced:
    return _Priced(
        sum((p.low for p in found[1:]), found[0].low),
        sum((p.value for p in found[1:]), found[0].value),
        sum((p.high for p in found[1:]), found[0].high),
        tuple(f for p in found for f in p.figures),
    )


def _operations(of: Operations, workload: Workload, chip: Device) -> _Priced:
    """Price arithmetic and words: mac is a multiplication and an addition; words come from the smallest memory that holds the model."""
    prices, memory, small = chip.operations[workload.semantics], memory_of(workload, chip), chip.memory[0]
    counts = {"add": of.mac + of.ac, "multiply": of.mac + of.mul}
    found = [_times(n.astype(np.float64), name, prices[name]) for name, n in counts.items()]
    for name, n, used, least in (
        ("read", of.read, memory.read, small.read),
        ("write", of.write, memory.write, small.write),
    ):
        words = _times(n.astype(np.float64), name, used)
        found.append(replace(words, low=np.minimum(words.low, n * least.si.low)))
    return _add(found)


def memory_of(workload: Workload, chip: Device) -> Memory:
    """Return the smallest memory of a device that holds a model's parameters and state."""
    need = workload.parameter_bytes + workload.state_bytes
    return next(m for m in chip.memory if m.holds is None or m.holds.si.value >= need)


def _powered(part: str, workload: Workload, chip: Device, latency_s: float) -> _Priced | None:
    """Price power in time: cores in use, else chips in use. high of the cores: all cores of those chips leak."""
    figures = chip.price.get(part)
    if figures is None:
        return None
    chips = figures["chip"].si * n_chips(workload, chip)
    watts = chips
    if "core" in figures:
        cores = figures["core"].si * workload.n_cores
        watts = Range(cores.low, cores.value, max(cores.high, chips.high))
    every = np.full(workload.n_samples, latency_s)
    return _Priced(watts.low * every, watts.value * every, watts.high * every, tuple(figures.items()))


def _part(part: str, priced: _Priced | None, workload: Workload, chip: Device, step_s: float) -> Part:
    if part == "learning" and not _learned(workload).any():
        return Part("not applicable", note="no learning ran")
    if priced is None:
        status, note = chip.without[part]
        return Part(status, note=note)
    note = ", ".join(f"{name} {_shown(f)} ({f.sure})" for name, f in priced.figures) or "nothing was counted"
    if part in ("static", "host"):
        cores = f"{_plural(workload.n_cores, 'core')} on " if "core" in chip.price[part] else ""
        used = f"{cores}{_plural(n_chips(workload, chip), 'chip')}"
        note = f"{used}, {workload.steps} steps of {step_s * 1e6:g} us: {note}"
    return Part("priced", priced.mean, note)


def _plural(n: int, what: str) -> str:
    return f"{n} {what}{'s' * (n != 1)}"


def _shown(figure: Figure) -> str:
    span = "" if figure.low == figure.high else f" [{figure.low:g}..{figure.high:g}]"
    return f"{figure.value:g}{span} {figure.unit}"


def _remarks(workload: Workload, chip: Device, step_s: float, parts: dict[str, Part]) -> list[str]:
    """Say what of this workload the table does not price, or the chip could not do."""
    missing = [part for part in DYNAMIC if parts[part].status == "not published"]
    found = [f"dynamic is without {' and '.join(missing)}: not published"] if missing else []
    if workload.semantics == "float" and chip.prices == "spiking":
        found.append("a float graph, priced as if the chip held it: quantise it for what a chip can hold")
    fastest = chip.limits.get("fastest_step")
    if fastest is not None and step_s < fastest.si.value:
        found.append(f"a step of {step_s * 1e6:g} us is faster than any published for it ({_shown(fastest)})")
    r = workload.routing
    if chip.needs_placement and r is not None:
        lost = {"between chips": int(r.between_chips.sum()), "from outside": int(r.from_outside.sum())}
        found += [f"{n} messages {where} in all samples have no published price" for where, n in lost.items() if n]
    holds, n = chip.limits.get("compartments"), _compartments(workload)
    if holds is not None and n > holds.value:
        found.append(
            f"{n} compartments do not fit a chip of {holds.value:g}: priced as {n_chips(workload, chip)} chips"
        )
    n_nonlinear = int((workload.synaptic.nonlinear + workload.neuron.nonlinear).sum())
    if chip.by_operations and n_nonlinear:
        found.append(f"{n_nonlinear / workload.n_samples:g} sigmoids, tanhs and exps an inference are not priced")
    return found


def _learned(workload: Workload) -> Samples:
    return _total(workload.n_samples, *workload.learning_updates.values())


def _total(n_samples: int, *counts: NDArray[np.int64]) -> Samples:
    return sum((n.astype(np.float64) for n in counts), np.zeros(n_samples))


def _spikes(workload: Workload, *, inputs: bool) -> Samples:
    """Return the spikes of neurons by sample, those of inputs with them if asked: what spikes and is not updated is an input."""
    of = [n for name, n in workload.spikes.items() if inputs or name in workload.updates]
    return _total(workload.n_samples, *of)


def _routed(*names: str) -> Callable[[Workload], Samples]:
    def count(workload: Workload) -> Samples:
        r = workload.routing
        assert isinstance(r, Routing)  # a device that prices messages needs a placement
        return _total(workload.n_samples, *(getattr(r, name) for name in names))

    return count


_COUNT: dict[tuple[str, str], Callable[[Workload], Samples]] = {
    ("synaptic", "event"): lambda w: _total(w.n_samples, *w.synaptic_events.values()),
    ("neuron", "active"): lambda w: _total(w.n_samples, *(u.active for u in w.updates.values())),
    ("neuron", "idle"): lambda w: _total(w.n_samples, *(u.idle for u in w.updates.values())),
    ("neuron", "spike"): lambda w: _spikes(w, inputs=False),
    ("routing", "within_core"): _routed("within_core"),
    ("routing", "within_tile"): _routed("within_tile"),
    ("routing", "between_tiles"): _routed("between_tiles"),
    ("routing", "hop_ew"): _routed("hops_ew"),
    ("routing", "hop_ns"): _routed("hops_ns"),
    ("routing", "message"): _routed("within_tile", "between_tiles", "between_chips"),
    ("routing", "spike"): lambda w: _spikes(w, inputs=False),
    ("learning", "update"): _learned,
}
"""Counts by part and name: those of device_rules.COUNTS, by sample."""
