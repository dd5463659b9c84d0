"""NeuroBench's figures: by hand, and equal to those of the package itself (`make neurobench`) on the same models and inputs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from neurobench.benchmarks import Benchmark
from neurobench.metrics.static import ConnectionSparsity, Footprint
from neurobench.metrics.workload import ActivationSparsity, SynapticOperations
from neurobench.models import TorchModel
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from neuro.backend import Record, Stimulus, run
from neuro.errors import DataError
from neuro.graph import LI, Builder, Graph
from neuro.metrics import NeuroBench, neurobench, neurobench_dense
from neuro.seeds import stream
from neuro.train import LSTMClassifier, RNNClassifier
from neuro.train.dynamics import neuron_parameters, neuron_step, rest

STEPS, BATCH = 40, 4


def package(net: nn.Module, inputs: np.ndarray, activation: type) -> dict[str, Any]:
    """Run the package's own benchmark on a net, two samples at a time."""
    model = TorchModel(net)
    model.add_activation_module(activation)
    x = torch.from_numpy(inputs)
    loader = DataLoader(TensorDataset(x, torch.zeros(len(x))), batch_size=2)
    metrics = [[Footprint, ConnectionSparsity], [ActivationSparsity, SynapticOperations]]
    with torch.no_grad():
        found: dict[str, Any] = Benchmark(model, loader, [], [], metrics).run(quiet=True)
    assert all(v is not None for v in found.values()), found  # it prints errors, and goes on
    return found


class Neurons(nn.Module):
    """Neurons of a graph's population, by the step of the training module."""

    def __init__(self, p: Any) -> None:
        super().__init__()
        self.p, self.state = neuron_parameters(p, torch.float64, 0.3), None
        for name in ("alpha", "rho", "beta", "v_th"):  # what a deployment stores of them: all neurons share them here
            if hasattr(p, name):
                self.register_buffer(name, torch.tensor([getattr(p, name)[0]], dtype=torch.float32))
                assert (getattr(p, name) == getattr(p, name)[0]).all() and not p.bias.any() and not p.n_ref.any()

    def forward(self, current: Tensor) -> Tensor:
        self.state = neuron_step(self.state or rest(len(current), self.p), current, self.p)
        return self.state.z


class Dense(nn.Module):
    """A graph as a torch net, with a matrix of float64 for each projection and delay: what the package can look into."""

    def __init__(self, graph: Graph) -> None:
        super().__init__()
        self.graph = graph
        self.cells = nn.ModuleDict({p.name: Neurons(p) for p in graph.neurons})
        self.layers = nn.ModuleList()
        self.ways: list[tuple[str, str, int]] = []
        for c in graph.projections:
            sizes = [graph.population(name).size for name in (c.source, c.target)]
            for d in np.unique(c.delay).tolist():
                layer = nn.Linear(*sizes, bias=False, dtype=torch.float64)
                w, here = np.zeros(sizes[::-1]), c.delay == d
                np.add.at(w, (c.post[here], c.pre[here]), c.weight[here])
                layer.weight = nn.Parameter(torch.from_numpy(w))
                self.layers.append(layer)
                self.ways.append((c.source, c.target, d))
        for p in graph.readouts:
            assert isinstance(p, LI)
            self.register_buffer(p.name, torch.tensor([p.kappa[0]], dtype=torch.float32))

    def forward(self, inputs: Tensor) -> Tensor:
        g, (batch, steps, _) = self.graph, inputs.shape
        for cell in self.cells.values():
            cell.state = None
        at = np.cumsum([0, *(p.size for p in g.inputs)])
        sent = {p.name: inputs[..., a:b] for p, a, b in zip(g.inputs, at[:-1], at[1:], strict=True)}
        sent |= {p.name: inputs.new_zeros(batch, steps, p.size) for p in g.neurons}
        for t in range(steps):
            current = {p.name: inputs.new_zeros(batch, p.size) for p in g.receivers}
            for (source, target, d), layer in zip(self.ways, self.layers, strict=True):
                s = sent[source][:, t - d] if t >= d else inputs.new_zeros(batch, sent[source].shape[2])
                current[target] = current[target] + layer(s)
            for p in g.neurons:
                sent[p.name][:, t] = self.cells[p.name](current[p.name])
        self.spikes = getattr(self, "spikes", [])
        self.spikes.append({p.name: sent[p.name].clone() for p in g.neurons})
        return inputs.new_zeros(batch)


