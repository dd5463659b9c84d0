"""Check the graph file: round trip is identity, and whatever is truncated, damaged or edited is refused by name."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from neuro import _hdf5
from neuro.backend import Capabilities
from neuro.backend.conformance import Limits, example, graphs
from neuro.backend.integer_graphs import integer_graphs
from neuro.errors import GraphError
from neuro.graph import INTEGER_KINDS, MAX_INT_DELAY, RESETS, Graph, load, save


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(graphs(Limits(neurons=30), Capabilities()) | integer_graphs(20, INTEGER_KINDS, frozenset(RESETS), MAX_INT_DELAY))
def test_round_trip_is_identity(tmp_path: Path, graph: Graph) -> None:
    graph = graph.with_notes(task="{}", text="äöü " * 100)
    save(graph, tmp_path / "graph.h5")
    again = load(tmp_path / "graph.h5")
    assert again == graph and again.sha256 == graph.sha256 and list(again.notes) == sorted(graph.notes)
    assert [p.name for p in again.populations] == [p.name for p in graph.populations]


def test_long_notes_fit(tmp_path: Path) -> None:
    graph = example().with_notes(recipe="x" * 200_000)
    save(graph, tmp_path / "graph.h5")
    assert load(tmp_path / "graph.h5").notes == graph.notes


def test_saving_is_atomic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "graph.h5"
    save(example(), path)
    before = path.read_bytes()
    monkeypatch.setattr(_hdf5, "put", lambda *a: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        save(example().with_notes(a="b"), path)
    assert path.read_bytes() == before and os.listdir(tmp_path) == ["graph.h5"]


def edited(tmp_path: Path, edit: Callable[[Any], None]) -> Path:
    path = tmp_path / "graph.h5"
    save(example(), path)
    with h5py.File(path, "r+") as file:
        edit(file)
    return path


def _weight(file: Any) -> None:
    file["projections/in->lif/weight"][0] += 1.0


def _replace(node: str, data: Any) -> Callable[[Any], None]:
    def edit(file: Any) -> None:
        del file[node]
        file[node] = data

    return edit


def _attribute(node: str, key: str, value: Any) -> Callable[[Any], None]:
    return lambda file: file[node].attrs.__setitem__(key, value)


def _huge(file: Any) -> None:
    del file["projections/in->lif/weight"]
    file["projections/in->lif"].create_dataset("weight", shape=(10**12,), dtype="<f8", chunks=(10**6,))


def _external(file: Any) -> None:
    del file["populations/lif/alpha"]
    file["populations/lif/alpha"] = h5py.ExternalLink("other.h5", "/alpha")


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (_weight, r"grid: weight of 'in->lif' is off it|content does not match its hash"),
        (_attribute("/", "dt_ms", 0.5), "content does not match its hash"),
        (_attribute("/", "schema_version", 99), r"schema version not supported \(got 99; need 1\)"),
        (_attribute("/", "format", "nir"), r"another kind of file \(got 'nir'; need 'neuro-graph'\)"),
        (_attribute("/", "dt_ms", "fast"), "attribute 'dt_ms' has the wrong type"),
        (_attribute("/", "more", 1), r"attributes differ from the schema \(got unknown \['more'\]"),
        (lambda file: file.attrs.__delitem__("sha256"), r"attributes differ .* missing \['sha256'\]"),
        (lambda file: file.attrs.__delitem__("format"), r"attribute missing \(got none; need 'format'\)"),
        (lambda file: file.__delitem__("notes"), r"members differ .* missing \['notes'\]"),
        (lambda file: file.create_group("code"), r"members differ from the schema \(got unknown \['code'\]"),
        (_attribute("populations/lif", "kind", "LIFF"), r"unknown kind \(got 'LIFF'; need one of .*\)\. Did you mean 'LIF'\?"),
        (_attribute("populations/lif", "reset", "none"), "unknown reset"),
        (_attribute("populations/lif", "size", 9), r"'lif': alpha has the wrong shape \(got \(8,\); need \(9,\)\)"),
        (_attribute("populations/lif", "size", 8.0), "attribute 'size' has the wrong type"),
        (_attribute("populations/lif", "index", 7), "order is damaged"),
        (_attribute("projections/in->lif", "target", "lff"), "unknown population"),
        (lambda file: file["populations/lif"].attrs.__delitem__("reset"), r"attributes differ .* missing \['reset'\]"),
        (lambda file: file["populations/lif"].__delitem__("alpha"), r"members differ .* missing \['alpha'\]"),
        (_replace("populations/lif/alpha", np.full(8, 0.5, np.float32)), r"wrong type of array \(got float32, 1-d; need float64"),
        (_replace("populations/lif/alpha", np.full((8, 1), 0.5)), "wrong type of array"),
        (_replace("populations/lif/alpha", np.full(8, np.nan)), "alpha out of range"),
        (_replace("projections/lif->alif/delay", 0), "wrong type of array"),
        (_huge, "array is larger than the file"),
        (_external, "link to another place"),
        (lambda file: file["populations"].__setitem__("twin", file["populations/lif"]), "order is damaged"),
    ],
)  # fmt: skip
def test_edited_file_is_refused(tmp_path: Path, edit: Callable[[Any], None], message: str) -> None:
    path = edited(tmp_path, edit)
    with pytest.raises(GraphError, match=message) as caught:
        load(path)
    assert str(path) in str(caught.value)


def test_delay_zero_between_neurons_in_a_file_is_refused(tmp_path: Path) -> None:
    path = edited(tmp_path, lambda file: file["projections/lif->alif/delay"].__setitem__(0, 0))
    with pytest.raises(GraphError, match=r"'lif->alif': delay out of range \(got 0; need 1..4095 between neurons"):
        load(path)


def test_truncated_file_is_refused_at_every_length(tmp_path: Path) -> None:
    path = tmp_path / "graph.h5"
    save(example(), path)
    whole = path.read_bytes()
    for length in range(0, len(whole), max(1, len(whole) // 60)):
        path.write_bytes(whole[:length])
        with pytest.raises(GraphError, match=r"graph\.h5"):
            load(path)


def test_flipped_bytes_never_load_as_another_graph(tmp_path: Path) -> None:
    path = tmp_path / "graph.h5"
    save(example(), path)
    whole = np.frombuffer(path.read_bytes(), np.uint8)
    rng, refused = np.random.default_rng(0), 0
    for _ in range(150):
        damaged = whole.copy()
        damaged[rng.integers(len(whole))] ^= np.uint8(1 << rng.integers(8))
        path.write_bytes(damaged.tobytes())
        try:
            graph = load(path)
        except GraphError:
            refused += 1
        else:  # bytes that carry no meaning, or the name and the notes, which are not the network
            assert graph.sha256 == example().sha256
    assert refused > 20


def test_missing_file_and_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(GraphError, match="no such file"):
        load(tmp_path / "none.h5")
    with pytest.raises(GraphError, match="no such file"):
        load(tmp_path)
