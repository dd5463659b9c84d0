"""Hold the Brian2 backend to leaving nothing behind: preferences, devices, networks, random numbers, logs, files."""

from __future__ import annotations

import gc
import logging
import os
import signal
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neuro.backend import Stimulus, conformance
from neuro.backend.example_graphs import fading
from neuro.recording import Recording
from neuro_brian2 import Brian2Backend, session
from tests.backend.flushing import flushed_to_zero


@pytest.fixture
def brian2() -> Iterator[Any]:
    """Return brian2, and put its preferences and device back after the test."""
    module = session.load()
    devices: Any = sys.modules["brian2.devices.device"]
    prefs, device, previous = dict(module.prefs), devices.active_device, list(devices.previous_devices)
    yield module
    devices.active_device, devices.previous_devices[:] = device, previous
    for key, value in prefs.items():
        module.prefs[key] = value
    module.defaultclock.dt = 0.1 * module.ms


def run(target: str = "numpy", progress: Any = None) -> Recording:
    graph = conformance.example()
    program = Brian2Backend(target=target, progress=progress).compile(graph)
    try:
        got = program.run(conformance.draw_stimulus(graph, 2, 30, 4), conformance.ALL)
    finally:
        program.close()
    assert got.counts.spikes["lif"].sum() > 0
    return got


def expected() -> Recording:
    graph = conformance.example()
    return conformance.golden(graph, conformance.draw_stimulus(graph, 2, 30, 4), conformance.ALL)


def python(code: str, **env: str) -> str:
    """Run code in a new interpreter and return what it printed; what it says on stderr fails the test."""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=200, check=False, cwd=Path(__file__).parents[2],
        env={**os.environ, "PYTHONPATH": os.pathsep.join((".", "backends")), **env},
    )  # fmt: skip
    assert done.returncode == 0 and not done.stderr, done.stderr
    return done.stdout.strip()


RUN = """
from neuro.backend import conformance
from neuro_brian2 import Brian2Backend
graph = conformance.example()
def run(**options):
    program = Brian2Backend(**options).compile(graph)
    stimulus = conformance.draw_stimulus(graph, 2, 30, 4)
    conformance.assert_equal(program.run(stimulus), conformance.golden(graph, stimulus, conformance.Record()), graph)
    program.close()
"""


# -------------------------------------------------------------------------------------------------- what a user set


def odd_prefs(brian2: Any) -> dict[str, Any]:
    """Set preferences that would break parity, or our runs, if they reached them; return all."""
    brian2.prefs["core.default_float_dtype"] = np.float32
    brian2.prefs["core.network.default_schedule"] = ["synapses", "thresholds", "groups", "start", "resets", "end"]
    brian2.prefs["codegen.target"] = "cython"
    brian2.prefs["codegen.cpp.extra_compile_args"] = ["-O2", "-ffast-math"]
    brian2.prefs["codegen.cpp.extra_compile_args_gcc"] = ["-Ofast"]
    brian2.prefs["codegen.cpp.define_macros"] = [("N", "7")]
    brian2.prefs["devices.cpp_standalone.openmp_threads"] = 3
    brian2.prefs["codegen.runtime.cython.cache_dir"] = "/nowhere"
    return dict(brian2.prefs)


@pytest.mark.parametrize("target", ["numpy", "cython"])
def test_preferences_do_not_reach_a_run_and_are_as_before(target: str, brian2: Any) -> None:
    brian2.prefs["codegen.runtime.cython.cache_dir"] = None
    run(target)  # compiles what is not in the cache yet
    before = odd_prefs(brian2)
    inside: list[dict[str, Any]] = []
    got = run(target, lambda *now: inside.append(dict(brian2.prefs)))
    conformance.assert_equal(got, expected(), conformance.example())
    assert inside[-1]["core.default_float_dtype"] is np.float64 and inside[-1]["codegen.target"] == target
    assert dict(brian2.prefs) == before


def test_preferences_are_as_before_after_an_exception(brian2: Any) -> None:
    before = odd_prefs(brian2)
    device, log_level = brian2.get_device(), logging.getLogger("brian2").level

    def fail(*now: object) -> None:
        raise KeyError("of the progress function")

    with pytest.raises(KeyError, match="of the progress function"):
        run(progress=fail)
    assert dict(brian2.prefs) == before
    assert brian2.get_device() is device and logging.getLogger("brian2").level == log_level
    assert not brian2.Network._globally_running and gc.get_freeze_count() == 0


