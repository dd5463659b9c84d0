"""Write what the report reads besides comparisons: a training run's log, a sweep, a measurement."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from neuro.measure import Absent, Drawn, Measured, Subject, as_json


def write_run(folder: Path, n: int = 900) -> Path:
    """Write run.json and log.jsonl of a dense training run; return the folder."""
    folder.mkdir(parents=True)
    settings = {
        "format": 1,
        "model": {"kind": "lstm"},
        "train": {"iterations": n},
        "deep_r": {"mode": "off"},
        "task": {},
        "seed": 1,
        "notes": {},
    }
    lines: list[dict[str, Any]] = []
    for k in range(1, n + 1):
        lines.append(
            {
                "iteration": k,
                "loss": 2.3 * math.exp(-k / 300),
                "accuracy": 1 - 0.9 * math.exp(-k / 300),
                "rate_hz": 14.0,
            }
        )
        if k % 300 == 0:
            accuracy = {300: 0.5, 600: 0.75, 900: 0.7}[k]
            lines.append(
                {"iteration": k, "validation": {"accuracy": accuracy, "loss": 1.0, "rate_hz": 13.0}, "best": k != 900}
            )
    (folder / "run.json").write_text(json.dumps(settings))
    (folder / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"iteration": 901, "lo')
    return folder


def write_sweep(folder: Path, *, device: str = "loihi", name: str = "connectivity") -> Path:
    """Write a sweep of six trials, one of which failed; return the folder."""
    folder.mkdir(parents=True)
    values = [(0.02, 0.80, 1e-7), (0.05, 0.90, 2e-7), (0.12, 0.94, 4e-7), (0.25, 0.93, 8e-7), (0.5, 0.95, 16e-7)]
    trials = [
        {"number": k, "params": {name: c, "bits": "float"}, "state": "done", "accuracy": a, "n_samples": 240, "mean_rate_hz": 12.0,
         "synaptic_events": 1e4, "energy": {"low": 0.5 * e, "value": e, "high": 2 * e}, "parts": {}, "folder": f"trial-{k}", "seconds": 10.0, "reason": ""}
        for k, (c, a, e) in enumerate(values)
    ]  # fmt: skip
    trials.append(
        {**trials[0], "number": 5, "state": "failed", "accuracy": None, "energy": None, "reason": "worker lost"}
    )
    data = {
        "format": "neuro-sweep", "schema_version": 1, "recipe": "models/digits/recipe.toml", "device": device, "search": "grid",
        "space": {}, "trials": trials, "pareto": [0, 1, 2, 4],
    }  # fmt: skip
    (folder / "sweep.json").write_text(json.dumps(data))
    return folder


def write_measured(folder: Path, *, counted: bool) -> Path:
    """Write a measurement as `neuro measure` does, with joules or without; return the folder."""
    folder.mkdir(parents=True)
    seconds = np.array([0.2, 0.19, 0.21, 0.3, 0.2])
    drawn = Drawn(
        covers="the whole package",
        net_j={"package-0": 20 * seconds},
        gross_j={"package-0": 28 * seconds},
        idle_w={"package-0": 8.0},
        drift_w={"package-0": 0.1},
    )
    measured = Measured(
        seconds=seconds, n_calls=1, warmup=1, repeats=5, idle_s=1.0, drawn={"rapl": drawn} if counted else {},
        absent=() if counted else (Absent("rapl", "no folder /sys/class/powercap"), Absent("nvml", "no driver")),
    )  # fmt: skip
    subject = Subject(
        model="lstm", about={"kind": "lstm", "sha256": "", "path": "lstm"}, score={"n_right": 90, "n_decisions": 100}, backend="torch", task={"name": "digits"}, split="test", n_samples=100,
        batch=50, steps=72, dt_ms=1.0, command="neuro measure lstm", versions={}, machine={"cpu": "x86_64", "cores": 2},
    )  # fmt: skip
    (folder / "measured.json").write_text(as_json(subject, measured))
    return folder
