"""Settings of every test: no window, one place for made environments, hypothesis without a clock."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest
from hypothesis import settings

from neuro.backend import environment, interpreters

ROOT = Path(__file__).resolve().parents[1]

os.environ.setdefault("MPLBACKEND", "Agg")
# As the Makefile has it, so that a plain `pytest` finds the Lava environment that `make` made.
os.environ.setdefault("NEURO_HOME", str(ROOT / ".neuro"))

# A shell without job control starts background jobs with Ctrl-C ignored, and every process below inherits that: tests of
# what Ctrl-C does would then wait for ever.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# A shared machine stalls for seconds at times: a deadline an example would measure that. With CI set the examples are
# the same in every run.
settings.register_profile("local", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "local")


def _has_packages(python: Path) -> bool:
    """Tell whether the interpreter is a Python 3.10 with numpy and h5py."""
    done = interpreters.attempt(python, "import sys, numpy, h5py\nassert sys.version_info[:2] == (3, 10)\n", 60.0)
    return not isinstance(done, str) and done.returncode == 0


@pytest.fixture(scope="session")
def python_3_10(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return a Python 3.10 with numpy and h5py: that of Lava's environment, one that is named, else a new environment's."""
    lava = environment.home() / "envs" / "lava" / "bin" / "python"
    named = Path(os.environ.get(interpreters.variable("3.10"), ""))
    for python in (lava, named):
        if python.is_file() and _has_packages(python):
            return str(python)
    folder = tmp_path_factory.mktemp("python310")
    subprocess.run([interpreters.find("3.10"), "-m", "venv", folder], check=True, timeout=120)
    subprocess.run([folder / "bin" / "pip", "install", "--quiet", "numpy", "h5py"], check=True, timeout=300)
    return str(folder / "bin" / "python")
