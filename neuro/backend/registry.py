"""Find backends by entry point, a stranger's as ours, and run graphs on them."""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from typing import Any

from neuro.errors import UnsupportedError, nearest
from neuro.graph import Graph
from neuro.recording import Recording

from .api import Backend, Record
from .stimulus import Stimulus

GROUP = "neuro.backends"


def names() -> list[str]:
    """Return the names of the installed backends, the engine first."""
    found = {e.name for e in entry_points(group=GROUP)}
    return sorted(found, key=lambda name: (name != "engine", name != "reference", name))


def get(name: str, *, isolated: bool | None = None, **options: Any) -> Backend:
    """Return a backend by name.

    Parameters: isolated, run it in an interpreter of its own (True), in this process (False), or as the backend
    itself needs (None: a backend that declares an `environment` and cannot run here is isolated); options go to
    the backend's constructor.
    Raises: UnsupportedError for an unknown name, a backend that cannot be imported, or an unknown option.
    """
    factory = _load(name)
    environment = getattr(factory, "environment", None)
    if isolated is None:
        isolated = environment is not None and not environment.here()
    if isolated:
        from .isolated import IsolatedBackend

        return IsolatedBackend(name, factory, options)
    try:
        backend: Backend = factory(**options)
    except TypeError as err:
        raise UnsupportedError(
            f"backend '{name}': option not known (got {sorted(options)}; {err}). See its docstring."
        ) from err
    return backend


def _load(name: str) -> Any:
    found: dict[str, EntryPoint] = {e.name: e for e in entry_points(group=GROUP)}
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
    stimulus: Stimulus,
    backend: str | Backend = "engine",
    record: Record | None = None,
    **options: Any,
) -> Recording:
    """Compile a graph and run a stimulus on it, once.

    Parameters: backend, a name (with `options` for it) or a Backend; record, what to keep, spikes by default.
    Raises: UnsupportedError for a backend that is missing or cannot run the graph; DataError for a stimulus that does
    not fit it.
    """
    chosen = get(backend, **options) if isinstance(backend, str) else backend
    program = chosen.compile(graph)
    try:
        return program.run(stimulus, record or Record())
    finally:
        program.close()
