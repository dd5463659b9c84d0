"""Check stimulus, record, capabilities and discovery."""

from __future__ import annotations

from dataclasses import replace
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neuro.backend import Availability, Capabilities, Record, Stimulus, get, names, probe, registry, require, run
from neuro.backend.conformance import draw_stimulus, example, integer_example
from neuro.backend.golden import ReferenceBackend
from neuro.errors import DataError, NeuroError, UnsupportedError
from neuro.graph import INTEGER_KINDS, Graph
from neuro.recording import Events, Recording

INTEGERS = Capabilities(populations=INTEGER_KINDS, semantics=frozenset({"integer"}))


def test_dense_and_event_stimuli_are_the_same() -> None:
    graph = example()
    dense = np.random.default_rng(0).random((2, 30, 3)) < 0.2
    currents = np.zeros((2, 30, 2))
    one = Stimulus.dense({"in": dense, "cur": currents}, graph)
    two = Stimulus(batch=2, steps=30, spikes={"in": Events.from_dense(dense)}, currents={"cur": currents})
    a, b = run(graph, one), run(graph, two)
    assert a.spikes["lif"] == b.spikes["lif"] and len(a.spikes["lif"]) > 0
    assert np.array_equal(one.dense_input(graph, "in"), dense)


def test_kind_of_an_input_decides_over_the_type_of_the_array() -> None:
    graph = example()
    s = Stimulus.dense({"in": np.ones((1, 2, 3)), "cur": np.ones((1, 2, 2), int)}, graph)
    assert set(s.spikes) == {"in"} and set(s.currents) == {"cur"}


def test_silent_spike_input_need_not_be_named() -> None:
    graph = example()
    assert run(graph, Stimulus(batch=1, steps=5, currents={"cur": np.zeros((1, 5, 2))})).counts.spikes[
        "in"
    ].tolist() == [0]


def test_stimulus_file_round_trip(tmp_path: Path) -> None:
    s = draw_stimulus(example(), 2, 20, 3)
    s.save(tmp_path / "s.h5")
    again = Stimulus.load(tmp_path / "s.h5")
    assert again.spikes == s.spikes and np.array_equal(again.currents["cur"], s.currents["cur"])
    (tmp_path / "s.h5").write_bytes(b"nothing")
    with pytest.raises(DataError, match="file cannot be read"):
        Stimulus.load(tmp_path / "s.h5")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Stimulus(batch=0, steps=3), r"batch out of range \(got 0; need a whole number >= 1\)"),
        (lambda: Stimulus(batch=1, steps=2.5), r"steps out of range \(got 2.5"),  # type: ignore[arg-type]
        (lambda: Stimulus.dense({}), "stimulus: no input"),
        (lambda: Stimulus.dense({"in": np.zeros((2, 3))}), "wrong shapes"),
        (lambda: Stimulus.dense({"a": np.zeros((1, 3, 1)), "b": np.zeros((1, 4, 1))}), "wrong shapes"),
        (lambda: Stimulus(batch=1, steps=2, spikes={"in": Events.from_dense(np.ones((1, 3, 1)))}), r"step out of range \(got 2; need 0..1\)"),
        (lambda: Stimulus(batch=1, steps=3, spikes={"in": Events.from_dense(np.ones((2, 3, 1)))}), r"sample out of range \(got 1"),
        (lambda: Stimulus(batch=1, steps=2, currents={"u": np.zeros((1, 3, 1))}), r"'u': wrong shape \(got \(1, 3, 1\)"),
        (lambda: draw_stimulus(example(), 2, 5, 0).select(1, 3), r"samples out of range \(got 1..3; need within 0..2\)"),
    ],
)  # fmt: skip
def test_stimulus_refuses(make: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        make()


@pytest.mark.parametrize(
    ("currents", "message"),
    [
        (np.full((1, 4, 2), np.nan), "value is not finite"),
        (np.full((1, 4, 2), 1.5), r"value beyond u_max \(got 1.5 at .*; need \|u\| <= 1.0\)"),
        (np.full((1, 4, 2), 0.3), r"value off its grid \(got 0.3 at \(sample, step, unit\) \(0, 0, 0\); need multiples of u_step = 0.00390625\)"),
        (np.zeros((1, 4, 3)), r"wrong number of channels \(got 3; need 2\)"),
    ],
)  # fmt: skip
def test_currents_that_would_not_be_exact_are_refused(currents: np.ndarray, message: str) -> None:
    with pytest.raises(DataError, match=message):
        run(example(), Stimulus.dense({"cur": currents}))


def test_every_fault_of_a_stimulus_is_reported() -> None:
    s = Stimulus(batch=1, steps=4, spikes={"im": Events.none(), "in": Events.from_dense(np.ones((1, 4, 9)))})
    with pytest.raises(
        DataError, match=r"(?s)'im': no such input.*'in': unit out of range \(got 3.*'cur': no currents"
    ):
        s.check(example())
    wrong = Stimulus(batch=1, steps=4, currents={"in": np.zeros((1, 4, 3)), "cur": np.zeros((1, 4, 2))})
    with pytest.raises(DataError, match="'in': values for a spike input"):
        wrong.check(example())


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (Record(spikes=("lift",)), r"no spikes of that name \(got 'lift'; .*Did you mean 'lif'\?"),
        (Record(traces={"out": ("v",)}), r"record 'out': unknown state \(got 'v'; need one of y\)"),
        (Record(traces={"in": ("v",)}), r"no states of that name \(got 'in'"),
        (Record(traces="some"), r"traces not understood \(got 'some'"),
    ],
)
def test_record_refuses(record: Record, message: str) -> None:
    with pytest.raises(DataError, match=message):
        run(example(), draw_stimulus(example(), 1, 4, 0), "reference", record)


