"""Run backends in workers: what they return, how long they live, and what their failures say."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from neuro.backend import (
    Backend,
    Capabilities,
    IsolatedBackend,
    Program,
    Record,
    Stimulus,
    get,
    install,
    process,
    registry,
    run,
)
from neuro.backend.conformance import draw_stimulus, example
from neuro.backend.golden import ReferenceBackend
from neuro.backend.probe import tiny_graph, tiny_stimulus
from neuro.errors import DataError, GraphError, UnsupportedError, WorkerError
from neuro.recording import Recording

Watched = Callable[..., tuple[IsolatedBackend, Any]]


def same(got: Recording, expected: Recording) -> None:
    """Assert that two recordings hold the same, and that there are spikes."""
    assert sum(len(e) for e in expected.spikes.values()) > 0
    assert got.spikes == expected.spikes
    assert got.traces.keys() == expected.traces.keys()
    for name, states in expected.traces.items():
        for state, values in states.items():
            assert np.array_equal(got.traces[name][state], values), (name, state)
    assert (got.graph_sha256, got.exact, got.batch, got.steps) == (
        expected.graph_sha256, expected.exact, expected.batch, expected.steps,
    )  # fmt: skip


@pytest.mark.parametrize("name", ["engine", "reference"])
def test_any_backend_runs_isolated(name: str) -> None:
    graph = example()
    stimulus = draw_stimulus(graph, 3, 40, 5)
    record = Record(spikes=("lif", "alif"), traces={"alif": ("v", "a")})
    with get(name, isolated=True) as backend:  # type: ignore[attr-defined]
        same(backend.compile(graph).run(stimulus, record), run(graph, stimulus, name, record))
        assert isinstance(backend, Backend)
        assert isinstance(backend.compile(graph), Program)
        assert backend.name == name
        assert backend.capabilities == get(name, isolated=False).capabilities


def test_python_3_10_without_neuro_runs_a_package_that_is_not_installed(as_python_3_10: str, fake: ModuleType) -> None:
    graph = example()
    stimulus = draw_stimulus(graph, 2, 30, 1)
    with IsolatedBackend("fake", fake.FakeBackend, {"shares": True}) as backend:
        found = backend.is_available()
        assert found.ok, found.reason
        assert found.version.startswith("python 3.10.")
        recording = backend.compile(graph).run(stimulus, Record(traces="all"))
    same(recording, run(graph, stimulus, "reference", Record(traces="all")))
    assert np.__version__ != recording.versions["numpy"] or sys.version_info[:2] == (3, 10)


def test_one_worker_serves_many_programs(fake: ModuleType) -> None:
    with IsolatedBackend("fake", fake.FakeBackend, {}) as backend:
        first, second = backend.compile(tiny_graph()), backend.compile(example())
        assert backend._worker is not None
        pid = backend._worker.pid
        stimulus = draw_stimulus(example(), 2, 20, 3)
        same(second.run(stimulus), run(example(), stimulus))
        first.close()
        first.close()
        same(second.run(stimulus, Record(spikes=True)), run(example(), stimulus))
        del second  # freed in the worker with the next request
        same(backend.compile(tiny_graph()).run(tiny_stimulus(4)), run(tiny_graph(), tiny_stimulus(4)))
        assert backend._worker.pid == pid
        assert list(backend._worker.folder.glob("job*")) == []
        with pytest.raises(UnsupportedError, match=r"program: cannot run \(got a closed one"):
            first.run(tiny_stimulus())


def test_progress_is_passed_on_and_thinned_out() -> None:
    calls: list[tuple[int, int, str]] = []
    graph = tiny_graph()
    with get("engine", isolated=True, progress=lambda *c: calls.append(c)) as backend:  # type: ignore[attr-defined]
        backend.compile(graph).run(tiny_stimulus())
    assert calls[-1] == (12, 12, "engine")


def test_many_progress_reports_become_few(watched: Watched) -> None:
    backend, watcher = watched()
    seen: list[int] = []
    watched_by, backend._progress = watcher, lambda done, *rest: (seen.append(done), watched_by(done, *rest))[0]
    backend.compile(tiny_graph()).run(tiny_stimulus())
    assert watcher.n_held > 8
    assert seen[0] == 0
    assert seen[-1] == 1000
    assert len(seen) < 100  # of 1001 calls


def test_stimulus_and_record_are_checked_before_they_are_sent(fake: ModuleType) -> None:
    with IsolatedBackend("fake", fake.FakeBackend, {}) as backend:
        program = backend.compile(tiny_graph())
        with pytest.raises(DataError, match="stimulus 'im': no such input"):
            program.run(Stimulus.dense({"im": np.ones((1, 3, 1), bool)}))
        with pytest.raises(DataError, match=r"no spikes of that name \(got 'x'"):
            program.run(tiny_stimulus(), Record(spikes=("x",)))


def test_graph_beyond_the_capabilities_starts_no_worker(fake: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fake.FakeBackend, "capabilities", Capabilities(max_delay=7))
    backend = IsolatedBackend("fake", fake.FakeBackend, {})
    with pytest.raises(
        UnsupportedError, match=r"backend 'fake': cannot run this graph \(got .*delay 9 \(can: up to 7\)"
    ):
        backend.compile(example())
    assert backend._worker is None


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"act": "refuse"}, GraphError, r"^population 'lif': too large \(got 3; need 2\). Use fewer neurons.$"),
        ({"act": "refuse in own way"}, DataError, r"^stimulus: wrong colour \(got red; need blue\). Repaint it.$"),
        ({"act": "refuse", "on": "compile"}, GraphError, "^population 'lif': too large"),
        ({"act": "refuse", "on": "load"}, GraphError, "^population 'lif': too large"),
        ({"act": "raise"}, WorkerError, r"(?s)^backend 'fake': its worker failed to run \(got ValueError: the membrane burst; "
         r"need no exception\)\. .*--- raised in the worker ---\nTraceback.*in _raise.*ValueError: the membrane burst"
         r".*--- end of the worker's output ---\nthe simulator talks to itself$"),
        ({"act": "raise", "on": "load"}, WorkerError, "its worker failed to load .*Its environment may be damaged"),
        ({"act": "note"}, WorkerError, r"(?s)RuntimeError: a model failed.*--- noted by the backend ---\nTraceback: in model LIF"),
        ({"act": "exit"}, WorkerError, r"failed to run \(got SystemExit: no licence"),
        ({"act": "leave"}, WorkerError, r"(?s)^backend 'fake': its worker died \(got exit code 7; need an answer to run\)\. See "
         r"below.*\nthe simulator talks to itself$"),
        ({"act": "leave", "on": "load"}, WorkerError, r"died \(got exit code 7; need an answer to load\)"),
        ({"act": "segfault"}, WorkerError, r"(?s)killed by SIGSEGV.*Segmentation fault.*in string_at"),
        ({"act": "SIGKILL"}, WorkerError, r"killed by SIGKILL.*Something outside killed it, or memory ran out"),
        ({"act": "SIGTERM"}, WorkerError, r"died \(got killed by SIGTERM"),
    ],
)  # fmt: skip
def test_failure_in_the_worker_is_told(
    fake: ModuleType, options: dict[str, Any], kind: type[Exception], message: str
) -> None:
    with IsolatedBackend("fake", fake.FakeBackend, options) as backend, pytest.raises(kind, match=message) as caught:
        backend.compile(tiny_graph()).run(tiny_stimulus())
    assert type(caught.value) is kind


@pytest.mark.parametrize("act", ["stick", "stick in C"])
def test_hanging_worker_meets_its_time_limit_and_shows_where(fake: ModuleType, act: str) -> None:
    message = (
        r"(?s)^backend 'fake': its worker took too long to run \(got no answer in 0.4 s; need one within the limit\)\. "
        r"Give a larger time_limit_s.*in _stick"
    )
    with IsolatedBackend("fake", fake.FakeBackend, {"act": act}, time_limit_s=0.4) as backend:
        program = backend.compile(tiny_graph())
        with pytest.raises(WorkerError, match=message):
            program.run(tiny_stimulus())


def test_after_a_death_the_next_compile_starts_a_worker(fake: ModuleType) -> None:
    with IsolatedBackend("fake", fake.FakeBackend, {"act": "leave"}) as backend:
        program = backend.compile(tiny_graph())
        assert backend._worker is not None
        first = backend._worker.pid
        for _ in range(2):  # the second says it again
            with pytest.raises(WorkerError, match="exit code 7"):
                program.run(tiny_stimulus())
        backend.compile(tiny_graph())
        assert backend._worker.pid != first
        backend.close()
        again = backend.compile(tiny_graph())
        backend.close()
        with pytest.raises(
            WorkerError, match=r"cannot .* \(got a worker that was ended here; .*Compile the graph again"
        ):
            again.run(tiny_stimulus())


def test_failed_run_leaves_the_worker_in_service(fake: ModuleType) -> None:
    with IsolatedBackend("fake", fake.FakeBackend, {"act": "raise"}) as backend:
        program = backend.compile(tiny_graph())
        assert backend._worker is not None
        pid = backend._worker.pid
        for _ in range(2):
            with pytest.raises(WorkerError, match="the membrane burst") as caught:
                program.run(tiny_stimulus())
            assert str(caught.value).count("the simulator talks to itself") == 1  # what it said before is forgotten
        assert backend._worker.alive
        assert backend._worker.pid == pid


def test_run_from_a_progress_callback_is_refused(watched: Watched) -> None:
    backend, watcher = watched()
    program = backend.compile(tiny_graph())
    watcher.act = lambda _: program.run(tiny_stimulus())
    with pytest.raises(WorkerError, match=r"its worker is at work \(got a request to run from a progress callback"):
        program.run(tiny_stimulus())


def test_availability_says_why_not(fake: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    class Missing:
        def here(self) -> bool:
            return False

        def interpreter(self) -> Path:
            raise UnsupportedError("backend 'fake': its environment is not installed. Install it.")

    for options, reason in (({"act": "raise"}, "the membrane burst"), ({"act": "raise", "on": "load"}, "membrane")):
        with IsolatedBackend("fake", fake.FakeBackend, options) as backend:
            found = backend.is_available()
        assert not found
        assert reason in found.reason
    monkeypatch.setattr(fake.FakeBackend, "environment", Missing())
    assert IsolatedBackend("fake", fake.FakeBackend, {}).is_available().reason.endswith("not installed. Install it.")


def test_interpreter_that_does_not_start_is_told(fake: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        def here(self) -> bool:
            return False

        def interpreter(self) -> Path:
            return Path("/no/such/python")

    monkeypatch.setattr(fake.FakeBackend, "environment", Broken())
    with pytest.raises(WorkerError, match=r"its worker does not start \(got FileNotFoundError: .*no/such/python"):
        IsolatedBackend("fake", fake.FakeBackend, {}).compile(tiny_graph())


def test_folder_that_cannot_be_made_is_told(fake: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "_room", lambda: Path("/no/such/folder"))
    with pytest.raises(
        WorkerError, match=r"its worker does not start \(got FileNotFoundError: .*'/no/such/folder/neuro-"
    ):
        IsolatedBackend("fake", fake.FakeBackend, {}).compile(tiny_graph())


def test_slow_start_has_a_limit_of_its_own(fake: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "START_LIMIT_S", 0.2)
    with pytest.raises(
        WorkerError, match=r"too long to load \(got no answer in 0.2 s; .*The machine may be busy: try again"
    ):
        IsolatedBackend("fake", fake.FakeBackend, {"act": "stick", "on": "load"}).compile(tiny_graph())


def test_interpreter_without_numpy_is_told(fake: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    bare = tmp_path / "python"
    bare.write_text(f'#!/bin/sh\nexec "{sys.base_prefix}/bin/python{sys.version_info[0]}" -S "$@"\n')
    bare.chmod(0o755)

    class Bare:
        def here(self) -> bool:
            return False

        def interpreter(self) -> Path:
            return bare

    monkeypatch.setattr(fake.FakeBackend, "environment", Bare())
    with pytest.raises(
        WorkerError, match=r"(?s)failed to load \(got ModuleNotFoundError: No module named '(numpy|h5py)'"
    ):
        IsolatedBackend("fake", fake.FakeBackend, {}).compile(tiny_graph())


def test_what_cannot_go_to_a_worker_is_refused(fake: ModuleType) -> None:
    class Local(ReferenceBackend):
        pass

    with pytest.raises(
        UnsupportedError, match=r"cannot run in a worker \(got .*<locals>.Local; need a class at the top"
    ):
        IsolatedBackend("local", Local, {})
    with pytest.raises(UnsupportedError, match=r"an option cannot be sent to a worker \(got .*PosixPath"):
        IsolatedBackend("fake", fake.FakeBackend, {"act": Path("/tmp")})
    with pytest.raises(UnsupportedError, match=r"time_limit_s out of range \(got 0; need more than 0\)"):
        IsolatedBackend("fake", fake.FakeBackend, {}, time_limit_s=0)


def test_packages_in_archives_are_refused(fake: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fake, "__file__", "/packages.zip/neuro_fake/__init__.py")
    with pytest.raises(UnsupportedError, match=r"got 'neuro_fake' from /packages.zip.*Install it unpacked"):
        IsolatedBackend("fake", fake.FakeBackend, {})


def test_registry_isolates_when_asked_or_needed(fake: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    point = EntryPoint(name="fake", value="neuro_fake:FakeBackend", group=registry.GROUP)
    monkeypatch.setattr(registry, "entry_points", lambda group: [point])
    assert isinstance(get("fake"), fake.FakeBackend)
    assert isinstance(get("fake", isolated=True), IsolatedBackend)
    assert isinstance(get("fake", time_limit_s=3.0), IsolatedBackend)
    with pytest.raises(
        UnsupportedError, match=r"no time limit in this process \(got time_limit_s=3 and isolated=False"
    ):
        get("fake", isolated=False, time_limit_s=3.0)
    calls: list[Any] = []
    get("fake", progress=lambda *c: calls.append(c)).compile(tiny_graph()).run(tiny_stimulus())
    assert len(calls) == 1001
    with pytest.raises(
        UnsupportedError, match=r"option not known \(got atc; need act, on, shares\). Did you mean 'act'\?"
    ):
        get("fake", isolated=True, atc="raise")


def test_environment_elsewhere_is_used_and_installed_on_demand(
    fake: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Elsewhere:
        def here(self) -> bool:
            return False

        def install(self, report: Callable[[str], None]) -> Path:
            report("installed")
            return Path("python")

    point = EntryPoint(name="fake", value="neuro_fake:FakeBackend", group=registry.GROUP)
    monkeypatch.setattr(registry, "entry_points", lambda group: [point])
    said: list[str] = []
    assert install("fake", said.append) is None
    assert said == ["fake: needs no environment of its own; nothing is to be installed"]
    monkeypatch.setattr(fake.FakeBackend, "environment", Elsewhere())
    assert isinstance(get("fake"), IsolatedBackend)
    assert isinstance(get("fake", isolated=False), fake.FakeBackend)
    assert install("fake", said.append) == Path("python")
    assert said[-1] == "installed"


def test_install_names_the_extra() -> None:
    said: list[str] = []
    assert install("engine", said.append) is None
    assert said == ["engine: needs no environment of its own; nothing is to be installed"]
    install("brian2", said.append)
    assert said[1] == "brian2: needs no environment of its own; its simulator comes with pip install 'neuro[brian2]'"
