"""Put real output into the pages: run the commands that they show on a trained run, and copy its raster.

    python docs/refresh.py runs/demo

A page marks what is filled in by a comment before a fenced block, or before a part that ends with "<!-- end -->":

    <!-- output of: neuro show runs/demo/graph.h5 -->
    <!-- content of: runs/demo/compare/comparison.md -->

Pages name the run "runs/demo" whatever its folder is. Nothing in the pages is typed by hand.
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGES = (ROOT / "README.md", ROOT / "docs" / "quickstart.md", ROOT / "docs" / "training.md")
NAME = "runs/demo"
_OUTPUT = re.compile(r"(<!-- output of: (neuro [^\n]*?) -->\n```text\n)(.*?)(^```$)", re.DOTALL | re.MULTILINE)
_CONTENT = re.compile(r"(<!-- content of: ([^\n]*?) -->\n)(.*?)(^<!-- end -->$)", re.DOTALL | re.MULTILINE)


def refresh(page: str, run: str) -> str:
    """Return a page with the output of its commands and the content of its files, from the run in folder `run`."""

    def output(match: re.Match[str]) -> str:
        command = shlex.split(match[2].replace(NAME, run))
        done = subprocess.run(
            [sys.executable, "-c", "from neuro.cli import app; app()", *command[1:]],
            capture_output=True, text=True, cwd=ROOT, check=True,
        )  # fmt: skip
        lines = [line.rstrip() for line in done.stdout.replace(run, NAME).splitlines()]
        return match[1] + "\n".join(lines) + "\n" + match[4]

    def content(match: re.Match[str]) -> str:
        text = (ROOT / match[2].replace(NAME, run)).read_text()
        return f"{match[1]}\n{text.strip()}\n\n{match[4]}"

    return _CONTENT.sub(content, _OUTPUT.sub(output, page))


def main(run: str) -> None:
    """Refresh all pages and the raster from a run."""
    for path in PAGES:
        path.write_text(refresh(path.read_text(), run))
        print(f"refreshed {path.relative_to(ROOT)}")
    for kind in ("png", "svg"):
        (ROOT / "docs" / "img").mkdir(exist_ok=True)
        shutil.copy(ROOT / run / "compare" / f"raster.{kind}", ROOT / "docs" / "img" / f"raster.{kind}")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python docs/refresh.py RUN    (trained, exported and compared, as `make demo` does)")
    main(sys.argv[1])
