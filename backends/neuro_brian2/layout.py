"""Lay a graph out for Brian2: one group of cells, one of spike inputs, one of current channels, and what wires them.

Brian2 generates code for every object of a network, so few objects are fast, and objects that are the same in every graph
let compiled code be used again. Numpy only; nothing here knows Brian2.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from neuro.graph import CurrentInput, Graph, IntProjection, Projection, SpikeInput

from .cells import CellModel, cell_model, constants


@dataclass(frozen=True)
class Wires:
    """Synapses of one sample that start in one group: pre, post int32, weight float64, delay int32 in Brian2's steps."""

    pre: NDArray[np.int32]
    post: NDArray[np.int32]
    weight: NDArray[np.float64]
    delay: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.pre)


@dataclass(frozen=True)
class Channels:
    """What current inputs send: one channel for each unit and delay, so that a value is delivered when it is read.

    column: int32, the unit among all current inputs side by side. lag: int32, steps from stimulus to delivery.
    """

    column: NDArray[np.int32]
    lag: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.column)


@dataclass(frozen=True)
class Layout:
    """A graph as arrays for one sample.

    model: what every cell is; parameters: its constants, by name. cell: first cell of each receiving population; line:
    first spike input; column: first current input.
    """

    graph: Graph
    model: CellModel
    cell: Mapping[str, int]
    line: Mapping[str, int]
    column: Mapping[str, int]
    n_cells: int
    n_lines: int
    n_columns: int
    parameters: Mapping[str, NDArray[np.float64]]
    channels: Channels
    from_lines: Wires
    from_channels: Wires
    from_cells: Wires

    @property
    def n_synapses(self) -> int:
        """Return the synapses of one sample."""
        return len(self.from_lines) + len(self.from_channels) + len(self.from_cells)


def lay_out(graph: Graph) -> Layout:
    """Return the layout of a graph.

    Delays count from when Brian2 delivers: a spike of a cell reaches its synapses after the cells' step, so d becomes
    d - 1; inputs are delivered before it and keep d; the delay of a current is the lag of its channel.
    """
    cell, n_cells = _offsets(graph.receivers)
    line, n_lines = _offsets([p for p in graph.inputs if isinstance(p, SpikeInput)])
    column, n_columns = _offsets([p for p in graph.inputs if isinstance(p, CurrentInput)])
    channels, from_channels = _channels([c for c in graph.projections if c.source in column], column, cell)
    model = cell_model(graph)
    return Layout(
        graph=graph,
        model=model,
        cell=cell,
        line=line,
        column=column,
        n_cells=n_cells,
        n_lines=n_lines,
        n_columns=n_columns,
        parameters=_parameters(graph, model),
        channels=channels,
        from_lines=_wires([c for c in graph.projections if c.source in line], line, cell, 0),
        from_channels=from_channels,
        from_cells=_wires([c for c in graph.projections if c.source in cell], cell, cell, 1),
    )


def _offsets(populations: object) -> tuple[dict[str, int], int]:
    at, total = {}, 0
    for p in populations:  # type: ignore[attr-defined]
        at[p.name] = total
        total += p.size
    return at, total


def _parameters(graph: Graph, model: CellModel) -> dict[str, NDArray[np.float64]]:
    found = [constants(model, p) for p in graph.receivers]
    return {name: np.concatenate([np.zeros(0), *(each[name] for each in found)]) for name in model.parameters}


def _wires(found: list[Projection], sources: Mapping[str, int], cell: Mapping[str, int], ahead: int) -> Wires:
    def joined(parts: list[NDArray], dtype: type) -> NDArray:
        return np.concatenate([np.zeros(0, dtype), *parts]).astype(dtype, copy=False)

    return Wires(
        pre=joined([c.pre + sources[c.source] for c in found], np.int32),
        post=joined([c.post + cell[c.target] for c in found], np.int32),
        weight=joined([c.activation if isinstance(c, IntProjection) else c.weight for c in found], np.float64),
        delay=joined([c.delay - ahead for c in found], np.int32),
    )


def _channels(found: list[Projection], column: Mapping[str, int], cell: Mapping[str, int]) -> tuple[Channels, Wires]:
    """Return a channel for every unit and delay that occur together, and the synapses from channels, without delay."""
    wires = _wires(found, column, cell, 0)
    pairs, channel = np.unique(np.stack([wires.pre, wires.delay], axis=1), axis=0, return_inverse=True)
    channels = Channels(column=pairs[:, 0].copy(), lag=pairs[:, 1].copy())
    pre = channel.reshape(-1).astype(np.int32)
    return channels, Wires(pre=pre, post=wires.post, weight=wires.weight, delay=np.zeros_like(wires.delay))


def wires_of(layout: Layout, found: Sequence[Projection]) -> dict[str, Wires]:
    """Return the synapses of some of a layout's projections, of one sample, by what sends: "lines", "channels" or "cells"."""
    senders = {"lines": layout.line, "channels": layout.column, "cells": layout.cell}
    parts = {name: [c for c in found if c.source in known] for name, known in senders.items()}
    wires = {name: _wires(parts[name], senders[name], layout.cell, int(name == "cells")) for name in senders}
    sent = wires["channels"]
    pairs = list(zip(layout.channels.column.tolist(), layout.channels.lag.tolist(), strict=True))
    number = {pair: k for k, pair in enumerate(pairs)}
    pre = np.array([number[p] for p in zip(sent.pre.tolist(), sent.delay.tolist(), strict=True)], np.int32)
    return {**wires, "channels": replace(sent, pre=pre, delay=np.zeros_like(sent.delay))}


def replicate(wires: Wires, batch: int, n_pre: int, n_post: int) -> Wires:
    """Return the synapses of `batch` samples: unit k of sample b is number b * n + k of its group."""
    sample = np.repeat(np.arange(batch, dtype=np.int32), len(wires))
    return Wires(
        pre=sample * np.int32(n_pre) + np.tile(wires.pre, batch),
        post=sample * np.int32(n_post) + np.tile(wires.post, batch),
        weight=np.tile(wires.weight, batch),
        delay=np.tile(wires.delay, batch),
    )
