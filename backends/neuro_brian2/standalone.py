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

from neuro.backend import Progress
from neuro.errors import UnsupportedError, WorkerError

from . import session
from .batch import Drive, Output, Wanted, compiling
from .layout import Layout

_REPORTS = 100
"""Parts in which a run is simulated; after each it prints the steps done."""

_HEADERS = (
    "algorithm",
    "climits",
    "cmath",
    "cstdlib",
    "ctime",
    "fstream",
    "iostream",
    "map",
    "random",
    "set",
    "string",
    "tuple",
    "utility",
    "vector",
)

# Stands before the network's own run, which has length zero. What is not a number on stdout is an error.
_MAIN = """
{
    const auto neuro_read = [](const char* name, void* to, size_t n) {
        std::ifstream file(name, std::ios::binary);
        if (n > 0 && !file.read((char*) to, n)) { std::cout << "cannot read " << name << std::endl; std::exit(1); }
    };
    long long sizes[4] = {0, 0, 0, 1};  // steps, spikes, values, steps of a part
    neuro_read("stimulus/sizes", sizes, sizeof(sizes));
%READ%
    for (long long done = 0; done < sizes[0];)
    {
        const long long part = std::min(sizes[3], sizes[0] - done);
        %NETWORK%.run((double) part, NULL, 10.0);
        done += part;
        std::cout << done << std::endl;
    }
}
"""
_READ_LINES = """
    %INDEX%.resize(sizes[1]);
    %STEP%.resize(sizes[1]);
    neuro_read("stimulus/index", %INDEX%.data(), sizes[1] * sizeof(int32_t));
    neuro_read("stimulus/step", %STEP%.data(), sizes[1] * sizeof(int32_t));
"""
_READ_CURRENTS = """
    delete [] %VALUE%;
    %VALUE% = new double[sizes[2]];
    neuro_read("stimulus/value", %VALUE%, sizes[2] * sizeof(double));
"""


