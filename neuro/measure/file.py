"""Write what was measured as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from neuro.measure.measured import Drawn, Measured, Spread

FORM = "neuro-measured"
SCHEMA_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What was measured: one call of the job runs n_samples samples, `batch` at once.

    | field | meaning |
    | --- | --- |
    | model | name, kind, sha256 ("" of a dense model that has none), path, n_right, n_decisions, nmse and the like |
    | backend, options | what ran it, and how |
    | task, split, n_samples, batch, steps, dt_ms | what it ran on |
    | command, versions, machine | how, with what and where |
    """

    model: Mapping[str, Any]
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

    seconds, joules: of one call, that is of all samples, as {median, low, high}; *_per_inference: divided by the number of samples.
    joules: by meter, net and gross, their domains beside; null where no meter could be read. idle_w: by meter, null likewise.
    """
    drawn = measured.drawn
    data = {
        "format": FORM,
        "schema_version": SCHEMA_VERSION,
        **asdict(subject),
        "meters": [{"name": name, "covers": d.covers, "domains": list(d.idle_w)} for name, d in drawn.items()],
        "absent": [asdict(a) for a in measured.absent],
        "repeats": measured.repeats,
        "warmup": measured.warmup,
        "n_calls": measured.n_calls,
        "idle_s": measured.idle_s,
        "seconds": asdict(Spread.of(measured.seconds)),
        "seconds_per_inference": asdict(Spread.of(measured.seconds) / subject.n_samples),
        "joules": {name: _joules(d, measured, subject.n_samples) for name, d in drawn.items()} or None,
        "idle_w": {name: sum(d.idle_w.values()) for name, d in drawn.items()} or None,
        "repetitions": {
            "seconds": measured.seconds.tolist(),
            "net_j": {name: {k: v.tolist() for k, v in d.net_j.items()} for name, d in drawn.items()},
            "gross_j": {name: {k: v.tolist() for k, v in d.gross_j.items()} for name, d in drawn.items()},
        },
        "left_out": list(measured.left_out),
    }
    return json.dumps(data, indent=2, allow_nan=False) + "\n"


def _joules(drawn: Drawn, measured: Measured, n_samples: int) -> dict[str, Any]:
    net, gross = Spread.of(drawn.total_net_j), Spread.of(drawn.total_gross_j)
    return {
        "net": asdict(net),
        "gross": asdict(gross),
        "net_per_inference": asdict(net / n_samples),
        "gross_per_inference": asdict(gross / n_samples),
        "above_idle": drawn.resolved(Spread.of(measured.seconds).median),
        "idle_drift_w": sum(drawn.drift_w.values()),
        "domains": {
            domain: {
                "net": asdict(Spread.of(drawn.net_j[domain])),
                "gross": asdict(Spread.of(drawn.gross_j[domain])),
                "idle_w": drawn.idle_w[domain],
                "idle_drift_w": drawn.drift_w[domain],
            }
            for domain in drawn.idle_w
        },
    }
