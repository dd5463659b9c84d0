"""The benchmark of the simulation runs, and checks what it times."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_quick_benchmark_ends_well(tmp_path: Path) -> None:
    command = [sys.executable, "benchmarks/simulate.py", "--quick"]
    command += ["--json", str(tmp_path / "s.json"), "--plot", str(tmp_path / "s.svg")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("all states equal the golden model") == 2
    found = json.loads((tmp_path / "s.json").read_text())
    assert found["machine"]["cores"] >= 1
    for case in found["cases"]:
        result, s = case["results"]["engine"], case["settings"]
        assert result["synapses"] == s["n"] * s["fan_in"] and result["events"] > 1000
        assert 5 < result["rate_hz"] < 30
    assert (tmp_path / "s.svg").read_text().startswith("<?xml")
