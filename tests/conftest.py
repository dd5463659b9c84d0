"""Settings of every test: no window, one place for made environments, hypothesis without a clock."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parents[1]

os.environ.setdefault("MPLBACKEND", "Agg")
# As the Makefile has it, so that a plain `pytest` finds the Lava environment that `make` made.
os.environ.setdefault("NEURO_HOME", str(ROOT / ".neuro"))

# A shared machine stalls for seconds at times: a deadline an example would measure that. With CI set the examples are
# the same in every run.
settings.register_profile("local", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "local")


def _pythons_3_10() -> Iterator[str]:
    """Yield what may be a Python 3.10: Lava's environment, the one named, the one on PATH, pyenv's and uv's."""
    yield str(Path(os.environ["NEURO_HOME"]) / "envs" / "lava" / "bin" / "python")
    yield os.environ.get("NEURO_PYTHON310", "")
    yield shutil.which("python3.10") or ""
    home = Path.home()
    for folder in (Path(os.environ.get("PYENV_ROOT", home / ".pyenv")) / "versions", home / ".local/share/uv/python"):
        yield from (str(path) for path in sorted(folder.glob("*3.10*/bin/python3.10")))


def _runs(python: str, code: str) -> bool:
    """Tell whether the interpreter starts and ends the code well; a version manager's shim may not."""
    try:
        return subprocess.run([python, "-c", code], capture_output=True, timeout=60, check=False).returncode == 0
    except OSError:
        return False


@pytest.fixture(scope="session")
def python_3_10(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the path of a Python 3.10 that has numpy and h5py; make an environment when only a bare one is there."""
    is_3_10 = "import sys; assert sys.version_info[:2] == (3, 10)"
    found = [python for python in _pythons_3_10() if python and _runs(python, is_3_10)]
    for python in found:
        if _runs(python, "import numpy, h5py"):
            return python
    assert found, "This test needs Python 3.10 (Lava's). Install it, or name it: NEURO_PYTHON310=/path/to/python3.10"
    folder = tmp_path_factory.mktemp("python310")
    subprocess.run([found[0], "-m", "venv", str(folder)], check=True, timeout=120)
    python = str(folder / "bin" / "python")
    subprocess.run([python, "-m", "pip", "install", "--quiet", "numpy", "h5py"], check=True, timeout=300)
    return python
