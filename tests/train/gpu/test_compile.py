"""Triton's compiler takes every kernel, for the arguments of real launches: the interpreter does not check types and layouts."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path


def test_every_kernel_compiles_for_an_h200_without_spilling(tmp_path, monkeypatch):
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))  # else what was compiled before would do
    script = Path(__file__).with_name("compile_kernels.py")
    done = subprocess.run([sys.executable, "-W", "error", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = re.findall(r"^(.+): (\w+) TILE=.*: (\d+) registers, (\d+) bytes spilt", done.stdout, re.MULTILINE)
    kernels = {"sweep", "arrive", "leak", "unsweep", "correlate"}
    assert {(net, kernel) for net, kernel, _, _ in lines} == {
        (net, kernel)
        for net in ("220 neurons", "220 neurons, 8 samples", "600 neurons", "double", "one of each")
        for kernel in kernels
    }
    for name in ("BITS", "HELD", "FIXED", "EXTRA", "DENSE"):
        assert {f"{name}=0", f"{name}=1"} <= set(done.stdout.replace(":", " ").split()), name
    assert all(int(registers) > 0 and int(spilt) == 0 for _, _, registers, spilt in lines)