def lsnn(delay: Callable[[int], Any], *, currents: bool = False) -> Graph:
    """Return LIF and ALIF neurons, sparsely connected, with a readout; delay(1) of what neurons send, delay(0) of inputs."""
    b = Builder(seed=3)
    if currents:
        b.current_input("in", 6)
    else:
        b.spike_input("in", 6)
    b.lif("lif", 12)
    b.alif("alif", 8, beta=0.2)
    b.li("out", 3)
    b.connect("in", "lif", weight=lambda rng, n: rng.normal(0.3, 0.3, n), p=0.7, delay=delay(0))
    b.connect("in", "alif", weight=lambda rng, n: rng.normal(0.3, 0.3, n), p=0.7, delay=delay(0))
    for source in ("lif", "alif"):
        for target in ("lif", "alif"):
            b.connect(source, target, weight=lambda rng, n: rng.normal(0.0, 0.3, n), p=0.4, delay=delay(1))
        b.connect(source, "out", weight=lambda rng, n: rng.normal(0.0, 0.3, n), delay=delay(1))
    return b.build()


def both(graph: Graph, inputs: np.ndarray) -> tuple[NeuroBench, dict[str, Any]]:
    """Measure a graph on the engine, and as a torch net by the package; the spikes are the same."""
    stimulus = Stimulus.dense({"in": inputs}, graph)
    recording = run(graph, stimulus, "engine", Record())
    net = Dense(graph)
    theirs = package(net, inputs.astype(np.float64), Neurons)
    for name in ("lif", "alif"):
        dense = recording.spikes[name].to_dense(BATCH, STEPS, recording.sizes[name])
        assert dense.any()
        assert np.array_equal(dense, torch.cat([s[name] for s in net.spikes]).numpy())
    return neurobench(graph, recording, currents=stimulus.currents or None), theirs


def grey() -> np.ndarray:
    """Return values that are 0 or not a whole number, on the grid of a current input."""
    rng = np.random.default_rng(2)
    return np.where(rng.random((BATCH, STEPS, 6)) < 0.4, (2 * rng.integers(0, 128, (BATCH, STEPS, 6)) + 1) / 256, 0.0)


def spikes() -> np.ndarray:
    return np.random.default_rng(1).random((BATCH, STEPS, 6)) < 0.2


def test_a_graph_is_what_the_package_finds_it_to_be() -> None:
    ours, theirs = both(lsnn(lambda least: least), spikes())
    assert ours.activation_sparsity == pytest.approx(theirs["ActivationSparsity"], rel=1e-12)
    assert 0.5 < ours.activation_sparsity < 0.99
    assert round(ours.connection_sparsity, 4) == theirs["ConnectionSparsity"]
    assert 0.3 < ours.connection_sparsity < 0.7
    assert ours.effective_acs == theirs["SynapticOperations"]["Effective_ACs"] > 100
    assert ours.effective_macs == theirs["SynapticOperations"]["Effective_MACs"] == 0
    assert ours.dense == theirs["SynapticOperations"]["Dense"] > ours.effective_acs
    weights = 6 * 20 + 20 * 20 + 20 * 3
    assert (
        theirs["Footprint"] - ours.footprint_bytes == 4 * weights
    )  # the net's matrices are float64, so that spikes are equal
    assert ours.footprint_bytes == 4 * (weights + 2 + 4 + 1)


def test_delays_move_events_and_those_beyond_the_end_are_none() -> None:
    graph = lsnn(lambda least: (least, 9))
    ours, theirs = both(graph, spikes())
    assert ours.effective_acs == theirs["SynapticOperations"]["Effective_ACs"] > 100
    assert ours.activation_sparsity == pytest.approx(theirs["ActivationSparsity"], rel=1e-12)


