"""Check events, counts and the recording's file and conversions."""

from __future__ import annotations

import csv
import itertools
import sys
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neuro.backend import Capabilities, Record, run
from neuro.backend.conformance import Limits, draw_stimulus, example, graphs, integer_example
from neuro.errors import DataError, UnsupportedError
from neuro.graph import CurrentInput, Graph
from neuro.recording import (
    Counter,
    Counts,
    Events,
    Recording,
    count,
    counts,
    load,
    make,
    save,
    to_neo,
    to_nir,
    to_pandas,
)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=50, deadline=None)
def test_events_and_dense_arrays_are_the_same_thing(seed: int) -> None:
    rng = np.random.default_rng(seed)
    dense = rng.random(tuple(rng.integers(1, 9, 3))) < 0.3
    events = Events.from_dense(dense)
    assert np.array_equal(events.to_dense(*dense.shape), dense) and len(events) == dense.sum()
    order = rng.permutation(len(events))
    assert Events(events.sample[order], events.step[order], events.unit[order]) == events
    low, high = sorted(rng.integers(0, dense.shape[0] + 1, 2))
    assert np.array_equal(events.select(low, high).to_dense(high - low, *dense.shape[1:]), dense[low:high])


@pytest.mark.parametrize(
    ("make_events", "message"),
    [
        (
            lambda: Events.from_dense(np.full((1, 1, 2), 0.5)),
            r"not a spike train \(got 0.5 at .* \(0, 0, 0\); need 0 or 1\)",
        ),
        (lambda: Events.from_dense(np.zeros((2, 3))), r"wrong shape \(got \(2, 3\); need \(batch, steps, units\)\)"),
        (lambda: Events(np.zeros(2, int), np.zeros(2, int), np.zeros(2, int)), "a spike is given twice"),
        (lambda: Events(np.zeros(2, int), np.zeros(1, int), np.zeros(2, int)), "columns differ in length"),
        (lambda: Events(np.zeros(2), np.zeros(2), np.zeros(2)), "sample is not a list of integers"),
    ],
)
def test_events_refuse(make_events: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        make_events()  # type: ignore[operator]


def test_events_are_compared_by_value_only_with_events() -> None:
    assert Events.none() != 3 and Events.none() == Events.none()


@settings(max_examples=60, deadline=None)
@given(graphs(Limits(neurons=20), Capabilities()), st.integers(1, 3), st.integers(1, 30), st.integers(0, 2**32 - 1))
def test_synaptic_events_are_arrivals_within_the_run(graph: Graph, batch: int, steps: int, seed: int) -> None:
    stimulus = draw_stimulus(graph, batch, steps, seed)
    recording = run(graph, stimulus, "reference")
    for c in graph.projections:
        source = graph.population(c.source)
        if isinstance(source, CurrentInput):
            sent = stimulus.currents[c.source] != 0
        else:
            sent = recording.spikes[c.source].to_dense(batch, steps, source.size)
        expected = [
            sum(int(sent[b, : max(steps - d, 0), i].sum()) for i, d in zip(c.pre, c.delay, strict=True))
            for b in range(batch)
        ]
        assert recording.counts.synaptic_events[c.name].tolist() == expected
    for p in graph.receivers:
        assert recording.counts.neuron_updates[p.name] == p.size * steps


def example_recording() -> tuple[Graph, Recording]:
    graph = example()
    return graph, run(graph, draw_stimulus(graph, 3, 40, 1), "reference", Record(traces="all"))


def test_rate_is_spikes_over_neurons_and_seconds() -> None:
    _, r = example_recording()
    n = int(r.counts.spikes["lif"].sum())
    assert n > 0 and r.rate_hz("lif") == pytest.approx(n / (3 * 8 * 40e-3))


def test_recording_file_round_trip(tmp_path: Path) -> None:
    _, r = example_recording()
    save(r, tmp_path / "r.h5")
    again = load(tmp_path / "r.h5")
    for field in (
        "backend",
        "graph_sha256",
        "exact",
        "dt_ms",
        "batch",
        "steps",
        "sizes",
        "wall_time_s",
        "versions",
        "spikes",
    ):
        assert getattr(again, field) == getattr(r, field), field
    assert all(np.array_equal(again.traces[p][s], v) for p, states in r.traces.items() for s, v in states.items())
    assert {k: v.tolist() for k, v in again.counts.spikes.items()} == {
        k: v.tolist() for k, v in r.counts.spikes.items()
    }


def test_clips_survive_the_file_and_older_files_have_none(tmp_path: Path) -> None:
    graph, path = integer_example(), tmp_path / "r.h5"
    r = run(graph, draw_stimulus(graph, 3, 40, 1), "reference")
    rng = np.random.default_rng(0)
    clips = {p: {s: rng.integers(1, 9, 3) for s in by} for p, by in r.counts.saturations.items()}
    save(replace(r, counts=replace(r.counts, saturations=clips)), path)
    again = load(path)
    assert again.exact
    assert {p: {s: n.tolist() for s, n in by.items()} for p, by in again.counts.saturations.items()} == {
        p: {s: n.tolist() for s, n in by.items()} for p, by in clips.items()
    }
    with h5py.File(path, "r+") as file:
        del file["n_saturations"]
    assert load(path).counts.saturations == {} and load(path).spikes == again.spikes
    with h5py.File(path, "r+") as file:
        file["n_saturations/lif/u"] = np.zeros(3)
    with pytest.raises(DataError, match="n_saturations/lif"):
        load(path)


def test_a_run_must_count_the_clips_of_every_state() -> None:
    graph = integer_example()
    r = run(graph, draw_stimulus(graph, 1, 9, 1), "reference")
    clips = {name: dict(by) for name, by in r.counts.saturations.items()}
    del clips["ahp"]["x"]

    def made(saturations: dict[str, dict[str, np.ndarray]] | None) -> Recording:
        return make(
            graph, backend="b", versions={}, exact=True, batch=1, steps=9, spikes=r.spikes, currents={}, traces={}, keep=(),
            wall_time_s=0.0, saturations=saturations,
        )  # fmt: skip

    assert made(dict(r.counts.saturations)).exact  # type: ignore[arg-type]
    with pytest.raises(DataError, match=r"clips of 'ahp' not counted \(got \['u', 'v'\]; need \['u', 'v', 'x'\]\)"):
        made(clips)
    with pytest.raises(DataError, match=r"clips of 'lif' not counted \(got \[\]; need \['u', 'v'\]\)"):
        made(None)


def test_damaged_recording_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "r.h5"
    save(example_recording()[1], path)
    with h5py.File(path, "r+") as file:
        del file["spikes/lif/unit"]
    with pytest.raises(DataError, match=r"part missing \(got none; need 'unit'\)"):
        load(path)
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(DataError, match="file cannot be read"):
        load(path)


def test_recording_of_an_incomplete_run_is_refused() -> None:
    graph, r = example_recording()
    with pytest.raises(DataError, match=r"no spikes of \['alif'\]"):
        make(graph, backend="x", versions={}, exact=True, batch=3, steps=40, traces={}, keep=(), wall_time_s=0.0,
             spikes={k: v for k, v in r.spikes.items() if k != "alif"}, currents={"cur": np.zeros((3, 40, 2))})  # fmt: skip


def test_counts_of_nothing_are_zero() -> None:
    graph = example()
    silent = {"in": Events.none(), "lif": Events.none(), "alif": Events.none()}
    counts = count(graph, silent, {"cur": np.zeros((2, 5, 2))}, 2, 5)
    assert all(v.tolist() == [0, 0] for v in (*counts.spikes.values(), *counts.synaptic_events.values()))


def test_pandas_table_has_one_row_a_spike() -> None:
    _, r = example_recording()
    table = to_pandas(r)
    assert len(table) == sum(len(e) for e in r.spikes.values()) and set(table.population) == {"in", "lif", "alif"}
    assert (table.time_ms == table.step * r.dt_ms).all()


def test_neo_block_has_a_segment_a_sample_and_a_train_a_unit() -> None:
    _, r = example_recording()
    block = to_neo(r)
    assert len(block.segments) == 3 and len(block.segments[0].spiketrains) == 3 + 8 + 5
    assert sum(len(t) for s in block.segments for t in s.spiketrains) == sum(len(e) for e in r.spikes.values())


def test_neo_signals_are_the_traces_on_the_grid_of_steps() -> None:
    _, r = example_recording()
    signals = r.to_neo().segments[2].analogsignals
    found = {(s.annotations["population"], s.annotations["state"]): s for s in signals}
    assert set(found) == {(p, s) for p, states in r.traces.items() for s in states}
    assert np.array_equal(found["alif", "a"].magnitude, r.traces["alif"]["a"][2]) and r.traces["alif"]["a"][2].any()
    assert found["alif", "a"].sampling_period.rescale("ms").item() == r.dt_ms and found["out", "y"].shape == (40, 2)


def test_csv_is_the_table_of_pandas(tmp_path: Path) -> None:
    _, r = example_recording()
    r = replace(r, dt_ms=0.1, spikes={'a "b", c\n': r.spikes["lif"], "in": r.spikes["in"]})
    r.to_csv(tmp_path / "spikes.csv")
    with (tmp_path / "spikes.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    table = r.to_pandas().to_dict("records")
    assert len(rows) == len(table) > 10
    assert [(x["population"], int(x["sample"]), int(x["step"]), int(x["unit"]), float(x["time_ms"])) for x in rows] == [
        tuple(x.values()) for x in table
    ]
    assert list(tmp_path.iterdir()) == [tmp_path / "spikes.csv"]


def test_csv_that_cannot_be_written_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, r = example_recording()
    (tmp_path / "spikes.csv").write_text("old")
    monkeypatch.setattr(csv, "writer", lambda file: file.no_such_name)
    with pytest.raises(AttributeError):
        r.to_csv(tmp_path / "spikes.csv")
    assert [p.read_text() for p in tmp_path.iterdir()] == ["old"]


def test_methods_of_a_recording_are_the_functions() -> None:
    _, r = example_recording()
    assert r.to_pandas().equals(to_pandas(r))
    assert set(r.to_nir_data().nodes) == set(to_nir(r).nodes) == {"in", "lif", "alif", "out"}
    trains = [[t.magnitude.tolist() for s in b.segments for t in s.spiketrains] for b in (r.to_neo(), to_neo(r))]
    assert trains[0] == trains[1] and any(trains[0])


def test_nir_data_has_events_and_traces_that_grid_back_to_the_run() -> None:
    _, r = example_recording()
    nodes = to_nir(r).nodes
    gridded = nodes["lif"].observables["spikes"].to_time_gridded(r.dt_ms / 1000)
    assert np.array_equal(gridded.data, r.spikes["lif"].to_dense(3, 40, 8)) and gridded.data.sum() > 0
    assert np.array_equal(nodes["out"].observables["y"].data, r.traces["out"]["y"])


def test_missing_converter_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(UnsupportedError, match="pandas is not installed"):
        to_pandas(example_recording()[1])
    monkeypatch.setitem(sys.modules, "neo", None)
    with pytest.raises(UnsupportedError, match="neo is not installed"):
        example_recording()[1].to_neo()


def test_recording_is_an_immutable_value() -> None:
    _, r = example_recording()
    assert replace(r, backend="x").backend == "x"
    with pytest.raises(ValueError, match="read-only"):
        r.spikes["lif"].step[0] = 3


def test_samples_of_a_recording_are_a_recording_of_their_own() -> None:
    graph = example()
    whole = run(graph, draw_stimulus(graph, 3, 40, 1), "reference", Record(traces="all"))
    part = whole.select(1, 3)
    alone = run(graph, draw_stimulus(graph, 3, 40, 1).select(1, 3), "reference", Record(traces="all"))
    assert (part.batch, part.spikes) == (2, alone.spikes)
    assert sum(map(len, part.spikes.values())) > 10
    assert all(np.array_equal(part.traces[p][s], v) for p, by in alone.traces.items() for s, v in by.items())
    assert {k: v.tolist() for k, v in part.counts.synaptic_events.items()} == {
        k: v.tolist() for k, v in alone.counts.synaptic_events.items()
    }
    integers = integer_example()
    r = run(integers, draw_stimulus(integers, 3, 40, 1), "reference")
    clipped = replace(r, counts=replace(r.counts, saturations={"lif": {"u": np.array([4, 5, 6])}}))
    assert [clipped.select(k, k + 1).counts.saturations["lif"]["u"].tolist() for k in range(3)] == [[4], [5], [6]]
    with pytest.raises(DataError, match=r"samples out of range \(got 2..4; need within 0..3\)"):
        whole.select(2, 4)


def test_integer_recording_converts_as_a_float_one() -> None:
    graph = integer_example()
    r = run(graph, draw_stimulus(graph, 2, 40, 1), "reference", Record(traces="all"))
    nodes = to_nir(r).nodes
    assert set(nodes["ahp"].observables) == {"spikes", "u", "v", "x"}
    assert np.array_equal(nodes["out"].observables["y"].data, r.traces["out"]["y"])
    assert np.array_equal(r.traces["out"]["y"], np.rint(r.traces["out"]["y"])) and r.traces["out"]["y"].any()
    assert len(to_pandas(r)) == sum(len(e) for e in r.spikes.values()) > 10
    assert sum(len(t) for s in to_neo(r).segments for t in s.spiketrains) == len(to_pandas(r))


@settings(max_examples=40, deadline=None)
@given(
    graphs(Limits(neurons=20), Capabilities()),
    st.integers(1, 3),
    st.integers(1, 40),
    st.integers(0, 2**32 - 1),
    st.sampled_from([0, 8]),
)
def test_counting_on_the_way_is_counting_at_the_end(
    graph: Graph, batch: int, steps: int, seed: int, sort_from: int
) -> None:
    stimulus = draw_stimulus(graph, batch, steps, seed)
    recording = run(graph, stimulus, "reference")
    rng = np.random.default_rng(seed)
    cuts = [0, *np.sort(rng.integers(0, steps + 1, 3)).tolist(), steps]
    counter = Counter(graph, batch)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(counts, "_SORT_FROM", sort_from)  # 0: always sort
        patch.setattr(counts, "_LOOKED_AT", 7)
        for first, last in itertools.pairwise(cuts):
            spikes = {name: e.between(first, last) for name, e in recording.spikes.items()}
            currents = {name: u[:, first:last] for name, u in stimulus.currents.items()}
            counter.add(spikes, currents, first)
        found = counter.finish(steps)
    for field in ("spikes", "synaptic_events"):
        mine, other = getattr(found, field), getattr(recording.counts, field)
        assert {k: v.tolist() for k, v in mine.items()} == {k: v.tolist() for k, v in other.items()}
    joined = Counts.join([recording.counts.select(b, b + 1) for b in range(batch)])
    assert {k: v.tolist() for k, v in joined.spikes.items()} == {k: v.tolist() for k, v in found.spikes.items()}


def test_a_packed_array_is_refused(tmp_path: Path) -> None:
    _, r = example_recording()
    save(r, tmp_path / "r.h5")
    with h5py.File(tmp_path / "r.h5", "a") as file:
        values = file["spikes/lif/step"][...]
        del file["spikes/lif/step"]
        file["spikes/lif"].create_dataset("step", data=values, chunks=(4,), compression="gzip")
    with pytest.raises(DataError, match=r"array is packed \(got a filter; need plain bytes\)"):
        load(tmp_path / "r.h5")
