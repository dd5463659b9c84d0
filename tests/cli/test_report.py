"""`neuro report` from end to end: a recipe is trained, exported and compared, and the page of all that is driven in Chromium."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from neuro.report.page import MOST_BYTES
from tests.cli.conftest import Neuro
from tests.report.browser import chromium, opened


@pytest.fixture
def compared(trained: Path, neuro: Neuro, tmp_path: Path) -> Path:
    """Return the folder of a comparison of the tiny graph on two backends, on Loihi and in 45 nm."""
    done = neuro(
        "compare", trained / "graph.h5", "-b", "engine,reference", "-n", 12, "--devices", "loihi,digital45", "--no-rasters", "-o", tmp_path / "compared"
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    return tmp_path / "compared"


def test_recipe_to_page_in_a_browser(trained: Path, compared: Path, neuro: Neuro, tmp_path: Path) -> None:
    html = tmp_path / "pages" / "report.html"
    done = neuro("report", compared, trained / "run", "-o", html)
    assert done.exit_code == 0, done.output
    assert done.output.startswith(f"{html}: ")
    assert "activity, energy, accuracy against energy, answers, training, connectivity, record" in done.output
    assert html.stat().st_size < MOST_BYTES
    told = json.loads((compared / "models.json").read_text())["models"][0]
    with chromium() as browser, opened(browser, html, viewport={"width": 1200, "height": 900}) as found:
        said = found.page.locator("#verdict").inner_text()
        assert "engine and reference agree bit for bit in every spike and every state (" in said
        assert f"({told['n_right']} of {told['n_decisions']})" in said
        assert "of the latter are new" in said  # the network as drawn from the run's seed, and as it became
        assert told["sha256"] in found.page.locator("#record").inner_text()
        found.page.click("#energy-controls label:has-text('loihi')")
        assert "needs a placement" in found.page.locator("#energy-refused").inner_text()
        assert found.page.locator("#matrices .js-plotly-plot").count() == 2
        assert found.problems == []
        assert found.requests == []


def test_networks_of_a_run_are_as_drawn_and_as_trained(trained: Path) -> None:
    from neuro.cli.report import _networks
    from neuro.graph import load

    before, after = _networks(trained / "run")
    assert before is not None
    assert after is not None
    assert after.sha256 == load(trained / "graph.h5").sha256
    assert [p.size for p in before.populations] == [p.size for p in after.populations]
    assert before.sha256 != after.sha256
    assert before.n_synapses > 100


def test_a_run_that_goes_on_from_another_is_not_shown_as_if_it_began_afresh(
    trained: Path, neuro: Neuro, tmp_path: Path
) -> None:
    from neuro.cli.report import _networks

    text = (trained / "recipe.toml").read_text()
    (tmp_path / "recipe.toml").write_text(f'start = "{trained / "run"}"\n{text}')
    assert neuro("train", tmp_path / "recipe.toml", "--out", tmp_path / "run").exit_code == 0
    before, after = _networks(tmp_path / "run")
    assert before is None
    assert after is not None


def test_a_run_for_a_chip_shows_integers_before_and_after(trained: Path, neuro: Neuro, tmp_path: Path) -> None:
    from neuro.cli.report import _networks

    (tmp_path / "recipe.toml").write_text('quantize = "loihi1"\n' + (trained / "recipe.toml").read_text())
    done = neuro("train", tmp_path / "recipe.toml", "--out", tmp_path / "run")
    assert done.exit_code == 0, done.output
    before, after = _networks(tmp_path / "run")
    assert before is not None
    assert after is not None
    assert (before.semantics, after.semantics) == ("integer", "integer")
    done = neuro("report", tmp_path / "run", "-o", tmp_path / "report.html")
    assert done.output.endswith(" MB, training, connectivity, record\n")


def test_a_dense_run_has_no_network(trained: Path, neuro: Neuro, tmp_path: Path) -> None:
    recipe = (trained / "recipe.toml").read_text().replace("n_lif = 12\nn_alif = 8\n", 'kind = "rnn"\nn_units = 4\n')
    (tmp_path / "recipe.toml").write_text(recipe)
    assert neuro("train", tmp_path / "recipe.toml", "--out", tmp_path / "run").exit_code == 0
    done = neuro("report", tmp_path / "run", "-o", tmp_path / "report.html")
    assert done.exit_code == 0, done.output
    assert done.output.endswith(" MB, training, record\n")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("absent", "absent: not found (got no such path; need a folder or a recording). Check the path."),
        ("graph.h5", "a graph, which has done nothing yet"),
        ("recipe.toml", "not"),
    ],
)
def test_what_cannot_be_reported_is_told_and_nothing_is_written(
    trained: Path, neuro: Neuro, tmp_path: Path, given: str, message: str
) -> None:
    for name in ("graph.h5", "recipe.toml"):
        shutil.copy(trained / name, tmp_path / name)
    done = neuro("report", tmp_path / given, "-o", tmp_path / "report.html")
    assert done.exit_code == 2
    assert message in done.output
    assert str(tmp_path / given) in done.output
    assert not (tmp_path / "report.html").exists()


def test_a_page_replaces_a_page_and_nothing_else(trained: Path, compared: Path, neuro: Neuro, tmp_path: Path) -> None:
    held = (compared / "models.json").read_bytes()
    done = neuro("report", compared, "-o", compared / "models.json")
    assert done.exit_code == 2
    assert f"{compared / 'models.json'}: no page, and would be lost (got another kind of file" in done.output
    assert (compared / "models.json").read_bytes() == held
    assert "no file (got a folder; need" in neuro("report", compared, "-o", compared).output
    (tmp_path / "page.html").touch()
    for _ in range(2):
        assert neuro("report", compared, "-o", tmp_path / "page.html").exit_code == 0
    assert (tmp_path / "page.html").stat().st_size > 1_000_000
