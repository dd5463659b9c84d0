"""Hold the Nengo backend's own options: parts of a batch, progress, long delays, and leaving nothing behind."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neuro.backend import Record, Stimulus, conformance
from neuro.backend.example_graphs import fading
from neuro.errors import UnsupportedError
from neuro.graph import MAX_DELAY, Builder, Graph
from neuro.recording import Recording
from neuro_nengo import NengoBackend, session
from neuro_nengo.simulation import samples_at_once
from tests.backend.flushing import flushed_to_zero


def run(graph: Graph, stimulus: Stimulus, **options: Any) -> Recording:
    program = NengoBackend(**options).compile(graph)
    try:
        got = program.run(stimulus, conformance.ALL)
    finally:
        program.close()
    conformance.assert_equal(got, conformance.golden(graph, stimulus, conformance.ALL), graph)
    assert all(n.sum() > 0 for n in got.counts.spikes.values())
    return got


def example() -> tuple[Graph, Stimulus]:
    graph = conformance.example()
    return graph, conformance.draw_stimulus(graph, 5, 30, 4)


def python(code: str, folder: Path, **env: str) -> str:
    """Run code in a new interpreter and return what it printed; what it says on stderr fails the test."""
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=120, check=False, cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join((str(root), str(root / "backends"))), **env},
    )  # fmt: skip
    assert done.returncode == 0 and not done.stderr, done.stderr
    return done.stdout.strip()


def test_a_large_batch_is_run_in_parts() -> None:
    graph, stimulus = example()
    whole = run(graph, stimulus)
    told: list[tuple[int, int, str]] = []
    parts = run(graph, stimulus, memory_bytes=1, progress=lambda *now: told.append(now))
    conformance.assert_equal(parts, whole, graph)
    assert told == [(30 * k, 150, "nengo") for k in range(1, 6)]
    one, two = (samples_at_once(graph, 30, conformance.ALL, limit) for limit in (1, 10**6))
    assert one == 1 and two > 1
    assert samples_at_once(graph, 3000, conformance.ALL, 10**6) < two
    assert samples_at_once(graph, 30, Record(), 10**6) > two
    assert samples_at_once(graph, 30, Record(), 2**62) * graph.n_synapses < 2**31


def test_the_longest_delay_arrives_and_not_a_step_early() -> None:
    b = Builder()
    b.spike_input("in", 1)
    b.lif("n", 1, tau_m_ms=0.0, v_th=0.5)
    b.li("out", 1, tau_out_ms=0.0)
    b.connect("in", "n", weight=1.0, delay=MAX_DELAY)
    b.connect("n", "out", weight=1.0, delay=MAX_DELAY)
    spikes = np.zeros((1, 2 * MAX_DELAY + 3, 1), bool)
    spikes[0, 2] = True
    got = run(b.build(), Stimulus.dense({"in": spikes}))
    assert got.spikes["n"].step.tolist() == [MAX_DELAY + 2]
    assert np.flatnonzero(got.traces["out"]["y"]).tolist() == [2 * MAX_DELAY + 2]


def test_a_membrane_at_the_threshold_does_not_spike() -> None:
    b = Builder()
    b.spike_input("in", 1)
    b.lif("n", 2, tau_m_ms=0.0, v_th=1.0)
    b.connect("in", "n", weight=[1.0, 1.0 + 2.0**-40])
    got = run(b.build(), Stimulus.dense({"in": np.ones((1, 5, 1), bool)}))
    assert set(got.spikes["n"].unit.tolist()) == {1}
    assert (got.traces["n"]["v"][0, :, 0] == 1.0).all()


def test_graphs_without_inputs_projections_or_neurons_run() -> None:
    alone = Builder()
    alone.lif("n", 2, bias=[0.3, 0.6], tau_m_ms=20.0)
    got = run(alone.build(), Stimulus(batch=2, steps=40))
    assert got.spikes["n"].select(0, 1) == got.spikes["n"].select(1, 2)
    readout = Builder()
    readout.current_input("u", 2)
    readout.li("out", 1, tau_out_ms=10.0)
    readout.connect("u", "out", weight=0.5, delay=(0, 3))
    graph = readout.build()
    y = run(graph, conformance.draw_stimulus(graph, 1, 30, 1)).traces["out"]["y"]
    assert np.abs(y).max() > 0
    inputs = Builder()
    inputs.spike_input("in", 3)
    run(inputs.build(), conformance.draw_stimulus(inputs.build(), 1, 30, 1))


def test_options_and_closed_programs_are_refused() -> None:
    for bad in (0, True, 1.5):
        with pytest.raises(
            UnsupportedError, match=rf"memory_bytes out of range \(got {bad}; need a whole number >= 1\)"
        ):
            NengoBackend(memory_bytes=bad)  # type: ignore[arg-type]
    program = NengoBackend().compile(conformance.example())
    program.close()
    program.close()
    with pytest.raises(UnsupportedError, match="the program is closed"):
        program.run(example()[1])


def test_a_process_that_flushes_subnormal_numbers_gets_them_in_a_run() -> None:
    graph = fading()
    stimulus = Stimulus.dense({"in": np.arange(1080).reshape(1, -1, 1) == 0})
    exact = conformance.golden(graph, stimulus, conformance.ALL)
    program = NengoBackend().compile(graph)
    with flushed_to_zero():
        got = program.run(stimulus, conformance.ALL)
    conformance.assert_equal(got, exact, graph)
    v = exact.traces["n"]["v"]
    assert 0 < v[v > 0].min() < sys.float_info.min


# --------------------------------------------------------------------------------------------- leaving nothing behind


def test_settings_networks_and_random_numbers_of_the_user_are_as_before() -> None:
    nengo: Any = session.load()
    graph, stimulus = example()
    before, bits = np.random.get_state()[1].copy(), nengo.rc.get("precision", "bits")  # noqa: NPY002
    nengo.rc.set("precision", "bits", "32")
    settings = {section: dict(nengo.rc[section]) for section in nengo.rc.sections()}
    try:
        with nengo.Network() as model:
            model.config[nengo.Ensemble].radius = 3.0
            run(graph, stimulus)
            assert nengo.Network.context[-1] is model
        assert not model.all_objects
        assert {section: dict(nengo.rc[section]) for section in nengo.rc.sections()} == settings
    finally:
        nengo.rc.set("precision", "bits", bits)
    assert np.array_equal(np.random.get_state()[1], before)  # noqa: NPY002


def test_settings_are_as_before_after_an_exception() -> None:
    nengo: Any = session.load()

    def fail(*now: object) -> None:
        raise KeyError("of the progress function")

    before, errors = nengo.rc.get("precision", "bits"), np.geterr()
    with pytest.raises(KeyError, match="of the progress function"):
        run(*example(), progress=fail)
    with pytest.raises(KeyError, match="while building"), session.building():
        raise KeyError("while building")
    assert nengo.rc.get("precision", "bits") == before and np.geterr() == errors
    assert not len(nengo.Network.context)


def test_programs_in_threads_do_not_disturb_each_other() -> None:
    found: list[Recording] = []
    threads = [threading.Thread(target=lambda: found.append(run(*example()))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 3


def test_import_is_quick_and_does_not_load_nengo(tmp_path: Path) -> None:
    code = (
        "import sys, neuro_nengo; "
        "print('nengo' in sys.modules, 'scipy' in sys.modules, neuro_nengo.NengoBackend.name, neuro_nengo.to_nengo.__name__)"
    )
    assert python(code, tmp_path) == "False False nengo to_nengo"


def test_nothing_is_written_or_said_by_a_run(tmp_path: Path) -> None:
    code = """
