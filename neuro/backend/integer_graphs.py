"""Draw random integer graphs for the conformance suite: all kinds, extreme weights, saturating inputs, long delays."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from neuro.graph import (
    AHP,
    EXPONENTS,
    MAX_D,
    MAX_INT_DELAY,
    MAX_N_REF,
    MAX_STATE,
    MAX_V_TH,
    SIGN_MODES,
    Graph,
    IntALIF,
    IntLI,
    IntLIF,
    IntProjection,
    SpikeInput,
)

_LOUD = 2**18
"""Largest threshold of most populations, in units of a state: what a few synapses of a large exponent reach."""


@st.composite
def integer_graphs(draw: st.DrawFn, neurons: int, kinds: frozenset[str], resets: frozenset[str], delay: int) -> Graph:
    """Draw an integer graph of at most so many neurons: hypothesis chooses the structure, and a seed the numbers."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1), label="seed"))
    n_inputs = draw(st.sampled_from((1, 1, 1, 1, 2, 2, 2, 0)), label="inputs")
    inputs = [SpikeInput(name=f"in {k}", size=draw(st.integers(1, 8))) for k in range(n_inputs)]
    sizes = draw(st.lists(st.integers(1, max(neurons // 3, 1)), min_size=1, max_size=3), label="sizes")
    able = sorted({"IntLIF", "IntALIF", "AHP"} & kinds)
    receivers: list[Any] = [
        _neurons(f"n{k}", draw(st.sampled_from(able), label="kind"), size, draw(st.sampled_from(sorted(resets))), rng)
        for k, size in enumerate(sizes)
    ]
    if "IntLI" in kinds and draw(st.booleans(), label="readout"):
        size = int(rng.integers(1, 4))
        bias = rng.integers(-500, 500, size)
        receivers.append(
            IntLI(name="out", size=size, d_u=_d(rng, size), d_y=_d(rng, size), bias=bias, state_bits=_state_bits(rng))
        )
    longest = min(MAX_INT_DELAY, delay)
    projections = []
    for target in receivers:
        for source in (*inputs, *(p for p in receivers if not isinstance(p, IntLI))):
            driven = isinstance(source, SpikeInput)
            for copy in range(draw(st.integers(1, 2) if driven else st.integers(0, 1))):
                name = f"{source.name}>{target.name}.{copy}"
                projections.append(_projection(name, source, target, longest, rng, driven and copy == 0))
    return Graph(populations=(*inputs, *receivers), projections=tuple(projections), dt_ms=1.0)


def _neurons(name: str, kind: str, size: int, reset: str, rng: np.random.Generator) -> IntLIF | AHP:
    loud = rng.random() < 0.7
    common: dict[str, Any] = {
        "name": name,
        "size": size,
        "d_u": np.where(rng.random(size) < 0.5, MAX_D, _d(rng, size)),
        "d_v": _d(rng, size),
        "v_th": rng.integers(1, (_LOUD >> 6) if loud else MAX_V_TH + 1, size),
        "bias": rng.integers(-4096, 65536, size) * rng.integers(0, 2),
        "n_ref": rng.integers(0, MAX_N_REF + 1, size) * (rng.random(size) < 0.5),
        "state_bits": _state_bits(rng),
    }
    top = MAX_STATE if rng.random() < 0.2 else _LOUD
    if kind == "AHP":
        return AHP(**common, d_x=_d(rng, size), w_x=-rng.integers(0, top, size))
    if kind == "IntLIF":
        return IntLIF(**common, reset=reset)
    return IntALIF(**common, reset=reset, d_a=_d(rng, size), bump=rng.integers(-top // 8, top, size))


def _d(rng: np.random.Generator, size: int) -> NDArray[np.int64]:
    """Draw decays: most of them slow, some anywhere in 0..4095, some at the ends of it."""
    slow, ends = rng.integers(0, 400, size), rng.choice([0, 1, MAX_D - 1, MAX_D], size)
    d = np.where(rng.random(size) < 0.7, slow, rng.integers(0, MAX_D + 1, size))
    return np.where(rng.random(size) < 0.1, ends, d)


def _state_bits(rng: np.random.Generator) -> int:
    return int(rng.choice([24, 24, 24, 24, 16, 20, 8]))


def _projection(
    name: str, source: Any, target: Any, longest: int, rng: np.random.Generator, strong: bool
) -> IntProjection:
    n = int(rng.integers(strong, max(2, min(source.size * target.size, 8 * target.size)) + 1))
    pre, post = rng.integers(0, source.size, n), rng.integers(0, target.size, n)
    if n > 2:
        pre[1], post[1] = pre[0], post[0]  # two synapses on one pair
    mode = "excitatory" if strong and rng.random() < 0.7 else str(rng.choice(sorted(SIGN_MODES)))
    low, high, step = SIGN_MODES[mode]
    weight = rng.integers(low // step, high // step + 1, n) * step
    if n and rng.random() < 0.3:
        weight[rng.random(n) < 0.3] = low if rng.random() < 0.5 else high  # the ends of the range
    exponent = rng.integers(3 if strong else EXPONENTS[0], EXPONENTS[1] + 1)
    first = 0 if isinstance(source, SpikeInput) else 1
    far = max(first, longest if rng.random() < 0.3 else min(6, longest))
    return IntProjection(
        name=name, source=source.name, target=target.name, pre=pre, post=post, weight=weight,
        delay=rng.integers(first, far + 1, n), exponent=int(exponent), sign_mode=mode,
    )  # fmt: skip
