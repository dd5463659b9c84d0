"""Offer Brian2 as a backend."""

from __future__ import annotations

from collections.abc import Callable
from importlib import metadata

import numpy as np
from numpy.typing import NDArray

from neuro.backend import Availability, Capabilities, Learned, Progress, Record, Stimulus, Teacher, probe, require
from neuro.errors import UnsupportedError, nearest
from neuro.graph import FLOAT_KINDS, INTEGER_KINDS, Graph, SpikeInput
from neuro.recording import Events, Recording, make

from .batch import Output, Simulator, Wanted, by_population, by_state, drive, samples_at_once, saturations, wanted
from .layout import Layout, lay_out
from .learning import learn
from .runtime import Runtime
from .sites import RULES
from .standalone import Standalone

TARGETS = ("numpy", "cython", "cpp_standalone")


class Brian2Backend:
    """Run graphs of the float and the integer semantics on Brian2, all samples of a batch in one simulation, bit for bit.

    Parameters: target, one of TARGETS: "numpy" needs no compiler; "cython" compiles modules once, which all graphs share;
    "cpp_standalone" compiles a program for each graph. n_threads, OpenMP threads of "cpp_standalone" (default 1). batch,
    samples for which "cpp_standalone" builds in `compile` (default: it builds at the first run, for that batch, and again
    for a larger one). memory_bytes, a larger batch is simulated in parts that need about this much. progress, called
    with (steps done, steps, "brian2") twice a second, and with (0, 1, "brian2: compiling") and (1, 1, ...) around a
    compilation.

    Brian2's preferences, devices and loggers are as before after every call.
    Raises: UnsupportedError for an option out of range.
    """

    name = "brian2"
    capabilities = Capabilities(
        populations=FLOAT_KINDS | INTEGER_KINDS, semantics=frozenset({"float", "integer"}), plasticity=RULES
    )

    def __init__(
        self,
        *,
        target: str = "numpy",
        n_threads: int | None = None,
        batch: int | None = None,
        memory_bytes: int = 2**30,
        progress: Progress | None = None,
    ) -> None:
        if target not in TARGETS:
            hint = nearest(str(target), TARGETS) or "Choose one."
            raise UnsupportedError(
                f"backend 'brian2': unknown target (got {target!r}; need one of {', '.join(TARGETS)}). {hint}"
            )
        for option, value in (("n_threads", n_threads), ("batch", batch), ("memory_bytes", memory_bytes)):
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
                raise UnsupportedError(
                    f"backend 'brian2': {option} out of range (got {value!r}; need a whole number >= 1). Give one."
                )
        if n_threads not in (None, 1) and target != "cpp_standalone":
            raise UnsupportedError(
                f"backend 'brian2': target '{target}' has one thread (got n_threads={n_threads}; need 1). "
                "Use target='cpp_standalone' for more."
            )
        self._target, self._n_threads, self._batch = target, n_threads or 1, batch
        self._memory, self._progress = memory_bytes, progress

    def compile(self, graph: Graph) -> Brian2Program:
        """Lay a graph out, and compile what Brian2 can compile before it knows the stimulus.

        Raises: UnsupportedError if brian2, or the compiler of the target, is missing.
        """
        require(self, graph)
        layout = lay_out(graph)
        simulator: Simulator
        if self._target == "cpp_standalone":
            simulator = Standalone(layout, self._n_threads, self._batch, self._progress)
        else:
            simulator = Runtime(layout, self._target, self._progress)
        return Brian2Program(layout, simulator, self._target, self._memory, self._progress)

    def is_available(self) -> Availability:
        """Run the probe."""
        return probe(self, version=_version())


class Brian2Program:
    """A graph on Brian2; each run starts from zero state, with the weights that were learned last."""

    def __init__(
        self, layout: Layout, simulator: Simulator, target: str, memory_bytes: int, progress: Progress | None
    ) -> None:
        self._layout, self._simulator, self._target = layout, simulator, target
        self._memory, self._progress = memory_bytes, progress
        self._closed = False
        self._feedback: dict[str, NDArray[np.float64]] = {}

    def _require_open(self) -> None:
        if self._closed:
            raise UnsupportedError(
                "backend 'brian2': the program is closed (got a run; need an open one). Compile again."
            )

    def run(self, stimulus: Stimulus, record: Record = Record()) -> Recording:  # noqa: B008  (Record is frozen)
        """Run a batch, in parts if it is large; see `neuro.backend.Program`."""
        self._require_open()
        layout, graph = self._layout, self._layout.graph
        stimulus.check(graph)
        keep, traces = record.spike_names(graph), record.trace_names(graph)
        recorded = wanted(layout, traces)
        output = self._simulate(stimulus, recorded)
        spikes = {p.name: stimulus.spikes.get(p.name, Events.none()) for p in graph.inputs if isinstance(p, SpikeInput)}
        return make(
            graph,
            backend="brian2",
            versions={"brian2": _version(), "target": self._target, "numpy": np.__version__},
            exact=True,
            batch=stimulus.batch,
            steps=stimulus.steps,
            spikes={**spikes, **by_population(layout, output)},
            currents=stimulus.currents,
            traces=by_state(layout, traces, recorded, output.traces),
            saturations=saturations(layout, output),
            keep=keep,
            wall_time_s=output.seconds,
        )

    def learn(self, stimulus: Stimulus, teacher: Teacher, *, trajectory_every: int = 0) -> Learned:
        """Run a batch and learn from it; see `neuro.backend.LearningProgram`. Targets "numpy" and "cython"."""
        self._require_open()
        found, self._feedback = learn(
            self._layout.graph, self._feedback, self._target, self._progress, stimulus, teacher, trajectory_every
        )
        self._layout = lay_out(found.graph)
        self._simulator = Runtime(self._layout, self._target, self._progress)
        return found

    def close(self) -> None:
        """Remove what was built; a closed program cannot run."""
        self._closed = True
        self._simulator.close()

    def _simulate(self, stimulus: Stimulus, recorded: Wanted) -> Output:
        """Simulate part after part and join what they recorded."""
        none = np.zeros(0, np.int64)
        if not self._layout.n_cells:
            return Output(none, none, none)
        steps, size = stimulus.steps, samples_at_once(self._layout, stimulus.steps, recorded, self._memory)
        parts = [(first, min(first + size, stimulus.batch)) for first in range(0, stimulus.batch, size)]
        found = []
        for k, (first, last) in enumerate(parts):
            report = _after(self._progress, k * steps, len(parts) * steps)
            found.append(self._simulator.run(drive(self._layout, stimulus.select(first, last)), recorded, report))
        return Output(
            sample=np.concatenate([part.sample + first for part, (first, _) in zip(found, parts, strict=True)]),
            step=np.concatenate([part.step for part in found]),
            cell=np.concatenate([part.cell for part in found]),
            traces={name: np.concatenate([part.traces[name] for part in found]) for name in recorded},
            clips={name: np.concatenate([part.clips[name] for part in found]) for name in self._layout.model.clipped},
            seconds=sum(part.seconds for part in found),
        )


def _after(progress: Progress | None, before: int, total: int) -> Callable[[int], None] | None:
    """Return what a part calls with its steps done, when `before` steps were done before it."""
    if progress is None:
        return None
    return lambda done: progress(before + done, total, "brian2")


def _version() -> str:
    try:
        return metadata.version("brian2")
    except metadata.PackageNotFoundError:
        return "not installed"
