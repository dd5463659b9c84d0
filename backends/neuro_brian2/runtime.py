"""Run a layout in this process: Brian2's targets numpy and cython."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from neuro.backend import Progress
from neuro.errors import UnsupportedError

from . import session
from .batch import Drive, Output, Wanted, compiling
from .layout import Layout

_COMPILED: set[tuple[str | bool, ...]] = set()
"""Models of cells and shapes of network whose Cython modules were compiled, or found in the cache, in this process."""


class Runtime:
    """Simulate in this process, with a network that is made anew for each run: it starts from zero by construction.

    Brian2 generates its code at every run in any case; making the objects is the smaller part. The code is the same for
    every graph, so compiled modules are used again.
    """

    def __init__(self, layout: Layout, target: str, progress: Progress | None) -> None:
        self._layout, self._target = layout, target
        session.load()
        if target == "cython" and layout.n_cells:
            self._compile(progress)

    def _compile(self, progress: Progress | None) -> None:
        """Run one step of one sample, so that modules are compiled now. Raises UnsupportedError if that fails."""
        layout = self._layout
        wires = bool(len(layout.from_lines)), bool(len(layout.from_channels)), bool(len(layout.from_cells))
        shape = (layout.model.name, *wires)
        if shape in _COMPILED:
            return
        nothing = np.zeros(0, np.int32)
        drive = Drive(1, 1, nothing, nothing, np.zeros((2, 1, layout.n_columns)))
        first = np.zeros(1, np.int32)
        try:
            with compiling(progress):
                self.run(drive, dict.fromkeys(layout.model.traces, first), None)
        except UnsupportedError:
            raise
        except Exception as err:
            cause: BaseException = err
            while cause.__cause__ is not None:  # Brian2's own says only which object it was about
                cause = cause.__cause__
            raise UnsupportedError(
                f"backend 'brian2': target 'cython' does not compile here (got {type(cause).__name__}: {cause}; need Cython "
                "and a C++ compiler). Use target='numpy', or install them."
            ) from err
        _COMPILED.add(shape)

    def run(self, drive: Drive, wanted: Wanted, progress: Callable[[int], None] | None) -> Output:
        """Simulate a batch from step 0; `progress` is called with the steps done."""
        session.load()
        from brian2.devices.device import RuntimeDevice

        start = time.perf_counter()
        with session.session(RuntimeDevice()):
            output = self._simulate(drive, wanted, progress)
        return replace(output, seconds=time.perf_counter() - start)

    def _simulate(self, drive: Drive, wanted: Wanted, progress: Callable[[int], None] | None) -> Output:
        """Build and run the network, and return copies of what it recorded; the network ends with this call."""
        from brian2 import second

        from . import network

        if self._target == "cython":
            session.require_flags()
        model = network.build(self._layout, drive, wanted)
        session.generate_for(self._target)
        report = {} if progress is None else {"report": _report(drive.steps, progress), "report_period": second / 2}
        model.network.run(drive.steps * second, namespace={}, **report)
        n_cells = self._layout.n_cells
        sample, cell = np.divmod(model.spikes.variables["i"].get_value().astype(np.int64), n_cells)
        step = np.rint(model.spikes.variables["t"].get_value()).astype(np.int64)
        traces = {}
        for name, monitor in model.traces.items():
            rows = monitor.variables[name].get_value()  # (steps, batch * cells recorded)
            traces[name] = rows.reshape(drive.steps, drive.batch, -1).transpose(1, 0, 2)
        clips = {}
        for name in self._layout.model.clipped:
            counted = model.cells.variables[f"clips_{name}"].get_value()
            clips[name] = counted.reshape(drive.batch, n_cells).astype(np.int64)
        return Output(sample, step, cell, traces, clips)

    def close(self) -> None:
        """Hold nothing, free nothing."""


def _report(steps: int, progress: Callable[[int], None]) -> Callable[..., None]:
    """Return what Brian2 calls every half second of real time, and in the end."""

    def report(elapsed: Any, completed: float, start: Any, duration: Any) -> None:
        progress(round(float(completed) * steps))

    return report