class Standalone:
    """Build a program when it is first needed and when a run needs more samples or traces than it was built for.

    Parameters: n_threads, of OpenMP; batch, samples to build for at once (None: build at the first run, for its batch);
    progress, told of the compilation.
    """

    def __init__(self, layout: Layout, n_threads: int, batch: int | None, progress: Progress | None) -> None:
        self._layout, self._n_threads, self._progress = layout, n_threads, progress
        self._built: _Built | None = None
        session.load()
        _require_tools()
        if batch is not None and layout.n_cells:
            self._build(batch, {})

    def run(self, drive: Drive, wanted: Wanted, progress: Callable[[int], None] | None) -> Output:
        """Simulate a batch from step 0; `progress` is called with the steps done."""
        built = self._built
        if built is None or not built.serves(drive.batch, wanted):
            batch, traces = drive.batch, dict(wanted)
            if built is not None:
                batch = max(batch, built.batch)
                traces = {n: np.union1d(_of(built.traces, n), _of(wanted, n)) for n in {*built.traces, *wanted}}
            built = self._build(batch, traces)
        return built.run(drive, wanted, progress)

    def _build(self, batch: int, traces: Wanted) -> _Built:
        self.close()
        with compiling(self._progress):
            self._built = _Built(self._layout, batch, traces, self._n_threads)
        return self._built

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
            _make(self.folder, n_threads > 1)
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
        np.array([drive.steps, len(drive.index), table.size, part], np.int64).tofile(folder / "sizes")

    def _start(self, results: Path, progress: Callable[[int], None] | None) -> None:
        """Run the program to its end. Raises WorkerError if it fails; ends it if anything is raised here."""
        command = [str(self.folder / "main"), "--results_dir", f"{results}{os.sep}"]
        said: list[str] = []
        with (results / "stderr").open("w+") as stderr:
            process = subprocess.Popen(
                command, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=stderr, text=True
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
            stderr.seek(0)
            if code or said:
                raise _failed(f"exit code {code}, output {''.join((*said, stderr.read()))[-2000:]!r}; need 0 and none")

    def _read(self, results: Path, drive: Drive, wanted: Wanted, start: float) -> Output:
        cell = self._load(results, "i", np.int32)
        step = np.rint(self._load(results, "t", np.float64, len(cell))).astype(np.int64)
        sample, cell = np.divmod(cell.astype(np.int64), self._layout.n_cells)
        mine = sample < drive.batch
        traces = {}
        for name, cells in wanted.items():
            have = self.traces[name]
            rows = self._load(results, name, np.float64, drive.steps * self.batch * len(have))
            chosen = rows.reshape(drive.steps, self.batch, len(have))[:, : drive.batch, np.searchsorted(have, cells)]
            traces[name] = chosen.transpose(1, 0, 2)
        clips = {}
        for name in self._layout.model.clipped:
            counted = self._load(results, f"clips_{name}", np.float64, self.batch * self._layout.n_cells)
            clips[name] = counted.reshape(self.batch, -1)[: drive.batch].astype(np.int64)
        return Output(sample[mine], step[mine], cell[mine], traces, clips, time.perf_counter() - start)

    def _load(self, results: Path, name: str, dtype: type, size: int | None = None) -> NDArray[Any]:
        path = results / self._files[name]
        values: NDArray[Any] = np.fromfile(path, dtype) if path.exists() else np.zeros(0, dtype)
        if not path.exists() or (size is not None and len(values) != size):
            raise _failed(
                f"{len(values)} values in {path.name}; need {'them' if size is None else size}: is the disk full?"
            )
        return values


def _failed(got: str) -> WorkerError:
    return WorkerError(
        f"backend 'brian2': the C++ standalone program failed (got {got}). Try target='cython', which runs the same network."
    )


def _write(layout: Layout, batch: int, traces: Wanted, n_threads: int, folder: Path) -> dict[str, str]:
    """Write the C++ project; return the names of its result files: spikes "i" and "t", traces and "clips_*" by name."""
    session.load()
    from brian2.devices.cpp_standalone.device import CPPStandaloneDevice

    device = CPPStandaloneDevice()
    with session.session(device, openmp_threads=n_threads if n_threads > 1 else 0):
        return _generate(device, layout, batch, traces, folder)


def _generate(device: Any, layout: Layout, batch: int, traces: Wanted, folder: Path) -> dict[str, str]:
    from brian2 import second

    from . import network

    session.require_flags()
    nothing = np.zeros(0, np.int32)
    drive = Drive(batch, 0, nothing, nothing, np.zeros((1, batch, layout.n_columns)))
    model = network.build(layout, drive, traces)
    device.insert_code("before_network_run", _main(device, model))
    model.network.run(0 * second, namespace={})
    device.build(directory=str(folder), compile=False, run=False)
    files = {name: device.get_array_filename(model.spikes.variables[name]) for name in ("i", "t")}
    files.update({name: device.get_array_filename(m.variables[name]) for name, m in model.traces.items()})
    counts = [f"clips_{name}" for name in layout.model.clipped]
    files.update({name: device.get_array_filename(model.cells.variables[name]) for name in counts})
    return files


def _main(device: Any, model: Any) -> str:
    """Return the C++ that reads the stimulus and runs the steps."""

    def name(group: Any, variable: str) -> str:
        return device.get_array_name(group.variables[variable], access_data=False)

    read = ""
    if model.lines is not None:
        index, step = name(model.lines, "neuron_index"), name(model.lines, "_timebins")
        read += _READ_LINES.replace("%INDEX%", index).replace("%STEP%", step)
    if model.currents is not None:
        read += _READ_CURRENTS.replace("%VALUE%", name(model.currents, "value"))
    return _MAIN.replace("%NETWORK%", model.network.name).replace("%READ%", read)


def _compiler() -> str:
    return os.environ.get("CXX", "g++").split()[0]


def _require_tools() -> None:
    for tool in ("make", _compiler()):
        if shutil.which(tool) is None:
            raise UnsupportedError(
                f"backend 'brian2': target 'cpp_standalone' needs make and a C++ compiler (got no '{tool}'; need it on PATH). "
                "Install it, or use target='numpy'."
            )


def _make(folder: Path, openmp: bool) -> None:
    """Compile the project. Raises UnsupportedError with what the compiler said."""
    jobs = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    compiler = os.environ.get("CXX", "g++")
    # Every file of the project reads the same headers: compiled once, they save a third of the time (8.6 to 5.6 s of CPU).
    # A compiler that cannot use the result takes the headers themselves.
    (folder / "neuro.h").write_text("".join(f"#include <{name}>\n" for name in _HEADERS))
    flags = [*session.COMPILE_ARGS, *(["-fopenmp"] if openmp else [])]
    _call([*compiler.split(), *flags, "-x", "c++-header", "neuro.h", "-o", "neuro.h.gch"], folder)
    done = _call(["make", f"-j{jobs}", f"CXX={compiler} -include neuro.h"], folder)
    if done.returncode:
        raise UnsupportedError(
            f"backend 'brian2': the C++ standalone program does not compile (got exit code {done.returncode}: "
            f"{done.stderr[-2000:]}; need 0). Check the compiler, or use target='numpy'."
        )


def _call(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    # Under a make of the user's, its jobserver and flags are not for this one.
    env = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
    return subprocess.run(
        command, cwd=folder, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
