"""Make the peers' environment: a venv of their own, so that no pin of theirs reaches the project's."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HOME = Path(os.environ.get("NEURO_HOME", ROOT / ".neuro")) / "bench" / "train"
TORCH_INDEX = os.environ.get("TORCH_INDEX", "https://download.pytorch.org/whl/cpu")
# What the figures in the docs were measured with. torch comes first and alone, in the build for CPUs where one is to be had:
# the packages after it then keep it, and no build for GPUs (several GB) is pulled.
TORCH = ("torch==2.13.0", "numpy==2.2.6", "setuptools")
PACKAGES = {
    "norse": ("norse==1.1.*",),
    "snntorch": ("snntorch==1.0.*",),
    "spikingjelly": ("spikingjelly==2.0.*",),
    "jax": ("jax==0.10.*", "jaxlib==0.10.*"),
}


def python() -> Path:
    """Return the interpreter of the peers' environment."""
    return HOME / "bin" / "python"


def make(wanted: set[str]) -> dict[str, str]:
    """Make the environment with torch and the packages wanted, unless they are there; return what failed, by name.

    A mark is written for each package that was installed; delete the folder to begin anew.
    """
    if not (HOME / "torch.installed").exists():
        print(f"peers: environment in {HOME} (torch, norse, snnTorch, SpikingJelly, JAX: about 1 GB)", flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(HOME)], check=True)
    failures: dict[str, str] = {}
    for name, requirements in ({"torch": TORCH} | {n: r for n, r in PACKAGES.items() if n in wanted}).items():
        mark = HOME / f"{name}.installed"
        if mark.exists() and mark.read_text() == " ".join(requirements):
            continue
        print(f"peers: pip install {' '.join(requirements)}", flush=True)
        error = _install(requirements, index=name == "torch")
        if error:
            failures[name] = error
            print(f"peers: {name} cannot be installed: {error}", flush=True)
        else:
            mark.write_text(" ".join(requirements))
        if error and name == "torch":
            return dict.fromkeys({*wanted, "torch"}, f"torch cannot be installed: {error}")
    return failures


def _install(requirements: tuple[str, ...], index: bool) -> str | None:
    """Install packages; return the last line of pip's errors if that fails."""
    extra = []
    if index and TORCH_INDEX:  # asked before pip is told of it, since pip would retry an unreachable one for minutes
        reachable = subprocess.run(
            [sys.executable, str(ROOT / "tools" / "reachable.py"), f"{TORCH_INDEX}/torch/"], check=False
        )
        extra = ["--extra-index-url", TORCH_INDEX] if reachable.returncode == 0 else []
    pip = [str(python()), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    constraint = ["--constraint", str(ROOT / "constraints.txt")]
    done = subprocess.run([*pip, *constraint, *extra, *requirements], capture_output=True, text=True, check=False)
    return None if done.returncode == 0 else (done.stderr.strip().splitlines() or ["pip failed"])[-1]
