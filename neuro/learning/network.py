"""Draw a recurrent network of LIF and adaptive neurons with a leaky readout, as a graph that has yet to learn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from neuro import seeds
from neuro.graph import Builder, Graph
from neuro.tasks import Task
from neuro.tasks.parameters import Problem, number

IN, LIF, ALIF, OUT, VALUE = "in", "lif", "alif", "out", "value"
"""Names of the populations."""


@dataclass(frozen=True, kw_only=True)
class NetworkConfig:
    """Describe a network to draw; names as in the recipes of `neuro train`.

    | name | unit | default | meaning |
    | --- | --- | --- | --- |
    | n_lif, n_alif | neurons | 50, 50 | sizes of the populations "lif" and "alif" |
    | connectivity | | 1 | share of the possible synapses from inputs and neurons to neurons that is drawn; none to itself |
    | out_connectivity | | 1 | likewise to the readouts |
    | tau_m_ms | ms | 20 | membrane time constant; [low, high] spreads it evenly over each population |
    | tau_a_ms | ms | 200 | adaptation time constant of "alif"; [low, high] spreads it evenly |
    | tau_out_ms | ms | 20 | time constant of the readouts |
    | beta | of v | 0.1 | rise of an ALIF threshold with each spike, as in the graph: A = v_th + beta a, a = rho a + z |
    | v_th | of v | 1 | threshold at rest |
    | n_ref | steps | 0 | absolute refractory period |
    | delay_min, delay_max | steps | 1, 1 | delays between neurons, drawn |
    | in_delay_min, in_delay_max | steps | 0, 0 | delays of the inputs, drawn |
    | out_delay | steps | 1 | delay to the readouts |
    | reset | | threshold | "threshold", "adaptive" or "zero" |
    | gain_in, gain_rec, gain_out | of v_th | 1, 1, 1 | weights are gain N(0, 1) v_th / sqrt(expected fan-in); of the readouts without v_th |
    | value | | false | add a readout "value" of one unit, for learning from reward |

    The beta of the LSNN literature (Bellec et al. 2018, 2020) is this one divided by (1 - rho).
    """

    n_lif: int = number(50, 0, 1000000)
    n_alif: int = number(50, 0, 1000000)
    connectivity: float = number(1.0, 0.0, 1.0, open_low=True)
    out_connectivity: float = number(1.0, 0.0, 1.0, open_low=True)
    tau_m_ms: float | tuple[float, ...] = number(20.0, 0.0, open_low=True)
    tau_a_ms: float | tuple[float, ...] = number(200.0, 0.0, open_low=True)
    tau_out_ms: float = number(20.0, 0.0, open_low=True)
    beta: float = number(0.1, 0.0)
    v_th: float = number(1.0, 0.0, open_low=True)
    n_ref: int = number(0, 0, 10000)
    delay_min: int = number(1, 1, 4095)
    delay_max: int = number(1, 1, 4095)
    in_delay_min: int = number(0, 0, 4095)
    in_delay_max: int = number(0, 0, 4095)
    out_delay: int = number(1, 1, 4095)
    reset: Literal["threshold", "adaptive", "zero"] = "threshold"
    gain_in: float = number(1.0, 0.0)
    gain_rec: float = number(1.0, 0.0)
    gain_out: float = number(1.0, 0.0)
    value: bool = False

    def rules(self) -> list[Problem]:
        """Check the fields together."""
        found = []
        if self.n_lif + self.n_alif == 0:
            found.append(Problem("n_lif", "no neurons", "n_lif 0, n_alif 0", "at least one"))
        for low, high in (("delay_min", "delay_max"), ("in_delay_min", "in_delay_max")):
            if getattr(self, high) < getattr(self, low):
                found.append(Problem(high, f"below {low}", str(getattr(self, high)), f">= {getattr(self, low)}"))
        for key in ("tau_m_ms", "tau_a_ms"):
            value = getattr(self, key)
            if isinstance(value, tuple) and (len(value) != 2 or value[0] > value[1]):
                found.append(Problem(key, "no range", str(list(value)), "a number or [low, high]"))
        return found


def draw_network(config: NetworkConfig, task: Task, seed: int = 0, name: str = "") -> Graph:
    """Draw a network for a task, from streams of `seed`; it is on its grid.

    Populations: "in" (the task's inputs), "lif", "alif" (those of size > 0), "out" (the task's outputs), and "value". Projections are
    called "in->lif" and so on.
    """
    b = Builder(dt_ms=task.dt_ms, name=name, seed=seed)
    if task.input_kind == "spikes":
        b.spike_input(IN, task.n_in)
    else:
        b.current_input(IN, task.n_in, u_max=task.u_max, u_step=task.u_step)
    sizes = {LIF: config.n_lif, ALIF: config.n_alif}
    if config.n_lif:
        b.lif(
            LIF, config.n_lif, tau_m_ms=_spread(config.tau_m_ms, config.n_lif), v_th=config.v_th, n_ref=config.n_ref,
            reset=config.reset,
        )  # fmt: skip
    if config.n_alif:
        b.alif(
            ALIF, config.n_alif, tau_m_ms=_spread(config.tau_m_ms, config.n_alif),
            tau_a_ms=_spread(config.tau_a_ms, config.n_alif), beta=config.beta, v_th=config.v_th, n_ref=config.n_ref,
            reset=config.reset,
        )  # fmt: skip
    readouts = {OUT: task.n_out, **({VALUE: 1} if config.value else {})}
    for readout, size in readouts.items():
        b.li(readout, size, tau_out_ms=config.tau_out_ms)
    neurons = {population: n for population, n in sizes.items() if n}
    _connect(
        b,
        config,
        {IN: task.n_in},
        neurons,
        seed,
        config.gain_in * config.v_th,
        (config.in_delay_min, config.in_delay_max),
    )
    _connect(b, config, neurons, neurons, seed, config.gain_rec * config.v_th, (config.delay_min, config.delay_max))
    _connect(b, config, neurons, readouts, seed, config.gain_out, (config.out_delay, config.out_delay))
    return b.build()


def _connect(
    b: Builder, config: NetworkConfig, sources: dict[str, int], targets: dict[str, int], seed: int, gain: float,
    delays: tuple[int, int],
) -> None:  # fmt: skip
    """Join all sources with all targets; the fan-in that scales the weights is that from all sources together."""
    for target, n_post in targets.items():
        share = config.out_connectivity if target in (OUT, VALUE) else config.connectivity
        scale = gain / np.sqrt(max(share * sum(sources.values()), 1.0))
        for source, n_pre in sources.items():
            pairs = seeds.stream(seed, f"pairs/{source}->{target}").random((n_pre, n_post)) < share
            if source == target:
                np.fill_diagonal(pairs, False)
            pre, post = np.nonzero(pairs)
            b.connect(source, target, weight=_normal(scale), pre=pre, post=post, delay=delays)


def _normal(scale: float) -> Callable[[np.random.Generator, int], ArrayLike]:
    return partial(_scaled, scale)


def _scaled(scale: float, rng: np.random.Generator, n: int) -> ArrayLike:
    return scale * rng.standard_normal(n)


def _spread(value: float | tuple[float, ...], n: int) -> ArrayLike:
    """Return one constant, or n values evenly spaced from low to high."""
    return np.linspace(value[0], value[1], n) if isinstance(value, tuple) else value
