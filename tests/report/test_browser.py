"""The page in a real Chromium: it draws, zooms, switches, sorts and downloads, asks for nothing, and runs nothing that a name says."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser

from neuro import graph as graphs
from neuro import recording as recordings
from neuro.graph import Graph
from neuro.recording import Recording
from neuro.report.page import MOST_BYTES, assemble, read_sources, write
from tests.report.browser import Opened, chromium, opened
from tests.report.folder import write_folder
from tests.report.page_files import write_measured, write_run, write_sweep

WIDE, PHONE = {"width": 1200, "height": 900}, {"width": 390, "height": 800}
CHARTS = (
    "raster", "rates", "intervals", "cv", "dynamic", "standing", "spread", "tradeoff-chart", "confusion", "training-chart", "matrix-0",
    "matrix-1", "weights", "fan-in",
)  # fmt: skip
EVIL = '</script><img src=x onerror="window.hacked=1"><a href="javascript:window.hacked=2">%{y}</a>'


def make(paths: list[Path], output: Path, networks: tuple[Graph | None, Graph | None] = (None, None)) -> Path:
    write(assemble(read_sources(paths, lambda _: networks)), output)
    return output


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def html(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a page of everything: a comparison of three models, a run before and after rewiring, a sweep, a measurement."""
    folder = tmp_path_factory.mktemp("everything")
    (folder / "compared").mkdir()
    before = graphs.load(write_folder(folder / "compared") / "float" / "graph.h5")
    paths = [
        folder / "compared",
        write_run(folder / "trained"),
        write_sweep(folder / "swept"),
        write_measured(folder / "measured", counted=False),
    ]
    return make(paths, folder / "report.html", (before, rewired(before)))


def rewired(graph: Graph) -> Graph:
    """Return the graph with every third synapse of its first projection moved to the next neuron, where that is free."""
    first = graph.projections[0]
    taken, post = set(zip(first.pre.tolist(), first.post.tolist(), strict=True)), first.post.copy()
    for k in range(0, first.size, 3):
        to = (int(first.pre[k]), (int(post[k]) + 1) % graph.population(first.target).size)
        if to not in taken:
            taken.add(to)
            post[k] = to[1]
    return replace(graph, projections=(replace(first, post=post), *graph.projections[1:]))


@pytest.fixture(scope="module")
def shown(browser: Browser, html: Path) -> Iterator[Opened]:
    """Return the page as it opens: tests that change it open their own."""
    with opened(browser, html, viewport=WIDE) as found:
        yield found


def test_page_is_one_small_file(html: Path) -> None:
    assert 4_000_000 < html.stat().st_size < MOST_BYTES
    assert [p.name for p in html.parent.glob("report*")] == ["report.html"]


def test_every_chart_is_drawn_and_nothing_breaks_or_leaves_the_page(shown: Opened) -> None:
    for chart in CHARTS:
        assert shown.page.locator(f"#{chart} .main-svg").count() >= 1, chart
        if chart != "standing":
            assert shown.js("id => document.getElementById(id).data.length", chart) > 0, chart
    assert "no figure is published" in (shown.page.locator("#standing").text_content() or "")
    buttons = shown.js("[...document.querySelectorAll('.modebar-btn')].map(b => b.dataset.title)")
    assert "Zoom in" in buttons
    assert not [
        title for title in buttons if "Share" in title or "Cloud" in title
    ]  # Plotly has one that uploads the chart
    assert shown.problems == []
    assert shown.requests == []


def test_the_watch_sees_requests_and_errors(browser: Browser, tmp_path: Path) -> None:
    # Else the test above could pass by seeing nothing.
    bad = tmp_path / "bad.html"
    bad.write_text(
        "<div class=js-plotly-plot></div><img src='http://example.invalid/x.png'><script>console.error('told'); throw new Error('broke')</script>"
    )
    with opened(browser, bad) as found:
        assert found.requests == ["http://example.invalid/x.png"]
        assert any("told" in p for p in found.problems)
        assert any("broke" in p for p in found.problems)


