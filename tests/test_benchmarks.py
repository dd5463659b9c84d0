"""The benchmarks of training run, check what they time, and say so truthfully."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.peers import page
from benchmarks.peers.case import Case, gain_for_rate
from benchmarks.peers.contestants import PEERS
from benchmarks.peers.process import Worker, WorkerFailed
from benchmarks.peers.scale_report import slope
from benchmarks.peers.verdict import Shown, judge

ROOT = Path(__file__).resolve().parents[1]


def _run(script: str, folder: Path, *options: str) -> tuple[str, dict[str, Any]]:
    """Run a benchmark in little; return what it printed and wrote."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / script), "--quick", "--rounds", "1", "--threads", "1",
         "--json", str(folder / "figures.json"), "--plot", str(folder / "figures.svg"), *options],
        capture_output=True, text=True, check=False, cwd=folder,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "<svg" in (folder / "figures.svg").read_text()
    return done.stdout, json.loads((folder / "figures.json").read_text())


def test_train_times_ours_against_torch_eager_doing_the_same_work(tmp_path: Path) -> None:
    printed, result = _run("train.py", tmp_path)
    (case,) = result["cases"]
    by_name = {c["name"]: c for c in case["contestants"]}
    assert set(by_name) == {"ours, 12 %", "ours, 5 %", "ours, 12 %, delays 1..10, n_ref 5", "torch_eager"}
    for name, c in by_name.items():
        assert not c["failure"] and not c["problems"], name
        assert len(c["rounds"]) == 1 and c["seconds"] > 0 and c["n_parameters"] == 80 * 20 + 20 * 20 + 20 * 10
    assert any("share of bits that differ 0.0e+00" in note for note in by_name["torch_eager"]["checked"])
    assert any(note.startswith("cosine of gradients") for note in by_name["torch_eager"]["checked"])
    ratio = by_name["torch_eager"]["seconds"] / by_name["ours, 12 %"]["seconds"]
    assert case["ratios"]["speed"]["ours, 12 %"] == pytest.approx(ratio)
    assert "best peer, torch_eager, over ours, 12 %" in printed
    assert "| torch eager |" in page.train_figures(result)


def test_scale_fits_the_growth_over_sizes(tmp_path: Path) -> None:
    printed, result = _run("scale.py", tmp_path)
    assert [r["n"] for r in result["sizes"]] == [60, 120]
    for r in result["sizes"]:
        assert 10 <= r["rate_hz"] <= 20 and r["seconds"] > 0 and r["dense_seconds"] > 0
        assert r["n_synapses"] == r["n"] * 60 + 10 * 50
    assert f"s ~ N^{result['slope']:.2f}" in printed
    assert f"N^{result['slope']:.2f}" in page.scale_figures(result)


def test_slope_is_the_exponent() -> None:
    assert slope([10, 100, 1000], [3.0, 300.0, 30000.0]) == pytest.approx(2)


def _shown(seed: int = 0) -> tuple[Shown, dict[str, np.ndarray]]:
    """Return what a contestant that works shows, and its weights."""
    rng = np.random.default_rng(seed)
    weights = {"w_in": rng.random((3, 5)), "w_rec": rng.random((5, 5)), "w_out": rng.random((5, 2))}
    gradients = {name: rng.standard_normal(w.shape) for name, w in weights.items()}
    return Shown(2.3, 15.0, np.arange(100), rng.random((2, 100, 5)) < 0.1, gradients), weights


def test_same_numbers_pass() -> None:
    shown, weights = _shown()
    assert judge(shown, weights, ours=shown).problems == []


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"rate_hz": 21.0}, "rate 21.0 Hz"),
        ({"loss": float("nan")}, "loss nan"),
        ({"loss": 2.5}, "apart"),
        ({"spikes": np.zeros((2, 100, 5), dtype=bool)}, "share of bits that differ"),
        ({"gradients": {}}, "no gradient of w_in, w_rec, w_out"),
    ],
)
def test_other_work_is_found(change: dict[str, Any], found: str) -> None:
    shown, weights = _shown()
    problems = judge(replace(shown, **change), weights, ours=shown).problems
    assert any(found in p for p in problems), problems


