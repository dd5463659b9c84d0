"""Put the failures of a worker into words: what happened, what to do, and what the worker itself had to say."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Mapping
from typing import Any

from neuro import errors
from neuro.errors import NeuroError, WorkerError

from .supervisor import OUTPUT, TRACEBACK

_SEE = "See below what it said."
_AGAIN = "Compile the graph again."


def raised(where: str, op: str, error: Mapping[str, Any], details: Mapping[str, Any]) -> NeuroError:
    """Return the exception that stands for one raised in the worker: a NeuroError as it was, else a WorkerError."""
    if error["class"] is not None:
        kind: type[NeuroError] = getattr(errors, error["class"])
        return kind(error["message"])
    advice = "Its environment may be damaged: make it again with 'neuro backends install'. " if op == "load" else ""
    return WorkerError(
        f"{where}: its worker failed to {op} (got {error['kind']}: {error['message']}; need no exception). {advice}{_SEE}"
        + _words(details, error["traceback"])
    )


def died(where: str, op: str, ended: Mapping[str, Any] | None, supervisor: int | None) -> WorkerError:
    """Return the error for a request to a worker that is gone.

    Parameters: ended, the supervisor's last message, {} if it died without one, None if the worker was closed here;
    supervisor, its exit status.
    """
    if ended is None:
        return WorkerError(f"{where}: cannot {op} (got a worker that was ended here; need a running one). {_AGAIN}")
    if not ended:
        how = f"a supervisor {_how(supervisor)}"
        return WorkerError(f"{where}: its worker was ended from outside (got {how}; need an answer to {op}). {_AGAIN}")
    if "failed" in ended:
        return WorkerError(
            f"{where}: its worker does not start (got {ended['failed']}; need what that names). Mend it; 'neuro backends "
            "install' makes an environment again."
        )
    if not ended["died"]:
        return WorkerError(
            f"{where}: its worker was ended from outside (got a signal to its supervisor; need an answer to {op}). {_AGAIN}"
        )
    killed = ended["code"] == -signal.SIGKILL
    advice = "Something outside killed it, or memory ran out: try fewer samples." if killed else _SEE
    return WorkerError(
        f"{where}: its worker died (got {_how(ended['code'])}; need an answer to {op}). {advice}" + _words(ended)
    )


def late(where: str, op: str, limit_s: float, ended: Mapping[str, Any] | None) -> WorkerError:
    """Return the error for a request that was not answered in time; the end of the output tells where it hung."""
    advice = "Give a larger time_limit_s, or fewer steps or samples."
    if op == "load":
        advice = "The machine may be busy: try again."
    return WorkerError(
        f"{where}: its worker took too long to {op} (got no answer in {limit_s:g} s; need one within the limit). {advice}"
        + _words(ended or {})
    )


def _words(details: Mapping[str, Any], traceback: str = "") -> str:
    """Return what the worker had to say, each part under a heading."""
    parts = (
        ("raised in the worker", traceback),
        ("noted by the backend", details.get(TRACEBACK, "")),
        ("end of the worker's output", details.get(OUTPUT, "")),
    )
    return "".join(f"\n--- {title} ---\n{text}" for title, text in parts if text)


def _how(code: int | None) -> str:
    if code is None or code >= 0:
        return f"exit code {code}"
    with contextlib.suppress(ValueError):
        return f"killed by {signal.Signals(-code).name}"
    return f"killed by signal {-code}"
