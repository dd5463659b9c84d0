"""Do in numpy what Lava's learning engine does in fixed point, step by step; each of its approximations can be left out.

Equal to Lava bit for bit with all of them (test_rstdp.py): then what the engine's weights differ by from the rule's is what these
differ by. Written from the equations of lava-nc 0.10.0's connection.py and learning_rule_applier.py.
"""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from neuro_lava.learning.rstdp import TRACE_MAX, WEIGHT_MAX, Learner, Spikes, largest, numbers

APPROXIMATIONS = ("impulses", "decay of tag", "factor", "shifts", "waiting", "traces", "tag", "weight")
Floats = NDArray[np.float64]


def weights(learner: Learner, spikes: Spikes, seed: int = 1, leave_out: tuple[str, ...] = ()) -> Floats:
    """Return the weights after each step, (steps, n_synapses), as `replay.learn(model="fixed", epoch=1)` does.

    leave_out: of APPROXIMATIONS: whole-number impulses; y3, y2 as whole numbers; products cut off; what is negative waiting for a step
    without a spike; the rounding at random of x1 and the y traces, of the tag, of the weight.
    """
    exact = set(leave_out)
    made = numbers(learner, spikes, "fixed")
    k, h = (int(made.dt.split("2^")[part].split()[0]) for part in (1, 3))
    g = int(re.findall(r"2\^(-?\d+)", made.dw)[0])
    pre, post, _ = largest(learner, spikes)
    scale = TRACE_MAX / max(learner.a_plus * pre, learner.a_minus * post)
    up, down = (made.x1, made.y1) if "impulses" not in exact else (scale * learner.a_plus, scale * learner.a_minus)
    y3 = made.y3 if "decay of tag" not in exact else (1 - learner.keep_e) * 2.0 ** (5 - h)
    rolls = [np.random.default_rng(s) for s in (seed, seed + 2, seed + 4, 2)]
    for each in (rolls[0], rolls[1], rolls[3]):
        each.random()
    steps, n_pre, n_post = len(spikes.factor), learner.weight.shape[1], learner.weight.shape[0]
    x, y, owed, t = np.zeros(n_pre), np.zeros(n_post), np.zeros(n_post), np.zeros(learner.weight.shape)
    w = np.rint(learner.weight * made.unit) if "weight" not in exact else learner.weight * made.unit
    keep_x, keep_y, held, found = np.exp(-1 / learner.tau_plus), np.exp(-1 / learner.tau_minus), np.exp(-1 / 65535), []
    for now in range(steps + 1):
        arrived, fired = (s[now].astype(float) if now < steps else 0 * s[0] for s in (spikes.arrived, spikes.fired))
        owed = owed + (spikes.factor[now - 1] if now else 0.0)
        told = np.where((fired > 0) & (owed < 0) & ("waiting" not in exact), 0.0, owed)
        owed = owed - told
        for each in rolls[:2]:
            each.random()  # the engine rolls twice a step
        u_x, u_y, u_own, u_w = (each.random() for each in rolls)
        x = _rolled(keep_x * x, u_x, "traces" not in exact) + up * arrived
        y = _rolled(keep_y * y, u_own, "traces" not in exact)
        y2 = made.y2 * told if "factor" in exact else np.clip(np.rint(made.y2 * told), -TRACE_MAX, TRACE_MAX)
        if "traces" not in exact:
            x = np.minimum(x, TRACE_MAX)
        y1, y2, faded = (_rolled(held * v, u_y, True) if "traces" not in exact else v for v in (y, y2, np.float64(y3)))
        cut = "shifts" not in exact
        change = _product(t * y2[:, None], 5, g, cut)
        risen = t + np.outer(fired, x) * 2.0**k - np.outer(y1, arrived) * 2.0**k + _product(-t * faded, 5, h, cut)
        w = np.clip(_rolled(w + change, u_w, "weight" not in exact), 0, WEIGHT_MAX)
        t = _rolled(risen, u_w, "tag" not in exact)
        y = y + down * fired
        if "traces" not in exact:
            y = np.minimum(y, TRACE_MAX)
        found.append(w / made.unit)
    return learner.synapses(np.array(found[1:]))


def _rolled(value: Floats, roll: float, whole: bool) -> Floats:
    """Round at random: up where the one number of this step is below the fraction."""
    low = np.floor(value)
    return low + (roll < value % 1) if whole else value


def _product(value: Floats, shift: int, exponent: int, cut: bool) -> Floats:
    """Return value / 2**shift * 2**exponent, cut off below 2**exponent as the engine's accumulator does."""
    value = value / 2.0**shift
    return (np.floor(value) if cut else value) * 2.0**exponent
