"""Run one case in Lava's own interpreter and write what was found: python in_lava.py CASE FOUND.json

Run by test_builds.py and test_endings.py; not a test by itself. Models are broken here before they are built: Lava forks its processes, and
they inherit that.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import logging
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

from neuro.backend import Record, Stimulus
from neuro.backend.golden import ReferenceBackend
from neuro.errors import NeuroError
from neuro.graph import Builder, Graph, reference
from neuro.recording import Recording
from neuro_lava import LavaBackend, LavaProgram
from neuro_lava.processes.neurons import PyALIF
from neuro_lava.processes.synapses import PySynapses

STEPS = 30
ALL = Record(traces="all")
seeds = itertools.count()


def run_and_compare(program: LavaProgram, batch: int, steps: int, record: Record = ALL) -> bool:
    """Tell whether a run with another stimulus each time equals the golden model, with spikes."""
    rng = np.random.default_rng(next(seeds))
    stimulus = Stimulus.dense({"in": rng.random((batch, steps, 4)) < 0.3})
    got, expected = program.run(stimulus, record), ReferenceBackend().compile(GRAPH).run(stimulus, record)
    same = set(got.spikes) == set(expected.spikes) and all(got.spikes[n] == e for n, e in expected.spikes.items())
    traces = [np.array_equal(got.traces[n][s], v) for n, t in expected.traces.items() for s, v in t.items()]
    same = (
        same
        and all(traces)
        and {n: set(t) for n, t in got.traces.items()} == {n: set(t) for n, t in expected.traces.items()}
    )
    return same and int(got.counts.spikes["alif"].sum()) > 0


def net() -> Graph:
    """Return a small recurrent net."""
    b = Builder(seed=2)
    b.spike_input("in", 4)
    b.alif("alif", 6, beta=0.2)
    b.connect("in", "alif", weight=1.1, delay=(0, 3))
    b.connect("alif", "alif", weight=lambda rng, n: rng.normal(0.0, 0.4, n), delay=(1, 4))
    return b.build()


GRAPH = net()
SPIKES = np.random.default_rng(0).random((2, STEPS, 4)) < 0.3
STIMULUS = Stimulus.dense({"in": SPIKES})


def is_right(recording: Recording) -> bool:
    """Tell whether a run equals the golden model, with spikes."""
    expected = reference.simulate(GRAPH, {"in": SPIKES})["alif"]
    spikes = recording.spikes["alif"].to_dense(2, STEPS, 6)
    return bool(spikes.any() and np.array_equal(spikes, expected["z"] == 1))


def processes() -> list[str]:
    """Return the other processes of this session, by command; multiprocessing's tracker may live as long as this one."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):
            if entry.name.isdigit() and os.getsid(int(entry.name)) == os.getsid(0) and int(entry.name) != os.getpid():
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                if "resource_tracker" not in command:
                    found.append(command)
    return found


def left() -> dict[str, list[Any]]:
    """Return what is there now: processes, shared memory that was ever ours, files, threads."""
    ours.update(line.split()[5] for line in Path("/proc/self/maps").read_text().splitlines() if "/dev/shm/" in line)
    return {
        "processes": processes(),
        "memory": [path for path in sorted(ours) if Path(path).exists()],
        "files": os.listdir(os.environ["TMPDIR"]),
        "threads": [t.name for t in threading.enumerate() if t is not threading.main_thread()],
    }


ours: set[str] = set()


def error_of(program: LavaProgram) -> dict[str, str]:
    """Return the error of a run."""
    try:
        program._ready(2)
        left()  # notes the shared memory
        program.run(STIMULUS)
    except NeuroError as err:
        return {"kind": type(err).__name__, "message": str(err)}
    return {}


def outcomes(program: LavaProgram, runs: list[tuple[Any, ...]]) -> dict[str, Any]:
    """Do runs of one program, and tell for each whether it was right, and the builds until then."""
    found: dict[str, Any] = {"right": [], "builds": []}
    for run in runs:
        found["right"].append(run_and_compare(program, *run))
        found["builds"].append(program.builds)
    program.close()
    return found


def one_build() -> dict[str, Any]:
    """Run with other stimuli, steps, samples and traces."""
    sizes = [(5, 40), (5, 40), (2, 90), (5, 7), (1, 40), (4, 250)]
    records = [Record(), Record(spikes=False), Record(traces={"alif": ("a",)})]
    return outcomes(LavaBackend().compile(GRAPH), sizes + [(3, 20, record) for record in records])


def more_samples() -> dict[str, Any]:
    """Run with more samples, and with fewer again."""
    return outcomes(LavaBackend().compile(GRAPH), [(batch, 20) for batch in (2, 3, 2, 3, 4, 1)])


def groups() -> dict[str, Any]:
    """Run more samples than are allowed side by side."""
    return outcomes(LavaBackend(batch=3).compile(GRAPH), [(8, 20), (9, 30), (1, 20)])


def times() -> dict[str, Any]:
    """Take the time of runs, the first of which builds."""
    program, seconds = LavaBackend().compile(GRAPH), []
    for _ in range(5):
        begun = time.perf_counter()
        program.run(STIMULUS)
        seconds.append(time.perf_counter() - begun)
    program.close()
    return {"seconds": seconds}


def refused() -> dict[str, Any]:
    """Run with a stimulus that does not fit, between two that do."""
    program, message = LavaBackend().compile(GRAPH), ""
    found = [(run_and_compare(program, 2, 20), program.builds)]
    try:
        program.run(Stimulus.dense({"in": np.ones((2, 20, 5), bool)}))
    except NeuroError as err:
        message = str(err)
    found.append((run_and_compare(program, 2, 20), program.builds))
    program.close()
    return {"message": message, "right": [r for r, _ in found], "builds": [b for _, b in found]}