def test_standalone_preferences_and_device_are_as_before(brian2: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("neuro_brian2.standalone._make", lambda folder, openmp: None)
    before, clock, runtime = odd_prefs(brian2), brian2.defaultclock.dt, brian2.get_device()
    environment, folder = dict(os.environ), Path.cwd()
    Brian2Backend(target="cpp_standalone", batch=3).compile(conformance.example()).close()
    assert dict(brian2.prefs) == before and brian2.get_device() is runtime and brian2.defaultclock.dt == clock
    assert dict(os.environ) == environment and Path.cwd() == folder


# ------------------------------------------------------------------------------------------------ what a user built


# What Brian2 warns of when a user calls it is its own: old names in pyparsing.
of_brian2 = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def user_network(brian2: Any) -> Any:
    """Return a network of the user's with synapses, delays and noise on the default clock, in the state of step 0."""
    brian2.defaultclock.dt = 0.5 * brian2.ms
    brian2.prefs["codegen.target"] = "numpy"
    brian2.seed(7)
    group = brian2.NeuronGroup(
        20,
        "dv/dt = (1.1 - v) / (10*ms) + 0.1 * xi * (10*ms)**-0.5 : 1",
        threshold="v > 1",
        reset="v = 0",
        method="euler",
    )
    synapses = brian2.Synapses(group, group, "w : 1", on_pre="v_post += w")
    synapses.connect(p=0.3)
    synapses.w = "0.1 * rand()"
    synapses.delay = "rand() * 5*ms"
    return brian2.Network(group, synapses, brian2.SpikeMonitor(group), brian2.StateMonitor(group, "v", record=True))


def result(network: Any) -> list[list[float]]:
    spikes, voltage = (o for o in network.sorted_objects if type(o).__name__ in ("SpikeMonitor", "StateMonitor"))
    if type(spikes).__name__ == "StateMonitor":
        spikes, voltage = voltage, spikes
    return [np.asarray(a).ravel().tolist() for a in (spikes.t, spikes.i, voltage.v)]


@of_brian2
def test_a_network_of_the_users_runs_on_as_if_alone(brian2: Any) -> None:
    found = []
    for between in (lambda: None, lambda: run("numpy"), lambda: run("cython")):
        network = user_network(brian2)
        between()  # before the first run,
        network.run(20 * brian2.ms)
        between()  # and in the middle, with spikes in flight
        network.run(30 * brian2.ms)
        found.append(result(network))
        assert brian2.defaultclock.dt == 0.5 * brian2.ms and brian2.defaultclock.t == 50 * brian2.ms
    assert len(found[0][0]) > 20
    assert found[1] == found[0] and found[2] == found[0]


@of_brian2
def test_the_magic_network_does_not_see_ours(brian2: Any) -> None:
    brian2.prefs["codegen.target"] = "numpy"
    group = brian2.NeuronGroup(2, "v : 1", name="mine")
    run()
    assert {each.name for each in brian2.collect()} == {"mine"}
    brian2.run(1 * brian2.ms)
    assert group.t == 1 * brian2.ms


@of_brian2
def test_a_standalone_project_of_the_users_is_not_touched(brian2: Any) -> None:
    brian2.set_device("cpp_standalone", build_on_run=False)
    device = brian2.get_device()
    try:
        network = user_network(brian2)
        network.run(10 * brian2.ms)
        before = len(device.main_queue), sorted(device.code_objects), set(device.arrays.values()), len(device.networks)
        conformance.assert_equal(run(), expected(), conformance.example())
        after = len(device.main_queue), sorted(device.code_objects), set(device.arrays.values()), len(device.networks)
        assert after == before and brian2.get_device() is device and not device.has_been_run
    finally:
        device.reinit()
        brian2.devices.reset_device()


def test_random_numbers_of_the_user_go_on(brian2: Any) -> None:
    np.random.seed(3)  # noqa: NPY002  (the generator that Brian2 uses)
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    run()
    assert np.array_equal(np.random.get_state()[1], before)  # noqa: NPY002


def test_programs_in_threads_do_not_disturb_each_other() -> None:
    found: list[Recording] = []
    threads = [threading.Thread(target=lambda: found.append(run())) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for got in found:
        conformance.assert_equal(got, expected(), conformance.example())
    assert len(found) == 3


@pytest.mark.parametrize("target", ["numpy", "cython"])
def test_a_network_of_ours_is_freed_after_its_run(target: str, brian2: Any) -> None:
    def alive() -> set[Any]:
        return {each().id for each in brian2.NeuronGroup.__instances__() if each() is not None}

    run(target)  # Brian2 keeps the first network that it compiles with Cython: of one sample and one step, in `compile`
    gc.collect()
    before = alive()
    run(target)
    assert alive() <= before


# ------------------------------------------------------------------------------------------- processes, files, logs


def test_import_is_quick_and_does_not_load_brian2() -> None:
    code = "import sys, neuro_brian2; print('brian2' in sys.modules, 'sympy' in sys.modules, neuro_brian2.Brian2Backend.name)"
    assert python(code) == "False False brian2"


def test_nothing_is_written_or_said_by_a_run(tmp_path: Path) -> None:
    code = (
        RUN
        + """
import os, sys, signal, logging, warnings
before = sys.excepthook, signal.getsignal(signal.SIGINT), warnings.showwarning
run()
run(target="cython")
assert (sys.excepthook, signal.getsignal(signal.SIGINT), warnings.showwarning) == before
print(os.listdir(os.environ["TMPDIR"]), flush=True)
os._exit(0)  # as a crash would: nothing can clean up
"""
    )
    run("cython")  # compile what is not in the cache yet
    assert python(code, TMPDIR=str(tmp_path)) == "[]"
    assert not list(tmp_path.iterdir())


def test_brian2_imported_by_the_user_keeps_its_log() -> None:
    code = f"import brian2, sys\nhook, log = sys.excepthook, brian2.BrianLogger.tmp_log\n{RUN}\nrun()\n"
    code += "import os; print(sys.excepthook is hook, brian2.BrianLogger.tmp_log == log, os.path.exists(log))"
    code += "\nprint(brian2.BrianLogger.file_handler is not None)"
    assert python(code).split() == ["True", "True", "True", "True"]


def test_a_missing_brian2_is_said_with_what_to_install() -> None:
    code = """
import sys
sys.modules["brian2"] = None  # import brian2 now fails as if it were not there
from neuro.backend import get
from neuro.backend.probe import tiny_graph
from neuro.errors import UnsupportedError
for target in ("numpy", "cython", "cpp_standalone"):
    backend = get("brian2", isolated=False, target=target)
    available = backend.is_available()
    assert not available
    try:
        backend.compile(tiny_graph())
    except UnsupportedError as err:
        assert str(err) == available.reason
print(available.reason)
"""
    said = python(code)
    assert said.startswith("backend 'brian2': brian2 does not import (got ")
    assert said.endswith("need brian2 >= 2.9). Install it with: pip install 'neuro[brian2]'.")


def test_ctrl_c_ends_a_run_and_is_raised(brian2: Any) -> None:
    # Brian2's own answer to Ctrl-C is to end the run early and say nothing: a shorter recording.
    def interrupt(*now: object) -> None:
        signal.raise_signal(signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, brian2._InterruptHandler(signal.default_int_handler))
    try:
        with pytest.raises(KeyboardInterrupt):
            run(progress=interrupt)
    finally:
        signal.signal(signal.SIGINT, before)
    assert not brian2.Network._globally_running and not brian2.Network._globally_stopped
    conformance.assert_equal(run(), expected(), conformance.example())


def test_warnings_of_the_user_stay_errors() -> None:
    run()
    with pytest.raises(DeprecationWarning, match="of the user"):
        warnings.warn("of the user", DeprecationWarning, stacklevel=1)


# ---------------------------------------------------------------------------------------------------- floating point


def test_a_process_that_flushes_subnormal_numbers_gets_them_in_a_run() -> None:
    graph = fading()
    stimulus = Stimulus.dense({"in": np.arange(1080).reshape(1, -1, 1) == 0})
    exact = conformance.golden(graph, stimulus, conformance.ALL)
    program = Brian2Backend().compile(graph)
    with flushed_to_zero():
        got = program.run(stimulus, conformance.ALL)
    conformance.assert_equal(got, exact, graph)
    v = exact.traces["n"]["v"]
    assert 0 < v[v > 0].min() < sys.float_info.min
