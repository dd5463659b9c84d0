"""Progress: quiet where all is quick, a line now and then without a terminal, a bar on one."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from neuro.cli import console


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return the time that the module reads, in a list to be changed."""
    now = [100.0]
    monkeypatch.setattr(console.time, "monotonic", lambda: now[0])
    return now


def test_quick_work_is_silent_without_a_terminal(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    with console.progress("work") as tell:
        for k in range(5):
            clock[0] += 0.3
            tell(k, 5, "step")
    assert capsys.readouterr() == ("", "")


def test_long_work_is_a_line_now_and_then(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    with console.progress("work") as tell:
        for k in range(12):
            clock[0] += 0.5
            tell(k, 12, f"[step] {k}")
        clock[0] += 5
        tell(0, 0, "closing")
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == ["[step] 3 (3/12)", "[step] 7 (7/12)", "[step] 11 (11/12)", "closing"]


def test_terminal_gets_a_bar_that_is_gone_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = io.StringIO()
    monkeypatch.setattr(console, "_console", lambda stderr: Console(file=screen, force_terminal=True, width=80))
    with console.progress("work") as tell:
        tell(3, 4, "samples 0 to 9")
    drawn = screen.getvalue()
    assert "samples 0 to 9" in drawn
    assert "\x1b[2K" in drawn  # the line is erased


def test_results_are_wide_enough_without_a_terminal() -> None:
    assert console.out().width == 120
