"""Save a picture of a report as Chromium shows it: python tools/screenshot.py report.html picture.png [--dark] [--width 1200] [--height 1400]."""

from __future__ import annotations

import argparse
import os
import subprocess
from pathlib import Path

from playwright.sync_api import sync_playwright


def main() -> None:
    """Read the command line, open the page, save the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("page", type=Path)
    parser.add_argument("picture", type=Path)
    parser.add_argument("--dark", action="store_true")
    parser.add_argument("--width", type=int, default=1200)
    parser.add_argument("--height", type=int, default=1400, help="0: the whole page")
    parser.add_argument("--part", default="", help="id of the part to begin with")
    given = parser.parse_args()
    chromium = subprocess.run(
        [Path(__file__).with_name("find-chromium")], capture_output=True, text=True, check=True
    ).stdout.strip()
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []  # Chromium refuses its sandbox to root
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--disable-gpu", *sandbox])
        page = browser.new_page(
            viewport={"width": given.width, "height": given.height or 900},
            color_scheme="dark" if given.dark else "light",
        )
        page.goto(given.page.resolve().as_uri() + (f"#{given.part}" if given.part else ""))
        page.wait_for_timeout(1500)
        page.screenshot(path=given.picture, full_page=not given.height)
        browser.close()


if __name__ == "__main__":
    main()
