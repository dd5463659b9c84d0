"""Run a layout as a program of its own: Brian2's C++ standalone device.

Brian2 writes C++ whose arrays have fixed sizes, so a program is built for a number of samples and a set of traces; it reads
spikes, currents and the number of steps from files when it starts, so one build serves every stimulus.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuro.errors import UnsupportedError, WorkerError

from . import session
from .batch import Drive, Output, Wanted
from .layout import Layout

_REPORTS = 100
"""Parts in which a run is simulated; after each it prints the steps done."""

# Runs before the network's own run, which has length zero.
_MAIN = """
{
    long long n_steps = 0, n_spikes = 0, n_values = 0, n_part = 1;
    std::ifstream("stimulus/sizes") >> n_steps >> n_spikes >> n_values >> n_part;
%LINES%
%CURRENTS%
    for (long long done = 0; done < n_steps;)
    {
        const long long part = n_part < n_steps - done ? n_part : n_steps - done;
        %NETWORK%.run((double) part, NULL, 10.0);
        done += part;
        std::cout << done << std::endl;
    }
}
"""
_READ_LINES = """
    %INDEX%.resize(n_spikes);
    %STEP%.resize(n_spikes);
    std::ifstream("stimulus/index", std::ios::binary).read((char*) %INDEX%.data(), n_spikes * sizeof(int32_t));
    std::ifstream("stimulus/step", std::ios::binary).read((char*) %STEP%.data(), n_spikes * sizeof(int32_t));
"""
_READ_CURRENTS = """
    delete [] %VALUE%;
    %VALUE% = new double[n_values];
    std::ifstream("stimulus/value", std::ios::binary).read((char*) %VALUE%, n_values * sizeof(double));
