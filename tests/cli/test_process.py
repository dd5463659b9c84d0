"""The command line as a process of its own: what it loads, how it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.cli.conftest import RECIPE

NEURO = [sys.executable, "-c", "from neuro.cli import app; app()"]


def test_importing_the_command_line_is_light_and_quick() -> None:
    code = (
        "import sys, time; start = time.perf_counter(); import neuro.cli; took = time.perf_counter() - start\n"
        "import json; print(json.dumps([took, sorted({m.split('.')[0] for m in sys.modules})]))"
    )
    found = [
        json.loads(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)
        for _ in range(3)
    ]
    loaded = found[0][1]
    assert "typer" in loaded
    assert not {"torch", "matplotlib", "numpy", "h5py", "sklearn", "scipy", "brian2", "lava"} & set(loaded)
    assert min(took for took, _ in found) < 0.5  # the shortest of three: the machine may be busy


def test_commands_without_training_load_no_torch(trained: Path) -> None:
    code = (
        "import sys; from neuro.cli import app\n"
        "try:\n    app()\nexcept SystemExit as end:\n    code = end.code\n"
        "print('loaded', *sorted({m.split('.')[0] for m in sys.modules}))\nsys.exit(code)"
    )
    for arguments in (["show", trained / "graph.h5"], ["run", trained / "graph.h5", "-n", "1"]):
        done = subprocess.run(
            [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True, check=True
        )
        loaded = done.stdout[done.stdout.index("\nloaded") :].split()
        assert "h5py" in loaded
        assert not {"torch", "matplotlib"} & set(loaded), arguments


def test_console_script_tells_errors_on_stderr_alone(tmp_path: Path) -> None:
    script = Path(sys.executable).with_name("neuro")
    done = subprocess.run([str(script), "show", str(tmp_path / "none.h5")], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert "no such file" in done.stderr


def test_ctrl_c_ends_training_with_130_and_nothing_is_lost(tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(
        RECIPE.replace("iterations = 6", "iterations = 100000").replace(
            "checkpoint_every = 2", "checkpoint_every = 1000"
        )
    )
    command = [*NEURO, "train", str(recipe), "--out", str(tmp_path / "run")]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        log = tmp_path / "run" / "log.jsonl"
        for _ in range(1200):
            if log.exists() and log.read_text().count("\n") >= 3:
                break
            assert process.poll() is None, process.stderr and process.stderr.read()
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=120)
    assert process.returncode == 130, (out, err)
    assert "Go on with: --resume" in err
    assert "Traceback" not in err
    steps = json.loads((tmp_path / "run" / "checkpoint.json").read_text())["iteration"]
    assert steps >= 3
    more = subprocess.run(
        [*command, "--resume", "--set", f"train.iterations={steps + 1}"], capture_output=True, text=True, check=False
    )
    assert more.returncode == 0, more.stderr
    assert f"ended after step {steps + 1}" in more.stdout


def test_closed_pipe_is_no_traceback(trained: Path) -> None:
    done = subprocess.run(
        ["sh", "-c", f"'{sys.executable}' -c 'from neuro.cli import app; app()' show '{trained / 'graph.h5'}' | true"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "Traceback" not in done.stderr
