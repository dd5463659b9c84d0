"""Build the distribution, install it in an environment of its own, and run a graph with it far from the repository."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

pytestmark = pytest.mark.timeout(600)

_RUN = """
import sys
import numpy as np
import neuro
import neuro.kernels

assert neuro.__file__.startswith(sys.prefix), neuro.__file__
b = neuro.Builder(name="wheel", seed=3)
b.spike_input("in", 20)
b.lif("lif", 30, n_ref=3)
b.alif("alif", 10, beta=0.2)
b.li("out", 2)
draw = lambda rng, n: rng.normal(0.3, 0.5, n)
b.connect("in", "lif", weight=draw, p=0.5)
b.connect("lif", "alif", weight=draw, p=0.5, delay=(1, 7))
b.connect("alif", "lif", weight=draw, p=0.5, delay=(1, 7))
b.connect("alif", "out", weight=draw)
graph = b.build()
stimulus = neuro.Stimulus.dense({"in": np.random.default_rng(0).random((4, 100, 20)) < 0.2})
record = neuro.Record(traces="all")
engine = neuro.run(graph, stimulus, backend="engine", record=record)
golden = neuro.run(graph, stimulus, backend="reference", record=record)
assert engine.exact and golden.exact
n_states = 0
for population, states in golden.traces.items():
    for state, values in states.items():
        assert np.array_equal(engine.traces[population][state], values), (population, state)
        n_states += 1
for population in ("lif", "alif"):
    assert len(golden.spikes[population]) > 0
    for field in ("sample", "step", "unit"):
        assert np.array_equal(getattr(engine.spikes[population], field), getattr(golden.spikes[population], field))
assert n_states == 4, n_states  # v; v and a; y
neuro.save(graph, "graph.h5")
assert neuro.load("graph.h5").sha256 == graph.sha256
print("spikes", sum(len(golden.spikes[p]) for p in ("lif", "alif")))
"""


def _run(*command: str | Path, cwd: Path) -> str:
    hidden = {"PYTHONPATH", "PYTHONHOME", "NEURO_KERNELS", "VIRTUAL_ENV"}
    env = {name: value for name, value in os.environ.items() if name not in hidden}
    done = subprocess.run(
        [str(c) for c in command], capture_output=True, text=True, timeout=500, cwd=cwd, env=env, check=False
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a wheel that `python -m build` makes, by way of the source distribution, from a copy of the tree."""
    source = tmp_path_factory.mktemp("source")
    listed = _run("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", cwd=ROOT)
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, source / name)
    _run(sys.executable, "-m", "build", "--no-isolation", source, cwd=source)
    (path,) = (source / "dist").glob("*.whl")
    return path


@pytest.fixture(scope="module")
def bare(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of an environment that holds the wheel, numpy and h5py, and nothing else."""
    folder = tmp_path_factory.mktemp("bare")
    _run(sys.executable, "-m", "venv", folder, cwd=folder)
    pip = (folder / "bin" / "python", "-m", "pip", "install", "--quiet", "--constraint", ROOT / "constraints.txt")
    _run(*pip, "numpy", "h5py", cwd=folder)
    _run(*pip, "--no-deps", wheel, cwd=folder)
    return folder


def test_one_wheel_serves_every_python_and_holds_what_it_needs(wheel: Path) -> None:
    assert wheel.name.split("-")[2:4] == ["py3", "none"]
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {
        "neuro/kernels/libneuro_kernels.so",
        "neuro/metrics/devices.toml",
        "neuro/py.typed",
        "neuro/report/page/assets/page.html",
        "neuro/report/page/assets/page.css",
        "neuro/report/page/assets/core.js",
        "neuro_brian2/__init__.py",
        "neuro_lava/__init__.py",
        "neuro_nengo/__init__.py",
    } <= names
    assert not {
        name for name in names if name.endswith((".cpp", ".hpp", ".pyc")) or name.startswith(("tests", "models"))
    }


def test_wheel_runs_a_graph_outside_the_repository_as_the_reference_does(bare: Path, tmp_path: Path) -> None:
    printed = _run(bare / "bin" / "python", "-c", _RUN, cwd=tmp_path)
    assert int(printed.split()[1]) > 100


def test_wheel_with_its_base_dependencies_has_the_command_line(bare: Path, wheel: Path, tmp_path: Path) -> None:
    pip = (bare / "bin" / "python", "-m", "pip", "install", "--quiet", "--constraint", ROOT / "constraints.txt")
    _run(*pip, wheel, cwd=tmp_path)
    printed = _run(bare / "bin" / "neuro", "--help", cwd=tmp_path)
    assert "compare" in printed
    assert "backends" in printed
    assert "23.6 (23.6 to 35.5) pJ" in _run(bare / "bin" / "neuro", "devices", "loihi", cwd=tmp_path)
