"""Turn a stimulus, whole or streamed, into what the kernels take for some samples and steps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from neuro.backend import Stimulus, StimulusStream
from neuro.graph import CurrentInput, Graph, SpikeInput
from neuro.recording import Events

from .call import Signals
from .layout import Layout


class Sent(NamedTuple):
    """What the inputs send in some steps: signals for the kernel; events, with samples and steps as in these, and currents by input."""

    signals: Signals
    spikes: Mapping[str, Events]
    currents: Mapping[str, NDArray[np.float64]]


class Inputs:
    """The inputs of a run."""

    def __init__(self, graph: Graph, layout: Layout, stimulus: Stimulus | StimulusStream) -> None:
        self._graph, self._layout, self._stimulus = graph, layout, stimulus
        if isinstance(stimulus, Stimulus):
            stimulus.check(graph)
        self._whole: Stimulus | None = None
        self._samples = (0, 0)

    def part(self, samples: tuple[int, int], first: int, last: int) -> Sent:
        """Return what is sent to some samples in steps first..last-1. A stream gives all samples, and its steps in order."""
        if isinstance(self._stimulus, StimulusStream):
            assert samples == (0, self._stimulus.batch), "a stream is not cut by samples"
            drawn = self._stimulus.part(first, last)
            drawn.check(self._graph)
            return self._sent(dict(drawn.spikes), dict(drawn.currents), drawn.batch, last - first)
        if self._whole is None or samples != self._samples:
            whole = samples == (0, self._stimulus.batch)
            self._whole, self._samples = self._stimulus if whole else self._stimulus.select(*samples), samples
        spikes = self._whole.spikes
        if (first, last) != (0, self._whole.steps):
            spikes = {name: e.between(first, last).shifted(0, -first) for name, e in spikes.items()}
        currents = {name: u[:, first:last] for name, u in self._whole.currents.items()}
        return self._sent(spikes, currents, self._whole.batch, last - first)

    def _sent(
        self, spikes: Mapping[str, Events], currents: Mapping[str, NDArray[np.float64]], batch: int, steps: int
    ) -> Sent:
        spikes = {p.name: spikes.get(p.name, Events.none()) for p in self._graph.inputs if isinstance(p, SpikeInput)}
        row, source = self._events(spikes, batch, steps)
        inputs = [p for p in self._graph.inputs if isinstance(p, CurrentInput)]
        channels = [np.arange(p.size, dtype=np.int32) + np.int32(self._layout.source[p.name]) for p in inputs]
        values = [np.zeros((batch, steps, 0)), *(currents[p.name] for p in inputs)]
        signals = Signals(
            row,
            source,
            np.concatenate([np.zeros(0, np.int32), *channels]),
            np.ascontiguousarray(values[1] if len(values) == 2 else np.concatenate(values, axis=2)),
        )
        return Sent(signals, spikes, currents)

    def _events(
        self, spikes: Mapping[str, Events], batch: int, steps: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """Return all input spikes as rows over (sample, step) and sources, ascending in each."""
        cells = [e.sample.astype(np.int64) * steps + e.step for e in spikes.values()]
        sources = [e.unit + np.int32(self._layout.source[name]) for name, e in spikes.items()]
        cell, source = (
            np.concatenate([np.zeros(0, np.int64), *cells]),
            np.concatenate([np.zeros(0, np.int32), *sources]),
        )
        row = np.zeros(batch * steps + 1, np.int64)
        np.cumsum(np.bincount(cell, minlength=batch * steps), out=row[1:])
        if len(spikes) > 1:
            source = source[np.argsort(cell, kind="stable")]
        return row, source
