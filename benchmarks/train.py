"""Time one training step against the peers: ours only touches stored synapses and spikes, dense frameworks everything.

Run: python benchmarks/train.py            (makes the peers' environment in .neuro/bench/train: downloads about 1 GB)
     python benchmarks/train.py --quick    (seconds, no download: a tiny net against torch eager in the project's own environment)

A step is forward, loss (cross-entropy of the mean readout, distance of the rates from 15 Hz) and backward to the gradients of
all weights: 840 steps of 1 ms, 80 inputs, 10 readouts at every step. README.md beside this file says how fair it is.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from peers import contestants, environment, machine, page, train_report
from peers.contestants import PEERS, Entry
from peers.draw import INPUT_SHARE, STEPS, draw

ROOT = Path(__file__).resolve().parents[1]
SIZES = {"220x256": (120, 100, 256), "220x32": (120, 100, 32), "1000x32": (545, 455, 32)}  # LIF, ALIF, batch
TARGETS = {"220x256": 8.0, "220x32": 15.0, "1000x32": 14.0}  # the best peer's time over ours, at least
CONNECTIVITY = (0.12, 0.05)
QUICK_SIZES, QUICK_STEPS = {"20x4": (12, 8, 4)}, 100


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a tiny net against torch eager; downloads nothing")
    parser.add_argument("--cases", default="", help=f"some of {','.join(SIZES)}")
    parser.add_argument("--peers", default="", help=f"some of {','.join(PEERS)}, or none")
    parser.add_argument("--rounds", type=int, default=5, help="turns of every contestant (5)")
    parser.add_argument("--threads", type=int, default=2, help="threads and cores of every contestant (2)")
    parser.add_argument(
        "--json",
        type=Path,
        help="where to write the figures; a whole run: benchmarks/results/train.json, docs/speed.md",
    )
    parser.add_argument("--plot", type=Path, help="where to draw them; a whole run: docs/img/train_speed.svg")
    found = parser.parse_args()
    found.page = None
    if not (found.quick or found.cases or found.peers):  # a part of the contest does not stand for the whole of it
        found.page = None if found.json else ROOT / "docs" / "speed.md"
        found.json = found.json or ROOT / "benchmarks" / "results" / "train.json"
        found.plot = found.plot or ROOT / "docs" / "img" / "train_speed.svg"
    found.sizes = _some(parser, found.cases, QUICK_SIZES if found.quick else SIZES)
    known = {"none": None, **PEERS}
    names = list(_some(parser, found.peers, known)) if found.peers else ["torch_eager"] if found.quick else list(PEERS)
    found.peers = [name for name in names if name != "none"]
    return found


def _some(parser: argparse.ArgumentParser, wanted: str, known: dict[str, Any]) -> dict[str, Any]:
    """Return the entries named in a comma-separated list, or all."""
    names = [name for name in wanted.split(",") if name] or list(known)
    unknown = [name for name in names if name not in known]
    if unknown:
        parser.error(f"unknown (got {', '.join(unknown)}; need some of {', '.join(known)})")
    return {name: known[name] for name in names}


def entries_of(size: tuple[int, int, int], options: argparse.Namespace, failures: dict[str, str]) -> list[Entry]:
    """Draw the networks of one size; ours at each connectivity and with delays, and the peers on the first of these."""
    steps = QUICK_STEPS if options.quick else STEPS
    cases = {f"ours, {100 * p:.0f} %": draw(*size, p, steps=steps) for p in CONNECTIVITY}
    extras = f"ours, {100 * CONNECTIVITY[0]:.0f} %, delays 1..10, n_ref 5"
    cases[extras] = draw(*size, CONNECTIVITY[0], delays=True, steps=steps)
    python = Path(sys.executable) if options.quick else environment.python()
    peers = contestants.peer_entries(options.peers, next(iter(cases.values())), failures, python)
    return [*contestants.our_entries(cases), *peers]


def measure(name: str, options: argparse.Namespace, failures: dict[str, str], folder: Path) -> dict[str, Any]:
    """Run and show one size."""
    n_lif, n_alif, batch = options.sizes[name]
    entries = entries_of((n_lif, n_alif, batch), options, failures)
    steps = entries[0].case.steps
    print(
        f"N = {n_lif + n_alif} ({n_lif} LIF, {n_alif} ALIF), batch {batch}, {steps} steps: the same work?", flush=True
    )
    contestants.compete(entries, options.threads, options.rounds, 0.02 if options.quick else 0.5, folder)
    ratios = train_report.summary(entries, TARGETS.get(name))
    train_report.show(entries, ratios)
    records = [e.record() for e in entries]
    return {"case": name, "n": n_lif + n_alif, "batch": batch, "steps": steps, "contestants": records, "ratios": ratios}


def main() -> int:
    """Run every size; return 1 if our own network failed a check."""
    options = arguments()
    if not options.quick:
        machine.use_cores(options.threads)
    wanted = {PEERS[name].package for name in options.peers} - {None}
    failures = {} if options.quick or not options.peers else environment.make(wanted)
    about = machine.describe()
    print(f"{machine.one_line(about)}; {options.threads} threads; median of {options.rounds} rounds")
    print(f"inputs: {100 * INPUT_SHARE:.0f} % of the bits are spikes\n", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        cases = [measure(name, options, failures, Path(folder)) for name in options.sizes]
    when = datetime.now(timezone.utc).isoformat(timespec="seconds")
    result = {
        "benchmark": "train", "when": when, "machine": about, "threads": options.threads, "rounds": options.rounds,
        "input_share": INPUT_SHARE, "cases": cases,
    }  # fmt: skip
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(result, indent=1) + "\n")
    if options.plot:
        train_report.plot(cases, f"{machine.one_line(about)}; {options.threads} threads", options.plot)
    if options.page:
        page.fill(options.page, "train", page.train_figures(result))
    ours = [c for case in cases for c in case["contestants"] if c["ours"]]
    return int(any(c["failure"] or c["problems"] for c in ours))


if __name__ == "__main__":
    sys.exit(main())
