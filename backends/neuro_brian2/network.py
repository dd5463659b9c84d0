"""Build the Brian2 network of a layout, the samples of a batch side by side in one simulation.

One step of Brian2 is one second of its time, whatever the graph's dt: times and delays are then whole numbers, and no
rounding in Brian2's clocks and queues can matter. Within a step the order is that of the semantics:

    start           the inputs' spikes and currents of step t
    before_groups   delivery from inputs with delay d, sent at t - d
    groups          one block: every state of every cell (cells.py)
    thresholds      cells with z = 1 spike
    synapses        delivery from cells with Brian2 delay d - 1, sent at t - (d - 1): it enters step t + 1
    end             recording of states

Import this module only after `session.load()`; call it only inside a session.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from brian2 import (
    Clock,
    Network,
    NeuronGroup,
    SpikeGeneratorGroup,
    SpikeMonitor,
    StateMonitor,
    Synapses,
    linked_var,
    second,
)
from numpy.typing import NDArray

from .batch import Drive, Wanted
from .layout import Layout, Wires, replicate

# `row` points into the stimulus, first at its row of zeros before step 0 and from step `lag` on at step t - lag; the block
# reads u before it moves on.
_CHANNELS = """
u : 1
value : 1 (linked)
row : integer
lag : integer (constant)
stride : integer (constant)
"""
_CHANNEL_STEP = """
u = value
row = row + stride * int(t_in_timesteps + 1 >= lag)
"""


@dataclass(frozen=True)
class Model:
    """A network that is ready to run from step 0, and the objects that results are read from."""

    network: Any
    cells: Any
    spikes: Any
    traces: Mapping[str, Any]
    lines: Any = None
    currents: Any = None


def build(layout: Layout, drive: Drive, wanted: Wanted) -> Model:
    """Return the network of a layout for a batch and its stimulus, recording the traces that are wanted."""
    batch, lines, currents = drive.batch, None, None
    network, clock = make_network()
    cells = make_cells(layout, batch, clock)
    add(network, cells)
    if len(layout.from_lines):
        lines = make_lines(layout, drive, clock)
        wires = replicate(layout.from_lines, batch, layout.n_lines, layout.n_cells)
        add(network, lines, make_synapses("neuro_from_lines", lines, cells, wires, "I_post += w", "before_groups"))
    if len(layout.from_channels):
        currents = make_currents(drive, clock)
        channels = make_channels(layout, batch, currents)
        wires = replicate(layout.from_channels, batch, len(layout.channels), layout.n_cells)
        add(network, currents, channels)
        add(
            network,
            make_synapses("neuro_from_channels", channels, cells, wires, "I_post += w * u_pre", "before_groups"),
        )
    if len(layout.from_cells):
        wires = replicate(layout.from_cells, batch, layout.n_cells, layout.n_cells)
        add(network, make_synapses("neuro_from_cells", cells, cells, wires, "I_post += w", "synapses"))
    monitor = SpikeMonitor(cells, name="neuro_spikes")
    add(network, monitor)
    monitors = {name: _trace(layout, batch, cells, name, recorded) for name, recorded in wanted.items()}
    add(network, *monitors.values())
    return Model(network=network, cells=cells, spikes=monitor, traces=monitors, lines=lines, currents=currents)


def make_network() -> tuple[Any, Any]:
    """Return an empty network and its clock, with the order of a step."""
    network = Network(name="neuro_network")
    network.schedule = ["start", "groups", "thresholds", "synapses", "resets", "end"]
    return network, Clock(dt=1 * second, name="neuro_clock")


def add(network: Any, *objects: Any) -> None:
    """Add objects to a network."""
    network.add(*objects)
    for each in objects:
        # As a run does: after one that failed to compile, Brian2 would warn of objects that were never used.
        each._network = network.id


def make_cells(layout: Layout, batch: int, clock: Any) -> Any:
    """Return the group of all cells, before step 0."""
    model, n = layout.model, batch * layout.n_cells
    cells = NeuronGroup(n, model.equations, threshold="z > 0", clock=clock, name="neuro_cells")
    cells.run_regularly(model.step, when="groups", clock=clock, name="neuro_cell_step")
    for name in model.parameters:
        setattr(cells, name, np.tile(layout.parameters[name], batch))
    if model.rest:
        cells.I = np.tile(layout.parameters[model.rest], batch)
    return cells


def make_lines(layout: Layout, drive: Drive, clock: Any) -> Any:
    """Return the group that sends the spikes of the stimulus."""
    return SpikeGeneratorGroup(
        drive.batch * layout.n_lines,
        drive.index,
        drive.step * second,
        sorted=True,
        when="start",
        clock=clock,
        name="neuro_lines",
    )


def make_currents(drive: Drive, clock: Any) -> Any:
    """Return the group that holds all currents of the stimulus."""
    currents = NeuronGroup(drive.table.size, "value : 1 (constant)", clock=clock, name="neuro_currents")
    currents.value = drive.table.reshape(-1)
    return currents


def make_channels(layout: Layout, batch: int, currents: Any) -> Any:
    """Return the group that sends currents: at every step with u != 0 a spike, delivered at once with the value u."""
    n, clock = len(layout.channels), currents.clock
    channels = NeuronGroup(batch * n, _CHANNELS, threshold="u != 0", clock=clock, name="neuro_channels")
    channels.value = linked_var(currents, "value", index="row")
    channels.run_regularly(_CHANNEL_STEP, when="start", clock=clock, name="neuro_channel_step")
    channels.thresholder["spike"].when, channels.thresholder["spike"].order = "start", 1
    sample = np.repeat(np.arange(batch), n)
    column, lag = np.tile(layout.channels.column, batch), np.tile(layout.channels.lag, batch)
    stride = batch * layout.n_columns
    channels.lag, channels.stride = lag, stride
    channels.row = (lag == 0) * stride + sample * layout.n_columns + column
    return channels


def make_synapses(name: str, source: Any, target: Any, wires: Wires, on_pre: str, when: str) -> Any:
    """Return synapses whose weights stay as they are."""
    synapses = Synapses(source, target, "w : 1 (constant)", on_pre=on_pre, clock=target.clock, name=name)
    synapses.connect(i=wires.pre, j=wires.post)
    synapses.w = wires.weight
    synapses.delay = wires.delay * second
    synapses.pre.when = when
    return synapses


def _trace(layout: Layout, batch: int, cells: Any, name: str, recorded: NDArray[np.int32]) -> Any:
    index = np.arange(batch, dtype=np.int32)[:, None] * np.int32(layout.n_cells) + recorded
    return StateMonitor(
        cells, name, record=index.reshape(-1), when="end", clock=cells.clock, name=f"neuro_trace_{name}"
    )
