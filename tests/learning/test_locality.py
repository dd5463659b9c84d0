"""A rule sees nothing beyond its synapse: what happens elsewhere changes nothing here."""

from __future__ import annotations

import inspect
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest

from neuro.learning import EProp, RewardEProp
from neuro.learning.local import Local, Synapses
from neuro.learning.reference import STEPS

MODULES = {
    "eprop": EProp(rate_reg=1.0),
    "online": EProp(rate_reg=1.0, update="step"),
    "reward": RewardEProp(value="v", entropy=0.1),
}
N, BATCH, RUN = 6, 2, 12


def synapses(readout: bool) -> Synapses:
    rng = np.random.default_rng(0)
    alpha, rho, beta, kappa = rng.uniform(0.5, 0.95, (4, N))
    if readout:
        return Synapses(
            readout=True, alpha=0 * alpha, rho=0 * rho, beta=0 * beta, kappa=kappa, filters=((0.0, 0),), dt_ms=1.0
        )
    return Synapses(
        readout=False, alpha=alpha, rho=rho, beta=beta, kappa=0 * kappa, filters=((0.8, 1), (0.9, 3)), dt_ms=1.0
    )


def local(rng: np.random.Generator, n_filters: int) -> Local:
    draw: dict[str, Any] = {f.name: rng.normal(0, 1, (BATCH, N)) for f in fields(Local)}
    draw |= {name: rng.normal(0, 1, (n_filters, BATCH, N)) for name in ("signal", "bonus")}
    return Local(**draw)


def disturb(told: Local, others: np.ndarray) -> Local:
    return replace(
        told, **{f.name: np.where(others, getattr(told, f.name) + 1.0, getattr(told, f.name)) for f in fields(Local)}
    )


@pytest.mark.parametrize("name", MODULES)
@pytest.mark.parametrize("readout", [False, True])
def test_what_happens_at_other_synapses_changes_nothing_here(name: str, readout: bool) -> None:
    rule, constants = MODULES[name], synapses(readout)
    steps: Any = STEPS[type(rule)]
    rng = np.random.default_rng(1)
    others = np.arange(N) != 2
    plain, disturbed = (steps.start(rule, constants, BATCH) for _ in range(2))
    for _ in range(RUN):
        told = local(rng, len(constants.filters))
        plain, g = steps.step(rule, constants, plain, told)
        disturbed, h = steps.step(rule, constants, disturbed, disturb(told, others))
        assert np.array_equal(g[:, 2], h[:, 2])
    assert not np.isclose(g[:, others], h[:, others]).any()
    end = [steps.finish(rule, constants, state, told.modulator) for state in (plain, disturbed)]
    assert np.array_equal(end[0][:, 2], end[1][:, 2])
    assert np.isfinite(g).all() and np.abs(g[:, 2]).max() > 0


@pytest.mark.parametrize("name", MODULES)
def test_a_rule_is_given_constants_its_own_state_and_what_is_local(name: str) -> None:
    steps: Any = STEPS[type(MODULES[name])]
    assert list(inspect.signature(steps.start).parameters) == ["rule", "synapses", "batch"]
    assert list(inspect.signature(steps.step).parameters) == ["rule", "synapses", "state", "local"]
    assert list(inspect.signature(steps.finish).parameters) == ["rule", "synapses", "state", "modulator"]
    allowed = {"x", "w", "z", "psi", "keep", "open", "signal", "bonus", "modulator"}
    assert {f.name for f in fields(Local)} == allowed  # pre; own weight; post; what is broadcast


def test_steps_leave_their_arguments_alone() -> None:
    rule, constants = MODULES["reward"], synapses(False)
    steps: Any = STEPS[type(rule)]
    told = local(np.random.default_rng(2), 2)
    state = steps.start(rule, constants, BATCH)
    state, _ = steps.step(rule, constants, state, told)
    before = {k: v.copy() for k, v in state.items()}
    steps.step(rule, constants, state, told)
    assert all(np.array_equal(before[k], state[k]) for k in state)
