"""Offer Lava as a backend: programs that are built once and run many stimuli, in groups of samples side by side."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from neuro.backend import (
    Availability,
    Capabilities,
    Environment,
    Learned,
    Progress,
    Record,
    Stimulus,
    Teacher,
    probe,
    require,
)
from neuro.errors import UnsupportedError, nearest
from neuro.graph import FLOAT_KINDS, INTEGER_KINDS, CurrentInput, Graph
from neuro.recording import Events, Recording, make
from neuro_lava import exchange, outcome, sizing
from neuro_lava.hardware import require_board
from neuro_lava.learning.eprop import RULES
from neuro_lava.learning.program import Learner
from neuro_lava.stock import NOTHING_STOCK, Plan, plan_stock
from neuro_lava.wiring import parts

if TYPE_CHECKING:
    from neuro_lava.simulation import Simulation

ENVIRONMENT = Environment(
    name="lava", python="3.10", requirements=("lava-nc==0.10.0", "h5py>=3.8"), module="lava.magma"
)

TARGETS = ("simulation", "hardware")


class LavaBackend:
    """Run graphs as Lava Processes, bit for bit as the golden model: float ones in doubles, integer ones in fixed point.

    Parameters: batch, the most samples to run side by side (default: what fits in 1 GiB); stock, run on Lava's own LIF, Sparse
    and DelaySparse what they compute exactly (`plan_stock`), the rest on our Processes; target, "simulation", or "hardware":
    all neurons of a graph on a Loihi board, by stock Processes (see docs/backends.md); progress, called about every hundred
    steps with (steps done, steps of all groups, "lava").
    """

    name = "lava"
    capabilities = Capabilities(
        populations=FLOAT_KINDS | INTEGER_KINDS, semantics=frozenset({"float", "integer"}), plasticity=RULES
    )
    environment = ENVIRONMENT

    def __init__(
        self,
        *,
        batch: int | None = None,
        stock: bool = False,
        target: str = "simulation",
        progress: Progress | None = None,
    ) -> None:
        if batch is not None and (isinstance(batch, bool) or not isinstance(batch, int) or batch < 1):
            raise UnsupportedError(
                f"backend 'lava': batch out of range (got {batch!r}; need a whole number >= 1). Give a number of samples."
            )
        if not isinstance(stock, bool):
            raise UnsupportedError(f"backend 'lava': stock not understood (got {stock!r}; need true or false).")
        if target not in TARGETS:
            hint = nearest(str(target), TARGETS) or "Choose one."
            raise UnsupportedError(
                f"backend 'lava': unknown target (got {target!r}; need one of {', '.join(TARGETS)}). {hint}"
            )
        self._batch, self._progress = batch, progress
        self._stock, self._hardware = stock, target == "hardware"

    def compile(self, graph: Graph) -> LavaProgram:
        """Prepare a graph; the network is built for the first run's samples.

        Raises: UnsupportedError without Lava, for a graph of which nothing can be stock if it is to be, and for the target
        "hardware" without a board, or with a graph that does not fit it: with every reason.
        """
        require(self, graph)
        if self._hardware:
            require_board()
        plan = self._plan(graph)
        try:
            from neuro_lava.simulation import Simulation
        except ImportError as err:
            raise UnsupportedError(
                f"backend 'lava': lava-nc is not in this interpreter (got Python {platform.python_version()}, {err}; need "
                "Python 3.10 with lava-nc 0.10.0). Run 'neuro backends install lava' and get it with "
                "neuro.backend.get('lava')."
            ) from err
        # On a board, samples side by side would be copies on the chip.
        batch = 1 if self._hardware and self._batch is None else self._batch
        return LavaProgram(graph, Simulation, plan, batch, self._progress)

    def _plan(self, graph: Graph) -> Plan:
        """Return what is to be stock."""
        if not (self._stock or self._hardware):
            return NOTHING_STOCK
        plan = plan_stock(graph, hardware=self._hardware)
        refused = plan.off_board(graph) if self._hardware else []
        if self._hardware and len(parts(graph)) > 1:
            refused.append(f"graph: {len(parts(graph))} parts without a connection (on a board: one)")
        if refused or not plan:
            what = "graph does not fit target 'hardware'" if refused else "nothing in this graph can be stock"
            raise UnsupportedError(
                f"backend 'lava': {what} (got {'; '.join(refused or plan.reasons) or 'no synapses'}; need none of these). "
                "Leave out stock and target, or change the graph: see docs/backends.md."
            )
        return plan

    def is_available(self) -> Availability:
        """Run the probe."""
        return probe(self, version=f"lava-nc {_version()}")


class LavaProgram:
    """A graph on Lava; every run starts from zero state.

    The network is built by the first run, for as many samples as that has side by side, and again only when a run has
    more (`builds` counts): Lava's ports have a fixed shape. Fewer samples leave columns of it idle. A batch of more
    samples than the option `batch`, or than fit in memory, is run in groups of equal size. After an exception the network
    is gone, and the next run builds it again. So it is after each group with stock Processes: they cannot be reset.
    """

    def __init__(
        self,
        graph: Graph,
        simulation: Callable[..., Simulation],
        plan: Plan,
        batch: int | None,
        progress: Progress | None,
    ) -> None:
        self._graph, self._make, self._plan, self._batch, self._progress = graph, simulation, plan, batch, progress
        self._simulation: Simulation | None = None
        self._open, self.builds = True, 0
        self._learner: Learner | None = None

    def run(self, stimulus: Stimulus, record: Record = Record()) -> Recording:  # noqa: B008  (Record is frozen)
        """Run a batch, group by group; see `neuro.backend.Program`.

        Raises: DataError for a stimulus or record that does not fit; WorkerError, with the traceback, if a process model
        fails.
        """
        graph = self._graph
        self._require_open()
        stimulus.check(graph)
        keep, traced = record.spike_names(graph), self._readable(record)
        states = {p.name: ("z",) for p in graph.neurons}
        states = {name: (*states.get(name, ()), *traced.get(name, ())) for name in (*states, *traced)}
        size = sizing.group(graph, stimulus, states, self._batch, self._plan)
        groups = [(k, min(k + size, stimulus.batch)) for k in range(0, stimulus.batch, size)]
        if not graph.receivers:
            groups = []  # inputs alone: no Process, and Lava would wait for one for ever
        wall, found = 0.0, []
        for number, (start, stop) in enumerate(groups):
            simulation = self._ready(size)
            begun = time.perf_counter()
            done = number * stimulus.steps
            found.append(self._run(simulation, stimulus.select(start, stop), states, done, len(groups)))
            wall += time.perf_counter() - begun
        traces = {
            n: {s: np.concatenate([part[n][s] for part in found]) for s in wanted} for n, wanted in traced.items()
        }
        saturations = {
            p.name: {
                s: outcome.joined([part[p.name][f"clipped {s}"] for part in found], stimulus.batch) for s in clipped
            }
            for p, clipped in outcome.clipped(graph)
        }
        return make(
            graph, backend="lava", saturations=saturations, versions=self._versions(), exact=True,
            batch=stimulus.batch, steps=stimulus.steps, currents=stimulus.currents, traces=traces, keep=keep,
            spikes=outcome.spikes(graph, stimulus, found, [start for start, _ in groups]), wall_time_s=wall,
        )  # fmt: skip

    def learn(self, stimulus: Stimulus, teacher: Teacher, *, trajectory_every: int = 0) -> Learned:
        """Run a batch and learn from it by e-prop; see `neuro.backend.LearningProgram`.

        Raises: UnsupportedError, with every reason, for what Lava cannot learn here; DataError for a stimulus or teacher that does not fit.
        """
        self._require_open()
        if self._learner is None:
            make = self._make
            self._learner = Learner(self._graph, lambda graph, sites: make(graph, 1, sites=sites), self._write)
        total = stimulus.batch * stimulus.steps
        told = self._progress or (lambda done, total, what: None)
        learned = self._learner.learn(stimulus, teacher, trajectory_every, lambda done: told(done, total, "lava"))
        self._end()  # what runs next has other weights
        self._graph = learned.graph
        return learned

    def close(self) -> None:
        """End Lava's processes and remove its files. Calling it twice is fine."""
        self._open = False
        self._end()
        if self._learner is not None:
            self._learner.close()

    def _require_open(self) -> None:
        if not self._open:
            raise UnsupportedError(
                "backend 'lava': the program is closed (got run; need compile). Compile the graph again."
            )

    def _versions(self) -> dict[str, str]:
        stock = {"lava stock processes": str(self._plan)} if self._plan else {}
        return {"lava-nc": _version(), "numpy": np.__version__, **stock}

    def _readable(self, record: Record) -> dict[str, tuple[str, ...]]:
        """Return the states to record: of neurons on a board none, where "all" was asked for, and not if they were named."""
        traced = record.trace_names(self._graph)
        on_board = self._plan.populations if self._plan.hardware else frozenset()
        hidden = {name: wanted for name, wanted in traced.items() if name in on_board and wanted}
        if hidden and record.traces != "all":
            name, wanted = next(iter(hidden.items()))
            raise UnsupportedError(
                f"record '{name}': states cannot be read on a board (got {', '.join(wanted)}; need spikes alone). "
                "Record them in a simulation: it computes the same bits."
            )
        return {name: wanted for name, wanted in traced.items() if name not in hidden}

    def _end(self) -> None:
        if self._simulation is not None:
            self._simulation.close()
            self._simulation = None

    def _ready(self, samples: int) -> Simulation:
        """Return a simulation for at least so many samples."""
        if self._simulation is None or self._simulation.batch < samples:
            self._end()
            self._simulation = self._make(self._graph, samples, plan=self._plan)
            self.builds += 1
        return self._simulation

    def _run(
        self, simulation: Simulation, part: Stimulus, states: Mapping[str, tuple[str, ...]], done: int, n_groups: int
    ) -> outcome.Outcome:
        """Run one group and return its states, (samples, steps, size); spikes z as bytes."""
        folder, index = simulation.folder, {p.name: k for k, p in enumerate(self._graph.populations)}

        def progress(k: int) -> None:
            if self._progress:
                self._progress(done + min(k, part.steps), n_groups * part.steps, "lava")

        try:
            self._write(folder, index, part, states)
            simulation.run(part.steps + 1, progress)
            found: outcome.Outcome = {
                name: {s: outcome.by_sample(exchange.open_rows(folder, index[name], s)) for s in wanted}
                for name, wanted in states.items()
            }
            for p, clipped in outcome.clipped(self._graph):
                counts = {f"clipped {s}": np.array(exchange.open_clips(folder, index[p.name], s)) for s in clipped}
                found.setdefault(p.name, {}).update(counts)
            exchange.clear(folder)
            if self._plan:
                self._end()
        except BaseException:
            self._end()
            raise
        return found

    def _write(
        self, folder: str, index: Mapping[str, int], part: Stimulus, states: Mapping[str, tuple[str, ...]]
    ) -> None:
        """Leave the signals and empty rows for the models."""
        for p in self._graph.inputs:
            shape = (part.steps, p.size, part.batch)
            if isinstance(p, CurrentInput):
                u = part.currents[p.name].transpose(1, 2, 0)
                exchange.create_signal(folder, index[p.name], shape, np.float64)[:] = u
            else:
                e = part.spikes.get(p.name, Events.none())
                exchange.create_signal(folder, index[p.name], shape, np.uint8)[e.step, e.unit, e.sample] = 1
        for name, wanted in states.items():
            for state in wanted:
                shape = (part.steps, self._graph.population(name).size, part.batch)
                exchange.create_rows(folder, index[name], state, shape)
        for p, clipped in outcome.clipped(self._graph):
            for state in clipped:
                exchange.create_clips(folder, index[p.name], state, part.batch)
        run = exchange.Run(part.steps, part.batch, {str(index[name]): wanted for name, wanted in states.items()})
        exchange.write_run(folder, run)


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("lava-nc")
    except PackageNotFoundError:
        return "not installed"
