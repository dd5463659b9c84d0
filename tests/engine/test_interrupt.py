"""Ctrl-C: what was recorded so far is not lost."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import neuro
from neuro.backend import Record, RunInterrupted, run
from neuro.engine import EngineBackend
from neuro.engine import run as runs
from neuro.graph import Graph
from neuro.recording import Recording, load, save
from tests.engine.nets import drive, lively
from tests.engine.test_stream import both, driven
from tests.engine.test_threads import ALL

STEPS = 120


@pytest.fixture(autouse=True)
def _short_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "_FIRST_WORK", 2_000)
    monkeypatch.setattr(runs, "_CALL_S", 0.0)


def stop_at(step: int) -> EngineBackend:
    """Return an engine that is interrupted when it has told of that step."""

    def progress(done: int, total: int, what: str) -> None:
        if done >= step:
            raise KeyboardInterrupt

    return EngineBackend(n_threads=2, progress=progress)


def is_begin_of(part: Recording, whole: Recording, graph: Graph) -> None:
    """Hold a part of a run to the whole."""
    batch, steps = part.batch, part.steps
    for p in (*graph.inputs, *graph.neurons):
        if p.name in whole.spikes:
            assert part.spikes[p.name] == whole.spikes[p.name].select(0, batch).between(0, steps)
            assert part.counts.spikes[p.name].tolist() == [
                int((part.spikes[p.name].sample == b).sum()) for b in range(batch)
            ]
    for name, states in whole.traces.items():
        for state, values in states.items():
            assert np.array_equal(part.traces[name][state], values[:batch, :steps])
    assert part.counts.neuron_updates["zero"] == 40 * steps


def test_interrupted_run_returns_the_steps_done() -> None:
    graph = lively()
    stimulus = drive(graph, 1, STEPS)
    whole = run(graph, stimulus, record=ALL)
    with pytest.warns(RuntimeWarning, match=r"interrupted after 1 samples of \d+ steps: what was recorded so far is"):
        part = run(graph, stimulus, stop_at(40), ALL)
    assert part.interrupted and 40 <= part.steps < STEPS and len(part.spikes["zero"]) > 50
    is_begin_of(part, whole, graph)
    assert not whole.interrupted


def test_of_a_batch_the_samples_that_ended_are_returned() -> None:
    graph = lively()
    stimulus = drive(graph, 7, STEPS)
    whole = run(graph, stimulus, record=ALL)
    with pytest.raises(RunInterrupted) as stopped:
        stop_at(60).compile(graph).run(stimulus, ALL)
    part = stopped.value.recording
    assert (part.interrupted, part.steps) == (True, STEPS) and 2 <= part.batch < 7
    is_begin_of(part, whole, graph)


def test_a_signal_is_held_back_until_the_recording_is_whole() -> None:
    graph, fired = driven(), []

    def fire(done: int, total: int, what: str) -> None:
        if done > 1_000 and not fired:
            fired.append(done)
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.warns(RuntimeWarning, match="interrupted after"):
        part = run(graph, both(10_000_000), EngineBackend(progress=fire))
    assert fired[0] <= part.steps < 10_000_000 and part.interrupted
    assert part.spikes["n"] == run(graph, both(part.steps)).spikes["n"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_signal_in_the_last_call_is_heard_and_the_recording_is_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "_FIRST_WORK", 10**12)  # one call, nothing looks at the signal after it
    graph = lively()
    stimulus = drive(graph, 2, STEPS)

    def progress(done: int, total: int, what: str) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(RunInterrupted) as caught:
        EngineBackend(n_threads=1, progress=progress).compile(graph).run(stimulus)
    whole = EngineBackend(n_threads=1).compile(graph).run(stimulus)
    part = caught.value.recording
    assert (part.batch, part.steps, part.interrupted) == (2, STEPS, True)
    assert sum(len(e.unit) for e in whole.spikes.values()) > 0
    assert part.spikes == whole.spikes
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_before_anything_is_recorded_an_interrupt_is_an_interrupt() -> None:
    def draw(first: int, last: int) -> neuro.Stimulus:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as stopped:
        run(driven(), neuro.StimulusStream(1, 10, draw))
    assert not isinstance(stopped.value, RunInterrupted)


def test_file_of_an_interrupted_run_is_whole(tmp_path: Path) -> None:
    graph = lively()
    stimulus = drive(graph, 3, STEPS)
    whole = run(graph, stimulus, record=ALL)
    with pytest.warns(RuntimeWarning, match="interrupted after 3 samples"):
        told = run(graph, stimulus, stop_at(30), ALL, to=tmp_path / "part.h5")
    part = load(tmp_path / "part.h5")
    assert part.interrupted and told.interrupted and 30 <= part.steps == told.steps < STEPS and part.batch == 3
    is_begin_of(part, whole, graph)
    save(part, tmp_path / "again.h5")
    assert load(tmp_path / "again.h5").interrupted


def test_other_threads_and_other_handlers_are_left_alone() -> None:
    graph, found = driven(), []
    thread = threading.Thread(target=lambda: found.append(run(graph, both(50))))
    thread.start()
    thread.join()
    assert found[0].steps == 50
    heard: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, frame: heard.append(number))
    try:
        backend = EngineBackend(progress=lambda done, total, what: heard or os.kill(os.getpid(), signal.SIGINT))
        recording = run(graph, both(50), backend)
        time.sleep(0)
    finally:
        signal.signal(signal.SIGINT, before)
    assert heard == [signal.SIGINT] and recording.steps == 50 and not recording.interrupted


def test_nothing_but_spikes_that_were_asked_for() -> None:
    with pytest.warns(RuntimeWarning, match="interrupted"):
        part = run(lively(), drive(lively(), 1, STEPS), stop_at(40), Record(spikes=("zero",)))
    assert set(part.spikes) == {"zero"} and not part.traces
