"""Show that the conformance suite fails a backend that is wrong, and says where."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from neuro.backend import Capabilities, Record, Stimulus, conformance, require
from neuro.backend.golden import ReferenceBackend, ReferenceProgram
from neuro.graph import INTEGER_KINDS, MAX_INT_DELAY, Graph
from neuro.recording import Events, Recording

Fault = Callable[[Recording], Recording]


class _FaultyProgram(ReferenceProgram):
    def __init__(self, graph: Graph, fault: Fault) -> None:
        super().__init__(graph)
        self._fault = fault

    def run(self, stimulus: Stimulus, record: Record = Record()) -> Recording:  # noqa: B008
        return self._fault(super().run(stimulus, record))


class FaultyBackend(ReferenceBackend):
    """The golden model with a fault put into every recording."""

    name = "faulty"

    def __init__(self, fault: Fault) -> None:
        self._fault = fault

    def compile(self, graph: Graph) -> _FaultyProgram:
        require(self, graph)
        return _FaultyProgram(graph, self._fault)


def off_by_one_bit(recording: Recording) -> Recording:
    traces = {name: {s: v.copy() for s, v in states.items()} for name, states in recording.traces.items()}
    if "alif" in traces and "v" in traces["alif"]:
        traces["alif"]["v"][0, 4, 2] = np.nextafter(traces["alif"]["v"][0, 4, 2], np.inf)
    return replace(recording, traces=traces)


def last_spike_lost(recording: Recording) -> Recording:
    def lose(e: Events) -> Events:
        return Events(e.sample[:-1], e.step[:-1], e.unit[:-1])

    return replace(recording, spikes={name: lose(e) if name == "lif" else e for name, e in recording.spikes.items()})


def one_event_too_few(recording: Recording) -> Recording:
    events = {name: n - (n > 0) for name, n in recording.counts.synaptic_events.items()}
    return replace(recording, counts=replace(recording.counts, synaptic_events=events))


def one_clip_too_many(recording: Recording) -> Recording:
    clips = {name: {s: n + (s == "x") for s, n in by.items()} for name, by in recording.counts.saturations.items()}
    return replace(recording, counts=replace(recording.counts, saturations=clips))


class Chip(ReferenceBackend):
    """A backend that runs integer graphs alone."""

    capabilities = Capabilities(populations=INTEGER_KINDS, semantics=frozenset({"integer"}), max_delay=MAX_INT_DELAY)


TestChip = conformance.suite(Chip, n_integer_graphs=30)


def test_one_bit_of_one_state_is_found_and_named() -> None:
    suite = conformance.suite(lambda: FaultyBackend(off_by_one_bit))()
    with pytest.raises(
        AssertionError, match=r"parts from the golden model at step 4, sample 0, 'alif' v of unit 2: got"
    ):
        suite.test_one_program_runs_again_from_zero()


def test_one_lost_spike_is_found_and_named() -> None:
    suite = conformance.suite(lambda: FaultyBackend(last_spike_lost))()
    with pytest.raises(AssertionError, match=r"at step \d+, sample 2, 'lif' z of unit \d: got"):
        suite.test_one_program_runs_again_from_zero()


def test_wrong_count_is_found() -> None:
    suite = conformance.suite(lambda: FaultyBackend(one_event_too_few))()
    with pytest.raises(AssertionError, match="synaptic_events"):
        suite.test_random_graphs_equal_the_golden_model()


def test_a_clip_that_did_not_happen_is_found() -> None:
    suite = conformance.suite(lambda: FaultyBackend(one_clip_too_many))()
    for test in (suite.test_random_integer_graphs_equal_the_golden_model, suite.test_one_program_runs_again_from_zero):
        with pytest.raises(AssertionError, match=r"\('saturations', '\w+', 'x', array"):
            test()


def test_a_float_graph_must_be_refused_by_a_backend_for_integers() -> None:
    class Careless(Chip):
        def compile(self, graph: Graph) -> ReferenceProgram:
            return ReferenceProgram(graph)

    with pytest.raises(AssertionError, match="UnsupportedError with 'float semantics' was not raised"):
        conformance.suite(Careless)().test_random_graphs_equal_the_golden_model()


def test_missing_capability_must_be_refused() -> None:
    class Careless(ReferenceBackend):
        capabilities = replace(ReferenceBackend.capabilities, resets=frozenset({"threshold"}))

        def compile(self, graph: Graph) -> ReferenceProgram:
            return ReferenceProgram(graph)

    with pytest.raises(AssertionError, match=r"UnsupportedError .* was not raised"):
        conformance.suite(Careless)().test_graph_beyond_the_capabilities_is_refused()
