"""Build a graph by hand: populations with time constants, connections by rule, matrix or list."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neuro import seeds
from neuro.errors import GraphError
from neuro.graph import draw
from neuro.graph.graph import Graph
from neuro.graph.grid import to_grid
from neuro.graph.integer import AHP, MAX_D, STATE_BITS, IntALIF, IntLI, IntLIF, int_projections
from neuro.graph.kinds import INTEGER, Population
from neuro.graph.nodes import ALIF, INPUTS, LI, LIF, CurrentInput, Projection, SpikeInput, decay

Draw = Callable[[np.random.Generator, int], ArrayLike]


def _drawn(weight: Draw, rng: np.random.Generator, n: int) -> NDArray[np.float64]:
    """Return the weights that a function draws, read-only, so that the node takes them and does not copy."""
    values = np.asarray(weight(rng, n), dtype=np.float64)
    values.flags.writeable = False
    return values


class Builder:
    """Collect populations and connections, then `build` a graph on its grid.

    Each method that adds a population returns its name, which `connect` takes. Random draws come from named streams of
    `seed`, one a connection, so that adding a connection changes no other.

    Example::

        rng_weights = lambda rng, n: rng.normal(0.0, 0.3, n)
        b = Builder(dt_ms=1.0, name="two populations", seed=1)
        b.spike_input("in", 20)
        b.lif("lif", 80, tau_m_ms=20.0, n_ref=5)
        b.alif("alif", 20, tau_m_ms=20.0, tau_a_ms=200.0, beta=0.1, n_ref=5)
        b.connect("in", "lif", weight=rng_weights, p=0.5)
        b.connect("lif", "alif", weight=0.2, p=0.1, delay=(1, 10))
        graph = b.build()
    """

    def __init__(self, *, dt_ms: float = 1.0, name: str = "", seed: int = 0) -> None:
        self._dt_ms, self._name, self._seed = dt_ms, name, seed
        self._populations: list[Population] = []
        self._projections: list[Projection] = []

    def spike_input(self, name: str, size: int) -> str:
        """Add an input of spikes."""
        return self.add(SpikeInput(name=name, size=size))

    def current_input(self, name: str, size: int, *, u_max: float = 1.0, u_step: float = 2.0**-8) -> str:
        """Add an input of real values with |u| <= u_max, in multiples of u_step."""
        return self.add(CurrentInput(name=name, size=size, u_max=u_max, u_step=u_step))

    def lif(self, name: str, size: int, *, tau_m_ms: ArrayLike = 20.0, v_th: ArrayLike = 1.0, bias: ArrayLike = 0.0,
            n_ref: ArrayLike = 0, reset: str = "threshold") -> str:  # fmt: skip
        """Add leaky integrate-and-fire neurons; each parameter a number or one a neuron (units: see `LIF`)."""
        alpha = decay(tau_m_ms, self._dt_ms)
        return self.add(LIF(name=name, size=size, alpha=alpha, v_th=v_th, bias=bias, n_ref=n_ref, reset=reset))

    def alif(self, name: str, size: int, *, tau_m_ms: ArrayLike = 20.0, tau_a_ms: ArrayLike = 200.0, beta: ArrayLike,
             v_th: ArrayLike = 1.0, bias: ArrayLike = 0.0, n_ref: ArrayLike = 0, reset: str = "threshold") -> str:  # fmt: skip
        """Add adaptive LIF neurons; each parameter a number or one a neuron (units: see `ALIF`)."""
        alpha, rho = decay(tau_m_ms, self._dt_ms), decay(tau_a_ms, self._dt_ms)
        return self.add(
            ALIF(name=name, size=size, alpha=alpha, v_th=v_th, bias=bias, n_ref=n_ref, reset=reset, rho=rho, beta=beta)
        )

    def li(self, name: str, size: int, *, tau_out_ms: ArrayLike = 20.0, bias: ArrayLike = 0.0) -> str:
        """Add a leaky readout."""
        return self.add(LI(name=name, size=size, kappa=decay(tau_out_ms, self._dt_ms), bias=bias))

    def int_lif(self, name: str, size: int, *, d_v: ArrayLike, v_th: ArrayLike, d_u: ArrayLike = MAX_D, bias: ArrayLike = 0,
                n_ref: ArrayLike = 0, reset: str = "zero", state_bits: int = STATE_BITS) -> str:  # fmt: skip
        """Add leaky integrate-and-fire neurons in integers (ranges: see `IntLIF`)."""
        return self.add(
            IntLIF(name=name, size=size, d_u=d_u, d_v=d_v, v_th=v_th, bias=bias, n_ref=n_ref, reset=reset,
                   state_bits=state_bits)
        )  # fmt: skip

    def int_alif(self, name: str, size: int, *, d_v: ArrayLike, v_th: ArrayLike, d_a: ArrayLike, bump: ArrayLike,
                 d_u: ArrayLike = MAX_D, bias: ArrayLike = 0, n_ref: ArrayLike = 0, reset: str = "zero",
                 state_bits: int = STATE_BITS) -> str:  # fmt: skip
        """Add adaptive LIF neurons in integers (ranges: see `IntALIF`)."""
        return self.add(
            IntALIF(name=name, size=size, d_u=d_u, d_v=d_v, v_th=v_th, bias=bias, n_ref=n_ref, reset=reset, d_a=d_a, bump=bump,
                    state_bits=state_bits)
        )  # fmt: skip

    def ahp(self, name: str, size: int, *, d_v: ArrayLike, v_th: ArrayLike, d_x: ArrayLike, w_x: ArrayLike,
            d_u: ArrayLike = MAX_D, bias: ArrayLike = 0, n_ref: ArrayLike = 0, state_bits: int = STATE_BITS) -> str:  # fmt: skip
        """Add neurons with an auxiliary compartment that adapts them (ranges: see `AHP`)."""
        return self.add(
            AHP(name=name, size=size, d_u=d_u, d_v=d_v, v_th=v_th, bias=bias, n_ref=n_ref, d_x=d_x, w_x=w_x,
                state_bits=state_bits)
        )  # fmt: skip

    def int_li(self, name: str, size: int, *, d_y: ArrayLike, d_u: ArrayLike = MAX_D, bias: ArrayLike = 0,
               state_bits: int = STATE_BITS) -> str:  # fmt: skip
        """Add a leaky readout in integers (ranges: see `IntLI`)."""
        return self.add(IntLI(name=name, size=size, d_u=d_u, d_y=d_y, bias=bias, state_bits=state_bits))

    def add(self, population: Population) -> str:
        """Add a population that was made elsewhere and return its name."""
        self._populations.append(population)
        return population.name

    def connect(self, source: str, target: str, *, weight: ArrayLike | Draw, pre: ArrayLike | None = None,
                post: ArrayLike | None = None, p: float | None = None, fan_in: int | None = None,
                delay: ArrayLike | tuple[int, int] | None = None, name: str | None = None, exponent: int = 0,
                sign_mode: str | None = None) -> str:  # fmt: skip
        """Connect two populations and return the projection's name, "source->target" unless given.

        Which pairs: `pre` and `post` list them; or a 2-d `weight` of shape (source size, target size) gives them by its
        nonzero entries; or each pair is drawn with probability p; or each unit of the target gets `fan_in` different senders,
        drawn at random (the way to large nets: 1e8 synapses in seconds); or, with none of these, all pairs.
        weight: a number, an array of one a synapse, a matrix, or a function (rng, n) -> n weights, whose array is taken.
        delay: steps: a number, one a synapse (a matrix beside a matrix of weights), or (low, high) to draw uniformly,
        both ends included; default 1 from neurons, 0 from inputs.
        exponent, sign_mode: of synapses into an integer population, whose weights are mantissas; without a sign_mode a
        matrix that has both signs and odd values becomes two projections, NAME.exc and NAME.inh (`int_projections`).
        Raises: GraphError for unknown populations, p out of 0..1, fan_in beyond the source, or arrays that do not fit.
        """
        name = name or f"{source}->{target}"
        rng = seeds.stream(self._seed, f"connect/{name}")
        sizes = (self._find(name, source).size, self._find(name, target).size)
        matrix = None if callable(weight) or np.ndim(weight) != 2 else np.asarray(weight, dtype=np.float64)
        pairs = self._pairs(name, sizes, matrix, pre, post, p, fan_in, rng)
        n = len(pairs[0])
        values = matrix[pairs] if matrix is not None else _drawn(weight, rng, n) if callable(weight) else weight
        if delay is None:
            delay = 0 if isinstance(self._find(name, source), INPUTS) else 1
        if isinstance(delay, tuple):
            delay = draw.delays(rng, delay[0], delay[1], n)
        elif np.ndim(delay) == 2:
            delay = np.asarray(delay)[pairs]
        if isinstance(self._find(name, target), INTEGER):
            self._projections += int_projections(
                name=name, source=source, target=target, pre=pairs[0], post=pairs[1], weight=np.asarray(values),
                delay=delay, exponent=exponent, sign_mode=sign_mode,
            )  # fmt: skip
            return name
        if exponent or sign_mode is not None:
            raise GraphError(
                f"projection '{name}': exponent and sign_mode are of integer synapses (got target '{target}'; need an integer "
                "population). Leave them out, or add the target with int_lif, int_alif, ahp or int_li."
            )
        projection = Projection(
            name=name, source=source, target=target, pre=pairs[0], post=pairs[1], weight=values, delay=delay
        )
        self._projections.append(projection)
        return name

    def build(self, *, grid: bool = True, notes: dict[str, str] | None = None) -> Graph:
        """Return the graph, on its grid unless `grid` is False. Raises GraphError with every problem."""
        graph = Graph(
            populations=tuple(self._populations),
            projections=tuple(self._projections),
            dt_ms=self._dt_ms,
            name=self._name,
            notes=notes or {},
        )
        return to_grid(graph)[0] if grid else graph

    def _find(self, projection: str, name: str) -> Population:
        for p in self._populations:
            if p.name == name:
                return p
        known = ", ".join(q.name for q in self._populations) or "none yet"
        raise GraphError(
            f"projection '{projection}': unknown population (got '{name}'; need one of {known}). Add it before connecting."
        )

    @staticmethod
    def _pairs(name: str, sizes: tuple[int, int], matrix: NDArray[np.float64] | None, pre: ArrayLike | None,
               post: ArrayLike | None, p: float | None, fan_in: int | None, rng: np.random.Generator) -> tuple[Any, Any]:  # fmt: skip
        where = f"projection '{name}'"
        if sum((matrix is not None, pre is not None or post is not None, p is not None, fan_in is not None)) > 1:
            raise GraphError(
                f"{where}: pairs given twice (got more than one of pre and post, a matrix, p, fan_in; need one). Choose one."
            )
        if fan_in is not None:
            if isinstance(fan_in, bool) or not 0 <= fan_in <= sizes[0]:
                raise GraphError(
                    f"{where}: fan_in out of range (got {fan_in}; need 0..{sizes[0]}, the size of the source). Ask for fewer."
                )
            return draw.fan_in_pairs(rng, *sizes, int(fan_in))
        if matrix is not None:
            if matrix.shape != sizes:
                raise GraphError(
                    f"{where}: weight matrix has the wrong shape (got {matrix.shape}; need {sizes}, source by target). "
                    "Transpose or reshape it."
                )
            return tuple(np.nonzero(matrix))  # type: ignore[return-value]
        if pre is not None or post is not None:
            if pre is None or post is None or np.asarray(pre).shape != np.asarray(post).shape or np.ndim(pre) != 1:
                raise GraphError(f"{where}: pre and post do not pair (need two lists of one length).")
            return np.asarray(pre), np.asarray(post)
        if p is None:
            return np.repeat(np.arange(sizes[0]), sizes[1]), np.tile(np.arange(sizes[1]), sizes[0])
        if not 0 <= p <= 1:
            raise GraphError(
                f"{where}: connection probability out of range (got {p}; need 0..1). Give a fraction of all pairs."
            )
        fan_out = rng.binomial(sizes[1], p, size=sizes[0])
        posts = [np.sort(rng.choice(sizes[1], size=k, replace=False, shuffle=False)) for k in fan_out]
        return np.repeat(np.arange(sizes[0]), fan_out), np.concatenate(posts) if posts else np.zeros(0, np.int64)
