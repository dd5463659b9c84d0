"""Use Nengo without leaving a mark on it: its settings, networks and random numbers are as before when a session ends."""

from __future__ import annotations

import importlib
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

from neuro.errors import UnsupportedError

_LOCK = threading.RLock()


def load() -> ModuleType:
    """Import nengo and return it.

    Nengo 4.1 names numpy.core, of which numpy 2 warns; the warning is Nengo's matter, and is dropped here alone.
    Raises: UnsupportedError if nengo or scipy is not installed or does not import.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            nengo = importlib.import_module("nengo")
            importlib.import_module("scipy.sparse")
    except (ImportError, AttributeError) as err:  # AttributeError: a numpy that has dropped what Nengo names
        raise UnsupportedError(
            f"backend 'nengo': nengo does not import (got {err}; need nengo >= 4.1 and scipy). "
            "Install them with: pip install 'neuro[nengo]'."
        ) from err
    return nengo


@contextmanager
def building() -> Iterator[None]:
    """Let Nengo build in double precision, whatever the user's settings; restore them in the end.

    The settings are global, so that sessions of several threads wait for one another.
    """
    rc = load().rc
    with _LOCK:
        bits = rc.get("precision", "bits")
        rc.set("precision", "bits", "64")
        try:
            yield
        finally:
            rc.set("precision", "bits", bits)
