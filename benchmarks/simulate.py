"""Time 1 s of a random net on the engine, Brian2 and NEST: two threads each, interleaved, medians, all in one run.

    python benchmarks/simulate.py            1e4 and 1e5 neurons, with delays of 1..10 ms a synapse, and of 1 ms
    python benchmarks/simulate.py --large    1e6 neurons and 1e8 synapses besides, on the engine alone: build, run, peak memory
    python benchmarks/simulate.py --quick    seconds: small nets, no peers

The net: 100 random inputs a neuron, 10 % of the neurons adaptive, a constant drive, about 15 Hz. The peers live in an environment
that this script makes. Before anything is timed, spikes and states are held to the golden model. How fair it is: README.md.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
import venv
from pathlib import Path
from typing import Any

import numpy as np
from peers import machine, page

import neuro
from neuro.backend import Record, Stimulus, get
from neuro.engine import EngineBackend
from neuro.graph import Builder, Graph, decay

HERE = Path(__file__).parent
CACHE = Path(os.environ.get("NEURO_HOME", HERE.parent / ".neuro")) / "bench" / "simulate"
NEEDS = {"brian2": ("brian2==2.9.0", "numpy<2.3", "cython", "setuptools"), "nest": ("nest-simulator", "numpy<2.3")}
NET = {
    "tau_m_ms": 20.0,
    "tau_a_ms": 700.0,
    "weight": 0.03,
    "n_ref": 2,
    "drive": [0.96, 1.06],
    "beta": 0.1,
    "fan_in": 100,
}
TURN_S = 0.25
"""A simulator's turn is as many runs as fill so much time, at least one; their median counts."""
RATE_TOLERANCE = 0.25
"""Peers may spike so much more or less: their nets are drawn by their own generators, and NEST's does not adapt."""

Settings = dict[str, Any]
Result = dict[str, Any]