def test_verdict_stands_first_and_says_what_was_found(shown: Opened) -> None:
    claims = shown.page.locator(".claim")
    assert "The same network on every backend" in claims.nth(0).inner_text()
    assert "agree bit for bit in every spike and every state of 2 models" in claims.nth(0).inner_text()
    said = shown.page.locator("#verdict").inner_text()
    assert "75.0 % right, was after 600" in said
    assert "trial 4, reaches 95.0 % at 1.6 µJ (800 nJ to 3.2 µJ) on loihi" in said
    assert "no energy counter was at hand (rapl: no folder" in said


def test_raster_holds_every_spike_of_the_sample(shown: Opened, html: Path) -> None:
    sample = recordings.load(html.parent / "compared" / "float" / "sample.h5")
    drawn = shown.js(
        "() => document.getElementById('raster').data.filter(t => t.meta).map(t => [t.x.length / 3, t.x.filter(x => x !== null).length / 2])"
    )
    expected = [len(sample.spikes[name]) for name in ("in", "alif", "lif")]
    assert min(expected) > 20
    assert sorted(n for n, _ in drawn) == sorted(expected)
    assert all(n == m for n, m in drawn)


def chosen(found: Opened) -> list[object]:
    return json.loads(found.js("document.getElementById('neuron').value"))


def curve(found: Opened, unit: str) -> list[float]:
    return found.js(
        "text => document.getElementById('raster').data.find(t => (t.hovertemplate || '').startsWith(text)).y", unit
    )


def test_states_are_those_of_the_chosen_neuron_and_its_threshold_is_that_of_the_graph(
    browser: Browser, html: Path
) -> None:
    folder = html.parent / "compared" / "float"
    sample, graph = recordings.load(folder / "sample.h5"), graphs.load(folder / "graph.h5")
    with opened(browser, html, viewport=WIDE) as found:
        for population, unit in (("alif", 3), ("lif", 5)):
            found.page.select_option("#neuron", json.dumps([population, unit], separators=(",", ":")))
            v, p = sample.traces[population]["v"][0, :, unit], graph.population(population)
            assert v.std() > 0
            assert curve(found, "v = ") == pytest.approx(v, abs=float(v.max() - v.min()) / 65534)
            adapted = p.beta[unit] * sample.traces["alif"]["a"][0, :, unit] if population == "alif" else 0 * v  # type: ignore[union-attr]
            assert curve(found, "threshold A") == pytest.approx(p.v_th[unit] + adapted, abs=1e-3)  # type: ignore[union-attr]
            assert ("adaptation a" in found.page.locator("#raster").text_content()) == (population == "alif")  # type: ignore[operator]


def point(found: Opened, population: str, k: int) -> tuple[float, float, int]:
    """Return where on the screen spike k of a population stands, and its neuron."""
    return tuple(found.js(
        """([name, k]) => {
          const div = document.getElementById('raster'), t = div.data.find(t => t.meta && (t.hovertemplate || '').startsWith(name + ' '));
          const full = div._fullLayout, y = full['yaxis' + t.yaxis.slice(1)], box = div.getBoundingClientRect();
          return [box.x + full.xaxis._offset + full.xaxis.d2p(t.x[3 * k]), box.y + y._offset + y.d2p(t.y[3 * k] + 0.45), t.customdata[3 * k]];
        }""",
        [population, k],
    ))  # fmt: skip


def test_a_click_on_a_spike_chooses_its_neuron(browser: Browser, html: Path) -> None:
    with opened(browser, html, viewport=WIDE) as found:
        found.page.locator("#raster").scroll_into_view_if_needed()
        x, y, unit = point(found, "lif", 4)
        assert chosen(found) != ["lif", unit]
        found.page.mouse.move(x, y)
        found.page.mouse.click(x, y)
        found.until("u => document.getElementById('neuron').value === JSON.stringify(['lif', u])", unit)
        assert f"lif {unit}: membrane" in (found.page.locator("#raster").text_content() or "")
        found.page.click("button[aria-label='Next neuron']")
        assert chosen(found) == ["lif", unit + 1]
        assert found.problems == []


