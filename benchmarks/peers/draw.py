"""Draw the networks and batches of the training benchmark."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from neuro.seeds import stream

from . import ours
from .case import Case, gain_for_rate

N_IN, N_OUT, STEPS = 80, 10, 840  # sequential MNIST at 1 ms a pixel
INPUT_SHARE = 0.03  # part of the input bits that are spikes


def draw(n_lif: int, n_alif: int, batch: int, connectivity: float, delays: bool = False, steps: int = STEPS) -> Case:
    """Return a case that fires at the target rate.

    Parameters: connectivity, share of all possible synapses of each matrix; delays, delays of 1..10 steps between neurons and
    0..9 from inputs, and a refractory period of 5 steps.
    """
    rng = stream(0, f"train benchmark/{n_lif}/{n_alif}/{connectivity}")
    n = n_lif + n_alif
    inputs = (stream(0, f"train benchmark/inputs/{batch}").random((batch, steps, N_IN)) < INPUT_SHARE).astype(np.uint8)
    case = Case(
        n_lif=n_lif,
        n_alif=n_alif,
        w_in=_matrix(rng, N_IN, n, connectivity),
        w_rec=_matrix(rng, n, n, connectivity),
        w_out=_matrix(rng, n, N_OUT, connectivity),
        inputs=inputs,
        labels=stream(0, "train benchmark/labels").integers(0, N_OUT, batch),
        n_ref=5 if delays else 0,
        delay_max=10 if delays else 1,
    )
    gain = np.float32(gain_for_rate(lambda g: ours.rate_hz(case, g)))
    return replace(case, w_in=case.w_in * gain, w_rec=case.w_rec * gain)


def _matrix(rng: np.random.Generator, n_pre: int, n_post: int, connectivity: float) -> np.ndarray:
    """Return weights N(0, 1) / sqrt(mean fan-in) at a random part of the pairs, float32 (n_pre, n_post)."""
    weight = rng.standard_normal((n_pre, n_post)) / np.sqrt(connectivity * n_pre)
    return (weight * (rng.random((n_pre, n_post)) < connectivity)).astype(np.float32)