def test_values_make_multiplications() -> None:
    ours, theirs = both(lsnn(lambda least: least, currents=True), grey())
    assert ours.effective_macs == theirs["SynapticOperations"]["Effective_MACs"] > 100
    assert ours.effective_acs == theirs["SynapticOperations"]["Effective_ACs"] > 100
    assert ours.dense == theirs["SynapticOperations"]["Dense"]


def test_by_hand_with_weights_of_zero_and_parallel_synapses() -> None:
    b = Builder()
    b.spike_input("in", 2)
    b.lif("n", 2, tau_m_ms=0.0, v_th=0.5, reset="zero")
    # in 0 -> n 0: 1.0 in two synapses; in 0 -> n 1: two that cancel, and one of zero later; in 1 -> n 1: two delays
    b.connect(
        "in", "n", pre=[0, 0, 0, 0, 0, 1, 1], post=[0, 0, 1, 1, 1, 1, 1], weight=[0.75, 0.25, 0.5, -0.5, 0.0, 0.25, 0.25],
        delay=[0, 0, 0, 0, 1, 0, 2],
    )  # fmt: skip
    graph = b.build(grid=False)
    s = np.zeros((2, 5, 2), bool)
    s[0, [0, 3], 0] = s[0, [1, 3], 1] = True  # unit 1's arrivals: 1 and 3, 3 and (5: beyond the end)
    recording = run(graph, Stimulus.dense({"in": s}), "engine", Record())
    assert recording.counts.spikes["n"].tolist() == [2, 0]
    found = neurobench(graph, [recording.select(0, 1), recording.select(1, 2)])
    assert found == NeuroBench(
        activation_sparsity=1 - 2 / 20, connection_sparsity=1 - 2 / 4, footprint_bytes=4 * (4 + 2), dense=4 * 5.0,
        effective_macs=0.0, effective_acs=(2 + 3) / 2,
    )  # fmt: skip
    assert recording.counts.synaptic_events["in->n"].sum() == 2 * 5 + 3


class Hidden(nn.Module):
    """Pass on what the cells give: what the package takes for an activation."""

    def forward(self, h: Tensor) -> Tensor:
        return h


class Cells(nn.Module):
    """A classifier's layer as cells that the package can look into, and its readout."""

    def __init__(self, classifier: LSTMClassifier | RNNClassifier) -> None:
        super().__init__()
        layer, self.hidden = classifier.layer, Hidden()
        made = nn.LSTMCell if isinstance(layer, nn.LSTM) else nn.RNNCell
        self.cell = made(layer.input_size, layer.hidden_size, dtype=torch.float64)
        self.cell.load_state_dict({k.removesuffix("_l0"): v for k, v in layer.state_dict().items()})
        self.readout = classifier.readout

    def forward(self, inputs: Tensor) -> Tensor:
        h = inputs.new_zeros(len(inputs), self.cell.hidden_size)
        state: Any = (h, h) if isinstance(self.cell, nn.LSTMCell) else h
        y = h
        for t in range(inputs.shape[1]):
            state = self.cell(inputs[:, t], state)
            y = self.readout(self.hidden(state[0] if isinstance(state, tuple) else state))
        return y


def arrays(classifier: LSTMClassifier | RNNClassifier, inputs: np.ndarray) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Return a classifier's weights and what its hidden units did."""
    layer, readout = classifier.layer, classifier.readout
    bias = torch.stack([layer.bias_ih_l0, layer.bias_hh_l0])  # type: ignore[list-item]
    held = {
        "w_in": layer.weight_ih_l0, "w_rec": layer.weight_hh_l0, "bias": bias, "w_out": readout.weight,
        "bias_out": readout.bias,
    }  # fmt: skip
    with torch.no_grad():
        hidden = layer(torch.from_numpy(inputs).double())[0]
    return {name: w.detach().numpy() for name, w in held.items()}, hidden.numpy()  # type: ignore[union-attr]


