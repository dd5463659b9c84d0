"""Put real output into the pages: run the commands that they show on trained runs, and copy the raster.

    python docs/refresh.py runs

A page marks what is filled in by a comment before a fenced block, or before a part that ends with "<!-- end -->":

    <!-- output of: neuro show runs/demo/graph.h5 -->
    <!-- content of: runs/demo/compare/comparison.md -->

What belongs to a run that is not there is left as it is; "--data DIR" is the folder in NEURO_DATA. Nothing in these parts is typed by hand.
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGES = (
    ROOT / "README.md",
    ROOT / "docs" / "quickstart.md",
    ROOT / "docs" / "training.md",
    ROOT / "docs" / "loihi.md",
    ROOT / "docs" / "comparing.md",
    ROOT / "docs" / "energy.md",
    ROOT / "docs" / "sweep.md",
)
_OUTPUT = re.compile(r"(<!-- output of: (neuro [^\n]*?) -->\n```text\n)(.*?)(^```$)", re.DOTALL | re.MULTILINE)
_CONTENT = re.compile(r"(<!-- content of: ([^\n]*?) -->\n)(.*?)(^<!-- end -->$)", re.DOTALL | re.MULTILINE)


def refresh(page: str, runs: Path) -> str:
    """Return a page with the output of its commands and the content of its files, from the runs in a folder."""

    def here(text: str) -> str | None:
        """Return text with the folder's path in place of "runs/"; None if it names a run that is not there."""
        named = re.findall(r"\bruns/(\w+)", text)
        return None if any(not (runs / name).is_dir() for name in named) else re.sub(r"\bruns/", f"{runs}/", text)

    def output(match: re.Match[str]) -> str:
        command = here(match[2].replace(" --data DIR", ""))  # the folder is in NEURO_DATA
        if command is None:
            return match[0]
        done = subprocess.run(
            [sys.executable, "-c", "from neuro.cli import app; app()", *shlex.split(command)[1:]],
            capture_output=True, text=True, cwd=ROOT, check=True,
        )  # fmt: skip
        lines = [line.rstrip() for line in done.stdout.replace(f"{runs}/", "runs/").splitlines()]
        return match[1] + "\n".join(lines) + "\n" + match[4]

    def content(match: re.Match[str]) -> str:
        path = here(match[2])
        return match[0] if path is None else f"{match[1]}\n{Path(path).read_text().strip()}\n\n{match[4]}"

    return _CONTENT.sub(content, _OUTPUT.sub(output, page))


def main(runs: Path) -> None:
    """Refresh all pages, the raster from the run "demo", and the front from the sweep "digits_tradeoff" where there is one."""
    for path in PAGES:
        path.write_text(refresh(path.read_text(), runs.absolute()))
        print(f"refreshed {path.relative_to(ROOT)}")
    (ROOT / "docs" / "img").mkdir(exist_ok=True)
    shutil.copy(runs / "demo" / "compare" / "raster.png", ROOT / "docs" / "img" / "raster.png")
    swept = runs / "digits_tradeoff" / "pareto.svg"
    if swept.exists():
        shutil.copy(swept, ROOT / "docs" / "img" / "sweep.svg")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python docs/refresh.py RUNS    (with a run 'demo' that is trained, as `make demo` does)")
    main(Path(sys.argv[1]))
