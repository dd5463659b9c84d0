"""Hold programs on Brian2 to the golden model where random graphs seldom go, and their errors to their messages."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from neuro.backend import Record, Stimulus, conformance
from neuro.errors import DataError, UnsupportedError, WorkerError
from neuro.graph import ALIF, LI, LIF, MAX_DELAY, Builder, CurrentInput, Graph, Projection, SpikeInput, to_grid
from neuro.recording import Recording
from neuro_brian2 import Brian2Backend
from neuro_brian2.batch import wanted
from neuro_brian2.layout import lay_out


def check(graph: Graph, stimulus: Stimulus, backend: Brian2Backend | None = None) -> Recording:
    """Run a graph on the numpy target, or a given backend, and compare every spike, state and count."""
    program = (backend or Brian2Backend()).compile(graph)
    try:
        got = program.run(stimulus, conformance.ALL)
    finally:
        program.close()
    conformance.assert_equal(got, conformance.golden(graph, stimulus, conformance.ALL), graph)
    return got


def n_spikes(recording: Recording, name: str) -> int:
    return int(recording.counts.spikes[name].sum())


# ------------------------------------------------------------------------------------------------- unusual graphs


def test_the_longest_delays_from_spikes_currents_and_neurons() -> None:
    b = Builder()
    b.spike_input("in", 1)
    b.current_input("cur", 1)
    b.lif("n", 2, tau_m_ms=0.0, v_th=0.5)
    b.connect("in", "n", weight=1.0, pre=[0], post=[0], delay=MAX_DELAY)
    b.connect("cur", "n", weight=[1.0, 1.0], pre=[0, 0], post=[1, 1], delay=[0, MAX_DELAY], name="c")
    b.connect("n", "n", weight=1.0, pre=[0], post=[1], delay=MAX_DELAY, name="rec")
    steps = 2 * MAX_DELAY + 10
    spikes, u = np.zeros((2, steps, 1), bool), np.zeros((2, steps, 1))
    spikes[0, 2] = spikes[1, 4] = True
    u[0, 3] = 0.75
    got = check(b.build(), Stimulus.dense({"in": spikes, "cur": u}))
    events = got.spikes["n"]
    assert [(int(s), int(t), int(k)) for s, t, k in zip(events.sample, events.step, events.unit, strict=True)] == [
        (0, 3, 1), (0, MAX_DELAY + 2, 0), (0, MAX_DELAY + 3, 1), (0, 2 * MAX_DELAY + 2, 1),
        (1, MAX_DELAY + 4, 0), (1, 2 * MAX_DELAY + 4, 1),
    ]  # fmt: skip


def test_a_delayed_current_arrives_with_the_value_it_was_sent_with() -> None:
    b = Builder()
    b.current_input("cur", 2)
    b.li("out", 2, tau_out_ms=0.0)
    b.connect("cur", "out", weight=[1.0, -2.0, 4.0], pre=[0, 0, 1], post=[0, 1, 1], delay=[0, 3, 1])
    u = np.zeros((2, 6, 2))
    u[0, :, 0] = [0.25, 0.5, 0.75, 0.0, -1.0, 0.125]
    u[1, :, 1] = [0.0, -0.5, 1.0, 0.0, 0.0, 0.0]
    y = check(b.build(), Stimulus.dense({"cur": u})).traces["out"]["y"]
    assert y[0, :, 0].tolist() == u[0, :, 0].tolist()
    assert y[0, :, 1].tolist() == [0.0, 0.0, 0.0, -0.5, -1.0, -1.5]
    assert y[1, :, 1].tolist() == [0.0, 0.0, -2.0, 4.0, 0.0, 0.0]


def test_a_graph_without_inputs_is_driven_by_its_bias() -> None:
    n = ALIF(name="n", size=1, alpha=0.9, rho=0.99, beta=0.1, bias=0.2, n_ref=1, reset="adaptive")
    out = LI(name="out", size=1, kappa=0.5, bias=0.25)
    loop = Projection(name="loop", source="n", target="n", pre=[0], post=[0], weight=0.125, delay=4)
    read = Projection(name="read", source="n", target="out", pre=[0], post=[0], weight=1.0, delay=1)
    graph = to_grid(Graph(populations=(n, out), projections=(loop, read)))[0]
    assert n_spikes(check(graph, Stimulus(batch=3, steps=60)), "n") > 5


def test_graphs_with_nothing_to_simulate() -> None:
    graph = Graph(populations=(SpikeInput(name="in", size=2), CurrentInput(name="cur", size=1)))
    stimulus = conformance.draw_stimulus(graph, 2, 9, 1)
    assert n_spikes(check(graph, stimulus), "in") > 0
    lonely = to_grid(Graph(populations=(LIF(name="n", size=3, alpha=0.5, bias=[0.1, 0.6, 2.0]),)))[0]
    assert n_spikes(check(lonely, Stimulus(batch=2, steps=20)), "n") > 0


def test_readouts_alone_never_spike() -> None:
    b = Builder()
    b.spike_input("in", 2)
    b.li("out", 3, tau_out_ms=30.0)
    b.connect("in", "out", weight=100.0)
    y = check(b.build(), Stimulus.dense({"in": np.ones((2, 30, 2), bool)})).traces["out"]["y"]
    assert y.min() > 100


def test_names_that_are_no_identifiers_and_projections_without_synapses() -> None:
    b = Builder()
    b.spike_input("in put-1", 2)
    b.lif("%LIF% λ", 3)
    b.lif("neuro_cells", 2)
    b.connect("in put-1", "%LIF% λ", weight=1.5, name="I_post += w")
    b.connect("%LIF% λ", "neuro_cells", weight=1.5, name="class")
    b.connect("neuro_cells", "%LIF% λ", weight=1.0, pre=[], post=[], name="none")
    got = check(b.build(), Stimulus.dense({"in put-1": np.ones((2, 20, 2), bool)}))
    assert n_spikes(got, "%LIF% λ") > 0 and n_spikes(got, "neuro_cells") > 0


def test_decays_of_0_and_1_and_endless_refractory_periods() -> None:
    rng = np.random.default_rng(3)
    populations = [SpikeInput(name="in", size=4)]
    projections = []
    for reset in ("threshold", "adaptive", "zero"):
        populations.append(
            ALIF(name=reset, size=8, alpha=[0, 1] * 4, rho=[0, 0, 1, 1] * 2, beta=0.25, n_ref=[0] * 4 + [2**31 - 1] * 4,
                 bias=rng.normal(0, 0.1, 8), reset=reset)  # type: ignore[arg-type]
        )  # fmt: skip
        for k, source in enumerate(("in", reset)):
            size = 4 if source == "in" else 8
            projections.append(
                Projection(name=f"{source}>{reset}", source=source, target=reset, pre=np.repeat(np.arange(size), 8),
                           post=np.tile(np.arange(8), size), weight=rng.normal(0.3, 0.5, 8 * size),
                           delay=rng.integers(k, 5, 8 * size))
            )  # fmt: skip
    graph = to_grid(Graph(populations=tuple(populations), projections=tuple(projections)))[0]
    got = check(graph, conformance.draw_stimulus(graph, 3, 50, 5))
    for name in ("threshold", "adaptive", "zero"):
        per_unit = np.bincount(got.spikes[name].unit, minlength=8)
        assert per_unit[:4].max() > 10 and per_unit[4:].max() <= 3, (name, per_unit)


def test_dt_of_the_graph_does_not_matter_to_the_steps() -> None:
    for dt_ms in (1e-9, 0.1, 1 / 3, 7.7, 1e9):
        b = Builder(dt_ms=dt_ms)
        b.spike_input("in", 2)
        b.lif("n", 4, tau_m_ms=20 * dt_ms, n_ref=2)
        b.connect("in", "n", weight=0.8, delay=(0, 9))
        b.connect("n", "n", weight=0.3, delay=(1, 9), name="rec")
        graph = b.build()
        assert n_spikes(check(graph, conformance.draw_stimulus(graph, 2, 40, 1)), "n") > 0


# ------------------------------------------------------------------------------------------------- batches and runs


def test_a_batch_in_parts_equals_the_batch_at_once() -> None:
    graph = conformance.example()
    stimulus = conformance.draw_stimulus(graph, 7, 30, 2)
    told: list[tuple[int, int, str]] = []
    parts = Brian2Backend(memory_bytes=1, progress=lambda *now: told.append(now))
    got = check(graph, stimulus, parts)
    whole = check(graph, stimulus)
    conformance.assert_equal(got, whole, graph)
    assert n_spikes(got, "lif") > 0
    assert told[-1] == (7 * 30, 7 * 30, "brian2") and (30, 7 * 30, "brian2") in told
    assert [done for done, _, _ in told] == sorted(done for done, _, _ in told)


def test_an_exception_in_progress_ends_the_run_and_the_next_is_right() -> None:
    graph = conformance.example()
    stimulus = conformance.draw_stimulus(graph, 2, 20, 2)
    told: list[int] = []

    def progress(done: int, total: int, what: str) -> None:
        told.append(done)
        if len(told) == 1:
            raise KeyboardInterrupt

    program = Brian2Backend(progress=progress).compile(graph)
    with pytest.raises(KeyboardInterrupt):
        program.run(stimulus)
    again = program.run(stimulus, conformance.ALL)
    conformance.assert_equal(again, conformance.golden(graph, stimulus, conformance.ALL), graph)


def test_only_the_traces_asked_for_are_recorded() -> None:
    layout = lay_out(conformance.example())
    assert wanted(layout, {}) == {}
    cells = wanted(layout, {"out": ("y",), "alif": ("a", "v")})
    first, last = layout.cell["alif"], layout.cell["out"]
    assert {name: found.tolist() for name, found in cells.items()} == {
        "v": [*range(first, first + 5), *range(last, last + 2)], "a": list(range(first, first + 5)),
    }  # fmt: skip


def test_a_closed_program_does_not_run() -> None:
    graph = conformance.example()
    program = Brian2Backend().compile(graph)
    program.close()
    program.close()
    with pytest.raises(
        UnsupportedError, match=r"the program is closed \(got a run; need an open one\)\. Compile again\."
    ):
        program.run(conformance.draw_stimulus(graph, 1, 5, 1))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"target": "cyton"},
            r"unknown target \(got 'cyton'; need one of numpy, cython, cpp_standalone\)\. Did you mean",
        ),
        ({"target": "weave"}, r"unknown target \(got 'weave'; need one of numpy, .*\)\. Choose one\."),
        ({"n_threads": 0}, r"n_threads out of range \(got 0; need a whole number >= 1\)"),
        ({"batch": 2.5}, r"batch out of range \(got 2\.5; need a whole number >= 1\)"),
        ({"memory_bytes": -1}, r"memory_bytes out of range \(got -1; "),
        ({"target": "cython", "n_threads": 4}, r"target 'cython' has one thread \(got n_threads=4; need 1\)"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(UnsupportedError, match=message):
        Brian2Backend(**options)  # type: ignore[arg-type]


# --------------------------------------------------------------------------------------------------- compiled targets


def relay() -> Graph:
    b = Builder()
    b.spike_input("in", 1)
    b.lif("n", 1, tau_m_ms=0.0, v_th=0.5)
    b.connect("in", "n", weight=1.0)
    return b.build()


def test_standalone_says_which_tool_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    backend = Brian2Backend(target="cpp_standalone")
    with pytest.raises(UnsupportedError, match=r"needs make and a C\+\+ compiler \(got no 'make'; need it on PATH\)"):
        backend.compile(relay())
    assert not backend.is_available() and "got no 'make'" in backend.is_available().reason
    (tmp_path / "make").write_text("#!/bin/sh\n")
    (tmp_path / "make").chmod(0o755)
    monkeypatch.setenv("CXX", "no-such-c++ -O")
    with pytest.raises(UnsupportedError, match=r"got no 'no-such-c\+\+'"):
        backend.compile(relay())


def test_a_standalone_program_that_does_not_compile_leaves_no_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("neuro_brian2.standalone._HEADERS", ("no_such_header",))
    with pytest.raises(UnsupportedError, match=r"(?s)does not compile \(got exit code 2: .*no_such_header.*need 0\)"):
        Brian2Backend(target="cpp_standalone", batch=2).compile(relay())
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("target", ["cython", "cpp_standalone"])
def test_a_compiler_that_refuses_our_flags_is_refused(
    target: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # Brian2 would go on without -ffp-contract=off.
    from brian2.codegen import cpp_prefs

    monkeypatch.setattr("neuro_brian2.runtime._COMPILED", set())
    monkeypatch.setattr(cpp_prefs, "_compiler_flag_compatibility", {})
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("CXX", "false")
    backend = Brian2Backend(target=target, batch=1)
    with pytest.raises(UnsupportedError, match=r"does not take -w .*-ffp-contract=off \(got a failed trial; need a"):
        backend.compile(relay())
    assert not cpp_prefs._compiler_flag_compatibility
    assert not list(tmp_path.iterdir())


def test_standalone_reports_a_program_that_fails(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # In place of the compiler's work: a program that ends as the test wants.
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    scripts: list[str] = []

    def make(folder: Path, openmp: bool) -> None:
        (folder / "main").write_text(f"#!/bin/sh\n{scripts[-1]}\n")
        (folder / "main").chmod(0o755)

    monkeypatch.setattr("neuro_brian2.standalone._make", make)
    stimulus = Stimulus(batch=1, steps=5)
    for script, message in (
        ("echo 3; echo no memory >&2; exit 7", r"got exit code 7, output 'no memory\\n'; need 0 and none"),
        ("echo cannot read stimulus/step", r"got exit code 0, output 'cannot read stimulus/step\\n'"),
        ("kill -9 $$", r"got exit code -9"),
        ("true", r"got 0 values in \w*; need them: is the disk full\?"),
    ):
        scripts.append(script)
        program = Brian2Backend(target="cpp_standalone").compile(relay())
        with pytest.raises(WorkerError, match=message):
            program.run(stimulus)
        program.close()
    assert not list(tmp_path.iterdir())


def test_standalone_ends_its_program_when_a_run_is_broken_off(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    def make(folder: Path, openmp: bool) -> None:
        (folder / "main").write_text("#!/bin/sh\necho $$ > pid; echo 1; exec sleep 600\n")
        (folder / "main").chmod(0o755)

    def stop(done: int, total: int, what: str) -> None:
        if what == "brian2":
            raise KeyboardInterrupt

    monkeypatch.setattr("neuro_brian2.standalone._make", make)
    program = Brian2Backend(target="cpp_standalone", progress=stop).compile(relay())
    with pytest.raises(KeyboardInterrupt):
        program.run(Stimulus(batch=1, steps=5))
    (folder,) = tmp_path.iterdir()
    pid = int((folder / "pid").read_text())
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    del program  # a program that was not closed takes its folder along
    assert not list(tmp_path.iterdir())


def test_standalone_flags_are_ieee(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    seen = []
    monkeypatch.setattr(
        "neuro_brian2.standalone._make", lambda folder, openmp: seen.append((folder / "makefile").read_text())
    )
    for n_threads in (1, 2):
        Brian2Backend(target="cpp_standalone", batch=1, n_threads=n_threads).compile(relay()).close()
    for makefile, openmp in zip(seen, (False, True), strict=True):
        assert "-ffp-contract=off" in makefile and "-fno-fast-math" in makefile
        assert "-ffast-math" not in makefile and "-march" not in makefile
        assert ("-fopenmp" in makefile) == openmp


def test_cython_that_does_not_compile_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    from brian2.codegen.runtime.cython_rt.extension_manager import CythonExtensionManager

    def fail(*args: object, **options: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr("neuro_brian2.runtime._COMPILED", set())
    monkeypatch.setattr(CythonExtensionManager, "create_extension", fail)
    with pytest.raises(
        UnsupportedError, match=r"does not compile here \(got OSError: no space left on device; need Cython"
    ):
        Brian2Backend(target="cython").compile(relay())


def test_a_stimulus_that_does_not_fit_is_refused_before_anything_is_built() -> None:
    program = Brian2Backend(target="cpp_standalone").compile(relay())
    with pytest.raises(DataError, match="Did you mean 'in'"):
        program.run(Stimulus.dense({"inn": np.ones((1, 4, 1), bool)}), Record())
    program.close()
