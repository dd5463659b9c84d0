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
from neuro.errors import UnsupportedError
from neuro.graph import Graph

from . import judge, session
from .batch import one_after_another
from .cells import constants, learning_cells
from .layout import Layout, lay_out
from .sites import Feedback, Site, Sites, read

FloatArray = NDArray[np.float64]


Matrices = dict[str, FloatArray]
"""Feedback B, (n_readout, n_population), by "population/readout"."""


def learn(
    graph: Graph, matrices: Matrices, target: str, progress: Progress | None, stimulus: Stimulus, teacher: Teacher,
    trajectory_every: int,
) -> tuple[Learned, Matrices]:  # fmt: skip
    """Run a batch and learn from it, see `neuro.backend.LearningProgram`; return also the adaptive feedback after it.

    matrices: adaptive feedback before it, where there was a call before.
    Raises: UnsupportedError for a target, a rule or a parameter that Brian2 cannot hold here; DataError for a stimulus or a teacher that
    does not fit the graph.
    """
    if target == "cpp_standalone":
        raise UnsupportedError(
            "backend 'brian2': target 'cpp_standalone' does not learn, since a teacher judges each step in Python (got "
            "'cpp_standalone'; need 'numpy' or 'cython'). Use target='cython'."
        )
    sites = read(graph)
    kept = tuple(replace(way, weight=matrices.get(way.key, way.weight)) for way in sites.feedback)
    sites = replace(sites, feedback=kept)
    stimulus.check(graph)
    judge.check(graph, sites, stimulus, teacher, trajectory_every)
    session.load()
    from brian2.devices.device import RuntimeDevice

    with session.session(RuntimeDevice()):
        run = _Run(graph, sites, stimulus, teacher, trajectory_every)
        return run.learned(target, progress), {way.key: run.feedback(way).copy() for way in sites.feedback}


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
        self._learning = {s.key: s for s in sites.sites if s.block is not None}
        self._before: dict[str, FloatArray] = {}
        shape = (stimulus.batch, stimulus.steps)
        kept = shape[1] // trajectory_every if trajectory_every else 0
        plastic = [c for c in graph.projections if c.plasticity is not None]
        self._tally = _Tally(
            y={p.name: np.zeros((*shape, p.size)) for p in graph.readouts},
            action=np.full(shape, -1, np.int64),
            reward=np.zeros(shape),
            gradient={n: np.zeros(s.projection.size) for n, s in self._learning.items() if _block(s).update == "batch"},
            trajectory={c.name: np.zeros((shape[0], kept, c.size)) for c in plastic if trajectory_every},
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
        self._model = learning_network.build(
            self._layout, self._sites, one_after_another(self._layout, self._stimulus, self._period), steps, calls
        )
        session.generate_for(target)
        report = {} if progress is None else {"report": self._report(progress), "report_period": second / 2}
        self._model.network.run(batch * self._period * second, namespace={}, **report)
        weight = {name: self._value(name, "w").copy() for name in self._learning}
        tally = self._tally
        changes = {name: int(self._value(name, "n_changes").sum()) for name in self._learning}
        return Learned(
            graph=self._changed(weight),
            gradient={c.name: tally.gradient[c.name] for c in self._graph.projections if c.name in tally.gradient},
            bias_gradient={
                p.name: g for p in self._graph.receivers if (g := tally.gradient.get(f"bias/{p.name}")) is not None
            },
            y=tally.y,
            action=tally.action,
            reward=tally.reward,
            n_spikes=self._n_spikes(),
            n_updates={c.name: changes.get(c.name, 0) for c in self._graph.projections if c.plasticity is not None},
            trajectory=tally.trajectory,
        )

    # ------------------------------------------------------------------------------------------- called at every step

    def _start(self, step: int) -> None:
        """Begin a sample with everything at zero; begin a pause with no learning and no firing; let "episode" learn at its end."""
        t = step % self._period
        if t == 0:
            self._reset()
        for name, site in self._learning.items():
            self._value(name, "lr")[()] = _block(site).lr if self._is_update(site, t) else 0.0
        if t == self._stimulus.steps:
            self._model.cells.variables["fires"].get_value()[:] = 0.0

    def _is_update(self, site: Site, t: int) -> bool:
        last = self._stimulus.steps - 1
        return {"step": t <= last, "episode": t == last, "batch": False}[_block(site).update]

    def _reset(self) -> None:
        cells, model = self._model.cells.variables, self._layout.model
        for name in model.states:
            cells[name].get_value()[:] = 0.0
        cells["I"].get_value()[:] = self._layout.parameters["bias"] + cells["shift"].get_value()
        cells["fires"].get_value()[:] = self._layout.parameters["fires"]
        for name, site in self._learning.items():
            for state, value in _block(site).states.items():
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

        self._before = {name: self._value(name, "w").copy() for way in self._sites.feedback for name in way.follows}

    def _end(self, step: int) -> None:
        """Read the weights of a step, and of a sample what its end gives."""
        sample, t = divmod(step, self._period)
        steps = self._stimulus.steps
        if t >= steps:
            return
        for way in self._sites.feedback:
            self._follow(way, t)
        if self._every and (t + 1) % self._every == 0:
            for name in self._tally.trajectory.keys() & self._learning.keys():
                self._tally.trajectory[name][sample, (t + 1) // self._every - 1] = self._value(name, "w")
        if t == steps - 1:
            for name in self._tally.gradient:
                self._tally.gradient[name] = self._tally.gradient[name] + self._value(name, "gradient")
            for name, site in self._learning.items():
                self._tally.baseline[name] = self._next_baseline(name, site, sample)

    def _follow(self, way: Feedback, t: int) -> None:
        """Let adaptive feedback follow the weights that were updated at this step, and shrink."""
        updated = [self._learning[name] for name in way.follows if self._is_update(self._learning[name], t)]
        if not updated:
            return
        b = self.feedback(way)
        for site in updated:
            moved = self._value(site.key, "w") - self._before[site.key]
            np.add.at(b, (site.projection.post, site.projection.pre), moved)
        b *= 1 - way.decay

    def feedback(self, way: Feedback) -> FloatArray:
        """Return the present matrix B, (n_readout, n_population)."""
        values: FloatArray = self._model.feedback[way.key].variables["B"].get_value()
        return values.reshape(way.weight.shape)

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

    def _n_spikes(self) -> dict[str, NDArray[np.int64]]:
        cell = self._model.spikes.variables["i"].get_value().astype(np.int64)
        sample = np.rint(self._model.spikes.variables["t"].get_value()).astype(np.int64) // self._period
        counts = np.zeros((self._stimulus.batch, self._layout.n_cells), np.int64)
        np.add.at(counts, (sample, cell), 1)
        return {p.name: counts[:, self._layout.cell[p.name] :][:, : p.size] for p in self._graph.neurons}

    def _changed(self, weight: dict[str, FloatArray]) -> Graph:
        """Return the graph with the learned weights and, of rules that take the mean reward off, the baselines."""
        moved = [self._with(c, weight[c.name]) if c.name in weight else c for c in self._graph.projections]
        keys = {p.name: f"bias/{p.name}" for p in self._graph.receivers}
        still = {n for n, s in self._learning.items() if _block(s).update == "batch"}
        biases = {name: weight[key] for name, key in keys.items() if key in weight and key not in still}
        given: list[Any] = list(self._graph.populations)
        populations = [replace(p, bias=biases[p.name]) if p.name in biases else p for p in given]
        return replace(self._graph, populations=tuple(populations), projections=tuple(moved))

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
