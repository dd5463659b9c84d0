"""Runs that go on as their input is made and their recording written: the same numbers, in memory that does not grow."""

from __future__ import annotations

import itertools
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import neuro
from neuro.backend import Record, Stimulus, StimulusStream, constant, poisson, run
from neuro.engine import EngineBackend
from neuro.engine import run as runs
from neuro.errors import DataError
from neuro.graph import Builder, Graph
from neuro.recording import load
from tests.engine.nets import drive, lively
from tests.engine.test_threads import ALL, same


def as_stream(stimulus: Stimulus) -> StimulusStream:
    """Return a stimulus that is given a few steps at a time."""

    def draw(first: int, last: int) -> Stimulus:
        return Stimulus(
            batch=stimulus.batch,
            steps=last - first,
            spikes={name: e.between(first, last).shifted(0, -first) for name, e in stimulus.spikes.items()},
            currents={name: u[:, first:last] for name, u in stimulus.currents.items()},
        )

    return StimulusStream(stimulus.batch, stimulus.steps, draw)


@pytest.fixture(params=[1, 3])
def case(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> tuple[Graph, Stimulus]:
    monkeypatch.setattr(runs, "_FIRST_WORK", 2_000)
    monkeypatch.setattr(runs, "_CALL_S", 0.0)
    graph = lively()
    return graph, drive(graph, request.param)


def test_a_stream_gives_what_the_whole_gives(case: tuple[Graph, Stimulus]) -> None:
    graph, stimulus = case
    whole = run(graph, stimulus, record=ALL)
    assert all(len(whole.spikes[p.name]) > 100 for p in graph.neurons)
    same(run(graph, as_stream(stimulus), record=ALL), whole)
    same(run(graph, as_stream(stimulus), "reference", record=ALL), whole)


def test_a_file_written_on_the_way_is_the_recording(case: tuple[Graph, Stimulus], tmp_path: Path) -> None:
    graph, stimulus = case
    whole = run(graph, stimulus, record=ALL)
    kept = Record(spikes=("in", "zero"), traces={"out": ("y",), "adaptive": ("a",)})
    told = run(graph, as_stream(stimulus), record=kept, to=tmp_path / "run.h5")
    assert not told.spikes and not told.traces and told.counts.spikes["zero"].sum() > 100
    read = load(tmp_path / "run.h5")
    assert set(read.spikes) == {"in", "zero"} and set(read.traces) == {"out", "adaptive"}
    assert read.spikes == {name: whole.spikes[name] for name in ("in", "zero")}
    assert np.array_equal(read.traces["out"]["y"], whole.traces["out"]["y"])
    assert np.array_equal(read.traces["adaptive"]["a"], whole.traces["adaptive"]["a"])
    for field in ("spikes", "synaptic_events"):
        mine, other = getattr(read.counts, field), getattr(whole.counts, field)
        assert {k: v.tolist() for k, v in mine.items()} == {k: v.tolist() for k, v in other.items()}
    assert (read.batch, read.steps, read.exact, read.interrupted) == (whole.batch, 120, True, False)


def test_every_backend_writes_a_file(tmp_path: Path) -> None:
    graph = lively(5)
    stimulus = drive(graph, 2, 30)
    told = run(graph, stimulus, "reference", ALL, to=tmp_path / "golden.h5")
    same(load(tmp_path / "golden.h5"), told)
    assert told.spikes


def driven() -> Graph:
    b = Builder(seed=1)
    b.spike_input("in", 20)
    b.current_input("u", 3)
    b.lif("n", 60, n_ref=2)
    b.li("out", 1)
    b.connect("in", "n", weight=0.2, p=0.5)
    b.connect("u", "n", weight=lambda rng, k: rng.normal(0, 0.05, k))
    b.connect("n", "n", weight=lambda rng, k: rng.normal(0, 0.1, k), fan_in=10, delay=(1, 5))
    b.connect("n", "out", weight=0.1)
    return b.build()


def both(steps: int, batch: int = 1) -> StimulusStream:
    """Return Poisson spikes and constant currents in one stream."""
    spikes = poisson({"in": np.linspace(0, 80, 20)}, steps=steps, batch=batch, seed=4)
    currents = constant({"u": [0.5, -0.25, 1.0]}, steps=steps, batch=batch)

    def draw(first: int, last: int) -> Stimulus:
        a, b = spikes.part(first, last), currents.part(first, last)
        return Stimulus(batch=batch, steps=last - first, spikes=a.spikes, currents=b.currents)

    return StimulusStream(batch, steps, draw)


def test_poisson_does_not_depend_on_how_it_is_cut() -> None:
    stream = both(500, batch=2)
    whole = stream.whole().spikes["in"].to_dense(2, 500, 20)
    cuts = [0, 1, 63, 64, 65, 300, 500]
    pieces = [stream.part(a, b).spikes["in"].to_dense(2, b - a, 20) for a, b in itertools.pairwise(cuts)]
    assert np.array_equal(np.concatenate(pieces, axis=1), whole)
    rates = whole.mean(axis=(0, 1)) * 1000
    spread = np.sqrt(rates.max() * 1000 / (2 * 500))  # one standard deviation of a rate, Hz
    assert rates[0] == 0 and abs(rates - np.linspace(0, 80, 20)).max() < 5 * spread
    assert not np.array_equal(whole[0], whole[1])
    same(run(driven(), stream, record=ALL), run(driven(), stream.whole(), "reference", ALL))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: poisson({"in": [10.0, 2000.0]}, steps=5),
            r"poisson 'in': rates out of range \(got 2000 Hz; need .* 0..1000 Hz",
        ),
        (lambda: poisson({"in": 10.0}, steps=5), r"rates out of range \(got shape \(\); need one rate a channel"),
        (lambda: StimulusStream(1, 0, lambda a, b: Stimulus(batch=1, steps=b - a)), r"steps out of range \(got 0"),
        (
            lambda: StimulusStream(2, 9, lambda a, b: Stimulus(batch=1, steps=b - a)).whole(),
            r"wrong shape of steps 0..8 \(got batch 1, 9 steps; need batch 2, 9 steps\)",
        ),
        (
            lambda: neuro.backend.get("reference").compile(driven()).run(both(5)),  # type: ignore[arg-type]
            "this backend takes whole stimuli",
        ),
        (
            lambda: run(driven(), constant({"u": [0.5, 0.1, 0.0]}, steps=5)),
            r"stimulus 'u': value off its grid \(got 0.1",
        ),
    ],
)
def test_streams_refuse(call: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        call()  # type: ignore[operator]


MEASURE = """
import re, sys
from pathlib import Path
from neuro.backend import run, Record
from tests.engine.test_stream import both, driven
done = run(driven(), both(int(sys.argv[1])), record=Record(traces={"n": ("v",)}), to=sys.argv[2])
assert done.counts.spikes["n"].sum() > 1000
peak = re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())  # getrusage also counts what forked this
print(peak[1])
"""


def test_memory_does_not_grow_with_steps(tmp_path: Path) -> None:
    # 100,000 steps more: kept in memory, their spikes and traces alone would be tens of megabytes.
    def peak_kb(steps: int) -> int:
        command = [sys.executable, "-c", MEASURE, str(steps), str(tmp_path / f"{steps}.h5")]
        done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2])
        return int(done.stdout)

    short, long = peak_kb(20_000), peak_kb(120_000)
    written = (tmp_path / "120000.h5").stat().st_size - (tmp_path / "20000.h5").stat().st_size
    assert written > 40 * 2**20, "the longer run must have more to hold than the bound below"
    assert long < short + 8 * 1024, (short, long)


def test_a_stream_that_fails_leaves_what_was_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "_FIRST_WORK", 2_000)
    monkeypatch.setattr(runs, "_CALL_S", 0.0)
    stream = both(400)

    def draw(first: int, last: int) -> Stimulus:
        if last > 200:
            raise DataError("source: no more data (got its end; need more). Record longer.")
        return stream.part(first, last)

    with pytest.raises(DataError, match="no more data"):
        run(driven(), StimulusStream(1, 400, draw), EngineBackend(), to=tmp_path / "part.h5")
    part = load(tmp_path / "part.h5")
    assert part.interrupted and 0 < part.steps <= 200
    whole = run(driven(), stream)
    assert len(part.spikes["n"]) > 10
    assert part.spikes["n"] == whole.spikes["n"].between(0, part.steps)
