"""`neuro learn`: from a recipe to a graph that has learned, through damage, a kill and a resume; and what is refused."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import neuro as library
from tests.cli.conftest import Neuro

RECIPE = """\
name = "small"
seed = 3
backend = "engine"
[task]
name = "delayed_match"
cue_ms = 8
delay_ms = 8
response_ms = 8
rate_hz = 400
validation_size = 8
test_size = 12
[graph]
n_lif = 6
n_alif = 4
gain_in = 2.5
[rule]
name = "eprop"
lr = 0.05
feedback = "adaptive"
[learn]
iterations = 6
batch = 2
optimizer = "adam"
validate_every = 3
checkpoint_every = 2
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    (tmp_path / "recipe.toml").write_text(RECIPE)
    return tmp_path / "recipe.toml"


def log(folder: Path) -> list[dict[str, object]]:
    entries = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [{key: value for key, value in entry.items() if key != "time_s"} for entry in entries]


def test_a_recipe_becomes_a_graph_that_has_learned(neuro: Neuro, recipe: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    done = neuro("learn", recipe, "--out", run, "--set", "rule.lr=0.1", "--seed", "5")
    assert done.exit_code == 0, done.output
    assert re.search(
        r"small: 6 LIF \+ 4 ALIF, \d+ synapses, on delayed_match by eprop on engine, up to 6 iterations of 2 samples, seed 5, into",
        done.stdout,
    )
    assert re.search(r"iteration 0/6: validation \d+\.\d % \(loss \d+\.\d+\), \d+\.\d Hz, best so far", done.stdout)
    assert re.search(r"iteration 6/6: validation .*; training loss \d+\.\d+, \d+ %, \d+\.\d Hz", done.stdout)
    assert re.search(r"test \d+\.\d % in 12 of 12 samples, mean rate \d+\.\d Hz", done.stdout)
    settings = json.loads((run / "run.json").read_text())
    assert (settings["seed"], settings["rule"]["lr"], settings["rule"]["feedback_seed"]) == (5, 0.1, 5)
    graph = library.load(run / "graph.h5")
    assert graph.exact
    assert json.loads(graph.notes["task"])["params"]["cue_ms"] == 8
    assert (run / "note.txt").read_text().startswith("before: validation ")
    assert len(log(run)) == 6 + 3
    shown = neuro("show", run / "graph.h5")
    assert "'in->lif' learns by eprop" in shown.stdout
    again = neuro("run", run / "graph.h5", "-n", "12")
    assert again.exit_code == 0, again.output
    test = re.search(r"test (\d+\.\d %)", done.stdout)
    assert test is not None
    assert test[1] in again.stdout


def test_weights_of_eight_bits_are_a_setting(neuro: Neuro, recipe: Path, tmp_path: Path) -> None:
    done = neuro("learn", recipe, "--out", tmp_path / "run", "--set", "rule.bits=8", "--set", "rule.lr=0.1")
    assert done.exit_code == 0, done.output
    graph = library.load(tmp_path / "run" / "graph.h5")
    rules = [c.plasticity.parameters for c in graph.projections if c.plasticity is not None]
    assert {(rule["bits"], rule["rounding_seed"]) for rule in rules} == {(8, 3)}
    for c, rule in zip(graph.projections, rules, strict=True):
        mantissas = c.weight / rule["scale"]
        assert np.array_equal(mantissas, np.rint(mantissas)) and 0 < np.abs(mantissas).max() <= 127, c.name
    assert "synapses changed" in (tmp_path / "run" / "note.txt").read_text()


KILL = (
    "import os, signal\n"
    "from neuro.learning import state\n"
    "write = state.write\n"
    "def killed(folder, now):\n"
    "    write(folder, now)\n"
    "    if now.iteration == 4:\n"
    "        os.kill(os.getpid(), signal.{signal})\n"
    "state.write = killed\n"
    "from neuro.cli import app; app()\n"
)


@pytest.mark.parametrize(("name", "code"), [("SIGKILL", -signal.SIGKILL), ("SIGINT", 130)])
def test_a_run_that_was_stopped_goes_on_bit_for_bit(
    neuro: Neuro, recipe: Path, tmp_path: Path, name: str, code: int
) -> None:
    whole, part = tmp_path / "whole", tmp_path / "part"
    assert neuro("learn", recipe, "--out", whole).exit_code == 0
    command = [sys.executable, "-c", KILL.format(signal=name), "learn", str(recipe), "--out", str(part)]
    stopped = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=dict(os.environ))
    assert stopped.returncode == code, (stopped.stdout, stopped.stderr)
    assert "Traceback" not in stopped.stderr
    if name == "SIGINT":
        assert re.search(r"interrupted after iteration [45]; nothing is lost. Go on with: --resume", stopped.stderr)
    assert not np.array_equal(log(part), log(whole))
    done = neuro("learn", recipe, "--out", part, "--resume")
    assert done.exit_code == 0, done.output
    assert library.load(part / "graph.h5") == library.load(whole / "graph.h5")
    assert log(part) == log(whole)
    last = [json.loads((folder / "checkpoint.json").read_text()) for folder in (whole, part)]
    assert last[0] == last[1]
    assert library.load(part / "graph-00000006.h5") == library.load(whole / "graph-00000006.h5")


