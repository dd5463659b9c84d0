"""A recipe that trains in seconds: the digits, short, and a handful of neurons."""

from __future__ import annotations

from typing import Any

_DEEP_R = '[deep_r]\nmode = "hard"\nconnectivity = 0.3\n'


def recipe(*, deep_r: bool = True, **train: Any) -> str:
    """Return the recipe as TOML. Parameters: train, numbers of its [train] in place of these, or beside them, as TOML writes them."""
    settings = {
        "iterations": 6,
        "batch": 16,
        "validate_every": 3,
        "validate_samples": 32,
        "checkpoint_every": 2,
        "threads": 1,
    }
    lines = "".join(f"{name} = {value}\n" for name, value in (settings | train).items())
    return f"""\
name = "tiny"
seed = 3
[task]
name = "digits"
steps_per_pixel = 1
cue_steps = 8
decision_steps = 4
[model]
n_lif = 12
n_alif = 8
[train]
{lines}{_DEEP_R if deep_r else ""}"""
