"""Run a backend in a worker: a process of its own, in the interpreter that the backend needs."""

from __future__ import annotations

import contextlib
import inspect
import itertools
import json
import sys
import weakref
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

from neuro.errors import NeuroError, UnsupportedError
from neuro.graph import Graph, load, save
from neuro.recording import Recording
from neuro.recording import load as load_recording

from . import learning_files, worker
from .api import Availability, Capabilities, Progress, Record, require
from .environment import Environment
from .learning import Learned, Teacher
from .probe import probe
from .process import CLOSE_LIMIT_S, WorkerProcess
from .stimulus import Stimulus


class IsolatedBackend:
    """A backend whose programs live in a worker process, one worker for all of them.

    Parameters: name; factory, the backend's class (its `capabilities` are read here, and its `environment`, if it has
    one and cannot run in this interpreter, says which interpreter the worker gets); options for it, as JSON can hold
    them; time_limit_s, for each compile and each run; progress, called with (done, total, what) as the run goes on.
    Raises: UnsupportedError for a factory that another process could not find, and for options that JSON cannot hold.

    The worker starts with the first compile, and ends with `close`, the with block or this object's own end. After a
    WorkerError or an interrupt the next compile starts a new one; programs of the old one are lost.
    """

    def __init__(
        self,
        name: str,
        factory: Any,
        options: Mapping[str, Any],
        *,
        time_limit_s: float | None = None,
        progress: Progress | None = None,
    ) -> None:
        self._name, self._where = name, f"backend '{name}'"
        if time_limit_s is not None and not time_limit_s > 0:
            raise UnsupportedError(
                f"{self._where}: time_limit_s out of range (got {time_limit_s}; need more than 0). Choose a longer one."
            )
        self._environment: Environment | None = getattr(factory, "environment", None)
        self._capabilities: Capabilities = factory.capabilities
        self._load = _plain_load(self._where, factory, options)
        self._time_limit_s, self._progress = time_limit_s, progress
        self._worker: WorkerProcess | None = None
        self._numbers = itertools.count(1)
        self._versions: dict[str, str] = {}

    @property
    def name(self) -> str:
        """Return the backend's name."""
        return self._name

    @property
    def capabilities(self) -> Capabilities:
        """Return what the backend can run."""
        return self._capabilities

    def compile(self, graph: Graph) -> IsolatedProgram:
        """Compile a graph in the worker.

        Raises: UnsupportedError, also if the interpreter the backend needs is missing; WorkerError.
        """
        require(self, graph)
        process = self._started()
        with process.job() as folder:
            save(graph, folder / "graph.h5")
            number = next(self._numbers)
            request = {"program": number, "graph": str(folder / "graph.h5")}
            process.ask("compile", request, limit_s=self._time_limit_s, progress=self._progress)
        kind = IsolatedLearningProgram if self._capabilities.plasticity else IsolatedProgram
        return kind(process, number, graph, self._time_limit_s, self._progress, self._versions)

    def is_available(self) -> Availability:
        """Run the probe in the worker. Installs nothing; says what is missing. Never raises."""
        found = probe(self)
        return replace(found, version=", ".join(f"{k} {v}" for k, v in self._versions.items())) if found else found

    def close(self) -> None:
        """End the worker. The next compile starts another."""
        if self._worker is not None:
            self._worker.end(gently=True)
            self._worker = None

    def __enter__(self) -> IsolatedBackend:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _started(self) -> WorkerProcess:
        if self._worker is None or not self._worker.alive:
            python = Path(sys.executable)
            own = self._environment is None or self._environment.here()
            if self._environment is not None and not own:
                python = self._environment.interpreter()
            # Of the same interpreter the worker may see all that this process sees; another one's packages do not fit.
            load = {**self._load, "path": [p for p in sys.path if p] if own else []}
            load["backend"] = {
                **load["backend"],
                "progress": load["backend"]["progress"] and self._progress is not None,
            }
            self._worker = WorkerProcess(self._where, python, load)
        return self._worker


