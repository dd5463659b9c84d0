"""Find backends by entry point, a stranger's as ours, and run graphs on them."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from neuro.errors import UnsupportedError, nearest
from neuro.graph import Graph
from neuro.recording import Recording, save

from .api import Backend, Program, Progress, Record, RunInterrupted, StreamingProgram
from .environment import Environment
from .isolated import IsolatedBackend
from .stimulus import Stimulus
from .stream import StimulusStream

GROUP = "neuro.backends"


def names() -> list[str]:
    """Return the names of the installed backends, the engine first."""
    return sorted(_found(), key=lambda name: (name != "engine", name != "reference", name))


def get(
    name: str,
    *,
    isolated: bool | None = None,
    time_limit_s: float | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> Backend:
    """Return a backend by name.

    Parameters: isolated, run it in a worker, a process of its own (True), in this process (False), or as is needed
    (None: in a worker if there is a time limit, or if the backend declares an `environment` and cannot run here);
    time_limit_s, for each compile and each run; progress, called with (done, total, what) while a run goes on, by
    backends that report it; options go to the backend's constructor.
    Raises: UnsupportedError for an unknown name, a backend that cannot be imported, or an unknown option.
    """
    factory = _load(name)
    environment: Environment | None = getattr(factory, "environment", None)
    if isolated is None:
        isolated = time_limit_s is not None or (environment is not None and not environment.here())
    parameters = inspect.signature(factory).parameters
    try:
        inspect.signature(factory).bind(**options)
    except TypeError as err:
        known = [p for p in parameters if p != "progress"]
        hint = next(filter(None, (nearest(o, known) for o in options if o not in known)), "See its docstring.")
        raise UnsupportedError(
            f"backend '{name}': option not known (got {', '.join(sorted(options)) or 'none'}; need "
            f"{', '.join(known) or 'none'}). {hint}"
        ) from err
    if isolated:
        return IsolatedBackend(name, factory, options, time_limit_s=time_limit_s, progress=progress)
    if time_limit_s is not None:
        raise UnsupportedError(
            f"backend '{name}': no time limit in this process (got time_limit_s={time_limit_s:g} and isolated=False; need a "
            "worker, which can be ended). Leave out one of them."
        )
    if progress is not None and "progress" in parameters:
        options["progress"] = progress
    backend: Backend = factory(**options)
    return backend


def install(name: str, report: Callable[[str], None] = print) -> Path | None:
    """Make the environment of a backend that needs one of its own, and return its interpreter.

    A backend that needs none gets none: report is told so, and which extra of its distribution brings its simulator.
    Raises: UnsupportedError for an unknown backend, and if the environment cannot be made.
    """
    factory = _load(name)
    environment: Environment | None = getattr(factory, "environment", None)
    if environment is not None:
        return environment.install(report)
    dist = _found()[name].dist
    extras = dist.metadata.get_all("Provides-Extra") or () if dist else ()
    how = "nothing is to be installed"
    if dist is not None and name in extras:
        how = f"its simulator comes with pip install '{dist.name}[{name}]'"
    report(f"{name}: needs no environment of its own; {how}")
    return None


def _found() -> dict[str, EntryPoint]:
    return {e.name: e for e in entry_points(group=GROUP)}


def _load(name: str) -> Any:
    found = _found()
    if name not in found:
        hint = nearest(name, found) or "Install the package that offers it."
        raise UnsupportedError(
            f"backend '{name}': not installed (got '{name}'; need one of {', '.join(names())}). {hint}"
        )
    try:
        return found[name].load()
    except ImportError as err:
        raise UnsupportedError(
            f"backend '{name}': its package does not import (got {err}; need {found[name].value}). Install it again."
        ) from err


def run(
    graph: Graph,
    stimulus: Stimulus | StimulusStream,
    backend: str | Backend = "engine",
    record: Record | None = None,
    *,
    to: str | Path | None = None,
    **options: Any,
) -> Recording:
    """Compile a graph and run a stimulus on it, once.

    Parameters: backend, a name (with `options` for `get`) or a Backend; record, what to keep, spikes by default; to, a file for the
    recording (`neuro.recording.load` reads it): the engine writes it as the run goes on, and then neither spikes nor traces are in
    what is returned, nor in memory.
    Interrupted (Ctrl-C), a backend that can, as the engine can, gives what was recorded so far: the recording's `interrupted` is
    then set, and a RuntimeWarning says so.
    Raises: UnsupportedError for a backend that is missing or cannot run the graph; DataError for a stimulus that does
    not fit it.
    """
    chosen = get(backend, **options) if isinstance(backend, str) else backend
    program = chosen.compile(graph)
    try:
        return _run(program, stimulus, record or Record(), to)
    except RunInterrupted as stop:
        warnings.warn(f"{stop}: what was recorded so far is returned", RuntimeWarning, stacklevel=2)
        return stop.recording
    finally:
        program.close()


def _run(program: Program, stimulus: Stimulus | StimulusStream, record: Record, to: str | Path | None) -> Recording:
    if isinstance(program, StreamingProgram):
        return program.run(stimulus, record) if to is None else program.run_to(to, stimulus, record)
    try:
        recording = program.run(stimulus if isinstance(stimulus, Stimulus) else stimulus.whole(), record)
    except RunInterrupted as stop:
        if to is not None:
            save(stop.recording, to)
        raise
    if to is not None:
        save(recording, to)
    return recording
