"""Make environments, know where they are, and make again what was interrupted."""

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

pytestmark = pytest.mark.usefixtures("empty_machine")


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
