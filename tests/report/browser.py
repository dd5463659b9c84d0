"""Open a page in a real Chromium, and note everything that a page which needs nothing must not do."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, Route, sync_playwright

ROOT = Path(__file__).resolve().parents[2]
FLAGS = [
    "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip


@dataclass
class Opened:
    """A page in the browser. problems: errors and warnings of its console, and scripts that broke. requests: any but the page itself."""

    page: Page
    problems: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def js(self, code: str, argument: object = None) -> Any:
        """Return what a piece of script gives in the page."""
        return self.page.evaluate(code, argument)

    def until(self, code: str, argument: object = None) -> None:
        """Wait until a piece of script gives true, 10 s at most; Playwright's own waiting needs eval, which the page's policy forbids."""
        end = time.monotonic() + 10
        while not self.js(code, argument):
            assert time.monotonic() < end, f"still not: {code}"
            self.page.wait_for_timeout(20)

    def traces(self, chart: str) -> list[dict[str, Any]]:
        """Return what Plotly drew in a chart."""
        return self.js(
            "id => document.getElementById(id).data.map(t => ({type: t.type, x: [...t.x].map(Number), y: [...t.y].map(Number), mode: t.mode}))", chart
        )  # fmt: skip

    def colour(self, selector: str, what: str = "color") -> tuple[float, float, float]:
        """Return a computed colour, 0 to 1."""
        text = self.js("([s, w]) => getComputedStyle(document.querySelector(s))[w]", [selector, what])
        red, green, blue = (float(x) / 255 for x in text[text.index("(") + 1 : -1].split(",")[:3])
        return red, green, blue


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start the Chromium that tools/find-chromium names; its message fails the test where there is none."""
    found = subprocess.run([ROOT / "tools" / "find-chromium"], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []  # Chromium refuses its sandbox to root
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found.stdout.strip(), args=[*FLAGS, *sandbox])
        yield browser
        browser.close()


@contextmanager
def opened(browser: Browser, path: Path, **context: Any) -> Iterator[Opened]:
    """Open a page; every request but the one for it is noted and stopped."""
    with browser.new_context(accept_downloads=True, **context) as made:
        page = made.new_page()
        found = Opened(page)
        url = path.resolve().as_uri()

        def route(asked: Route) -> None:
            if asked.request.url.partition("#")[0] == url:
                asked.continue_()
            else:
                found.requests.append(asked.request.url)
                asked.abort()

        page.route("**/*", route)
        page.on("console", lambda m: found.problems.append(m.text) if m.type in ("error", "warning") else None)
        page.on("pageerror", lambda e: found.problems.append(str(e)))
        page.on("dialog", lambda d: (found.problems.append(f"dialog {d.message}"), d.dismiss()))
        page.goto(url)
        found.until("document.querySelectorAll('.js-plotly-plot').length > 0")
        yield found
