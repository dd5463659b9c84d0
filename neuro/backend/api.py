"""State the contract of a backend: what it can do, compile, run, record.

A backend package offers an object that satisfies `Backend` under the entry-point group "neuro.backends", and calls the
conformance suite (`neuro.backend.conformance`) from its tests. Nothing else is needed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

from neuro.errors import DataError, UnsupportedError, nearest
from neuro.graph import FLOAT_KINDS, LIF, MAX_DELAY, RESETS, Graph, IntLIF, kind, states
from neuro.recording import Recording, spiking

from .stimulus import Stimulus
from .stream import StimulusStream

Progress = Callable[[int, int, str], None]
"""Called with (done, total, what) while a long run goes on."""


@dataclass(frozen=True, kw_only=True)
class Capabilities:
    """Say what a backend can run.

    populations: kinds of population. resets: of LIF and ALIF, integer ones too. max_delay: longest delay in steps.
    semantics: "float", "integer". exact: equal to the golden model bit for bit on graphs that are on their grid.
    plasticity: names of learning rules it can run.
    """

    populations: frozenset[str] = FLOAT_KINDS
    resets: frozenset[str] = frozenset(RESETS)
    max_delay: int = MAX_DELAY
    semantics: frozenset[str] = frozenset({"float"})
    exact: bool = True
    plasticity: frozenset[str] = frozenset()

    def refusals(self, graph: Graph) -> list[str]:
        """Return what in a graph is beyond these capabilities: which population or projection, which feature."""
        found = []
        if graph.semantics not in self.semantics:
            able = ", ".join(sorted(self.semantics)) or "none"
            found.append(f"graph: {graph.semantics} semantics (can: {able})")
            if graph.semantics == "integer":
                return found  # its kinds and resets have other names: one reason says it all
            if "integer" in self.semantics:
                found.append("neuro.quantize makes an integer graph of a float one")
        for p in graph.populations:
            where = f"population '{p.name}'"
            if kind(p) not in self.populations:
                found.append(f"{where}: kind {kind(p)} (can: {', '.join(sorted(self.populations))})")
            elif isinstance(p, (LIF, IntLIF)) and p.reset not in self.resets:
                found.append(f"{where}: reset '{p.reset}' (can: {', '.join(sorted(self.resets)) or 'none'})")
        for c in graph.projections:
            if c.size and int(c.delay.max()) > self.max_delay:
                found.append(f"projection '{c.name}': delay {int(c.delay.max())} (can: up to {self.max_delay})")
        return found


@dataclass(frozen=True, kw_only=True)
class Record:
    """Say what a recording keeps.

    spikes: True for all spiking populations, False for none, or names. traces: {} for none, "all", or a mapping from a
    population to its states: v of LIF, v and a of ALIF, y of LI; of integer populations also u, and x
    of AHP. Counts are kept always.
    """

    spikes: bool | tuple[str, ...] = True
    traces: Mapping[str, tuple[str, ...]] | str = field(default_factory=dict)

    def spike_names(self, graph: Graph) -> tuple[str, ...]:
        """Return the populations whose spikes are kept. Raises DataError for an unknown name."""
        able = spiking(graph)
        if isinstance(self.spikes, bool):
            return able if self.spikes else ()
        for name in self.spikes:
            if name not in able:
                hint = nearest(name, able) or "Choose among them."
                raise DataError(f"record: no spikes of that name (got '{name}'; need one of {', '.join(able)}). {hint}")
        return tuple(self.spikes)

    def trace_names(self, graph: Graph) -> dict[str, tuple[str, ...]]:
        """Return the states that are kept, by population. Raises DataError for an unknown population or state."""
        able = {p.name: tuple(s for s in states(p) if s != "z") for p in graph.receivers}
        if isinstance(self.traces, str):
            if self.traces != "all":
                raise DataError(
                    f"record: traces not understood (got {self.traces!r}; need 'all' or a mapping). Correct it."
                )
            return able
        for name, wanted in self.traces.items():
            if name not in able:
                hint = nearest(name, able) or "Choose among them."
                raise DataError(f"record: no states of that name (got '{name}'; need one of {', '.join(able)}). {hint}")
            for state in wanted:
                if state not in able[name]:
                    need = ", ".join(able[name])
                    raise DataError(
                        f"record '{name}': unknown state (got '{state}'; need one of {need}). Choose among them."
                    )
        return {name: tuple(wanted) for name, wanted in self.traces.items()}


@dataclass(frozen=True)
class Availability:
    """Say whether a backend ran a minimal job here and now, with which version, or why not and what to do."""

    ok: bool
    reason: str = ""
    version: str = ""

    def __bool__(self) -> bool:
        return self.ok


class RunInterrupted(KeyboardInterrupt):
    """A run was interrupted, and this is what it had recorded: `recording`, with `interrupted` set.

    recording: its batch and steps are those that were done: of a batch that ran a few samples after others, the samples that
    ended; else all samples, up to a step. A program may raise this in place of KeyboardInterrupt, of which it is one.
    """

    def __init__(self, recording: Recording) -> None:
        super().__init__(f"interrupted after {recording.batch} samples of {recording.steps} steps")
        self.recording = recording


@runtime_checkable
class Program(Protocol):
    """A compiled graph. Each run starts from zero state; nothing is left over from the run before."""

    def run(self, stimulus: Stimulus, record: Record = ...) -> Recording:
        """Run a batch. Raises DataError for a stimulus or record that does not fit the graph."""
        ...

    def close(self) -> None:
        """Free processes and files; a closed program cannot run. Calling it twice is fine."""
        ...


@runtime_checkable
class StreamingProgram(Program, Protocol):
    """A program that can also take its stimulus, and write its recording, a few steps at a time: memory does not grow with steps."""

    def run(self, stimulus: Stimulus | StimulusStream, record: Record = ...) -> Recording:
        """Run a batch; of a stream each part is made when the run comes to it."""
        ...

    def run_to(self, path: str | Path, stimulus: Stimulus | StimulusStream, record: Record = ...) -> Recording:
        """Run a batch and write its recording to a file as it goes on; return it without spikes and traces, which the file holds.

        Interrupted, it completes the file with what was recorded and raises RunInterrupted.
        """
        ...


@runtime_checkable
class Backend(Protocol):
    """Something that runs graphs."""

    @property
    def name(self) -> str: ...

    @property
    def capabilities(self) -> Capabilities: ...

    def compile(self, graph: Graph) -> Program:
        """Prepare a graph. Raises UnsupportedError that names population, feature and the backends that can."""
        ...

    def is_available(self) -> Availability:
        """Try a minimal real job, and say why not if it fails. Never raises."""
        ...


def require(backend: Backend, graph: Graph) -> None:
    """Raise UnsupportedError if a graph is beyond a backend's capabilities; every backend's compile begins with it."""
    refused = backend.capabilities.refusals(graph)
    if refused:
        raise UnsupportedError(
            f"backend '{backend.name}': cannot run this graph (got {'; '.join(refused)}). "
            "'neuro backends' lists what each backend can run; the engine runs every graph."
        )