def panel(found: Opened) -> tuple[float, float, float]:
    """Bring the readout's panel to the screen; return its left end, its middle height and its width there."""
    place = found.page.locator("#raster .nsewdrag").last
    place.scroll_into_view_if_needed()
    box = place.bounding_box()
    assert box is not None
    return box["x"], box["y"] + box["height"] / 2, box["width"]


def test_zoom_moves_all_panels_together_and_a_double_click_returns(browser: Browser, html: Path) -> None:
    with opened(browser, html, viewport=WIDE) as found:
        axis = "[...document.getElementById('raster')._fullLayout.xaxis.range]"
        whole = found.js(axis)
        assert found.js("new Set(document.getElementById('raster').data.map(t => t.xaxis)).size") == 1
        assert found.js("new Set(document.getElementById('raster').data.map(t => t.yaxis)).size") == 5
        x, y, width = panel(found)
        found.page.mouse.move(x + 0.25 * width, y)
        found.page.mouse.down()
        found.page.mouse.move(x + 0.5 * width, y, steps=8)
        found.page.mouse.up()
        found.until(f"({axis})[1] - ({axis})[0] < 30")
        zoomed = found.js(axis)
        assert zoomed[0] == pytest.approx(whole[0] + 0.25 * (whole[1] - whole[0]), abs=1.5)
        assert zoomed[1] == pytest.approx(whole[0] + 0.5 * (whole[1] - whole[0]), abs=1.5)
        found.page.click("button[aria-label='Next neuron']")
        assert found.js(axis) == zoomed  # another neuron, the same stretch of time
        x, y, width = panel(found)
        found.page.mouse.dblclick(x + 0.6 * width, y)
        found.until(f"({axis})[1] - ({axis})[0] > 60")
        assert found.js(axis) == whole


def told(html: Path) -> dict[str, dict[str, Any]]:
    """Return the models of the page's comparison, by name."""
    return {m["name"]: m for m in json.loads((html.parent / "compared" / "models.json").read_text())["models"]}


def test_models_and_devices_switch(browser: Browser, html: Path) -> None:
    with opened(browser, html, viewport=WIDE) as found:
        first = found.traces("rates")
        found.page.click("#activity-controls label:has-text('integer')")
        assert found.traces("rates") != first
        assert "auxiliary current x" in (found.page.locator("#raster").text_content() or "")
        on_45 = found.traces("dynamic")
        assert len(on_45[0]["x"]) == 3
        assert "not priced" not in (found.page.locator("#dynamic").text_content() or "")
        found.page.click("#energy-controls label:has-text('loihi')")
        assert len(found.traces("dynamic")[0]["x"]) == 1
        assert (found.page.locator("#dynamic").text_content() or "").count("not priced") == 2
        refused = found.page.locator("#energy-refused").inner_text()
        assert "Not priced: lstm. energy on 'loihi': Intel Loihi runs spiking models alone" in refused
        assert "times the dynamic part: mind the scales." in found.page.locator("#standing-caption").inner_text()
        assert found.page.locator("#table-energy tbody tr:visible").count() == 3
        found.page.click("#tradeoff-controls label:has-text('loihi')")
        assert any(len(t["x"]) == 5 for t in found.traces("tradeoff-chart"))
        wrong = found.page.locator("#confusions h3").inner_text()
        found.page.click("#answers-controls label:has-text('lstm')")
        assert found.page.locator("#confusions h3").inner_text() != wrong
        found.page.click("#connectivity-controls label:has-text('float')")
        assert found.page.locator("#matrices .js-plotly-plot").count() == 1
        assert found.problems == []