def closed() -> dict[str, Any]:
    """Run and close: while it runs there are processes, then nothing."""
    program = LavaBackend().compile(GRAPH)
    right = is_right(program.run(STIMULUS))
    alive = left()
    program.close()
    program.close()
    return {"right": right, "alive": alive, "left": left(), "handlers": len(logging.getLogger().handlers)}


def never_run() -> dict[str, Any]:
    """Close a simulation that was built and never run."""
    program = LavaBackend().compile(GRAPH)
    program._ready(3)
    alive = left()
    program.close()
    return {"alive": alive, "left": left()}


def forgotten() -> dict[str, Any]:
    """Let go of a program without closing it."""
    program = LavaBackend().compile(GRAPH)
    program.run(STIMULUS)
    alive = left()
    del program
    return {"alive": alive, "left": left()}


def open_at_exit() -> dict[str, Any]:
    """End the interpreter with a program open."""
    global _kept
    _kept = LavaBackend().compile(GRAPH)
    _kept.run(STIMULUS)
    return {"alive": left(), "pid": os.getpid()}


_kept: LavaProgram


def failing_model() -> dict[str, Any]:
    """Have a model raise in the middle of a run, then be well again."""
    program = LavaBackend().compile(GRAPH)
    step = PyALIF.step

    def broken_step(self: PyALIF, k: int) -> None:
        if k == 7:
            raise ArithmeticError("a neuron went wrong at k = 7")
        step(self, k)

    PyALIF.step = broken_step  # type: ignore[method-assign]
    error, after = error_of(program), left()
    PyALIF.step = step  # type: ignore[method-assign]
    right = is_right(program.run(STIMULUS))
    builds = program.builds
    program.close()
    return {"error": error, "after": after, "right": right, "builds": builds, "left": left()}


def failing_build() -> dict[str, Any]:
    """Have a model raise as it is made."""
    program = LavaBackend().compile(GRAPH)
    make = PyALIF.__init__

    def broken_make(self: PyALIF, proc_params: Any) -> None:
        raise ArithmeticError("no such neuron")

    PyALIF.__init__ = broken_make  # type: ignore[method-assign]
    error, after = error_of(program), left()
    PyALIF.__init__ = make  # type: ignore[method-assign]
    right = is_right(program.run(STIMULUS))
    program.close()
    return {"error": error, "after": after, "right": right, "left": left()}


def killed_process() -> dict[str, Any]:
    """Kill one of Lava's processes in the middle of a run, as the system does when memory runs out."""
    program = LavaBackend().compile(GRAPH)
    step = PySynapses.step

    def deadly_step(self: PySynapses, k: int) -> None:
        if k == 7:
            os.kill(os.getpid(), signal.SIGKILL)
        step(self, k)

    PySynapses.step = deadly_step  # type: ignore[method-assign]
    error, after = error_of(program), left()
    PySynapses.step = step  # type: ignore[method-assign]
    right = is_right(program.run(STIMULUS))
    program.close()
    return {"error": error, "after": after, "right": right, "left": left()}


def interrupted() -> dict[str, Any]:
    """Press Ctrl-C in the middle of a run: the signal reaches all processes of the terminal's group."""
    program = LavaBackend().compile(GRAPH)
    step = PyALIF.step

    def slow_step(self: PyALIF, k: int) -> None:
        time.sleep(0.02)
        step(self, k)

    PyALIF.step = slow_step  # type: ignore[method-assign]
    program._ready(2)
    left()  # notes the shared memory
    threading.Timer(1.0, os.killpg, (os.getpgrp(), signal.SIGINT)).start()
    seen = ""
    try:
        program.run(Stimulus(batch=2, steps=2000))  # 40 s
    except KeyboardInterrupt:
        seen = "KeyboardInterrupt"
    after = left()
    PyALIF.step = step  # type: ignore[method-assign]
    right = is_right(program.run(STIMULUS))
    program.close()
    return {"seen": seen, "after": after, "right": right, "left": left()}


def many_programs() -> dict[str, Any]:
    """Hold two programs at once and make several in turn: Lava must not hold on to any."""
    from lava.magma.core.process.process import ProcessServer

    first, second = (LavaBackend().compile(GRAPH) for _ in range(2))
    right = [is_right(p.run(STIMULUS, Record(traces="all"))) for p in (first, second, first)]
    first.close()
    right.append(is_right(second.run(STIMULUS)))
    second.close()
    return {"right": all(right), "left": left(), "known": ProcessServer().num_processes}


def configurations() -> dict[str, Any]:
    """Tell which configuration a simulation and a board get, and for which Processes it names the model."""
    from lava.proc.lif.process import LIF

    from neuro_lava.processes.source import SpikeSource
    from neuro_lava.simulation import _run_config
    from neuro_lava.stock import Plan

    b = Builder()
    b.int_lif("n", 1, d_v=1, v_th=1)
    processes = {"LIF": LIF(shape=(1,)), "SpikeSource": SpikeSource(name="s", index=0, folder="", size=1, batch=1)}
    found: dict[str, Any] = {}
    for name, plan in (("simulation", Plan()), ("hardware", Plan(hardware=True))):
        chosen = _run_config(b.build(), plan)
        named = [key for key, process in processes.items() if process in chosen.exception_proc_model_map]
        found[name] = {"kind": type(chosen).__name__, "tag": chosen.select_tag, "named": named}
    return found


if __name__ == "__main__":
    Path(sys.argv[2]).write_text(json.dumps(globals()[sys.argv[1]]()))
