"""Hold any backend to the golden model: one suite, one line in the backend's own tests.

    TestMyBackend = conformance.suite(MyBackend, n_graphs=200)

pytest collects the class. Equality is `==` on every spike and every state; a backend whose capabilities say `exact=False` is
held to the share of equal spikes that the call names. Needs hypothesis (the "dev" extra); nothing else of neuro imports it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from neuro.backend.api import Backend, Capabilities, Record
from neuro.backend.example_graphs import EXAMPLES, driven, example, fading, integer_example, relay
from neuro.backend.integer_graphs import integer_graphs
from neuro.backend.registry import get
from neuro.backend.stimulus import Stimulus
from neuro.errors import DataError, UnsupportedError
from neuro.graph import (
    ALIF,
    INTEGER_KINDS,
    LI,
    LIF,
    CurrentInput,
    Graph,
    Projection,
    SpikeInput,
    decay,
    kind,
    to_grid,
)
from neuro.recording import Recording, load, save

Factory = Callable[[], Backend]


@dataclass(frozen=True)
class Limits:
    """Bound the random graphs: most neurons in all, most steps, largest batch, longest delay."""

    neurons: int = 100
    steps: int = 60
    batch: int = 4
    delay: int = 12


# ---------------------------------------------------------------------------------------------------- random graphs


@st.composite
def graphs(draw: st.DrawFn, limits: Limits, capabilities: Capabilities) -> Graph:
    """Draw a graph on its grid: hypothesis chooses the structure, and a seed the numbers."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1), label="seed"))
    inputs = [_input(draw, k, capabilities) for k in range(draw(st.integers(1, 2), label="inputs"))]
    sizes = draw(st.lists(st.integers(1, limits.neurons // 2), min_size=1, max_size=3), label="sizes")
    while sum(sizes) > limits.neurons:
        sizes = sizes[:-1]
    neurons = [_neurons(draw, f"n{k}", size, rng, capabilities) for k, size in enumerate(sizes)]
    readouts = [_readout(f"out {k}", rng) for k in range(draw(st.integers(0, 1), label="readouts"))]
    longest = min(limits.delay, capabilities.max_delay)
    projections: list[Projection] = []
    for target in (*neurons, *readouts):
        senders = [
            p
            for p in (*inputs, *neurons)
            if not isinstance(p, CurrentInput) or "CurrentInput" in capabilities.populations
        ]
        for source in senders:
            for copy in range(draw(st.integers(0, 2) if source in inputs else st.integers(0, 1))):
                projections.append(_projection(f"{source.name}>{target.name}.{copy}", source, target, longest, rng))
    graph = Graph(
        populations=(*inputs, *neurons, *readouts), projections=tuple(projections), dt_ms=float(rng.choice([0.5, 1.0]))
    )
    return to_grid(graph)[0]


def _input(draw: st.DrawFn, k: int, capabilities: Capabilities) -> SpikeInput | CurrentInput:
    kinds = sorted({"SpikeInput", "CurrentInput"} & capabilities.populations)
    size = draw(st.integers(1, 12))
    if draw(st.sampled_from(kinds), label="input") == "SpikeInput":
        return SpikeInput(name=f"in {k}", size=size)
    return CurrentInput(name=f"in {k}", size=size, u_max=2.0, u_step=2.0**-6)


def _neurons(draw: st.DrawFn, name: str, size: int, rng: np.random.Generator, capabilities: Capabilities) -> LIF:
    common: dict[str, Any] = {
        "name": name,
        "size": size,
        "alpha": decay(rng.uniform(0.0, 40.0, size), 1.0),
        "v_th": rng.uniform(0.3, 1.5, size),
        "bias": rng.normal(0.0, 0.05, size) * rng.integers(0, 2),
        "n_ref": rng.integers(0, draw(st.integers(1, 8), label="n_ref"), size),
        "reset": draw(st.sampled_from(sorted(capabilities.resets)), label="reset"),
    }
    if draw(st.sampled_from(sorted({"LIF", "ALIF"} & capabilities.populations)), label="kind") == "LIF":
        return LIF(**common)
    return ALIF(**common, rho=decay(rng.uniform(5.0, 700.0, size), 1.0), beta=rng.uniform(0.0, 0.5, size))


def _readout(name: str, rng: np.random.Generator) -> LI:
    size = int(rng.integers(1, 4))
    return LI(name=name, size=size, kappa=decay(rng.uniform(1.0, 50.0, size), 1.0), bias=rng.normal(0.0, 0.1, size))


def _projection(name: str, source: Any, target: Any, longest: int, rng: np.random.Generator) -> Projection:
    n = int(rng.integers(0, max(2, min(source.size * target.size, 8 * target.size)) + 1))
    pre, post = rng.integers(0, source.size, n), rng.integers(0, target.size, n)
    if n > 2:
        pre[1], post[1] = pre[0], post[0]  # two synapses on one pair
    weight = rng.normal(0.15, 0.6, n)
    low = 0 if isinstance(source, (SpikeInput, CurrentInput)) else 1
    return Projection(
        name=name, source=source.name, target=target.name, pre=pre, post=post, weight=weight,
        delay=rng.integers(low, max(longest, low) + 1, n),
    )  # fmt: skip


def draw_stimulus(graph: Graph, batch: int, steps: int, seed: int) -> Stimulus:
    """Return random spikes (at up to 40 % of the steps) and currents on their grid."""
    rng = np.random.default_rng(seed)
    arrays: dict[str, NDArray[Any]] = {}
    for p in graph.inputs:
        shape = (batch, steps, p.size)
        if isinstance(p, CurrentInput):
            n = int(p.u_max / p.u_step)
            arrays[p.name] = rng.integers(-n, n + 1, shape) * p.u_step * (rng.random(shape) < 0.5)
        else:
            arrays[p.name] = rng.random(shape) < rng.uniform(0.02, 0.4)
    return Stimulus.dense(arrays, graph) if arrays else Stimulus(batch=batch, steps=steps)


# -------------------------------------------------------------------------------------------------------- comparing


def golden(graph: Graph, stimulus: Stimulus, record: Record) -> Recording:
    """Return what the golden model says."""
    program = get("reference", isolated=False).compile(graph)
    return program.run(stimulus, record)


def first_difference(got: Recording, expected: Recording, graph: Graph) -> str:
    """Return "" for equal recordings, or the first step, sample, neuron and state that differ, with both values."""
    found: list[tuple[int, int, str]] = []
    for name, e in expected.spikes.items():
        size, shape = graph.population(name).size, (expected.batch, expected.steps)
        found += _differ(f"'{name}' z", got.spikes[name].to_dense(*shape, size), e.to_dense(*shape, size), 1)
    for name, states in expected.traces.items():
        for state, values in states.items():
            found += _differ(f"'{name}' {state}", got.traces[name][state], values, 0)
    return min(found)[2] if found else ""


def _differ(what: str, got: NDArray[Any], expected: NDArray[Any], order: int) -> list[tuple[int, int, str]]:
    if got.shape != expected.shape:
        return [(-1, 0, f"{what}: shape {got.shape}, not {expected.shape}")]
    sample, step, unit = np.nonzero(got != expected)
    if not len(step):
        return []
    k = int(np.lexsort((unit, sample, step))[0])
    at = (sample[k], step[k], unit[k])
    text = f"step {at[1]}, sample {at[0]}, {what} of unit {at[2]}: got {got[at]!r}, need {expected[at]!r}"
    return [(int(step[k]), order, text)]


def assert_equal(got: Recording, expected: Recording, graph: Graph) -> None:
    """Raise AssertionError, naming the first difference, unless spikes, states and counts are equal."""
    difference = first_difference(got, expected, graph)
    assert not difference, f"{got.backend} parts from the golden model at {difference}\n{graph.summary()}"
    for name, clips in expected.counts.saturations.items():
        for state, n in clips.items():
            clipped = got.counts.saturations[name][state]
            assert np.array_equal(clipped, n), ("saturations", name, state, clipped, n)
    for field in ("spikes", "synaptic_events"):
        mine, theirs = getattr(got.counts, field), getattr(expected.counts, field)
        assert set(mine) == set(theirs), (field, sorted(mine), sorted(theirs))
        for name in theirs:
            assert np.array_equal(mine[name], theirs[name]), (field, name, mine[name], theirs[name])
    assert got.counts.neuron_updates == expected.counts.neuron_updates


ALL = Record(traces="all")


# -------------------------------------------------------------------------------------------------------- the suite


def _settings(n: int) -> hypothesis.settings:
    """Return what all random graphs are drawn with: the same ones in every run, none kept."""
    return hypothesis.settings(
        max_examples=n, deadline=None, derandomize=True, database=None,
        suppress_health_check=list(hypothesis.HealthCheck), print_blob=False,
        phases=(hypothesis.Phase.explicit, hypothesis.Phase.generate, hypothesis.Phase.shrink),
    )  # fmt: skip


@dataclass
class _Seen:
    """Tell that a run of random graphs was not vacuous."""

    graphs: int = 0
    spiking: int = 0
    spikes: int = 0

    def add(self, graph: Graph, recording: Recording) -> None:
        n = sum(int(recording.counts.spikes[p.name].sum()) for p in graph.neurons)
        self.graphs, self.spiking, self.spikes = self.graphs + 1, self.spiking + (n > 0), self.spikes + n

    def check(self, wanted: int) -> None:
        assert self.graphs >= wanted, self
        assert self.spiking >= wanted // 2, f"most graphs must spike, or nothing is compared: {self}"


def suite(
    backend: str | Factory, *, n_graphs: int = 200, n_integer_graphs: int = 300, limits: Limits | None = None
) -> type:
    """Return a class of tests for pytest.

    Parameters: backend, a registered name or a function that makes a Backend (called once); n_graphs and n_integer_graphs,
    numbers of random float and integer graphs, each run only where the capabilities name the semantics, and refused elsewhere;
    limits, the bounds of the float ones (integer ones have up to a third of the neurons, delays to 62, and steps enough for
    them).
    """
    bounds = limits or Limits()
    made: list[Backend] = []

    def subject() -> Backend:
        if not made:
            made.append(get(backend) if isinstance(backend, str) else backend())
        return made[0]

    def semantics() -> list[str]:
        return sorted(subject().capabilities.semantics)

    def refuses(other: str) -> bool:
        """Tell whether the subject is not for a semantics; then it must say so."""
        if other in semantics():
            return False
        _raises(UnsupportedError, f"{other} semantics", lambda: subject().compile(EXAMPLES[other]()))
        return True

    def check(graph: Graph, stimulus: Stimulus, record: Record = ALL) -> Recording:
        program = subject().compile(graph)
        try:
            got = program.run(stimulus, record)
        finally:
            program.close()
        assert_equal(got, golden(graph, stimulus, record), graph)
        return got

    class Conformance:
        """What every backend must do; see `neuro.backend.conformance`."""

        def test_contract_is_met(self) -> None:
            it = subject()
            assert isinstance(it, Backend)
            assert isinstance(it.name, str) and it.name
            assert isinstance(it.capabilities, Capabilities)
            availability = it.is_available()
            assert availability, availability.reason

        def test_random_graphs_equal_the_golden_model(self) -> None:
            if refuses("float"):
                return
            seen = _Seen()

            @_settings(n_graphs)
            @hypothesis.given(
                graph=graphs(bounds, subject().capabilities),
                batch=st.integers(1, bounds.batch),
                steps=st.integers(1, bounds.steps),
                seed=st.integers(0, 2**32 - 1),
            )
            def run(graph: Graph, batch: int, steps: int, seed: int) -> None:
                seen.add(graph, check(graph, draw_stimulus(graph, batch, steps, seed)))

            run()
            seen.check(n_graphs)
            print(f"\n{subject().name}: {seen.graphs} graphs, {seen.spiking} with spikes, {seen.spikes} spikes, exact")

        def test_random_integer_graphs_equal_the_golden_model(self) -> None:
            if refuses("integer"):
                return
            able = subject().capabilities
            seen = _Seen()
            clips: dict[str, int] = {}
            kinds: set[str] = set()

            @_settings(n_integer_graphs)
            @hypothesis.given(
                graph=integer_graphs(max(bounds.neurons // 3, 3), able.populations, able.resets, able.max_delay),
                batch=st.integers(1, min(3, bounds.batch)),
                steps=st.integers(30, 130),
                seed=st.integers(0, 2**32 - 1),
            )
            def run(graph: Graph, batch: int, steps: int, seed: int) -> None:
                got = check(graph, draw_stimulus(graph, batch, steps, seed))
                seen.add(graph, got)
                kinds.update(kind(p) for p in graph.populations)
                for by_state in got.counts.saturations.values():
                    for state, times in by_state.items():
                        clips[state] = clips.get(state, 0) + int(times.sum())

            run()
            seen.check(n_integer_graphs)
            assert kinds == able.populations & INTEGER_KINDS, "every kind of population must be drawn"
            assert min(clips.values()) > 0, f"every state must saturate somewhere, or clips are not compared: {clips}"
            print(
                f"\n{subject().name}: {seen.graphs} integer graphs, {seen.spiking} with spikes, {seen.spikes} spikes, clips {clips}, exact"
            )

        def test_one_program_runs_again_from_zero(self) -> None:
            for graph in (EXAMPLES[name]() for name in semantics()):
                program = subject().compile(graph)
                try:
                    for batch, steps, seed in ((3, 40, 1), (1, 55, 2), (3, 40, 3), (2, 17, 4), (3, 40, 1)):
                        stimulus = draw_stimulus(graph, batch, steps, seed)
                        assert_equal(program.run(stimulus, ALL), golden(graph, stimulus, ALL), graph)
                finally:
                    program.close()

        def test_samples_do_not_touch_each_other(self) -> None:
            for graph in (EXAMPLES[name]() for name in semantics()):
                stimulus = draw_stimulus(graph, 4, 40, 7)
                whole = check(graph, stimulus)
                for b in range(4):
                    alone = check(graph, stimulus.select(b, b + 1))
                    for name, e in alone.spikes.items():
                        assert e == whole.spikes[name].select(b, b + 1), (b, name)

        def test_a_spike_arrives_after_its_delay(self) -> None:
            longest = min(62, subject().capabilities.max_delay)
            for name in semantics():
                for delays in ([0], [1], [2, 5], [longest]):
                    spikes = np.zeros((1, 150, 1), bool)
                    spikes[0, 3] = True
                    got = check(relay(name, delays, longest), Stimulus.dense({"in": spikes}))
                    assert got.spikes["relay"].step.tolist() == [3 + d for d in delays]
                    y = got.traces["out"]["y"][0]
                    assert np.flatnonzero(y[:, 0]).tolist() == [4 + d for d in delays]
                    assert np.flatnonzero(y[:, 1]).tolist() == [
                        3 + d + longest for d in delays if 3 + d + longest < 150
                    ]

        def test_resets_and_refractory_periods(self) -> None:
            for name in semantics():
                for reset in sorted(subject().capabilities.resets):
                    got = check(driven(reset, name), Stimulus.dense({"in": np.ones((1, 60, 1), bool)}))
                    dense = got.spikes["n"].to_dense(1, 60, 6)[0]
                    for unit in range(6):
                        gaps = np.diff(np.flatnonzero(dense[:, unit]))
                        assert len(gaps) > 3 and gaps.min() == unit + 1, (name, reset, unit, gaps)

        def test_small_numbers_are_not_flushed_to_zero(self) -> None:
            if refuses("float"):
                return
            spikes = np.zeros((1, 1080, 1), bool)
            spikes[0, 0] = True
            v = check(fading(), Stimulus.dense({"in": spikes})).traces["n"]["v"][0, :, 0]
            assert 0 < v[v > 0].min() < np.finfo(np.float64).tiny, "the membrane must pass through subnormal numbers"

        def test_recording_keeps_what_is_asked(self) -> None:
            for graph in (EXAMPLES[name]() for name in semantics()):
                got = check(graph, draw_stimulus(graph, 2, 20, 3), Record(spikes=("alif",), traces={"alif": ("a",)}))
                assert set(got.spikes) == {"alif"} and set(got.traces) == {"alif"} and set(got.traces["alif"]) == {"a"}
                none = check(graph, draw_stimulus(graph, 2, 20, 3), Record(spikes=False))
                assert not none.spikes and not none.traces and none.counts.spikes["lif"].sum() > 0

        def test_recording_says_where_it_comes_from(self) -> None:
            for graph in (EXAMPLES[name]() for name in semantics()):
                got = check(graph, draw_stimulus(graph, 1, 10, 3))
                assert got.backend == subject().name and got.graph_sha256 == graph.sha256 and got.versions
                assert got.exact is subject().capabilities.exact and got.wall_time_s > 0
                with tempfile.TemporaryDirectory() as folder:
                    save(got, Path(folder) / "recording.h5")
                    again = load(Path(folder) / "recording.h5")
                assert_equal(again, got, graph)
                assert dict(again.versions) == dict(got.versions)

        def test_graph_off_its_grid_runs_and_is_marked(self) -> None:
            if refuses("float"):
                return
            graph = example(grid=False)
            program = subject().compile(graph)
            try:
                got = program.run(draw_stimulus(graph, 1, 20, 3), Record())
            finally:
                program.close()
            assert not got.exact and got.counts.spikes["lif"].sum() > 0

        def test_stimulus_that_does_not_fit_is_refused(self) -> None:
            silent, off_grid = np.zeros((1, 5, 2)), np.full((1, 5, 2), 0.3)
            for graph in (EXAMPLES[name]() for name in semantics()):
                currents = {"cur": silent} if graph.semantics == "float" else {}
                wrong = [
                    (Stimulus.dense({"inn": np.zeros((1, 5, 3), bool), **currents}), "Did you mean 'in'"),
                    (Stimulus.dense({"in": np.ones((1, 5, 9), bool), **currents}), "need 0..2"),
                ]
                if currents:
                    wrong.append((Stimulus.dense({"in": np.zeros((1, 5, 3), bool)}), "'cur': no currents"))
                    wrong.append((Stimulus.dense({"cur": off_grid}), "off its grid"))
                program = subject().compile(graph)
                try:
                    for stimulus, text in wrong:
                        _raises(DataError, text, partial(program.run, stimulus, Record()))
                    fits, misspelt = draw_stimulus(graph, 1, 5, 1), Record(traces={"lift": ("v",)})
                    _raises(DataError, "no states of that name", partial(program.run, fits, misspelt))
                finally:
                    program.close()

        def test_graph_beyond_the_capabilities_is_refused(self) -> None:
            for graph in (make() for make in EXAMPLES.values()):
                refused = subject().capabilities.refusals(graph)
                if refused:
                    _raises(UnsupportedError, refused[0], partial(subject().compile, graph))
            narrow = Capabilities(populations=frozenset({"SpikeInput"}), resets=frozenset(), max_delay=0)
            assert len(narrow.refusals(example())) >= 4, "the contract itself names every feature that is missing"

    Conformance.__qualname__ = Conformance.__name__ = "Conformance"
    return Conformance


def _raises(kind: type[Exception], text: str, call: Callable[[], object]) -> None:
    message = None
    try:
        call()
    except kind as err:
        message = str(err)
    assert message is not None, f"{kind.__name__} with {text!r} was not raised"
    assert text in message, f"message must say {text!r}: {message}"


__all__ = [
    "Limits",
    "assert_equal",
    "draw_stimulus",
    "driven",
    "example",
    "first_difference",
    "graphs",
    "integer_example",
    "suite",
]