N, IN, OUT = 5, 6, 3
KINDS = {"lstm": (LSTMClassifier, 4, 3 * N), "rnn": (RNNClassifier, 1, 0)}


def classifiers() -> Iterator[tuple[str, Any]]:
    """Yield a net of each kind with some weights of zero, and another without any bias, in which gates may be shut."""
    for kind, (made, gates, _) in KINDS.items():
        for biased in (True, False):
            net = made(IN, N, OUT, partial(stream, 4), dtype=torch.float64)
            with torch.no_grad():
                for name, p in net.layer.named_parameters():
                    if name.startswith("weight"):
                        p *= torch.from_numpy(stream(7, name).random(tuple(p.shape)) < 0.6)
                    elif not biased:
                        p *= 0
                if not biased:
                    for k in range(gates):  # unit 1 of each gate hears nothing: it stays at 0
                        net.layer.weight_ih_l0[k * N + 1] = 0
                        net.layer.weight_hh_l0[k * N + 1] = 0
            yield kind, net


@pytest.mark.parametrize(("kind", "net"), list(classifiers()))
def test_a_dense_model_is_what_the_package_finds_it_to_be(kind: Any, net: Any) -> None:
    inputs = grey()
    weights, hidden = arrays(net, inputs)
    ours, theirs = neurobench_dense(kind, weights, inputs, hidden), package(Cells(net), inputs, Hidden)
    operations = theirs["SynapticOperations"]
    assert ours.effective_macs == operations["Effective_MACs"] > 1000
    assert ours.effective_acs == operations["Effective_ACs"] == 0
    assert ours.activation_sparsity == pytest.approx(theirs["ActivationSparsity"], abs=1e-12)
    assert (ours.activation_sparsity > 0.1) == (not weights["bias"].any())
    assert round(ours.connection_sparsity, 4) == theirs["ConnectionSparsity"]
    assert ours.connection_sparsity > 0.2
    assert ours.footprint_bytes == theirs["Footprint"]
    # its `dense` leaves out what zeros in an LSTM's state would be multiplied by: those of the first state, and of shut units
    gates = KINDS[kind][1]
    idle = N + np.count_nonzero(hidden[:, :-1] == 0) / BATCH
    assert ours.dense - operations["Dense"] == (idle * (gates * N + 1) if kind == "lstm" else 0)
    assert ours.dense == STEPS * (gates * N * (IN + N) + OUT * N + KINDS[kind][2])


def test_spikes_into_an_lstm_make_only_its_input_additions() -> None:
    net = LSTMClassifier(IN, N, OUT, partial(stream, 4), dtype=torch.float64)
    weights, hidden = arrays(net, spikes())
    ours, theirs = (
        neurobench_dense("lstm", weights, spikes(), hidden),
        package(Cells(net), spikes().astype(float), Hidden),
    )
    operations = theirs["SynapticOperations"]
    assert ours.effective_acs == 4 * N * spikes().sum() / BATCH
    assert ours.effective_acs + ours.effective_macs == operations["Effective_ACs"] + operations["Effective_MACs"]
    # the package calls what is done with h and c additions too; only the readout's remain
    assert operations["Effective_MACs"] == STEPS * OUT * N


def test_what_is_no_dense_model_is_refused() -> None:
    net = RNNClassifier(IN, N, OUT, partial(stream, 4), dtype=torch.float64)
    weights, hidden = arrays(net, grey())
    with pytest.raises(DataError, match=r"not a dense model \(got kind 'gru'"):
        neurobench_dense("gru", weights, grey(), hidden)  # type: ignore[arg-type]
    with pytest.raises(
        DataError, match=r"shapes do not fit \(got w_in \(5, 6\), not \(20, 6\); w_rec \(5, 5\), not \(20, 5\)"
    ):
        neurobench_dense("lstm", weights, grey(), hidden)
    with pytest.raises(DataError, match=r"shapes do not fit \(got inputs \(4, 40, 5\), not \(4, 40, 6\)"):
        neurobench_dense("rnn", weights, grey()[..., :5], hidden)
