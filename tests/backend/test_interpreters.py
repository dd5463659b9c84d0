"""Find interpreters among shims that fail."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from neuro.backend import interpreters
from neuro.errors import UnsupportedError

THIS = f"{sys.version_info[0]}.{sys.version_info[1]}"
OTHER = "3.97"  # a Python that no machine has
Script = Callable[..., Path]

pytestmark = pytest.mark.usefixtures("empty_machine")


def says(version: str) -> str:
    """Return a script that answers as an interpreter of a version does."""
    return f"echo {version}"


def test_named_interpreter_is_taken_or_complained_about(
    script: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script(tmp_path / "first" / f"python{OTHER}", says(OTHER))
    named = script(tmp_path / "named", says(OTHER))
    monkeypatch.setenv("NEURO_PYTHON397", str(named))
    assert interpreters.find(OTHER) == named
    script(named, says("3.9"))
    with pytest.raises(
        UnsupportedError,
        match=r"^NEURO_PYTHON397: not a usable Python \(got '.*named', which is Python 3.9; need Python 3.97",
    ):
        interpreters.find(OTHER)
    monkeypatch.setenv("NEURO_PYTHON397", str(tmp_path / "none"))
    with pytest.raises(UnsupportedError, match="which does not start: No such file or directory"):
        interpreters.find(OTHER)


def test_shims_that_fail_are_passed_over(script: Script, tmp_path: Path) -> None:
    script(tmp_path / "first" / f"python{OTHER}", "echo 'pyenv: python3.97: command not found' >&2; exit 127")
    real = script(tmp_path / "second" / f"python{OTHER}", says(OTHER))
    assert interpreters.find(OTHER) == real


def test_this_interpreter_comes_before_path(script: Script, tmp_path: Path) -> None:
    script(tmp_path / "first" / f"python{THIS}", says(THIS))
    assert interpreters.find(THIS) == Path(sys.executable)


def test_pyenv_is_asked_next_and_its_newest_taken(script: Script, tmp_path: Path) -> None:
    for release in (f"{OTHER}.9", f"{OTHER}.13", f"{OTHER}-dev", "3.9.1"):
        script(tmp_path / "pyenv" / "versions" / release / "bin" / "python", says(OTHER))
    script(tmp_path / "first" / f"python{OTHER}", "exit 1")
    assert interpreters.find(OTHER).parts[-3] == f"{OTHER}.13"


def test_uv_comes_last_and_fetches_only_when_asked(script: Script, tmp_path: Path) -> None:
    real = script(tmp_path / "uv" / "python", says(OTHER))
    uv = f'case "$2" in install) touch "{tmp_path}/got";; find) test -e "{tmp_path}/got" && echo "{real}";; esac'
    script(tmp_path / "second" / "uv", uv.replace("touch", "/usr/bin/touch"))
    with pytest.raises(
        UnsupportedError, match=r"python 3.97: not found \(got none on PATH, in pyenv or in uv; need one"
    ):
        interpreters.find(OTHER)
    said: list[str] = []
    assert interpreters.find(OTHER, download=True, report=said.append) == real
    assert said == ["python 3.97: uv fetches it"]
    assert interpreters.find(OTHER) == real


def test_uv_that_fails_is_no_help(script: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uv = script(tmp_path / "second" / "uv", "exit 2")
    with pytest.raises(UnsupportedError, match="not found"):
        interpreters.find(OTHER, download=True)
    uv.write_text("no program")
    with pytest.raises(UnsupportedError, match="not found"):
        interpreters.find(OTHER)


def test_what_was_tried_is_told(script: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interpreters, "_ASK_LIMIT_S", 0.2)
    script(tmp_path / "first" / f"python{OTHER}", "exec /bin/sleep 9")
    script(tmp_path / "second" / f"python{OTHER}", "echo \"No module named 'ensurepip'\" >&2; exit 1")
    with pytest.raises(
        UnsupportedError,
        match=r"python 3.97: not found \(got '.*first/python3.97', which does not answer within 0.2 s; "
        r"'.*second/python3.97', which ends with: No module named 'ensurepip'; need one that starts, with venv\)\. "
        r"Install it, for example with 'uv python install 3.97' or 'pyenv install 3.97', or name it: NEURO_PYTHON397=",
    ):
        interpreters.find(OTHER)
