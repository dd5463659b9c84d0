"""Build a graph as a Nengo network.

When spikes arrive, in Nengo's terms: a connection without a synapse delivers in the step in which it is sent, which is delay 0;
synapse 0 holds its input for one step, which is delay 1. Longer delays go through one delay line a source.
Gains are 1 and biases the graph's, so that the input of a neuron is bias + sum of weights, in exact sums (graphs on their grid).

Import this module only after `session.load()`.
"""

from __future__ import annotations

from typing import Any

import nengo
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix  # type: ignore[import-untyped]

from neuro.backend import Record, Stimulus
from neuro.errors import DataError
from neuro.graph import ALIF, LI, LIF, CurrentInput, Graph, Projection, Receiver
from neuro.recording import Events

from .neurons import GraphALIF, GraphLI, GraphLIF
from .processes import CurrentPlayback, DelayLine, SpikePlayback


class GraphNetwork(nengo.Network):  # type: ignore[misc]
    """A graph as a Nengo network, whose objects are found by the names of the graph.

    graph: the graph. dt: its step in seconds, for `nengo.Simulator(net, dt=net.dt)`; nothing in the network depends on it.
    inputs: Node by input; passes on what is connected to it (with synapse None, in the same step), and what `drive` lets it play.
    populations: Ensemble by population; its `neurons` put out z (0 or 1) or y, take currents, and have the probeable v and a.
    projections: Connection by projection, with a `nengo.Sparse` transform; none for a projection without synapses.
    delay_lines: Node by source, where a projection has a delay beyond the shortest. Its channels are the columns of the transform.
    states: Probe by population and state, as `net.states["lif"]["z"]`: data (steps, size).
    copies: samples side by side; unit k of copy b is number b * size + k everywhere.

    Parameters: record, which states have probes; copies; seed, label and add_to_container as in nengo.Network.
    """

    def __init__(
        self,
        graph: Graph,
        *,
        record: Record,
        copies: int = 1,
        seed: int | None = None,
        add_to_container: bool | None = None,
    ) -> None:
        super().__init__(label=graph.name or "graph", seed=seed, add_to_container=add_to_container)
        spikes, traces = record.spike_names(graph), record.trace_names(graph)
        self.graph, self.copies, self.dt = graph, copies, graph.dt_ms / 1000
        self.inputs: dict[str, Any] = {}
        self.populations: dict[str, Any] = {}
        self.projections: dict[str, Any] = {}
        self.delay_lines: dict[str, Any] = {}
        self.states: dict[str, dict[str, Any]] = {}
        with self:
            for i in graph.inputs:
                self.inputs[i.name] = nengo.Node(size_in=copies * i.size, label=i.name)
            for p in graph.receivers:
                self.populations[p.name] = _ensemble(p, copies)
            for source in (*graph.inputs, *graph.neurons):
                self._connect(source.name)
            for p in graph.receivers:
                wanted = ("z",) * (p.name in spikes) + traces.get(p.name, ())
                neurons = self.populations[p.name].neurons
                self.states[p.name] = {s: _probe(neurons, s, f"{p.name} {s}") for s in wanted}

    def drive(self, stimulus: Stimulus, sample: int = 0) -> None:
        """Let the inputs play one sample of a stimulus, in every simulator that is made after this; then they are silent.

        With copies, as many samples as there are copies, from `sample` on.
        Raises: DataError if the stimulus does not fit the graph or has no such sample.
        """
        stimulus.check(self.graph)
        if not 0 <= sample <= stimulus.batch - self.copies:
            raise DataError(
                f"stimulus: sample out of range (got {sample}; need 0..{stimulus.batch - self.copies}). Choose another."
            )
        chosen = stimulus.select(sample, sample + self.copies)
        for p in self.graph.inputs:
            if isinstance(p, CurrentInput):
                self.inputs[p.name].output = CurrentPlayback(chosen.currents[p.name])
            else:
                events = chosen.spikes.get(p.name, Events.none())
                self.inputs[p.name].output = SpikePlayback(events, p.size, self.copies)

    def _connect(self, source: str) -> None:
        """Add the connections that start at a population, and its delay line if one is needed."""
        found = [c for c in self.graph.projections_from(source) if c.size]
        at_once = 0 if source in self.inputs else 1
        late = [c for c in found if np.any(c.delay != at_once)]
        sender = self.inputs[source] if source in self.inputs else self.populations[source].neurons
        synapse = 0 if at_once else None
        size = self.graph.population(source).size
        if late:
            pairs = np.unique(np.concatenate([_pairs(c, at_once) for c in late]), axis=0)
            line = self._delay_line(source, pairs[:, 0], pairs[:, 1], size)
            nengo.Connection(sender, line, synapse=synapse, transform=None, label=f"{source} delayed")
        for c in found:
            if np.any(c.delay != at_once):
                column = np.searchsorted(_key(pairs), _key(_pairs(c, at_once)))
                self._add(c, line, column, len(pairs), None)
            else:
                self._add(c, sender, c.pre, size, synapse)

    def _delay_line(self, source: str, unit: NDArray, lag: NDArray, size: int) -> Any:
        copy = np.repeat(np.arange(self.copies), len(unit))
        process = DelayLine(np.tile(unit, self.copies) + copy * size, np.tile(lag, self.copies), self.copies * size)
        self.delay_lines[source] = nengo.Node(process, label=f"{source} delay line")
        return self.delay_lines[source]

    def _add(self, c: Projection, sender: Any, column: NDArray, n_columns: int, synapse: int | None) -> None:
        size = self.graph.population(c.target).size
        weights = _side_by_side(csr_matrix((c.weight, (c.post, column)), shape=(size, n_columns)), self.copies)
        self.projections[c.name] = nengo.Connection(
            sender,
            self.populations[c.target].neurons,
            transform=nengo.Sparse(weights.shape, init=weights),
            synapse=synapse,
            label=c.name,
        )