class IsolatedProgram:
    """A graph compiled in a worker."""

    def __init__(
        self,
        process: WorkerProcess,
        number: int,
        graph: Graph,
        time_limit_s: float | None,
        progress: Progress | None,
        versions: dict[str, str],
    ) -> None:
        self._process, self._number, self._graph = process, number, graph
        self._time_limit_s, self._progress, self._versions = time_limit_s, progress, versions
        self._forget = weakref.finalize(self, process.discard, number)
        self._forget.atexit = False

    def run(self, stimulus: Stimulus, record: Record = Record()) -> Recording:  # noqa: B008  (Record is frozen)
        """Run a batch in the worker.

        Raises: DataError for a stimulus or record that does not fit; WorkerError if the worker fails, dies or hangs.
        """
        self._require_open()
        stimulus.check(self._graph)
        record.spike_names(self._graph)
        record.trace_names(self._graph)
        with self._process.job() as folder:
            stimulus.save(folder / "stimulus.h5")
            request = {
                "program": self._number,
                "stimulus": str(folder / "stimulus.h5"),
                "record": worker.plain_record(record),
                "recording": str(folder / "recording.h5"),
            }
            self._process.ask("run", request, limit_s=self._time_limit_s, progress=self._progress)
            recording = load_recording(folder / "recording.h5")
        self._versions.update({"python": self._process.python, **recording.versions})
        return recording

    def _require_open(self) -> None:
        if not self._forget.alive:
            raise UnsupportedError("program: cannot run (got a closed one; need an open one). Compile the graph again.")

    def close(self) -> None:
        """Free the program in the worker. Calling it twice is fine."""
        if self._forget.detach() and self._process.alive:
            with contextlib.suppress(NeuroError):  # a worker that dies over this has freed it
                self._process.ask("close", {"program": self._number}, limit_s=CLOSE_LIMIT_S)


class IsolatedLearningProgram(IsolatedProgram):
    """A graph compiled in a worker, of a backend that has learning rules."""

    def learn(self, stimulus: Stimulus, teacher: Teacher, *, trajectory_every: int = 0) -> Learned:
        """Run a batch in the worker and learn from it; see `neuro.backend.LearningProgram`.

        Raises: UnsupportedError for what the backend cannot learn; DataError for a stimulus or teacher that does not fit; WorkerError if the
        worker fails, dies or hangs.
        """
        self._require_open()
        stimulus.check(self._graph)
        with self._process.job() as folder:
            stimulus.save(folder / "stimulus.h5")
            learning_files.save_teacher(teacher, folder / "teacher.h5")
            files = {name: str(folder / f"{name}.h5") for name in ("stimulus", "teacher", "learned", "graph")}
            request = {"program": self._number, "trajectory_every": trajectory_every, **files}
            self._process.ask("learn", request, limit_s=self._time_limit_s, progress=self._progress)
            learned = learning_files.load_learned(files["learned"], load(files["graph"]))
        self._graph = learned.graph
        return learned


def _plain_load(where: str, factory: Any, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the first request to the worker: where neuro and the backend's package lie, and how to make the backend."""
    module, attribute = factory.__module__, factory.__qualname__
    if module == "__main__" or "<" in attribute:
        raise UnsupportedError(
            f"{where}: cannot run in a worker (got {module}.{attribute}; need a class at the top of a module that can be "
            "imported). Move it into a file of its own."
        )
    try:
        plain = json.loads(json.dumps(dict(options)))
    except (TypeError, ValueError) as err:
        raise UnsupportedError(
            f"{where}: an option cannot be sent to a worker (got {err}; need numbers, text, lists and the like). "
            "Give it as text, or run with isolated=False."
        ) from err
    tops = dict.fromkeys((__name__.partition(".")[0], module.partition(".")[0]))
    return {
        "places": {top: _place(where, top) for top in tops},
        "backend": {
            "module": module,
            "attribute": attribute,
            "options": plain,
            "progress": "progress" in inspect.signature(factory).parameters,
        },
    }


def _place(where: str, top: str) -> tuple[str | None, list[str] | None]:
    """Return the file of a top-level package or module that this process has imported, and the package's folders."""
    found = sys.modules[top]
    file = getattr(found, "__file__", None)
    folders = getattr(found, "__path__", None)
    if (file is None and folders is None) or (file is not None and not Path(file).is_file()):
        raise UnsupportedError(
            f"{where}: cannot run in a worker (got '{top}' from {file or 'no file'}; need a package in a folder). "
            "Install it unpacked."
        )
    return file, None if folders is None else [str(f) for f in folders]
