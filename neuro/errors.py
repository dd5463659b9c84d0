"""Name the errors this library raises, and the nearest known name for a mistyped one."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = [
    "DataError",
    "GraphError",
    "NeuroError",
    "QuantizationError",
    "RecipeError",
    "UnsupportedError",
    "WorkerError",
    "nearest",
]


class NeuroError(Exception):
    """Base of every error a user can cause or mend.

    The message has the form ``<where>: <what is wrong> (got <x>; need <y>). <what to do>.`` and stands alone:
    the command line prints it without a traceback and exits with code 2.
    """


class GraphError(NeuroError):
    """A spiking graph, or its file, breaks a validity rule; the message lists every broken rule."""


class UnsupportedError(NeuroError):
    """A backend, or this installation, cannot do what was asked."""


class QuantizationError(NeuroError):
    """A graph cannot be brought to the integer semantics of a profile."""


class DataError(NeuroError):
    """A stimulus, a data set or a recording is missing, malformed or out of range."""


class RecipeError(NeuroError):
    """A recipe names an unknown key, or gives one a value it cannot have."""


class WorkerError(NeuroError):
    """A backend's worker process failed, died or ran past its time limit; the message holds its own traceback."""


def nearest(name: str, known: Iterable[str]) -> str:
    """Return ``"Did you mean 'x'?"`` for the name in `known` closest to `name`, or ``""`` when none is close.

    Closeness is difflib's similarity ratio, at least 0.6 (its default), ignoring case.
    """
    by_folded = {candidate.casefold(): candidate for candidate in known}
    close = difflib.get_close_matches(name.casefold(), by_folded, n=1)
    return f"Did you mean '{by_folded[close[0]]}'?" if close else ""