def test_capabilities_name_everything_that_is_missing() -> None:
    narrow = Capabilities(
        populations=frozenset({"SpikeInput", "LIF", "ALIF"}),
        resets=frozenset({"zero"}),
        max_delay=4,
        semantics=frozenset({"integer"}),
    )
    text = "\n".join(narrow.refusals(example()))
    for part in ("'cur': kind CurrentInput", "'out': kind LI", "'lif': reset 'threshold'", "'alif': reset 'adaptive'",
                 "'lif->alif': delay 9 (can: up to 4)", "float semantics (can: integer)", "neuro.quantize"):  # fmt: skip
        assert part in text
    assert Capabilities().refusals(example()) == []


def test_compile_names_the_feature_and_who_can() -> None:
    class Narrow(ReferenceBackend):
        name = "narrow"
        capabilities = Capabilities(resets=frozenset({"zero"}))

    with pytest.raises(UnsupportedError, match=r"backend 'narrow': cannot run this graph \(got population 'lif': reset 'threshold'.*"
                                               r"the engine runs every graph"):  # fmt: skip
        Narrow().compile(example())


def test_our_backends_are_found_by_entry_point() -> None:
    assert names()[:2] == ["engine", "reference"] and {"brian2", "lava", "nengo"} <= set(names())


def test_unknown_backend_names_the_nearest() -> None:
    with pytest.raises(
        UnsupportedError, match=r"backend 'brain2': not installed \(got 'brain2'; .*Did you mean 'brian2'\?"
    ):
        get("brain2")


def test_unknown_option_is_refused() -> None:
    with pytest.raises(UnsupportedError, match=r"backend 'engine': option not known \(got threads; need n_threads\)"):
        get("engine", threads=2)
    with pytest.raises(UnsupportedError, match=r"n_threads out of range \(got 0; need 1..1024\)"):
        get("engine", n_threads=0)


def test_package_that_does_not_import_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = EntryPoint(name="broken", value="no_such_package:Backend", group=registry.GROUP)
    monkeypatch.setattr(registry, "entry_points", lambda group: [broken])
    with pytest.raises(UnsupportedError, match="backend 'broken': its package does not import"):
        get("broken")


@pytest.mark.parametrize("fault", [NeuroError("no licence"), RuntimeError("boom")])
def test_probe_never_raises(fault: Exception) -> None:
    class Faulty(ReferenceBackend):
        def compile(self, graph: Any) -> Any:
            raise fault

    answer = probe(Faulty())
    assert not answer and str(fault) in answer.reason


def test_probe_compares_with_the_golden_model(monkeypatch: pytest.MonkeyPatch) -> None:
    from neuro.backend.golden import ReferenceProgram

    original = ReferenceProgram.run

    def wrong(self: Any, stimulus: Stimulus, record: Record = Record()) -> Any:  # noqa: B008
        r = original(self, stimulus, record)
        return replace(r, spikes={**r.spikes, "lif": Events.none()})

    monkeypatch.setattr(ReferenceProgram, "run", wrong)
    assert "wrong result on the probe" in ReferenceBackend().is_available().reason
    assert bool(Availability(True)) and not Availability(False, "x")


@pytest.mark.parametrize("able", [ReferenceBackend.capabilities, INTEGERS], ids=["both semantics", "integers alone"])
@pytest.mark.parametrize(("population", "state"), [("lif", "v"), ("out", "y")])
def test_probe_compares_every_state_it_is_shown(able: Capabilities, population: str, state: str) -> None:
    class Wrong(ReferenceBackend):
        capabilities = able
        off = 0.0
        shown = True

        def compile(self, graph: Graph) -> Any:
            require(self, graph)
            program = ReferenceBackend.compile(self, graph)
            original = program.run

            def run(stimulus: Stimulus, record: Record = Record()) -> Recording:  # noqa: B008
                r = original(stimulus, record)
                traces = {name: {s: v.copy() for s, v in states.items()} for name, states in r.traces.items()}
                traces[population][state][0, 3, 0] += self.off
                return replace(r, traces=traces if self.shown else {})

            program.run = run  # type: ignore[method-assign]
            return program

    backend = Wrong()
    assert backend.is_available()
    backend.off = 1.0
    assert "states differ from the golden model" in backend.is_available().reason
    backend.shown = False
    assert backend.is_available(), "a chip may have no states to show"


def test_resets_are_refused_of_integer_populations_too() -> None:
    able = replace(ReferenceBackend.capabilities, resets=frozenset({"zero"}))
    assert able.refusals(integer_example()) == ["population 'alif': reset 'adaptive' (can: zero)"]


def test_engine_reports_progress_and_splits_long_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    from neuro.engine import EngineBackend
    from neuro.engine import run as engine

    monkeypatch.setattr(engine, "_FIRST_WORK", 500)
    monkeypatch.setattr(engine, "_CALL_S", 0.0)
    graph, calls = example(), []
    stimulus = draw_stimulus(graph, 2, 90, 1)
    program = EngineBackend(progress=lambda *c: calls.append(c)).compile(graph)
    got = program.run(stimulus, Record(traces="all"))
    expected = run(graph, stimulus, "reference", Record(traces="all"))
    assert len(calls) > 3 and calls[-1] == (90, 90, "engine")
    assert got.spikes["alif"] == expected.spikes["alif"] and len(got.spikes["alif"]) > 0
    assert np.array_equal(got.traces["alif"]["a"], expected.traces["alif"]["a"])
