"""A quantised regression is scored in the float network's units."""

from __future__ import annotations

import json

import neuro
from neuro import tasks
from neuro.learning import NetworkConfig, draw_network
from neuro.report import match


def test_the_error_of_a_quantised_graph_is_in_float_units() -> None:
    task = tasks.make("pattern_generation", duration_ms=200)
    graph = draw_network(NetworkConfig(n_lif=20, n_alif=0, gain_in=2.0, gain_out=0.05), task, seed=1)
    batch = task.fixed("test", 0, 1)
    stimulus = match(graph, task).stimulus(graph, batch)
    integer, _ = neuro.quantize(graph, "loihi2", stimulus=stimulus, max_runs=1)
    found = {}
    for net in (graph, integer):
        fit = match(net, task)
        recording = neuro.run(net, stimulus, record=neuro.Record(traces={fit.readout: ("y",)}))
        assert sum(int(recording.counts.spikes[p.name].sum()) for p in net.neurons) > 20
        error, spread = fit.squares(recording, batch)
        found[net.semantics] = error / spread
    assert 0.5 < found["integer"] / found["float"] < 2
    for text in ("[]", "no JSON", json.dumps({"out": -1}), json.dumps({"out": "x"})):
        assert match(integer.with_notes(scales=text), task).unit == 1.0
