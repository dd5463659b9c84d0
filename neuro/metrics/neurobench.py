"""Measure a model by the definitions of NeuroBench, so that its figures can stand beside published ones.

| measure | definition |
| --- | --- |
| activation_sparsity | zeros of all activations of neurons, over samples, steps and neurons |
| connection_sparsity | zeros of all weights that the model's layers could hold |
| footprint_bytes | what parameters and buffers take, zeros included |
| dense | synaptic operations of a sample if no activation and no weight were zero |
| effective_macs, effective_acs | those with a weight and an activation that are not zero: with activations 1 or -1 additions, else multiply-accumulates |

The operations are means over samples, each from its first step to its last. Source: Yik et al. 2025 (arXiv 2304.04640) and the package
neurobench 2.3, with which tests/metrics/test_neurobench.py compares. The package differs in two places, and that test shows them: it calls all operations
of a layer additions if the layer's *input* is spikes, the recurrent ones of an LSTM too; and its `dense` leaves out what the zeros in an
LSTM's state, as every run starts from, would be multiplied by.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from neuro.errors import DataError
from neuro.graph import CurrentInput, Graph, IntProjection, Projection
from neuro.metrics.groups import Currents, by_unit, grouped
from neuro.metrics.operations import WORD_BYTES, neuron_parameters, weight_bytes
from neuro.metrics.workload import Ints
from neuro.recording import Events, Recording

_GATES = {"lstm": 4, "rnn": 1}
_WEIGHTS = ("w_in", "w_rec", "bias", "w_out", "bias_out")


@dataclass(frozen=True, kw_only=True)
class NeuroBench:
    """A model's figures as NeuroBench defines them; operations are means over samples."""

    activation_sparsity: float
    connection_sparsity: float
    footprint_bytes: int
    dense: float
    effective_macs: float
    effective_acs: float


class _Weights(NamedTuple):
    """The weights between two populations that are not zero: (n,) each, and how many pairs of neurons there are."""

    pre: Ints
    post: Ints
    delay: Ints
    pairs: int


def neurobench(
    graph: Graph,
    recordings: Recording | Sequence[Recording],
    *,
    currents: Currents | Sequence[Currents] | None = None,
) -> NeuroBench:
    """Measure a graph by one recording, or several groups of samples.

    Two connected populations are one layer, a matrix with a weight for every pair of neurons; synapses of one pair and one delay are one weight,
    their sum. Activations are the spikes of neurons; readouts have none. An event of a current input is a multiply-accumulate. A weight
    takes 4 bytes, of integer graphs 1, and delays none.
    Parameters and errors: as in `workload`.
    """
    groups = grouped(graph, recordings, currents)
    n_samples, steps = sum(g.recording.batch for g in groups), groups[0].recording.steps
    layers = {key: _weights(graph, key) for key in dict.fromkeys((c.source, c.target) for c in graph.projections)}
    operations = {True: 0, False: 0}
    for (source, _), layer in layers.items():
        p = graph.population(source)
        operations[isinstance(p, CurrentInput)] += sum(
            _effective(layer, g.sent[source], g.recording.batch, steps, p.size) for g in groups
        )
    n_spikes = sum(int(g.recording.counts.spikes[p.name].sum()) for g in groups for p in graph.neurons)
    n_activations = n_samples * steps * sum(p.size for p in graph.neurons)
    pairs = sum(layer.pairs for layer in layers.values())
    held = sum(len(np.unique(_pair(layer))) for layer in layers.values())
    return NeuroBench(
        activation_sparsity=1 - n_spikes / n_activations if n_activations else 0.0,
        connection_sparsity=1 - held / pairs if pairs else 0.0,
        footprint_bytes=pairs * weight_bytes(graph) + WORD_BYTES * neuron_parameters(graph),
        dense=float(pairs * steps),
        effective_macs=operations[True] / n_samples,
        effective_acs=operations[False] / n_samples,
    )


def _weights(graph: Graph, ends: tuple[str, str]) -> _Weights:
    """Return the weights from one population to another; synapses of one pair and delay are added up."""
    parts = [c for c in graph.projections if (c.source, c.target) == ends]
    n_pre, n_post = (graph.population(name).size for name in ends)
    pre, post, delay, value = (
        np.concatenate(column)
        for column in zip(*((c.pre.astype(np.int64), c.post, c.delay, _value(c)) for c in parts), strict=True)
    )
    longest = int(delay.max(initial=0)) + 1
    key, at = np.unique((pre * n_post + post) * longest + delay, return_inverse=True)
    total = np.zeros(len(key), value.dtype)
    np.add.at(total, at, value)
    pair, delay = np.divmod(key[total != 0], longest)
    pre, post = np.divmod(pair, n_post)
    return _Weights(pre, post, delay, n_pre * n_post)


def _value(c: Projection) -> NDArray[Any]:
    return c.activation if isinstance(c, IntProjection) else c.weight


def _pair(layer: _Weights) -> Ints:
    return layer.pre * (int(layer.post.max(initial=0)) + 1) + layer.post


