"""Learn on the embedded engine: the whole of a step in one kernel, equal to `neuro.learning.reference` to 1e-12.

Spikes and states are the golden model's bit for bit as long as the weights are; what e-prop learns differs in its last bits from
the reference, whose sums are in another order.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuro import kernels
from neuro.backend import Capabilities, Learned, Stimulus, Teacher, require
from neuro.engine import EngineBackend, EngineProgram
from neuro.engine.call import Signals
from neuro.engine.inputs import Inputs
from neuro.graph import Graph
from neuro.learning import baseline, kernel, layout, structures
from neuro.learning.kernel import Found, Told
from neuro.learning.local import FloatArray
from neuro.learning.log import Log
from neuro.learning.net import Net, make
from neuro.learning.plan import prepare
from neuro.learning.reference import Learner
from neuro.learning.rules import RULES

_ROOM_BYTES = 2**28
"""Most memory for the state of samples that run side by side."""
_CALL_WORK = 2**30
"""Synapses times steps of one call of the kernel, at most: about a second, between two of which an interrupt is heard."""
_LEAST_SHARE = 8192
"""Fewest learning synapses of one sample worth a thread of their own: a step of so many takes some 10 us (benchmarks/learning.py),
several times what two threads need to meet."""


class LearningEngine(EngineBackend):
    """The engine, whose programs learn where a graph's projections carry plasticity. Parameters: those of `EngineBackend`."""

    capabilities: Capabilities = replace(EngineBackend.capabilities, plasticity=frozenset(RULES))

    def compile(self, graph: Graph) -> EngineProgram:
        """Lay the graph out for the kernels. Raises: as `EngineBackend.compile`."""
        require(self, graph)
        kernels.library()
        plastic = any(c.plasticity is not None for c in graph.projections)
        return (PlasticProgram if plastic else EngineProgram)(graph, self._n_threads, self._progress)


class PlasticProgram(EngineProgram):
    """A program that runs with the present weights, and learns when it is asked to; see `neuro.backend.LearningProgram`."""

    _learner: EngineLearner | None = None

    def learn(self, stimulus: Stimulus, teacher: Teacher, *, trajectory_every: int = 0) -> Learned:
        """Run a batch and learn from it.

        Raises: as `EngineLearner`, GraphError for a rule that does not fit the graph among it; DataError for a stimulus or teacher that
        does not fit.
        """
        learner = self._learner or EngineLearner(self._graph, n_threads=self._n_threads)
        learned = learner.learn(stimulus, teacher, trajectory_every=trajectory_every)
        super().__init__(learned.graph, self._n_threads, self._progress)
        self._learner = learner
        return learned

    def close(self) -> None:
        """Free the memory of samples."""
        if self._learner is not None:
            self._learner.close()


class EngineLearner(Learner):
    """A graph that learns on the engine, and keeps its weights, and its adaptive feedback, from one call to the next.

    graph: with the present weights. feedback: the present random or adaptive B by "P/Y", (n_Y, n_P); drawn anew if there are none.
    n_samples: how many the run has learned from so far. n_threads: default all cores; over the samples of a batch, or over the synapses of one; the result does not depend on them.
    Raises: what `plan.prepare` and the reference raise; UnsupportedError if the kernels are not built.
    """

    def __init__(
        self, graph: Graph, feedback: Mapping[str, FloatArray] | None = None, n_samples: int = 0, *,
        n_threads: int | None = None,
    ) -> None:  # fmt: skip
        kernels.library()
        super().__init__(graph, feedback, n_samples)
        self._n_threads = n_threads or _cores()
        self._net = self._new_net()
        self._states: dict[int, dict[str, NDArray[Any]]] = {}

    def _new_net(self) -> Net:
        plan = replace(prepare(self.graph), feedback=self.feedback)
        return make(plan, layout.lay_out(plan))

    def close(self) -> None:
        """Free the memory of samples; a closed program makes it anew if it is used again."""
        self._states.clear()

    def learn(self, stimulus: Stimulus, teacher: Teacher, *, trajectory_every: int = 0) -> Learned:
        """Run a batch and learn from it; see `neuro.backend.LearningProgram`."""
        net = self._net
        net.plan.check(teacher, stimulus.batch, stimulus.steps)
        log = Log.begin(net.plan, stimulus.batch, stimulus.steps, trajectory_every)
        try:
            _Run(net, log, stimulus, teacher, self._n_threads, self._states, self.n_samples).all()
        except BaseException:
            self._net = self._new_net()  # its weights had changed in place: back to those of the graph
            raise
        self.n_samples += stimulus.batch
        learned = log.learned({key: net.w[place] for key, place in net.places.place.items()})
        learned = replace(learned, graph=baseline.kept_in(learned.graph, net.plan))
        self.graph, self.feedback = learned.graph, _matrices(net)
        if not all(np.array_equal(c.weight, net.w[net.places.place[c.name]]) for c in self.graph.projections):
            self._net = self._new_net()  # parallel synapses of one delay have changed places: they are sorted by weight
        return learned


