"""Hold one case of the training benchmark: a network, a batch, and the constants that every contestant needs."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np

TARGET_HZ = 15.0  # the middle of 10-20 Hz: what weights are scaled to and the regularisation pulls toward
RATE_HZ = (10.0, 20.0)  # the mean rate must lie here
CALIBRATION_SAMPLES = 16


@dataclass(frozen=True, kw_only=True)
class Case:
    """One training step's data. Weights are dense, (pre, post), float32, 0 where there is no synapse; one step is 1 ms.

    n_lif, n_alif: neurons, the LIF ones first; tau_m_ms, tau_a_ms, tau_out_ms: time constants; beta: rise of an ALIF
    threshold with a spike; v_th, dampening; n_ref, delay_max: 0 and 1 for what every contestant can do; inputs: uint8
    (batch, steps, n_in); labels: int64 (batch,).
    """

    n_lif: int
    n_alif: int
    w_in: np.ndarray
    w_rec: np.ndarray
    w_out: np.ndarray
    inputs: np.ndarray
    labels: np.ndarray
    tau_m_ms: float = 20.0
    tau_a_ms: float = 700.0
    tau_out_ms: float = 20.0
    beta: float = 0.25
    v_th: float = 1.0
    dampening: float = 0.3
    n_ref: int = 0
    delay_max: int = 1

    @property
    def n(self) -> int:
        """Return the number of neurons."""
        return self.n_lif + self.n_alif

    @property
    def batch(self) -> int:
        """Return the number of samples."""
        return len(self.inputs)

    @property
    def steps(self) -> int:
        """Return the number of time steps."""
        return self.inputs.shape[1]

    @property
    def n_in(self) -> int:
        """Return the number of inputs."""
        return self.inputs.shape[2]

    @property
    def n_out(self) -> int:
        """Return the number of readouts."""
        return self.w_out.shape[1]

    @property
    def alpha(self) -> float:
        """Return the membrane's decay in one step."""
        return math.exp(-1 / self.tau_m_ms)

    @property
    def rho(self) -> float:
        """Return the adaptation's decay in one step."""
        return math.exp(-1 / self.tau_a_ms)

    @property
    def kappa(self) -> float:
        """Return the readout's decay in one step."""
        return math.exp(-1 / self.tau_out_ms)

    @property
    def betas(self) -> np.ndarray:
        """Return beta of every neuron, float32 (n,): 0 for the LIF ones."""
        return np.repeat(np.float32([0, self.beta]), [self.n_lif, self.n_alif])

    @property
    def weights(self) -> dict[str, np.ndarray]:
        """Return the three matrices by name."""
        return {"w_in": self.w_in, "w_rec": self.w_rec, "w_out": self.w_out}

    def save(self, path: Path) -> None:
        """Write the case as .npz."""
        np.savez(path, **asdict(self))

    @classmethod
    def load(cls, path: str | Path) -> Case:
        """Read what `save` wrote."""
        with np.load(path) as stored:
            values = {f.name: stored[f.name] for f in fields(cls)}
        return cls(**{name: v.item() if v.ndim == 0 else v for name, v in values.items()})


def gain_for_rate(rate_hz: Callable[[float], float], target_hz: float = TARGET_HZ) -> float:
    """Return the factor of input and recurrent weights at which a network fires at the target rate, by bisection.

    Parameters: rate_hz, mean rate in Hz that a factor gives, rising with it.
    Raises: ValueError if no factor in 0.05..50 brings the rate within 10-20 Hz.
    """
    low, high = math.log(0.05), math.log(50.0)
    for _ in range(20):
        gain = math.exp((low + high) / 2)
        rate = rate_hz(gain)
        if abs(rate - target_hz) < 0.3:
            return gain
        low, high = (math.log(gain), high) if rate < target_hz else (low, math.log(gain))
    if RATE_HZ[0] <= rate <= RATE_HZ[1]:
        return gain
    raise ValueError(f"gain: no weights fire at the rate (got {rate:.1f} Hz at gain {gain:.3g}; need {target_hz} Hz).")
