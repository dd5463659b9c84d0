"""Settings are checked on construction, all at once, and load without torch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from neuro.errors import RecipeError
from neuro.train import DeepRConfig, ModelConfig, TrainConfig


def test_defaults_are_valid_and_settings_load_without_torch():
    code = "import sys; from neuro.train import *; ModelConfig(), TrainConfig(), DeepRConfig(); print('torch' in sys.modules)"
    code = code.replace("import *", "import DeepRConfig, ModelConfig, TrainConfig")
    ran = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
        timeout=60,
    )
    assert ran.stdout == "False\n"


def test_every_broken_rule_is_reported():
    with pytest.raises(RecipeError) as refused:
        ModelConfig(n_lif=-1, beta=float("nan"), tau_a_ms=[5, 2], reset="hard", delay_min=0)
    lines = str(refused.value).splitlines()
    assert len(lines) == 5
    assert "model 'n_lif': out of range (got -1; need a whole number >= 0)." in lines
    assert "model 'delay_min': out of range (got 0; need a whole number of steps >= 1 between neurons)." in lines


@pytest.mark.parametrize(
    ("config", "values", "message"),
    [
        (ModelConfig, {"n_lif": 0, "n_alif": 0}, r"no neurons \(got n_lif 0, n_alif 0"),
        (ModelConfig, {"kind": "lif", "n_lif": 0}, "no neurons"),
        (ModelConfig, {"delay_min": 4, "delay_max": 3}, r"'delay_max': below delay_min \(got 3; need >= 4\)"),
        (ModelConfig, {"in_delay_min": 4}, r"'in_delay_max': below in_delay_min \(got 0; need >= 4\)"),
        (ModelConfig, {"bias": 1}, r"'bias': out of range \(got 1; need true or false"),
        (TrainConfig, {"lr": 0.0}, r"train 'lr': out of range \(got 0.0; need a number > 0"),
        (TrainConfig, {"batch": True}, r"train 'batch': out of range \(got True; need a whole number >= 1"),
        (TrainConfig, {"dtype": "float16"}, r"'dtype': out of range \(got 'float16'; need one of float32, float64"),
        (
            DeepRConfig,
            {"connectivity": 1.5},
            r"deep_r 'connectivity': out of range \(got 1.5; need a number in \(0, 1\]",
        ),
        (DeepRConfig, {"dale": -0.1}, r"deep_r 'dale': out of range \(got -0.1; need the excitatory fraction"),
    ],
)
def test_values_out_of_range_are_named(config, values, message):
    with pytest.raises(RecipeError, match=message):
        config(**values)


def test_kind_lif_has_no_adaptive_neurons_and_lists_become_tuples():
    config = ModelConfig(kind="lif", n_alif=30, tau_m_ms=[10, 20])
    assert config.n_alif == 0
    assert config.tau_m_ms == (10, 20)
