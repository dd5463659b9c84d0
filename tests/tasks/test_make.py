"""Tasks by name."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from neuro import tasks
from neuro.errors import RecipeError


def test_every_name_has_parameters_that_are_right_by_default() -> None:
    assert tasks.NAMES == ("digits", "smnist", "store_recall")
    for name in tasks.NAMES:
        parameters, problems = tasks.check(name, {})
        assert problems == []
        assert tasks.check(name, vars(parameters)) == (parameters, [])


@pytest.mark.parametrize("name", ["digits", "store_recall"])
def test_a_task_has_its_name(name: str) -> None:
    assert tasks.make(name).name == name


def test_unknown_names_get_the_nearest_known_one() -> None:
    with pytest.raises(RecipeError) as caught:
        tasks.make("store-recall")
    assert str(caught.value) == (
        "task name: unknown task (got 'store-recall'; need one of digits, smnist, store_recall). "
        "Did you mean 'store_recall'?"
    )


def test_everything_wrong_with_a_task_is_reported_at_once() -> None:
    with pytest.raises(RecipeError) as caught:
        tasks.make("digits", level=3, cue_steps=0, decision_steps="all")
    assert str(caught.value).splitlines() == [
        "task 'digits': level: unknown key (got 'level'; need one of cue_steps, decision_steps, levels, max_shift, noise, steps_per_pixel). "
        "Did you mean 'levels'?",
        "task 'digits': cue_steps: out of range (got 0; need a whole number, 1..1000).",
        "task 'digits': decision_steps: wrong type (got 'all'; need a whole number, 1..1000).",
    ]
    with pytest.raises(
        RecipeError, match=re.escape("decision_steps: longer than the cue (got 23; need at most cue_steps = 22)")
    ):
        tasks.make("digits", decision_steps=23)


def test_tasks_load_numpy_alone() -> None:
    code = (
        "import sys; from neuro import tasks; tasks.make('store_recall'); "
        "heavy = {'torch', 'sklearn', 'scipy', 'h5py', 'pandas', 'brian2'} & set(sys.modules); sys.exit(str(heavy) if heavy else 0)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == 0, run.stderr
