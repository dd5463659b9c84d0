"""Hold the Brian2 backend to the golden model.

Random graphs, float and integer: 200 and 300 on numpy, 20 and 40 on cython, 5 and 3 as C++ standalone.
"""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import hypothesis
import pytest

from neuro.backend import Capabilities, Progress, conformance
from neuro.backend.integer_graphs import integer_graphs
from neuro.graph import INTEGER_KINDS, MAX_INT_DELAY, RESETS, Graph
from neuro_brian2 import Brian2Backend


def _backend(target: str, progress: Progress | None = None, n_threads: int | None = None) -> Brian2Backend:
    return Brian2Backend(target=target, progress=progress, n_threads=n_threads)


TestNumpy = conformance.suite(lambda: _backend("numpy"), n_graphs=200, n_integer_graphs=300)
TestCython = conformance.suite(lambda: _backend("cython"), n_graphs=20, n_integer_graphs=40)

RANDOM = {
    "float": conformance.graphs(conformance.Limits(), Capabilities()),
    "integer": integer_graphs(33, INTEGER_KINDS, frozenset(RESETS), MAX_INT_DELAY),
}


def _loud() -> Graph:
    """Return an integer graph with the largest exponents: its sums clip."""
    graph = conformance.integer_example()
    loud = tuple(replace(c, exponent=7) for c in graph.projections)
    return Graph(populations=graph.populations, projections=loud, dt_ms=graph.dt_ms)


EXAMPLES = {"float": conformance.example, "integer": conformance.integer_example}


@pytest.mark.parametrize("semantics", ["float", "integer"])
def test_cython_compiles_no_module_for_a_second_graph(semantics: str) -> None:
    # Its modules are named by their code: were a size or a number in it, each graph would compile a dozen.
    backend = _backend("cython")
    example = EXAMPLES[semantics]()
    backend.compile(example).run(conformance.draw_stimulus(example, 3, 40, 1), conformance.ALL)
    from brian2.codegen.runtime.cython_rt.extension_manager import cython_extension_manager

    before = set(cython_extension_manager._code_cache)
    assert before
    graphs = []

    @hypothesis.settings(max_examples=20, derandomize=True, database=None, phases=[hypothesis.Phase.generate])
    @hypothesis.given(RANDOM[semantics])
    def run(graph: Graph) -> None:
        graphs.append(graph.sha256)
        backend.compile(graph).run(conformance.draw_stimulus(graph, 2, 10, 1), conformance.ALL)

    run()
    assert len(set(graphs)) >= 15
    assert set(cython_extension_manager._code_cache) == before


@pytest.mark.timeout(900)  # up to five compilations of about 6 s of CPU each
@pytest.mark.parametrize(("semantics", "n_graphs"), [("float", 5), ("integer", 3)])
def test_standalone_programs_equal_the_golden_model(
    semantics: str, n_graphs: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Each program is compiled once, at its first run; smaller batches and other numbers of steps reuse it.
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    told: list[tuple[int, int, str]] = []
    threads = itertools.chain([2], itertools.repeat(1))  # two for the example, which spikes for sure
    spikes, clips = [], []

    @hypothesis.settings(
        max_examples=n_graphs - 1, deadline=None, derandomize=True, database=None,
        phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )  # fmt: skip
    @hypothesis.given(RANDOM[semantics])
    @hypothesis.example(_loud() if semantics == "integer" else conformance.example())
    def run(graph: Graph) -> None:
        backend = _backend("cpp_standalone", lambda *told_now: told.append(told_now), next(threads))
        program = backend.compile(graph)
        try:
            n = 0
            for batch, steps, seed in ((3, 50, 1), (2, 70, 2), (1, 1, 3), (3, 50, 1)):
                stimulus = conformance.draw_stimulus(graph, batch, steps, seed)
                got = program.run(stimulus, conformance.ALL)
                conformance.assert_equal(got, conformance.golden(graph, stimulus, conformance.ALL), graph)
                n += sum(int(got.counts.spikes[p.name].sum()) for p in graph.neurons)
                clips.extend(n_clips.sum() for states in got.counts.saturations.values() for n_clips in states.values())
            spikes.append(n)
            assert len(list(tmp_path.iterdir())) == 1
        finally:
            program.close()
        assert not list(tmp_path.iterdir())

    run()
    assert len(spikes) == n_graphs and sum(n > 0 for n in spikes) >= n_graphs // 2 + 1 and spikes[0] > 0, spikes
    assert (sum(clips) > 0) == (semantics == "integer"), clips
    assert told.count((0, 1, "brian2: compiling")) == n_graphs
    assert (70, 70, "brian2") in told
