"""Print, and draw, what the training benchmark measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .contestants import Entry

MEMORY_TARGET = 0.25  # of torch eager's peak


def summary(entries: list[Entry], target: float | None) -> dict[str, Any]:
    """Return the ratios of one size: the best peer's time over ours, and our memory over torch eager's."""
    peers = [e for e in entries if not e.ours and e.counts and e.seconds]
    ours = [e for e in entries if e.ours and e.counts and e.seconds]
    eager = next((e for e in peers if e.name == "torch_eager"), None)
    best = min(peers, key=lambda e: e.median, default=None)
    return {
        "best_peer": best.name if best else None,
        "speed": {e.label: best.median / e.median for e in ours} if best else {},
        "speed_target": target,
        "memory": {e.label: e.peak_bytes / eager.peak_bytes for e in ours} if eager else {},
        "memory_target": MEMORY_TARGET,
    }


def show(entries: list[Entry], ratios: dict[str, Any]) -> None:
    """Print the table of one size and its ratios."""
    print(f"  {'':52s}{'s a step':>10s}{'min - max':>17s}{'times ours':>12s}{'peak MB':>9s}")
    first = entries[0]
    for e in entries:
        if not e.seconds:
            print(f"  {e.label:52s}{'failed':>10s}")
            continue
        relative = f"{e.median / first.median:12.1f}" if first.seconds else f"{'':12s}"
        span = f"{min(e.seconds):.3f} - {max(e.seconds):.3f}"
        wrong = "" if e.counts else "   not the same work"
        print(f"  {e.label:52s}{e.median:10.3f}{span:>17s}{relative}{e.peak_bytes / 1e6:9.0f}{wrong}")
    target = ratios["speed_target"]
    for label, x in ratios["speed"].items():
        aim = f"   (target >= {target:g}: {'met' if x >= target else 'missed'})" if target else ""
        print(f"  best peer, {ratios['best_peer']}, over {label}: {x:.1f}{aim}")
    for label, x in ratios["memory"].items():
        verdict = "met" if x <= MEMORY_TARGET else "missed"
        print(f"  peak memory of {label} over torch eager's: {x:.2f}   (target <= {MEMORY_TARGET}: {verdict})")
    print(flush=True)


def plot(cases: list[dict[str, Any]], caption: str, path: Path) -> None:
    """Draw one panel a size: seconds a step of every contestant, on a logarithmic axis."""
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "neuro"  # the same figures give the same file
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(1, len(cases), figsize=(3.2 + 3.4 * len(cases), 3.6), sharey=True, squeeze=False)
    for axes, case in zip(panels[0], cases, strict=True):
        shown = [c for c in case["contestants"] if "seconds" in c][::-1]
        colours = ["#c44e52" if c["ours"] else "#8c8c8c" for c in shown]
        middle = [c["seconds"] for c in shown]
        spread = [[c["seconds"] - min(c["rounds"]) for c in shown], [max(c["rounds"]) - c["seconds"] for c in shown]]
        bars = axes.barh([c["label"] for c in shown], middle, xerr=spread, color=colours, error_kw={"linewidth": 0.8})
        axes.bar_label(bars, [f"{x:.3g}" for x in middle], padding=4, fontsize=8)
        axes.set_xscale("log")
        axes.set_xlim(min(middle) / 2, max(middle) * 3)
        axes.set_title(f"N = {case['n']}, batch {case['batch']}", fontsize=10)
        axes.set_xlabel("s a training step")
        axes.spines[["top", "right"]].set_visible(False)
    figure.text(0.5, 0.005, caption, ha="center", fontsize=7)
    figure.tight_layout(rect=(0, 0.03, 1, 1))
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
    pyplot.close(figure)
