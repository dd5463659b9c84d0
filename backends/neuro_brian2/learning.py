"""Run a graph that learns on Brian2: its samples one after the other in one simulation, judged at every step.

After each sample comes a pause, as long as the longest delay, in which no cell fires and no weight changes: what is in flight arrives. At the
next sample's first step every state is set to zero. All samples so take one network, which Brian2 need not build again.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuro.backend import Learned, Progress, Stimulus, Teacher
from neuro.errors import DataError, UnsupportedError
from neuro.graph import Graph

from . import judge, session
from .batch import Drive, drive
from .cells import constants, learning_cells
from .layout import Layout, lay_out
from .sites import Site, Sites, read

FloatArray = NDArray[np.float64]


def learn(
    graph: Graph, target: str, progress: Progress | None, stimulus: Stimulus, teacher: Teacher, trajectory_every: int
) -> Learned:
    """Run a batch and learn from it; see `neuro.backend.LearningProgram`.

    Raises: UnsupportedError for a target, a rule or a parameter that Brian2 cannot hold here; DataError for a stimulus or a teacher that
    does not fit the graph.
    """
    if target == "cpp_standalone":
        raise UnsupportedError(
            "backend 'brian2': target 'cpp_standalone' does not learn, since a teacher judges each step in Python (got "
            "'cpp_standalone'; need 'numpy' or 'cython'). Use target='cython'."
        )
    sites = read(graph)
    stimulus.check(graph)
    _check(graph, sites, stimulus, teacher, trajectory_every)
    session.load()
    from brian2.devices.device import RuntimeDevice

    with session.session(RuntimeDevice()):
        return _Run(graph, sites, stimulus, teacher, trajectory_every).learned(target, progress)


def _check(graph: Graph, sites: Sites, stimulus: Stimulus, teacher: Teacher, trajectory_every: int) -> None:
    found = []
    if (teacher.batch, teacher.steps) != (stimulus.batch, stimulus.steps):
        found.append(
            f"teacher: shape does not fit the stimulus (got batch {teacher.batch}, steps {teacher.steps}; need {stimulus.batch}, "
            f"{stimulus.steps}). Reshape it."
        )
    if sites.signals and teacher.loss not in ("softmax", "regression"):
        found.append(
            f"teacher: no error for '{sites.signals[0]}' (got loss '{teacher.loss}'; need softmax or regression). Change it."
        )
    chosen = [sites.actor] if sites.actor is not None and teacher.choose.any() else []
    for name in dict.fromkeys([*sites.signals, *chosen]):
        size = graph.population(name).size
        if teacher.target.shape[2] != size:
            found.append(
                f"teacher 'target': wrong number of outputs (got {teacher.target.shape[2]}; need {size}, the size of '{name}'). Reshape it."
            )
    if isinstance(trajectory_every, bool) or not isinstance(trajectory_every, int) or trajectory_every < 0:
        found.append(
            f"learn: trajectory_every out of range (got {trajectory_every!r}; need a whole number >= 0). Give one."
        )
    if found:
        raise DataError("\n  ".join(found))


@dataclass
class _Tally:
    """What a run has recorded so far."""

    y: dict[str, FloatArray]
    action: NDArray[np.int64]
    reward: FloatArray
    gradient: dict[str, FloatArray]
    trajectory: dict[str, FloatArray]
    baseline: dict[str, float]


class _Run:
    """One call of `learn`."""

    def __init__(self, graph: Graph, sites: Sites, stimulus: Stimulus, teacher: Teacher, trajectory_every: int) -> None:
        self._graph, self._sites, self._teacher = graph, sites, teacher
        self._stimulus, self._every = stimulus, trajectory_every
        self._layout = _learning_layout(graph, sites.n_signals)
        self._period = stimulus.steps + max(graph.max_delay, 1)
        self._learning = {s.projection.name: s for s in sites.sites if s.block is not None}
        shape = (stimulus.batch, stimulus.steps)
        kept = shape[1] // trajectory_every if trajectory_every else 0
        self._tally = _Tally(
            y={p.name: np.zeros((*shape, p.size)) for p in graph.readouts},
            action=np.full(shape, -1, np.int64),
            reward=np.zeros(shape),
            gradient={n: np.zeros(s.projection.size) for n, s in self._learning.items() if _block(s).update == "batch"},
            trajectory={n: np.zeros((shape[0], kept, s.projection.size)) for n, s in self._learning.items() if kept},
            baseline={n: float(_parameters(s).get("baseline", 0.0)) for n, s in self._learning.items()},
        )

    def learned(self, target: str, progress: Progress | None) -> Learned:
        """Simulate and return what was learned."""
        from brian2 import second

        from . import learning_network

        if target == "cython":
            session.require_flags()
        calls = {"start": self._start, "judge": self._judge, "end": self._end}
        steps, batch = self._stimulus.steps, self._stimulus.batch
        self._model = learning_network.build(self._layout, self._sites, self._drive(), steps, calls)
        session.generate_for(target)
        report = {} if progress is None else {"report": self._report(progress), "report_period": second / 2}
        self._model.network.run(batch * self._period * second, namespace={}, **report)
        weight = {name: self._value(name, "w").copy() for name in self._learning}
        tally = self._tally
        return Learned(
            graph=self._changed(weight),
            gradient=tally.gradient,
            y=tally.y,
            action=tally.action,
            reward=tally.reward,
            n_spikes=self._n_spikes(),
            n_updates={name: int(self._value(name, "n_changes").sum()) for name in self._learning},
            trajectory=tally.trajectory,
        )

    # ------------------------------------------------------------------------------------------- called at every step

    def _start(self, step: int) -> None:
        """Begin a sample with everything at zero; begin a pause with no learning and no firing; let "episode" learn at its end."""
        t = step % self._period
        if t == 0:
            self._reset()
        for name, site in self._learning.items():
            self._value(name, "lr")[()] = self._lr(site, t)
        if t == self._stimulus.steps:
            self._model.cells.variables["fires"].get_value()[:] = 0.0

    def _lr(self, site: Site, t: int) -> float:
        block = _block(site)
        last = self._stimulus.steps - 1
        on = {"step": t <= last, "episode": t == last, "batch": False}[block.update]
        return block.lr if on else 0.0

    def _reset(self) -> None:
        cells, model = self._model.cells.variables, self._layout.model
        for name in model.states:
            cells[name].get_value()[:] = 0.0
        cells["I"].get_value()[:] = self._layout.parameters["bias"]
        cells["fires"].get_value()[:] = self._layout.parameters["fires"]
        for name, site in self._learning.items():
            for state, value in {**_block(site).states, "x": 0.0}.items():
                self._value(name, state)[:] = value

    def _judge(self, step: int) -> None:
        """Read the outputs of a step; set errors and factors."""
        sample, t = divmod(step, self._period)
        if t >= self._stimulus.steps:
            return
        y = {name: self._cells("v", name).copy() for name in self._tally.y}
        for name, values in y.items():
            self._tally.y[name][sample, t] = values
        action = -1 if self._sites.actor is None else judge.act(self._teacher, y[self._sites.actor][None], sample, t)
        reward = judge.reward(self._teacher, action, sample, t)
        self._tally.action[sample, t], self._tally.reward[sample, t] = action, reward
        for name in self._sites.signals:
            self._cells("err", name)[:] = judge.error(self._teacher, y[name][None], sample, t)[0]
        for name, site in self._learning.items():
            if _block(site).rewarded:
                judged = self._teacher.mask[sample, t] != 0
                self._value(name, "M")[()] = reward - self._tally.baseline[name] if judged else reward

    def _end(self, step: int) -> None:
        """Read the weights of a step, and of a sample what its end gives."""
        sample, t = divmod(step, self._period)
        steps = self._stimulus.steps
        if t >= steps:
            return
        if self._every and (t + 1) % self._every == 0:
            for name, rows in self._tally.trajectory.items():
                rows[sample, (t + 1) // self._every - 1] = self._value(name, "w")
        if t == steps - 1:
            for name in self._tally.gradient:
                self._tally.gradient[name] = self._tally.gradient[name] + self._value(name, "gradient")
            for name, site in self._learning.items():
                self._tally.baseline[name] = self._next_baseline(name, site, sample)

    def _next_baseline(self, name: str, site: Site, sample: int) -> float:
        """Return the running mean of the reward after a sample: b + (mean of the judged steps - b) / tau_reward."""
        tau, before = _parameters(site).get("tau_reward", 0.0), self._tally.baseline[name]
        kept = self._tally.reward[sample][self._teacher.mask[sample] != 0].tolist()
        return before + (math.fsum(kept) / len(kept) - before) / tau if tau and kept else before

    # --------------------------------------------------------------------------------------------------------- results

    def _value(self, name: str, variable: str) -> Any:
        """Return the array behind a variable of a projection's synapses."""
        return self._model.synapses[name].variables[variable].get_value()

    def _cells(self, variable: str, name: str) -> Any:
        first = self._layout.cell[name]
        return self._model.cells.variables[variable].get_value()[first : first + self._graph.population(name).size]

    def _drive(self) -> Drive:
        """Return the stimulus with all samples after one another, each followed by its pause."""
        batch, period, layout = self._stimulus.batch, self._period, self._layout
        given = drive(layout, self._stimulus)
        sample, line = np.divmod(given.index.astype(np.int64), max(layout.n_lines, 1))
        step = given.step + sample * period
        order = np.lexsort((line, step))
        table = np.zeros((batch, period, layout.n_columns))
        table[:, : self._stimulus.steps] = given.table[1:].transpose(1, 0, 2)
        rows = np.concatenate([np.zeros((1, layout.n_columns)), table.reshape(batch * period, -1)])
        return Drive(1, batch * period, line[order].astype(np.int32), step[order].astype(np.int32), rows[:, None])

    def _n_spikes(self) -> dict[str, NDArray[np.int64]]:
        cell = self._model.spikes.variables["i"].get_value().astype(np.int64)
        sample = np.rint(self._model.spikes.variables["t"].get_value()).astype(np.int64) // self._period
        counts = np.zeros((self._stimulus.batch, self._layout.n_cells), np.int64)
        np.add.at(counts, (sample, cell), 1)
        return {p.name: counts[:, self._layout.cell[p.name] :][:, : p.size] for p in self._graph.neurons}

    def _changed(self, weight: dict[str, FloatArray]) -> Graph:
        """Return the graph with the learned weights and, of rules that take the mean reward off, the baselines."""
        moved = [self._with(c, weight[c.name]) if c.name in weight else c for c in self._graph.projections]
        return replace(self._graph, projections=tuple(moved))

    def _with(self, c: Any, weight: FloatArray) -> Any:
        p = c.plasticity
        if p.parameters.get("tau_reward", 0.0) > 0:
            p = replace(p, parameters={**p.parameters, "baseline": self._tally.baseline[c.name]})
        return replace(c, plasticity=p, **({} if p.parameters["update"] == "batch" else {"weight": weight}))

    def _report(self, progress: Progress) -> Any:
        total = self._stimulus.batch * self._stimulus.steps

        def report(elapsed: Any, completed: float, start: Any, duration: Any) -> None:
            progress(round(float(completed) * total), total, "brian2: learning")

        return report


def _block(site: Site) -> Any:
    assert site.block is not None
    return site.block


def _parameters(site: Site) -> Any:
    assert site.projection.plasticity is not None
    return site.projection.plasticity.parameters


def _learning_layout(graph: Graph, n_signals: int) -> Layout:
    """Return the layout of a graph with cells that tell their synapses what e-prop needs."""
    model = learning_cells(n_signals)
    found = [constants(model, p) for p in graph.receivers]
    parameters = {name: np.concatenate([each[name] for each in found]) for name in model.parameters}
    return replace(lay_out(graph), model=model, parameters=parameters)
