"""Learn on the embedded engine: the whole of a step in one kernel, equal to `neuro.learning.reference` to 1e-12.

Spikes and states are the golden model's bit for bit as long as the weights are; learned numbers differ in their last bits from the
reference's, whose sums are in another order.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuro import kernels
from neuro.backend import Learned, Record, Stimulus, StimulusStream, Teacher
from neuro.engine import EngineBackend
from neuro.engine.call import Signals
from neuro.engine.inputs import Inputs
from neuro.graph import Graph
from neuro.learning import kernel, layout
from neuro.learning.kernel import Found, Net, Told
from neuro.learning.local import FloatArray
from neuro.learning.log import Log
from neuro.learning.plan import prepare
from neuro.recording import Recording

_ROOM_BYTES = 2**28
"""Most memory for the state of samples that run side by side."""
_CALL_WORK = 2**30
"""Synapses times steps of one call of the kernel, at most: about a second, between two of which an interrupt is heard."""
_LEAST_SHARE = 8192
"""Fewest learning synapses of one sample worth a thread of their own (benchmarks/learning.py)."""


class EngineLearner:
    """A graph that learns on the engine, and keeps its weights, and its adaptive feedback, from one call to the next.

    graph: with the present weights. feedback: the present random or adaptive B by "P/Y", (n_Y, n_P); drawn anew if None.
    n_threads: default all cores; over the samples of a batch, or over the synapses of one; the result does not depend on them.
    Raises: what `plan.prepare` raises; UnsupportedError if the kernels are not built.
    """

    def __init__(
        self, graph: Graph, feedback: Mapping[str, FloatArray] | None = None, *, n_threads: int | None = None
    ) -> None:
        kernels.library()
        plan = prepare(graph)
        self.graph, self._places = graph, layout.lay_out(plan)
        self.feedback = {**plan.feedback, **{k: np.array(b) for k, b in (feedback or {}).items() if k in plan.feedback}}
        self._n_threads = n_threads or _cores()

    def run(self, stimulus: Stimulus | StimulusStream, record: Record = Record()) -> Recording:  # noqa: B008  (Record is frozen)
        """Run a batch with the present weights, which stay as they are."""
        return EngineBackend(n_threads=self._n_threads).compile(self.graph).run(stimulus, record)

    def close(self) -> None:
        """Hold nothing, free nothing."""

    def learn(self, stimulus: Stimulus, teacher: Teacher, *, trajectory_every: int = 0) -> Learned:
        """Run a batch and learn from it; see `neuro.backend.LearningProgram`."""
        plan = prepare(self.graph)
        plan.check(teacher, stimulus.batch, stimulus.steps)
        net = kernel.make(replace(plan, feedback=self.feedback), self._places)
        log = Log.begin(plan, stimulus.batch, stimulus.steps, trajectory_every)
        run = _Run(net, log, stimulus, teacher, self._n_threads)
        run.all()
        weight = {key: net.w[place] for key, place in self._places.place.items()}
        learned = log.learned(weight)
        self.feedback = run.feedback()
        if learned.graph is not self.graph:
            self._follow(learned.graph)
        return learned

    def _follow(self, graph: Graph) -> None:
        """Take the graph with the new weights; parallel synapses may have changed places."""
        before, self.graph = self.graph, graph
        for old, new in zip(before.projections, graph.projections, strict=True):
            if not (np.array_equal(old.pre, new.pre) and np.array_equal(old.delay, new.delay)):
                self._places = layout.lay_out(prepare(graph))
                return


class _Run:
    """One call of `learn`."""

    def __init__(self, net: Net, log: Log, stimulus: Stimulus, teacher: Teacher, n_threads: int) -> None:
        self._net, self._log, self._teacher, self._n_threads = net, log, teacher, n_threads
        self._steps, self._batch = stimulus.steps, stimulus.batch
        inputs = Inputs(net.plan.graph, net.places.engine, stimulus)
        self._signals = inputs.part((0, stimulus.batch), 0, stimulus.steps).signals
        base = net.places.engine
        self._found = Found(
            y=np.zeros((stimulus.batch, stimulus.steps, base.n_targets - base.n_neurons)),
            n_spikes=np.zeros((stimulus.batch, base.n_neurons), np.int64),
            action=log.action,
            reward=log.reward,
        )

    def all(self) -> None:
        """Run all samples: side by side where weights stand still, else one after the other."""
        net, n = self._net, 1
        if net.plan.batched:
            n = max(1, min(self._batch, _ROOM_BYTES // kernel.n_bytes(net)))
        state = kernel.new_state(net, n)
        for first in range(0, self._batch, n):
            last = min(first + n, self._batch)
            mine = state if last - first == n else {name: x[: last - first] for name, x in state.items()}
            self._some(mine, first, last)
        self._keep_found()

    def _some(self, state: dict[str, NDArray[Any]], first: int, last: int) -> None:
        """Run samples first..last-1 from begin to end."""
        net, rows = self._net, slice(first, last)
        signals, told = self._signals_of(rows), _told(self._teacher, rows)
        whole = self._found
        found = Found(whole.y[rows], whole.n_spikes[rows], whole.action[rows], whole.reward[rows])
        shares = min(self._n_threads, net.places.n_places // _LEAST_SHARE)
        over_neurons = last - first == 1 and shares > 1
        n_threads = shares if over_neurons else self._n_threads
        for t, stop in self._pieces(last - first):
            kernel.advance(net, state, signals, told, found, (t, stop), n_threads, over_neurons)
            self._keep_weights(rows, stop)
        gradient = {site.key: state["gradient"][:, net.places.place[site.key]] for site in net.plan.sites}
        self._log.keep_sample(gradient, dict.fromkeys(self._log.n_updates, 0))

    def _pieces(self, n_samples: int) -> list[tuple[int, int]]:
        """Return the steps of each call of the kernel."""
        length = max(_CALL_WORK // max(n_samples * self._net.places.n_places, 1), 1)
        if self._log.every:
            length = self._log.every
        return [(t, min(t + length, self._steps)) for t in range(0, self._steps, length)]

    def _signals_of(self, rows: slice) -> Signals:
        cells = self._signals.event_row[rows.start * self._steps : rows.stop * self._steps + 1]
        return Signals(
            cells - cells[0],
            self._signals.event_source[cells[0] : cells[-1]],
            self._signals.current_source,
            self._signals.current[rows],
        )

    def _keep_weights(self, rows: slice, steps: int) -> None:
        log = self._log
        if log.every and steps % log.every == 0:
            for key, kept in log.trajectory.items():
                kept[rows, steps // log.every - 1] = self._net.w[self._net.places.place[key]]

    def _keep_found(self) -> None:
        """Put what the kernel wrote where a `Learned` has it."""
        net, base = self._net, self._net.places.engine
        for name in self._log.y:
            at = base.target[name] - base.n_neurons
            self._log.y[name] = self._found.y[:, :, at : at + net.plan.graph.population(name).size]
        for name in self._log.n_spikes:
            at = base.target[name]
            self._log.n_spikes[name] = self._found.n_spikes[:, at : at + net.plan.graph.population(name).size]
        for key in self._log.n_updates:
            self._log.n_updates[key] = int(net.n_changes[key].sum())

    def feedback(self) -> dict[str, FloatArray]:
        """Return the matrices as they are now."""
        net, found = self._net, {}
        for key, b in net.plan.feedback.items():
            at = net.trails.feedback[key]
            found[key] = net.feedback[at : at + b.size].reshape(b.shape).copy()
        return found


def _told(teacher: Teacher, rows: slice) -> Told:
    return Told(
        teacher.loss, teacher.target[rows], teacher.mask[rows], teacher.reward[rows], teacher.chance[rows],
        teacher.choose[rows].view(np.uint8), teacher.right, teacher.wrong,
    )  # fmt: skip


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
