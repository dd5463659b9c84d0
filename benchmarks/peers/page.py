"""Write what benchmarks measured into the page of the docs, from their JSON alone: nothing there is typed by hand."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from . import machine


def fill(page: Path, name: str, text: str) -> None:
    """Put text into the part of a page that begins with `<!-- figures: NAME -->` and ends with `<!-- end -->`.

    Raises: ValueError if the page has no such part.
    """
    whole = page.read_text()
    if section(whole, name) is None:
        raise ValueError(
            f"{page.name}: no part for figures (got none called '{name}'; need '<!-- figures: {name} -->')."
        )
    page.write_text(_part(name).sub(lambda m: f"{m[1]}\n{text.strip()}\n\n{m[3]}", whole))


def section(page: str, name: str) -> str | None:
    """Return what stands in such a part, or None if there is none."""
    found = _part(name).search(page)
    return None if found is None else found[2].strip()


def _part(name: str) -> re.Pattern[str]:
    return re.compile(rf"(<!-- figures: {re.escape(name)} -->\n)(.*?)(<!-- end -->)", re.DOTALL)


def train_figures(result: dict[str, Any]) -> str:
    """Return the tables of `train.py`: seconds a step, ratios and memory by size."""
    cases = result["cases"]
    labels = list(dict.fromkeys(c["label"] for case in cases for c in case["contestants"]))
    found = [{c["label"]: c for c in case["contestants"]} for case in cases]
    head = [f"N = {case['n']}, batch {case['batch']}" for case in cases]
    rows = [["s a training step (least - most)", *head], ["---"] * (len(cases) + 1)]
    rows += [[label, *(_seconds(by_label.get(label)) for by_label in found)] for label in labels]
    rows.append(["best peer", *(_label(case, case["ratios"]["best_peer"]) for case in cases)])
    for label in [label for label in labels if any(label in case["ratios"]["speed"] for case in cases)]:
        rows.append(
            [f"best peer's time over {label}", *(_ratio(case["ratios"], "speed", label, ">=") for case in cases)]
        )
    first = labels[0]
    rows.append(
        [
            f"peak memory of {first} over torch eager's",
            *(_ratio(case["ratios"], "memory", first, "<=") for case in cases),
        ]
    )
    versions = {k: v for case in cases for c in case["contestants"] for k, v in c.get("versions", {}).items()}
    picture = "![Seconds a training step of every contestant](img/train_speed.svg)"
    return f"{_origin(result)} {', '.join(f'{k} {v}' for k, v in sorted(versions.items()))}.\n\n{_table(rows)}\n\n{picture}"


def scale_figures(result: dict[str, Any]) -> str:
    """Return the table of `scale.py` and the exponent."""
    head = [
        "neurons",
        "synapses",
        "rate, Hz",
        "s a step (least - most)",
        "ps a synapse and step",
        "torch eager, dense, s",
    ]
    rows = [head, ["---"] * len(head)]
    for r in result["sizes"]:
        spread = f"{r['seconds']:.4f} ({min(r['rounds']):.4f} - {max(r['rounds']):.4f})"
        dense = f"{r['dense_seconds']:.3f}" if r["dense_seconds"] else ""
        per = f"{1e12 * r['seconds_per_synapse_step']:.2f}"
        rows.append([f"{r['n']:,}", f"{r['n_synapses']:,}", f"{r['rate_hz']:.1f}", spread, per, dense])
    growth = "no faster than linearly" if result["linear_or_better"] else "faster than linearly"
    picture = "![Seconds a training step against the number of neurons](img/scale.svg)"
    fitted = f"s ~ N^{result['slope']:.2f} +- {result['slope_sd']:.2f}: the cost grows {growth}."
    return f"{_origin(result)} torch {result['torch']}, batch {result['batch']}, {result['steps']} steps.\n\n{_table(rows)}\n\n{fitted}\n\n{picture}"


def simulate_figures(result: dict[str, Any]) -> str:
    """Return the table of `simulate.py`: seconds for one second of the net, and what building took."""
    host = result["machine"]
    rows = [["net", "simulator", "run, s", "times the engine's", "rate, Hz", "built in, s", "peak, GB"], ["---"] * 7]
    for case in result["cases"]:
        s = case["settings"]
        delays = f"delays 1..{s['max_delay']} ms" if s["max_delay"] > 1 else "delay 1 ms"
        for name, r in case["results"].items():
            spread = f"{r['run_s']:.3f} ({min(r['runs_s']):.3f} - {max(r['runs_s']):.3f})"
            ratio = "" if name == "engine" else f"{r['ratio']:.1f}"
            peak = f"{r['peak_gb']:.2f}" if "peak_gb" in r else ""
            net = f"{s['n']:,} neurons, {r['synapses']:,} synapses, {delays}"
            rows.append(
                [net, f"{name} {r['version']}", spread, ratio, f"{r['rate_hz']:.1f}", f"{r['build_s']:.1f}", peak]
            )
    origin = f"{host['cpu']}, {host['cores']} cores, load {host['load']:.1f} at the start; {result['cases'][0]['settings']['threads']} threads."
    picture = "![Seconds for one second of biological time, by size and simulator](img/simulate.svg)"
    return f"{origin}\n\n{_table(rows)}\n\n{picture}"


def _origin(result: dict[str, Any]) -> str:
    about = machine.one_line(result["machine"])
    return f"{about}; {result['threads']} threads; median of {result['rounds']} rounds; {result['when'][:10]}."


def _seconds(contestant: dict[str, Any] | None) -> str:
    if contestant is None or "seconds" not in contestant:
        return "failed" if contestant else ""
    wrong = " (not the same work)" if contestant["problems"] else ""
    return f"{contestant['seconds']:.3f} ({min(contestant['rounds']):.3f} - {max(contestant['rounds']):.3f}){wrong}"


def _label(case: dict[str, Any], name: str | None) -> str:
    return next((c["label"] for c in case["contestants"] if c["name"] == name), "none")


def _ratio(ratios: dict[str, Any], kind: str, label: str, sign: str) -> str:
    if label not in ratios[kind]:
        return ""
    target = ratios[f"{kind}_target"]
    aim = f" (target {sign} {target:g})" if target else ""
    return f"{ratios[kind][label]:.2f}{aim}" if kind == "memory" else f"{ratios[kind][label]:.1f}{aim}"


def _table(rows: list[list[str]]) -> str:
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)
