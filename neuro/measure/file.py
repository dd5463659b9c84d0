"""Write what was measured as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from neuro.measure.measured import Drawn, Measured, Spread

FORM = "neuro-measured"
SCHEMA_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What was measured: one call of the job runs n_samples samples, `batch` at once.

    | field | meaning |
    | --- | --- |
    | model | its name |
    | about | kind, semantics, sha256, path |
    | score | n_right, n_decisions, accuracy, nmse of the samples; None where the task has no such thing |
    | backend, options | what ran it, and how |
    | task, split, n_samples, batch, steps, dt_ms | what it ran on |
    | command, versions, machine | how, with what and where |
    """

    model: str
    about: Mapping[str, str]
    score: Mapping[str, int | float | None]
    backend: str
    options: Mapping[str, Any] = field(default_factory=dict)
    task: Mapping[str, Any]
    split: str
    n_samples: int
    batch: int
    steps: int
    dt_ms: float
    command: str
    versions: Mapping[str, str]
    machine: Mapping[str, str | int]


def as_json(subject: Subject, measured: Measured) -> str:
    """Return the content of measured.json.

    seconds, joules: of one call, that is of all samples, as {median, low, high} of the repetitions; joules are those above idle, of all
    meters together, with each meter and domain beneath. joules and idle_w are null where no meter could be read.
    """
    drawn, n = measured.drawn, subject.n_samples
    data = {
        "format": FORM,
        "schema_version": SCHEMA_VERSION,
        **asdict(subject),
        "meters": [{"name": name, "covers": d.covers} for name, d in drawn.items()],
        "absent": [asdict(a) for a in measured.absent],
        "repeats": measured.repeats,
        "warmup": measured.warmup,
        "n_calls": measured.n_calls,
        "idle_s": measured.idle_s,
        "seconds": asdict(Spread.of(measured.seconds)),
        "seconds_per_inference": asdict(Spread.of(measured.seconds) / n),
        "joules": _joules(measured, n) if drawn else None,
        "idle_w": sum(sum(d.idle_w.values()) for d in drawn.values()) if drawn else None,
        "repetitions": {
            "seconds": measured.seconds.tolist(),
            "net_j": {name: {k: v.tolist() for k, v in d.net_j.items()} for name, d in drawn.items()},
            "gross_j": {name: {k: v.tolist() for k, v in d.gross_j.items()} for name, d in drawn.items()},
        },
        "left_out": list(measured.left_out),
    }
    return json.dumps(data, indent=2, allow_nan=False) + "\n"


def _joules(measured: Measured, n_samples: int) -> dict[str, Any]:
    drawn = measured.drawn.values()
    net, gross = (
        Spread.of(np.sum(parts, axis=0)) for parts in ([d.total_net_j for d in drawn], [d.total_gross_j for d in drawn])
    )
    return {
        **asdict(net),
        "gross": asdict(gross),
        "per_inference": asdict(net / n_samples),
        "gross_per_inference": asdict(gross / n_samples),
        "by_meter": {name: _meter(d, Spread.of(measured.seconds).median) for name, d in measured.drawn.items()},
    }


def _meter(drawn: Drawn, seconds: float) -> dict[str, Any]:
    return {
        **asdict(Spread.of(drawn.total_net_j)),
        "gross": asdict(Spread.of(drawn.total_gross_j)),
        "above_idle": drawn.resolved(seconds),
        "idle_w": sum(drawn.idle_w.values()),
        "idle_drift_w": sum(drawn.drift_w.values()),
        "domains": {
            domain: {
                **asdict(Spread.of(drawn.net_j[domain])),
                "gross": asdict(Spread.of(drawn.gross_j[domain])),
                "idle_w": drawn.idle_w[domain],
                "idle_drift_w": drawn.drift_w[domain],
            }
            for domain in drawn.idle_w
        },
    }
