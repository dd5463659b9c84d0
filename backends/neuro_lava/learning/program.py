"""Let a graph learn by e-prop on Lava: its samples one after the other, in one network that is built once. Needs lava to run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuro.backend import Learned, Stimulus, Teacher
from neuro.errors import DataError
from neuro.graph import Graph
from neuro_lava import exchange
from neuro_lava.learning.eprop import Site, read

FloatArray = NDArray[np.float64]
States = Mapping[str, tuple[str, ...]]
Write = Callable[[str, Mapping[str, int], Stimulus, States], None]
"""Leave a sample's inputs, and empty rows for states, in a folder; populations by their index."""


class Learner:
    """A graph that learns, and its network on Lava, which the first call builds.

    graph: with the present weights. build: makes a Simulation of what learns. write: leaves a sample's inputs.
    """

    def __init__(self, graph: Graph, build: Callable[[Graph, Mapping[str, Site]], Any], write: Write) -> None:
        self.graph, self._build, self._write = graph, build, write
        self._sites = read(graph)
        self._index = {p.name: k for k, p in enumerate(graph.populations)}
        self._simulation: Any = None

    def learn(self, stimulus: Stimulus, teacher: Teacher, every: int, progress: Callable[[int], None]) -> Learned:
        """Run a batch and learn from it. progress: called with the steps done.

        Raises: DataError for a stimulus or teacher that does not fit; WorkerError, with the traceback, if a process model fails.
        """
        check(self._sites, self.graph, stimulus, teacher, every)
        tally = _Tally(self.graph, self._sites)
        states = {p.name: ("y",) for p in self.graph.readouts} | {p.name: ("z",) for p in self.graph.neurons}
        rows: dict[str, list[NDArray[Any]]] = {name: [] for name in states}
        try:
            if self._simulation is None:
                self._simulation = self._build(self.graph, self._sites)
            folder = self._simulation.folder
            for k in range(stimulus.batch):
                self._write(folder, self._index, stimulus.select(k, k + 1), states)
                tally.leave(folder, exchange.Lesson(teacher.loss, teacher.target[k], teacher.mask[k], every))
                self._simulation.run(
                    stimulus.steps + 1, lambda n, k=k: progress(k * stimulus.steps + min(n, stimulus.steps))
                )
                tally.take(folder)
                for name, (state,) in states.items():
                    rows[name].append(np.array(exchange.open_rows(folder, self._index[name], state)[..., 0]))
                exchange.clear(folder)
        except BaseException:
            self.close()
            raise
        dense = {name: np.array(each) for name, each in rows.items()}
        learned = tally.learned(dense, (stimulus.batch, stimulus.steps))
        self.graph = learned.graph
        return learned

    def close(self) -> None:
        """End Lava's processes; the next call builds them again."""
        if self._simulation is not None:
            self._simulation.close()
            self._simulation = None


def check(sites: Mapping[str, Site], graph: Graph, stimulus: Stimulus, teacher: Teacher, every: int) -> None:
    """Raise DataError, naming every fault, unless stimulus and teacher fit a graph that learns."""
    stimulus.check(graph)
    found = []
    if (teacher.batch, teacher.steps) != (stimulus.batch, stimulus.steps):
        found.append(
            f"teacher: shape does not fit the stimulus (got batch {teacher.batch}, steps {teacher.steps}; need {stimulus.batch}, "
            f"{stimulus.steps}). Reshape it."
        )
    if teacher.loss not in ("softmax", "regression"):
        found.append(
            f"teacher: loss does not fit e-prop (got '{teacher.loss}'; need softmax or regression). Change it."
        )
    for name in dict.fromkeys(site.signal for site in sites.values() if site.signal):
        size = graph.population(name).size
        if teacher.target.shape[2] != size:
            found.append(
                f"teacher 'target': wrong number of outputs (got {teacher.target.shape[2]}; need {size}, the size of '{name}'). Reshape it."
            )
    if isinstance(every, bool) or not isinstance(every, int) or every < 0:
        found.append(f"learn: trajectory_every out of range (got {every!r}; need a whole number >= 0). Give one.")
    if found:
        raise DataError("\n  ".join(found))


class _Tally:
    """What a batch has learned so far; weights carry over from sample to sample."""

    def __init__(self, graph: Graph, sites: Mapping[str, Site]) -> None:
        self._graph, self._sites = graph, sites
        self._index = {p.name: k for k, p in enumerate(graph.populations)}
        self._weight = {
            name: np.concatenate([np.zeros(0), *(c.weight for c in graph.projections_to(name) if c.size)])
            for name in sites
        }
        self._found: dict[str, list[exchange.Learned]] = {name: [] for name, s in sites.items() if s.learns.any()}

    def leave(self, folder: str, lesson: exchange.Lesson) -> None:
        """Write what the models need for the next sample."""
        exchange.write_lesson(folder, lesson)
        for name, weight in self._weight.items():
            exchange.write_weights(folder, self._index[name], weight)

    def take(self, folder: str) -> None:
        """Read what the models learned from it."""
        for name, found in self._found.items():
            found.append(exchange.read_learned(folder, self._index[name]))
            self._weight[name] = found[-1].weight

    def learned(self, rows: Mapping[str, NDArray[Any]], shape: tuple[int, int]) -> Learned:
        """Return the new graph and what else is asked for. rows: y of each readout, z of each population, (batch, steps, size)."""
        weight: dict[str, FloatArray] = {}
        gradient, updates, trajectory = {}, {}, {}
        for name, found in self._found.items():
            site = self._sites[name]
            for c in self._graph.projections_to(name):
                if not c.size or c.plasticity is None:
                    continue
                first, after = site.parts[c.name]
                mine = slice(int(site.learns[:first].sum()), int(site.learns[:after].sum()))
                weight[c.name] = self._weight[name][first:after]
                if site.update == "batch":
                    gradient[c.name] = np.asarray(sum(each.gradient[mine] for each in found))
                updates[c.name] = int(sum(each.changes[mine].sum() for each in found))
                kept = np.array([each.trajectory[:, mine] for each in found])
                if kept.size:
                    trajectory[c.name] = kept
        projections: Any = [
            replace(c, weight=weight[c.name]) if c.name in weight else c for c in self._graph.projections
        ]
        return Learned(
            graph=replace(self._graph, projections=tuple(projections)), gradient=gradient,
            y={p.name: rows[p.name] for p in self._graph.readouts},
            action=np.full(shape, -1), reward=np.zeros(shape), n_updates=updates, trajectory=trajectory,
            n_spikes={p.name: rows[p.name].sum(axis=1, dtype=np.int64) for p in self._graph.neurons},
        )  # fmt: skip