def _ensemble(p: Receiver, copies: int) -> Any:
    """Return a population as an ensemble; what is left to Nengo's defaults elsewhere is said here, as a user may change them."""
    n = copies * p.size
    defaults = {name: getattr(nengo.Ensemble, name).default for name in ("max_rates", "intercepts")}
    return nengo.Ensemble(
        n,
        dimensions=1,
        radius=1.0,
        encoders=np.ones((n, 1)),  # what a user decodes into the ensemble is added to every neuron's input
        normalize_encoders=False,
        eval_points=np.zeros((1, 1)),
        n_eval_points=None,
        gain=np.ones(n),
        bias=np.tile(p.bias, copies),
        noise=None,
        neuron_type=_neuron_type(p, copies),
        label=p.name,
        seed=None,
        **defaults,
    )


def _neuron_type(p: Receiver, copies: int) -> GraphLIF | GraphLI:
    def tile(*names: str) -> dict[str, NDArray]:
        return {name: np.tile(getattr(p, name), copies) for name in names}

    if isinstance(p, LI):
        return GraphLI(**tile("kappa"))
    assert isinstance(p, LIF)
    if isinstance(p, ALIF):
        return GraphALIF(reset=p.reset, **tile("alpha", "rho", "beta", "v_th", "n_ref"))
    return GraphLIF(reset=p.reset, **tile("alpha", "v_th", "n_ref"))


def _probe(neurons: Any, state: str, label: str) -> Any:
    attr = "output" if state in ("z", "y") else state
    return nengo.Probe(neurons, attr, sample_every=None, synapse=None, label=label)


def _pairs(c: Projection, at_once: int) -> NDArray[np.int64]:
    """Return the unit and the lag of every synapse, (synapses, 2)."""
    return np.stack([c.pre, c.delay - at_once], axis=1).astype(np.int64)


def _key(pairs: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return one number for each pair, in the order of the pairs."""
    return pairs[:, 0] * 2**32 + pairs[:, 1]


def _side_by_side(weights: Any, copies: int) -> Any:
    """Return the block-diagonal matrix of `copies` of a matrix. Parallel synapses were added when it was made."""
    rows, columns = weights.shape
    copy = np.arange(copies, dtype=np.int64)[:, None]
    indices = weights.indices + copy * columns
    indptr = weights.indptr[1:] + copy * weights.nnz
    return csr_matrix(
        (np.tile(weights.data, copies), indices.reshape(-1), np.concatenate([[0], indptr.reshape(-1)])),
        shape=(copies * rows, copies * columns),
    )
