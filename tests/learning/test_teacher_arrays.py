"""What a teacher takes: any layout in memory, and nothing that is no number."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from neuro.backend import Teacher
from neuro.errors import DataError, GraphError
from neuro.learning import Learner
from neuro.learning.engine import EngineLearner
from neuro.learning.rules import EProp, make
from tests.learning.nets import net, plastic, stimulus, teacher

SHAPE = (2, 60)


def told(**changed: Any) -> Teacher:
    given: dict[str, Any] = {"loss": "softmax", "target": np.zeros((*SHAPE, 3)), "mask": np.ones(SHAPE)}
    return Teacher(**{**given, **changed})


def test_arrays_may_lie_in_memory_as_they_like() -> None:
    graph, asked = plastic(net(10)), teacher("softmax")
    turned = Teacher(
        loss="softmax", target=np.asfortranarray(asked.target), mask=np.asfortranarray(asked.mask),
        reward=np.asfortranarray(np.arange(120.0).reshape(SHAPE)),
    )  # fmt: skip
    assert turned.reward.flags.c_contiguous and turned.reward[1, 0] == 60
    ours, theirs = (kind(graph).learn(stimulus(graph), turned).gradient for kind in (EngineLearner, Learner))
    for key, value in theirs.items():
        assert np.abs(value).max() > 0
        np.testing.assert_allclose(ours[key], value, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"right": float("nan")}, r"teacher 'right': no finite number \(got nan"),
        ({"wrong": "x"}, r"teacher 'wrong': no finite number \(got 'x'"),
        ({"target": "abc"}, r"teacher 'target': no array of numbers \(got 'abc'"),
        ({"chance": np.full(SHAPE, 7.0)}, r"teacher 'chance': out of range \(got 7.0; need 0..1\)"),
    ],
)
def test_what_is_no_number_is_refused(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        told(**changed)


def test_a_trajectory_has_no_negative_interval() -> None:
    graph = plastic(net(10))
    for kind in (Learner, EngineLearner):
        with pytest.raises(DataError, match=r"trajectory_every out of range \(got -1; need a whole number >= 0"):
            kind(graph).learn(stimulus(graph), teacher("softmax"), trajectory_every=-1)


def test_a_call_that_breaks_leaves_the_weights_as_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = plastic(net(10), update="episode", lr=0.01)
    program, expected = EngineLearner(graph), EngineLearner(graph).learn(stimulus(graph), teacher("softmax")).graph
    assert expected.sha256 != graph.sha256
    with monkeypatch.context() as patched:
        patched.setattr("neuro.learning.engine.Log.keep_sample", _interrupted)
        with pytest.raises(KeyboardInterrupt):
            program.learn(stimulus(graph), teacher("softmax"))
    assert program.graph.sha256 == graph.sha256
    assert program.learn(stimulus(graph), teacher("softmax")).graph.sha256 == expected.sha256


def _interrupted(*_: object) -> None:
    raise KeyboardInterrupt


def test_rules_are_refused_by_name() -> None:
    with pytest.raises(GraphError, match=r"unknown rule \(got 'eprp'; need one of eprop, .*Did you mean 'eprop'"):
        make("eprp")
    with pytest.raises(GraphError, match=r"rule 'eprop': unknown parameter \(got 'name'"):
        make("eprop", name="x")
    with pytest.raises(GraphError, match="rule 'eprop': lr has the wrong type"):
        EProp(lr=10**400)
