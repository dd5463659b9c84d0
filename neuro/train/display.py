"""Show how a run goes: a bar, and lines of text above it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


class Display:
    """Show a bar on stderr while it is entered, and give lines of text to `echo` (None: to stderr)."""

    def __init__(self, bar: bool, echo: Callable[[str], None] | None, total: int) -> None:
        self._console = Console(stderr=True, highlight=False)
        self._echo = echo or self._console.print
        columns = (
            TextColumn("training"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        self._bar = Progress(*columns, TextColumn("{task.fields[now]}"), console=self._console) if bar else None
        self._task = self._bar.add_task("training", total=total, now="") if self._bar is not None else None
        self._total = total

    def __enter__(self) -> Display:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def step(self, entry: dict[str, Any]) -> None:
        """Move the bar to the step of a log entry."""
        if self._bar is not None and self._task is not None:
            now = f"loss {entry['loss']:.3f}  {100 * entry['accuracy']:.0f} %"
            now += f"  {entry['rate_hz']:.1f} Hz" if "rate_hz" in entry else ""
            self._bar.update(self._task, completed=entry["iteration"], now=now)

    def validation(self, entry: dict[str, Any]) -> None:
        """Print the log entry of a validation as a sentence."""
        score = entry["validation"]
        text = f"step {entry['iteration']}/{self._total}: validation {100 * score['accuracy']:.1f} %"
        text += f" (loss {score['loss']:.3f})"
        if score["rate_hz"] is not None:
            text += f", {score['rate_hz']:.1f} Hz"
        if "budget" in entry:
            text += f", connections {entry['n_active']} (budget {entry['budget']}, {100 * entry['connectivity']:.2f} %)"
        self.line(text + (", best so far" if entry["best"] else ""))

    def line(self, text: str) -> None:
        """Print a line."""
        self._echo(text)