"""


class Standalone:
    """Build a program when it is first needed and when a run needs more samples or traces than it was built for.

    Parameters: n_threads, of OpenMP; batch, samples to build for at once (None: build at the first run, for its batch).
    """

    def __init__(self, layout: Layout, n_threads: int, batch: int | None) -> None:
        self._layout, self._n_threads = layout, n_threads
        self._built: _Built | None = None
        session.load()
        _require_tools()
        if batch is not None and layout.n_cells:
            self._built = _Built(layout, batch, {}, n_threads)

    def run(self, drive: Drive, wanted: Wanted, progress: Callable[[int], None] | None) -> Output:
        """Simulate a batch from step 0; `progress` is called with the steps done."""
        built = self._built
        if built is None or not built.serves(drive.batch, wanted):
            batch, traces = drive.batch, dict(wanted)
            if built is not None:
                batch = max(batch, built.batch)
                traces = {n: np.union1d(_of(built.traces, n), _of(wanted, n)) for n in {*built.traces, *wanted}}
            self.close()
            built = self._built = _Built(self._layout, batch, traces, self._n_threads)
        return built.run(drive, wanted, progress)

    def close(self) -> None:
        """Remove the program and its folder."""
        if self._built is not None:
            self._built.remove()
            self._built = None


def _of(traces: Wanted, name: str) -> NDArray[np.int32]:
    return traces.get(name, np.zeros(0, np.int32))


class _Built:
    """A program in a temporary folder, which is removed by `remove`, with this object, or when Python ends."""

    def __init__(self, layout: Layout, batch: int, traces: Wanted, n_threads: int) -> None:
        self._layout, self.batch, self.traces = layout, batch, traces
        self.folder = Path(tempfile.mkdtemp(prefix="neuro-brian2-"))
        self.remove = weakref.finalize(self, shutil.rmtree, str(self.folder), ignore_errors=True)
        try:
            self._files = _write(layout, batch, traces, n_threads, self.folder)
            _make(self.folder)
        except BaseException:
            self.remove()
            raise

    def serves(self, batch: int, wanted: Wanted) -> bool:
        """Tell whether a run needs no other program."""
        return batch <= self.batch and all(
            np.isin(cells, _of(self.traces, name)).all() for name, cells in wanted.items()
        )

    def run(self, drive: Drive, wanted: Wanted, progress: Callable[[int], None] | None) -> Output:
        stimulus, results = self.folder / "stimulus", self.folder / "results"
        start = time.perf_counter()
        try:
            self._put(drive, stimulus)
            results.mkdir(exist_ok=True)
            self._start(results, progress)
            return self._read(results, drive, wanted, start)
        finally:
            for folder in (stimulus, results):
                shutil.rmtree(folder, ignore_errors=True)

    def _put(self, drive: Drive, folder: Path) -> None:
        folder.mkdir()
        table = np.zeros((1 + drive.steps, self.batch, drive.table.shape[2]))
        table[:, : drive.batch] = drive.table
        drive.index.astype(np.int32).tofile(folder / "index")
        drive.step.astype(np.int32).tofile(folder / "step")
        table.tofile(folder / "value")
        part = max(1, -(-drive.steps // _REPORTS))
        (folder / "sizes").write_text(f"{drive.steps} {len(drive.index)} {table.size} {part}\n")

    def _start(self, results: Path, progress: Callable[[int], None] | None) -> None:
        """Run the program to its end. Raises WorkerError if it fails; ends it if anything is raised here."""
        command = [str(self.folder / "main"), "--results_dir", f"{results}{os.sep}"]
        said: list[str] = []
        process = subprocess.Popen(
            command,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert process.stdout is not None
        try:
            for line in process.stdout:
                if not line.strip().isdigit():
                    said.append(line)
                elif progress is not None:
                    progress(int(line))
            code = process.wait()
        finally:
            process.kill()
            process.wait()
            process.stdout.close()
        if code or said:
            raise WorkerError(
                f"backend 'brian2': the C++ standalone program failed (got exit code {code}, output {''.join(said)[-2000:]!r}; "
                "need 0 and none). Try target='cython', which runs the same network."
            )

    def _read(self, results: Path, drive: Drive, wanted: Wanted, start: float) -> Output:
        cell = np.fromfile(results / self._files["i"], np.int32).astype(np.int64)
        step = np.rint(np.fromfile(results / self._files["t"], np.float64)).astype(np.int64)
        sample, cell = np.divmod(cell, self._layout.n_cells)
        mine = sample < drive.batch
        traces = {}
        for name, cells in wanted.items():
            rows = np.fromfile(results / self._files[name], np.float64).reshape(drive.steps, self.batch, -1)
            kept = np.searchsorted(self.traces[name], cells)
            traces[name] = rows[:, : drive.batch][:, :, kept].transpose(1, 0, 2)
        return Output(sample[mine], step[mine], cell[mine], traces, time.perf_counter() - start)


def _write(layout: Layout, batch: int, traces: Wanted, n_threads: int, folder: Path) -> dict[str, str]:
    """Write the C++ project and return the names of its result files: spikes "i" and "t", and traces by name."""
    brian2 = session.load()
    from brian2.devices.cpp_standalone.device import CPPStandaloneDevice

    from . import network

    device = CPPStandaloneDevice()
    nothing = np.zeros(0, np.int32)
    drive = Drive(batch, 0, nothing, nothing, np.zeros((1, batch, layout.n_columns)))
    with session.session(device, openmp_threads=n_threads if n_threads > 1 else 0):
        model = network.build(layout, drive, traces)
        device.insert_code("before_network_run", _main(device, model))
        model.network.run(0 * brian2.second, namespace={})
        device.build(directory=str(folder), compile=False, run=False)
        files = {name: device.get_array_filename(model.spikes.variables[name]) for name in ("i", "t")}
        files.update({name: device.get_array_filename(m.variables[name]) for name, m in model.traces.items()})
    return files


def _main(device: Any, model: Any) -> str:
    code = _MAIN.replace("%NETWORK%", model.network.name)
    lines = currents = ""
    if model.lines is not None:
        index, step = (
            device.get_array_name(model.lines.variables[k], access_data=False) for k in ("neuron_index", "_timebins")
        )
        lines = _READ_LINES.replace("%INDEX%", index).replace("%STEP%", step)
    if model.currents is not None:
        currents = _READ_CURRENTS.replace("%VALUE%", device.get_array_name(model.currents.variables["value"]))
    return code.replace("%LINES%", lines).replace("%CURRENTS%", currents)


def _compiler() -> str:
    return os.environ.get("CXX", "g++").split()[0]


def _require_tools() -> None:
    for tool in ("make", _compiler()):
        if shutil.which(tool) is None:
            raise UnsupportedError(
                f"backend 'brian2': target 'cpp_standalone' needs make and a C++ compiler (got no '{tool}'; need it on PATH). "
                "Install it, or use target='numpy'."
            )


def _make(folder: Path) -> None:
    """Compile the project. Raises UnsupportedError with what the compiler said."""
    jobs = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    # Under a make of the user's, its jobserver and flags are not for this one.
    env = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
    done = subprocess.run(
        ["make", f"-j{jobs}"],
        cwd=folder,
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise UnsupportedError(
            f"backend 'brian2': the C++ standalone program does not compile (got exit code {done.returncode}: "
            f"{done.stderr[-2000:]}; need 0). Check the compiler, or use target='numpy'."
        )
