"""tools/find-chromium: the browser that is named, the one on PATH, the one that apt-get installs, and what is said without."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ("sh", "id", "mkdir", "cp", "chmod")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return a folder that is the whole PATH, with what a shell script needs and no browser."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in TOOLS:
        (folder / name).symlink_to(shutil.which(name) or name)
    return folder


def program(file: Path, text: str) -> Path:
    file.write_text(f"#!/bin/sh\n{text}\n")
    file.chmod(0o755)
    return file


def find(path: Path, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [ROOT / "tools" / "find-chromium", *arguments],
        env={"PATH": str(path), **env}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_the_first_that_starts_is_taken(path: Path) -> None:
    program(path / "chromium-browser", "echo 'install the snap' >&2; exit 1")  # Ubuntu's stub
    chrome = program(path / "google-chrome", "echo Chrome 1")
    assert find(path).stdout == f"{chrome}\n"


def test_the_named_one_goes_before(path: Path, tmp_path: Path) -> None:
    program(path / "chromium", "echo Chromium 1")
    mine = program(tmp_path / "mine", "echo Chromium 2")
    assert find(path, NEURO_CHROMIUM=str(mine)).stdout == f"{mine}\n"


def test_a_named_one_that_does_not_start_is_no_reason_to_take_another(path: Path, tmp_path: Path) -> None:
    program(path / "chromium", "echo Chromium 1")
    done = find(path, NEURO_CHROMIUM=str(tmp_path / "absent"))
    assert (done.returncode, done.stdout) == (1, "")
    assert f"NEURO_CHROMIUM: '{tmp_path / 'absent'}' is no Chromium that starts." in done.stderr


def test_without_any_it_says_what_to_install(path: Path) -> None:
    for arguments in ((), ("--install",)):  # no apt-get here
        done = find(path, *arguments)
        assert (done.returncode, done.stdout) == (1, "")
        assert "Install one (Debian: apt install chromium), or name one: NEURO_CHROMIUM=" in done.stderr


def test_apt_get_installs_one_for_root_and_for_nobody_else(path: Path, tmp_path: Path) -> None:
    made = program(tmp_path / "made", "echo Chromium 3")
    program(path / "apt-get", f'[ "$1" = update ] || cp {made} {path}/chromium')
    (path / "id").unlink()
    program(path / "id", "echo 1000")
    assert find(path, "--install").returncode == 1
    program(path / "id", "echo 0")
    done = find(path, "--install")
    assert done.stdout == f"{path}/chromium\n"
    assert "installing Debian's with apt-get" in done.stderr
    assert os.access(path / "chromium", os.X_OK)
