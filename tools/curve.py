"""Draw the training curves of runs: validation accuracy and mean rate against steps, one run after another.

python tools/curve.py RUN [RUN ...] -o curve.svg
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib.figure import Figure

SMOOTH = 250
"""Steps over which the accuracy on training batches is averaged."""


def read(run: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the entries of steps and of validations in a run's log."""
    entries = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    return [e for e in entries if "validation" not in e], [e for e in entries if "validation" in e]


def main() -> None:
    """Draw all runs side by side in time."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    given = parser.parse_args()
    figure = Figure(figsize=(7, 4.2), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    first = 0
    for k, run in enumerate(given.runs):
        steps, validations = read(run)
        blocks = [steps[i : i + SMOOTH] for i in range(0, len(steps), SMOOTH)]
        at = [first + b[-1]["iteration"] for b in blocks]
        upper.plot(
            at,
            [100 * sum(e["accuracy"] for e in b) / len(b) for b in blocks],
            color="0.6",
            label="training batches" if not k else None,
        )
        at = [first + e["iteration"] for e in validations]
        upper.plot(
            at,
            [100 * e["validation"]["accuracy"] for e in validations],
            color="C0",
            label="validation" if not k else None,
        )
        best = max(validations, key=lambda e: (e["validation"]["accuracy"], -e["validation"]["loss"]))
        upper.plot(first + best["iteration"], 100 * best["validation"]["accuracy"], "o", color="C0")
        if validations[-1]["validation"]["rate_hz"] is not None:
            lower.plot(at, [e["validation"]["rate_hz"] for e in validations], color="C0")
        if k:
            upper.axvline(first, color="0.8", linewidth=1)
        first += steps[-1]["iteration"]
    upper.set(ylabel="accuracy, %", ylim=(60, 100))
    upper.legend(frameon=False, loc="lower right")
    lower.set(xlabel="steps", ylabel="rate, Hz", ylim=(0, 25))
    figure.savefig(given.output, metadata={"Date": None} if given.output.suffix == ".svg" else None)


if __name__ == "__main__":
    main()
