"""Put real output into the pages: run the commands that they show on trained runs, and copy the raster.

    python docs/refresh.py runs

A page marks what is filled in by a comment before a fenced block, or before a part that ends with "<!-- end -->":

    <!-- output of: neuro show runs/demo/graph.h5 -->
    <!-- content of: runs/demo/models/demo/comparison.md -->
    <!-- costs of: runs/models/models.json on loihi, digital45 -->

The last is a table of the models of a comparison, a row each: what each reached and did, and the dynamic energy on the devices named.
What belongs to a run that is not there is left as it is; "--data DIR" is the folder in NEURO_DATA. Nothing in these parts is typed by hand.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from neuro.metrics import Range
from neuro.report.units import ranged

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
_COSTS = re.compile(r"(<!-- costs of: ([^\n]*?) on ([^\n]*?) -->\n)(.*?)(^<!-- end -->$)", re.DOTALL | re.MULTILINE)


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

    def costs(match: re.Match[str]) -> str:
        path = here(match[2])
        devices = match[3].split(", ")
        return match[0] if path is None else f"{match[1]}\n{costs_table(Path(path), devices)}\n\n{match[5]}"

    return _COSTS.sub(costs, _CONTENT.sub(content, _OUTPUT.sub(output, page)))


def costs_table(path: Path, devices: list[str]) -> str:
    """Return the models of a comparison as a table in Markdown, joules an inference by device."""
    found = json.loads(path.read_text(encoding="utf-8"))
    head = ["model", "accuracy", "rate, Hz", "synaptic events", "MAC", "AC", "bytes", *devices]
    rows = [[_name(m), *_figures(m), *(_dynamic(m["energy"][name]) for name in devices)] for m in found["models"]]
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    title = f"{found['task']['name']}, {found['n_samples']:,} {found['split']} samples of {found['steps']} steps of {found['dt_ms']:g} ms; means an inference; "
    return "\n".join([title + "energies are dynamic alone.", "", *("| " + " | ".join(line) + " |" for line in lines)])


def _name(model: dict[str, Any]) -> str:
    return f"[{model['name']}](MODELS/{model['name']}/card.md)"


def _figures(model: dict[str, Any]) -> list[str]:
    """Return accuracy, rate, events, operations and bytes of a model."""
    rate, events = model["mean_rate_hz"], model["synaptic_events_per_inference"]
    work = model["operations"].values()
    return [
        f"{100 * model['accuracy']:.1f} %",
        "-" if rate is None else f"{rate:.1f}",
        "-" if events is None else f"{events:,.0f}",
        *(f"{sum(part[what] for part in work):,.0f}" for what in ("mac", "ac")),
        f"{model['parameter_bytes']:,}",
    ]


def _dynamic(energy: dict[str, Any]) -> str:
    if "refused" in energy:
        return "-"
    return ranged(Range(**energy["dynamic"]), "J")


def main(runs: Path) -> None:
    """Refresh all pages, the raster from the run "demo", and the front from the sweep "digits_tradeoff" where there is one."""
    for path in PAGES:
        filled = refresh(path.read_text(), runs.absolute())
        path.write_text(filled.replace("](MODELS/", "](models/" if path.parent == ROOT else "](../models/"))
        print(f"refreshed {path.relative_to(ROOT)}")
    (ROOT / "docs" / "img").mkdir(exist_ok=True)
    shutil.copy(runs / "demo" / "models" / "demo" / "raster.png", ROOT / "docs" / "img" / "raster.png")
    swept = runs / "digits_tradeoff" / "pareto.svg"
    if swept.exists():
        shutil.copy(swept, ROOT / "docs" / "img" / "sweep.svg")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python docs/refresh.py RUNS    (with a run 'demo' that is trained, as `make demo` does)")
    main(Path(sys.argv[1]))