def test_energy_bars_and_whiskers_are_the_figures_of_the_file(shown: Opened, html: Path) -> None:
    figures = [m["energy"]["digital45"] for m in told(html).values()]
    synaptic, neuron, total = shown.traces("dynamic")
    assert synaptic["x"] == pytest.approx([f["parts"]["synaptic"]["value"] for f in figures])
    assert neuron["x"] == pytest.approx([f["parts"]["neuron"]["value"] for f in figures])
    assert total["x"] == pytest.approx([f["dynamic"]["value"] for f in figures])
    ends = shown.js(
        "() => { const t = document.getElementById('dynamic').data[2]; return t.x.map((x, k) => [x - t.error_x.arrayminus[k], x + t.error_x.array[k]]); }"
    )
    assert [e[0] for e in ends] == pytest.approx([f["dynamic"]["low"] for f in figures])
    assert [e[1] for e in ends] == pytest.approx([f["dynamic"]["high"] for f in figures])


def test_confusion_counts_every_answer(shown: Opened, html: Path) -> None:
    held = json.loads((html.parent / "compared" / "float" / "answers.json").read_text())
    drawn = shown.js("document.getElementById('confusion').data[0].customdata")
    assert sum(map(sum, drawn)) == len(held["labels"]) == 12
    for label, answer in zip(held["labels"], held["predictions"], strict=True):
        assert drawn[label][answer] >= 1


def test_connectivity_before_and_after_rewiring(shown: Opened) -> None:
    cells = [
        shown.js(f"document.getElementById('matrix-{k}').data[0].z.map(row => row.map(Math.sign))") for k in (0, 1)
    ]
    assert cells[0] != cells[1]
    assert [sum(abs(x) for row in m for x in row) for m in cells] == [570, 570]
    assert "are new" in shown.page.locator("#connectivity-notes").inner_text()


def column(found: Opened, table: str, k: int) -> list[str]:
    return [row.split("\n")[0] for row in found.page.locator(f"#{table} tbody tr td:nth-child({k})").all_inner_texts()]


def test_tables_sort_by_number_and_by_name_and_turn(browser: Browser, html: Path) -> None:
    models = told(html)
    by_parameters = sorted(models, key=lambda name: -models[name]["n_parameters"])
    by_rate = sorted((n for n in models if models[n]["mean_rate_hz"]), key=lambda n: models[n]["mean_rate_hz"])
    assert by_parameters != list(models)
    with opened(browser, html, viewport=WIDE) as found:
        assert column(found, "table-models", 1) == list(models)
        found.page.click("#table-models th:has-text('parameters') button")
        assert column(found, "table-models", 1) == by_parameters
        assert found.page.locator("#table-models th[aria-sort=descending]").inner_text() == "parameters"
        found.page.click("#table-models th:has-text('rate') button")
        found.page.click("#table-models th:has-text('rate') button")
        assert column(found, "table-models", 1) == [*by_rate, "lstm"]  # ascending; what has no rate stays last
        found.page.click("#table-models th:has-text('model') button")
        found.page.click("#table-models th:has-text('model') button")
        assert column(found, "table-models", 1) == ["lstm", "integer", "float"]


def test_csv_holds_the_table_as_sorted_with_numbers_unrounded(browser: Browser, html: Path) -> None:
    energies = {
        (name, device): e["dynamic"]
        for name, m in told(html).items()
        for device, e in m["energy"].items()
        if "refused" not in e
    }
    with opened(browser, html, viewport=WIDE) as found:
        found.page.click("#table-energy th:has-text('dynamic') button")
        with found.page.expect_download() as waiting:
            found.page.click("#table-energy .csv")
        assert waiting.value.suggested_filename == "energy.csv"
        rows = list(csv.DictReader(Path(waiting.value.path()).read_text().splitlines()))
    assert (len(energies), len(rows)) == (4, 6)  # those without a figure are last
    assert [(r["model"], r["device"]) for r in rows[:4]] == sorted(energies, key=lambda at: -energies[at]["value"])
    for row in rows[:4]:
        dynamic = energies[row["model"], row["device"]]
        assert float(row["dynamic (J)"]) == dynamic["value"]
        assert float(row["dynamic low (J)"]) == dynamic["low"]
        assert float(row["dynamic high (J)"]) == dynamic["high"]


