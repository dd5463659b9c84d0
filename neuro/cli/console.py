"""Show progress, and say what goes on where nobody watches a terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

QUIET_S = 2.0
"""Without a terminal a line is printed at most this often, and none before: what ends sooner needs no progress."""
_WIDTH = 120

Tell = Callable[[int, int, str], None]
"""Called with (done, total, what is done now); total 0: not known."""


def out() -> Console:
    """Return the console of results: as wide as the terminal, or wide enough for a table where there is none."""
    return _console(stderr=False)


def _console(stderr: bool) -> Console:
    terminal = (sys.stderr if stderr else sys.stdout).isatty()
    return Console(stderr=stderr, highlight=False, soft_wrap=False, width=None if terminal else _WIDTH)


@contextmanager
def progress(what: str) -> Iterator[Tell]:
    """Show a bar on stderr that is gone when the block ends; without a terminal print a line now and then."""
    console = _console(stderr=True)
    if not console.is_terminal:
        yield _lines(console)
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total, now: bar.update(task, completed=done, total=total or None, description=now)


def _lines(console: Console) -> Tell:
    last = time.monotonic()

    def tell(done: int, total: int, what: str) -> None:
        nonlocal last
        if time.monotonic() - last >= QUIET_S:
            last = time.monotonic()
            console.print(f"{what} ({done}/{total})" if total else what, markup=False)

    return tell