def _effective(layer: _Weights, e: Events, batch: int, steps: int, n_pre: int) -> int:
    """Count the arrivals of events before the run ends, over weights that are not zero."""
    reach = np.bincount(layer.pre, minlength=n_pre)
    n = int((by_unit(e, batch, n_pre) @ reach).sum())
    late = e.between(steps - int(layer.delay.max(initial=0)), steps)  # only these have arrivals beyond the end
    for d in np.unique(layer.delay).tolist():
        reach = np.bincount(layer.pre[layer.delay == d], minlength=n_pre)
        n -= int(reach[late.unit[late.step >= steps - d]].sum())
    return n


def neurobench_dense(
    kind: Literal["lstm", "rnn"], weights: Mapping[str, NDArray[Any]], inputs: NDArray[Any], hidden: NDArray[Any]
) -> NeuroBench:
    """Measure a recurrent layer with a linear readout at every step, h(-1) = 0, by what it did in a batch.

    Operations of the matrices, and of an LSTM the products f c, i g and o tanh(c), in which a factor is zero if its gate's weights, inputs and bias
    are, and c(t) if h(t) is. An activation of 1 or -1 makes additions. Activations whose zeros are counted are the hidden ones.
    Parameters: weights, by name: w_in (gates * units, inputs), w_rec (gates * units, units), bias (gates * units,) or, as torch stores it, two of
    these, (2, gates * units), w_out (outputs, units), bias_out (outputs,), gates in torch's order i, f, g, o; inputs, (samples, steps, inputs); hidden,
    h(t), (samples, steps, units).
    Raises: DataError if a shape does not fit.
    """
    _check_dense(kind, weights, inputs, hidden)
    n_samples, steps, n_units = hidden.shape
    before = np.concatenate([np.zeros_like(hidden[:, :1]), hidden[:, :-1]], axis=1)
    ac = mac = 0
    for name, activations in (("w_in", inputs), ("w_rec", before), ("w_out", hidden)):
        taken, ones = np.count_nonzero(weights[name], axis=0), np.abs(activations) == 1
        ac += int(np.count_nonzero(ones, axis=(0, 1)) @ taken)
        mac += int(np.count_nonzero((activations != 0) & ~ones, axis=(0, 1)) @ taken)
    products = 0
    if kind == "lstm":
        products = 3 * n_units
        mac += sum(_products(weights, inputs[k], before[k]) for k in range(n_samples))
    matrices = [weights[name] for name in ("w_in", "w_rec", "w_out")]
    counted = [*matrices, weights["bias"]]
    return NeuroBench(
        activation_sparsity=1 - np.count_nonzero(hidden) / hidden.size,
        connection_sparsity=1 - sum(np.count_nonzero(w) for w in counted) / sum(w.size for w in counted),
        footprint_bytes=sum(w.nbytes for w in weights.values()),
        dense=float(steps * (sum(w.size for w in matrices) + products)),
        effective_macs=mac / n_samples,
        effective_acs=ac / n_samples,
    )


def _products(weights: Mapping[str, NDArray[Any]], x: NDArray[Any], before: NDArray[Any]) -> int:
    """Count the products of an LSTM's cells in one sample: f c, i g, o tanh(c), with both factors not zero."""
    open_ = np.any(weights["bias"].reshape(-1, len(weights["w_in"])) != 0, axis=0)
    gate = np.broadcast_to(open_, (len(x), len(open_)))
    if not open_.all():
        sums = (x != 0).astype(np.float32) @ (weights["w_in"] != 0).T.astype(np.float32)
        sums += (before != 0).astype(np.float32) @ (weights["w_rec"] != 0).T.astype(np.float32)
        gate = gate | (sums != 0)
    i, f, g, o = np.split(gate, 4, axis=1)
    kept, new = f & (before != 0), i & g
    return int(np.count_nonzero(kept) + np.count_nonzero(new) + np.count_nonzero(o & (kept | new)))


def _check_dense(kind: str, weights: Mapping[str, NDArray[Any]], inputs: NDArray[Any], hidden: NDArray[Any]) -> None:
    if kind not in _GATES or set(weights) != set(_WEIGHTS):
        raise DataError(
            f"neurobench: not a dense model (got kind '{kind}' with {', '.join(sorted(weights))}; need one of {', '.join(_GATES)} with "
            f"{', '.join(_WEIGHTS)}). Name the arrays so."
        )
    n_units, n_in, n_out = weights["w_rec"].shape[-1], weights["w_in"].shape[-1], len(weights["w_out"])
    rows, batch = _GATES[kind] * n_units, hidden.shape[:2]
    wanted: dict[str, list[tuple[int, ...]]] = {
        "w_in": [(rows, n_in)], "w_rec": [(rows, n_units)], "bias": [(rows,), (2, rows)], "w_out": [(n_out, n_units)],
        "bias_out": [(n_out,)], "inputs": [(*batch, n_in)], "hidden": [(*batch, n_units)],
    }  # fmt: skip
    given: dict[str, NDArray[Any]] = {**weights, "inputs": inputs, "hidden": hidden}
    wrong = [
        f"{name} {given[name].shape}, not {shapes[0]}"
        for name, shapes in wanted.items()
        if given[name].shape not in shapes
    ]
    if wrong or hidden.ndim != 3 or not hidden.size:
        got = "; ".join(wrong) or f"hidden {hidden.shape}"
        raise DataError(
            f"neurobench: shapes do not fit (got {got}; need (samples, steps, units)). Pass one model and one batch."
        )
