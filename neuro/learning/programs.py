"""Find who runs a graph that learns: a backend by its name, held to one small interface."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from neuro import backend as backends
from neuro.backend import Learned, LearningProgram, Stimulus, Teacher
from neuro.errors import UnsupportedError
from neuro.graph import Graph
from neuro.learning.engine import EngineLearner
from neuro.learning.local import FloatArray
from neuro.learning.plan import prepare
from neuro.learning.reference import Learner

Matrices = Mapping[str, FloatArray]


class Learning(Protocol):
    """A graph that learns, between two calls. feedback: present random or adaptive B by "P/Y", as in `neuro.learning.reference`."""

    @property
    def graph(self) -> Graph: ...
    @property
    def feedback(self) -> Matrices: ...

    def learn(self, stimulus: Stimulus, teacher: Teacher) -> Learned:
        """Run a batch, learn from it, and keep the new weights and feedback."""
        ...

    def close(self) -> None:
        """Free what it holds."""
        ...


Start = Callable[[Graph, Matrices | None, int], Learning]
"""Begin with a graph, its feedback (None: drawn as the rule says), and the number of samples that the run has learned from."""


class _Reference(Learner):
    """The golden model of learning, in plain numpy: for small nets, and to compare with."""

    def close(self) -> None:
        """Do nothing: it holds nothing but arrays."""


class _Program:
    """A learning program of any backend. It draws random feedback as the rule says; there is no way to give it adaptive feedback back."""

    def __init__(self, graph: Graph, program: LearningProgram) -> None:
        self.graph, self._program = graph, program
        self.feedback: Matrices = {}

    def learn(self, stimulus: Stimulus, teacher: Teacher) -> Learned:
        """Run a batch and learn from it."""
        learned = self._program.learn(stimulus, teacher)
        self.graph = learned.graph
        return learned

    def close(self) -> None:
        """Close the program."""
        self._program.close()


OWN: dict[str, Start] = {"engine": EngineLearner, "reference": _Reference}
"""Those that live in this room, by the name of the backend whose graphs they run."""


def starter(name: str) -> Start:
    """Return how a backend begins to learn. Raises UnsupportedError if it is not installed, or its programs cannot learn."""
    if name in OWN:
        return OWN[name]
    chosen = backends.get(name)

    def begin(graph: Graph, feedback: Matrices | None, n_samples: int) -> Learning:
        if prepare(graph).adaptive:
            raise UnsupportedError(
                f"backend '{name}': adaptive feedback cannot be resumed on it (got feedback 'adaptive'; need random or symmetric, or backend "
                f"{' or '.join(sorted(OWN))}). Change one of them."
            )
        _refuse_bits(graph, name)
        program = chosen.compile(graph)
        if not isinstance(program, LearningProgram):
            program.close()
            raise UnsupportedError(
                f"backend '{name}': its programs cannot learn (got a program without 'learn'; need a backend that declares plasticity, as "
                f"{', '.join(sorted(OWN))}, brian2 and lava do). Choose one of these."
            )
        return _Program(graph, program)

    return begin


def _refuse_bits(graph: Graph, name: str) -> None:
    for c in graph.projections:
        bits = c.plasticity.parameters.get("bits", 0) if c.plasticity is not None else 0
        if bits:
            raise UnsupportedError(
                f"backend '{name}': projection '{c.name}' rounds its weights stochastically (got bits = {bits}; need 0 here). Learn with "
                f"{' or '.join(sorted(OWN))}."
            )
