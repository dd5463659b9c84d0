"""Serve one contestant: a process of its own that answers lines of JSON on standard input with lines on standard output.

Requests, by "do": prepare (case, threads), memory, check (out: where to put spikes and gradients), time (seconds), and the end
of the input, which ends the process. An answer has "error" if the request failed.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import resource
import statistics
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from .case import Case


@dataclass(frozen=True)
class Outcome:
    """What a training step gave, to be compared.

    loss; rate_hz: mean of all neurons; gradients: by the names of the weights, (pre, post), of every synapse; steps: which
    time steps the spikes are of; spikes: bool (batch, len(steps), n).
    """

    loss: float
    rate_hz: float
    gradients: dict[str, np.ndarray]
    steps: np.ndarray
    spikes: np.ndarray


class Contestant(Protocol):
    """A network ready to train: everything that is done once (copying weights, compiling) has been done."""

    n_parameters: int
    gain: float
    versions: dict[str, str]

    def step(self) -> None:
        """Do one training step: forward, loss, backward to the gradients of all weights."""
        ...

    def check(self) -> Outcome:
        """Do one training step and show what came out."""
        ...


def resident_bytes(field: str = "VmRSS") -> int:
    """Return the resident size of this process, or its peak (VmHWM), in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    raise OSError(f"/proc/self/status: no line {field}")


def step_peak_bytes(step: Callable[[], None]) -> int:
    """Return by how much the resident size rose while a step ran, at most, in bytes.

    The kernel's high-water mark is set back before the step (a 5 to /proc/self/clear_refs), so that neither imports nor
    compiling count; where that is refused the mark since the start of the process (ru_maxrss) is taken.
    """
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    try:
        Path("/proc/self/clear_refs").write_text("5")
        reset = True
    except OSError:
        reset = False
    before = resident_bytes()
    step()
    peak = resident_bytes("VmHWM") if reset else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return peak - before


def step_seconds(step: Callable[[], None], fill_seconds: float) -> float:
    """Return the median wall time of the steps that fill a stretch of time, at least one, in s."""
    taken: list[float] = []
    while sum(taken) < fill_seconds or not taken:
        started = time.perf_counter()
        step()
        taken.append(time.perf_counter() - started)
    return statistics.median(taken)


class Server:
    """Answer requests about one contestant, made by `make(case, threads)`."""

    def __init__(self, make: Callable[[Case, int], Contestant]) -> None:
        self.make = make
        self.contestant: Contestant | None = None

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Do what a request asks."""
        if request["do"] == "prepare":
            c = self.contestant = self.make(Case.load(request["case"]), request["threads"])
            return {"n_parameters": c.n_parameters, "gain": c.gain, "versions": c.versions}
        if self.contestant is None:
            raise RuntimeError(f"worker: nothing prepared (got '{request['do']}'; need 'prepare' first)")
        if request["do"] == "memory":
            return {"peak_bytes": step_peak_bytes(self.contestant.step)}
        if request["do"] == "time":
            return {"seconds": step_seconds(self.contestant.step, request["seconds"])}
        if request["do"] == "check":
            out = self.contestant.check()
            np.savez(request["out"], steps=out.steps, spikes=out.spikes, **out.gradients)
            return {"loss": out.loss, "rate_hz": out.rate_hz}
        raise ValueError(f"worker: unknown request (got '{request['do']}'; need prepare, memory, check or time)")


def serve(make: Callable[[Case, int], Contestant]) -> None:
    """Answer requests until the input ends. What libraries print goes to standard error."""
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    server = Server(make)
    for line in sys.stdin:
        try:
            reply = server.answer(json.loads(line))
        except Exception as err:  # whatever a peer raises is reported by name, and the others go on
            traceback.print_exc()
            reply = {"error": f"{type(err).__name__}: {err}".splitlines()[0]}
        print(json.dumps(reply), file=replies, flush=True)
