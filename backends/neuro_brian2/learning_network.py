"""Build the Brian2 network of a graph that learns: one sample after another in one simulation, each followed by a pause.

Projections that learn, or carry errors back, have Synapses of their own. A step, beside what `network` says:

    start             what begins: states at zero for a new sample, learning rates
    before_groups     delivery from inputs; a learning synapse notes in x what arrived
    groups            the cells' block
    after_thresholds  the teacher reads y and sets errors and factors; learning signals; the blocks of learning synapses
    synapses          delivery from cells, with the new weights: it enters step t + 1, and so does its x
    end               what ends: weights are read

Import this module only after `session.load()`; call it only inside a session.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from brian2 import Function, NetworkOperation, SpikeMonitor, Synapses, second

from .batch import Drive
from .layout import Layout, Wires, wires_of
from .network import add, make_cells, make_channels, make_currents, make_lines, make_network, make_synapses
from .sites import Feedback, Site, Sites

Called = Callable[[int], None]
"""Called with the number of a step."""


@dataclass(frozen=True)
class LearningModel:
    """A network that learns, ready to run, and the objects that are read and set: synapses by key of their site, and of matrices."""

    network: Any
    cells: Any
    spikes: Any
    synapses: Mapping[str, Any]
    feedback: Mapping[str, Any]


def build(layout: Layout, sites: Sites, drive: Drive, n_steps: int, calls: Mapping[str, Called]) -> LearningModel:
    """Return the network of a layout with learning cells.

    Parameters: drive, one sample of all steps; n_steps, of a sample; calls, by "start", "judge", "end", what is called at each step.
    """
    network, clock = make_network()
    cells = make_cells(layout, 1, clock)
    add(network, cells)
    groups = {"cells": cells}
    if layout.n_lines:
        groups["lines"] = make_lines(layout, drive, clock)
        add(network, groups["lines"])
    if len(layout.channels):
        currents = make_currents(drive, clock)
        groups["channels"] = make_channels(layout, 1, currents)
        add(network, currents, groups["channels"])
    own = {s.projection.name for s in sites.sites}
    for sender, wires in wires_of(layout, [c for c in layout.graph.projections if c.name not in own]).items():
        if len(wires):
            add(
                network,
                make_synapses(f"neuro_from_{sender}", groups[sender], cells, wires, _sent(sender), _slot(sender)),
            )
    functions, synapses = _functions(), {}
    for k, site in enumerate(sites.sites):
        sender, wires = next((s, w) for s, w in wires_of(layout, [site.projection]).items() if len(w))
        synapses[site.key] = _learning(layout, site, k, sender, groups[sender], cells, wires, n_steps, functions)
        add(network, synapses[site.key])
    feedback = {way.key: _feedback(layout, way, k, cells) for k, way in enumerate(sites.feedback)}
    add(network, *feedback.values())
    for name, (when, order) in {"start": ("start", -1), "judge": ("after_thresholds", 0), "end": ("end", 0)}.items():
        add(network, _operation(name, calls[name], when, order, clock))
    spikes = SpikeMonitor(cells, name="neuro_spikes")
    add(network, spikes)
    return LearningModel(network, cells, spikes, synapses, feedback)


def _sent(sender: str) -> str:
    return "I_post += w * u_pre" if sender == "channels" else "I_post += w"


def _slot(sender: str) -> str:
    return "synapses" if sender == "cells" else "before_groups"


def _operation(name: str, call: Called, when: str, order: int, clock: Any) -> Any:
    return NetworkOperation(
        lambda t: call(round(float(t / second))), clock=clock, when=when, order=order, name=f"neuro_{name}"
    )


def _learning(layout: Layout, site: Site, k: int, sender: str, source: Any, cells: Any, wires: Wires, n_steps: int,
              functions: Mapping[str, Any]) -> Any:  # fmt: skip
    """Return the synapses of a projection that learns, or carries errors back, or both."""
    block, target = site.block, site.projection.target
    equations: str = "w : 1 (constant)"
    on_pre: str | None = _sent(sender)
    if block is not None:
        equations, on_pre = block.equations, f"{on_pre}\nx = {'u_pre' if sender == 'channels' else '1'}"
    if site.ways is not None:
        equations += "\nway : integer (constant)"
    if site.bias:
        on_pre = None
    synapses = Synapses(
        source, cells, equations, on_pre=on_pre, clock=cells.clock, name=f"neuro_site{k}", namespace=dict(functions)
    )
    synapses.connect(i=wires.pre, j=wires.post)
    if on_pre is not None:
        synapses.delay = wires.delay * second
        synapses.pre.when = _slot(sender)
    synapses.w = wires.weight
    if site.ways is not None:
        synapses.way = site.ways
        carried = [f"L{f}_pre += w * err_post * int(way == {f})" for f in range(site.n_ways)]
        synapses.run_regularly("\n".join(carried), when="after_thresholds", order=1, clock=cells.clock)
    if block is not None:
        synapses.low, synapses.high, synapses.grid = site.low, site.high, layout.graph.population(target).grid  # type: ignore[union-attr]
        for name, value in {**block.shared, **block.states}.items():
            setattr(synapses, name, float(n_steps) if name == "n_steps" else value)
        synapses.run_regularly(block.step, when="after_thresholds", order=2, clock=cells.clock)
    return synapses


def _feedback(layout: Layout, way: Feedback, k: int, cells: Any) -> Any:
    """Return the synapses by which a readout's errors reach every neuron of a population with random weights."""
    n_readout, n_target = way.weight.shape
    synapses = Synapses(cells, cells, "B : 1\nway : integer (constant)", clock=cells.clock, name=f"neuro_feedback{k}")
    unit, neuron = np.divmod(np.arange(n_readout * n_target, dtype=np.int32), np.int32(n_target))
    synapses.connect(i=unit + layout.cell[way.readout], j=neuron + layout.cell[way.target])
    synapses.B, synapses.way = way.weight.reshape(-1), way.ways[unit]
    carried = [f"L{f}_post += B * err_pre * int(way == {f})" for f in range(way.n_ways)]
    synapses.run_regularly("\n".join(carried), when="after_thresholds", order=1, clock=cells.clock)
    return synapses


def _functions() -> dict[str, Any]:
    """Return rint, half to even, and the C library's pow: numpy's own differs from it in the last bit on some processors."""
    rint = Function(np.rint, arg_units=[1], return_unit=1)
    power = Function(_power, arg_units=[1, 1], return_unit=1)
    for function, name, arguments in ((rint, "rint", "double x"), (power, "pow", "double x, double y")):
        given = ", ".join(each.split()[1] for each in arguments.split(", "))
        code = f'cdef extern from "math.h":\n    double {name}({arguments})\ncdef double neuro_{name}({arguments}):\n    return {name}({given})\n'
        function.implementations.add_implementation("cython", code, name=f"neuro_{name}")
    return {"neuro_rint": rint, "neuro_pow": power}


def _power(base: Any, exponent: Any) -> Any:
    return np.array([math.pow(b, float(exponent)) for b in np.ravel(base).tolist()])
