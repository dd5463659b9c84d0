"""Table and plot of trials made by hand: what stands where, and that names cannot break the table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from neuro.sweep.pareto import front
from neuro.sweep.plot import pareto, save
from neuro.sweep.table import header, markdown, rows, title


def done(number: int, accuracy: float, joules: float, **more: Any) -> dict[str, Any]:
    return {
        "number": number, "state": "done", "params": {"connectivity": 0.12345, "bits": 5}, "accuracy": accuracy, "n_decisions": 100,
        "n_samples": 50, "mean_rate_hz": 12.34, "synaptic_events": 12345.6, "n_synapses": 9876, "n_cores": 2,
        "energy": {"low": 0.5 * joules, "value": joules, "high": 2 * joules},
        "parts": {"static": {"status": "not published", "note": ""}}, **more,
    }  # fmt: skip


def held() -> dict[str, Any]:
    trials = [
        done(0, 0.9, 3e-6),
        done(1, 0.5, 1e-6, limits=["core 0: too full"]),
        done(2, 0.4, 2e-6, same_as=1),
        {"number": 3, "state": "failed", "params": {"connectivity": 0.5, "bits": "float"}, "reason": "a | b\nc"},
        {"number": 4, "state": "running", "params": {"connectivity": 0.5, "bits": 9}},
    ]
    return {
        "name": "hand", "recipe": "recipe.toml", "search": "grid", "seed": 0, "samples": None, "split": "validation", "device": "odin",
        "trials_wanted": 6, "space": {"connectivity": [], "bits": []}, "trials": trials, "pareto": front(trials),
    }  # fmt: skip


def test_rows_say_what_was_found() -> None:
    found = rows(held())
    assert header(held())[:4] == ["trial", "front", "connectivity", "bits"]
    assert found[0] == [
        "0", "*", "0.123", "5", "90.0 ± 3.0", "12.3", "12,346", "9,876", "2", "3 (1.5 to 6)", "not published",
    ]  # fmt: skip
    assert [row[1] for row in found] == ["*", "*", "", "", ""]
    assert [row[4] for row in found[3:]] == ["failed", "running"]
    assert all(len(row) == len(header(held())) for row in found)
    assert [row[0] for row in rows(held(), held()["pareto"])] == ["1", "0"]


def test_markdown_has_reasons_and_no_broken_row() -> None:
    text = markdown(held())
    assert title(held()) in text
    assert "3 of 6 trials done, 1 failed, 1 running. Accuracy on 50 validation samples, energy on device odin." in text
    assert "- trial 1: core 0: too full" in text
    assert "- trial 2: trained once, as trial 1" in text
    assert "- trial 3: a | b; c" in text
    tables = [line for line in text.splitlines() if line.startswith("|")]
    assert {line.replace("\\|", "").count("|") for line in tables} == {len(header(held())) + 1}


def test_the_plot_has_every_trial_that_is_done_where_it_belongs(tmp_path: Path) -> None:
    (axis,) = pareto(held()).axes
    points = {line.get_label(): np.column_stack(line.get_data()) for line in axis.lines}
    np.testing.assert_allclose(points["trials"], [(2.0, 40.0)])
    np.testing.assert_allclose(points["Pareto front"], [(1.0, 50.0), (3.0, 90.0)])
    assert [text.get_text() for text in axis.texts] == ["1", "0"]
    assert axis.get_xscale() == "log"
    first, second = (save(pareto(held()), tmp_path / name).read_bytes() for name in ("a.svg", "b.svg"))
    assert first == second and len(first) > 5000


def test_the_plot_of_nothing_is_an_empty_frame() -> None:
    (axis,) = pareto({**held(), "trials": [], "pareto": []}).axes
    assert not axis.lines and axis.get_xlabel().startswith("dynamic energy")
