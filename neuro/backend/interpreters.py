"""Find an interpreter of a given Python version that really starts."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from neuro.errors import UnsupportedError

THIS = f"{sys.version_info[0]}.{sys.version_info[1]}"
_ASK = "import sys, venv, ensurepip; print(*sys.version_info[:2], sep='.')"  # Debian ships Python without the last two
_ASK_LIMIT_S = 60.0
_UV_LIMIT_S = 600.0  # it downloads 30 MB


def variable(version: str) -> str:
    """Return the name of the environment variable that names an interpreter: NEURO_PYTHON310 for "3.10"."""
    return "NEURO_PYTHON" + version.replace(".", "")


def find(version: str, *, download: bool = False, report: Callable[[str], None] = lambda _: None) -> Path:
    """Return an interpreter of a version, such as "3.10".

    In this order: the one that the environment variable names (and no other then), this one, PATH, pyenv, uv. A candidate
    counts only if it starts, has that version and can make environments; a version manager's shim may do none of this.
    Parameters: download, have uv fetch one if nothing else is there.
    Raises: UnsupportedError that says what to install and what was tried.
    """
    named = os.environ.get(variable(version))
    if named:
        fault = why_not(Path(named), version)
        if fault:
            raise UnsupportedError(
                f"{variable(version)}: not a usable Python (got '{named}', which {fault}; need Python {version} with venv). "
                "Correct the variable or unset it."
            )
        return Path(named)
    tried = []
    for path in _candidates(version, download, report):
        fault = why_not(path, version)
        if not fault:
            return path
        tried.append(f"'{path}', which {fault}")
    raise UnsupportedError(
        f"python {version}: not found (got {'; '.join(tried) or 'none on PATH, in pyenv or in uv'}; need one that starts, "
        f"with venv). Install it, for example with 'uv python install {version}' or 'pyenv install {version}', or name "
        f"it: {variable(version)}=/path/to/python{version}."
    )


def why_not(python: Path, version: str) -> str:
    """Return why an interpreter is no usable one of a version, or "" if it is."""
    done = attempt(python, _ASK, _ASK_LIMIT_S)
    if isinstance(done, str):
        return done
    if done.returncode != 0:
        return f"ends with: {(done.stderr.strip() or 'no message').splitlines()[-1]}"
    found = done.stdout.strip()
    return "" if found == version else f"is Python {found}"


def attempt(python: Path, code: str, limit_s: float) -> subprocess.CompletedProcess[str] | str:
    """Run code in an interpreter, apart from this one's settings; return how it ended, or why it did not start."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    try:
        return subprocess.run(
            [str(python), "-I", "-c", code], capture_output=True, text=True, timeout=limit_s, env=env, check=False
        )
    except OSError as err:
        return f"does not start: {err.strerror or err}"
    except subprocess.TimeoutExpired:
        return f"does not answer within {limit_s:g} s"


def _candidates(version: str, download: bool, report: Callable[[str], None]) -> Iterator[Path]:
    if sys.executable and version == THIS:
        yield Path(sys.executable)
    for folder in os.get_exec_path():  # all of them: the first may be a shim that fails, a later one real
        path = Path(folder) / f"python{version}"
        if path.is_file() and os.access(path, os.X_OK):
            yield path
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    yield from sorted(pyenv.glob(f"versions/{version}.*/bin/python"), key=_release, reverse=True)
    uv = shutil.which("uv")
    if uv is not None:
        found = _run_uv(uv, "find", version)
        if not found and download:
            report(f"python {version}: uv fetches it")
            _run_uv(uv, "install", version)
            found = _run_uv(uv, "find", version)
        if found:
            yield Path(found)


def _release(path: Path) -> tuple[int, ...]:
    """Return 3.10.13 of .../versions/3.10.13/bin/python as numbers; what is none of it sorts first."""
    return tuple(int(part) if part.isdigit() else -1 for part in path.parts[-3].split("."))


def _run_uv(uv: str, action: str, version: str) -> str:
    try:
        done = subprocess.run(
            [uv, "python", action, version], capture_output=True, text=True, timeout=_UV_LIMIT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
