"""Run a layout in this process: Brian2's targets numpy and cython."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from neuro.errors import UnsupportedError

from . import session
from .batch import Drive, Output, Wanted
from .layout import Layout

_COMPILED: set[tuple[bool, ...]] = set()
"""Shapes of network whose Cython modules were compiled, or found in the cache, in this process."""


class Runtime:
    """Simulate in this process, with a network that is made anew for each run: it starts from zero by construction.

    Brian2 generates its code at every run in any case; making the objects is the smaller part. The code is the same for
    every graph, so compiled modules are used again.
    """

    def __init__(self, layout: Layout, target: str) -> None:
        self._layout, self._target = layout, target
        session.load()
        if target == "cython" and layout.n_cells:
            self._compile()

    def _compile(self) -> None:
        """Run one step of one sample, so that modules are compiled now. Raises UnsupportedError if that fails."""
        layout = self._layout
        shape = bool(len(layout.from_lines)), bool(len(layout.from_channels)), bool(len(layout.from_cells))
        if shape in _COMPILED:
            return
        nothing = np.zeros(0, np.int32)
        drive = Drive(1, 1, nothing, nothing, np.zeros((2, 1, layout.n_columns)))
        first = np.zeros(1, np.int32)
        try:
            self.run(drive, {"v": first, "a": first}, None)
        except Exception as err:
            raise UnsupportedError(
                f"backend 'brian2': target 'cython' does not compile here (got {type(err).__name__}: {err}; need Cython and "
                "a C++ compiler). Use target='numpy', or install them."
            ) from err
        _COMPILED.add(shape)

    def run(self, drive: Drive, wanted: Wanted, progress: Callable[[int], None] | None) -> Output:
        """Simulate a batch from step 0; `progress` is called with the steps done."""
        brian2 = session.load()
        from brian2.devices.device import RuntimeDevice

        from . import network

        start = time.perf_counter()
        with session.session(RuntimeDevice()):
            model = network.build(self._layout, drive, wanted)
            session.generate_for(self._target)
            model.network.run(drive.steps * brian2.second, namespace={}, **_report(brian2, drive.steps, progress))
            cell = np.asarray(model.spikes.variables["i"].get_value(), dtype=np.int64)
            step = np.rint(model.spikes.variables["t"].get_value()).astype(np.int64)
            traces = {}
            for name, monitor in model.traces.items():
                rows = np.asarray(monitor.variables[name].get_value())  # (steps, batch * cells recorded)
                traces[name] = rows.reshape(drive.steps, drive.batch, -1).transpose(1, 0, 2)
        sample, cell = np.divmod(cell, self._layout.n_cells)
        return Output(sample, step, cell, traces, time.perf_counter() - start)

    def close(self) -> None:
        """Hold nothing, free nothing."""


def _report(brian2: Any, steps: int, progress: Callable[[int], None] | None) -> Mapping[str, Any]:
    if progress is None:
        return {}

    def report(elapsed: Any, completed: float, start: Any, duration: Any) -> None:
        progress(round(float(completed) * steps))

    return {"report": report, "report_period": 0.5 * brian2.second}
