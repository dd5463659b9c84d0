"""Rules as data: checked, attached, read back; and what is refused, by name."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest

import neuro
from neuro.backend import Teacher
from neuro.errors import DataError, GraphError, UnsupportedError
from neuro.graph import Graph, Plasticity
from neuro.learning import RULES, STDP, EProp, RewardEProp, RewardSTDP, Rule, attach, make_room, prepare, rule_of
from neuro.learning.reference import learn
from tests.learning.nets import net, plastic, stimulus, teacher


def with_rule(plasticity: Plasticity, projection: str = "in->lif") -> Graph:
    g = net()
    changed = tuple(replace(c, plasticity=plasticity) if c.name == projection else c for c in g.projections)
    return make_room(replace(g, projections=changed))[0]


@pytest.mark.parametrize(
    "rule", [EProp(lr=1, gamma=0.5), RewardEProp(value="v"), STDP(a_plus=0.5), RewardSTDP(factor="supervised")]
)
def test_a_rule_survives_as_data(rule: Rule) -> None:
    held = rule.plasticity("y")
    assert rule_of(Plasticity.from_json(held.to_json())) == rule
    assert RULES[held.rule] is type(rule)
    assert type(rule.lr) is float


@pytest.mark.parametrize("kind", RULES.values())
def test_every_parameter_has_its_row_in_the_table(kind: type[Rule]) -> None:
    tables = "".join(k.__doc__ or "" for k in kind.__mro__)
    missing = [f.name for f in fields(kind) if f.name not in tables]
    assert not missing


@pytest.mark.parametrize(
    ("name", "parameters", "text"),
    [
        ("eprob", {}, r"unknown rule \(got 'eprob'; need one of eprop, .*\)\. Did you mean 'eprop'\?"),
        ("eprop", {"gama": 0.3}, r"unknown parameter \(got 'gama'; .*\)\. Did you mean 'gamma'\?"),
        ("eprop", {"update": "steps"}, r"unknown update \(got 'steps'; .*\)\. Did you mean 'step'\?"),
        ("eprop", {"feedback": "fixed"}, r"unknown feedback \(got 'fixed'; need symmetric or random or adaptive\)"),
        ("eprop", {"gamma": -1.0}, r"gamma out of range \(got -1.0; need >= 0\)"),
        ("eprop", {"lr": "fast"}, r"lr has the wrong type \(got 'fast'; need a finite number\)"),
        ("eprop", {"filter": 1}, r"filter has the wrong type \(got 1; need true or false\)"),
        ("eprop", {"tau_rate_ms": 0.0}, r"tau_rate_ms out of range \(got 0.0; need > 0 ms\)"),
        ("reward_eprop", {}, r"no value readout \(got value ''"),
        ("reward_eprop", {"value": "v", "discount": 1.5}, r"discount out of range \(got 1.5; need 0..1\)"),
        ("stdp", {"update": "batch"}, r"unknown update \(got 'batch'; need step\)"),
        ("stdp", {"w_min": 2.0}, r"w_min out of range \(got 2.0; need < w_max = 1.0\)"),
        ("stdp", {"bounds": "sft"}, r"unknown bounds \(got 'sft'.*Did you mean 'soft'\?"),
        ("reward_stdp", {"factor": "rewards"}, r"Did you mean 'reward'\?"),
    ],
)  # fmt: skip
def test_wrong_rules_are_refused_by_name(name: str, parameters: dict[str, Any], text: str) -> None:
    with pytest.raises(GraphError, match=text):
        rule_of(Plasticity(rule=name, parameters=parameters))


def test_attach_chooses_what_the_rule_can_change() -> None:
    g = net()
    everything = {c.name for c in g.projections}
    assert {c.name for c in attach(g, EProp()).projections if c.plasticity} == everything
    assert {c.name for c in attach(g, STDP()).projections if c.plasticity} == {
        n for n in everything if not n.endswith("->y")
    }
    one = attach(g, EProp(), ["in->lif"])
    assert [(c.name, c.plasticity.signal) for c in one.projections if c.plasticity] == [("in->lif", "y")]
    both = attach(one, EProp(lr=0.5), ["lif->y"])
    assert {c.name for c in both.projections if c.plasticity} == {"in->lif", "lif->y"}
    with pytest.raises(GraphError, match=r"attach: unknown projection \(got 'in->liv'; .*Did you mean 'in->lif'\?"):
        attach(g, EProp(), ["in->liv"])


def two_readouts() -> Graph:
    b = neuro.Builder()
    b.spike_input("in", 2)
    b.lif("z", 2)
    b.li("y", 2)
    b.li("v", 1)
    for pair in (("in", "z"), ("z", "y"), ("z", "v")):
        b.connect(*pair, weight=1.0)
    return b.build()


def test_an_unclear_signal_is_refused() -> None:
    with pytest.raises(GraphError, match=r"attach: the signal of rule 'eprop' is not clear \(got y, v; need one\)"):
        attach(two_readouts(), EProp())
    found = attach(two_readouts(), RewardEProp(value="v"))
    assert [c.plasticity.signal for c in found.projections if c.plasticity] == ["y"] * 3


def test_graphs_that_cannot_learn_are_refused() -> None:
    rule = EProp().plasticity
    with pytest.raises(GraphError, match=r"learn: nothing learns \(got no projection with plasticity"):
        prepare(net())
    with pytest.raises(
        GraphError, match=r"projection 'in->lif': no learning signal \(got signal None; rule 'eprop' needs one of y\)"
    ):
        prepare(with_rule(rule(None)))
    with pytest.raises(GraphError, match=r"projection 'in->lif': signal is no readout \(got ALIF 'alif'; need an LI\)"):
        prepare(with_rule(rule("alif")))
    with pytest.raises(
        GraphError, match=r"'in->lif': weight out of bounds .*Call make_room before learning, or change w_max"
    ):
        prepare(attach(net(), EProp(w_max=0.01), ["in->lif"]))
    with pytest.raises(GraphError, match=r"projection 'lif->y': STDP needs spikes at both ends \(got LIF to LI\)"):
        prepare(with_rule(STDP().plasticity(None), "lif->y"))
    reward = RewardEProp(value="y").plasticity("y")
    with pytest.raises(GraphError, match=r"value readout 'y' has the wrong size \(got 3; need 1\)"):
        prepare(with_rule(reward))
    two = make_room(attach(two_readouts(), EProp(), ["z->y"], signal="v"))[0]
    with pytest.raises(
        GraphError, match=r"projection 'z->y': ends in a readout that is not judged \(got 'y'; the signal is v\)"
    ):
        prepare(two)


def test_feedback_that_cannot_be_is_refused() -> None:
    with pytest.raises(
        GraphError, match=r"population 'lif': random feedback from 'y' needs one delay \(got 1..4 steps"
    ):
        prepare(plastic(net(delays=True), feedback="random"))
    only_in = make_room(attach(net(delays=False), EProp(feedback="adaptive"), ["in->lif"]))[0]
    with pytest.raises(GraphError, match="adaptive feedback from 'y' has nothing to follow"):
        prepare(only_in)
    mixed = attach(net(delays=False), EProp(feedback="random"))
    mixed = make_room(attach(mixed, EProp(feedback="random", feedback_seed=1), ["in->lif"]))[0]
    with pytest.raises(GraphError, match=r"population 'lif': two kinds of feedback by 'lif/y'"):
        prepare(mixed)
    b = neuro.Builder()
    b.spike_input("in", 2)
    b.lif("a", 2)
    b.lif("b", 2)
    b.li("y", 2)
    for pair in (("in", "a"), ("a", "b"), ("b", "y")):
        b.connect(*pair, weight=1.0)
    deep = b.build()
    with pytest.raises(GraphError, match=r"population 'a': no error reaches it \(got no synapse from it to y"):
        prepare(make_room(attach(deep, EProp()))[0])
    assert prepare(make_room(attach(deep, EProp(feedback="random")))[0]).feedback.keys() == {"a/y", "b/y"}


def test_integers_are_refused() -> None:
    b = neuro.Builder()
    b.spike_input("in", 2)
    b.int_lif("z", 2, d_v=100, v_th=10)
    b.connect("in", "z", weight=2)
    with pytest.raises(UnsupportedError, match=r"learn: graph of integers \(got IntLIF 'z'; need LIF, ALIF and LI\)"):
        prepare(b.build())


@pytest.mark.parametrize(
    ("told", "text"),
    [
        (teacher("softmax", batch=3), r"shape does not fit the stimulus \(got batch 3, steps 60; need 2, 60\)"),
        (teacher("softmax", k=4), r"wrong number of outputs \(got 4; need 3, the size of 'y'\)"),
        (teacher("reward"), r"loss does not fit rule 'eprop' of 'in->lif' \(got 'reward'; need softmax or regression\)"),
    ],
)  # fmt: skip
def test_a_teacher_that_does_not_fit_is_refused(told: Teacher, text: str) -> None:
    graph = plastic(net())
    with pytest.raises(DataError, match=text):
        learn(graph, stimulus(graph), told)


def test_a_stimulus_that_does_not_fit_is_refused() -> None:
    with pytest.raises(DataError, match="no such input"):
        learn(plastic(net()), neuro.Stimulus.dense({"i": np.zeros((2, 60, 4), bool)}), teacher("softmax"))
