"""Training for a chip through the command line: fine-tuning from a graph and a run, resuming, exporting, refusing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import neuro as library
from neuro.graph import kind
from neuro.train import load_run
from tests.cli.conftest import RECIPE, Neuro


def recipe_in(folder: Path, head: str, text: str = RECIPE) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "recipe.toml").write_text(head + text)
    return folder


@pytest.mark.parametrize(("profile", "adaptive"), [("loihi1", "AHP"), ("loihi2", "IntALIF")])
def test_a_graph_is_trained_on_for_a_chip_and_exported(
    neuro: Neuro, trained: Path, tmp_path: Path, profile: str, adaptive: str
) -> None:
    (tmp_path / "graph.h5").write_bytes((trained / "graph.h5").read_bytes())
    folder = recipe_in(tmp_path / "chip", f'quantize = "{profile}"\nstart = "../graph.h5"\n')
    arguments = ("train", folder, "--out", folder / "run")
    done = neuro(*arguments, "--set", "train.iterations=3")
    assert done.exit_code == 0, done.output
    assert f"tiny: ../graph.h5 for {profile} on digits, up to 3 steps" in done.stdout
    assert f"quantised for {profile}; calibrated on 32 samples" in done.stdout
    assert "step 0/3: validation" in done.stdout
    more = neuro(*arguments, "--resume")
    assert more.exit_code == 0, more.output
    assert "calibrated" not in more.stdout
    assert "ended after step 6" in more.stdout
    exported = neuro("export", folder / "run", "-o", folder / "graph.h5", "--check", "20")
    assert exported.exit_code == 0, exported.output
    assert "rasters: 20 of 20 samples identical" in exported.stdout
    graph = library.load(folder / "graph.h5")
    assert (graph.semantics, kind(graph.population("alif"))) == ("integer", adaptive)
    assert graph.notes["profile"] == profile
    own = [c.name for c in graph.projections if c.source == c.target and c.name.endswith(".reset")]
    assert own == (["lif.reset", "alif.reset"] if profile == "loihi1" else []), (
        "the soft reset is the chip's, and is kept"
    )
    assert str(tmp_path) not in "".join(graph.notes.values()), "notes hold no paths of a machine"


def test_a_run_goes_on_for_a_chip(neuro: Neuro, trained: Path, tmp_path: Path) -> None:
    done = neuro(
        "train", trained, "--out", tmp_path / "run", "--set", "quantize=loihi2", "--set", "start=run",
        "--set", "train.iterations=0",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "12 LIF + 8 ALIF from run for loihi2" in done.stdout
    assert (load_run(tmp_path / "run").w_rec == load_run(trained / "run").w_rec).all()
    held = json.loads((tmp_path / "run" / "run.json").read_text())
    assert held["start"]["path"] == "run"
    assert set(held["quantize"]["scales"]) == {"lif", "alif", "out"}


def test_a_net_is_trained_for_a_chip_from_scratch(neuro: Neuro, tmp_path: Path) -> None:
    folder = recipe_in(
        tmp_path / "scratch", 'quantize = "loihi1"\n', RECIPE + '[deep_r]\nmode = "hard"\nconnectivity = 0.4\n'
    )
    done = neuro("train", folder, "--out", folder / "run", "--set", "train.iterations=2")
    assert done.exit_code == 0, done.output
    assert "12 LIF + 8 ALIF for loihi1 on digits" in done.stdout
    assert "step 0/2" not in done.stdout


def test_what_cannot_be_trained_for_a_chip_is_said(neuro: Neuro, trained: Path, tmp_path: Path) -> None:
    def refusal(*settings: str) -> str:
        texts = [text for s in settings for text in ("--set", s)]
        done = neuro("train", trained, "--out", tmp_path / "run", *texts)
        assert done.exit_code == 2, done.output
        return " ".join(done.stderr.split())

    assert "'quantize': unknown profile (got 'loihi3'; need one of loihi1, loihi2, off)" in refusal("quantize=loihi3")
    assert "start 'elsewhere': nothing to start from" in refusal("start=elsewhere")
    assert "connections are those of the graph (got 'hard'" in refusal("start=graph.h5", "deep_r.mode=hard")
    assert "delay too long (got " in refusal("quantize=loihi1", "model.in_delay_max=90")
    assert "refractory period too long (got 70 steps" in refusal("quantize=loihi2", "model.n_ref=70")
    assert not (tmp_path / "run").exists()
