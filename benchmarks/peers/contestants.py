"""Name who takes part in the training benchmark, and run all of them on one size, turn by turn."""

from __future__ import annotations

import statistics
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import environment
from .case import Case
from .process import Worker, WorkerFailed
from .verdict import Shown, Verdict, judge


@dataclass(frozen=True)
class Peer:
    """One peer. package: what its environment needs besides torch; same_equations: its numbers are compared with ours."""

    label: str
    package: str | None = None
    same_equations: bool = False
    lacks: str = ""


PEERS = {
    "norse": Peer("norse LSNNRecurrent", "norse", lacks="reset to zero"),
    "snntorch": Peer("snnTorch RLeaky", "snntorch", lacks="no adaptation"),
    "spikingjelly": Peer("SpikingJelly LinearRecurrentContainer", "spikingjelly", lacks="no adaptation"),
    "torch_eager": Peer("torch eager", same_equations=True),
    "torch_compile": Peer("torch.compile, 10-step chunk", same_equations=True),
    "jax_scan": Peer("JAX lax.scan, jit", "jax", same_equations=True),
}


@dataclass
class Entry:
    """A contestant on one size and what was found. ours: its connectivity and extras; seconds: one a round."""

    name: str
    label: str
    case: Case
    python: Path
    module: str
    same_equations: bool = False
    ours: bool = False
    seconds: list[float] = field(default_factory=list)
    peak_bytes: int = 0
    prepared: dict[str, Any] = field(default_factory=dict)
    verdict: Verdict = field(default_factory=Verdict)
    failure: str = ""
    worker: Worker | None = None

    @property
    def counts(self) -> bool:
        """Return whether it ran and did the work it was asked for."""
        return not self.failure and not self.verdict.problems

    @property
    def median(self) -> float:
        """Return the median time of a step, in s."""
        return statistics.median(self.seconds)

    def record(self) -> dict[str, Any]:
        """Return what the JSON file holds."""
        n_synapses = int(sum((w != 0).sum() for w in self.case.weights.values()))
        timed = {"seconds": self.median, "rounds": self.seconds} if self.seconds else {}
        return {
            "name": self.name, "label": self.label, "ours": self.ours, **timed, "peak_bytes": self.peak_bytes,
            **self.prepared, "n_synapses": n_synapses, "checked": self.verdict.notes, "problems": self.verdict.problems,
            "failure": self.failure,
        }  # fmt: skip


def peer_entries(names: list[str], case: Case, failures: dict[str, str], python: Path) -> list[Entry]:
    """Return the peers by name on one case; `failures` names packages that could not be installed."""
    entries = []
    for name in names:
        peer = PEERS[name]
        label = f"{peer.label} ({peer.lacks})" if peer.lacks else peer.label
        entry = Entry(name, label, case, python, f"peers.{name}", peer.same_equations)
        entry.failure = failures.get(peer.package or "torch", failures.get("torch", ""))
        entries.append(entry)
    return entries


def our_entries(cases: dict[str, Case]) -> list[Entry]:
    """Return our network on cases by label."""
    return [Entry(label, label, case, Path(sys.executable), "peers.ours", ours=True) for label, case in cases.items()]


def start(entry: Entry, threads: int, folder: Path) -> Shown | None:
    """Start a contestant, get it ready, measure the memory of its first step and return what that step gave."""
    stem = "".join(c if c.isalnum() else "_" for c in entry.name)
    entry.case.save(folder / f"{stem}.npz")
    try:
        entry.worker = Worker(entry.python, entry.module, threads, environment.HOME / "logs" / f"{stem}.log")
        entry.prepared = entry.worker.prepare(folder / f"{stem}.npz")
        entry.peak_bytes = entry.worker.peak_bytes()
        return Shown.read(entry.worker.check(folder / f"{stem}.out.npz"), folder / f"{stem}.out.npz")
    except (WorkerFailed, OSError) as err:
        entry.failure = str(err)
        return None


def compete(entries: list[Entry], threads: int, rounds: int, fill_seconds: float, folder: Path) -> None:
    """Check every contestant, then time them in turn, round after round, so that a slow moment of the machine meets them all.

    The first of `entries` is ours on the case that the peers have. A contestant that fails is left out from there on.
    """
    ours: Shown | None = None
    try:
        for e in entries:
            shown = None if e.failure else start(e, threads, folder)
            if shown is not None:
                e.verdict = judge(shown, e.case.weights, ours if e.same_equations else None)
            ours = shown if e is entries[0] else ours
            print(f"  {e.label}: {_said(e)}", flush=True)
        for k in range(rounds + 1):  # the first round warms up and is not counted
            for e in [e for e in entries if e.worker is not None and not e.failure]:
                try:
                    taken = e.worker.seconds(fill_seconds if k else 0.0)
                except WorkerFailed as err:
                    e.failure = str(err)
                    print(f"  {e.label}: FAILED: {err}", flush=True)
                else:
                    e.seconds += [taken] if k else []
    finally:
        for e in entries:
            if e.worker is not None:
                e.worker.close()


def _said(e: Entry) -> str:
    """Return what a check found, in one line."""
    if e.failure:
        return f"FAILED: {e.failure}"
    gain = f", weights x {e.prepared['gain']:.3g} for this rate" if e.prepared["gain"] != 1 else ""
    problems = "".join(f"; NOT THE SAME WORK: {p}" for p in e.verdict.problems)
    return f"{e.prepared['n_parameters']:,} parameters{gain}; {'; '.join(e.verdict.notes)}{problems}"
