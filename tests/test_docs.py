"""The documentation works: its Python runs, its output is what is shown, its commands and links exist."""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from typer.main import get_command

from neuro import __version__
from neuro.backend import run
from neuro.backend.conformance import draw_stimulus, example
from neuro.cli import app
from neuro.recording import save

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


class Block(NamedTuple):
    """A fenced block: its language, its text, and the block right after it if that is its output."""

    page: str
    line: int
    language: str
    text: str
    output: str | None


def _blocks(page: Path) -> list[Block]:
    text = page.read_text()
    found = list(re.finditer(r"^```(\w*)([^\n]*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE))
    blocks = []
    for k, match in enumerate(found):
        following = found[k + 1] if k + 1 < len(found) else None
        shown = following is not None and following[1] == "text" and not text[match.end() : following.start()].strip()
        blocks.append(
            Block(
                str(page.relative_to(ROOT)),
                text[: match.start()].count("\n") + 1,
                match[1],
                match[3],
                following[3] if shown and following is not None else None,
            )
        )
    return blocks


BLOCKS = [block for page in PAGES for block in _blocks(page)]
PYTHON = [b for b in BLOCKS if b.language == "python"]
COMMANDS = [
    (b.page, line.removeprefix("$ "))
    for b in BLOCKS
    if b.language in ("sh", "console")
    for line in b.text.replace("\\\n", " ").splitlines()  # a command may go on in the next line
    if line.removeprefix("$ ").startswith("neuro ")
]


def test_there_is_something_to_test() -> None:
    assert len(PYTHON) >= 4
    assert sum(b.output is not None for b in PYTHON) >= 3
    assert len(COMMANDS) >= 10


@pytest.mark.parametrize("block", PYTHON, ids=lambda b: f"{b.page}:{b.line}")
def test_python_runs_and_prints_what_is_shown(block: Block, tmp_path: Path) -> None:
    # A page's file that starts with "# file.py" belongs to an example of several files, which has a test of its own.
    if re.match(r"# [\w/]+\.py\n", block.text):
        compile(block.text, block.page, "exec")
        return
    (tmp_path / "runs" / "demo").mkdir(parents=True)
    if "recording.h5" in block.text:  # in the page, what the command before it wrote
        graph = example()
        save(run(graph, draw_stimulus(graph, 2, 40, 1)), tmp_path / "runs" / "demo" / "recording.h5")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", block.text], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert done.returncode == 0, done.stderr
    if block.output is not None:
        assert [line.rstrip() for line in done.stdout.splitlines()] == [
            line.rstrip() for line in block.output.splitlines()
        ]


@pytest.mark.parametrize(("page", "line"), COMMANDS)
def test_commands_and_their_options_exist(page: str, line: str) -> None:
    words = shlex.split(line, comments=True)[1:]
    command: Any = get_command(app)
    while words and words[0] in getattr(command, "commands", {}):
        command = command.commands[words.pop(0)]
    assert not hasattr(command, "commands") or not words or words[0].startswith("-"), f"{page}: no command '{words[0]}'"
    known = {option for p in command.params for option in (*p.opts, *p.secondary_opts)} | {"--help"}
    unknown = [w for w in words if w.startswith("-") and w.partition("=")[0] not in known]
    assert not unknown, f"{page}: {line}"


def test_check_prints_what_the_loihi_page_shows() -> None:
    command = "neuro check models/digits/graph.h5 --profile loihi1"
    shown = re.search(
        rf"<!-- output of: {command} -->\n```text\n(.*?)^```$",
        (ROOT / "docs" / "loihi.md").read_text(),
        re.DOTALL | re.MULTILINE,
    )
    assert shown is not None
    done = subprocess.run(
        [sys.executable, "-c", "from neuro.cli import app; app()", *command.split()[1:]],
        capture_output=True, text=True, cwd=ROOT, check=True,
    )  # fmt: skip
    assert [line.rstrip() for line in done.stdout.splitlines()] == shown[1].splitlines()


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if "://" not in target and not target.startswith("#"):
            assert (page.parent / target.partition("#")[0]).exists(), f"{page.name}: {target}"


def _example() -> dict[str, str]:
    """Return the files of the example package by name, from the comment in their first line."""
    named = {}
    for block in BLOCKS:
        title = re.match(r"# ([\w/]+\.(?:py|toml))\n", block.text)
        if block.page == "docs/backends.md" and title:
            named[title[1]] = block.text
    return named


def test_example_of_a_backend_installs_and_passes_the_suite(tmp_path: Path) -> None:
    files = _example()
    assert set(files) == {"pyproject.toml", "neuro_plain/__init__.py", "tests/test_plain.py"}
    for name, text in files.items():
        (tmp_path / "package" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "package" / name).write_text(text)
    pip = [
        sys.executable,
        "-m",
        "pip",
        "--disable-pip-version-check",
        "install",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
    ]
    installed = subprocess.run(
        [*pip, "--target", str(tmp_path / "site"), str(tmp_path / "package")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert installed.returncode == 0, installed.stderr
    env = {**os.environ, "PYTHONPATH": os.pathsep.join((str(tmp_path / "site"), str(ROOT), str(ROOT / "backends")))}
    tested = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:nengo", "tests"],
        capture_output=True, text=True, cwd=tmp_path / "package", env=env, check=False,
    )  # fmt: skip
    assert tested.returncode == 0, tested.stdout[-3000:]
    passed = re.search(r"(\d+) passed", tested.stdout)
    assert passed is not None
    assert int(passed[1]) >= 10
    checked = subprocess.run(
        [sys.executable, "-c", "from neuro.cli import app; app()", "backends", "check", "plain"],
        capture_output=True, text=True, env=env, cwd=tmp_path, check=False,
    )  # fmt: skip
    assert checked.stdout.startswith("plain: ready (1.0")


def test_refresh_fills_in_what_a_page_marks(tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("refresh", ROOT / "docs" / "refresh.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "table.md").write_text("| a |\n")
    page = (
        "before\n<!-- output of: neuro --version -->\n```text\nold\n```\nbetween\n"
        "<!-- content of: runs/demo/table.md -->\nold\n<!-- end -->\nafter\n"
        "<!-- output of: neuro show runs/absent/graph.h5 -->\n```text\nkept\n```\n"
    )
    filled = module.refresh(page, tmp_path)
    assert filled == (
        f"before\n<!-- output of: neuro --version -->\n```text\nneuro {__version__}\n```\nbetween\n"
        "<!-- content of: runs/demo/table.md -->\n\n| a |\n\n<!-- end -->\nafter\n"
        "<!-- output of: neuro show runs/absent/graph.h5 -->\n```text\nkept\n```\n"
    )
    assert module.refresh(filled, tmp_path) == filled


def test_no_page_waits_for_its_output() -> None:
    for page in PAGES:
        assert "```text\n```" not in page.read_text(), f"{page.name}: run docs/refresh.py"
