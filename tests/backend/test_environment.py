"""Find interpreters among shims that fail, make environments, and make again what was interrupted."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from neuro.backend import Environment, environment, interpreters
from neuro.errors import UnsupportedError

THIS = f"{sys.version_info[0]}.{sys.version_info[1]}"
OTHER = "3.97"  # a Python that no machine has
Script = Callable[..., Path]


@pytest.fixture
def script() -> Script:
    """Return a writer of shell scripts that stand for interpreters and tools."""

    def write(path: Path, text: str) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
        return path

    return write


@pytest.fixture(autouse=True)
def empty_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Hide the machine's interpreters, tools and environments."""
    for name in ("NEURO_PYTHON310", "NEURO_PYTHON397", interpreters.variable(THIS), "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NEURO_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "pyenv"))
    monkeypatch.setenv("PATH", f"{tmp_path / 'first'}{os.pathsep}{tmp_path / 'second'}")


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


def test_home_is_where_the_user_says_or_in_the_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert environment.home() == tmp_path / "home"
    monkeypatch.delenv("NEURO_HOME")
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere/cache")
    assert environment.home() == Path("/somewhere/cache/neuro")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert environment.home() == Path.home() / ".cache" / "neuro"


@pytest.mark.parametrize(
    ("python", "module", "here"),
    [
        (THIS, "numpy", True),
        (THIS, "numpy.linalg", True),
        (THIS, "numpy.no_such", False),
        (THIS, "sys.no_such", False),
        (THIS, "no_such.module", False),
        (OTHER, "numpy", False),
    ],
)
def test_environment_knows_whether_it_is_here(python: str, module: str, here: bool) -> None:
    assert Environment(name="x", python=python, requirements=(), module=module).here() is here


def test_looking_imports_nothing() -> None:
    code = (
        "import sys\nfrom neuro.backend import Environment\n"
        f"e = Environment(name='x', python={THIS!r}, requirements=(), module='wsgiref.handlers')\n"
        "print(e.here(), 'wsgiref' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "False"]


def test_module_without_a_spec_is_not_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "specless", sys.__class__("specless"))
    assert not Environment(name="x", python=THIS, requirements=(), module="specless").here()


def test_missing_environment_says_what_to_do() -> None:
    e = Environment(name="fake", python=THIS, requirements=("thing==1.0",), module="thing")
    with pytest.raises(
        UnsupportedError,
        match=rf"^backend 'fake': its environment is not installed \(got none in '.*home/envs/fake'; need Python {THIS} with "
        r"thing==1\.0\)\. Run 'neuro backends install fake'\.$",
    ):
        e.interpreter()
    with pytest.raises(
        UnsupportedError,
        match=r"need Python 3.97 with .*First: python 3.97: not found .*Then run 'neuro backends install fake'",
    ):
        Environment(name="fake", python=OTHER, requirements=("thing==1.0",), module="thing").interpreter()


def test_named_interpreter_that_has_all_serves_as_environment(
    monkeypatch: pytest.MonkeyPatch, script: Script, tmp_path: Path
) -> None:
    monkeypatch.setenv(interpreters.variable(THIS), sys.executable)
    assert Environment(name="x", python=THIS, requirements=(), module="numpy").interpreter() == Path(sys.executable)
    with pytest.raises(UnsupportedError, match="is not installed"):
        Environment(name="x", python=THIS, requirements=(), module="no_such_module").interpreter()


def of(module: str = "json", requirement: str = "thing==1.0") -> Environment:
    """Return an environment of this Python."""
    return Environment(name="fake", python=THIS, requirements=(requirement,), module=module, imports=())


@pytest.fixture
def quick(script: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Return a maker of interpreters whose venv is a copy of themselves, whose pip is a line of shell, and which else are this."""

    def make(pip: str) -> Path:
        path = script(
            tmp_path / "quick",
            f'case "$*" in\n*"-m venv"*) /bin/mkdir -p "$4/bin"; /bin/cp "$0" "$4/bin/python";;\n'
            f'*"-m pip"*) {pip};;\n*) exec "{sys.executable}" "$@";;\nesac',
        )
        monkeypatch.setattr(interpreters, "find", lambda version, **_: path)
        return path

    return make


def test_environment_is_made_really(tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "thing").mkdir(parents=True)
    (source / "thing" / "__init__.py").touch()
    project = '[build-system]\nrequires = []\nbuild-backend = "maker"\nbackend-path = ["."]\n[project]\n'
    (source / "pyproject.toml").write_text(f'{project}name = "thing"\nversion = "1.0"\n')
    # A build backend of its own: pip needs nothing from an index then.
    (source / "maker.py").write_text(
        "import pathlib, zipfile\n"
        "def build_wheel(folder, config_settings=None, metadata_directory=None):\n"
        "    file = 'thing-1.0-py3-none-any.whl'\n"
        "    with zipfile.ZipFile(pathlib.Path(folder) / file, 'w') as z:\n"
        "        z.write('thing/__init__.py')\n"
        "        z.writestr('thing-1.0.dist-info/METADATA', 'Metadata-Version: 2.1\\nName: thing\\nVersion: 1.0\\n')\n"
        "        z.writestr('thing-1.0.dist-info/WHEEL', 'Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any')\n"
        "        z.writestr('thing-1.0.dist-info/RECORD', '')\n"
        "    return file\n"
    )
    e = of("thing", str(source))
    said: list[str] = []
    python = e.install(said.append)
    assert python == e.interpreter() == tmp_path / "home" / "envs" / "fake" / "bin" / "python"
    assert said[0] == f"fake: environment with {sys.executable} in {e.folder}"
    assert "  Successfully installed thing-1.0" in said
    assert said[-1] == "fake: installed"
    code = "import thing, sys; print(sys.prefix)"
    done = subprocess.run([str(python), "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(e.folder)
    said.clear()
    assert e.install(said.append) == python
    assert said == [f"fake: installed already in {e.folder}"]


def test_what_an_interrupted_install_left_is_made_again(quick: Callable[[str], Path]) -> None:
    quick("echo Collecting thing")
    e, said = of(), []
    python = e.install(said.append)
    assert said[2] == "  Collecting thing"
    (e.folder / "neuro-environment.json").unlink()
    (e.folder / "rest").touch()
    with pytest.raises(UnsupportedError, match="is not installed"):
        e.interpreter()
    said.clear()
    e.install(said.append)
    assert said[0] == "fake: what an earlier attempt left is removed"
    assert not (e.folder / "rest").exists()
    assert e.interpreter() == python


def test_environment_for_other_requirements_is_made_again(quick: Callable[[str], Path]) -> None:
    quick("echo Collecting thing")
    old, new, said = of(), of(requirement="thing==2.0"), []
    python = old.install(said.append)
    with pytest.raises(UnsupportedError, match=r"need Python .* with thing==2\.0"):
        new.interpreter()
    assert new.install(said.append) == python == new.interpreter()
    with pytest.raises(UnsupportedError, match=r"need Python .* with thing==1\.0"):
        old.interpreter()


def test_environment_that_stopped_working_is_made_again(quick: Callable[[str], Path]) -> None:
    quick("true")
    e, said = of(), []
    python = e.install(said.append)
    python.write_text("#!/bin/sh\nexit 1\n")
    said.clear()
    e.install(said.append)
    assert said[0] == "fake: what an earlier attempt left is removed"
    python.unlink()
    with pytest.raises(UnsupportedError, match="is not installed"):
        e.interpreter()


def test_killed_install_is_detected(quick: Callable[[str], Path]) -> None:
    python = quick("echo Collecting thing; exec /bin/sleep 60")
    code = (
        "from neuro.backend import Environment\n"
        f"e = Environment(name='fake', python={THIS!r}, requirements=('thing==1.0',), module='json', imports=())\n"
        "e.install(lambda text: print(text, flush=True))"
    )
    env = {**os.environ, interpreters.variable(THIS): str(python)}
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, start_new_session=True, env=env
    )
    assert process.stdout is not None
    assert any("Collecting" in line for line in process.stdout)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    e = of()
    assert (e.folder / "bin" / "python").exists()
    with pytest.raises(
        UnsupportedError, match=r"its environment is not installed .* Run 'neuro backends install fake'"
    ):
        e.interpreter()


def test_requirement_that_cannot_be_had_is_told(quick: Callable[[str], Path]) -> None:
    quick("echo 'ERROR: No matching distribution found for thing==1.0' >&2; exit 1")
    with pytest.raises(
        UnsupportedError,
        match=r"(?s)^backend 'fake': its environment cannot be made \(got exit code 1 of '.*pip .*thing==1\.0'; need 0\)\. .*"
        r"--- end of its output ---\nERROR: No matching distribution found for thing==1\.0$",
    ):
        of().install(lambda _: None)
    with pytest.raises(UnsupportedError, match="is not installed"):
        of().interpreter()


def test_package_that_does_not_import_is_told(quick: Callable[[str], Path]) -> None:
    quick("true")
    e = of("no_such_module")
    with pytest.raises(
        UnsupportedError,
        match=r"does not work \(got ModuleNotFoundError: No module named 'no_such_module'; need no_such_module to import\)",
    ):
        e.install(lambda _: None)
    with pytest.raises(UnsupportedError, match="is not installed"):
        e.interpreter()


def test_second_install_waits_for_the_first(tmp_path: Path) -> None:
    said: list[str] = []
    lock = tmp_path / "lock"
    done: list[float] = []

    def second() -> None:
        with environment._lock(lock, said.append):
            done.append(time.monotonic())

    with environment._lock(lock, said.append):
        thread = threading.Thread(target=second)
        thread.start()
        while not said:
            time.sleep(0.01)
        released = time.monotonic()
    thread.join(10)
    assert said == ["another process installs it; waiting"]
    assert done[0] >= released


def test_interrupted_command_is_ended(script: Script, tmp_path: Path) -> None:
    e = of("thing")
    command = script(tmp_path / "slow", f"echo $$ > {tmp_path}/pid; echo Collecting stars; exec /bin/sleep 60")

    def interrupt(_: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        e._call([str(command)], interrupt)
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)
