"""`neuro quantize` and `neuro check`: what a chip changes, where neurons go, and which fall silent, with the exit code to match."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np

import neuro as library
from tests.cli.conftest import Neuro


def _save(b: library.Builder, path: Path) -> Path:
    library.save(b.build(), path)
    return path


def test_quantize_writes_the_graph_and_tells_what_changed(neuro: Neuro, graph: Path) -> None:
    done = neuro("quantize", graph, "--profile", "loihi2", "-n", 8, "--runs", 4)
    assert done.exit_code == 0, done.output
    assert "quantised for loihi2; calibrated on 8 samples of 72 steps" in done.stdout
    path = graph.with_name("graph-loihi2.h5")
    made = library.load(path)
    assert made.semantics == "integer"
    assert json.loads(made.notes["scales"]).keys() == {"lif", "alif", "out"}
    assert made.notes["float_graph"] == library.load(graph).sha256
    assert f"next: neuro check {path} --profile loihi2" in done.stdout
    again = neuro("run", path, "-n", 4)
    assert again.exit_code == 0, again.output
    assert "accuracy" in again.stdout


def test_check_of_a_float_graph_reports_all_three(neuro: Neuro, graph: Path) -> None:
    done = neuro("check", graph, "-p", "loihi1", "-n", 8, "--runs", 2, "--limits", "--chips", 1)
    assert done.exit_code == 0, done.output
    for text in (
        "profile loihi1",
        "Davies et al. 2018",
        "quantised for loihi1",
        "'alif': reset 'threshold' kept: the membrane is held in u",
        "placement on loihi1: 1 core on 1 chip",
        "no limit broken",
        "silence and saturation on the first validation samples of task 'digits' (8 samples of 72 steps)",
        f"{graph}: fits loihi1, and no population is silent",
    ):
        assert text in done.stdout, text


def test_check_names_the_population_that_fell_silent_and_the_fix(neuro: Neuro, tmp_path: Path) -> None:
    b = library.Builder(name="tight")
    b.spike_input("in", 5)
    b.lif("lif", 5, tau_m_ms=20.0, v_th=[1000.0, 1000.0, 0.1, 0.1, 0.1])
    b.connect("in", "lif", weight=np.diag([1100.0, 1100.0, 0.07, 0.07, 0.07]))
    path = _save(b, tmp_path / "tight.h5")
    done = neuro("check", path, "--profile", "loihi1")
    assert done.exit_code == 1, done.output
    assert "calibrated on random spikes, since no stimulus was given (Poisson at 50 Hz" in done.stdout
    assert "population 'lif': 3 of 5 neurons that spiked are silent after quantisation (neurons 2, 3, 4)" in done.stdout
    assert "raise these weights or lower v_th" in done.stdout
    assert 'fine-tune with quantize = "loihi1"' in done.stdout
    assert f"{path}: silent: lif" in done.stdout


def test_check_of_an_integer_graph_names_a_population_that_is_silent(neuro: Neuro, tmp_path: Path) -> None:
    b = library.Builder()
    b.spike_input("in", 4)
    b.int_lif("loud", 3, d_v=200, v_th=100)
    b.int_lif("dead", 3, d_v=200, v_th=100_000)
    b.connect("in", "loud", weight=255)
    b.connect("loud", "dead", weight=1)
    path = _save(b, tmp_path / "dead.h5")
    done = neuro("check", path, "--profile", "loihi2")
    assert done.exit_code == 1, done.output
    assert "quantised" not in done.stdout
    assert (
        "population 'dead': silent: none of its 3 neurons spiked in 8 samples of 200 steps. Raise the weights"
        in done.stdout
    )
    assert re.search(r"'loud': \d+\.\d Hz, 0 of 3 neurons silent", done.stdout)
    assert f"{path}: silent: dead" in done.stdout


def test_check_names_the_limits_of_a_graph_that_is_too_large(neuro: Neuro, tmp_path: Path) -> None:
    b = library.Builder()
    b.spike_input("in", 4100)
    b.lif("lif", 2, tau_m_ms=20.0)
    b.connect("in", "lif", weight=0.05)
    path = _save(b, tmp_path / "wide.h5")
    done = neuro("check", path, "--profile", "loihi1", "--runs", 1)
    assert done.exit_code == 1, done.output
    assert "population 'lif', neuron 0: fan-in too large" in done.stdout
    assert "(got 4101; need at most 4096). Prune its inputs" in done.stdout
    assert f"{path}: limits of loihi1 broken: 3" in done.stdout
    assert neuro("check", path, "--profile", "loihi2", "--runs", 1).exit_code == 0


def test_what_cannot_be_quantised_is_a_mistake(neuro: Neuro, graph: Path, tmp_path: Path) -> None:
    unknown = neuro("check", graph, "--profile", "loihi3")
    assert unknown.exit_code == 2
    assert unknown.stderr.strip().startswith("profile 'loihi3': not known (got 'loihi3'; need one of loihi1, loihi2).")
    b = library.Builder()
    b.spike_input("in", 1)
    b.lif("lif", 1)
    b.connect("in", "lif", weight=1.0, delay=63)
    path = _save(b, tmp_path / "late.h5")
    late = neuro("quantize", path, "--profile", "loihi2")
    assert late.exit_code == 2
    assert "projection 'in->lif': delay too long (got 63 steps at synapse 0; need at most 62)" in late.stderr
    assert not path.with_name("late-loihi2.h5").exists()


def test_quantize_does_not_write_over_the_float_graph(neuro: Neuro, graph: Path) -> None:
    before = graph.read_bytes()
    done = neuro("quantize", graph, "--profile", "loihi2", "-o", graph.parent / "." / graph.name)
    assert done.exit_code == 2
    assert done.stderr.strip() == f"--output: is the float graph itself (got {graph}; need another file). Name one."
    assert graph.read_bytes() == before
