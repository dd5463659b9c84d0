"""Tasks by name."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from neuro import tasks
from neuro.errors import RecipeError


def test_every_name_has_parameters_that_are_right_by_default() -> None:
    assert tasks.NAMES == (
        "delayed_match", "digits", "evidence_accumulation", "pattern_generation", "smnist", "store_recall",
    )  # fmt: skip
    for name in tasks.NAMES:
        parameters, problems = tasks.check(name, {})
        assert problems == []
        assert tasks.check(name, vars(parameters)) == (parameters, [])


@pytest.mark.parametrize("name", [name for name in tasks.NAMES if name != "smnist"])  # which needs its data
def test_a_task_has_its_name_and_batches_of_its_sizes(name: str) -> None:
    task = tasks.make(name)
    assert task.name == name
    batch = task.fixed("test", 0, 1)
    assert batch.inputs.shape == (1, task.steps, task.n_in)
    assert batch.inputs.any()
    assert tasks.is_regression(task) == (batch.signal is not None) == (name in tasks.REGRESSIONS)


def test_unknown_names_get_the_nearest_known_one() -> None:
    with pytest.raises(RecipeError) as caught:
        tasks.make("store-recall")
    assert str(caught.value) == (
        "task name: unknown task (got 'store-recall'; need one of delayed_match, digits, evidence_accumulation, "
        "pattern_generation, smnist, store_recall). "
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
