"""Hold learning in a worker: files there and back, the program's new weights, refusals."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from neuro.backend import IsolatedBackend, Learned, LearningProgram, Stimulus, Teacher
from neuro.backend.learning_files import load_learned, load_teacher, save_learned, save_teacher
from neuro.errors import DataError, UnsupportedError, WorkerError
from neuro.graph import Builder, Graph
from neuro.learning import EProp, attach, make_room
from neuro.learning.reference import Learner

BATCH, STEPS = 2, 30


def net(**rule: Any) -> Graph:
    b = Builder(seed=2)
    b.spike_input("in", 4)
    b.alif("alif", 5, beta=0.1)
    b.li("y", 2)
    b.connect("in", "alif", weight=0.5)
    b.connect("alif", "y", weight=lambda rng, n: rng.normal(0, 1, n))
    return make_room(attach(b.build(), EProp(**rule), signal="y"))[0]


def stimulus() -> Stimulus:
    return Stimulus.dense({"in": np.random.default_rng(1).random((BATCH, STEPS, 4)) < 0.3})


def teacher() -> Teacher:
    rng = np.random.default_rng(2)
    return Teacher(
        loss="softmax", target=np.eye(2)[rng.integers(0, 2, (BATCH, STEPS))], mask=rng.random((BATCH, STEPS)),
        reward=rng.random((BATCH, STEPS)), choose=rng.random((BATCH, STEPS)) < 0.5, chance=rng.random((BATCH, STEPS)),
        right=0.5, wrong=-2.0,
    )  # fmt: skip


def same(got: Learned, want: Learned) -> None:
    for part in fields(Learned):
        a, b = getattr(got, part.name), getattr(want, part.name)
        if part.name == "graph":
            assert a.sha256 == b.sha256
        elif part.name in ("action", "reward"):
            assert a.dtype == b.dtype and np.array_equal(a, b), part.name
        else:
            assert set(a) == set(b), part.name
            for name in a:
                assert np.array_equal(a[name], b[name]), (part.name, name)


@pytest.fixture
def learner(fake: ModuleType) -> Iterator[IsolatedBackend]:
    with IsolatedBackend("fake learner", fake.FakeLearningBackend, {}) as backend:
        yield backend


@pytest.mark.parametrize("rule", [{"update": "step", "lr": 0.01}, {"update": "batch", "learn_bias": True}])
def test_a_worker_learns_call_after_call_as_one_would_here(learner: IsolatedBackend, rule: dict[str, Any]) -> None:
    graph = net(**rule)
    program, golden = learner.compile(graph), Learner(graph)
    assert isinstance(program, LearningProgram)
    for _ in range(2):
        want = golden.learn(stimulus(), teacher(), trajectory_every=10)
        assert want.n_spikes["alif"].sum() > 0
        assert want.n_updates["in->alif"] > 0 if rule["update"] == "step" else want.gradient["in->alif"].any()
        same(program.learn(stimulus(), teacher(), trajectory_every=10), want)
    program.close()
    with pytest.raises(UnsupportedError, match="cannot run"):
        program.learn(stimulus(), teacher())


def test_what_does_not_fit_is_told_and_the_worker_stays(learner: IsolatedBackend) -> None:
    program = learner.compile(net())
    with pytest.raises(DataError, match="need one of in"):
        program.learn(Stimulus.dense({"elsewhere": np.zeros((BATCH, STEPS, 4))}), teacher())  # type: ignore[attr-defined]
    short = Stimulus.dense({"in": np.zeros((BATCH, STEPS - 1, 4), bool)})
    with pytest.raises(DataError, match="teacher: shape does not fit the stimulus"):
        program.learn(short, teacher())  # type: ignore[attr-defined]
    assert program.learn(stimulus(), teacher()).gradient["in->alif"].any()  # type: ignore[attr-defined]


def test_a_failure_in_learning_is_told(fake: ModuleType) -> None:
    with IsolatedBackend("fake learner", fake.FakeLearningBackend, {"act": "raise"}) as backend:
        program: Any = backend.compile(net())
        with pytest.raises(WorkerError, match="the membrane burst"):
            program.learn(stimulus(), teacher())


def test_a_backend_without_rules_gives_programs_that_do_not_learn(fake: ModuleType) -> None:
    with IsolatedBackend("fake", fake.FakeBackend, {}) as backend:
        assert not isinstance(backend.compile(net()), LearningProgram)


def test_teachers_come_back_as_they_were(tmp_path: Path) -> None:
    want = teacher()
    save_teacher(want, tmp_path / "t.h5")
    got = load_teacher(tmp_path / "t.h5")
    for part in fields(Teacher):
        a, b = getattr(got, part.name), getattr(want, part.name)
        assert type(a) is type(b) and np.array_equal(a, b), part.name
    assert got.choose.any() and got.choose.dtype == bool


def test_what_was_learned_comes_back_as_it_was(tmp_path: Path) -> None:
    want = Learner(net(learn_bias=True)).learn(stimulus(), teacher(), trajectory_every=10)
    assert want.bias_gradient["alif"].any()
    save_learned(want, tmp_path / "l.h5")
    same(load_learned(tmp_path / "l.h5", want.graph), want)


def test_another_kind_of_file_is_refused(tmp_path: Path) -> None:
    save_teacher(teacher(), tmp_path / "t.h5")
    with pytest.raises(DataError, match="need 'neuro-learned'"):
        load_learned(tmp_path / "t.h5", net())
    with pytest.raises(DataError, match="no such file"):
        load_teacher(tmp_path / "none.h5")
    save_teacher(replace(teacher(), loss="none"), tmp_path / "t.h5")
    assert load_teacher(tmp_path / "t.h5").loss == "none"
