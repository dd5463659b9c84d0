"""A tiny recipe, a run of it and its graph, made once; the command line in this process."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from neuro.cli import app
from tests import tiny

RECIPE = tiny.recipe(deep_r=False)

Neuro = Callable[..., Result]


@pytest.fixture(scope="session")
def neuro() -> Neuro:
    """Return a function that runs `neuro ARGUMENTS` in this process."""
    runner = CliRunner()
    return lambda *arguments: runner.invoke(app, [str(a) for a in arguments])


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, neuro: Neuro) -> Path:
    """Return a folder with recipe.toml, the run of it, and graph.h5; do not write into it."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "recipe.toml").write_text(RECIPE)
    for arguments in (
        ("train", folder / "recipe.toml", "--out", folder / "run"),
        ("export", folder / "run", "-o", folder / "graph.h5"),
    ):
        done = neuro(*arguments)
        assert done.exit_code == 0, done.output
    return folder


@pytest.fixture
def graph(trained: Path, tmp_path: Path) -> Path:
    """Return a copy of the trained graph, in a folder of the test's own."""
    return Path(shutil.copy(trained / "graph.h5", tmp_path / "graph.h5"))
