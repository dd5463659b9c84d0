"""Use Brian2 without leaving a mark on it: its preferences, devices and loggers are as before when a session ends.

Brian2 keeps all of these in global variables, so sessions of several threads wait for one another.
"""

from __future__ import annotations

import gc
import hashlib
import importlib
import logging
import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from neuro.backend import ieee_doubles
from neuro.errors import UnsupportedError

INSTALL = "Install it with: pip install 'neuro[brian2]'."

COMPILE_ARGS = (
    ["/Ox", "/w", "/fp:strict"]
    if sys.platform == "win32"
    else ["-w", "-O3", "-std=c++11", "-fno-fast-math", "-ffp-contract=off"]
)
"""Brian2's defaults hold -ffast-math and -march=native, which contracts a * b + c into one rounding; ours are IEEE."""

_LOCK = threading.RLock()


def load() -> ModuleType:
    """Import brian2 and return it.

    Importing brian2 opens log files and takes over warnings, sys.excepthook and SIGINT; where the user has not imported
    it before, that is taken back, so that a program that only uses neuro does not change.
    Raises: UnsupportedError if it is not installed or does not import.
    """
    if sys.modules.get("brian2") is not None:
        return importlib.import_module("brian2")
    hook, captured = sys.excepthook, logging._warnings_showwarning  # type: ignore[attr-defined]
    interrupt = signal.getsignal(signal.SIGINT)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Brian2's own imports warn of what will change in their libraries
            brian2 = importlib.import_module("brian2")
    except ImportError as err:
        raise UnsupportedError(
            f"backend 'brian2': brian2 does not import (got {err}; need brian2 >= 2.9). {INSTALL}"
        ) from err
    finally:
        sys.excepthook = hook
        logging.captureWarnings(captured is not None)
        if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGINT) is not interrupt:
            signal.signal(signal.SIGINT, interrupt)
    _close_log_files(brian2)
    return brian2


def _close_log_files(brian2: ModuleType) -> None:
    """Remove the log file and the copy of the script that the import made: after a crash they would stay."""
    log = brian2.BrianLogger
    if log.file_handler is not None:
        logging.getLogger("brian2").removeHandler(log.file_handler)
        log.file_handler.close()
    for path in (log.tmp_log, log.tmp_script):
        if path is not None:
            Path(path).unlink(missing_ok=True)
    log.file_handler = log.tmp_log = log.tmp_script = None


@contextmanager
def session(device: Any, openmp_threads: int = 0) -> Iterator[None]:
    """Let Brian2 work with our preferences on a device of our own; restore everything in the end.

    Parameters: device, a Brian2 device that nobody else uses; openmp_threads, 0 for none.
    """
    brian2 = load()
    # By name: as an attribute of its package, `device` is not this module but a stand-in for the active device.
    devices: Any = importlib.import_module("brian2.devices.device")
    ieee = ieee_doubles("brian2", "isolated=True, or target='cpp_standalone'")
    with _LOCK, _quiet(), _prefs(brian2, openmp_threads), ieee, _own_garbage():
        active, network = devices.active_device, brian2.Network
        # Brian2 2.9 has both; they say that a run is under way, and that Ctrl-C was pressed in it.
        running = {k: getattr(network, k) for k in ("_globally_running", "_globally_stopped") if hasattr(network, k)}
        try:
            devices.active_device = device
            network._globally_stopped = False
            device.activate(build_on_run=False)
            yield
        finally:
            devices.active_device = active
            for key, value in running.items():
                setattr(network, key, value)


def generate_for(target: str) -> None:
    """Generate code for "numpy" or "cython" from here to the end of the session.

    A session begins with numpy: what makes a network runs once, and need not be compiled.
    """
    load().prefs["codegen.target"] = target


def require_flags() -> None:
    """Raise UnsupportedError unless the compiler takes our flags: Brian2 drops those that a trial refuses, quietly."""
    cpp: Any = importlib.import_module("brian2.codegen.cpp_prefs")
    _, taken = cpp.get_compiler_and_args()
    refused = [flag for flag in COMPILE_ARGS if flag not in taken]
    if refused:
        for key in [key for key in cpp._compiler_flag_compatibility if key[1] in refused]:
            del cpp._compiler_flag_compatibility[key]  # let the next compiler be tried anew
        raise UnsupportedError(
            f"backend 'brian2': the C++ compiler does not take {' '.join(refused)} (got a failed trial; need a compiler that "
            "does). Install g++ or clang, or name one in CXX, or use target='numpy'."
        )


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence Brian2's log, and the warnings of its libraries about its code: what goes wrong is raised."""
    log = logging.getLogger("brian2")
    level = log.level
    log.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(level)


@contextmanager
def _own_garbage() -> Iterator[None]:
    """Let the garbage collections that Brian2 makes in every run look at its own objects only.

    Looking at all objects takes 0.1-0.5 s where torch is loaded: longer than a small run. A network is a circle of
    references; it is collected at the end, as its memory would else wait for Python's next full collection.
    """
    if gc.get_freeze_count():  # the user's own
        yield
        return
    gc.freeze()
    try:
        yield
    finally:
        gc.collect()
        gc.unfreeze()


@contextmanager
def _prefs(brian2: ModuleType, openmp_threads: int) -> Iterator[None]:
    prefs = brian2.prefs
    before = dict(prefs)
    cache = cache_dir()
    ours = {
        "codegen.target": "numpy",
        "codegen.string_expression_target": "numpy",
        "codegen.loop_invariant_optimisations": False,  # it also rearranges arithmetic
        "codegen.cpp.extra_compile_args": COMPILE_ARGS,
        "codegen.cpp.extra_link_args": [],
        "codegen.cpp.define_macros": [],
        "codegen.cpp.headers": [],
        "codegen.cpp.libraries": [],
        "codegen.runtime.cython.cache_dir": str(cache) if cache else None,
        "core.default_float_dtype": np.float64,
        "core.stop_on_keyboard_interrupt": False,  # else Ctrl-C would end a run early, and quietly
        "devices.cpp_standalone.openmp_threads": openmp_threads,
        "logging.std_redirection": False,  # it leaves files behind
    }
    try:
        for key, value in ours.items():
            if key in before:  # stop_on_keyboard_interrupt is new in Brian2 2.9
                prefs[key] = value
        yield
    finally:
        for key, value in before.items():
            if prefs[key] is not value:
                prefs[key] = value


def cache_dir() -> Path | None:
    """Return the folder of compiled Cython modules: inside Brian2's own, so that its clear_cache empties this too.

    One for each set of compiler flags: Brian2 names modules by their code alone, and would take one built with others.
    """
    from brian2.codegen.runtime.cython_rt.extension_manager import get_cython_cache_dir

    flags = hashlib.sha256(" ".join(COMPILE_ARGS).encode()).hexdigest()[:12]
    root = get_cython_cache_dir()  # None without Cython
    return Path(root) / f"neuro_{flags}" if root else None