import os, warnings
from neuro.backend import conformance
from neuro_nengo import NengoBackend, to_nengo
graph = conformance.example()
stimulus = conformance.draw_stimulus(graph, 2, 30, 4)
filters = list(warnings.filters)
got = NengoBackend().compile(graph).run(stimulus)
conformance.assert_equal(got, conformance.golden(graph, stimulus, conformance.Record()), graph)
to_nengo(graph)
print(os.listdir("."))
"""
    assert python(code, tmp_path, HOME=str(tmp_path), XDG_CACHE_HOME=str(tmp_path)) == "[]"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("missing", ["nengo", "scipy.sparse"])
def test_a_missing_package_is_said_with_what_to_install(missing: str, tmp_path: Path) -> None:
    code = f"""
import sys
sys.modules[{missing!r}] = None  # its import now fails as if it were not there
from neuro.backend.probe import tiny_graph
from neuro.errors import UnsupportedError
from neuro_nengo import NengoBackend, to_nengo
backend = NengoBackend()
available = backend.is_available()
assert not available
for call in (backend.compile, to_nengo):
    try:
        call(tiny_graph())
    except UnsupportedError as err:
        assert str(err) == available.reason
print(available.reason)
"""
    said = python(code, tmp_path)
    assert said.startswith("backend 'nengo': nengo does not import (got ")
    assert said.endswith("need nengo >= 4.1 and scipy). Install them with: pip install 'neuro[nengo]'.")