class _Run:
    """One call of `learn`."""

    def __init__(
        self, net: Net, log: Log, stimulus: Stimulus, teacher: Teacher, n_threads: int,
        states: dict[int, dict[str, NDArray[Any]]], n_samples: int,
    ) -> None:  # fmt: skip
        self._net, self._log, self._teacher, self._n_threads, self._states = net, log, teacher, n_threads, states
        self._n_samples = n_samples
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
        for changes in net.n_changes.values():
            changes[:] = 0
        if net.plan.batched:
            n = max(1, min(self._batch, _ROOM_BYTES // kernel.n_bytes(net)))
        for first in range(0, self._batch, n):
            last = min(first + n, self._batch)
            self._some(self._state(n, last - first), first, last)
            if not net.plan.batched:
                net.plan = baseline.after_sample(net.plan, self._found.reward[first], self._teacher.mask[first])
                structures.take_baselines(net)
        self._keep_found()

    def _state(self, room: int, n: int) -> dict[str, NDArray[Any]]:
        """Return memory for n samples, of that for `room`, which is kept for the next call."""
        if room not in self._states:
            self._states.clear()
            self._states[room] = kernel.new_state(self._net, room)
        return {name: x[:n] for name, x in self._states[room].items()}

    def _some(self, state: dict[str, NDArray[Any]], first: int, last: int) -> None:
        """Run samples first..last-1 from begin to end."""
        net, rows, whole = self._net, slice(first, last), self._found
        signals, told = self._signals_of(rows), _told(self._teacher, rows)
        found = Found(whole.y[rows], whole.n_spikes[rows], whole.action[rows], whole.reward[rows])
        shares = min(self._n_threads, net.places.n_places // _LEAST_SHARE)
        over_neurons = last - first == 1 and shares > 1
        n_threads = shares if over_neurons else self._n_threads
        for t, stop in self._pieces(last - first):
            kernel.advance(
                net, state, signals, told, found, (t, stop), n_threads, over_neurons, self._n_samples + first
            )
            self._keep_weights(rows, stop)
        total = state["gradient"].sum(axis=0)  # in the order of the samples, whatever the threads
        gradient = {s.key: total[None, net.places.place[s.key]] for s in net.plan.sites if s.rule.update == "batch"}
        nothing = dict.fromkeys((s.key for s in net.plan.sites), np.zeros((0, 0)))
        self._log.keep_sample({**nothing, **gradient}, dict.fromkeys(self._log.n_updates, 0))

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


def _matrices(net: Net) -> dict[str, FloatArray]:
    """Return random and adaptive feedback as it is now."""
    at = net.trails.feedback
    return {
        key: net.feedback[at[key] : at[key] + b.size].reshape(b.shape).copy() for key, b in net.plan.feedback.items()
    }


def _told(teacher: Teacher, rows: slice) -> Told:
    return Told(
        teacher.loss, teacher.target[rows], teacher.mask[rows], teacher.reward[rows], teacher.chance[rows],
        teacher.choose[rows].view(np.uint8), teacher.right, teacher.wrong,
    )  # fmt: skip


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
