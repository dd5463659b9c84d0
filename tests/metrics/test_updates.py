"""Active and idle updates, and the sums of a workload, against plain loops over samples, steps and synapses."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from neuro.backend import Record, Stimulus, run
from neuro.backend.conformance import Limits, draw_stimulus, example, graphs, integer_example
from neuro.backend.integer_graphs import integer_graphs
from neuro.engine import EngineBackend
from neuro.graph import AHP, CurrentInput, Graph, IntProjection
from neuro.metrics import workload
from neuro.recording import Recording


def by_loops(graph: Graph, recording: Recording, stimulus: Stimulus) -> dict[str, list[int]]:
    """Count active updates by plain loops over samples, steps and synapses."""
    shape = (recording.batch, recording.steps)
    sent = {
        p.name: stimulus.currents[p.name] != 0
        if isinstance(p, CurrentInput)
        else recording.spikes[p.name].to_dense(*shape, p.size)
        for p in (*graph.inputs, *graph.neurons)
    }
    found: dict[str, list[int]] = {}
    for p in graph.receivers:
        found[p.name] = []
        for b in range(recording.batch):
            active = {(t, j) for t, j in zip(*np.nonzero(sent[p.name][b]), strict=True)} if p.name in sent else set()
            auxiliary = {(t + 1, j) for t, j in active if t + 1 < recording.steps} if isinstance(p, AHP) else set()
            for c in graph.projections_to(p.name):
                for i, j, d in zip(c.pre.tolist(), c.post.tolist(), c.delay.tolist(), strict=True):
                    active |= {(t + d, j) for t in np.flatnonzero(sent[c.source][b, :, i]) if t + d < recording.steps}
            found[p.name].append(len(active) + len(auxiliary))
    return found


@pytest.mark.parametrize("make", [example, integer_example])
def test_loops_count_the_same(make: object) -> None:
    graph = make()  # type: ignore[operator]
    stimulus = draw_stimulus(graph, 4, 60, 11)
    recording = run(graph, stimulus, "engine", Record())
    w = workload(graph, recording, currents=stimulus.currents or None)
    assert min(int(n.min()) for n in w.spikes.values()) > 0
    active, idle = ({n: getattr(u, f).tolist() for n, u in w.updates.items()} for f in ("active", "idle"))
    assert active == by_loops(graph, recording, stimulus)
    assert all(min(n) > 0 for n in (*active.values(), *idle.values()))
    for p in graph.receivers:
        n = p.size * 60 * (2 if isinstance(p, AHP) else 1)
        assert (w.updates[p.name].active + w.updates[p.name].idle).tolist() == [n] * 4
    for name, n in recording.counts.synaptic_events.items():
        assert np.array_equal(w.synaptic_events[name], n)
    for name, by_unit in w.spikes_by_unit.items():
        assert np.array_equal(by_unit.sum(1), w.spikes[name])
    assert np.array_equal(w.synaptic.ac + w.synaptic.mac, sum(w.synaptic_events.values()))
    assert isinstance(graph.projections[0], IntProjection) == (w.semantics == "integer")


@pytest.mark.parametrize("semantics", ["float", "integer"])
def test_loops_count_the_same_in_random_graphs(semantics: str) -> None:
    able = EngineBackend.capabilities
    drawn = (
        graphs(Limits(neurons=12), able)
        if semantics == "float"
        else integer_graphs(6, able.populations, able.resets, 62)
    )
    n_active = n_spikes = 0

    @settings(max_examples=40, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(graph=drawn, batch=st.integers(1, 3), steps=st.integers(1, 70), seed=st.integers(0, 2**32 - 1))
    def check(graph: Graph, batch: int, steps: int, seed: int) -> None:
        nonlocal n_active, n_spikes
        stimulus = draw_stimulus(graph, batch, steps, seed)
        recording = run(graph, stimulus, "engine", Record())
        w = workload(graph, recording, currents=stimulus.currents or None)
        active = {name: u.active.tolist() for name, u in w.updates.items()}
        assert active == by_loops(graph, recording, stimulus)
        own = sum(n.sum() for name, n in w.synaptic_events.items() if name.endswith("(own spikes)"))
        assert own == sum(
            (recording.spikes[p.name].step < steps - 1).sum() for p in graph.neurons if isinstance(p, AHP)
        )
        n_active, n_spikes = n_active + sum(map(sum, active.values())), n_spikes + sum(map(sum, w.spikes.values()))

    check()
    assert n_active > 1000 and n_spikes > 1000, (n_active, n_spikes)
