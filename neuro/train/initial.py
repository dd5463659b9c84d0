"""Draw the network that a recipe describes: populations, and matrices of weights and delays."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from neuro.graph import ALIF, LI, LIF, CurrentInput, Population, SpikeInput, decay
from neuro.train.config import ModelConfig

Streams = Callable[[str], np.random.Generator]


@dataclass(frozen=True)
class Block:
    """Weights that are one parameter: a whole matrix from sources to targets, or the list of a projection's synapses.

    name: of the parameter; weight: initial values, (pre, post) of a matrix or (n,) of a list; pre, post: int64, of weight's shape,
    rows of sources and targets; delay: int64, of weight's shape, steps; projection: name, source and target of a list.
    """

    name: str
    weight: np.ndarray
    pre: np.ndarray
    post: np.ndarray
    delay: np.ndarray
    projection: tuple[str, str, str] | None = None


def populations(
    config: ModelConfig, input_node: SpikeInput | CurrentInput, n_out: int, dt_ms: float
) -> tuple[Population, ...]:
    """Return input "in", neurons "lif" and "alif", readout "out"."""
    nodes: list[Population] = [input_node]
    common: dict[str, Any] = {"v_th": config.v_th, "n_ref": config.n_ref, "reset": config.reset}
    if config.n_lif:
        alpha = decay(_spread(config.tau_m_ms, config.n_lif), dt_ms)
        nodes.append(LIF(name="lif", size=config.n_lif, alpha=alpha, **common))
    if config.n_alif:
        alpha = decay(_spread(config.tau_m_ms, config.n_alif), dt_ms)
        rho = decay(_spread(config.tau_a_ms, config.n_alif), dt_ms)
        nodes.append(ALIF(name="alif", size=config.n_alif, alpha=alpha, rho=rho, beta=config.beta, **common))
    nodes.append(LI(name="out", size=n_out, kappa=decay(config.tau_out_ms, dt_ms)))
    return tuple(nodes)


def matrix(
    name: str,
    n_pre: int,
    n_post: int,
    first_pre: int,
    first_post: int,
    gain: float,
    streams: Streams,
    delays: tuple[int, int],
) -> Block:
    """Draw a full matrix of weights and delays; equal bounds of the delay draw nothing."""
    weight = streams(f"init/{name}").standard_normal((n_pre, n_post)) * (gain / np.sqrt(n_pre))
    delay: np.ndarray = np.full((n_pre, n_post), delays[0], dtype=np.int64)
    if delays[1] > delays[0]:
        delay = streams(f"init/delay_{name}").integers(delays[0], delays[1], size=(n_pre, n_post), endpoint=True)
    pre, post = np.meshgrid(first_pre + np.arange(n_pre), first_post + np.arange(n_post), indexing="ij")
    return Block(name, weight, pre, post, delay)


def _spread(value: float | tuple[float, float], n: int) -> np.ndarray:
    """Return n values: one constant, or evenly spaced from low to high."""
    low, high = value if isinstance(value, tuple) else (value, value)
    return np.linspace(low, high, n)
