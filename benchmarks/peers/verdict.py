"""Say whether a contestant did the work it was asked for: rate, parameters, gradients, and for equal equations the same numbers."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from .case import RATE_HZ

FIRST_STEPS = 100  # spikes are compared over these; a sum in another order flips one sooner or later, and the nets part
MAX_DIFFERENT_SPIKES = 1e-4  # share of the spike bits of the first steps
MAX_LOSS_DIFFERENCE = 0.02  # relative; nets that have parted still give nearly the same loss
MIN_COSINE = 0.9  # of gradients; samples that have parted give different ones


@dataclass
class Verdict:
    """What a check found: `problems` is empty if it passed, `notes` says what was compared."""

    notes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def require(self, holds: bool, text: str) -> None:
        """Note a fact, as a problem if it does not hold."""
        (self.notes if holds else self.problems).append(text)


@dataclass(frozen=True)
class Shown:
    """What a contestant showed of one step: loss, mean rate, and from its file spikes of some steps and gradients."""

    loss: float
    rate_hz: float
    steps: np.ndarray
    spikes: np.ndarray
    gradients: dict[str, np.ndarray]

    @classmethod
    def read(cls, answer: dict[str, float], path: Path) -> Shown:
        """Join an answer with its file."""
        with np.load(path) as stored:
            gradients = {name: stored[name] for name in ("w_in", "w_rec", "w_out") if name in stored}
            return cls(answer["loss"], answer["rate_hz"], stored["steps"], stored["spikes"], gradients)


def judge(shown: Shown, weights: dict[str, np.ndarray], ours: Shown | None = None) -> Verdict:
    """Check one contestant. Parameters: weights, of the case; ours, what our network showed, for one with the same equations."""
    verdict = Verdict()
    low, high = RATE_HZ
    verdict.require(low <= shown.rate_hz <= high, f"rate {shown.rate_hz:.1f} Hz")
    verdict.require(bool(np.isfinite(shown.loss)), f"loss {shown.loss:.4f}")
    missing = [name for name in weights if name not in shown.gradients]
    if missing:
        verdict.problems.append(f"no gradient of {', '.join(missing)}")
    norms = [float(np.linalg.norm(g[weights[name] != 0])) for name, g in shown.gradients.items()]
    verdict.require(
        bool(np.isfinite(norms).all() and min(norms, default=0) > 0),
        "gradient norms " + ", ".join(f"{x:.2g}" for x in norms),
    )
    if ours is not None:
        _same_numbers(verdict, shown, ours, weights)
    return verdict


def _same_numbers(verdict: Verdict, shown: Shown, ours: Shown, weights: dict[str, np.ndarray]) -> None:
    """Compare spikes of the first steps, loss and gradients with ours."""
    common = np.intersect1d(shown.steps, ours.steps)
    first = common[common < FIRST_STEPS]
    theirs, own = (s.spikes[:, np.isin(s.steps, first)] for s in (shown, ours))
    different = float((theirs != own).mean()) if own.size else 1.0
    seen = (
        f"first {FIRST_STEPS} steps" if len(first) == FIRST_STEPS else f"{len(first)} of the first {FIRST_STEPS} steps"
    )
    verdict.require(
        bool(own.any()) and different <= MAX_DIFFERENT_SPIKES,
        f"{seen}: {int(own.sum())} spikes of ours, share of bits that differ {different:.1e}",
    )
    apart = abs(shown.loss - ours.loss) / abs(ours.loss)
    verdict.require(apart <= MAX_LOSS_DIFFERENCE, f"loss {apart:.1e} apart (relative)")
    cosines = {name: _cosine(g, ours.gradients[name], weights[name]) for name, g in shown.gradients.items()}
    verdict.require(
        min(cosines.values(), default=-1) >= MIN_COSINE,
        "cosine of gradients " + ", ".join(f"{name} {c:.4f}" for name, c in cosines.items()),
    )


def _cosine(a: np.ndarray, b: np.ndarray, w: np.ndarray) -> float:
    """Return the cosine of two gradients over the synapses that exist."""
    a, b = a[w != 0].astype(np.float64), b[w != 0].astype(np.float64)
    size = np.linalg.norm(a) * np.linalg.norm(b)
    return float(a @ b / size) if size > 0 else 0.0
