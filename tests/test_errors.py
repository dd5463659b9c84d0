"""Errors form one tree, and a mistyped name gets the nearest known one."""

from __future__ import annotations

import pytest

from neuro import errors


@pytest.mark.parametrize("name", [n for n in errors.__all__ if n not in ("NeuroError", "nearest")])
def test_every_error_is_a_neuro_error(name: str) -> None:
    assert issubclass(getattr(errors, name), errors.NeuroError)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("learning_rat", "Did you mean 'learning_rate'?"),
        ("LEARNING_RATE", "Did you mean 'learning_rate'?"),
        ("n_alfi", "Did you mean 'n_ALIF'?"),
        ("zebra", ""),
    ],
)
def test_nearest_names_a_close_one_or_none(name: str, hint: str) -> None:
    assert errors.nearest(name, ["learning_rate", "n_lif", "n_ALIF"]) == hint


def test_nearest_of_nothing_known_is_empty() -> None:
    assert errors.nearest("x", []) == ""
