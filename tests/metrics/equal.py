"""Compare the whole workload of a run on a backend with that of the golden model's run, every count of every sample by ==."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from neuro.backend import Backend, Record, Stimulus, Teacher, get
from neuro.backend.conformance import draw_stimulus, example, integer_example
from neuro.deploy import placement
from neuro.graph import AHP, FLOAT_KINDS, INTEGER_KINDS, Graph, load
from neuro.learning import STDP, attach, make_room
from neuro.learning.reference import learn
from neuro.metrics import Mesh, Workload, neurobench, workload
from neuro.recording import Recording
from tests.learning import nets

MODELS = Path(__file__).resolve().parents[2] / "models"
MESH = Mesh(cores_per_tile=1, columns=2, rows=2)


class Scattered:
    """A placement of neurons at random on four cores of a chip and one of another."""

    n_cores, n_chips, chip_of = 5, 2, np.array([0, 0, 0, 0, 1])

    def __init__(self, graph: Graph) -> None:
        rng = np.random.default_rng(9)
        self.core_of = {p.name: rng.integers(0, 5, p.size) for p in graph.receivers}


def cases() -> Iterator[tuple[Graph, Stimulus]]:
    """Yield small graphs of both semantics with every kind of population, and the zoo's float and loihi1 models of digits."""
    for graph, seed in ((example(), 3), (integer_example(), 4)):
        yield graph, draw_stimulus(graph, 5, 70, seed)
    for name in ("digits_lsnn", "digits_loihi1"):
        graph = load(MODELS / name / "graph.h5")
        yield graph, draw_stimulus(graph, 2, 40, 5)


def assert_workloads_are_equal(backend: Backend) -> None:
    """Run every case of a backend's semantics, and compare all counts with those of the golden model; none of them is zero."""
    able, seen = backend.capabilities.semantics, set[str]()
    for graph, stimulus in cases():
        if graph.semantics not in able:
            continue
        got, wanted = (_counted(graph, stimulus, b) for b in (backend, get("reference")))
        assert_same(got, wanted)
        _not_vacuous(graph, got[0])
        seen |= {type(p).__name__ for p in graph.populations}
    assert seen == set().union(*({"float": FLOAT_KINDS, "integer": INTEGER_KINDS}[name] for name in able))


def assert_learning_updates_are_equal(backend: Backend) -> None:
    """Learn by STDP on a backend, sample after sample, and compare the learning updates of each with the golden model's."""
    plain = nets.net(0, grid=False)
    positive = [replace(c, weight=np.abs(c.weight)) if c.target != "y" else c for c in plain.projections]
    rule, names = STDP(w_max=4.0), [c.name for c in positive if c.target != "y"]
    graph = make_room(attach(replace(plain, projections=tuple(positive)), rule, names))[0]
    stimulus, shape = nets.stimulus(graph, 3), (3, nets.STEPS)
    teacher = Teacher(loss="none", target=np.zeros((*shape, 0)), mask=np.ones(shape))
    one = Teacher(loss="none", target=np.zeros((1, shape[1], 0)), mask=np.ones((1, shape[1])))
    program: Any = backend.compile(graph)
    try:
        recordings = [program.run(stimulus.select(k, k + 1), Record()) for k in range(3)]
        learned = [program.learn(stimulus.select(k, k + 1), one) for k in range(3)]
    finally:
        program.close()
    each = workload(graph, recordings, learned=learned).learning_updates
    whole = learn(graph, stimulus, teacher)
    assert {name: int(n.sum()) for name, n in each.items()} == dict(whole.n_updates)
    spread = workload(graph, get("reference").compile(graph).run(stimulus, Record()), learned=whole).learning_updates
    for name in names:
        assert each[name].min() > 10 and len(set(each[name].tolist())) > 1, (name, each[name])
        assert spread[name].sum() == each[name].sum() and np.ptp(spread[name]) <= 1


def _counted(graph: Graph, stimulus: Stimulus, backend: Backend) -> list[Any]:
    program = backend.compile(graph)
    try:
        recording: Recording = program.run(stimulus, Record())
    finally:
        program.close()
    assert recording.exact and recording.backend == backend.name
    currents = stimulus.currents or None
    made: list[Any] = [
        workload(graph, recording, currents=currents, placed=Scattered(graph), mesh=MESH),
        neurobench(graph, recording, currents=currents),
    ]
    if graph.semantics == "integer":
        made.append(workload(graph, recording, placed=placement(graph, "loihi1")))
    return made


def _not_vacuous(graph: Graph, w: Workload) -> None:
    for name, n in (*w.spikes.items(), *w.synaptic_events.items()):
        assert n.min() > 0, (graph.name, name)
    for name, u in w.updates.items():
        assert u.active.min() > 0 and u.idle.min() > 0, (graph.name, name)
        compartments = 2 if isinstance(graph.population(name), AHP) else 1
        assert np.all(u.active + u.idle == compartments * graph.population(name).size * w.steps)
    r = w.routing
    assert r is not None
    assert (
        min(int(getattr(r, f).min()) for f in r.__dataclass_fields__ if f != "within_tile") > 0
    )  # a tile has one core


def assert_same(a: Any, b: Any) -> None:
    """Assert that workloads, or parts of them, are equal in every number."""
    assert type(a) is type(b), (a, b)
    if isinstance(a, dict):
        assert list(a) == list(b)
        for key in a:
            assert_same(a[key], b[key])
    elif isinstance(a, list):
        for x, y in zip(a, b, strict=True):
            assert_same(x, y)
    elif hasattr(a, "__dataclass_fields__"):
        for field in a.__dataclass_fields__:
            assert_same(getattr(a, field), getattr(b, field))
    else:
        assert np.array_equal(a, b), (a, b)
        assert np.asarray(a).dtype == np.asarray(b).dtype
