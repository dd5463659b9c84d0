"""Show a sweep as a table: every trial, those of the front marked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import sqrt
from typing import Any

_AXES = {"connectivity": "connectivity", "rate_target_hz": "target rate (Hz)", "alif_fraction": "ALIF", "bits": "bits"}
_RESULTS = (
    "accuracy (%)",
    "rate (Hz)",
    "synaptic events",
    "synapses",
    "cores",
    "dynamic energy (uJ)",
    "static (uJ)",
)


def header(held: Mapping[str, Any]) -> list[str]:
    """Return the names of the columns for what sweep.json holds."""
    return ["trial", "front", *(_AXES[name] for name in held["space"]), *_RESULTS]


def rows(held: Mapping[str, Any], numbers: Sequence[int] | None = None) -> list[list[str]]:
    """Return a row for each trial, or each of `numbers`: text, as `header` has it. Of what is not done the last columns are empty."""
    trials = held["trials"] if numbers is None else [held["trials"][k] for k in numbers]
    return [_row(trial, held) for trial in trials]


def title(held: Mapping[str, Any]) -> str:
    """Say in a sentence what was swept, and how."""
    states = [t["state"] for t in held["trials"]]
    done = states.count("done")
    samples = next((t["n_samples"] for t in held["trials"] if t["state"] == "done"), held["samples"])
    others = [
        f"{states.count(s)} {word}"
        for s, word in (("failed", "failed"), ("lost", "not finished"), ("running", "running"))
        if s in states
    ]
    counts = ", ".join([f"{done} of {held['trials_wanted']} trials done", *others])
    return (
        f"Sweep '{held['name']}' of {held['recipe']} by {held['search']}, seed {held['seed']}: {counts}. Accuracy on {samples or 'the'} "
        f"{held['split']} samples, energy on device {held['device']}"
    )


def markdown(held: Mapping[str, Any]) -> str:
    """Return the front, every trial, and what a reader has to know, as Markdown."""
    names = header(held)
    rule = ["---:"] * len(names)

    def block(found: list[list[str]]) -> list[str]:
        return ["| " + " | ".join(c.replace("|", "\\|") for c in cells) + " |" for cells in (names, rule, *found)]

    reasons = [f"- trial {t['number']}: {_text(t)}" for t in held["trials"] if _text(t)]
    lines = [title(held) + ".", "", "## Pareto front", "", *block(rows(held, held["pareto"]))]
    lines += ["", "## All trials", "", *block(rows(held)), "", *reasons]
    return "\n".join([*lines, *_NOTES]).rstrip() + "\n"


_NOTES = (
    "",
    "Energies are estimates, counts times published figures (docs/energy.md), for one inference; in brackets the range that the sources "
    "allow. All trials share one device's figures, so the range shifts them together. Accuracy is of the samples that also chose each "
    "trial's best weights and the front itself: it flatters. Judge a chosen trial once on test samples: `neuro compare "
    "trials/NUMBER/graph.h5`.",
)


def _row(trial: Mapping[str, Any], held: Mapping[str, Any]) -> list[str]:
    params = [_number(trial["params"][name]) for name in held["space"]]
    head = [str(trial["number"]), "*" if trial["number"] in held["pareto"] else "", *params]
    if trial["state"] != "done":
        return [*head, trial["state"], *[""] * (len(_RESULTS) - 1)]
    p, n = trial["accuracy"], max(trial["n_decisions"], 1)
    return [
        *head,
        f"{100 * p:.1f} ± {100 * sqrt(p * (1 - p) / n):.1f}",
        f"{trial['mean_rate_hz']:.1f}",
        f"{trial['synaptic_events']:,.0f}",
        f"{trial['n_synapses']:,}",
        str(trial["n_cores"] or ""),
        _energy(trial["energy"]),
        _energy(trial["parts"].get("static", {})),
    ]


def _energy(found: Mapping[str, Any]) -> str:
    if "value" not in found:
        return str(found.get("status", ""))
    low, value, high = (f"{1e6 * found[k]:.3g}" for k in ("low", "value", "high"))
    return value if low == value == high else f"{value} ({low} to {high})"


def _number(value: float | str) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _text(trial: Mapping[str, Any]) -> str:
    """Return what the row of a trial cannot say."""
    parts = [trial.get("reason", "").replace("\n", "; ")] if trial["state"] != "done" else []
    parts += [f"trained once, as trial {trial['same_as']}"] if "same_as" in trial else []
    return "; ".join([*filter(None, parts), *trial.get("limits", [])])