@pytest.mark.parametrize("factor", [0.0, np.nan, -1.0])
def test_a_gradient_that_is_missing_overflows_or_points_elsewhere_is_found(factor: float) -> None:
    shown, weights = _shown()
    wrong = {**shown.gradients, "w_rec": factor * shown.gradients["w_rec"]}
    assert judge(replace(shown, gradients=wrong), weights, ours=shown).problems


def test_gradients_count_only_where_there_are_synapses() -> None:
    shown, weights = _shown()
    weights["w_rec"][:, 1:] = 0
    elsewhere = {**shown.gradients, "w_rec": np.where(weights["w_rec"] == 0, 100.0, shown.gradients["w_rec"])}
    assert judge(replace(shown, gradients=elsewhere), weights, ours=shown).problems == []


def test_gain_for_rate_finds_the_factor_or_says_that_there_is_none() -> None:
    assert gain_for_rate(lambda gain: 3 * gain) == pytest.approx(5, rel=0.03)
    with pytest.raises(ValueError, match=r"got 0\.0 Hz .* need 15\.0 Hz"):
        gain_for_rate(lambda gain: 0.0)


def test_case_survives_its_file(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    w = {
        name: rng.random(shape).astype(np.float32)
        for name, shape in (("w_in", (3, 5)), ("w_rec", (5, 5)), ("w_out", (5, 2)))
    }
    case = Case(
        n_lif=3, n_alif=2, **w, inputs=rng.integers(0, 2, (4, 7, 3), dtype=np.uint8), labels=np.arange(4) % 2, n_ref=5
    )
    case.save(tmp_path / "case.npz")
    same = Case.load(tmp_path / "case.npz")
    assert (same.n, same.batch, same.steps, same.n_in, same.n_out, same.n_ref) == (5, 4, 7, 3, 2, 5)
    assert isinstance(same.beta, float) and all((same.weights[k] == w[k]).all() for k in w)
    assert (same.inputs == case.inputs).all() and same.betas.tolist() == [0, 0, 0, 0.25, 0.25]


def test_page_has_the_figures_of_the_last_whole_runs() -> None:
    text = (ROOT / "docs" / "speed.md").read_text()
    for name, figures in (
        ("train", page.train_figures),
        ("scale", page.scale_figures),
        ("simulate", page.simulate_figures),
    ):
        stored = ROOT / "benchmarks" / "results" / f"{name}.json"
        expected = figures(json.loads(stored.read_text())) if stored.exists() else ""
        assert page.section(text, name) == expected


def test_page_is_filled_and_refuses_a_part_that_it_has_not(tmp_path: Path) -> None:
    path = tmp_path / "page.md"
    path.write_text("before\n<!-- figures: train -->\n<!-- end -->\nafter\n")
    for text in ("one", "two"):
        page.fill(path, "train", text)
        assert page.section(path.read_text(), "train") == text
    assert path.read_text().startswith("before\n") and path.read_text().endswith("\nafter\n")
    with pytest.raises(ValueError, match="got none called 'scale'"):
        page.fill(path, "scale", "three")


def test_a_contestant_that_cannot_start_says_why(tmp_path: Path) -> None:
    worker = Worker(Path(sys.executable), "peers.missing", 1, tmp_path / "missing.log")
    try:
        with pytest.raises(WorkerFailed, match=r"ended with 1: .*No module named peers\.missing"):
            worker.prepare(tmp_path / "case.npz")
    finally:
        worker.close()


def test_every_peer_has_its_script() -> None:
    for name in PEERS:
        assert (ROOT / "benchmarks" / "peers" / f"{name}.py").exists()
