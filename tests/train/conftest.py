"""Random graphs and small networks for the tests of training."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch

from neuro.graph import ALIF, LI, LIF, RESETS, CurrentInput, Graph, Projection, SpikeInput, to_grid

Made = tuple[Graph, dict[str, np.ndarray]]


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def random_graph() -> Callable[[int], Made]:
    """Return a maker of graphs on their grid and inputs for them, one for each seed.

    Up to three populations with any reset, refractory periods and bias per neuron, two inputs (spikes and currents), two readouts,
    up to eight projections with delays to 8 and parallel synapses.
    """
    return _make


def _make(seed: int) -> Made:
    rng = np.random.default_rng(seed)
    populations: list[Any] = [SpikeInput(name="in", size=int(rng.integers(1, 6))), CurrentInput(name="u", size=2)]
    cells = [f"p{k}" for k in range(int(rng.integers(1, 4)))]
    for name in cells:
        n = int(rng.integers(1, 12))
        common = {
            "name": name,
            "size": n,
            "alpha": rng.uniform(0.5, 0.99, n),
            "v_th": rng.uniform(0.3, 1, n),
            "bias": rng.uniform(-0.01, 0.05, n),
            "n_ref": rng.integers(0, 5, n) if rng.random() < 0.5 else int(rng.integers(0, 5)),
            "reset": RESETS[int(rng.integers(3))],
        }
        alif = {"rho": rng.uniform(0.5, 0.99, n), "beta": rng.uniform(0, 0.3, n)}
        populations.append(ALIF(**common, **alif) if rng.random() < 0.5 else LIF(**common))
    populations += [LI(name="o", size=3, kappa=0.9, bias=0.01), LI(name="o2", size=1, kappa=0.5)]
    size = {p.name: p.size for p in populations}
    sources, targets = ["in", "u", *cells], [*cells, "o", "o2"]
    projections = []
    for k in range(int(rng.integers(3, 9))):
        source, target = sources[int(rng.integers(len(sources)))], targets[int(rng.integers(len(targets)))]
        m = int(rng.integers(0, 60))
        projections.append(
            Projection(
                name=f"c{k}",
                source=source,
                target=target,
                pre=rng.integers(0, size[source], m),
                post=rng.integers(0, size[target], m),
                weight=rng.normal(0, 0.4, m),
                delay=rng.integers(0 if source in ("in", "u") else 1, 9, m),
            )
        )
    graph, _ = to_grid(Graph(populations=tuple(populations), projections=tuple(projections)))
    batch, steps = int(rng.integers(1, 5)), int(rng.integers(1, 60))
    spikes = (rng.random((batch, steps, size["in"])) < 0.3).astype(np.float64)
    return graph, {"in": spikes, "u": rng.integers(0, 257, (batch, steps, 2)) / 256}