def net(s: Settings) -> Graph:
    """Build the net: bias is what the drive adds in a step, (1 - alpha) * drive."""
    n, (low, high) = s["n"], s["drive"]
    b = Builder(seed=1, name=f"{n} neurons")
    drive = np.random.default_rng(1).uniform(low, high, n) * (1 - decay(s["tau_m_ms"], 1.0))
    beta = np.where(np.arange(n) < n // 10, s["beta"], 0.0)
    b.alif("n", n, tau_m_ms=s["tau_m_ms"], tau_a_ms=s["tau_a_ms"], beta=beta, bias=drive, n_ref=s["n_ref"])
    longest = s["max_delay"]
    delay = (1, longest) if longest > 1 else 1
    b.connect("n", "n", weight=lambda rng, k: rng.normal(0.0, s["weight"], k), fan_in=s["fan_in"], delay=delay)
    return b.build()


def check(n: int, steps: int, max_delay: int) -> int:
    """Hold the engine, by one thread and by two, to the golden model; return the number of spikes that are equal."""
    graph = net({**NET, "n": n, "max_delay": max_delay})
    stimulus, record = Stimulus(batch=1, steps=steps), Record(traces="all")
    golden = get("reference").compile(graph).run(stimulus, record)
    for n_threads in (1, 2):
        found = EngineBackend(n_threads=n_threads).compile(graph).run(stimulus, record)
        assert found.spikes == golden.spikes, "spikes differ from the golden model"
        assert all(np.array_equal(x, golden.traces["n"][s]) for s, x in found.traces["n"].items()), "states differ"
    assert len(golden.spikes["n"]) > n // 10, "a net that is silent shows nothing"
    return len(golden.spikes["n"])


def ours(s: Settings) -> None:
    """Serve as the engine's process: build, then run whenever a line on stdin asks."""
    started = time.perf_counter()
    graph = net(s)
    program = EngineBackend(n_threads=s["threads"]).compile(graph)
    build_s = time.perf_counter() - started
    print(json.dumps({"build_s": build_s, "version": neuro.__version__}), flush=True)
    for _ in sys.stdin:
        started = time.perf_counter()
        found = program.run(Stimulus(batch=1, steps=s["steps"]))
        line = {
            "run_s": found.wall_time_s,
            "whole_s": time.perf_counter() - started,
            "rate_hz": found.rate_hz("n"),
            "synapses": graph.n_synapses,
            "events": int(found.counts.synaptic_events["n->n"].sum()),
            "peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6,
        }
        print(json.dumps(line), flush=True)


class Worker:
    """A simulator in a process of its own, that runs once for every line it is sent; runs: one result a turn."""

    def __init__(self, name: str, command: list[str], s: Settings) -> None:
        self.name, self.runs = name, list[Result]()
        self._process = subprocess.Popen(
            [*command, json.dumps(s)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.built = self._answer()

    def _answer(self) -> Result:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("{"):
                found: Result = json.loads(line)
                return found
        raise RuntimeError(f"{self.name} ended with status {self._process.wait()}")

    def take_turn(self) -> None:
        """Run, and again while the turn lasts."""
        assert self._process.stdin is not None
        turn: list[Result] = []
        while sum(r["run_s"] for r in turn) < TURN_S:
            self._process.stdin.write("\n")
            self._process.stdin.flush()
            turn.append(self._answer())
        self.runs.append({**turn[-1], **_medians(turn)})

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def summary(self) -> Result:
        """Return medians, and what is the same in every run."""
        return {**self.runs[-1], **_medians(self.runs), "runs_s": [r["run_s"] for r in self.runs], **self.built}


def _medians(runs: list[Result]) -> Result:
    return {key: statistics.median(r[key] for r in runs) for key in ("run_s", "whole_s", "rate_hz")}


def environment(peer: str) -> Path | None:
    """Return the interpreter of a peer's environment, making it where there is none; None if it cannot be made."""
    folder = CACHE / peer
    python = folder / "bin" / "python"
    if not (folder / "made").exists():
        print(f"making the environment of {peer} in {folder}", flush=True)
        venv.create(folder, clear=True, with_pip=True)
        command = [str(python), "-m", "pip", "--disable-pip-version-check", "install", "--quiet", *NEEDS[peer]]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            print(
                f"{peer} is left out: it cannot be installed here ({done.stderr.strip().splitlines()[-1]})", flush=True
            )
            return None
        (folder / "made").touch()
    return python


def commands(peers: list[str]) -> dict[str, list[str]]:
    """Return how each simulator is started, the engine first."""
    found = {"engine": [sys.executable, str(Path(__file__).resolve()), "--worker"]}
    for peer in peers:
        python = environment(peer)
        if python is not None:
            found[peer] = [str(python), str(HERE / "peers" / f"{peer}_simulate.py")]
    return found


def case(starts: dict[str, list[str]], s: Settings, rounds: int) -> Result:
    """Run one net on all simulators, turn by turn, and compare: a round that is not counted, then the others."""
    workers = []
    try:
        for name, command in starts.items():
            try:
                workers.append(Worker(name, command, s))
            except RuntimeError as err:
                print(f"  {err}: left out", flush=True)
        for k in range(rounds + (rounds > 1)):
            for worker in workers:
                worker.take_turn()
                if rounds > 1 and k == 0:
                    worker.runs.clear()
    finally:
        for worker in workers:
            worker.close()
    found = {worker.name: worker.summary() for worker in workers}
    mine = found["engine"]
    for name, peer in found.items():
        peer["ratio"] = peer["run_s"] / mine["run_s"]
        assert peer["synapses"] == mine["synapses"], f"{name}: another number of synapses"
        off = abs(peer["rate_hz"] / mine["rate_hz"] - 1)
        assert off < RATE_TOLERANCE, f"{name}: another rate, {peer['rate_hz']:.1f} Hz against {mine['rate_hz']:.1f} Hz"
    return {"settings": s, "results": found}


def show(c: Result) -> None:
    """Print one case."""
    s = c["settings"]
    delays = f"delays 1..{s['max_delay']} ms" if s["max_delay"] > 1 else "delay 1 ms"
    print(
        f"{s['n']:,} neurons, {s['n'] * s['fan_in']:,} synapses, {delays}, {s['steps']} steps, {s['threads']} threads"
    )
    for name, r in c["results"].items():
        text = f"  {name:<7} run {r['run_s']:8.4f} s   {r['rate_hz']:5.1f} Hz   built in {r['build_s']:6.1f} s"
        text += f"   peak {r['peak_gb']:.2f} GB" if "peak_gb" in r else ""
        text += f"   {r['ratio']:6.1f} times the engine's time" if name != "engine" else ""
        print(text, flush=True)


def plot(cases: list[Result], path: Path) -> None:
    """Draw time against size, a line a simulator, a panel a kind of delays."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib.figure import Figure

    kinds = sorted({c["settings"]["max_delay"] for c in cases}, reverse=True)
    figure = Figure(figsize=(4.2 * len(kinds), 3.4), layout="constrained")
    axes = figure.subplots(1, len(kinds), squeeze=False, sharey=True)[0]
    for axis, longest in zip(axes, kinds, strict=True):
        mine = [c for c in cases if c["settings"]["max_delay"] == longest]
        for name in dict.fromkeys(name for c in mine for name in c["results"]):
            points = [(c["settings"]["n"], c["results"][name]["run_s"]) for c in mine if name in c["results"]]
            axis.loglog(*zip(*points, strict=True), marker="o", label=name)
        axis.set_title(f"delays 1..{longest} ms" if longest > 1 else "delay 1 ms", fontsize=10)
        axis.set_xlabel("neurons, 100 inputs each")
    axes[0].set_ylabel("seconds for 1 s at 15 Hz")
    axes[0].legend(frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)


def main() -> None:
    """Check, run all cases, print, and write JSON and plot."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    parser.add_argument("--quick", action="store_true", help="small nets and no peers: a test of seconds")
    parser.add_argument("--large", action="store_true", help="1e6 neurons besides, on the engine alone")
    parser.add_argument("--sizes", default="10000,100000", help="numbers of neurons, with commas")
    parser.add_argument("--peers", default="brian2,nest", help="peers, with commas; empty for none")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each, after one that is not counted")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path, default=HERE / "results" / "simulate.json")
    parser.add_argument("--plot", type=Path, default=HERE.parent / "docs" / "img" / "simulate.svg")
    given = parser.parse_args()
    if given.worker:
        ours(json.loads(given.worker))
        return
    host = {**machine.describe(), "load": os.getloadavg()[0], "numpy": np.__version__}
    print(", ".join(f"{key} {value}" for key, value in host.items()), flush=True)
    n, steps = (500, 100) if given.quick else (2000, 200)
    for longest in (10, 1):
        equal = check(n, steps, longest)
        print(
            f"{n} neurons, {steps} steps, delays up to {longest}: all {equal} spikes and all states equal the golden model",
            flush=True,
        )
    common = {**NET, "steps": 200 if given.quick else 1000, "threads": given.threads}
    starts = commands([] if given.quick else [p for p in given.peers.split(",") if p])
    cases = []
    for n in (2_000, 5_000) if given.quick else [int(n) for n in given.sizes.split(",")]:
        for longest in (10, 1):
            cases.append(case(starts, {**common, "n": n, "max_delay": longest}, 2 if given.quick else given.rounds))
            show(cases[-1])
    if given.large:
        cases.append(case({"engine": starts["engine"]}, {**common, "n": 1_000_000, "max_delay": 10}, 1))
        show(cases[-1])
    given.json.parent.mkdir(parents=True, exist_ok=True)
    result = {"machine": host, "cases": cases}
    given.json.write_text(json.dumps(result, indent=1) + "\n")
    plot(cases, given.plot)
    if given.json == parser.get_default("json"):
        page.fill(HERE.parent / "docs" / "speed.md", "simulate", page.simulate_figures(result))
    print(f"written: {given.json}, {given.plot}")


if __name__ == "__main__":
    main()