def contrast(a: tuple[float, float, float], b: tuple[float, float, float]) -> float:
    """Return the contrast of two colours after WCAG 2.1: 1 to 21."""

    def luminance(colour: tuple[float, float, float]) -> float:
        linear = [x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in colour]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    bright, dim = sorted((luminance(a), luminance(b)), reverse=True)
    return (bright + 0.05) / (dim + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read_in_light_and_dark(browser: Browser, html: Path, scheme: str) -> None:
    with opened(browser, html, viewport=WIDE, color_scheme=scheme) as found:
        paper = found.colour("body", "backgroundColor")
        assert (sum(paper) > 1.5) == (scheme == "light")
        for selector in (
            "h1",
            ".subtitle",
            ".claim dd p",
            ".prose",
            "th",
            "td.good",
            ".csv",
            "figcaption",
            "nav a",
            ".mark",
        ):
            assert contrast(found.colour(selector), paper) >= 4.5, selector
        assert contrast(found.colour("#rates .xtick text", "fill"), paper) >= 4.5


def test_theme_switch_repaints_page_and_charts_and_is_kept(browser: Browser, html: Path) -> None:
    with opened(browser, html, viewport=WIDE, color_scheme="light") as found:
        before = found.colour("#rates .xtick text", "fill")
        found.page.click("#theme label:has-text('Dark')")
        assert sum(found.colour("body", "backgroundColor")) < 0.5
        assert found.colour("#rates .xtick text", "fill") != before
        found.page.reload()
        assert sum(found.colour("body", "backgroundColor")) < 0.5
        found.page.click("#theme label:has-text('Auto')")
        assert sum(found.colour("body", "backgroundColor")) > 2.5
        assert found.problems == []


def overflow(found: Opened) -> int:
    return found.js("document.documentElement.scrollWidth - window.innerWidth")


def test_phone_shows_everything_without_scrolling_sideways(browser: Browser, html: Path) -> None:
    with opened(browser, html, viewport=PHONE, is_mobile=True, has_touch=True) as found:
        assert overflow(found) <= 0
        wide = found.js(
            "[...document.querySelectorAll('.js-plotly-plot')].filter(d => !d.hidden && d.getBoundingClientRect().right > window.innerWidth + 1).map(d => d.id)"
        )
        assert wide == []
        assert found.js("document.getElementById('raster')._fullLayout.dragmode") is False  # a finger scrolls the page
        assert float(found.js("parseFloat(getComputedStyle(document.querySelector('.claim dd p')).fontSize)")) >= 15
        assert found.problems == []


@pytest.fixture
def evil(tmp_path: Path) -> Path:
    """Return a comparison whose every name would run a script, leave the page or break a table if it could."""
    folder = write_folder(tmp_path)
    held = json.loads((folder / "models.json").read_text())
    held |= {
        "command": EVIL,
        "machine": EVIL,
        "versions": {EVIL: EVIL},
        "split": EVIL,
        "task": {"name": EVIL, "params": {EVIL: EVIL}},
    }
    names = (EVIL, '=HYPERLINK("http://example.invalid")', "x" * 3000)
    for model, name in zip(held["models"], names, strict=True):
        device = {d + EVIL: e for d, e in model["energy"].items()}
        backends = {
            b + EVIL: {**r, "reason": EVIL if r["reason"] else "", "text": EVIL} for b, r in model["backends"].items()
        }
        model |= {
            "name": name,
            "path": EVIL,
            "sha256": EVIL,
            "energy": device,
            "backends": backends,
            "kind": EVIL if name == names[2] else model["kind"],
        }
        model["distributions"]["dynamic_j"] = {d + EVIL: v for d, v in model["distributions"]["dynamic_j"].items()}
        for estimate in model["energy"].values():
            if "refused" in estimate:
                estimate["refused"] = EVIL
            else:
                estimate["notes"] = [EVIL]
        if model["folder"] == "float":
            model["sha256"] = hostile_populations(folder / "float")
        elif (folder / model["folder"] / "graph.h5").exists():
            model["sha256"] = graphs.load(folder / model["folder"] / "graph.h5").sha256
    held["devices"] = [d + EVIL for d in held["devices"]]
    (folder / "models.json").write_text(json.dumps(held))
    return folder


def hostile_populations(folder: Path) -> str:
    """Rename the populations in a graph and its recordings, and return its hash; names of a graph hold no slash."""
    names = {
        name: f'{name}<img src=x onerror="window.hacked=3"><a href="http:example.invalid">%{{x}}'
        for name in ("in", "lif", "alif", "out")
    }
    graph = graphs.load(folder / "graph.h5")
    renamed = Graph(
        populations=tuple(replace(p, name=names[p.name]) for p in graph.populations),
        projections=tuple(replace(c, source=names[c.source], target=names[c.target]) for c in graph.projections),
        dt_ms=graph.dt_ms,
        name=EVIL,
    )
    graphs.save(renamed, folder / "graph.h5")
    for file in ("recording.h5", "sample.h5"):
        r: Recording = recordings.load(folder / file)
        counts = replace(
            r.counts,
            spikes={names[n]: x for n, x in r.counts.spikes.items()},
            neuron_updates={names[n]: x for n, x in r.counts.neuron_updates.items()},
        )
        held = replace(
            r,
            graph_sha256=renamed.sha256,
            spikes={names[n]: e for n, e in r.spikes.items()},
            traces={names[n]: t for n, t in r.traces.items()},
            sizes={names[n]: s for n, s in r.sizes.items()},
            counts=counts,
        )
        recordings.save(held, folder / file)
    return renamed.sha256


def test_names_cannot_run_scripts_leave_the_page_or_break_it(browser: Browser, evil: Path, tmp_path: Path) -> None:
    sweep = write_sweep(tmp_path / "s", device="loihi" + EVIL, name=EVIL)
    html = make([evil, sweep], tmp_path / "report.html")
    with opened(browser, html, viewport=PHONE) as found:
        for label in found.page.locator(".segments label").all():
            label.click()
        for select in found.page.locator("select").all():
            select.select_option(index=select.locator("option").count() - 1)
        found.page.select_option("#activity-controls select >> nth=0", index=0)
        found.page.locator("#raster").scroll_into_view_if_needed()
        found.page.mouse.move(200, 400)
        found.page.wait_for_timeout(300)
        assert found.js("typeof window.hacked") == "undefined"
        assert (
            found.js(
                "document.querySelectorAll('img, iframe, object, svg a, a[href^=javascript], a[href^=http]').length"
            )
            == 0
        )
        assert found.problems == []
        assert found.requests == []
        assert overflow(found) <= 0
        assert EVIL in (found.page.locator("#record").text_content() or "")  # shown as it is, letter by letter
        assert "onerror=" in (found.page.locator("#raster").text_content() or "") + (
            found.page.locator("#raster-legend").text_content() or ""
        )
        with found.page.expect_download() as waiting:
            found.page.click("#table-models .csv")
        models = [row[0] for row in csv.reader(Path(waiting.value.path()).read_text().splitlines())][1:]
    assert models[:2] == [EVIL, '\'=HYPERLINK("http://example.invalid")']  # a spreadsheet takes it as text


def test_the_policy_stops_a_script_that_got_in(browser: Browser, html: Path, tmp_path: Path) -> None:
    # The second wall: even markup that the template would let through could not run.
    broken = tmp_path / "broken.html"
    text = html.read_text().replace(
        "<main>", '<main><img src="data:,x" onerror="window.hacked=1"><script>window.hacked=2</script>', 1
    )
    broken.write_text(text)
    with opened(browser, broken) as found:
        found.page.wait_for_timeout(200)
        assert found.js("typeof window.hacked") == "undefined"
        assert any("Content Security Policy" in p for p in found.problems)