def test_a_damaged_graph_recovers_what_it_can(neuro: Neuro, recipe: Path, tmp_path: Path) -> None:
    assert neuro("learn", recipe, "--out", tmp_path / "whole").exit_code == 0
    table = '[graph]\npath = "whole"\n[damage]\nkill = 0.3\nnoise = 0.5\n[rule]'
    text = re.sub(r"\[graph\].*?\[rule\]", table, RECIPE, flags=re.DOTALL)
    (tmp_path / "repair.toml").write_text(text)
    done = neuro("learn", tmp_path / "repair.toml", "--out", tmp_path / "repair")
    assert done.exit_code == 0, done.output
    assert re.search(r"damage: 3 of 10 neurons are dead \(\d of 'lif', \d of 'alif'\): \d+ synapses", done.stdout)
    found = re.findall(r"test (\w+ \w+): \d+\.\d % in 12 of 12 samples", done.stdout)
    assert found == ["before damage", "after damage", "after recovery"]
    whole, repaired = (library.load(tmp_path / name / "graph.h5") for name in ("whole", "repair"))
    assert repaired.n_synapses < whole.n_synapses


def test_a_graph_is_rewired_as_it_learns(neuro: Neuro, recipe: Path, tmp_path: Path) -> None:
    sparse = ("--set", "graph.connectivity=0.5", "--set", "rewire.every=2", "--set", "rewire.l1=1")
    done = neuro("learn", recipe, "--out", tmp_path / "run", *sparse)
    assert done.exit_code == 0, done.output
    assert re.search(r"\d+ synapses, rewired every 2 iterations, on delayed_match by eprop", done.stdout)
    assert re.search(
        r"'in->lif' by eprop .* synapses moved, by \d+ moves in all", (tmp_path / "run" / "note.txt").read_text()
    )
    moved = [entry["moved"] for entry in log(tmp_path / "run") if "moved" in entry]
    assert moved[0::2] == [0, 0, 0]
    assert min(moved[1::2]) > 0
    settings = json.loads((tmp_path / "run" / "run.json").read_text())
    assert settings["rewire"] == {"every": 2, "l1": 1.0, "temperature": 0.0, "dale": False, "projections": None}


def test_a_run_of_neuro_train_is_exported_on_the_way(neuro: Neuro, trained: Path, tmp_path: Path) -> None:
    text = re.sub(r"\[graph\].*?\[rule\]", f'[graph]\npath = "{trained / "run"}"\n[rule]', RECIPE, flags=re.DOTALL)
    task = '[task]\nname = "digits"\nsteps_per_pixel = 1\ncue_steps = 8\ndecision_steps = 4\n[graph]'
    (tmp_path / "recipe.toml").write_text(re.sub(r"\[task\].*?\[graph\]", task, text, flags=re.DOTALL))
    done = neuro("learn", tmp_path, "--out", tmp_path / "run", "--set", "learn.iterations=1")
    assert done.exit_code == 0, done.output
    assert "12 LIF + 8 ALIF" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--set", "rule.lrr=1"), r"rule 'lrr': unknown key \(got 'lrr'.*Did you mean 'lr'"),
        (("--set", "learn.batch=0"), r"learn 'batch': out of range \(got 0; need a whole number, 1..65536\)"),
        (("--set", "rule.lr"), r"--set: no setting \(got 'rule.lr'; need KEY=VALUE\). For example: --set rule.lr=0.01"),
        (("--set", "backend=nobody"), r"backend 'nobody': not installed"),
        (("--set", "rule.signal=value"), r"unknown learning signal \(got 'value'"),
        (("--set", 'graph.path="x"'), r"graph 'path': a graph and a network at once"),
    ],
)
def test_mistakes_end_with_a_message_alone(
    neuro: Neuro, recipe: Path, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    done = neuro("learn", recipe, "--out", tmp_path / "run", *arguments)
    assert done.exit_code == 2, done.output
    assert re.search(message, done.stderr)
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "run").exists()


def test_a_run_that_is_there_is_not_overwritten(neuro: Neuro, recipe: Path, tmp_path: Path) -> None:
    arguments = ("learn", recipe, "--out", tmp_path / "run", "--set", "learn.iterations=1")
    assert neuro(*arguments).exit_code == 0
    refused = neuro(*arguments)
    assert refused.exit_code == 2
    assert "there is a run already. Resume it, or choose another folder." in refused.stderr
