"""Integer networks for the tests of training: a float network and the template it is quantised into, made by hand."""

from __future__ import annotations

from typing import Any

import numpy as np

from neuro.graph import (
    AHP,
    ALIF,
    LI,
    LIF,
    RESETS,
    Graph,
    IntALIF,
    IntLI,
    IntLIF,
    IntProjection,
    Projection,
    SpikeInput,
    fit_exponent,
    integer_decay,
    kind,
    round_to_mantissas,
)
from neuro.train import Template


def template(
    graph: Graph, rng: np.random.Generator | None = None, *, slow: bool = False, unit: float = 2.0**12
) -> Template:
    """Return integer populations for a float graph: ALIF become AHP if `slow`, with constants near the float ones.

    With an rng, scales, widths, kinds, memories of u and own synapses are drawn: coarse scales too, and some at which states reach
    their limits.
    """
    populations: list[Any] = list(graph.inputs)
    projections: list[IntProjection] = []
    scales = {}
    for p in graph.receivers:
        scale = unit if rng is None else float(2.0 ** rng.uniform(6, 20))
        common: dict[str, Any] = {"name": p.name, "size": p.size}
        if rng is not None:
            common["state_bits"] = int(rng.choice([24, 24, 18, 14]))
            if memory := rng.random() < 0.4:
                common["d_u"] = rng.integers(0, 4096, p.size)
        scales[p.name] = scale
        if isinstance(p, LI):
            populations.append(IntLI(**common, d_y=integer_decay(p.kappa), bias=np.rint(p.bias * scale)))
            continue
        v_th = np.clip(np.rint(p.v_th * scale / 64), 1, 2**17 - 1)
        common |= {"v_th": v_th, "n_ref": p.n_ref, "bias": np.rint(p.bias * scale), "d_v": integer_decay(p.alpha)}
        if rng is not None and memory and rng.random() < 0.7:
            own = {"name": f"{p.name}.reset", "source": p.name, "target": p.name, "sign_mode": "inhibitory", "delay": 1}
            to_self, e = np.arange(p.size), fit_exponent(float(64 * v_th.max()))
            weight = -round_to_mantissas(64 * v_th, e)
            projections.append(IntProjection(**own, pre=to_self, post=to_self, weight=weight, exponent=e))
        if not isinstance(p, ALIF):
            populations.append(IntLIF(**common, reset=p.reset))
            continue
        rise = np.rint(p.beta * scale)
        if slow if rng is None else rng.random() < 0.5:
            populations.append(AHP(**common, d_x=integer_decay(p.rho), w_x=-rise))
        else:
            populations.append(IntALIF(**common, reset=p.reset, d_a=integer_decay(p.rho), bump=rise))
    return Template(
        "by hand", Graph(populations=tuple(populations), projections=tuple(projections), dt_ms=graph.dt_ms), scales
    )


def random_net(seed: int) -> tuple[Graph, np.ndarray]:
    """Return a float graph with one spike input and spikes for it: up to three populations, any reset, delays to 8."""
    rng = np.random.default_rng(seed)
    n_in = int(rng.integers(1, 6))
    populations: list[Any] = [SpikeInput(name="in", size=n_in)]
    cells = [f"p{k}" for k in range(int(rng.integers(1, 4)))]
    for name in cells:
        n = int(rng.integers(1, 12))
        common: dict[str, Any] = {
            "name": name,
            "size": n,
            "alpha": rng.uniform(0.5, 0.99, n),
            "v_th": rng.uniform(0.3, 1, n),
            "bias": rng.uniform(-0.01, 0.05, n) if rng.random() < 0.5 else 0.0,
            "n_ref": rng.integers(0, 5, n) if rng.random() < 0.5 else int(rng.integers(0, 5)),
            "reset": RESETS[int(rng.integers(3))],
        }
        alif = {"rho": rng.uniform(0.5, 0.99, n), "beta": rng.uniform(0, 0.3, n)}
        populations.append(ALIF(**common, **alif) if rng.random() < 0.6 else LIF(**common))
    populations += [LI(name="o", size=3, kappa=0.9, bias=0.01), LI(name="o2", size=1, kappa=0.5)]
    size = {p.name: p.size for p in populations}
    projections = []
    for k in range(int(rng.integers(3, 9))):
        source = ["in", *cells][int(rng.integers(1 + len(cells)))]
        target = [*cells, "o", "o2"][int(rng.integers(len(cells) + 2))]
        m = int(rng.integers(0, 60))
        pre, post = rng.integers(0, size[source], m), rng.integers(0, size[target], m)
        delay = rng.integers(0 if source == "in" else 1, 9, m)
        weight = rng.normal(0, 0.4, m)
        projections.append(
            Projection(name=f"c{k}", source=source, target=target, pre=pre, post=post, weight=weight, delay=delay)
        )
    spikes = (rng.random((int(rng.integers(1, 5)), int(rng.integers(1, 60)), n_in)) < 0.3).astype(np.float64)
    return Graph(populations=tuple(populations), projections=tuple(projections)), spikes


def kinds(made: Template) -> set[str]:
    """Return the kinds of population in a template."""
    return {kind(p) for p in made.graph.receivers}
