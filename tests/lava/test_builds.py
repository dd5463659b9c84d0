"""Test when a program builds its network: once, for as many samples as a run has had side by side."""

from __future__ import annotations

from .conftest import Inside


def test_one_build_serves_other_stimuli_steps_traces_and_fewer_samples(inside: Inside) -> None:
    found = inside("one_build")
    assert found["right"] == [True] * 9
    assert found["builds"] == [1] * 9


def test_more_samples_build_again(inside: Inside) -> None:
    found = inside("more_samples")
    assert found["right"] == [True] * 6
    assert found["builds"] == [1, 2, 2, 2, 3, 3]


def test_groups_share_a_build(inside: Inside) -> None:
    found = inside("groups")
    assert found["right"] == [True] * 3
    assert found["builds"] == [1, 1, 1]


def test_a_run_that_reuses_the_build_saves_its_time(inside: Inside) -> None:
    found = inside("times")
    first, *others = found["seconds"]
    assert first > 2 * min(others), found["seconds"]


def test_a_stimulus_that_is_refused_costs_no_build(inside: Inside) -> None:
    found = inside("refused")
    assert "unit out of range (got 4; need 0..3)" in found["message"]
    assert found["right"] == [True, True]
    assert found["builds"] == [1, 1]
