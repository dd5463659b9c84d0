"""Sweep files: what they become, and everything that is wrong with one at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from neuro.errors import RecipeError
from neuro.sweep import load
from tests.sweep.conftest import RECIPE, Write

ROOT = Path(__file__).resolve().parents[2]


def test_a_file_becomes_a_sweep_and_trials_are_recipes(write: Write) -> None:
    sweep = load(
        write("alif_fraction = [0.25]\nrate_target_hz = [20]\nconnectivity = [0.2]\nbits = 5", "iterations = 9")
    )
    assert (sweep.name, sweep.search, sweep.trials, sweep.device) == ("tradeoff", "grid", 1, "loihi")
    assert sweep.step_time_s is None
    trial = sweep.of_trial(0, {"alif_fraction": 0.25, "rate_target_hz": 20, "connectivity": 0.2, "bits": 5})
    assert (trial.model.n_lif, trial.model.n_alif) == (15, 5)  # 20 neurons, as many as before
    assert (trial.train.rate_target_hz, trial.deep_r.connectivity) == (20.0, 0.2)
    assert (trial.train.iterations, trial.train.batch, trial.seed) == (9, 16, 3)
    assert trial.name == "tradeoff-0"
    all_lif, all_alif = (sweep.of_trial(1, {"alif_fraction": f}).model for f in (0, 1))
    assert (all_lif.n_lif, all_lif.n_alif, all_alif.n_lif, all_alif.n_alif) == (20, 0, 0, 20)


def test_step_time_is_in_microseconds_and_trials_can_be_asked_for(write: Write) -> None:
    sweep = load(write("bits = [4, 9]", search="random", trials=7, step_time_us=20), trials=3)
    assert sweep.step_time_s == pytest.approx(20e-6)
    assert sweep.trials == 3


def test_everything_that_is_wrong_is_told_at_once(write: Write) -> None:
    path = write(
        'bits = [4, "float"]\nconectivity = [0.1]', "lerning_rate = 1", search="bayes", trials=0, samples=1.5, devise="loihi", step_time_us=0,
        profile="loihi3", seed=-1,
    )  # fmt: skip
    with pytest.raises(RecipeError) as raised:
        load(path)
    text = str(raised.value)
    for part in (
        "unknown key (got 'devise'; need one of name, recipe, search,",
        "Did you mean 'device'?",
        "'seed': out of range (got -1; need a whole number, at least 0)",
        "unknown axis (got 'conectivity'",
        "'search': unknown (got 'bayes'; need one of grid, random, tpe, nsga2)",
        "'profile': unknown (got 'loihi3'; need one of loihi1, loihi2). Did you mean 'loihi",
        "'trials': out of range (got 0; need a whole number >= 1)",
        "'samples': out of range (got 1.5; need a whole number >= 1)",
        "'step_time_us': out of range (got 0; need a number > 0, at most 1e+12)",
        "train: unknown key (got 'lerning_rate'; need one of iterations,",
        "'device': 'loihi' counts cores, and a float graph has no place on them (got bits 4, float; need whole bits",
    ):
        assert part in text, part
    assert all(line.startswith(str(path)) for line in text.splitlines())


@pytest.mark.parametrize(
    ("recipe", "space", "head", "message"),
    [
        (RECIPE, "bits = 9", {"device": "lohi"}, r"'device': .*'lohi'"),
        (RECIPE, "bits = 9", {"device": None}, r"'device': missing \(got None; need one of those that 'neuro devices' lists\)"),
        (RECIPE, "bits = 9", {"device": "loihi2"}, r"'device': .*loihi2"),
        (RECIPE, "bits = 9", {"profile": "loihi2"}, r"'profile': not of the device's cores \(got profile 'loihi2' with device 'loihi'; need loihi1\)"),
        (RECIPE, "connectivity = [0.1]", {}, r"'device': 'loihi' counts cores, .* \(got bits float; need whole bits"),
        (RECIPE, "bits = 9", {"recipe": None}, r"'recipe': no path \(got None; need a recipe, relative to this file\)"),
        (RECIPE, "bits = 9", {"recipe": "other.toml"}, r"'recipe': .*other.toml: recipe not found"),
        (RECIPE, "bits = 9", {"trials": 4}, r"'trials': a grid has as many as points \(got trials 4; need none\)"),
        (RECIPE, "bits = 9", {"search": "tpe"}, r"'trials': missing \(got nothing; need how many trials 'tpe' may make\)"),
        (RECIPE, "bits = 9\nconnectivity = {low = 0.1, high = 0.5}", {}, r"space 'connectivity': no points \(got a range without n; need n >= 2 for a grid\)"),
        (RECIPE.replace('"hard"', '"off"'), "bits = 9\nconnectivity = [0.1]", {}, r"space 'connectivity': not held by the recipe \(got deep_r mode 'off'; need hard\)"),
        (RECIPE.replace("[model]", '[model]\nkind = "lif"'), "bits = 9\nalif_fraction = [0.5]", {}, r"space 'alif_fraction': the recipe has LIF neurons alone"),
        (RECIPE.replace("batch", "rate_reg = 0\nbatch"), "bits = 9\nrate_target_hz = [5]", {}, r"space 'rate_target_hz': without effect \(got rate_reg 0; need > 0\)"),
        (RECIPE.replace("[model]", '[model]\nkind = "lstm"').replace('"hard"', '"off"'), "bits = 9", {}, r"'recipe': no spiking network \(got kind 'lstm'; need lsnn or lif\)"),
        (RECIPE.replace("seed", 'quantize = "loihi1"\nseed'), "bits = 9", {}, r"'recipe': trains for a chip \(got quantize 'loihi1'; need a float recipe\)"),
        (RECIPE.replace("seed", 'start = "x.h5"\nseed'), "bits = 9", {}, r"'recipe': starts from other weights \(got start 'x.h5'; need none\)"),
        (RECIPE.replace("batch = 16", "batch = 0"), "bits = 9", {}, r"'recipe': .*train 'batch': out of range"),
    ],
)  # fmt: skip
def test_what_cannot_be_swept_is_refused(
    write: Write, recipe: str, space: str, head: dict[str, object], message: str
) -> None:
    with pytest.raises(RecipeError, match=message):
        load(write(space, base=recipe, **head))


def test_files_that_are_no_sweep_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"absent.toml: no sweep file \(got 'No such file or directory'"):
        load(tmp_path / "absent.toml")
    (tmp_path / "sweep.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(RecipeError, match=r"sweep.toml: not text \(got byte 0xff"):
        load(tmp_path)
    (tmp_path / "sweep.toml").write_text("[space\n")
    with pytest.raises(RecipeError, match="not TOML"):
        load(tmp_path)


def test_a_value_in_space_and_train_is_refused(write: Write) -> None:
    with pytest.raises(
        RecipeError, match=r"train 'rate_target_hz': varies \(got it in \[train\] and \[space\]; need one\)"
    ):
        load(write("rate_target_hz = [5, 10]\nbits = 9", "rate_target_hz = 20"))


def test_the_zoo_has_a_sweep_over_all_four() -> None:
    sweep = load(ROOT / "models" / "digits_lsnn")
    ends = {
        axis.name: (min(axis.values or (axis.low,), key=str), max(axis.values or (axis.high,), key=str))
        for axis in sweep.space
    }
    assert ends["connectivity"] == (0.02, 0.5)
    assert ends["rate_target_hz"] == (5, 40)
    assert {axis.name for axis in sweep.space} == {"connectivity", "rate_target_hz", "alif_fraction", "bits"}
    assert sweep.recipe.task.name == "digits"


@pytest.mark.parametrize("text", ["nan", "inf", "-1", "1e300", "true", '"fast"'])
def test_step_time_that_no_device_can_be_asked_for_is_refused(write: Write, text: str) -> None:
    file = write("bits = [4, 9]")
    file.write_text(f"step_time_us = {text}\n" + file.read_text())
    with pytest.raises(RecipeError, match=r"'step_time_us': out of range \(got"):
        load(file)
