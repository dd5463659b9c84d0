"""Use Brian2 without leaving a mark on it: its preferences, devices and loggers are as before when a session ends.

Brian2 keeps all of these in global variables, so sessions of several threads wait for one another.
"""

from __future__ import annotations

import gc
import hashlib
import importlib
import logging
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from neuro.errors import UnsupportedError

INSTALL = "Install it with: pip install 'neuro[brian2]'"

COMPILE_ARGS = (
    ["/Ox", "/w", "/fp:strict"]
    if sys.platform == "win32"
    else ["-w", "-O3", "-std=c++11", "-fno-fast-math", "-ffp-contract=off"]
)
"""Brian2's defaults hold -ffast-math and -march=native, which contracts a * b + c into one rounding; ours are IEEE."""

_LOCK = threading.RLock()


def load() -> ModuleType:
    """Import brian2 and return it.

    Importing brian2 opens log files, takes over warnings and sys.excepthook; where the user has not imported it before,
    that is taken back, so that a program that only uses neuro does not change.
    Raises: UnsupportedError if it is not installed or does not import.
    """
    if "brian2" in sys.modules:
        return importlib.import_module("brian2")
    hook, captured = sys.excepthook, logging._warnings_showwarning  # type: ignore[attr-defined]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Brian2's own imports warn of what will change in their libraries
            brian2 = importlib.import_module("brian2")
    except ImportError as err:
        raise UnsupportedError(
            f"backend 'brian2': brian2 does not import (got {err}; need brian2 >= 2.7). {INSTALL}."
        ) from err
    finally:
        sys.excepthook = hook
        logging.captureWarnings(captured is not None)
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
    devices = importlib.import_module(
        "brian2.devices.device"
    )  # brian2.devices.device is also a name for something else
    with _LOCK, warnings.catch_warnings(), np.errstate(all="ignore"), _quiet(), _prefs(brian2, openmp_threads):
        warnings.simplefilter("ignore")  # of numpy and setuptools about Brian2's code: not the user's to mend
        active, network = devices.active_device, brian2.Network
        running = network._globally_running, network._globally_stopped
        frozen = gc.get_freeze_count()
        if not frozen:
            gc.freeze()  # Brian2 collects garbage at every run: let it look at its own objects only
        try:
            devices.active_device = device
            network._globally_stopped = False
            if device.defaultclock is None:
                device.activate(build_on_run=False)
            yield
        finally:
            devices.active_device = active
            network._globally_running, network._globally_stopped = running
            if not frozen:
                gc.unfreeze()


def generate_for(target: str) -> None:
    """Generate code for "numpy" or "cython" from here to the end of the session.

    A session begins with numpy: what makes a network runs once, and need not be compiled.
    """
    load().prefs["codegen.target"] = target


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence Brian2's log: what goes wrong is raised."""
    log = logging.getLogger("brian2")
    level = log.level
    log.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        log.setLevel(level)


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
